"""Reading from a control plane what somebody holds: the only module that calls it for checks.

Two ways, because the caller's own rights decide what can be read:

* own credentials: one's rules, permissions summary and permitted scopes need nothing but a token
  (documented: these operations declare no 403); roles need ``roles:read``, which a submitter lacks;
* an administrator about a subject: the subject's rules, roles and account.

A check costs at most :data:`MAX_REQUESTS` requests whatever the size of the tenant, and says so
when something stayed hidden.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from runai_perms._catalogue import Need
from runai_perms._errors import IncompleteAnswer, UnknownName, UsageError
from runai_perms._evaluate import Grant, Holdings, holdings
from runai_perms._model import (
    Permission,
    PermissionSet,
    Reach,
    Role,
    Rule,
    Scope,
    ScopePath,
    ScopeType,
    permissions_of,
)

if TYPE_CHECKING:
    from runai_api import RunaiClient

MAX_REQUESTS = 6
"""Requests of one check, token included. Page size 500 keeps every list to one page up to there."""

SUBJECT_TYPES = ("service-account", "app", "user", "group")
ROLES_READ = Permission("roles", "read")
PROJECT_READ = Permission("project", "read")
ACCESS_RULES_READ = Permission("access_rules", "read")


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read about one subject at one project.

    ``enabled`` is None when the account's state was not asked for or could not be read;
    ``notes`` are remarks that change no verdict.
    """

    version: str
    subject: str
    path: ScopePath
    held: Holdings
    enabled: bool | None = None
    notes: tuple[str, ...] = ()


def read_own(
    client: RunaiClient,
    project: str | None,
    needs: Iterable[Need] = (),
    *,
    cluster: str | None = None,
    max_requests: int | None = MAX_REQUESTS,
) -> Reading:
    """Read what the client's own credentials hold.

    ``needs`` tells which rights to look up one by one if roles cannot be read; ``max_requests``
    None takes as many requests as an exact answer needs.
    """
    version = client.version.value
    rules = [_rule(r) for r in client.access_rules.mine()]
    summary = permissions_of(client.permissions.mine())
    spent = _token_requests(version) + 2
    path = ScopePath()
    if project is not None:
        path, requests = _own_path(client, project, cluster, rules, summary)
        spent += requests
    subject = rules[0].subject_id if rules else "these credentials"
    if ROLES_READ in summary:
        with_sets = max_requests is None or spent + 2 <= max_requests
        held = holdings(rules, _read_roles(client, with_sets=with_sets))
        seen = {g.permission for g in held.grants}
        if not held.gaps and seen == summary:
            return Reading(version, subject, path, held)
        spent += 1 + with_sets
    budget = None if max_requests is None else max(0, max_requests - spent)
    held = _from_summary(client, rules, summary, path, tuple(needs), budget)
    return Reading(version, subject, path, held)


def read_subject(
    client: RunaiClient,
    subject: str,
    project: str | None,
    *,
    cluster: str | None = None,
    max_requests: int | None = MAX_REQUESTS,
) -> Reading:
    """Read, as an administrator, what a subject holds.

    ``subject`` is a name, client id or id, if need be with its type in front:
    ``service-account:NAME``, ``app:NAME``, ``user:NAME``, ``group:NAME``.
    """
    version = client.version.value
    kind, name = _subject_type(subject, client)
    # Token, rules, project (and cluster), roles and the reader's own sight are asked for always.
    spent = _token_requests(version) + 3 + (project is not None) + (cluster is not None)
    allowed = spent + 3 if max_requests is None else max_requests
    notes: list[str] = []
    identities, enabled = [name], None
    ask_account = kind in ("service-account", "app")
    if ask_account and spent < allowed:
        identities, enabled, notes = _account(client, kind, name)
        ask_account, spent = False, spent + 1
    rules = _rules_of(client, kind, identities)
    if not rules:
        spent -= 1
        if ask_account:
            identities, enabled, notes = _account(client, kind, name)
            rules = _rules_of(client, kind, identities) if identities != [name] else []
    elif ask_account:
        notes = [f"whether the {kind} is enabled was not asked, to save a request"]
    path = ScopePath() if project is None else find_project(client, project, cluster)
    roles = _read_roles(client, with_sets=spent < allowed) if rules else []
    held = holdings(rules, roles)
    if spent > allowed:
        gap = f"not asked in {allowed} requests: which access rules can be read; use --exact"
    else:
        sight = client.permissions.permitted_scopes("access_rules", "read")
        gap = _hidden_rules(permitted(sight, "read"))
    if gap:
        held = replace(held, gaps=(*held.gaps, gap))
    return Reading(version, f"{kind} {name}", path, held, enabled, tuple(notes))


def _rules_of(client: RunaiClient, kind: str, identities: Sequence[str]) -> list[Rule]:
    found = client.access_rules.list(subject_ids=identities, subject_type=kind)
    return [_rule(r) for r in found if r.subject_type == kind]


