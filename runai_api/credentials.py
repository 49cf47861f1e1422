"""Registry credentials: what a cluster pulls images with (documented: 2.24 API)."""

from __future__ import annotations

import builtins
from typing import Any

from pydantic import SecretStr

from runai_api import _constants as constants
from runai_api._family import Family, only, project_scope, secret_text, wait_until
from runai_api._models import Many, Model, ScopeType, Timestamp
from runai_api._operation import Operation
from runai_api.errors import InvalidArgument, ResourceFailed

_ALL = "/api/v1/asset/credentials/docker-registry"
_EACH = f"{_ALL}/{{id}}"

_LIST = Operation("registry_credentials.list", "GET", _ALL, "credentials:read")
_GET = Operation("registry_credentials.get", "GET", _EACH, "credentials:read")
_CREATE = Operation("registry_credentials.create", "POST", _ALL, "credentials:create")
_UPDATE = Operation("registry_credentials.update", "PUT", _EACH, "credentials:update")
_DELETE = Operation("registry_credentials.delete", "DELETE", _EACH, "credentials:delete")

_READY = ("No issues found", "No status")
_FAILED = ("Failed", "Deletion failed", "Issues found", "Deleting")


class CredentialMeta(Model):
    id: str
    name: str
    scope: str
    description: str | None = None
    project_id: str | None = None
    project_name: str | None = None
    department_id: str | None = None
    cluster_id: str | None = None
    created_by: str | None = None
    created_at: Timestamp = None
    updated_at: Timestamp = None


class RegistrySpec(Model):
    """Without the password: no reading call is trusted to hide it, so it is not kept."""

    existing_secret_name: str | None = None
    user: str | None = None
    url: str | None = None


class CredentialIssue(Model):
    scope_id: str | None = None
    scope_type: str | None = None
    issue: str | None = None


class CredentialStatus(Model):
    """Creating, No issues found, Issues found, No status, Failed, Updating, Deleting, ..."""

    status: str | None = None
    message: str | None = None
    issues: Many[CredentialIssue] = ()


class ClusterResource(Model):
    name: str | None = None


class ClusterInfo(Model):
    resources: Many[ClusterResource | None] = ()


class RegistryCredential(Model):
    """A docker-registry credential."""

    meta: CredentialMeta
    spec: RegistrySpec = RegistrySpec()
    status: CredentialStatus | None = None
    cluster_info: ClusterInfo | None = None

    @property
    def id(self) -> str:
        return self.meta.id

    @property
    def name(self) -> str:
        return self.meta.name

    @property
    def project_id(self) -> str | None:
        return self.meta.project_id

    @property
    def kubernetes_secret_name(self) -> str | None:
        """The secret in the project's namespace, for ``imagePullSecrets``; None until it is there.

        For a credential made from an existing secret that has no other name: the given one.
        """
        return self._name_in_cluster or self.spec.existing_secret_name

    @property
    def _name_in_cluster(self) -> str | None:
        for resource in self.cluster_info.resources if self.cluster_info else ():
            if resource and resource.name:
                return resource.name
        return None


