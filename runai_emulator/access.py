"""Who may do what where: rules, roles, and the tree of scopes.

system > tenant > cluster > department > project. A rule at a scope holds for everything beneath
it, the rights of a subject are the union over its rules, and what no rule grants is refused
(scope tree documented; union, no deny and the cover of later units are inferred).

Reading upwards (inferred): whoever holds a read right at a project also reads the department,
cluster, node pools and inherited assets above it, because a project-scoped role has "Clusters
minimal" and "Node pools minimal" for exactly that purpose.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ._constants import TENANT_ID
from .store import Row, Store
from .wire import ApiError, forbidden

Scope = tuple[str, str]
#: (resource type, action)
Right = tuple[str, str]

SCOPE_TYPES = ("system", "tenant", "cluster", "department", "project")
SYSTEM: Scope = ("system", "")
TENANT: Scope = ("tenant", str(TENANT_ID))

#: A full read right includes the minimal one of the same thing (inferred).
IMPLIED_BY = {
    ("clusters-minimal", "read"): ("cluster", "read"),
    ("nodepools-minimal", "read"): ("nodepools", "read"),
}


def right_text(right: Right) -> str:
    return f"{right[0]}:{right[1]}"


@dataclass(slots=True)
class Subject:
    """Whoever holds a token: a service account, an application, a user or an access key."""

    type: str
    id: str
    name: str
    client_id: str
    groups: tuple[str, ...] = ()
    #: An access key acts as the user who owns it.
    owner: str | None = None

    @property
    def label(self) -> str:
        return self.owner or self.client_id or self.name

    def identities(self) -> set[tuple[str, str]]:
        """The (subject type, subject id) pairs that rules may use for this subject."""
        if self.owner is not None:
            found = {("user", self.owner)}
        else:
            found = {(self.type, name) for name in (self.id, self.name, self.client_id)}
        return found | {("group", group) for group in self.groups}


@dataclass(slots=True)
class Rights:
    """What a subject holds: right -> scopes at which rules grant it."""

    scopes: dict[Right, set[Scope]] = field(default_factory=dict)

    def add(self, right: Right, scope: Scope) -> None:
        self.scopes.setdefault(right, set()).add(scope)

    def at(self, needs: Iterable[Right]) -> set[Scope]:
        found: set[Scope] = set()
        for need in needs:
            found |= self.scopes.get(need, set())
        return found


class Access:
    """Evaluates rules. Results are kept until anything in the store changes."""

    def __init__(self, store: Store, hide_forbidden: bool) -> None:
        self._store = store
        self._hide_forbidden = hide_forbidden
        self._generation = -1
        self._rights: dict[tuple[str, str], Rights] = {}
        self._above: dict[Scope, tuple[Scope, ...]] = {}
        self._by_subject: dict[tuple[str, str], list[Row]] = {}

    def _refresh(self) -> None:
        if self._generation == self._store.generation:
            return
        self._generation = self._store.generation
        self._rights.clear()
        self._above.clear()
        self._by_subject = {}
        for rule in self._store.rules.rows.values():
            if rule["deletedAt"] is None:
                key = (rule["subjectType"], rule["subjectId"])
                self._by_subject.setdefault(key, []).append(rule)

    # -- the tree ------------------------------------------------------------------------------

    def scope_row(self, scope_type: str, scope_id: str) -> Row | None:
        """The organisation unit behind a scope; None when there is none."""
        if scope_type == "system":
            return {"id": scope_id, "name": "system", "clusterId": None}
        if scope_type == "tenant":
            found = scope_id == TENANT[1]
            return {"id": scope_id, "name": "tenant", "clusterId": None} if found else None
        table = {
            "cluster": self._store.clusters,
            "department": self._store.departments,
            "project": self._store.projects,
        }.get(scope_type)
        return table.rows.get(scope_id) if table is not None else None

    def above(self, scope_type: str, scope_id: str) -> tuple[Scope, ...]:
        """The scope itself and every scope that contains it."""
        self._refresh()
        scope = (scope_type, scope_id)
        found = self._above.get(scope)
        if found is None:
            found = self._above[scope] = self._climb(scope)
        return found

    def _climb(self, scope: Scope) -> tuple[Scope, ...]:
        scope_type, scope_id = scope
        if scope_type == "system":
            return (SYSTEM,)
        if scope_type == "tenant":
            return (scope, SYSTEM)
        row = self.scope_row(scope_type, scope_id)
        if scope_type == "cluster" or row is None:
            return (scope, TENANT, SYSTEM)
        cluster = (("cluster", row["clusterId"]), TENANT, SYSTEM)
        if scope_type == "department":
            return (scope, *cluster)
        return (scope, ("department", row["parentId"]), *cluster)

    # -- rights --------------------------------------------------------------------------------

    def rules_of(self, subject: Subject) -> list[Row]:
        self._refresh()
        return [
            rule
            for identity in sorted(subject.identities())
            for rule in self._by_subject.get(identity, ())
        ]

    def rights(self, subject: Subject) -> Rights:
        self._refresh()
        key = (subject.type, subject.id)
        rights = self._rights.get(key)
        if rights is None:
            rights = Rights()
            for rule in self.rules_of(subject):
                role = self._store.roles.rows.get(str(rule["roleId"]))
                if role is None or role["deletedAt"] is not None or not role["enabled"]:
                    continue
                scope_type = rule["scopeType"]
                scope = SYSTEM if scope_type == "system" else (scope_type, rule["scopeId"])
                for right in role_rights(role):
                    rights.add(right, scope)
            self._rights[key] = rights
        return rights

    def permits(
        self, subject: Subject, needs: Iterable[Right], scope_type: str, scope_id: str
    ) -> bool:
        granted = self.rights(subject).at(needs)
        return bool(granted) and not granted.isdisjoint(self.above(scope_type, scope_id))

    def permits_read(
        self, subject: Subject, needs: Iterable[Right], scope_type: str, scope_id: str
    ) -> bool:
        granted = self.rights(subject).at(needs)
        if not granted:
            return False
        if not granted.isdisjoint(self.above(scope_type, scope_id)):
            return True
        scope = (scope_type, scope_id)
        return any(scope in self.above(*held) for held in granted)

    def require(
        self, subject: Subject, needs: tuple[Right, ...], scope_type: str, scope_id: str
    ) -> None:
        if not self.permits(subject, needs, scope_type, scope_id):
            raise self._refusal(needs, scope_type, scope_id)

    def require_read(
        self, subject: Subject, needs: tuple[Right, ...], scope_type: str, scope_id: str
    ) -> None:
        if not self.permits_read(subject, needs, scope_type, scope_id):
            raise self._refusal(needs, scope_type, scope_id)

    def require_anywhere(self, subject: Subject, needs: tuple[Right, ...]) -> None:
        if not self.rights(subject).at(needs):
            raise forbidden(" or ".join(map(right_text, needs)) + " anywhere")

    def _refusal(self, needs: tuple[Right, ...], scope_type: str, scope_id: str) -> ApiError:
        error = forbidden(f"{' or '.join(map(right_text, needs))} at {scope_type} {scope_id}")
        if self._hide_forbidden:
            hidden = ApiError(404, "Resource id not found.")
            hidden.missing = error.missing
            return hidden
        return error

    def lacking(
        self, subject: Subject, wanted: Iterable[Right], scope_type: str, scope_id: str
    ) -> list[Right]:
        """Those of the wanted rights that the subject does not hold at the scope itself."""
        missing = []
        for right in wanted:
            implied = IMPLIED_BY.get(right)
            needs = (right,) if implied is None else (right, implied)
            if not self.permits(subject, needs, scope_type, scope_id):
                missing.append(right)
        return missing


def role_rights(role: Row) -> list[Right]:
    return [
        (permission["resourceType"], action)
        for permission in role["permissions"]
        for action in permission["actions"]
    ]


def merge_permissions(lists: Iterable[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The union of permissions, one entry a resource type, actions in the order C R U D."""
    order = ("create", "read", "update", "delete", "sync")
    merged: dict[str, set[str]] = {}
    for permissions in lists:
        for permission in permissions:
            merged.setdefault(permission["resourceType"], set()).update(permission["actions"])
    return [
        {"resourceType": name, "actions": [action for action in order if action in actions]}
        for name, actions in merged.items()
    ]
