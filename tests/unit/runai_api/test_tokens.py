"""How tokens are got, shared, renewed and given up."""

from __future__ import annotations

import base64
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from runai_api import (
    AuthenticationFailed,
    ControlPlaneVersion,
    InvalidResponse,
    NotFound,
    RunaiClient,
    RunaiError,
    ServerError,
)

from .conftest import SECRET, Wire

CLUSTERS = "/api/v1/clusters"
V2 = "/api/v2/token"
V1 = "/api/v1/token"


def jwt(**claims: Any) -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none'})}.{part(claims)}.signature"


def bearer(request: httpx.Request) -> str:
    return request.headers["authorization"].removeprefix("Bearer ")


def test_v2_is_asked_first_with_a_form(wire: Wire, client: RunaiClient) -> None:
    wire.json("GET", CLUSTERS, [])
    client.clusters.list()
    (request,) = wire.sent("POST", V2)
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "authorization" not in request.headers
    assert parse_qs(request.content.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["me"],
        "client_secret": [SECRET],
    }
    assert client.version is ControlPlaneVersion.CURRENT
    assert client.version.has_service_accounts
    assert client.version.has_custom_roles
    assert len(wire.sent("POST", V2)) == 1


@pytest.mark.parametrize("status", [404, 405])
def test_v1_follows_where_v2_is_missing(wire: Wire, client: RunaiClient, status: int) -> None:
    wire.on("POST", V2, httpx.Response(status, text="gone"))
    wire.json("POST", V1, {"accessToken": "legacy-token"})
    wire.json("GET", CLUSTERS, [])
    client.clusters.list()
    assert client.version is ControlPlaneVersion.LEGACY
    assert not client.version.has_service_accounts
    assert json.loads(wire.sent("POST", V1)[0].content) == {
        "grantType": "client_credentials",
        "clientID": "me",
        "clientSecret": SECRET,
    }
    assert bearer(wire.sent("GET", CLUSTERS)[0]) == "legacy-token"


def test_the_answering_endpoint_is_remembered(wire: Wire, client: RunaiClient) -> None:
    wire.on("POST", V2, httpx.Response(404))
    wire.json("POST", V1, {"accessToken": "legacy-token"})
    wire.on("GET", CLUSTERS, httpx.Response(401), httpx.Response(200, json=[]))
    client.clusters.list()
    assert (len(wire.sent("POST", V2)), len(wire.sent("POST", V1))) == (1, 2)


def test_one_token_serves_many_calls(wire: Wire, client: RunaiClient) -> None:
    wire.json("GET", CLUSTERS, [])
    for _ in range(5):
        client.clusters.list()
    assert len(wire.sent("POST", V2)) == 1


@pytest.mark.parametrize("status", [400, 401])
def test_refused_credentials_are_one_clear_error(
    wire: Wire, client: RunaiClient, status: int
) -> None:
    refusal = {"error": "invalid_client", "error_description": f"bad secret {SECRET}"}
    wire.json("POST", V2, refusal, status)
    with pytest.raises(AuthenticationFailed, match="client_secret") as caught:
        client.clusters.list()
    assert caught.value.status == status
    assert SECRET not in str(caught.value)
    assert "bad secret ***" in str(caught.value)
    assert len(wire.requests) == 1


def test_no_token_endpoint_at_all_points_to_the_base_url(wire: Wire, client: RunaiClient) -> None:
    wire.on("POST", V2, httpx.Response(404))
    with pytest.raises(NotFound, match="base URL"):
        client.clusters.list()


def test_a_token_outage_is_retried_then_reported(wire: Wire, client: RunaiClient) -> None:
    wire.on("POST", V2, httpx.Response(503))
    with pytest.raises(ServerError):
        client.clusters.list()
    assert len(wire.requests) == client._session.retry.attempts


@pytest.mark.parametrize(
    "answer",
    [None, [], "text", {}, {"access_token": None}, {"access_token": 5}, {"access_token": ""}]
    + [{"access_token": text} for text in ("two words", "line\nbreak", "ünïcode")],
)
def test_unusable_tokens_are_typed_errors(wire: Wire, client: RunaiClient, answer: Any) -> None:
    wire.json("POST", V2, answer)
    with pytest.raises(InvalidResponse, match="token"):
        client.clusters.list()


@pytest.mark.parametrize("life", [None, "soon", 0, -5, True, 1e300, {}])
def test_an_odd_life_span_does_not_stop_the_client(
    wire: Wire, client: RunaiClient, life: Any
) -> None:
    wire.json("POST", V2, {"access_token": "t", "token_type": "Bearer", "expires_in": life})
    wire.json("GET", CLUSTERS, [])
    client.clusters.list()
    client.clusters.list()
    assert len(wire.sent("POST", V2)) == 1


