"""Kill the engine and its provider hosts at every request: what is left must always be repairable.

One request after the other is held back, before or after a server has processed it, and everything
that `pulumi` started is killed with SIGKILL. Then the user breaks the stale lock and runs the
command again.
"""

from __future__ import annotations

import contextlib
import time
from itertools import count

import psutil
import pytest

from tests.chaos.support.inventory import Inventory
from tests.chaos.support.killing import command_line, kill_one, wait_gone
from tests.chaos.support.proxy import Exchange, When
from tests.chaos.support.report import Report, Row
from tests.chaos.support.scenarios import SCENARIOS, Stage
from tests.chaos.support.world import UP, World, wait_for

pytestmark = pytest.mark.engine

#: Each test takes every fourth request, so that two processes can share the work.
LANES = 4
WHENS: tuple[When, ...] = ("before", "after")


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("lane", range(LANES))
@pytest.mark.parametrize("when", WHENS)
@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_at_every_request(
    name: str, when: When, lane: int, world: World, chaos_report: Report
) -> None:
    scenario = SCENARIOS[name]
    stage = Stage(world, scenario)
    bad: list[Row] = []
    cases = 0
    for k in count(lane + 1, LANES):
        wanted = stage.prepare()
        started = time.monotonic()
        request = world.killed_at(k, when, *scenario.command)
        if request is None:
            break
        row = judge(stage, wanted, request, started, k=k, when=when)
        cases += 1
        chaos_report.add(row)
        if not row.good:
            bad.append(row)
    assert cases, f"{name} sends fewer than {lane + 1} requests"
    assert not bad, "\n\n".join(map(str, bad))


def judge(
    stage: Stage, wanted: Inventory, request: str, started: float, *, k: int, when: When
) -> Row:
    """Recover as a user does, and see whether all is well."""
    world, scenario = stage.world, stage.scenario
    outcome = world.recover(*scenario.recovery)
    verdict = world.verdict(outcome, wanted, provisioned=scenario.ends_provisioned)
    row = Row(
        f"kill: {scenario.name}", f"{k} {when}", request, verdict.converged,
        verdict.difference.duplicates, verdict.difference.orphans, verdict.difference.missing,
        verdict.problems, round(time.monotonic() - started, 1),
    )  # fmt: skip
    stage.over(good=row.good)
    return row


#: Moments at which a naive provider loses, duplicates or leaks something. In each of these series
#: the run is killed at one after the other, and only the last recovery may end.
SERIES: dict[str, list[tuple[When, str]]] = {
    "up": [
        ("after", "POST /api/v2/authorization/roles"),
        ("after", "POST /api/v1/service-accounts"),
        ("after", "POST /api/v1/authorization/access-rules"),
    ],
    "up, exact names": [
        ("after", "POST /api/v1/service-accounts"),
        ("after", "POST /api/v1/secrets"),
    ],
    "rotation": [
        ("after", "POST /api/v1/service-accounts"),
        ("after", "PUT /api/v1/secrets/*"),
    ],
    "rotation, secret in ZenML only": [
        ("after", "POST /api/v1/service-accounts/*/secret"),
        ("after", "PUT /api/v1/secrets/*"),
    ],
    "replace": [
        ("before", "POST /api/v1/asset/credentials/docker-registry"),
        ("after", "PUT /api/v1/stacks/*"),
    ],
    "destroy": [
        ("after", "DELETE /api/v1/stacks/*"),
        ("after", "DELETE /api/v1/service-accounts/*"),
    ],
}


@pytest.mark.parametrize("name", SERIES)
def test_killed_at_one_bad_moment_after_the_other(
    name: str, world: World, chaos_report: Report
) -> None:
    scenario = SCENARIOS[name]
    stage = Stage(world, scenario)
    wanted = stage.prepare()
    started = time.monotonic()
    command = scenario.command
    for when, pattern in SERIES[name]:
        method, path = pattern.split()
        request = world.killed_at(lambda exchange: exchange.is_a(method, path), when, *command)  # noqa: B023
        assert request is not None, f"no {pattern} in this run"
        world.engine.run("cancel", "--yes").succeeded()
        command = scenario.recovery

    row = judge(stage, wanted, "a series", started, k=len(SERIES[name]), when="after")

    chaos_report.add(row)
    assert row.good, str(row)


@pytest.mark.chaos
@pytest.mark.parametrize("pattern", ["POST /api/v1/service-accounts", "POST /api/v1/stacks"])
def test_a_request_that_arrives_after_the_recovery_does_no_harm(
    pattern: str, world: World, chaos_report: Report
) -> None:
    """Only the engine is killed, and what its host had sent was stuck on the way."""
    wanted = world.wanted()
    world.fresh()
    method, path = pattern.split()
    hold = world.proxy.hold(lambda e: e.is_a(method, path), "before", alone=True)
    started = time.monotonic()
    process = world.start(*UP)
    assert wait_for(hold, process)
    left = kill_one(process)
    hosts = [each for each in left if "pulumi.dynamic" in command_line(each)]
    assert hosts
    assert not wait_gone(hosts, 10), "a provider host outlives its engine"

    outcome = world.recover(*UP)
    world.proxy.lift()
    world.proxy.wait_quiet()
    assert hold.held
    assert hold.held.status == 409

    verdict = world.verdict(outcome, wanted)
    row = Row(
        "kill: the engine alone", "late request", pattern, verdict.converged,
        verdict.difference.duplicates, verdict.difference.orphans, verdict.difference.missing,
        verdict.problems, round(time.monotonic() - started, 1),
    )  # fmt: skip
    chaos_report.add(row)
    for member in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    assert row.good, str(row)


@pytest.mark.chaos
def test_pending_creates_can_be_cleared(world: World) -> None:
    """The engine keeps warning of an interrupted create until a refresh clears it."""

    def is_the_account(exchange: Exchange) -> bool:
        return exchange.is_a("POST", "/api/v1/service-accounts")

    world.killed_at(is_the_account, "after", "up", "--yes", "--skip-preview")
    world.recover("up", "--yes", "--skip-preview").succeeded()
    assert world.engine.export()["pending_operations"]

    world.engine.run("refresh", "--yes", "--clear-pending-creates").succeeded()

    assert "pending_operations" not in world.engine.export()
    world.engine.preview("--expect-no-changes", "--refresh").succeeded()


@pytest.mark.chaos
def test_the_state_has_no_side_files_that_a_kill_can_empty(world: World) -> None:
    """Seen: killed between truncating and writing `<stack>.json.attrs`, the engine leaves a state
    that it cannot load (EOF). With `?metadata=skip` it writes no such file."""
    world.engine.run(*UP).succeeded()
    files = [file for file in (world.engine.folder / "state").rglob("*") if file.is_file()]
    assert any(file.name == f"{world.engine.stack}.json" for file in files)
    assert not [file for file in files if file.suffix == ".attrs"]


@pytest.mark.chaos
def test_an_emptied_side_file_can_simply_be_deleted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What docs/never-lose.md says for a backend without that option."""
    environment = world.engine.environment
    plain = environment["PULUMI_BACKEND_URL"].removesuffix("?metadata=skip")
    monkeypatch.setitem(environment, "PULUMI_BACKEND_URL", plain)
    monkeypatch.setitem(environment, "PULUMI_STACK", world.engine.stack)
    world.engine.run(*UP).succeeded()
    [side] = (world.engine.folder / "state").rglob(f"{world.engine.stack}.json.attrs")

    side.write_text("")
    assert "EOF" in world.engine.preview().failed().output

    side.unlink()
    world.engine.preview("--expect-no-changes").succeeded()
