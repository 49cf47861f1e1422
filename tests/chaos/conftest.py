"""The world that disasters befall: real engine, emulator and ZenML server behind one proxy."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from provision.zenml_rest import ZenMLClient
from runai_api import RunaiClient
from tests.chaos.support.report import SHARD, Report
from tests.chaos.support.world import World, new_world


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `SHARD` set, leave the other processes' share of the chaos tests to them."""
    share = os.environ.get(SHARD)
    if not share:
        return
    number, total = map(int, share.split("/"))
    matrix = [item for item in items if item.get_closest_marker("chaos")]
    others = {item for index, item in enumerate(matrix) if index % total != number}
    config.hook.pytest_deselected(items=list(others))
    items[:] = [item for item in items if item not in others]


@pytest.fixture(scope="session")
def zenml_server(new_zenml_server: Callable[[str], Any]) -> Any:
    """A server of their own: these tests wipe it, others keep stacks in theirs."""
    return new_zenml_server("zenml-chaos")


@pytest.fixture(scope="session")
def zenml(zenml_server: Any) -> Iterator[ZenMLClient]:
    """Looks at the server directly, not through the proxy."""
    with ZenMLClient(zenml_server.url, SecretStr(zenml_server.api_key)) as client:
        yield client


@pytest.fixture(scope="session")
def chaos_report() -> Report:
    return Report.from_environment()


@pytest.fixture(scope="session")
def runai(emulator_process: Any) -> Iterator[RunaiClient]:
    """The administrator, directly at the emulator."""
    with RunaiClient(
        emulator_process.base_url,
        client_id=emulator_process.admin_id,
        client_secret=emulator_process.admin_secret,
    ) as client:
        yield client


@pytest.fixture(scope="session")
def make_world(
    tmp_path_factory: pytest.TempPathFactory,
    pulumi_engine_folder: Path,
    emulator_process: Any,
    zenml_server: Any,
    runai: RunaiClient,
    zenml: ZenMLClient,
) -> Iterator[Callable[..., World]]:
    """Makes worlds with settings of their own; they share the servers."""
    with ExitStack() as worlds:

        def make(**settings: Any) -> World:
            folder = tmp_path_factory.mktemp("chaos")
            return worlds.enter_context(
                new_world(
                    folder, pulumi_engine_folder, emulator_process, zenml_server, runai, zenml,
                    **settings,
                )
            )  # fmt: skip

        yield make


@pytest.fixture(scope="session")
def proxied_world(make_world: Callable[..., World]) -> Iterator[World]:
    world = make_world()
    yield world
    world.fresh()


@pytest.fixture
def world(proxied_world: World) -> Iterator[World]:
    """Both servers behind the proxy, as before the first `up`; wiped when the test is over."""
    proxied_world.fresh()
    yield proxied_world
    proxied_world.fresh()


@pytest.fixture(scope="session")
def direct_world(make_world: Callable[..., World]) -> World:
    return make_world(stack="faults", fronted=["zenml"])


@pytest.fixture
def faulty_world(direct_world: World) -> Iterator[World]:
    """The emulator makes its own faults; only ZenML is behind the proxy."""
    direct_world.fresh()
    yield direct_world
    direct_world.fresh()
