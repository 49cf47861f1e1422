"""Roles: predefined ones to look up, custom ones to make from permission sets (2.24 and newer)."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any

from runai_api._auth import ControlPlaneVersion
from runai_api._family import Family, only
from runai_api._http import Session
from runai_api._models import Many, Model, Permission, Timestamp
from runai_api._operation import Operation
from runai_api.errors import APIError, ConfigurationError, InvalidArgument, NotFound

_V2 = "/api/v2/authorization/roles"
_V1 = "/api/v1/authorization/roles"

_LIST = Operation("roles.list", "GET", _V2, "roles:read")
_GET = Operation("roles.get", "GET", f"{_V2}/{{id}}", "roles:read")
_CREATE = Operation("roles.create", "POST", _V2, "roles:create")
_UPDATE = Operation("roles.update", "PUT", f"{_V2}/{{id}}", "roles:update")
_DELETE = Operation("roles.delete", "DELETE", f"{_V2}/{{id}}", "roles:delete")
_ENABLE = Operation("roles.enable", "POST", f"{_V2}/{{id}}/enable", "roles:update", repeatable=True)
_DISABLE = Operation(
    "roles.disable", "POST", f"{_V2}/{{id}}/disable", "roles:update", repeatable=True
)
_LIST_V1 = Operation("roles.list_v1", "GET", _V1, "roles:read")
_GET_V1 = Operation("roles.get_v1", "GET", f"{_V1}/{{id}}", "roles:read")


class PermissionSetReference(Model):
    id: str
    name: str | None = None


class Role(Model):
    """A role with the permissions it grants (for 2.24: the union of its permission sets)."""

    id: int
    name: str
    description: str | None = None
    enabled: bool | None = True
    effective_enabled: bool | None = True
    """What the evaluation of rights uses."""
    custom: bool | None = None
    """False for predefined roles, None where an old control plane does not tell."""
    deprecated: bool | None = None
    permission_sets: Many[PermissionSetReference] = ()
    permissions: Many[Permission] = ()
    created_by: str | None = None
    created_at: Timestamp = None
    updated_at: Timestamp = None
    deleted_at: Timestamp = None


class Roles(Family):
    """``client.roles``. On 2.23 and older only `list`, `get` and `find` work."""

    def __init__(self, session: Session, version: Callable[[], ControlPlaneVersion]) -> None:
        super().__init__(session)
        self._version = version
        self._v2_missing = False

    def list(
        self, *, filter_by: Sequence[str] = (), search: str | None = None
    ) -> builtins.list[Role]:
        """All roles. Filter fields: name, createdAt, createdBy, custom, scopeType, enabled.

        Filters and search need 2.24.
        """
        narrowed = bool(filter_by or search)
        if narrowed and not self._has_v2():
            raise InvalidArgument("Filters on roles need a control plane of 2.24 or newer.")
        if self._has_v2():
            try:
                return self._list(
                    _LIST, Role, "roles", params={"search": search}, filters=filter_by
                )
            except APIError as error:
                if narrowed or not self._learn_absence(error):
                    raise
        return self._array(_LIST_V1, Role)

    def get(self, role_id: int) -> Role:
        path = {"id": role_id}
        if self._has_v2():
            try:
                return self._one(_GET, Role, path=path)
            except NotFound as missing:
                # Is it the role that is missing, or the whole v2?
                try:
                    found = self._one(_GET_V1, Role, path=path)
                except APIError:
                    raise missing from None
                self._v2_missing = True
                return found
        return self._one(_GET_V1, Role, path=path)

    def find(self, name: str) -> Role | None:
        """The role of exactly this name, asked for in one request."""
        matches = self._find_all(name)
        alive = [role for role in matches if role.deleted_at is None]
        return only(alive, "roles", name, "Use a role id.", lambda role: role.id)

    def create(
        self,
        name: str,
        description: str,
        permission_set_ids: Sequence[str],
        enabled: bool = True,
    ) -> Role:
        """Make a custom role. The API declares no answer for a name that is taken: look it up first
        (`find`), or make the name unique."""
        self._need_custom_roles()
        body = _fields(name, description, permission_set_ids, enabled)
        return self._one(_CREATE, Role, body=body)

    def update(
        self,
        role_id: int,
        *,
        name: str,
        description: str,
        permission_set_ids: Sequence[str],
        enabled: bool = True,
    ) -> Role:
        """Replace all fields of a custom role (predefined ones cannot be changed)."""
        self._need_custom_roles()
        body = _fields(name, description, permission_set_ids, enabled)
        return self._one(_UPDATE, Role, path={"id": role_id}, body=body)

    def delete(self, role_id: int) -> None:
        self._need_custom_roles()
        self._session.call(_DELETE, path={"id": role_id})

    def enable(self, role_id: int) -> None:
        self._need_custom_roles()
        self._session.call(_ENABLE, path={"id": role_id}, body={})

    def disable(self, role_id: int) -> None:
        self._need_custom_roles()
        self._session.call(_DISABLE, path={"id": role_id}, body={})

    def _find_all(self, name: str) -> Sequence[Role]:
        if self._has_v2():
            try:
                return self._named(_LIST, Role, "roles", name)
            except APIError as error:
                if not self._learn_absence(error):
                    raise
        return [role for role in self._array(_LIST_V1, Role) if role.name == name]

    def _has_v2(self) -> bool:
        return not self._v2_missing and self._version().has_custom_roles

    def _learn_absence(self, error: APIError) -> bool:
        """Control planes shortly before the release of 2.24 have v2 tokens but no v2 roles."""
        if isinstance(error, NotFound) or error.status == 405:
            self._v2_missing = True
        return self._v2_missing

    def _need_custom_roles(self) -> None:
        if not self._has_v2():
            raise ConfigurationError(
                "This control plane has no custom roles: they need 2.24 or newer.",
                hint="Use a predefined role, such as 'L1 researcher'.",
            )


def _fields(
    name: str, description: str, permission_set_ids: Sequence[str], enabled: bool
) -> dict[str, Any]:
    if not name.strip():
        raise InvalidArgument("A role needs a name.")
    if isinstance(permission_set_ids, str) or not permission_set_ids:
        raise InvalidArgument(
            "A role needs a list of at least one permission set.",
            hint="client.permission_sets.list() shows what there is.",
        )
    return {
        "name": name,
        "description": description,
        "enabled": enabled,
        "permissionSets": [{"id": found} for found in permission_set_ids],
    }
