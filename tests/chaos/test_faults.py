"""Every fault on every endpoint: success, or one clear error and the next `up` goes on.

A tour is a command that uses many endpoints. For each kind of fault all endpoints of the tour are
armed, so that each goes wrong exactly once, and the command is repeated as a user would repeat it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.chaos.support.faults import KINDS, Endpoint, arm, endpoints_used
from tests.chaos.support.inventory import Inventory
from tests.chaos.support.report import Report, Row
from tests.chaos.support.scenarios import SCENARIOS
from tests.chaos.support.world import DESTROY, UP, World
from tests.engine.harness import Outcome

pytestmark = pytest.mark.engine

LOOK = ("preview", "--refresh", "--expect-no-changes", "--suppress-progress")
#: What a user is told: an error of this package, or a finding of a check.
TYPED = re.compile(
    r"error: (Preview failed: )?"
    r"(provision\.\w+|pulumi-python:\S+ resource '\S+' has a problem): \S"
)


@dataclass(frozen=True)
class Tour:
    """`prepare` leaves the world so that `command` uses every endpoint of the tour."""

    name: str
    command: tuple[str, ...]
    prepare: Callable[[World], object]
    wanted: Callable[[World], Inventory]
    provisioned: bool = True


FIRST: dict[str, Any] = {
    **SCENARIOS["update"].first,
    "rotation": {"date": "2027-01"},
    "serviceAccountName": "zenml-by-name",
}
SECOND: dict[str, Any] = {
    **SCENARIOS["update"].second,
    "rotation": {"date": "2027-02"},
    "serviceAccountName": "zenml-by-name",
}


def provision_and_set(first: dict[str, Any], second: dict[str, Any]) -> Callable[[World], object]:
    def prepare(world: World) -> None:
        world.provision(**first)
        world.engine.configure(**second)

    return prepare


TOURS = {
    tour.name: tour
    for tour in (
        Tour("up", UP, World.fresh, World.wanted),
        Tour("look", LOOK, World.provision, World.wanted),
        Tour(
            "change", UP, provision_and_set(FIRST, SECOND), lambda world: world.wanted(**SECOND)
        ),
        Tour("destroy", DESTROY, World.provision, World.empty, provisioned=False),
    )
}  # fmt: skip


@dataclass
class Went:
    """How the repeated command went: the errors on the way, and its last outcome."""

    outcome: Outcome
    errors: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def repeat(world: World, command: tuple[str, ...], most: int) -> Went:
    """Run the command until it succeeds; every failure on the way must be explained."""
    went = Went(world.engine.run(*command))
    while went.outcome.code and len(went.errors) < most:
        went.errors.append(went.outcome.errors)
        went.problems += unclear(went.outcome)
        world.engine.run("cancel", "--yes")
        went.outcome = world.engine.run(*command)
    return went


def unclear(outcome: Outcome) -> list[str]:
    """What is wrong with the way in which a failure was told."""
    problems = [
        f"{word!r} in the output: {outcome.output[-3000:]}"
        for word in ("Traceback", "InternalError", "panic:")
        if word in outcome.output
    ]
    if not TYPED.search(outcome.output):
        problems.append(f"no typed error: {outcome.output[-3000:]}")
    return problems


def tour_endpoints(world: World, tour: Tour) -> list[Endpoint]:
    """The endpoints that an undisturbed tour uses, found out once for each world."""
    if tour.name not in world.memory:
        tour.prepare(world)
        world.proxy.forget()
        world.emulator.forget_requests()
        world.engine.run(*tour.command).succeeded()
        world.memory[tour.name] = endpoints_used(world)
    found: list[Endpoint] = world.memory[tour.name]
    return found


def judge(world: World, tour: Tour, kind: str, endpoints: list[Endpoint]) -> Row:
    wanted = tour.wanted(world)
    tour.prepare(world)
    world.proxy.forget()
    armed = arm(world, KINDS[kind], endpoints)
    started = time.monotonic()

    went = repeat(world, tour.command, len(endpoints) + 1)

    fired, unfired = armed.fired(), armed.unfired()
    world.proxy.forget()
    world.emulator.clear_faults()
    verdict = world.verdict(went.outcome, wanted, provisioned=tour.provisioned)
    return Row(
        f"fault: {tour.name}", kind,
        f"{fired} endpoints, {len(went.errors)} errors",
        verdict.converged, verdict.difference.duplicates, verdict.difference.orphans,
        verdict.difference.missing,
        [*went.problems, *verdict.problems, *(f"never hit: {at}" for at in unfired)],
        round(time.monotonic() - started, 1),
    )  # fmt: skip


@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TOURS)
def test_every_endpoint_goes_wrong_once(
    name: str, kind: str, faulty_world: World, chaos_report: Report
) -> None:
    tour = TOURS[name]
    row = judge(faulty_world, tour, kind, tour_endpoints(faulty_world, tour))
    chaos_report.add(row)
    assert row.good, str(row)


@pytest.mark.parametrize(("name", "kind"), [("up", "reset after commit"), ("change", "502")])
def test_a_sample_of_faults(
    name: str, kind: str, faulty_world: World, chaos_report: Report
) -> None:
    tour = TOURS[name]
    row = judge(faulty_world, tour, kind, tour_endpoints(faulty_world, tour))
    assert row.good, str(row)


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_lost_answers_and_lists_that_lag_behind(faulty_world: World, chaos_report: Report) -> None:
    """The worst for whoever looks a lost object up: the list does not show it yet."""
    world = faulty_world
    wanted = world.wanted()
    world.fresh()
    started = time.monotonic()
    for path in (
        "/api/v1/service-accounts",
        "/api/v2/authorization/roles",
        "/api/v1/authorization/access-rules",
        "/api/v1/asset/credentials/docker-registry",
    ):
        world.emulator.add_fault(kind="reset-after", method="POST", path=path)
        world.emulator.add_fault(kind="stale-list", method="GET", path=path, seconds=60, times=3)

    went = repeat(world, UP, 12)

    world.emulator.clear_faults()
    verdict = world.verdict(went.outcome, wanted)
    row = Row(
        "fault: up", "lost answer, then stale list", f"4 endpoints, {len(went.errors)} errors",
        verdict.converged, verdict.difference.duplicates, verdict.difference.orphans,
        verdict.difference.missing, [*went.problems, *verdict.problems],
        round(time.monotonic() - started, 1),
    )  # fmt: skip
    chaos_report.add(row)
    assert row.good, str(row)
