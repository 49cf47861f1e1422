"""Two runs at the same time: of two stacks, and of one stack from two machines."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.support import inventory
from tests.chaos.support.world import DESTROY, PROJECT, UP, World, wait_for
from tests.engine.harness import TIME_LIMIT

pytestmark = [pytest.mark.engine, pytest.mark.chaos]


@pytest.fixture(scope="module")
def pair(make_world: Callable[..., World]) -> Iterator[tuple[World, World]]:
    """Two stacks on the same servers and the same project."""
    first, second = make_world(stack="left"), make_world(stack="right")
    yield first, second
    first.fresh()


def together(worlds: tuple[World, World], *command: str) -> None:
    """Run a command on both at once; both must succeed."""
    started = [(world, world.start(*command)) for world in worlds]
    for world, process in started:
        assert process.wait(TIME_LIMIT) == 0, (world.engine.folder / "started.log").read_text()


def test_two_stacks_on_one_project_at_once(pair: tuple[World, World]) -> None:
    left, _ = pair
    left.fresh()
    nothing = left.inventory()

    together(pair, *UP)

    for world in pair:
        world.engine.preview("--expect-no-changes", "--refresh").succeeded()
        secret = world.secret_name()
        assert not inventory.credential_works(world.zenml, world.emulator.base_url, secret, PROJECT)
    names = [world.engine.outputs()["serviceAccount"] for world in pair]
    assert len(set(names)) == 2
    assert len(left.zenml.flavors.matching(name="nvidia_runai")) == 2, "shared, not doubled"

    # Both go at once: one of the two is the last that uses the flavors.
    together(pair, *DESTROY)
    assert not left.inventory().compared_with(nothing)


def test_the_first_that_goes_leaves_the_flavors_to_the_other(pair: tuple[World, World]) -> None:
    left, right = pair
    left.fresh()
    nothing = left.inventory()
    together(pair, *UP)

    kept = left.engine.run(*DESTROY).succeeded()
    assert "stays: other components use it" in kept.output
    right.engine.preview("--expect-no-changes", "--refresh").succeeded()
    right.engine.run(*DESTROY).succeeded()

    assert not left.inventory().compared_with(nothing)


def test_one_stack_from_two_machines(world: World, tmp_path: Path) -> None:
    """The backend's lock lets only the first in."""
    wanted = world.wanted()
    world.fresh()
    hold = world.proxy.hold(lambda e: e.is_a("POST", "/api/v1/service-accounts"), "after")
    first = world.start(*UP)
    assert wait_for(hold, first)

    other = elsewhere(world, tmp_path)
    assert other.returncode != 0
    assert "the stack is currently locked by 1 lock(s)" in other.stdout

    world.proxy.lift()
    assert first.wait(TIME_LIMIT) == 0
    assert not world.inventory().compared_with(wanted)
    again = elsewhere(world, tmp_path)
    assert again.returncode == 0, again.stdout
    assert not world.inventory().compared_with(wanted)


def elsewhere(world: World, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """The same program and state, with another home of Pulumi."""
    environment: dict[str, Any] = {
        **world.engine.environment,
        "PULUMI_HOME": str(tmp_path / "other-machine"),
        "PULUMI_STACK": world.engine.stack,
    }
    return subprocess.run(
        ["pulumi", *UP, "--non-interactive"], cwd=world.engine.folder, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIME_LIMIT,
    )  # fmt: skip


def test_one_project_from_two_machines_with_files_of_their_own(
    make_world: Callable[..., World], world: World
) -> None:
    """Without a shared backend there is no lock: the same names and marks, two states. The second
    takes over what the first has made instead of doubling it, and the first sees that its secret
    was replaced."""
    wanted = world.wanted()
    world.provision()
    twin = make_world()  # of the same organisation, project and stack name
    twin.engine.configure(**{k: world.engine.settings()[k] for k in ("runaiBaseUrl", "zenmlUrl")})

    twin.engine.run(*UP).succeeded()
    assert not world.inventory().compared_with(wanted)

    world.engine.run(*UP, "--refresh").succeeded()
    verdict = world.verdict(world.engine.run(*UP), wanted)
    assert verdict.good, verdict
