"""A state that a released version wrote is taken up by this one, through the real engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from provision._flavors import shipped_flavor
from provision.zenml_rest import ZenMLClient
from runai_api import RunaiClient
from tests.chaos.support.states import FOLDER, STACK, Fixture, logged_in, restore, send
from tests.chaos.support.world import DESTROY, EVERYTHING, UP, World, new_world

pytestmark = pytest.mark.engine

FIXTURES = {f"{path.parent.name} {path.stem}": path for path in sorted(FOLDER.glob("*/*.json"))}
#: `make test` takes one; all of them are part of `make chaos`.
SAMPLE = next(name for name in FIXTURES if name.endswith("custom-role"))
CASES = [
    name if name == SAMPLE else pytest.param(name, marks=pytest.mark.chaos) for name in FIXTURES
]
FLAVORS = {"runai-step-operator-flavor", "runai-orchestrator-flavor"}


@pytest.fixture
def open_world(
    tmp_path: Path, pulumi_engine_folder: Path, emulator_process: Any, zenml_server: Any,
    zenml: ZenMLClient, request: pytest.FixtureRequest,
) -> Callable[[Fixture], Any]:  # fmt: skip
    """Servers that hold what the released version had made, and a stack with its state."""

    @contextmanager
    def open_(fixture: Fixture) -> Iterator[World]:
        legacy = fixture.control_plane == "2.23"
        emulator = (
            request.getfixturevalue("emulator_legacy_process") if legacy else emulator_process
        )
        settings = {**dict.fromkeys(EVERYTHING), **fixture.settings}
        client = RunaiClient(
            emulator.base_url, client_id=emulator.admin_id, client_secret=emulator.admin_secret
        )
        with client as runai, new_world(
            tmp_path, pulumi_engine_folder, emulator, zenml_server, runai, zenml,
            stack=STACK, fronted=[], **settings,
        ) as world:  # fmt: skip
            world.fresh()
            try:
                yield world
            finally:
                world.fresh()

    return open_


def take_up(world: World, fixture: Fixture) -> None:
    """Make everything as the released version did, and import its state."""
    values = {
        "runaiBaseUrl": world.emulator.base_url,
        "zenmlUrl": world.engine.settings()["zenmlUrl"],
        "zenmlApiKey": world.zenml_key,
        "runai-zenml.id": str(world.zenml.request("GET", "/info")["id"]),
    }
    with logged_in(world.emulator) as runai:
        for request in fixture.requests:
            send(request, values, runai, world.zenml)
    file = world.engine.folder / "released.json"
    file.write_text(json.dumps(restore(fixture.deployment, values)))
    world.engine.run("stack", "import", "--file", str(file)).succeeded()


def planned(world: World, *options: str) -> dict[str, str]:
    """What a preview would do, by logical name; nothing is left out but what stays the same."""
    shown = world.engine.preview("--json", *options).succeeded().output
    steps = json.loads(shown[shown.index("{") :])["steps"]
    return {s["urn"].rsplit("::", 1)[1]: s["op"] for s in steps if s["op"] != "same"}


def meant(fixture: Fixture) -> dict[str, str]:
    """What this version does otherwise than that one, on purpose: it brings its own flavors."""
    resources = fixture.resources()
    return {
        name: "update"
        for name in FLAVORS
        if resources[name]["inputs"]["digest"]
        != shipped_flavor(resources[name]["inputs"]["type"]).digest
    }


@pytest.mark.parametrize("name", CASES)
def test_an_earlier_state_is_taken_up(name: str, open_world: Callable[[Fixture], Any]) -> None:
    fixture = Fixture.read(FIXTURES[name])
    with open_world(fixture) as world:
        nothing = world.inventory()
        take_up(world, fixture)
        made = world.inventory()
        assert made.compared_with(nothing).orphans, "the requests have made something"
        before = world.engine.resources()
        assert before.keys() == fixture.resources().keys()

        changes = planned(world, "--refresh")
        assert {k: v for k, v in changes.items() if v != "refresh"} == meant(fixture)

        verdict = world.verdict(world.engine.run(*UP), world.inventory())
        assert verdict.good, verdict
        after = world.engine.resources()
        assert ids(after) == ids(before)

        # What is in the state is enough to change an object in place, and to find it again.
        world.engine.configure(stepOperatorConfiguration={"workload_timeout": 900})
        assert planned(world) == {"runai-step-operator": "update"}
        world.engine.run(*UP).succeeded()
        assert ids(world.engine.resources()) == ids(before)

        # The list of what may have been made is not in the state; a new name begins it.
        world.engine.configure(rotation={"date": "2027-03"})
        assert planned(world)["runai-project"] == "update"
        world.engine.run(*UP).succeeded()
        assert world.engine.resources()["runai-project"]["outputs"]["planned"]

        verdict = world.verdict(world.engine.run(*DESTROY), nothing, provisioned=False)
        assert verdict.good, verdict


@pytest.mark.chaos
@pytest.mark.parametrize("name", FIXTURES)
def test_an_earlier_state_can_be_destroyed_at_once(
    name: str, open_world: Callable[[Fixture], Any]
) -> None:
    """A destroy does not run the program: it has nothing but the state."""
    fixture = Fixture.read(FIXTURES[name])
    with open_world(fixture) as world:
        nothing = world.inventory()
        take_up(world, fixture)

        verdict = world.verdict(world.engine.run(*DESTROY), nothing, provisioned=False)

        assert verdict.good, verdict


@pytest.mark.chaos
@pytest.mark.parametrize("name", FIXTURES)
def test_the_objects_are_as_this_version_would_make_them(
    name: str, open_world: Callable[[Fixture], Any]
) -> None:
    """Otherwise the released version's objects would need a migration, and this tells of it."""
    fixture = Fixture.read(FIXTURES[name])
    with open_world(fixture) as world:
        take_up(world, fixture)
        theirs = world.inventory()
        ours = world.provision()
        assert not theirs.compared_with(ours)


def ids(resources: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: entry["id"] for name, entry in resources.items()}
