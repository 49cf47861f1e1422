"""What the caller itself may do, and where. Needs nothing but a valid token."""

from __future__ import annotations

from pydantic import PrivateAttr

from runai_api._family import Family
from runai_api._models import Many, Model, Permission, parse
from runai_api._operation import Operation
from runai_api.errors import InvalidArgument
from runai_api.org_units import Department, OrgUnit

_MINE = Operation("permissions.mine", "GET", "/api/v1/authorization/permissions")
_SCOPES = Operation(
    "permissions.permitted_scopes",
    "POST",
    "/api/v1/authorization/permitted-scopes",
    repeatable=True,
)

ACTIONS = ("create", "read", "update", "delete")


class ScopeSet(Model):
    """Where a right is granted: the scopes of the rules, which cover everything beneath them."""

    system: bool | None = None
    tenants: Many[str] = ()
    tenant: str | None = None
    """The older, single form of `tenants`."""
    clusters: Many[str] = ()
    departments: Many[str] = ()
    projects: Many[str] = ()

    def covers(self, unit: OrgUnit) -> bool:
        """Whether the right holds in this project or department.

        A token belongs to one tenant, so any tenant named here is the unit's own.
        """
        if self.system or self.tenant or self.tenants or unit.cluster_id in self.clusters:
            return True
        # Projects and departments count their ids apart: a 7 here is not the 7 there.
        own = self.departments if isinstance(unit, Department) else self.projects
        return unit.id in own or any(above in self.departments for above in unit.ancestor_ids)


class PermittedScopes(Model):
    """For one resource type: the scopes of each action."""

    create: ScopeSet = ScopeSet()
    read: ScopeSet = ScopeSet()
    update: ScopeSet = ScopeSet()
    delete: ScopeSet = ScopeSet()
    _asked: str | None = PrivateAttr(default=None)

    def of(self, action: str) -> ScopeSet:
        if action not in ACTIONS:
            raise InvalidArgument(f"{action!r} is not one of {', '.join(ACTIONS)}.")
        found = getattr(self, action)
        assert isinstance(found, ScopeSet)  # noqa: S101
        return found

    def permits(self, project: OrgUnit, action: str | None = None) -> bool:
        """Whether the caller may do `action` (by default the one asked for) in this project."""
        wanted = action or self._asked
        if wanted is None:
            raise InvalidArgument("Say which action: create, read, update or delete.")
        if self._asked not in (None, wanted):
            raise InvalidArgument(f"Only the scopes of {self._asked!r} were asked for.")
        return self.of(wanted).covers(project)


class Permissions(Family):
    """``client.permissions``"""

    def mine(self) -> list[Permission]:
        """One entry for each resource type on which the caller has any right anywhere."""
        return self._array(_MINE, Permission)

    def permitted_scopes(self, resource_type: str, action: str | None = None) -> PermittedScopes:
        """Where the caller holds rights on a resource type, such as ``trainings``."""
        if action is not None and action not in ACTIONS:
            raise InvalidArgument(f"{action!r} is not one of {', '.join(ACTIONS)}.")
        body = {"resourceType": resource_type}
        if action is not None:
            body["action"] = action
        what = f"{_SCOPES.method} {_SCOPES.template}"
        answer = self._session.call(_SCOPES, body=body)
        if isinstance(answer, dict):
            answer = {key: value for key, value in answer.items() if value is not None}
        scopes = parse(PermittedScopes, answer, what)
        scopes._asked = action
        return scopes
