"""Waiting for rules and credentials to reach the clusters."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from runai_api import DeadlineExceeded, ResourceFailed, RunaiClient, _constants

from .conftest import Wire

RULE = "/api/v1/authorization/access-rules/7"
CREDENTIAL = "/api/v1/asset/credentials/docker-registry/c1"


def rule(phase: str | None, **fields: Any) -> dict[str, Any]:
    status = {} if phase is None else {"status": {"phase": phase, "message": "why", "details": "x"}}
    return {
        "id": 7,
        "subjectId": "bot",
        "subjectType": "service-account",
        "roleId": 5,
        "scopeId": "1",
        "scopeType": "project",
        **status,
        **fields,
    }


def credential(status: str | None, name: str | None = "dockerregistry-reg") -> dict[str, Any]:
    answer: dict[str, Any] = {
        "meta": {"id": "c1", "name": "reg", "scope": "project", "projectId": 1},
        "spec": {"url": "https://r", "keyId": 1},
    }
    if status is not None:
        issues = [{"scopeId": "1", "scopeType": "project", "issue": "NotCreated"}]
        answer["status"] = {"status": status, "issues": issues, "message": "why"}
    if name:
        answer["clusterInfo"] = {"resources": [None, {}, {"name": name}]}
    return answer


def script(wire: Wire, path: str, *states: dict[str, Any]) -> None:
    wire.on("GET", path, *[httpx.Response(200, json=state) for state in states])


def without_sleep(client: RunaiClient) -> list[float]:
    slept: list[float] = []
    client._session.sleep = slept.append
    return slept


@pytest.mark.parametrize("last", [rule("Ready"), rule(None)], ids=["Ready", "no status"])
def test_a_rule_is_asked_for_until_it_is_ready(
    wire: Wire, client: RunaiClient, last: dict[str, Any]
) -> None:
    slept = without_sleep(client)
    script(wire, RULE, rule("Creating"), rule("Frobnicating"), last)
    assert client.access_rules.wait_ready(7).id == 7
    assert len(wire.sent("GET", RULE)) == 3
    assert slept[0] == _constants.READY_FIRST_PAUSE_SECONDS
    assert slept[0] < slept[1]


def test_pauses_grow_to_a_cap(wire: Wire, client: RunaiClient) -> None:
    slept = without_sleep(client)
    script(wire, RULE, *[rule("Creating")] * 20, rule("Ready"))
    client.access_rules.wait_ready(7)
    assert slept == sorted(slept)
    assert max(slept) == _constants.READY_MAX_PAUSE_SECONDS


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        (rule("NotReady"), "NotReady"),
        (rule("Deleting"), "Deleting"),
        (rule("Ready", deletedAt="2026-01-01T00:00:00Z"), "Deleting"),
    ],
)
def test_a_rule_that_fails_is_a_typed_error(
    wire: Wire, client: RunaiClient, state: dict[str, Any], phase: str
) -> None:
    without_sleep(client)
    script(wire, RULE, rule("Creating"), state)
    with pytest.raises(ResourceFailed, match=phase) as caught:
        client.access_rules.wait_ready(7)
    assert caught.value.phase == phase
    assert caught.value.resource == "access rule 7"


@pytest.mark.parametrize("status", ["No issues found", "No status", None])
def test_a_credential_that_is_there_is_ready(
    wire: Wire, client: RunaiClient, status: str | None
) -> None:
    without_sleep(client)
    script(wire, CREDENTIAL, credential("Creating", None), credential(status))
    ready = client.registry_credentials.wait_ready("c1")
    assert ready.kubernetes_secret_name == "dockerregistry-reg"
    assert wire.query()["statusInfo"] == "true"


@pytest.mark.parametrize("status", ["Creating", "Updating", "Something new", None])
def test_a_credential_that_is_not_there_yet_is_waited_for(
    wire: Wire, client: RunaiClient, status: str | None
) -> None:
    without_sleep(client)
    script(wire, CREDENTIAL, credential(status, None), credential("No issues found"))
    client.registry_credentials.wait_ready("c1")
    assert len(wire.sent("GET", CREDENTIAL)) == 2


@pytest.mark.parametrize("status", ["Failed", "Issues found", "Deletion failed", "Deleting"])
def test_a_credential_that_fails_is_a_typed_error(
    wire: Wire, client: RunaiClient, status: str
) -> None:
    script(wire, CREDENTIAL, credential(status))
    with pytest.raises(ResourceFailed, match="why; project 1: NotCreated") as caught:
        client.registry_credentials.wait_ready("c1")
    assert caught.value.phase == status


def test_the_wait_ends_at_its_deadline(
    wire: Wire, client: RunaiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.version  # the token is there
    now = [0.0]
    monkeypatch.setattr("runai_api._http.time.monotonic", lambda: now[0])

    def sleep(seconds: float) -> None:
        now[0] += seconds

    client._session.sleep = sleep
    script(wire, RULE, rule("Creating"))
    with pytest.raises(DeadlineExceeded, match="not ready within 10 s; it is Creating"):
        client.access_rules.wait_ready(7, timeout=10)
    assert now[0] == pytest.approx(10)
    assert len(wire.sent("GET", RULE)) < 10


def test_an_existing_secret_keeps_its_name(wire: Wire, client: RunaiClient) -> None:
    answer = credential("No issues found", None)
    answer["spec"] = {"existingSecretName": "pull-me"}
    script(wire, CREDENTIAL, answer)
    assert client.registry_credentials.wait_ready("c1").kubernetes_secret_name == "pull-me"
