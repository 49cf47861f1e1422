"""The evaluation: rule -> role -> permission -> scope.

Rights are the union over a subject's rules, nothing is ever denied, and a rule reaches everything
beneath its scope (documented: the 2.24 API's scope tree; that there is no deny is inferred). Pure
functions on plain data: the same inputs always give the same verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from runai_perms._catalogue import Need
from runai_perms._model import Permission, Reach, Role, Rule, Scope, ScopePath, ScopeType


@dataclass(frozen=True, slots=True)
class Grant:
    """One permission that a subject holds, and the chain that gives it.

    ``rule`` is None when the control plane told that the right is held but not by which rule.
    """

    permission: Permission
    scope: Scope
    rule: Rule | None = None
    role: Role | None = None
    permission_sets: tuple[str, ...] = ()

    @property
    def chain(self) -> str:
        """The chain in words: rule (subject, role, scope), permission set, permission."""
        if self.rule is None:
            return f"{self.permission} at {self.scope} (told by the control plane)"
        links = [f"rule {self.rule}"]
        if self.permission_sets:
            links.append("permission set " + " or ".join(self.permission_sets))
        return " -> ".join([*links, str(self.permission)])


@dataclass(frozen=True, slots=True)
class Ineffective:
    """A rule that gives nothing, and why."""

    rule: Rule
    reason: str


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a subject holds, as far as the reader could see.

    ``unknown`` lists permissions whose place could not be read, ``gaps`` says in words what else
    stayed hidden; with either the answer is partial. ``complete_excess`` is False when permissions
    beyond the ones asked about could not be listed.
    """

    grants: tuple[Grant, ...]
    rules: tuple[Rule, ...] = ()
    ineffective: tuple[Ineffective, ...] = ()
    unknown: frozenset[Permission] = frozenset()
    gaps: tuple[str, ...] = ()

    @property
    def partial(self) -> bool:
        """Whether anything stayed hidden that could change a verdict."""
        return bool(self.unknown or self.gaps)

    def at(
        self, permission: Permission, path: ScopePath, reach: Reach = Reach.PROJECT
    ) -> tuple[Grant, ...]:
        """Grants of ``permission`` that count at ``path`` for operations of this ``reach``."""
        return tuple(
            g for g in self.grants if g.permission == permission and path.covers(g.scope, reach)
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer for one need: granted by these, or missing, or not known."""

    need: Need
    grants: tuple[Grant, ...]
    elsewhere: tuple[Grant, ...] = ()
    unknown: bool = False

    @property
    def granted(self) -> bool:
        """Whether the right is held where it is needed."""
        return bool(self.grants)

    @property
    def missing(self) -> bool:
        """Whether the right is surely not held where it is needed."""
        return not self.grants and not self.unknown


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Needs held against holdings.

    ``excess``: held and not needed (also a needed right that reaches other projects is no excess;
    that is ``too_wide``). ``elsewhere``: rules that do not reach the project at all.
    """

    path: ScopePath
    verdicts: tuple[Verdict, ...]
    excess: Mapping[Permission, tuple[Grant, ...]]
    too_wide: tuple[Rule, ...] = ()
    elsewhere: tuple[Rule, ...] = ()
    deprecated: Mapping[str, str] = field(default_factory=dict)
    ineffective: tuple[Ineffective, ...] = ()
    gaps: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[Permission, ...]:
        """Permissions that are needed and surely not held."""
        return tuple(v.need.permission for v in self.verdicts if v.missing)

    @property
    def partial(self) -> bool:
        """Whether something stayed hidden that could change the answer."""
        return bool(self.gaps) or any(v.unknown for v in self.verdicts)

    @property
    def has_excess(self) -> bool:
        """Whether more is held than needed: permissions, reach, or other places."""
        return bool(self.excess or self.too_wide or self.elsewhere)


def holdings(rules: Iterable[Rule], roles: Iterable[Role]) -> Holdings:
    """Unfold rules into grants, one for each (permission, rule).

    A deleted rule, a disabled role, and a rule whose role was not among ``roles`` give nothing;
    the last one is a gap, since its role may well exist unseen.
    """
    by_id = {role.id: role for role in roles}
    grants: list[Grant] = []
    ineffective: list[Ineffective] = []
    gaps: list[str] = []
    alive: list[Rule] = []
    for rule in rules:
        if rule.deleted:
            continue
        alive.append(rule)
        role = by_id.get(rule.role_id)
        if role is None:
            gaps.append(f"role {rule.role_name!r} (id {rule.role_id}) could not be read")
        elif not role.enabled:
            ineffective.append(Ineffective(rule, f"role {role.name!r} is disabled"))
        else:
            grants.extend(
                Grant(permission, rule.scope, rule, role, role.sets_with(permission))
                for permission in sorted(role.permissions)
            )
    return Holdings(
        tuple(grants), tuple(alive), tuple(ineffective), gaps=tuple(dict.fromkeys(gaps))
    )


def evaluate(
    needs: Iterable[Need],
    held: Holdings,
    path: ScopePath,
    deprecated_roles: Mapping[str, str] | None = None,
) -> Evaluation:
    """Hold needs against holdings at ``path``.

    ``deprecated_roles`` maps role names to what to use instead.
    """
    needs = tuple(needs)
    verdicts = tuple(_verdict(need, held, path) for need in needs)
    needed = {p for v in verdicts for p in _spent(v)}
    tenant_needs = {n.permission for n in needs if n.reach is Reach.TENANT}
    excess: dict[Permission, list[Grant]] = {}
    for grant in held.grants:
        if grant.permission not in needed and path.covers(grant.scope):
            excess.setdefault(grant.permission, []).append(grant)
    too_wide, elsewhere = _misplaced(held, path, tenant_needs)
    names = {r.role_name for r in held.rules} & (deprecated_roles or {}).keys()
    return Evaluation(
        path,
        verdicts,
        {p: tuple(excess[p]) for p in sorted(excess)},
        too_wide,
        elsewhere,
        {name: (deprecated_roles or {})[name] for name in sorted(names)},
        held.ineffective,
        held.gaps,
    )


def _verdict(need: Need, held: Holdings, path: ScopePath) -> Verdict:
    for permission in need.accepted:
        grants = held.at(permission, path, need.reach)
        if grants:
            here = tuple(g for g in grants if path.covers(g.scope))
            return Verdict(need, here or grants)
    elsewhere = tuple(g for g in held.grants if g.permission in need.accepted)
    unknown = not held.unknown.isdisjoint(need.accepted) or any(
        path.may_cover(g.scope, need.reach) for g in elsewhere
    )
    return Verdict(need, (), elsewhere, unknown)


def _spent(verdict: Verdict) -> set[Permission]:
    """Permissions that are no excess because of this need."""
    return {verdict.need.permission, *(g.permission for g in verdict.grants)}


def _misplaced(
    held: Holdings, path: ScopePath, tenant_needs: set[Permission]
) -> tuple[tuple[Rule, ...], tuple[Rule, ...]]:
    """Rules whose scope is wider than the project for no reason, and rules beside it."""
    wide: list[Rule] = []
    beside: list[Rule] = []
    silent = {i.rule for i in held.ineffective}
    for rule in held.rules:
        if rule in silent:
            continue
        if not path.covers(rule.scope):
            beside.append(rule)
        elif rule.scope.type is not ScopeType.PROJECT and path.project_name:
            reach = {g.permission for g in held.grants if g.rule == rule}
            if not reach & tenant_needs or rule.scope.type is ScopeType.SYSTEM:
                wide.append(rule)
    return tuple(wide), tuple(beside)