def renewals(wire: Wire, client: RunaiClient, monkeypatch: Any, *waits: float) -> list[int]:
    """How many tokens had been fetched after each wait."""
    wire.json("GET", CLUSTERS, [])
    now = [1000.0]
    monkeypatch.setattr("runai_api._auth.time.monotonic", lambda: now[0])
    counts = []
    for wait in waits:
        now[0] += wait
        client.clusters.list()
        counts.append(len(wire.sent("POST", V2)))
    return counts


def test_a_token_is_renewed_a_minute_before_its_end(
    wire: Wire, client: RunaiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert renewals(wire, client, monkeypatch, 0, 3539, 2) == [1, 1, 2]


def test_a_short_token_is_renewed_in_its_last_fifth(
    wire: Wire, client: RunaiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire.json("POST", V2, {"access_token": "t", "token_type": "Bearer", "expires_in": 30})
    assert renewals(wire, client, monkeypatch, 0, 23, 2) == [1, 1, 2]


def test_the_claims_tell_the_end_by_the_servers_clock(
    wire: Wire, client: RunaiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server's clock is years behind; only the difference counts.
    wire.json("POST", V2, {"access_token": jwt(iat=1000, exp=1600), "token_type": "Bearer"})
    assert renewals(wire, client, monkeypatch, 0, 539, 2) == [1, 1, 2]


def test_claims_without_iat_use_our_clock(
    wire: Wire, client: RunaiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = jwt(exp=time.time() + 1000)
    wire.json("POST", V2, {"access_token": token, "token_type": "Bearer"})
    assert renewals(wire, client, monkeypatch, 0, 930, 20) == [1, 1, 2]


@pytest.mark.parametrize("token", ["a.b.c", "a.!!.c", jwt(exp="x"), jwt(), "a.W10.c", "opaque"])
def test_unreadable_claims_do_not_matter(
    wire: Wire, client: RunaiClient, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    wire.json("POST", V2, {"access_token": token, "token_type": "Bearer"})
    assert renewals(wire, client, monkeypatch, 0, 230, 20) == [1, 1, 2]


def test_a_401_is_answered_with_one_new_token(wire: Wire, client: RunaiClient) -> None:
    tokens = [
        httpx.Response(200, json={"access_token": text, "token_type": "Bearer"})
        for text in ("old", "new")
    ]
    wire.on("POST", V2, *tokens)
    wire.on("GET", CLUSTERS, httpx.Response(401), httpx.Response(200, json=[]))
    assert client.clusters.list() == []
    assert [bearer(request) for request in wire.sent("GET", CLUSTERS)] == ["old", "new"]


def test_a_second_401_is_final(wire: Wire, client: RunaiClient) -> None:
    wire.json("GET", CLUSTERS, {"code": 401, "message": "Issuer is not familiar."}, 401)
    with pytest.raises(AuthenticationFailed, match="Issuer is not familiar"):
        client.clusters.list()
    assert len(wire.sent("GET", CLUSTERS)) == 2
    assert len(wire.sent("POST", V2)) == 2


def test_a_401_on_a_write_is_repeated_once(wire: Wire, client: RunaiClient) -> None:
    created = {"id": "1", "name": "bot", "clientId": "bot", "clientSecret": "s"}
    path = "/api/v1/service-accounts"
    wire.on("POST", path, httpx.Response(401), httpx.Response(201, json=created))
    assert client.service_accounts.create("bot").id == "1"
    assert len(wire.sent("POST", path)) == 2


def test_threads_share_one_token_and_one_renewal(wire: Wire, client: RunaiClient) -> None:
    issued: list[str] = []
    asking, refused = threading.Semaphore(0), threading.Barrier(8)
    current = client._tokens.current

    def ask(deadline: Any) -> str:
        asking.release()
        return current(deadline)

    def issue(_: httpx.Request) -> httpx.Response:
        if not issued:  # the first token is made once all threads want one
            assert all(asking.acquire(timeout=10) for _ in range(8))
        issued.append(f"token-{len(issued) + 1}")
        return httpx.Response(200, json={"access_token": issued[-1], "token_type": "Bearer"})

    def list_clusters(request: httpx.Request) -> httpx.Response:
        if bearer(request) == "token-1":  # all threads are refused together
            refused.wait(timeout=10)
            return httpx.Response(401)
        return httpx.Response(200, json=[])

    client._tokens.current = ask  # type: ignore[method-assign]
    wire.on("POST", V2, issue)
    wire.on("GET", CLUSTERS, list_clusters)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: client.clusters.list(), range(8)))
    assert results == [[]] * 8
    assert issued == ["token-1", "token-2"]


def test_a_refused_renewal_hides_token_and_secret(wire: Wire, client: RunaiClient) -> None:
    wire.on("GET", CLUSTERS, httpx.Response(401))
    first = {"access_token": "canary-one", "token_type": "Bearer"}
    wire.on(
        "POST",
        V2,
        httpx.Response(200, json=first),
        httpx.Response(401, json={"error": "invalid_client", "error_description": SECRET}),
    )
    with pytest.raises(RunaiError) as caught:
        client.clusters.list()
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in str(error)
        assert "canary-one" not in str(error)
        error = error.__cause__ or error.__context__
