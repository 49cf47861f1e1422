"""Faults before a control plane that keeps its state: nothing is doubled, nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from runai_api import (
    AmbiguousOutcome,
    AuthenticationFailed,
    NotFound,
    RateLimited,
    RetryPolicy,
    RunaiClient,
    Timeouts,
)

ACCOUNTS = "/api/v1/service-accounts"


@pytest.fixture
def client(emulator: Any) -> Iterator[RunaiClient]:
    with RunaiClient(
        emulator.base_url,
        client_id=emulator.admin_id,
        client_secret=emulator.admin_secret,
        retry=RetryPolicy(base_delay=0.01, max_delay=0.02),
        timeouts=Timeouts(read=5, total=20),
    ) as made:
        assert made.version  # the token is there
        yield made


def count(emulator: Any, method: str, path: str) -> int:
    return sum((r["method"], r["path"]) == (method, path) for r in emulator.requests())


@pytest.mark.parametrize(
    ("fault", "happened"),
    [
        ({"kind": "reset-before"}, 0),
        ({"kind": "reset-after"}, 1),
        ({"kind": "status", "status": 500, "committed": True}, 1),
        ({"kind": "status", "status": 502, "committed": True}, 1),
        ({"kind": "status", "status": 503}, 0),
        ({"kind": "status", "status": 504, "committed": True}, 1),
        ({"kind": "truncate"}, 1),
        ({"kind": "content-type"}, 1),
        ({"kind": "conflict-after-lost-answer"}, 1),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else None,
)
def test_a_creation_is_never_repeated_blindly(
    client: RunaiClient, emulator: Any, fault: dict[str, Any], happened: int
) -> None:
    emulator.add_fault(method="POST", path=ACCOUNTS, times=1, **fault)
    with pytest.raises(AmbiguousOutcome):
        client.service_accounts.create("bot")
    assert sum(account.name == "bot" for account in client.service_accounts.list()) == happened
    assert (client.service_accounts.find("bot") is not None) == bool(happened)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 429},
        {"kind": "status", "status": 429, "retry_after": 0},
        {"kind": "status", "status": 503, "retry_after": 0},
    ],
    ids=["429", "429 with pause", "503 with pause"],
)
def test_a_creation_that_was_turned_away_is_repeated(
    client: RunaiClient, emulator: Any, fault: dict[str, Any]
) -> None:
    emulator.add_fault(method="POST", path=ACCOUNTS, times=2, **fault)
    assert client.service_accounts.create("bot").name == "bot"
    assert [account.name for account in client.service_accounts.list()].count("bot") == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "reset-before"},
        {"kind": "reset-after"},
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 503},
        {"kind": "truncate"},
    ],
    ids=lambda fault: "-".join(map(str, fault.values())),
)
def test_reading_survives(client: RunaiClient, emulator: Any, fault: dict[str, Any]) -> None:
    path = "/api/v1/org-unit/projects"
    emulator.add_fault(method="GET", path=path, times=2, **fault)
    assert client.projects.find("ml-team") is not None


@pytest.mark.parametrize("fault", ["reset-before", "reset-after", "truncate"])
def test_a_deletion_is_carried_out_once_and_reported_once(
    client: RunaiClient, emulator: Any, fault: str
) -> None:
    account = client.service_accounts.create("bot")
    emulator.add_fault(method="DELETE", path=f"{ACCOUNTS}/{account.id}", kind=fault, times=1)
    client.service_accounts.delete(account.id)
    with pytest.raises(NotFound):
        client.service_accounts.get(account.id)


def test_a_secret_lost_on_the_way_is_made_again(client: RunaiClient, emulator: Any) -> None:
    account = client.service_accounts.create("bot")
    path = f"{ACCOUNTS}/{account.id}/secret"
    emulator.add_fault(method="POST", path=path, kind="reset-after", times=1)
    secret = client.service_accounts.regenerate_secret(account.id)
    with RunaiClient(client.base_url, client_id=account.client_id, client_secret=secret) as own:
        assert own.permissions.mine() == []


def test_tokens_that_end_under_way_are_renewed_once(client: RunaiClient, emulator: Any) -> None:
    emulator.forget_requests()
    emulator.add_fault(method="POST", path=ACCOUNTS, kind="expire-tokens", times=1)
    assert client.service_accounts.create("bot").name == "bot"
    assert count(emulator, "POST", "/api/v2/token") == 1
    assert count(emulator, "POST", ACCOUNTS) == 2


def test_tokens_that_never_hold_are_given_up(client: RunaiClient, emulator: Any) -> None:
    emulator.forget_requests()
    emulator.add_fault(path="/api/v1/clusters", kind="expire-tokens", times=5)
    with pytest.raises(AuthenticationFailed):
        client.clusters.list()
    assert count(emulator, "POST", "/api/v2/token") == 1


def test_a_long_pause_is_reported(client: RunaiClient, emulator: Any) -> None:
    fault = {"kind": "status", "status": 429, "retry_after": 3600}
    emulator.add_fault(method="GET", path="/api/v1/clusters", **fault)
    with pytest.raises(RateLimited) as caught:
        client.clusters.list()
    assert caught.value.retry_after == 3600
