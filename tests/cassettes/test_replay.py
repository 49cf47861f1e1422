"""Every scenario against its cassette: no network, nothing unused, nothing missing."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from vcr.errors import CannotOverwriteExistingCassetteException

from tools.wire import cassette, play
from tools.wire.scenario import Scenario, World, recordings

pytestmark = pytest.mark.block_network

RECORDINGS = recordings()


@pytest.mark.parametrize(
    ("found", "version"), RECORDINGS, ids=[found.cassette(version) for found, version in RECORDINGS]
)
def test_the_scenario_gets_what_was_recorded(found: Scenario, version: str) -> None:
    play.play(found, version)


def test_every_cassette_has_a_scenario() -> None:
    written = {str(path.relative_to(cassette.FOLDER)) for path in cassette.FOLDER.rglob("*.*")}
    known = {f"{found.cassette(version)}.yaml" for found, version in RECORDINGS}
    assert written == known


def test_headers_say_what_was_recorded() -> None:
    for path in cassette.FOLDER.rglob("*.yaml"):
        header = cassette.metadata_of(path)
        assert header["recorded_from"], path
        assert header["control_plane"] in ("2.23", "2.24"), path
        assert header["recorded_at"], path
        assert "zenml-runai" in header["recorded_with"], path


def _with(behaviour: Callable[[World], None]) -> Scenario:
    """Another scenario on the cassette of ``tokens/login``."""
    return Scenario("tokens/login", behaviour, ("2.24",))


def test_a_request_that_was_not_recorded_fails() -> None:
    def asks_for_more(world: World) -> None:
        with world.connect() as client:
            client.projects.list()

    with pytest.raises(CannotOverwriteExistingCassetteException):
        play.play(_with(asks_for_more), "2.24")


def test_an_interaction_that_is_not_used_fails() -> None:
    with pytest.raises(cassette.UnusedInteractions, match="/api/v2/token"):
        play.play(_with(lambda world: world.connect().close()), "2.24")


def test_a_secret_need_not_match_but_everything_else_must() -> None:
    def logs_in(world: World, **identity: str) -> None:
        with world.connect(**identity) as client:
            assert client.version == "2.24"

    play.play(_with(lambda world: logs_in(world, client_secret="another")), "2.24")
    with pytest.raises(CannotOverwriteExistingCassetteException, match="somebody-else"):
        play.play(_with(lambda world: logs_in(world, client_id="somebody-else")), "2.24")


def test_the_network_is_blocked() -> None:
    with pytest.raises(RuntimeError, match="Network is disabled"):
        socket.create_connection(("127.0.0.1", 9))