class RegistryCredentials(Family):
    """``client.registry_credentials``"""

    def list(
        self, *, project_id: str | None = None, name: str | None = None, status: bool = True
    ) -> builtins.list[RegistryCredential]:
        """Credentials; with `project_id` all that can be used in this project, wider ones too."""
        params = {
            "projectId": None if project_id is None else _number(project_id),
            "name": name,
            "statusInfo": True if status else None,
        }
        scope = None if project_id is None else project_scope(project_id)
        return self._list(
            _LIST, RegistryCredential, "entries", params=params, scope=scope, paging="none"
        )

    def get(self, credential_id: str) -> RegistryCredential:
        """One credential with its status."""
        return self._one(
            _GET, RegistryCredential, path={"id": credential_id}, params={"statusInfo": True}
        )

    def find(self, name: str, project_id: str) -> RegistryCredential | None:
        """The credential of exactly this name that belongs to exactly this project."""
        matches = [
            found
            for found in self.list(project_id=project_id, name=name)
            if found.name == name
            and found.meta.scope == ScopeType.PROJECT
            and found.project_id == str(project_id)
        ]
        return only(matches, "credentials", name, "Use a credential id.", lambda found: found.id)

    def create(
        self,
        name: str,
        project_id: str,
        *,
        user: str | None = None,
        password: str | SecretStr | None = None,
        url: str | None = None,
        existing_secret_name: str | None = None,
        description: str | None = None,
    ) -> RegistryCredential:
        """Store a credential at a project: either `user`, `password` and `url`, or the name of a
        Kubernetes secret that exists in the project's namespace. Raises `Conflict` if the name is
        taken. The answer comes before the cluster has it: see `wait_ready`.
        """
        if not name:
            raise InvalidArgument("A registry credential needs a name.")
        spec, secrets = _spec(user, password, url, existing_secret_name)
        meta: dict[str, Any] = {
            "name": name,
            "scope": ScopeType.PROJECT.value,
            "projectId": _number(project_id),
        }
        if description is not None:
            meta["description"] = _description(description)
        return self._one(
            _CREATE,
            RegistryCredential,
            body={"meta": meta, "spec": spec},
            scope=project_scope(project_id),
            secrets=secrets,
        )

    def update(self, credential_id: str, *, description: str) -> RegistryCredential:
        """Change the description; everything else needs a new credential."""
        body = {"meta": {"description": _description(description)}}
        return self._one(_UPDATE, RegistryCredential, path={"id": credential_id}, body=body)

    def delete(self, credential_id: str) -> None:
        """Raises `PreconditionFailed` while a workload, template or data source uses it."""
        self._session.call(_DELETE, path={"id": credential_id})

    def wait_ready(
        self, credential: RegistryCredential | str, timeout: float = constants.READY_SECONDS
    ) -> RegistryCredential:
        """Wait until the cluster has the secret.

        Give what `create` returned: if it is ready already, nothing is asked. Raises
        `ResourceFailed` if the cluster could not make it, `DeadlineExceeded` after `timeout`
        seconds.
        """
        known = credential if isinstance(credential, RegistryCredential) else None
        credential_id = known.id if known else str(credential)
        return wait_until(
            lambda: self.get(credential_id),
            _is_ready,
            first=known,
            timeout=timeout,
            what=f"Registry credential {known.name if known else credential_id}",
            describe=lambda state: (state.status and state.status.status) or "without status",
            sleep=self._session.sleep,
        )


def _is_ready(credential: RegistryCredential) -> bool:
    state = credential.status
    phase = state.status if state else None
    if phase in _FAILED:
        issues = ", ".join(
            f"{issue.scope_type} {issue.scope_id}: {issue.issue}"
            for issue in (state.issues if state else ())
        )
        said = "; ".join(text for text in ((state.message if state else None), issues) if text)
        raise ResourceFailed(
            f"Registry credential {credential.name} is in the state {phase!r}"
            f"{f' ({said})' if said else ''}.",
            resource=f"registry credential {credential.name}",
            phase=str(phase),
            details=said,
            hint="Check the cluster's connection, and that an existing secret is labelled "
            "run.ai/resource=docker-registry.",
        )
    return phase in _READY or (phase is None and credential._name_in_cluster is not None)


def _spec(
    user: str | None,
    password: str | SecretStr | None,
    url: str | None,
    existing_secret_name: str | None,
) -> tuple[dict[str, str], list[str]]:
    given = {"user": user, "password": password, "url": url}
    if existing_secret_name:
        mixed = [name for name, value in given.items() if value is not None]
        if mixed:
            raise InvalidArgument(
                f"existing_secret_name excludes {', '.join(mixed)}.",
                hint="The secret in the cluster holds them already.",
            )
        return {"existingSecretName": existing_secret_name}, []
    plain = {name: secret_text(value) for name, value in given.items() if value is not None}
    missing = [name for name in given if not plain.get(name)]
    if missing:
        raise InvalidArgument(
            f"A registry credential needs {', '.join(missing)}.",
            hint="Give user, password and url, or existing_secret_name.",
        )
    return plain, [plain["password"]]


def _description(text: str) -> str:
    shortest, longest = constants.DESCRIPTION_LENGTH
    if not shortest <= len(text) <= longest:
        raise InvalidArgument(f"A description has {shortest} to {longest} characters.")
    return text


def _number(project_id: str) -> int:
    """Assets want the project's id as a number, all other calls as text."""
    text = str(project_id)
    if not (text.isascii() and text.isdigit()):
        raise InvalidArgument(
            f"The project id {text!r} is not a number, which credentials need.",
            hint="Give the id that client.projects.find(name) returns.",
        )
    return int(text)
