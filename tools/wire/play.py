"""Run a scenario against its cassette."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tools.wire import cassette
from tools.wire.scenario import RUNAI_URL, Scenario, World
from tools.wire.scrub import Scrubber

CLIENT_ID = "recorder"
#: Taken out of requests like any other secret, so it need not be the one of the recording.
CLIENT_SECRET = "replayed"  # noqa: S105


def world_of(path: Path, **more: Any) -> World:
    """The world that a cassette was recorded in, as its header has it."""
    header = cassette.metadata_of(path)
    return World(
        base_url=RUNAI_URL,
        client_id=str(header["client_id"]),
        client_secret=CLIENT_SECRET,
        run=str(header["run"]),
        project=str(header["project"]),
        version=str(header["control_plane"]),
        emulator=str(header["recorded_from"]).startswith("runai-emulator"),
        replaying=True,
        prepared=dict(header.get("prepared", {})),
        **more,
    )


def play(found: Scenario, version: str) -> None:
    """Raises what the scenario raises, and if the cassette does not fit what it asks for."""
    path = cassette.path_of(found.cassette(version))
    with cassette.replaying(path, Scrubber({})):
        found.run(world_of(path))
