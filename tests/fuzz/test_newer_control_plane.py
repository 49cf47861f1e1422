"""A control plane of tomorrow: more keys and kinds do not matter, its version is warned of."""

from __future__ import annotations

import copy
import json
import logging
from typing import Any

import pytest

from runai_api import RunaiClient
from tools.wire import cassette, play
from tools.wire.scenario import Scenario, recordings

from .tape import Interaction, Tape, interactions

RECORDINGS = [(found, version) for found, version in recordings() if found.client_only]
TOMORROW = {"introducedLater": {"level": [1, None, "two"]}, "alsoNew": None}


def enriched(value: Any) -> Any:
    """Every object gets unknown keys, every list of permissions an unknown entry."""
    if isinstance(value, dict):
        found = {key: enriched(item) for key, item in value.items()}
        if isinstance(found.get("permissions"), list):
            found["permissions"] = [*found["permissions"], _unknown_permission()]
        # A map of somebody's own keys has no place for others.
        return found if _is_map(value) else {**TOMORROW, **found}
    if isinstance(value, list):
        return [enriched(item) for item in value]
    return value


def _unknown_permission() -> dict[str, Any]:
    return {"resourceType": "quantum-jobs", "actions": ["read", "entangle"], "groupId": "new"}


def _is_map(value: dict[str, Any]) -> bool:
    return bool(value) and all(
        isinstance(item, str) and key.isupper() for key, item in value.items()
    )


def tomorrow(items: list[Interaction]) -> list[Interaction]:
    """The recording as a newer control plane would answer."""
    items = copy.deepcopy(items)
    for item in items:
        body = item["response"]["body"]
        if body.get("string"):
            body["string"] = json.dumps(enriched(json.loads(body["string"])))
    return items


@pytest.mark.parametrize(
    ("found", "version"), RECORDINGS, ids=[found.cassette(version) for found, version in RECORDINGS]
)
def test_what_it_does_not_know_does_not_matter(found: Scenario, version: str) -> None:
    path = cassette.path_of(found.cassette(version))
    tape = Tape(tomorrow(interactions(found, version)))
    found.run(play.world_of(path, transport=tape))


def clusters_of(version: str | None) -> RunaiClient:
    row = {"uuid": "7d121425-6d47-5edc-a35c-6ce0cc2d1d56", "name": "main", "version": version}
    token = {"access_token": "token", "expires_in": 60}
    items = [_answer("POST", "/api/v2/token", token)]
    items += [_answer("GET", "/api/v1/clusters", [row, {**row, "name": "other"}])] * 2
    items.append(_answer("GET", f"/api/v1/clusters/{row['uuid']}", row))
    return RunaiClient(
        "https://runai.example.com", client_id="a", client_secret="b", transport=Tape(items)
    )


def _answer(method: str, path: str, value: Any) -> Interaction:
    headers = {"content-type": ["application/json"]}
    return {
        "request": {"method": method, "uri": f"https://runai.example.com{path}"},
        "response": {
            "status": {"code": 200},
            "headers": headers,
            "body": {"string": json.dumps(value)},
        },
    }


@pytest.mark.parametrize("version", ["2.25.0", "3.0.1", "v2.30", "10.0"])
def test_a_newer_version_is_warned_of_once(version: str, caplog: pytest.LogCaptureFixture) -> None:
    with clusters_of(version) as client, caplog.at_level(logging.WARNING, "runai_api"):
        client.clusters.list()
        client.clusters.list()
        client.clusters.get("7d121425-6d47-5edc-a35c-6ce0cc2d1d56")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"version {version}" in caplog.text
    assert "2.24" in caplog.text


@pytest.mark.parametrize("version", ["2.24.7", "2.9", "2.23.0-rc1", "", None, "unknown"])
def test_other_versions_are_not(version: str | None, caplog: pytest.LogCaptureFixture) -> None:
    with clusters_of(version) as client, caplog.at_level(logging.WARNING, "runai_api"):
        assert client.clusters.list()
    assert caplog.records == []
