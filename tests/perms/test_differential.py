"""Random roles, rules and scopes: the verdict is what the control plane really answers."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runai_perms import Need, Permission, Reach, UnknownName, evaluate, load_catalogue
from runai_perms._catalogue import applies, parse_version
from runai_perms._reading import read_own, read_subject
from tests.perms.plane import ATTEMPTS, Plane

CATALOGUE = load_catalogue()
SCOPES = list(Plane("2.24").scopes)
#: Objects pile up on a plane; a fresh one now and then keeps lists short.
EXAMPLES_PER_PLANE = 20


def needs_of(version: str) -> dict[str, Need]:
    """Each operation of the catalogue that can be attempted, as a need of its own."""
    found = {}
    number = parse_version(version)
    for name in ATTEMPTS:
        operation = CATALOGUE.operation(name)
        accepted = [
            p
            for p in operation.any_of
            if applies(
                CATALOGUE.resource_types[p.resource_type].since,
                CATALOGUE.resource_types[p.resource_type].until,
                number,
            )
        ]
        if applies(operation.since, operation.until, number) and accepted:
            found[name] = Need(
                accepted[0],
                (name,),
                (),
                operation.certainty,
                tuple(accepted[1:]),
                operation.reach,
            )
    return found


NEEDS = {version: needs_of(version) for version in ("2.23", "2.24")}
RIGHTS = {
    version: sorted({p for n in needs.values() for p in n.accepted})
    for version, needs in NEEDS.items()
}


def worlds(version: str):
    """Roles (permissions, enabled), rules (role, scope), and the operations to try."""
    role = st.tuples(
        st.frozensets(st.sampled_from(RIGHTS[version]), max_size=12), st.integers(0, 9)
    )
    return st.lists(role, min_size=1, max_size=3).flatmap(
        lambda roles: st.tuples(
            st.just(roles),
            st.lists(
                st.tuples(st.integers(0, len(roles) - 1), st.sampled_from(SCOPES)),
                max_size=4,
                unique=True,
            ),
            st.lists(st.sampled_from(sorted(NEEDS[version])), min_size=4, max_size=8, unique=True),
        )
    )


class Planes:
    """Hands out a plane and replaces it after some examples."""

    def __init__(self, version: str) -> None:
        self.version, self.used = version, EXAMPLES_PER_PLANE

    def next(self) -> Plane:
        if self.used >= EXAMPLES_PER_PLANE:
            self.plane, self.used = Plane(self.version), 0
        self.used += 1
        return self.plane


def compare(plane: Plane, world) -> None:
    roles, rules, operations = world
    caller, name = plane.account()
    ids = [plane.role(permissions, enabled=chance > 0) for permissions, chance in roles]
    for role, scope in rules:
        plane.grant(name, ids[role], plane.scopes[scope])
    needs = [NEEDS[plane.version][operation] for operation in operations]
    really = {o: plane.attempt(o, caller) for o in operations}
    with plane.client(plane.admin) as client:
        told = read_subject(client, name, "ml-team", max_requests=None)
    assert not told.held.partial
    for verdict in evaluate(needs, told.held, told.path).verdicts:
        operation = verdict.need.operations[0]
        assert verdict.granted == really[operation], f"{operation}: told by an administrator"
    for limit in (None, 6):
        with plane.client(caller) as client:
            try:
                own = read_own(client, "ml-team", needs, max_requests=limit)
            except UnknownName:
                assert not plane.attempt("project.list", caller)
                continue
        for verdict in evaluate(needs, own.held, own.path).verdicts:
            operation = verdict.need.operations[0]
            if verdict.unknown and not verdict.granted:
                assert limit is not None or not (own.path.cluster and own.path.departments)
                continue
            assert verdict.granted == really[operation], f"{operation}: own reading, {limit}"


CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large]


@pytest.mark.parametrize("version", ["2.24", "2.23"])
def test_verdicts_equal_the_answers(version):
    planes = Planes(version)

    @settings(max_examples=150, deadline=None, suppress_health_check=CHECKS)
    @given(worlds(version))
    def run(world):
        compare(planes.next(), world)

    run()


@pytest.mark.nightly
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("version", ["2.24", "2.23"])
def test_verdicts_equal_the_answers_ten_thousand_times(version):
    planes = Planes(version)

    @settings(max_examples=5_000, deadline=None, suppress_health_check=CHECKS)
    @given(worlds(version))
    def run(world):
        compare(planes.next(), world)

    run()


def test_a_narrower_permission_is_no_wider_one(plane):
    """A mutation guard: the plane does tell clusters-minimal from cluster."""
    caller, name = plane.account()
    plane.grant(name, plane.role([Permission("clusters-minimal", "read")]), plane.scopes["project"])
    assert plane.attempt("cluster.list", caller)
    assert not plane.attempt("project.list", caller)
    assert NEEDS["2.24"]["cluster.list"].reach is Reach.CLUSTER
