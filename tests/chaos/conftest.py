"""The world that disasters befall: real engine, emulator and ZenML server behind one proxy."""

from __future__ import annotations

import os
from collections.abc import Iterator
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
def zenml(zenml_server: Any) -> Iterator[ZenMLClient]:
    """Looks at the server directly, not through the proxy."""
    with ZenMLClient(zenml_server.url, SecretStr(zenml_server.api_key)) as client:
        yield client


@pytest.fixture(scope="session")
def chaos_report() -> Report:
    return Report.from_environment()


@pytest.fixture(scope="session")
def shared_world(
    tmp_path_factory: pytest.TempPathFactory,
    pulumi_engine_folder: Path,
    emulator_process: Any,
    zenml_server: Any,
    zenml: ZenMLClient,
) -> Iterator[World]:
    with (
        RunaiClient(
            emulator_process.base_url,
            client_id=emulator_process.admin_id,
            client_secret=emulator_process.admin_secret,
        ) as runai,
        new_world(
            tmp_path_factory.mktemp("chaos"), pulumi_engine_folder, emulator_process,
            zenml_server, runai, zenml,
        ) as world,
    ):  # fmt: skip
        yield world
        world.fresh()


@pytest.fixture
def world(shared_world: World) -> World:
    """As before the first `up`."""
    shared_world.fresh()
    return shared_world
