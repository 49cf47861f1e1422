"""The evaluation: union of rules, scopes, disabled roles, what is too much and what is unknown."""

from __future__ import annotations

import pytest

from runai_perms import (
    Certainty,
    Holdings,
    Need,
    Permission,
    Reach,
    Role,
    Rule,
    Scope,
    ScopePath,
    ScopeType,
    evaluate,
    holdings,
)
from runai_perms._evaluate import Grant
from runai_perms._model import PermissionSet, permissions_of

PATH = ScopePath("1", "c1", ("d1", "d0"), "p1", "ml-team")
READ, CREATE = Permission("trainings", "read"), Permission("trainings", "create")
MINIMAL, FULL = Permission("clusters-minimal", "read"), Permission("cluster", "read")
PROJECT = Scope(ScopeType.PROJECT, "p1", "ml-team", "c1")
OTHER = Scope(ScopeType.PROJECT, "p2", "other", "c1")


def need(permission: Permission, *alternatives: Permission, reach: Reach = Reach.PROJECT) -> Need:
    return Need(permission, ("x.y",), ("submit",), Certainty.DOCUMENTED, alternatives, reach)


def role(number: int, *permissions: Permission, **more) -> Role:
    return Role(number, f"role {number}", frozenset(permissions), **more)


def rule(number: int, role_id: int, scope: Scope, **more) -> Rule:
    return Rule(number, "me", "service-account", role_id, f"role {role_id}", scope, **more)


@pytest.mark.parametrize(
    ("scope", "reach", "counts"),
    [
        (Scope(ScopeType.SYSTEM, ""), Reach.PROJECT, True),
        (Scope(ScopeType.TENANT, "1"), Reach.PROJECT, True),
        (Scope(ScopeType.TENANT, "2"), Reach.PROJECT, False),
        (Scope(ScopeType.CLUSTER, "c1"), Reach.PROJECT, True),
        (Scope(ScopeType.CLUSTER, "c2"), Reach.PROJECT, False),
        (Scope(ScopeType.DEPARTMENT, "d0"), Reach.PROJECT, True),
        (Scope(ScopeType.DEPARTMENT, "d2"), Reach.PROJECT, False),
        (PROJECT, Reach.PROJECT, True),
        (OTHER, Reach.PROJECT, False),
        (OTHER, Reach.CLUSTER, True),
        (Scope(ScopeType.PROJECT, "p3", "", "c2"), Reach.CLUSTER, False),
        (Scope(ScopeType.PROJECT, "p3", "", "c2"), Reach.ANYWHERE, True),
        (PROJECT, Reach.TENANT, False),
        (Scope(ScopeType.CLUSTER, "c1"), Reach.TENANT, False),
        (Scope(ScopeType.TENANT, "1"), Reach.TENANT, True),
    ],
)
def test_where_a_right_counts(scope, reach, counts):
    assert PATH.covers(scope, reach) is counts


def test_rights_are_the_union_of_rules():
    held = holdings(
        [rule(1, 1, PROJECT), rule(2, 2, Scope(ScopeType.DEPARTMENT, "d1"))],
        [role(1, READ), role(2, CREATE)],
    )
    result = evaluate([need(READ), need(CREATE)], held, PATH)
    assert result.missing == ()
    assert [g.rule.id for v in result.verdicts for g in v.grants] == [1, 2]


def test_deleted_rules_and_disabled_roles_give_nothing():
    held = holdings(
        [rule(1, 1, PROJECT, deleted=True), rule(2, 2, PROJECT)],
        [role(1, READ), role(2, READ, enabled=False)],
    )
    result = evaluate([need(READ)], held, PATH)
    assert result.missing == (READ,)
    assert [i.reason for i in result.ineffective] == ["role 'role 2' is disabled"]
    assert not result.elsewhere
    assert not result.too_wide


def test_an_unreadable_role_is_a_gap_and_no_verdict():
    held = holdings([rule(1, 7, PROJECT)], [])
    result = evaluate([need(READ)], held, PATH)
    assert result.partial
    assert "role 7" in result.gaps[0]


def test_missing_tells_where_else_it_is_held():
    held = holdings([rule(1, 1, OTHER)], [role(1, READ)])
    result = evaluate([need(READ)], held, PATH)
    assert result.missing == (READ,)
    assert result.verdicts[0].elsewhere[0].scope == OTHER
    assert result.elsewhere == held.rules


def test_the_narrow_permission_is_preferred_and_the_wide_one_then_excess():
    both = holdings([rule(1, 1, PROJECT)], [role(1, MINIMAL, FULL)])
    result = evaluate([need(MINIMAL, FULL)], both, PATH)
    assert result.verdicts[0].grants[0].permission == MINIMAL
    assert list(result.excess) == [FULL]
    wide = holdings([rule(1, 1, PROJECT)], [role(1, FULL)])
    result = evaluate([need(MINIMAL, FULL)], wide, PATH)
    assert result.missing == ()
    assert not result.excess


def test_a_wide_scope_is_told_unless_the_need_is_as_wide():
    tenant = Scope(ScopeType.TENANT, "1")
    held = holdings([rule(1, 1, tenant)], [role(1, READ)])
    assert evaluate([need(READ)], held, PATH).too_wide == held.rules
    assert evaluate([need(READ, reach=Reach.TENANT)], held, PATH).too_wide == ()


def test_unknown_is_neither_held_nor_missing():
    held = Holdings((), unknown=frozenset({READ}))
    result = evaluate([need(READ)], held, PATH)
    assert result.partial
    assert result.missing == ()
    assert not result.verdicts[0].granted


def test_a_half_known_way_up_makes_a_department_right_undecided():
    half = ScopePath(cluster="c1", project="p1", project_name="ml-team")
    department = Scope(ScopeType.DEPARTMENT, "d9")
    held = Holdings((Grant(READ, department),))
    assert evaluate([need(READ)], held, half).verdicts[0].unknown
    assert not evaluate([need(READ)], held, PATH).verdicts[0].unknown


def test_deprecated_roles_are_named_with_what_to_use_instead():
    held = holdings([rule(1, 1, PROJECT)], [role(1, READ)])
    result = evaluate([need(READ)], held, PATH, {"role 1": "role 2", "role 3": "x"})
    assert result.deprecated == {"role 1": "role 2"}


def test_which_permission_set_brings_a_right():
    sets = (
        PermissionSet("a", "Trainings use", frozenset({READ, CREATE})),
        PermissionSet("b", "Clusters minimal", frozenset({MINIMAL})),
    )
    made = role(1, READ, CREATE, MINIMAL, permission_sets=sets)
    assert made.sets_with(CREATE) == ("Trainings use",)
    unread = tuple(PermissionSet(s.id, s.name, frozenset()) for s in sets)
    assert role(1, READ, permission_sets=unread).sets_with(READ) == ()
    assert role(1, READ, permission_sets=unread[:1]).sets_with(READ) == ("Trainings use",)


def test_the_chain_in_words():
    held = holdings([rule(4, 1, PROJECT)], [role(1, READ)])
    assert held.grants[0].chain == ("rule #4 me is role 1 in project ml-team -> trainings:read")
    assert "told by the control plane" in Grant(READ, PROJECT).chain


def test_permissions_in_every_shape():
    class Entry:
        resource_type, actions = "trainings", ["read"]

    class Single:
        resource_type, action = "trainings", "read"

    shapes = [READ, "trainings:read", {"resourceType": "trainings", "actions": ["read"]}]
    for shape in [*shapes, Entry(), Single()]:
        assert permissions_of([shape]) == {READ}
