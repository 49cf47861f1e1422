"""pytest fixtures: ``pytest_plugins = ["runai_emulator.pytest_plugin"]`` makes them known."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .testing import RunningEmulator, run_in_thread


@pytest.fixture(scope="session")
def runai_emulator_server() -> Iterator[RunningEmulator]:
    """One server for the session; asynchronous states settle at once, workloads are simulated."""
    with run_in_thread(async_delay=0) as emulator:
        yield emulator


@pytest.fixture
def runai_emulator(runai_emulator_server: RunningEmulator) -> RunningEmulator:
    """The server of the session, back at its seeds."""
    runai_emulator_server.reset()
    return runai_emulator_server