def find_project(client: RunaiClient, name: str, cluster: str | None = None) -> ScopePath:
    """Look a project up by name and tell where it sits; names near misses if it is not there."""
    from runai_api import errors

    cluster_id = None
    if cluster is not None:
        found_cluster = client.clusters.find(cluster)
        if found_cluster is None:
            raise UnknownName("cluster", cluster, [c.name for c in client.clusters.list()])
        cluster_id = found_cluster.uuid
    try:
        found = client.projects.find(name, cluster_id=cluster_id)
    except errors.PermissionDenied as error:
        raise IncompleteAnswer(f"project {name!r} cannot be looked up: {error}") from None
    if found is None:
        names = [p.name for p in client.projects.list()]
        raise UnknownName("project", name, names, "it does not exist or is not visible to you")
    return _path(found)


def read_roles(client: RunaiClient) -> tuple[Role, ...]:
    """All roles, without the contents of their permission sets."""
    return tuple(_read_roles(client, with_sets=False))


def read_permission_sets(client: RunaiClient) -> tuple[PermissionSet, ...]:
    """All permission sets; an error that says why on a control plane without them."""
    sets = _sets(client)
    if sets is None:
        raise UsageError(
            f"this control plane ({client.version.value}) has no permission sets and so no custom"
            " roles (they came with 2.24): use a predefined role"
        )
    return tuple(sets)


def _sets(client: RunaiClient) -> list[PermissionSet] | None:
    """Permission sets; None where the server has none (also shortly before 2.24's release)."""
    from runai_api import errors

    if not client.version.has_custom_roles:
        return None
    try:
        return [_permission_set(s) for s in client.permission_sets.list()]
    except errors.NotFound:
        return None
    except errors.PermissionDenied as error:
        raise IncompleteAnswer(f"permission sets cannot be read: {error}") from None


def _token_requests(version: str) -> int:
    """Up to 2.23 the login asks the newer token endpoint first, in vain."""
    return 2 if version == "2.23" else 1


def _own_path(
    client: RunaiClient,
    project: str,
    cluster: str | None,
    rules: Sequence[Rule],
    summary: frozenset[Permission],
) -> tuple[ScopePath, int]:
    named = next(
        (
            r.scope
            for r in rules
            if r.scope.type is ScopeType.PROJECT and project in (r.scope.name, r.scope.id)
        ),
        None,
    )
    if PROJECT_READ in summary:
        spent = 1 if cluster is None else 2
        try:
            return find_project(client, project, cluster), spent
        except UnknownName:
            if named is None:
                raise
            spent += 1
    else:
        spent = 0
    if named is None:
        return ScopePath(project_name=project), spent
    return ScopePath(cluster=named.cluster, project=named.id, project_name=named.name), spent


def _from_summary(
    client: RunaiClient,
    rules: Sequence[Rule],
    summary: frozenset[Permission],
    path: ScopePath,
    needs: tuple[Need, ...],
    budget: int | None,
) -> Holdings:
    """Place the permissions of one's summary without reading roles.

    The summary is the union over all one's rules. If the rules that do not reach the project bring
    no role that the ones which do reach it lack, everything in it is held at the project.
    Otherwise the rights that matter are placed one resource type a request.
    """
    here = [r for r in rules if path.covers(r.scope)]
    away = [r for r in rules if not path.covers(r.scope)]
    surely_here = {r.role_id for r in away} <= {r.role_id for r in here}
    tenant_wide = {p for n in needs if n.reach is Reach.TENANT for p in n.accepted}
    one_scope = len({r.scope for r in here}) == 1
    located = {r.scope: r.scope for r in rules}
    grants: list[Grant] = []
    doubtful: set[Permission] = set()
    for permission in sorted(summary):
        if surely_here and here and (one_scope or permission not in tenant_wide):
            grants += _told(permission, here, summary)
        else:
            doubtful.add(permission)
    wanted = doubtful & {p for n in needs for p in n.accepted}
    types = sorted({p.resource_type for p in wanted})
    asked = types if budget is None else types[:budget]
    for resource_type in asked:
        answer = client.permissions.permitted_scopes(resource_type)
        for permission in sorted(p for p in doubtful if p.resource_type == resource_type):
            scopes = permitted(answer, permission.action)
            grants += [Grant(permission, located.get(scope, scope)) for scope in scopes]
    unknown = {p for p in wanted if p.resource_type not in asked}
    return Holdings(tuple(grants), tuple(rules), unknown=frozenset(unknown))


def _told(
    permission: Permission, rules: Sequence[Rule], summary: frozenset[Permission]
) -> list[Grant]:
    """A right from the summary, with its chain when only one role can have brought it."""
    if len({r.role_id for r in rules}) > 1:
        return [Grant(permission, min((r.scope for r in rules), key=_narrowness))]
    role = Role(rules[0].role_id, rules[0].role_name, summary)
    return [Grant(permission, rule.scope, rule, role) for rule in rules]


