"""The vocabulary of access control: permissions, scopes, roles, rules.

Plain frozen data, so that evaluation is a set of pure functions and the command line can start
without the HTTP client.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from runai_perms._errors import UsageError

ACTIONS = ("create", "read", "update", "delete")
"""Actions of a permission, in the order in which Run:ai lists them."""

UI_ACTIONS = {"view": "read", "edit": "update"}
"""The user interface's words for two of the API's actions."""


@dataclass(frozen=True, order=True, slots=True)
class Permission:
    """One right: an action on a resource type, as text ``trainings:create``."""

    resource_type: str
    action: str

    @classmethod
    def parse(cls, text: str) -> Permission:
        """Read ``<resourceType>:<action>``; the form is checked, the names are not."""
        resource_type, separator, action = text.strip().rpartition(":")
        if not separator or not resource_type or not action:
            raise UsageError(
                f"{text!r} is not a permission: write <resourceType>:<action>,"
                " for example trainings:create"
            )
        return cls(resource_type, action)

    def __str__(self) -> str:
        return f"{self.resource_type}:{self.action}"


class ScopeType(StrEnum):
    """Levels of the scope tree, widest first."""

    SYSTEM = "system"
    TENANT = "tenant"
    CLUSTER = "cluster"
    DEPARTMENT = "department"
    PROJECT = "project"

    @property
    def label(self) -> str:
        """The word that people know the level by (a tenant is shown as Account)."""
        return "Account" if self is ScopeType.TENANT else self.value.capitalize()


class Reach(StrEnum):
    """Where a right must be held for an operation to work, the strictest first.

    ``CLUSTER``: at the project's cluster, above it or anywhere beneath it, because whoever holds a
    right at a project may look up at the cluster that it is in (inferred). ``ANYWHERE``: at any
    scope.
    """

    TENANT = "tenant"
    PROJECT = "project"
    CLUSTER = "cluster"
    ANYWHERE = "anywhere"


@dataclass(frozen=True, order=True, slots=True)
class Scope:
    """A node of the scope tree; ids are text on the wire, also numeric ones.

    ``cluster`` is the id of the cluster that a department or project belongs to, if known.
    """

    type: ScopeType
    id: str
    name: str = field(default="", compare=False)
    cluster: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.type.value} {self.name or self.id}"


@dataclass(frozen=True, slots=True)
class ScopePath:
    """Where a project sits: a rule at any of these scopes covers the project.

    Departments are all those above the project, since departments may nest. Any part may be
    missing: an unknown tenant counts as the right one, because a token belongs to one tenant.
    """

    tenant: str = ""
    cluster: str = ""
    departments: tuple[str, ...] = ()
    project: str = ""
    project_name: str = ""
    names: tuple[tuple[str, str], ...] = ()
    """Names of the units by id, as far as they were told."""

    def covers(self, scope: Scope, reach: Reach = Reach.PROJECT) -> bool:
        """Whether a right held at ``scope`` counts for an operation of this ``reach``."""
        match reach:
            case Reach.ANYWHERE:
                return True
            case Reach.TENANT:
                return self._is_above(scope) and scope.type in (ScopeType.SYSTEM, ScopeType.TENANT)
            case Reach.CLUSTER:
                beneath = bool(self.cluster) and scope.cluster == self.cluster
                return beneath or self._is_above(scope)
            case Reach.PROJECT:
                return self._is_above(scope)

    def may_cover(self, scope: Scope, reach: Reach = Reach.PROJECT) -> bool:
        """Whether a right at ``scope`` may count, as long as parts of the path are unknown."""
        if self.covers(scope, reach):
            return True
        if reach is Reach.CLUSTER and not self.cluster:
            return True
        unknown = {ScopeType.CLUSTER: not self.cluster, ScopeType.DEPARTMENT: not self.departments}
        return reach is Reach.PROJECT and unknown.get(scope.type, False)

    def _is_above(self, scope: Scope) -> bool:
        match scope.type:
            case ScopeType.SYSTEM:
                return True
            case ScopeType.TENANT:
                return not self.tenant or scope.id == self.tenant
            case ScopeType.CLUSTER:
                return bool(self.cluster) and scope.id == self.cluster
            case ScopeType.DEPARTMENT:
                return scope.id in self.departments
            case ScopeType.PROJECT:
                return bool(self.project) and scope.id == self.project


@dataclass(frozen=True, slots=True)
class PermissionSet:
    """A named bundle of permissions: what custom roles are made of (2.24+)."""

    id: str
    name: str
    permissions: frozenset[Permission]


@dataclass(frozen=True, slots=True)
class Role:
    """A role as the evaluator needs it; ``enabled`` is the effective state."""

    id: int
    name: str
    permissions: frozenset[Permission]
    permission_sets: tuple[PermissionSet, ...] = ()
    custom: bool = False
    enabled: bool = True
    deprecated: bool = False

    def sets_with(self, permission: Permission) -> tuple[str, ...]:
        """Names of the permission sets that bring ``permission`` into the role."""
        names = [s.name for s in self.permission_sets if permission in s.permissions]
        if not names and len(self.permission_sets) == 1:
            names = [self.permission_sets[0].name]
        return tuple(names)


@dataclass(frozen=True, slots=True)
class Rule:
    """An access rule: a subject is a role in a scope."""

    id: int | None
    subject_id: str
    subject_type: str
    role_id: int
    role_name: str
    scope: Scope
    phase: str | None = None
    deleted: bool = False

    def __str__(self) -> str:
        number = f"#{self.id} " if self.id is not None else ""
        return f"{number}{self.subject_id} is {self.role_name} in {self.scope}"


class HasPermissions(Protocol):
    """What the set cover needs to know of a permission set, ours or the client's."""

    @property
    def id(self) -> Any: ...
    @property
    def name(self) -> str | None: ...
    @property
    def permissions(self) -> Any: ...


def permissions_of(entries: Iterable[Any]) -> frozenset[Permission]:
    """Normalise permissions: text, ours, one-action objects, or ``{resourceType, actions[]}``."""
    found: set[Permission] = set()
    for entry in entries:
        if isinstance(entry, Permission):
            found.add(entry)
        elif isinstance(entry, str):
            found.add(Permission.parse(entry))
        elif isinstance(entry, Mapping):
            found.update(Permission(str(entry["resourceType"]), str(a)) for a in entry["actions"])
        elif hasattr(entry, "actions"):
            found.update(Permission(str(entry.resource_type), str(a)) for a in entry.actions)
        else:
            found.add(Permission(str(entry.resource_type), str(entry.action)))
    return frozenset(found)
