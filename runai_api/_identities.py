"""What service accounts and applications have in common."""

from __future__ import annotations

import builtins
from typing import Any, ClassVar

from pydantic import AliasChoices, Field, SecretStr, model_validator

from runai_api import _constants as constants
from runai_api._family import Family, only
from runai_api._models import Model, Timestamp
from runai_api._operation import Operation
from runai_api.errors import InvalidArgument


class ServiceAccount(Model):
    """A machine identity, without its secret (which no reading call returns)."""

    id: str
    name: str
    client_id: str
    enabled: bool = True
    tenant_id: str | None = None
    created_by: str | None = None
    created_at: Timestamp = None
    updated_at: Timestamp = None
    last_login: Timestamp = None


class ServiceAccountSecret(Model):
    """The answer to a creation: the only one that carries the secret."""

    id: str
    name: str
    client_id: str
    client_secret: SecretStr = Field(
        validation_alias=AliasChoices("clientSecret", "secret", "client_secret"), min_length=1
    )

    @model_validator(mode="before")
    @classmethod
    def _client_id_defaults_to_name(cls, data: Any) -> Any:
        """The schema makes clientId optional; for accounts made in the UI it equals the name."""
        if isinstance(data, dict) and not data.get("clientId") and not data.get("client_id"):
            return {**data, "clientId": data.get("name")}
        return data


class _Secret(Model):
    client_secret: SecretStr = Field(
        validation_alias=AliasChoices("clientSecret", "secret"), min_length=1
    )


class Identities(Family):
    """Create, look up, switch on and off, renew and delete machine identities."""

    _list_all: ClassVar[Operation]
    _read: ClassVar[Operation]
    _create: ClassVar[Operation]
    _update: ClassVar[Operation]
    _regenerate: ClassVar[Operation]
    _delete: ClassVar[Operation]
    _kind: ClassVar[str]

    def list(self) -> builtins.list[ServiceAccount]:
        return self._array(self._list_all, ServiceAccount)

    def get(self, account_id: str) -> ServiceAccount:
        return self._one(self._read, ServiceAccount, path={"id": account_id})

    def find(self, name: str) -> ServiceAccount | None:
        """The one of exactly this name. The API has no filter here: one request reads them all."""
        matches = [account for account in self.list() if account.name == name]
        return only(matches, self._kind, name, "Delete the wrong ones.", lambda found: found.id)

    def create(self, name: str) -> ServiceAccountSecret:
        """Make one and return it with its secret, which cannot be read again later.

        `name`: 2 to 255 lower-case letters, digits, ``-`` and ``_``, beginning with a letter and
        ending with a letter or digit (documented: 2.24 API). Raises `Conflict` if it is taken.
        """
        shortest, longest = constants.SERVICE_ACCOUNT_NAME_LENGTH
        fits = shortest <= len(name) <= longest
        if not fits or not constants.SERVICE_ACCOUNT_NAME.fullmatch(name):
            raise InvalidArgument(
                f"{name!r} is not a name for a service account.",
                hint=f"Use {shortest} to {longest} lower-case letters, digits, - and _, with a "
                "letter first and a letter or digit last.",
            )
        return self._one(self._create, ServiceAccountSecret, body={"name": name})

    def set_enabled(self, account_id: str, enabled: bool) -> None:
        self._session.call(self._update, path={"id": account_id}, body={"enabled": enabled})

    def regenerate_secret(self, account_id: str) -> SecretStr:
        """Replace the secret; the old one stops working at once."""
        return self._one(self._regenerate, _Secret, path={"id": account_id}).client_secret

    def delete(self, account_id: str) -> None:
        self._session.call(self._delete, path={"id": account_id})