def _narrowness(scope: Scope) -> int:
    return -list(ScopeType).index(scope.type)


def _read_roles(client: RunaiClient, *, with_sets: bool) -> list[Role]:
    from runai_api import errors

    try:
        found = client.roles.list()
    except errors.PermissionDenied as error:
        raise IncompleteAnswer(f"roles cannot be read: {error}") from None
    sets = {s.id: s for s in (_sets(client) or ())} if with_sets else {}
    return [_role(r, sets) for r in found]


def _subject_type(subject: str, client: RunaiClient) -> tuple[str, str]:
    kind, separator, name = subject.partition(":")
    if separator and kind in SUBJECT_TYPES:
        if not name:
            raise UsageError(f"{subject!r} names no subject: write {kind}:NAME")
        return kind, name
    return ("service-account" if client.version.has_service_accounts else "app"), subject


def _account(client: RunaiClient, kind: str, name: str) -> tuple[list[str], bool | None, list[str]]:
    """All ids under which rules may know the account, and whether it is enabled."""
    from runai_api import errors

    family: Any = client.service_accounts if kind == "service-account" else client.applications
    try:
        accounts = family.list()
    except errors.PermissionDenied:
        note = f"whether the {kind} exists and is enabled could not be read"
        return [name], None, [note]
    for account in accounts:
        ids = [i for i in (account.client_id, account.name, account.id) if i]
        if name in ids:
            return list(dict.fromkeys(ids)), account.enabled, []
    raise UnknownName(kind, name, [a.name for a in accounts])


def _hidden_rules(sight: Sequence[Scope]) -> str:
    """In words, which of the subject's rules the reader may not have been shown."""
    if any(s.type in (ScopeType.SYSTEM, ScopeType.TENANT) for s in sight):
        return ""
    where = ", ".join(map(str, sight)) or "nowhere"
    return f"access rules can be read only at {where}; the subject's other rules stayed hidden"


def permitted(answer: Any, action: str) -> list[Scope]:
    """The scopes of one action in a permitted-scopes reply."""
    part = getattr(answer, action, None)
    if part is None:
        return []
    scopes: list[Scope] = []
    if getattr(part, "system", False):
        scopes.append(Scope(ScopeType.SYSTEM, ""))
    tenants = list(getattr(part, "tenants", None) or ())
    if not tenants and getattr(part, "tenant", None):
        tenants = [part.tenant]
    scopes += [Scope(ScopeType.TENANT, str(i)) for i in tenants]
    for level, key in (
        (ScopeType.CLUSTER, "clusters"),
        (ScopeType.DEPARTMENT, "departments"),
        (ScopeType.PROJECT, "projects"),
    ):
        scopes += [Scope(level, str(i)) for i in getattr(part, key, None) or ()]
    return scopes


def _rule(rule: Any) -> Rule:
    status = getattr(rule, "status", None)
    return Rule(
        id=getattr(rule, "id", None),
        subject_id=rule.subject_id,
        subject_type=str(rule.subject_type),
        role_id=int(rule.role_id),
        role_name=rule.role_name,
        scope=Scope(
            ScopeType(str(rule.scope_type)),
            str(rule.scope_id),
            rule.scope_name or "",
            str(getattr(rule, "cluster_id", None) or ""),
        ),
        phase=getattr(status, "phase", None),
        deleted=getattr(rule, "deleted_at", None) is not None,
    )


def _role(role: Any, sets: dict[str, PermissionSet]) -> Role:
    references = getattr(role, "permission_sets", None) or ()
    return Role(
        id=int(role.id),
        name=role.name,
        permissions=permissions_of(role.permissions),
        permission_sets=tuple(
            sets.get(str(r.id)) or PermissionSet(str(r.id), r.name or str(r.id), frozenset())
            for r in references
        ),
        custom=bool(getattr(role, "custom", False)),
        enabled=getattr(role, "effective_enabled", None) is not False,
        deprecated=bool(getattr(role, "deprecated", False)),
    )


def _permission_set(entry: Any) -> PermissionSet:
    return PermissionSet(str(entry.id), entry.name or "", permissions_of(entry.permissions))


def _path(project: Any) -> ScopePath:
    return ScopePath(
        tenant=str(getattr(project, "tenant_id", "") or ""),
        cluster=str(project.cluster_id),
        departments=tuple(project.ancestor_ids),
        project=str(project.id),
        project_name=project.name,
        names=tuple(_parents(project)),
    )


def _parents(project: Any) -> Iterator[tuple[str, str]]:
    above = project.parent
    while above is not None:
        if above.name:
            yield str(above.id), above.name
        above = above.parent
