"""Fault rules over a real socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import httpx
import pytest

from runai_emulator.testing import run_in_thread

ACCOUNTS = "/api/v1/service-accounts"


@pytest.fixture(scope="module")
def server():
    with run_in_thread(async_delay=0) as emulator:
        yield emulator


@pytest.fixture
def client(server) -> Iterator[httpx.Client]:
    server.reset()
    with httpx.Client(base_url=server.base_url, timeout=10, trust_env=False) as client:
        log_in(client)
        yield client


def log_in(client: httpx.Client) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": "emulator-admin",
        "client_secret": "emulator-admin-secret",
    }
    token = client.post("/api/v2/token", data=form).json()["access_token"]
    client.headers["Authorization"] = f"Bearer {token}"


def create(client: httpx.Client, name: str = "victim") -> httpx.Response:
    return client.post(ACCOUNTS, json={"name": name})


def names(client: httpx.Client) -> list[str]:
    return [row["name"] for row in client.get(ACCOUNTS).json()]


def rule(kind: str, **more) -> dict:
    return {"method": "POST", "path": ACCOUNTS, "kind": kind} | more


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize(("kind", "made"), [("reset-before", False), ("reset-after", True)])
def test_resets(server, client, kind, how, made):
    server.add_fault(**rule(kind, how=how))
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        create(client)
    assert ("victim" in names(client)) is made
    (entry,) = [one for one in server.requests() if one["path"] == ACCOUNTS and "fault" in one]
    assert entry["fault"] == kind
    assert entry["status"] == (201 if made else None)


@pytest.mark.parametrize(("committed", "made"), [(False, False), (True, True)])
@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_statuses(server, client, status, committed, made):
    server.add_fault(**rule("status", status=status, retry_after=2, committed=committed))
    answer = create(client)
    assert (answer.status_code, answer.headers["retry-after"]) == (status, "2")
    assert answer.json()["code"] == status
    assert ("victim" in names(client)) is made


def test_truncated(server, client):
    server.add_fault(**rule("truncate"))
    with pytest.raises(httpx.RemoteProtocolError):
        create(client)
    assert "victim" in names(client)


@pytest.mark.parametrize(("committed", "made"), [(False, False), (True, True)])
def test_content_type(server, client, committed, made):
    server.add_fault(**rule("content-type", committed=committed))
    answer = create(client)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html"
    assert ("victim" in names(client)) is made


def test_drip_and_latency(server, client):
    server.add_fault(**rule("drip", chunk=40, seconds=0.001))
    assert create(client).json()["name"] == "victim"
    server.add_fault(**rule("latency", seconds=60))
    with pytest.raises(httpx.ReadTimeout):
        client.post(ACCOUNTS, json={"name": "late"}, timeout=0.2)


def test_expired_tokens(server, client):
    server.add_fault(**rule("expire-tokens"))
    assert create(client).status_code == 401
    assert client.get(ACCOUNTS).status_code == 401
    log_in(client)
    assert create(client).status_code == 201


def test_stale_lists(server, client):
    create(client, "doomed")
    doomed = client.get(ACCOUNTS).json()[-1]["id"]
    server.advance_clock(60)
    client.delete(f"{ACCOUNTS}/{doomed}")
    create(client, "newborn")
    server.add_fault(method="GET", path=ACCOUNTS, kind="stale-list")
    assert names(client) == ["emulator-admin", "doomed"]
    assert names(client) == ["emulator-admin", "newborn"]


def test_conflict_after_lost_answer(server, client):
    """Access rules answer 409 by themselves; roles get it here for the very same request only."""
    path = "/api/v1/asset/credentials/password"
    server.add_fault(method="POST", path=path, kind="conflict-after-lost-answer")
    meta = {"name": "n", "scope": "project", "projectId": 1001}
    body = {"meta": meta, "spec": {"user": "u", "password": "p"}}
    with pytest.raises(httpx.ReadError):
        client.post(path, json=body)
    assert client.post(path, json=body).status_code == 409
    assert len(client.get(path).json()["entries"]) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_held_requests(server, client, when):
    fault = server.add_fault(**rule("hold", when=when))
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(
            httpx.post(
                server.base_url + ACCOUNTS, json={"name": "held"}, headers=client.headers
            ).status_code
        )
    )
    thread.start()
    held = server.admin("GET", f"/_emulator/faults/{fault['id']}?holding=1&wait=10")
    assert (held["holding"], held["hits"]) == (1, 1)
    assert ("held" in names(client)) is (when == "after")
    assert answers == []
    server.admin("POST", f"/_emulator/faults/{fault['id']}/release")
    thread.join(10)
    assert answers == [201]


def test_a_held_request_whose_client_has_gone_is_never_processed(server, client):
    fault = server.add_fault(**rule("hold", when="before"))
    with pytest.raises(httpx.ReadTimeout):
        client.post(ACCOUNTS, json={"name": "held"}, timeout=0.2)
    gone = server.admin("GET", f"/_emulator/faults/{fault['id']}")
    while gone["holding"]:
        gone = server.admin("GET", f"/_emulator/faults/{fault['id']}")
    server.clear_faults()
    assert "held" not in names(client)


def test_skip_times_and_counters(server, client):
    server.add_fault(**rule("status", skip=1, times=2))
    statuses = [create(client, f"n-{number}").status_code for number in range(5)]
    assert statuses == [201, 500, 500, 201, 201]
    (view,) = server.admin("GET", "/_emulator/faults")["faults"]
    assert (view["seen"], view["hits"]) == (5, 2)


@pytest.mark.parametrize(
    ("match", "hit"),
    [
        ({"method": "GET", "path": "/api/v1/clusters"}, True),
        ({"path": "/api/v1/*"}, True),
        ({"path_regex": r"/api/v\d/clus.*"}, True),
        ({}, True),
        ({"client": "emulator-admin"}, True),
        ({"client": "someone-else"}, False),
        ({"method": "POST", "path": "/api/v1/clusters"}, False),
        ({"path": "/api/v1/cluster"}, False),
        ({"path_regex": "clusters"}, False),
    ],
)
def test_matching(server, client, match, hit):
    server.add_fault(kind="status", status=503, **match)
    assert client.get("/api/v1/clusters").status_code == (503 if hit else 200)


@pytest.mark.parametrize(
    "bad",
    [
        {"kind": "explode"},
        {},
        {"kind": "status", "status": 200},
        {"kind": "status", "times": 0},
        {"kind": "latency", "seconds": -1},
        {"kind": "status", "path": "/a", "path_regex": "b"},
        {"kind": "status", "path_regex": "("},
        {"kind": "status", "patth": "/a"},
        {"kind": "hold", "when": "during"},
    ],
)
def test_bad_rules_are_refused(server, client, bad):
    answer = client.post("/_emulator/faults", json=[{"kind": "status"}, bad])
    assert answer.status_code == 400
    assert server.admin("GET", "/_emulator/faults") == {"faults": []}
