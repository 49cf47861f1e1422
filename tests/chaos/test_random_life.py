"""Any order of commands, changes, drifts, faults and kills: the same settings, the same objects.

Hypothesis chooses. To live a life again: ``CHAOS_SEED=<the seed of the report>
CHAOS_EXAMPLES=<as before> make chaos ARGS='-k random_life'``. As the requests of one command
come in an order of their own each time, a kill may then strike at another one of them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from itertools import count
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.chaos.support.faults import KINDS
from tests.chaos.support.life import CHANGES, DRIFTS, THEN, Fault, Kill, Life, Nth
from tests.chaos.support.report import Report
from tests.chaos.support.world import World

pytestmark = pytest.mark.engine

#: Lives to live, and commands in each. A command with its disaster, its recovery and the judgement
#: takes 5 to 15 s on one core, so that these are about seven minutes.
EXAMPLES = int(os.environ.get("CHAOS_EXAMPLES", "6"))
STEPS = 8
#: A whole `up` sends about 65 requests, 15 of which change something. Most updates send fewer, and
#: a number beyond them strikes nothing. (tests/chaos/test_kills.py goes through all of them.)
LAST_REQUEST = 40
LAST_WRITE = 10

WHENS = st.sampled_from(["after", "before"])
WRITE = st.builds(Nth, st.integers(1, LAST_WRITE))
REQUEST = st.builds(Nth, st.integers(1, LAST_REQUEST), st.just("requests"))
#: Where a provider that cannot recognise its own objects loses or doubles them.
CREATES = [
    "POST /api/v1/service-accounts",
    "POST /api/v2/authorization/roles",
    "POST /api/v1/authorization/access-rules",
    "POST /api/v1/asset/credentials/docker-registry",
    "POST /api/v1/secrets",
    "POST /api/v1/components",
    "POST /api/v1/stacks",
]
CREATE = st.builds(Nth, st.just(1), st.sampled_from(CREATES))
DISASTER = st.one_of(
    # Kill the command, and perhaps its repetition as well.
    st.lists(st.builds(Kill, WHENS, WRITE), min_size=1, max_size=2),
    st.lists(st.builds(Kill, WHENS, REQUEST), min_size=1, max_size=2),
    st.lists(st.builds(Kill, st.just("after"), CREATE), min_size=1, max_size=2),
    st.builds(Fault, st.sampled_from(list(KINDS)), st.one_of(WRITE, REQUEST), st.booleans()),
    st.just(()),
)
SOME_DRIFTS = st.lists(st.sampled_from(list(DRIFTS)), max_size=2, unique=True)
SOME_CHANGES = st.one_of(
    st.lists(st.sampled_from(list(CHANGES)), min_size=1, max_size=3, unique=True), st.just([])
)
#: What follows an `up` that was killed: in a third of the cases the same.
AFTERWARDS = st.sampled_from([*THEN, *[""] * (len(THEN) // 2)])
#: What each method of a life is given.
ARGUMENTS = {
    "up": {
        "changes": SOME_CHANGES,
        "drifts": SOME_DRIFTS,
        "disaster": DISASTER,
        "look_first": st.booleans(),
        "then": AFTERWARDS,
    },
    "rotate": {
        "key": st.sampled_from(["date", "registry"]),
        "disaster": DISASTER,
        "then": AFTERWARDS,
    },
    "refresh": {
        "drifts": st.lists(st.sampled_from(list(DRIFTS)), min_size=1, max_size=2, unique=True),
        "disaster": DISASTER,
    },
    "destroy": {"drifts": SOME_DRIFTS, "disaster": DISASTER, "then_up": st.booleans()},
}
#: Most of a life is updates.
VERBS = st.sampled_from(["up", "up", "up", "up", "rotate", "refresh", "destroy", "destroy"])


def with_arguments(verb: str) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    return st.tuples(st.just(verb), st.fixed_dictionaries(ARGUMENTS[verb]))


class RandomLife(RuleBasedStateMachine):
    """Every step is a command with what comes before it and befalls it, and is judged.

    They are one rule, not four: Hypothesis forgoes some of the rules in each run, which pays with
    hundreds of runs, not with half a dozen.
    """

    world: ClassVar[World]
    report: ClassVar[Report]
    names: ClassVar[Iterator[str]]

    def __init__(self) -> None:
        super().__init__()
        self.life = Life(self.world, self.report, next(self.names))

    @rule(step=VERBS.flatmap(with_arguments))
    def live(self, step: tuple[str, dict[str, Any]]) -> None:
        verb, arguments = step
        getattr(self.life, verb)(**arguments)

    def teardown(self) -> None:
        self.life.end()


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_random_lives(world: World, chaos_report: Report) -> None:
    chosen = int(os.environ.get("CHAOS_SEED") or random.randrange(2**32))
    print(f"CHAOS_SEED={chosen} CHAOS_EXAMPLES={EXAMPLES}")
    RandomLife.world, RandomLife.report = world, chaos_report
    RandomLife.names = (f"seed {chosen}, life {number}" for number in count(1))
    run_state_machine_as_test(
        seed(chosen)(RandomLife),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            # To shrink a life would mean to live it a hundred times.
            phases=(Phase.generate,),
            report_multiple_bugs=False,
            database=None,
            derandomize=False,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_one_short_life(world: World, chaos_report: Report) -> None:
    """A disaster of every sort, one after the other."""
    life = Life(world, chaos_report, "short")
    life.up(disaster=[Kill("after", Nth(1, "POST /api/v1/service-accounts"))])
    life.up(
        ["role", "container registry"],
        ["a setting of a component changed", "a disabled account"],
        Fault("reset after commit", Nth(1, "POST /api/v1/authorization/access-rules")),
    )
    life.rotate("date", [Kill("after", Nth(1, "POST /api/v1/authorization/access-rules"))])
    account = [Kill("after", Nth(1, "POST /api/v1/service-accounts"))]
    life.rotate("date", account, then="name of the secret")
    life.destroy(["a deleted rule"], [Kill("after", Nth(1, "DELETE /api/v1/stacks/*"))])
