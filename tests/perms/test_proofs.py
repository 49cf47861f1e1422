"""The synthesised role is sufficient and minimal, against a control plane that enforces it.

Sufficient: with exactly that role every operation of the profile works. Minimal: with any one
permission less some operation is refused, and the checker names the missing permission.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import pytest

from runai_perms import Need, Permission, Reach, load_catalogue, smallest_cover
from runai_perms._check import check
from runai_perms._reading import read_permission_sets, read_roles
from runai_perms._role import fits
from tests.perms.plane import Caller, Plane

CATALOGUE = load_catalogue()


def feature_sets(profile: str) -> list[tuple[str, ...]]:
    """None, each, all pairs, all: every interaction of two features is covered."""
    optional = CATALOGUE.profiles[profile].optional
    pairs = [*combinations(optional, 1), *combinations(optional, 2)]
    return [(), *pairs, optional]


def operations(needs: Iterable[Need], profile: str, features: tuple[str, ...]) -> list[str]:
    """The operations of a profile as its features list them, on the needs' version."""
    return list(dict.fromkeys(o for n in needs for o in n.operations))


CASES = [(p, f) for p in ("step-operator", "provisioner") for f in feature_sets(p)]
#: Pairs add no permission that one of the two does not, so minimality needs no pairs.
FEWER = [(p, f) for p, f in CASES if len(f) != 2]


def names(case) -> str:
    profile, features = case
    return f"{profile}+{'+'.join(features) or 'nothing'}"


def holder(plane: Plane, needs: Iterable[Need], without: Permission | None = None) -> Caller:
    """An account that holds exactly the needs (less one), each no wider than it must be."""
    caller, name = plane.account()
    kept = [n for n in needs if n.permission != without]
    for reach, scope in ((Reach.TENANT, "tenant"), (None, "project")):
        held = [n.permission for n in kept if (n.reach is Reach.TENANT) == (reach is Reach.TENANT)]
        if held:
            plane.grant(name, plane.role(held), plane.scopes[scope])
    return caller


def attempts(plane: Plane, caller: Caller, profile: str, features, needs) -> dict[str, bool]:
    """Every operation of the profile, tried; what it hands on is what its targets need."""
    done = {}
    given = granted(plane, profile, features)
    for operation in operations(needs, profile, features):
        extra = given.get(operation, {})
        done[operation] = plane.attempt(operation, caller, **extra)
    return done


def granted(plane: Plane, profile: str, features) -> dict[str, dict[str, object]]:
    """What a provisioner hands on: a role of exactly the needs of a step operator."""
    if not CATALOGUE.profiles[profile].grants:
        return {}
    target = CATALOGUE.profiles["step-operator"]
    own = [f for f in features if f in target.optional]
    needs = CATALOGUE.needs(target, own, plane.version)
    given: dict[str, dict[str, object]] = {
        "access_rule.create": {"role": plane.role(n.permission for n in needs)}
    }
    if "custom_role" in features:
        with plane.client(plane.admin) as client:
            cover = smallest_cover(needs, read_permission_sets(client))
        if not cover.excess:
            given["role.create"] = {"sets": [s.id for s in cover.permission_sets]}
    return given


@pytest.mark.parametrize("case", CASES, ids=names)
def test_sufficient(plane, case):
    profile, features = case
    needs = CATALOGUE.needs(profile, features, plane.version)
    done = attempts(plane, holder(plane, needs), profile, features, needs)
    assert [o for o, worked in done.items() if not worked] == []


@pytest.mark.parametrize("case", FEWER, ids=names)
def test_minimal_and_the_checker_names_what_is_missing(plane, case):
    profile, features = case
    needs = CATALOGUE.needs(profile, features, plane.version)
    for need in needs:
        caller = holder(plane, needs, without=need.permission)
        with plane.client(caller) as client:
            report = check(client, profile, features, "ml-team", exact=True)
        assert report.evaluation.missing == (need.permission,)
        assert report.exit_code() == 1
        done = attempts(plane, caller, profile, features, [need])
        assert False in done.values(), f"{need.permission} is not needed for {list(done)}"


@pytest.mark.parametrize("features", feature_sets("step-operator"), ids="+".join)
def test_the_role_made_of_permission_sets_is_sufficient(plane, features):
    needs = CATALOGUE.needs("step-operator", features, plane.version)
    with plane.client(plane.admin) as client:
        cover = smallest_cover(needs, read_permission_sets(client))
    assert cover.uncovered == ()
    body = {
        "name": plane.name("made-of-sets"),
        "description": "",
        "permissionSets": [{"id": s.id} for s in cover.permission_sets],
    }
    role = plane.admin.must("POST", "/api/v2/authorization/roles", body)
    caller, name = plane.account()
    plane.grant(name, role["id"], plane.scopes["project"])
    done = attempts(plane, caller, "step-operator", features, needs)
    assert [o for o, worked in done.items() if not worked] == []
    with plane.client(caller) as client:
        report = check(client, "step-operator", features, "ml-team")
    assert report.evaluation.missing == ()
    assert set(report.evaluation.excess) == set(cover.excess)


@pytest.mark.parametrize("features", feature_sets("step-operator"), ids="+".join)
def test_up_to_2_23_a_predefined_role_is_found_and_sufficient(legacy_plane, features):
    plane = legacy_plane
    needs = CATALOGUE.needs("step-operator", features, plane.version)
    with plane.client(plane.admin) as client:
        enough = fits(needs, [r for r in read_roles(client) if not r.name.startswith("made ")])
    assert enough, f"no predefined role has {[str(n.permission) for n in needs]}"
    caller, name = plane.account()
    plane.grant(name, enough[0].role.id, plane.scopes["project"])
    done = attempts(plane, caller, "step-operator", features, needs)
    assert [o for o, worked in done.items() if not worked] == []
    with plane.client(caller) as client:
        report = check(client, "step-operator", features, "ml-team")
    assert report.exit_code() == 0
    assert set(report.evaluation.excess) == set(enough[0].excess)


@pytest.mark.parametrize("features", [(), ("node_pools", "delete_on_failure")], ids="+".join)
def test_up_to_2_23_minimal_too(legacy_plane, features):
    test_minimal_and_the_checker_names_what_is_missing(legacy_plane, ("step-operator", features))


def test_l1_researcher_is_the_documented_choice_up_to_2_23(legacy_plane):
    needs = CATALOGUE.needs("step-operator", ["delete_on_failure", "node_pools"], "2.23")
    with legacy_plane.client(legacy_plane.admin) as client:
        assert "L1 researcher" in {f.role.name for f in fits(needs, read_roles(client))}


def test_ai_practitioner_is_the_narrowest_predefined_role_of_2_24(plane):
    needs = CATALOGUE.needs("step-operator", ["delete_on_failure", "node_pools"])
    with plane.client(plane.admin) as client:
        predefined = [r for r in read_roles(client) if not r.custom]
    assert fits(needs, predefined)[0].role.name == "AI practitioner"
