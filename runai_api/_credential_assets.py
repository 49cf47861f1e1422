"""What the kinds of credentials share: meta data, status, look-up, waiting for the cluster."""

from __future__ import annotations

import builtins
from typing import Any, ClassVar, Generic, TypeVar

from runai_api import _constants as constants
from runai_api._family import Family, only, project_scope, wait_until
from runai_api._models import Many, Model, ScopeType, Timestamp
from runai_api._operation import Operation
from runai_api.errors import InvalidArgument, ResourceFailed

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


class Credential(Model):
    """A credential without its secret parts: no reading call is trusted to hide them."""

    meta: CredentialMeta
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
        """The secret in the project's namespace; None until it is there."""
        return self._name_in_cluster

    @property
    def _name_in_cluster(self) -> str | None:
        for resource in self.cluster_info.resources if self.cluster_info else ():
            if resource and resource.name:
                return resource.name
        return None


C = TypeVar("C", bound=Credential)


class Credentials(Family, Generic[C]):
    """Credentials of one kind."""

    _model: type[C]
    _kind: ClassVar[str]
    _LIST: ClassVar[Operation]
    _GET: ClassVar[Operation]
    _CREATE: ClassVar[Operation]
    _DELETE: ClassVar[Operation]

    def list(
        self, *, project_id: str | None = None, name: str | None = None, status: bool = True
    ) -> builtins.list[C]:
        """Credentials; with `project_id` all that can be used in this project, wider ones too."""
        params = {
            "projectId": None if project_id is None else _number(project_id),
            "name": name,
            "statusInfo": True if status else None,
        }
        scope = None if project_id is None else project_scope(project_id)
        return self._list(
            self._LIST, self._model, "entries", params=params, scope=scope, paging="none"
        )

    def get(self, credential_id: str) -> C:
        """One credential with its status."""
        return self._one(
            self._GET, self._model, path={"id": credential_id}, params={"statusInfo": True}
        )

    def find(self, name: str, project_id: str) -> C | None:
        """The credential of exactly this name that belongs to exactly this project."""
        matches = [
            found
            for found in self.list(project_id=project_id, name=name)
            if found.name == name
            and found.meta.scope == ScopeType.PROJECT
            and found.project_id == str(project_id)
        ]
        return only(matches, f"{self._kind}s", name, "Use its id.", lambda found: found.id)

    def delete(self, credential_id: str) -> None:
        """Raises `PreconditionFailed` while a workload, template or data source uses it."""
        self._session.call(self._DELETE, path={"id": credential_id})

    def wait_ready(self, credential: C | str, timeout: float = constants.READY_SECONDS) -> C:
        """Wait until the cluster has the secret.

        Give what `create` returned: if it is ready already, nothing is asked. Raises
        `ResourceFailed` if the cluster could not make it, `DeadlineExceeded` after `timeout`
        seconds.
        """
        known = None if isinstance(credential, str) else credential
        credential_id = credential if isinstance(credential, str) else credential.id
        return wait_until(
            lambda: self.get(credential_id),
            self._is_ready,
            first=known,
            timeout=timeout,
            what=f"The {self._kind} {known.name if known else credential_id}",
            describe=lambda state: (state.status and state.status.status) or "without status",
            sleep=self._session.sleep,
        )

    def _store(
        self,
        name: str,
        project_id: str,
        spec: dict[str, Any],
        secrets: builtins.list[str],
        description: str | None = None,
    ) -> C:
        if not name:
            raise InvalidArgument(f"A {self._kind} needs a name.")
        meta: dict[str, Any] = {
            "name": name,
            "scope": ScopeType.PROJECT.value,
            "projectId": _number(project_id),
        }
        if description is not None:
            meta["description"] = checked_description(description)
        return self._one(
            self._CREATE,
            self._model,
            body={"meta": meta, "spec": spec},
            scope=project_scope(project_id),
            secrets=secrets,
        )

    def _is_ready(self, credential: C) -> bool:
        state = credential.status
        phase = state.status if state else None
        if phase in _FAILED:
            issues = ", ".join(
                f"{issue.scope_type} {issue.scope_id}: {issue.issue}"
                for issue in (state.issues if state else ())
            )
            said = "; ".join(text for text in ((state and state.message), issues) if text)
            raise ResourceFailed(
                f"The {self._kind} {credential.name} is in the state {phase!r}"
                f"{f' ({said})' if said else ''}.",
                resource=f"{self._kind} {credential.name}",
                phase=str(phase),
                details=said,
                hint="Check the cluster's connection, and that an existing secret carries the "
                "label run.ai/resource.",
            )
        return phase in _READY or (phase is None and credential._name_in_cluster is not None)


def checked_description(text: str) -> str:
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
