"""The state in an S3 bucket: the whole life, the lock, and kills around every kind of write."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.support.homes import BucketHome
from tests.chaos.support.proxy import Exchange, When
from tests.chaos.support.report import Report, Row
from tests.chaos.support.world import CANARIES, DESTROY, STACK, UP, World, wait_for
from tests.chaos.test_two_at_once import elsewhere
from tests.engine.harness import Engine

pytestmark = pytest.mark.engine

#: How many moments of a run it is killed at, evenly spread over all that it writes.
MOMENTS = 4
#: Where the engine keeps the state itself, beside locks, history and backups.
STATE = f"*/.pulumi/stacks/zenml-runai/{STACK}.json"

SMALL = """
import pulumi
from provision import RunaiProject

project = RunaiProject("project", pulumi.Config().require("runaiProject"))
pulumi.export("namespace", project.namespace)
"""


def test_a_short_life_in_a_bucket(
    tmp_path: Path, pulumi_engine_folder: Path, emulator: Any, s3_server: Any
) -> None:
    home = BucketHome(s3_server, "a-short-life")
    engine = Engine(
        tmp_path, pulumi_engine_folder, "bucket", SMALL,
        backend=home.url, environment=home.environment,
    )  # fmt: skip
    engine.configure(
        runaiBaseUrl=emulator.base_url, runaiClientId=emulator.admin_id,
        runaiClientSecret=emulator.admin_secret, runaiProject="ml-team",
        zenmlUrl="http://127.0.0.1:1", zenmlApiKey="unused",
    )  # fmt: skip

    engine.run(*UP).succeeded()
    engine.preview("--expect-no-changes").succeeded()
    engine.run(*DESTROY).succeeded()

    assert not engine.resources()
    assert ".pulumi/stacks/zenml-runai/bucket.json" in home.names()
    assert not list((tmp_path / "state").iterdir()), "nothing was written beside the bucket"


@pytest.fixture(scope="module")
def bucket_world(make_world: Callable[..., World], s3_server: Any) -> World:
    return make_world(s3=s3_server, fronted=["runai", "zenml", "s3"])


@pytest.fixture
def world(bucket_world: World) -> Any:
    bucket_world.fresh()
    yield bucket_world
    bucket_world.fresh()


@pytest.mark.chaos
def test_a_whole_life_in_a_bucket(world: World) -> None:
    nothing = world.inventory()
    verdict = world.verdict(world.engine.run(*UP), world.wanted())
    assert verdict.good, verdict

    update = {"features": ["delete_on_failure", "node_pools"]}
    world.engine.configure(**update)
    assert world.engine.preview("--expect-no-changes").code, "the update was not seen"
    outcome = world.engine.run(*UP)
    verdict = world.verdict(outcome, world.inventory())
    assert verdict.good, verdict

    home = world.home
    assert isinstance(home, BucketHome)
    kept = {key: home.read(key) for key in home.names()}
    assert len(kept) > 5
    secrets = [CANARIES["registryPassword"], *CANARIES["artifactStoreCredentials"].values()]
    leaks = [key for key, content in kept.items() for s in secrets if s.encode() in content]
    assert not leaks

    verdict = world.verdict(world.engine.run(*DESTROY), nothing, provisioned=False)
    assert verdict.good, verdict
    assert not world.engine.resources()


@pytest.mark.chaos
def test_the_bucket_lets_only_one_machine_in(world: World, tmp_path: Path) -> None:
    wanted = world.wanted()
    world.fresh()
    hold = world.proxy.hold(
        lambda e: e.is_a("POST", "/api/v1/service-accounts"), "after", alone=True
    )
    first = world.start(*UP)
    assert wait_for(hold, first)

    other = elsewhere(world, tmp_path)
    assert other.returncode != 0
    assert "the stack is currently locked by 1 lock(s)" in other.stdout

    world.proxy.lift()
    assert first.wait(120) == 0
    again = elsewhere(world, tmp_path)
    assert again.returncode == 0, again.stdout
    assert not world.inventory().compared_with(wanted)


@pytest.mark.chaos
@pytest.mark.parametrize(
    "pattern",
    [
        "POST /api/v2/authorization/roles",
        "POST /api/v1/service-accounts",
        "POST /api/v1/authorization/access-rules",
        "POST /api/v1/stacks",
    ],
)
def test_killed_after_a_create_whose_state_is_in_a_bucket(
    pattern: str, world: World, chaos_report: Report
) -> None:
    wanted = world.wanted()
    world.fresh()
    method, path = pattern.split()
    started = time.monotonic()
    request = world.killed_at(lambda e: e.is_a(method, path), "after", *UP)
    assert request is not None, f"no {pattern} in this run"

    row = judge(world, wanted, "after", request, started)
    chaos_report.add(row)
    assert row.good, str(row)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_the_state_is_written_to_a_bucket(
    when: When, world: World, chaos_report: Report
) -> None:
    """The engine writes the whole state anew at every step, here in one request each."""
    wanted = world.wanted()
    world.fresh()
    world.proxy.forget()
    world.engine.run(*UP).succeeded()
    total = sum(writes_the_state(exchange) for exchange in world.proxy.requests)
    assert total > 2 * MOMENTS

    bad = []
    for moment in range(MOMENTS):
        world.fresh()
        number = 1 + moment * (total - 1) // (MOMENTS - 1)
        started = time.monotonic()
        request = world.killed_at(write_of_the_state(number), when, *UP)
        if request is None:
            # Steps run side by side, so that runs differ in how many writes they need.
            assert moment == MOMENTS - 1, f"fewer than {number} writes; {total} expected"
            continue
        row = judge(world, wanted, f"{number} of {total} {when}", request, started)
        chaos_report.add(row)
        if not row.good:
            bad.append(row)
    assert not bad, "\n\n".join(map(str, bad))


@pytest.mark.chaos
def test_a_bucket_holds_nothing_that_a_kill_can_empty(world: World) -> None:
    """Unlike a folder with side files: each object is written whole or not at all."""
    world.engine.run(*UP).succeeded()
    home = world.home
    assert isinstance(home, BucketHome)
    keys = home.names()
    assert not [key for key in keys if key.endswith(".attrs")]
    states = [key for key in keys if "/stacks/" in key]
    assert states
    for key in states:
        json.loads(home.read(key))


def writes_the_state(exchange: Exchange) -> bool:
    return exchange.server == "s3" and exchange.is_a("PUT", STATE)


def write_of_the_state(number: int) -> Callable[[Exchange], bool]:
    """Whether a request is the one of this number, counted from 1, that writes the state."""
    seen: list[int] = []

    def is_the_one(exchange: Exchange) -> bool:
        if writes_the_state(exchange) and exchange.number not in seen:
            seen.append(exchange.number)
        return len(seen) == number and exchange.number == seen[-1]

    return is_the_one


def judge(world: World, wanted: Any, case: str, request: str, started: float) -> Row:
    verdict = world.verdict(world.recover(*UP), wanted)
    return Row(
        "kill: state in a bucket", case, request, verdict.converged,
        verdict.difference.duplicates, verdict.difference.orphans, verdict.difference.missing,
        verdict.problems, round(time.monotonic() - started, 1),
    )  # fmt: skip
