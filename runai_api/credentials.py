"""Registry credentials: what a cluster pulls images with (documented: 2.24 API)."""

from __future__ import annotations

from pydantic import SecretStr

from runai_api._credential_assets import (
    Credential,
    Credentials,
    CredentialStatus,
    checked_description,
)
from runai_api._family import secret_text
from runai_api._models import Model
from runai_api._operation import Operation
from runai_api.errors import InvalidArgument

__all__ = ["CredentialStatus", "RegistryCredential", "RegistryCredentials", "RegistrySpec"]

_ALL = "/api/v1/asset/credentials/docker-registry"
_EACH = f"{_ALL}/{{id}}"

_UPDATE = Operation("registry_credentials.update", "PUT", _EACH, "credentials:update")


class RegistrySpec(Model):
    """The readable part of a registry credential."""

    existing_secret_name: str | None = None
    user: str | None = None
    url: str | None = None


class RegistryCredential(Credential):
    """A docker-registry credential, without its password."""

    spec: RegistrySpec = RegistrySpec()

    @property
    def kubernetes_secret_name(self) -> str | None:
        """The secret in the project's namespace, for ``imagePullSecrets``; None until it is there.

        For a credential made from an existing secret that has no other name: the given one.
        """
        return self._name_in_cluster or self.spec.existing_secret_name


class RegistryCredentials(Credentials[RegistryCredential]):
    """``client.registry_credentials``"""

    _model = RegistryCredential
    _kind = "registry credential"
    _LIST = Operation("registry_credentials.list", "GET", _ALL, "credentials:read")
    _GET = Operation("registry_credentials.get", "GET", _EACH, "credentials:read")
    _CREATE = Operation("registry_credentials.create", "POST", _ALL, "credentials:create")
    _DELETE = Operation("registry_credentials.delete", "DELETE", _EACH, "credentials:delete")

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
        spec, secrets = _spec(user, password, url, existing_secret_name)
        return self._store(name, project_id, spec, secrets, description)

    def update(self, credential_id: str, *, description: str) -> RegistryCredential:
        """Change the description; everything else needs a new credential."""
        body = {"meta": {"description": checked_description(description)}}
        return self._one(_UPDATE, RegistryCredential, path={"id": credential_id}, body=body)


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
