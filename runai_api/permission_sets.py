"""Permission sets, the bricks of custom roles: read-only, 2.24 and newer (documented: 2.24 API)."""

from __future__ import annotations

import builtins

from runai_api._family import Family, only
from runai_api._models import Many, Model, Permission
from runai_api._operation import Operation

_ALL = "/api/v1/authorization/permission-sets"

_LIST = Operation("permission_sets.list", "GET", _ALL, "roles:read", current_only=True)
_GET = Operation("permission_sets.get", "GET", f"{_ALL}/{{id}}", "roles:read", current_only=True)


class PermissionSet(Model):
    """A named bundle of permissions; ids and names differ between tenants."""

    id: str
    name: str
    description: str | None = None
    permissions: Many[Permission] = ()


class PermissionSets(Family):
    """``client.permission_sets``"""

    def list(self) -> builtins.list[PermissionSet]:
        return self._list(_LIST, PermissionSet, "permissionSets", paging="none")

    def get(self, permission_set_id: str) -> PermissionSet:
        return self._one(_GET, PermissionSet, path={"id": permission_set_id})

    def find(self, name: str) -> PermissionSet | None:
        """The one of exactly this name; one request reads them all."""
        matches = [found for found in self.list() if found.name == name]
        return only(matches, "permission sets", name, "Use an id.", lambda found: found.id)
