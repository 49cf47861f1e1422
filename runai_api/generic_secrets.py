"""Generic secrets: key-value pairs that a cluster keeps for workloads (documented: 2.24 API)."""

from __future__ import annotations

import builtins
from collections.abc import Mapping

from pydantic import SecretStr

from runai_api import _constants as constants
from runai_api._family import Family, only, project_scope, secret_text, wait_until
from runai_api._models import Model, ScopeType
from runai_api._operation import Operation
from runai_api.credentials import (
    _FAILED,
    _READY,
    ClusterInfo,
    CredentialMeta,
    CredentialStatus,
    _number,
)
from runai_api.errors import InvalidArgument, ResourceFailed

_ALL = "/api/v1/asset/credentials/generic-secret"
_EACH = f"{_ALL}/{{id}}"

_LIST = Operation("generic_secrets.list", "GET", _ALL, "credentials:read")
_GET = Operation("generic_secrets.get", "GET", _EACH, "credentials:read")
_CREATE = Operation("generic_secrets.create", "POST", _ALL, "credentials:create")
_DELETE = Operation("generic_secrets.delete", "DELETE", _EACH, "credentials:delete")


class GenericSecret(Model):
    """A generic secret; its values are never read back."""

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
    def kubernetes_secret_name(self) -> str | None:
        """The secret in the project's namespace; None until it is there."""
        for resource in self.cluster_info.resources if self.cluster_info else ():
            if resource and resource.name:
                return resource.name
        return None


class GenericSecrets(Family):
    """``client.generic_secrets``"""

    def list(self, *, project_id: str, name: str | None = None) -> builtins.list[GenericSecret]:
        """Generic secrets that can be used in the project, those of wider scopes too."""
        params = {"projectId": _number(project_id), "name": name, "statusInfo": True}
        scope = project_scope(project_id)
        return self._list(
            _LIST, GenericSecret, "entries", params=params, scope=scope, paging="none"
        )

    def get(self, credential_id: str) -> GenericSecret:
        """One secret with its status, without its values."""
        return self._one(
            _GET, GenericSecret, path={"id": credential_id}, params={"statusInfo": True}
        )

    def find(self, name: str, project_id: str) -> GenericSecret | None:
        """The secret of exactly this name that belongs to exactly this project."""
        matches = [
            found
            for found in self.list(project_id=project_id, name=name)
            if found.name == name
            and found.meta.scope == ScopeType.PROJECT
            and found.meta.project_id == str(project_id)
        ]
        return only(matches, "generic secrets", name, "Use its id.", lambda found: found.id)

    def create(
        self, name: str, project_id: str, values: Mapping[str, str | SecretStr]
    ) -> GenericSecret:
        """Store key-value pairs at a project. Raises `Conflict` if the name is taken.

        The answer comes before the cluster has it: see `wait_ready`.
        """
        if not name or not values:
            raise InvalidArgument("A generic secret needs a name and at least one value.")
        plain = {key: secret_text(value) for key, value in values.items()}
        body = {
            "meta": {
                "name": name,
                "scope": ScopeType.PROJECT.value,
                "projectId": _number(project_id),
            },
            "spec": {
                "keyValuePairs": [{"key": key, "value": value} for key, value in plain.items()]
            },
        }
        return self._one(
            _CREATE,
            GenericSecret,
            body=body,
            scope=project_scope(project_id),
            secrets=list(plain.values()),
        )

    def delete(self, credential_id: str) -> None:
        """Raises `PreconditionFailed` while a workload uses it."""
        self._session.call(_DELETE, path={"id": credential_id})

    def wait_ready(
        self, secret: GenericSecret, timeout: float = constants.READY_SECONDS
    ) -> GenericSecret:
        """Wait until the cluster has the secret.

        Raises `ResourceFailed` if the cluster could not make it, `DeadlineExceeded` after
        `timeout` seconds.
        """
        return wait_until(
            lambda: self.get(secret.id),
            _is_ready,
            first=secret,
            timeout=timeout,
            what=f"Generic secret {secret.name}",
            describe=lambda state: (state.status and state.status.status) or "without status",
            sleep=self._session.sleep,
        )


def _is_ready(secret: GenericSecret) -> bool:
    phase = secret.status.status if secret.status else None
    if phase in _FAILED:
        said = (secret.status and secret.status.message) or ""
        why = f" ({said})" if said else ""
        raise ResourceFailed(
            f"Generic secret {secret.name} is in the state {phase!r}{why}.",
            resource=f"generic secret {secret.name}",
            phase=str(phase),
            details=said,
            hint="Check the cluster's connection.",
        )
    return phase in _READY or (phase is None and secret.kubernetes_secret_name is not None)
