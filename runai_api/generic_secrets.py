"""Generic secrets: key-value pairs that a cluster keeps for workloads (documented: 2.24 API)."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import SecretStr

from runai_api._credential_assets import Credential, Credentials
from runai_api._family import secret_text
from runai_api._operation import Operation
from runai_api.errors import InvalidArgument

_ALL = "/api/v1/asset/credentials/generic-secret"
_EACH = f"{_ALL}/{{id}}"


class GenericSecret(Credential):
    """A generic secret, without its values."""


class GenericSecrets(Credentials[GenericSecret]):
    """``client.generic_secrets``"""

    _model = GenericSecret
    _kind = "generic secret"
    _LIST = Operation("generic_secrets.list", "GET", _ALL, "credentials:read")
    _GET = Operation("generic_secrets.get", "GET", _EACH, "credentials:read")
    _CREATE = Operation("generic_secrets.create", "POST", _ALL, "credentials:create")
    _DELETE = Operation("generic_secrets.delete", "DELETE", _EACH, "credentials:delete")

    def create(
        self, name: str, project_id: str, values: Mapping[str, str | SecretStr]
    ) -> GenericSecret:
        """Store key-value pairs at a project. Raises `Conflict` if the name is taken.

        The answer comes before the cluster has it: see `wait_ready`.
        """
        plain = {key: secret_text(value) for key, value in values.items()}
        if not plain or not all(plain):
            raise InvalidArgument("A generic secret needs at least one value, each with a key.")
        pairs = [{"key": key, "value": value} for key, value in plain.items()]
        return self._store(name, project_id, {"keyValuePairs": pairs}, list(plain.values()))
