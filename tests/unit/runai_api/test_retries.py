"""Which failures are tried again, for which verbs, how often, and after how long."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from runai_api import (
    AmbiguousOutcome,
    APIError,
    BadRequest,
    Conflict,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidArgument,
    InvalidResponse,
    NotFound,
    RateLimited,
    RetryPolicy,
    RunaiClient,
    ServerError,
    Timeouts,
)
from runai_api._failures import parse_retry_after

from .conftest import AT_ONCE, Wire

CLUSTERS = "/api/v1/clusters"
ACCOUNTS = "/api/v1/service-accounts"
ACCOUNT = "/api/v1/service-accounts/1"
CREDENTIAL = "/api/v1/asset/credentials/docker-registry/1"
CREATED = httpx.Response(
    201, json={"id": "1", "name": "bot", "clientId": "bot", "clientSecret": "s"}
)
ASSET = {"meta": {"id": "1", "name": "c", "scope": "project"}, "spec": {}}

CALLS: dict[str, tuple[str, str, httpx.Response, Callable[[RunaiClient], Any]]] = {
    "GET": ("GET", CLUSTERS, httpx.Response(200, json=[]), lambda c: c.clusters.list()),
    "PUT": (
        "PUT",
        CREDENTIAL,
        httpx.Response(202, json=ASSET),
        lambda c: c.registry_credentials.update("1", description="new"),
    ),
    "DELETE": ("DELETE", ACCOUNT, httpx.Response(204), lambda c: c.service_accounts.delete("1")),
    "POST": ("POST", ACCOUNTS, CREATED, lambda c: c.service_accounts.create("bot")),
    "PATCH": (
        "PATCH",
        ACCOUNT,
        httpx.Response(200),
        lambda c: c.service_accounts.set_enabled("1", False),
    ),
}
SAFE = ["GET", "PUT", "DELETE"]
UNSAFE = ["POST", "PATCH"]


def tries(wire: Wire, verb: str) -> int:
    method, path, _, _ = CALLS[verb]
    return len(wire.sent(method, path))


def run(wire: Wire, client: RunaiClient, verb: str, *before: httpx.Response | Exception) -> Any:
    method, path, success, call = CALLS[verb]
    wire.on(method, path, *before, success)
    return call(client)


BROKEN = [
    httpx.ReadError("reset"),
    httpx.WriteError("reset"),
    httpx.ReadTimeout("slow"),
    httpx.WriteTimeout("slow"),
    httpx.RemoteProtocolError("hung up"),
]
UNSENT = [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow"), httpx.PoolTimeout("busy")]


@pytest.mark.parametrize("verb", SAFE)
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_safe_verbs_are_repeated_after_passing_troubles(
    wire: Wire, client: RunaiClient, verb: str, status: int
) -> None:
    run(wire, client, verb, httpx.Response(status), httpx.Response(status))
    assert tries(wire, verb) == 3


@pytest.mark.parametrize("verb", SAFE)
@pytest.mark.parametrize("failure", BROKEN + UNSENT, ids=lambda e: type(e).__name__)
def test_safe_verbs_are_repeated_after_broken_connections(
    wire: Wire, client: RunaiClient, verb: str, failure: Exception
) -> None:
    run(wire, client, verb, failure, failure)
    assert tries(wire, verb) == 3


@pytest.mark.parametrize("verb", UNSAFE)
@pytest.mark.parametrize("failure", UNSENT, ids=lambda e: type(e).__name__)
def test_writes_are_repeated_if_they_never_left(
    wire: Wire, client: RunaiClient, verb: str, failure: Exception
) -> None:
    run(wire, client, verb, failure, failure)
    assert tries(wire, verb) == 3


@pytest.mark.parametrize("verb", UNSAFE)
@pytest.mark.parametrize(
    "refusal",
    [httpx.Response(429), httpx.Response(503, headers={"Retry-After": "0"})],
    ids=["429", "503 with Retry-After"],
)
def test_writes_are_repeated_if_the_server_turned_them_away(
    wire: Wire, client: RunaiClient, verb: str, refusal: httpx.Response
) -> None:
    run(wire, client, verb, refusal, refusal)
    assert tries(wire, verb) == 3


@pytest.mark.parametrize("verb", UNSAFE)
@pytest.mark.parametrize("failure", BROKEN, ids=lambda e: type(e).__name__)
def test_writes_with_a_lost_answer_are_ambiguous(
    wire: Wire, client: RunaiClient, verb: str, failure: Exception
) -> None:
    with pytest.raises(AmbiguousOutcome, match="may have been carried out") as caught:
        run(wire, client, verb, failure)
    assert tries(wire, verb) == 1
    assert caught.value.method == verb
    assert caught.value.status is None
    assert isinstance(caught.value.__cause__, ConnectionFailed)


@pytest.mark.parametrize("verb", UNSAFE)
@pytest.mark.parametrize("status", [500, 502, 503, 504, 524])
def test_writes_that_met_a_server_error_are_ambiguous(
    wire: Wire, client: RunaiClient, verb: str, status: int
) -> None:
    with pytest.raises(AmbiguousOutcome) as caught:
        run(wire, client, verb, httpx.Response(status, json={"message": "oops"}))
    assert tries(wire, verb) == 1
    assert caught.value.status == status
    assert "oops" in str(caught.value)


@pytest.mark.parametrize("verb", UNSAFE)
@pytest.mark.parametrize("status", [501, 505])
def test_writes_that_the_server_cannot_do_are_plain_errors(
    wire: Wire, client: RunaiClient, verb: str, status: int
) -> None:
    with pytest.raises(ServerError):
        run(wire, client, verb, httpx.Response(status))
    assert tries(wire, verb) == 1


@pytest.mark.parametrize("verb", CALLS)
@pytest.mark.parametrize(
    ("status", "kind"), [(400, BadRequest), (409, Conflict), (405, APIError), (418, APIError)]
)
def test_refusals_are_never_repeated(
    wire: Wire, client: RunaiClient, verb: str, status: int, kind: type[APIError]
) -> None:
    with pytest.raises(kind) as caught:
        run(wire, client, verb, httpx.Response(status))
    assert type(caught.value) is kind
    assert tries(wire, verb) == 1


def test_the_last_failure_is_raised_when_the_tries_are_used_up(wire: Wire) -> None:
    client = wire.client(retry=RetryPolicy(attempts=2, base_delay=0))
    with pytest.raises(ServerError):
        run(wire, client, "GET", *[httpx.Response(502)] * 5)
    assert tries(wire, "GET") == 2
    with pytest.raises(ConnectionFailed):
        run(wire, client, "GET", *[httpx.ReadError("reset")] * 5)


def test_one_attempt_means_no_repetition(wire: Wire) -> None:
    client = wire.client(retry=RetryPolicy(attempts=1))
    with pytest.raises(ServerError):
        run(wire, client, "GET", httpx.Response(503))
    assert tries(wire, "GET") == 1


@pytest.mark.parametrize(
    "before", [httpx.ReadError("reset"), httpx.Response(502), httpx.Response(429)]
)
def test_a_deletion_that_finds_nothing_on_its_second_try_is_done(
    wire: Wire, client: RunaiClient, before: httpx.Response | Exception
) -> None:
    wire.on("DELETE", ACCOUNT, before, httpx.Response(404))
    client.service_accounts.delete("1")
    assert tries(wire, "DELETE") == 2


def test_a_deletion_that_finds_nothing_at_first_says_so(wire: Wire, client: RunaiClient) -> None:
    wire.on("DELETE", ACCOUNT, httpx.Response(404))
    with pytest.raises(NotFound):
        client.service_accounts.delete("1")


def test_a_new_token_does_not_turn_a_404_into_success(wire: Wire, client: RunaiClient) -> None:
    wire.on("DELETE", ACCOUNT, httpx.Response(401), httpx.Response(404))
    with pytest.raises(NotFound):
        client.service_accounts.delete("1")


def test_reading_posts_are_repeated(wire: Wire, client: RunaiClient) -> None:
    path = "/api/v1/authorization/permitted-scopes"
    wire.on("POST", path, httpx.ReadError("reset"), httpx.Response(200, json={}))
    client.permissions.permitted_scopes("trainings", "create")
    assert len(wire.sent("POST", path)) == 2


# --- pauses


def pauses(wire: Wire, policy: RetryPolicy, answer: httpx.Response) -> list[float]:
    client = wire.client(retry=policy)
    seen: list[float] = []
    client._session.sleep = seen.append
    with pytest.raises(APIError):
        run(wire, client, "GET", *[answer] * policy.attempts)
    return seen


def test_pauses_grow_up_to_a_cap_with_jitter(wire: Wire) -> None:
    policy = RetryPolicy(attempts=7, base_delay=1.0, max_delay=8.0)
    runs = [pauses(wire, policy, httpx.Response(503)) for _ in range(20)]
    for number, longest in enumerate([1, 2, 4, 8, 8, 8]):
        column = [run[number] for run in runs]
        assert all(longest / 2 <= pause <= longest for pause in column)
        assert len(set(column)) > 10


@pytest.mark.parametrize("status", [429, 503])
def test_the_server_may_name_the_pause(wire: Wire, status: int) -> None:
    answer = httpx.Response(status, headers={"Retry-After": "7"})
    assert pauses(wire, RetryPolicy(attempts=3), answer) == [7.0, 7.0]


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (503, ServerError)])
def test_a_pause_beyond_the_ceiling_is_reported_not_slept(
    wire: Wire, status: int, kind: type[RateLimited | ServerError]
) -> None:
    client = wire.client(retry=RetryPolicy(retry_after_ceiling=60))
    client._session.sleep = lambda _: pytest.fail("slept")
    with pytest.raises(kind) as caught:
        run(wire, client, "GET", httpx.Response(status, headers={"Retry-After": "61"}))
    assert caught.value.retry_after == 61  # type: ignore[attr-defined]
    assert tries(wire, "GET") == 1


def test_a_pause_beyond_the_deadline_is_reported_not_slept(wire: Wire) -> None:
    client = wire.client(timeouts=Timeouts(total=5))
    client._session.sleep = lambda _: pytest.fail("slept")
    with pytest.raises(RateLimited):
        run(wire, client, "GET", httpx.Response(429, headers={"Retry-After": "30"}))


def test_own_pauses_end_at_the_deadline(wire: Wire) -> None:
    client = wire.client(timeouts=Timeouts(total=5), retry=RetryPolicy(base_delay=60, max_delay=60))
    client._session.sleep = lambda _: pytest.fail("slept")
    with pytest.raises(DeadlineExceeded, match="502") as caught:
        run(wire, client, "GET", httpx.Response(502))
    assert isinstance(caught.value.__cause__, ServerError)


def test_nothing_is_sent_after_the_deadline(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    client = wire.client(timeouts=Timeouts(total=10), retry=RetryPolicy(base_delay=1, max_delay=1))
    assert client.version  # the token is there
    now = [0.0]
    monkeypatch.setattr("runai_api._http.time.monotonic", lambda: now[0])
    client._session.sleep = lambda _: now.__setitem__(0, 11.0)
    with pytest.raises(DeadlineExceeded):
        run(wire, client, "GET", httpx.Response(502), httpx.Response(502))
    assert tries(wire, "GET") == 1


NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("0", 0.0),
        (" 12 ", 12.0),
        ("9" * 400, 999999999.0),
        (format_datetime(NOW + timedelta(seconds=30), usegmt=True), 30.0),
        (format_datetime(NOW - timedelta(seconds=30), usegmt=True), 0.0),
        ("Fri, 99 Foo 2026 12:00:30 GMT", None),
        ("²", None),
    ],
)
def test_retry_after_in_all_its_forms(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header, NOW) == seconds


# --- answers that are not what they should be


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("verb", CALLS)
def test_redirects_are_not_followed(
    wire: Wire, client: RunaiClient, verb: str, status: int
) -> None:
    wire.json("GET", "/elsewhere", [])
    away = {"Location": "https://evil.example/elsewhere?token=abc"}
    with pytest.raises(InvalidResponse, match=r"redirect to https://evil\.example;") as caught:
        run(wire, client, verb, httpx.Response(status, headers=away))
    assert "abc" not in str(caught.value)
    assert {request.url.host for request in wire.requests} == {"acme.example"}


def test_a_page_of_html_is_explained(wire: Wire, client: RunaiClient) -> None:
    wire.on("GET", CLUSTERS, httpx.Response(200, html="<html>log in</html>"))
    with pytest.raises(InvalidResponse, match=r"not JSON \(text/html.*login page") as caught:
        client.clusters.list()
    assert "<html>" not in str(caught.value)


def test_a_write_with_an_unreadable_success_is_ambiguous(wire: Wire, client: RunaiClient) -> None:
    wire.on("POST", ACCOUNTS, httpx.Response(201, text="{cut of"))
    with pytest.raises(AmbiguousOutcome) as caught:
        client.service_accounts.create("bot")
    assert isinstance(caught.value.__cause__, InvalidResponse)
    wire.json("POST", ACCOUNTS, {"id": "1"}, 201)
    with pytest.raises(AmbiguousOutcome, match="was carried out"):
        client.service_accounts.create("bot")


@pytest.mark.parametrize(
    "value", [float("nan"), object(), b"bytes", {1, 2}], ids=["nan", "object", "bytes", "set"]
)
def test_a_body_that_is_no_json_is_refused_before_it_is_sent(
    wire: Wire, client: RunaiClient, value: Any
) -> None:
    body = {"name": "a", "projectId": "1", "spec": {"args": value}}
    with pytest.raises(InvalidArgument):
        client.trainings.create(body)
    assert wire.requests == []


@pytest.mark.parametrize("bad", ["", " ", ".", ".."])
def test_ids_that_would_change_the_path_are_refused(
    wire: Wire, client: RunaiClient, bad: str
) -> None:
    with pytest.raises(InvalidArgument):
        client.service_accounts.delete(bad)
    assert wire.requests == []


@pytest.mark.parametrize("odd", ["a/b", "../projects", "a?b=c", "a#b", "a%2Fb", "ü", "a_b"])
def test_odd_ids_stay_one_segment(wire: Wire, client: RunaiClient, odd: str) -> None:
    with pytest.raises(NotFound):
        client.service_accounts.get(odd)
    sent = wire.requests[-1].url
    assert sent.raw_path.count(b"/") == ACCOUNTS.count("/") + 1
    assert sent.path == f"{ACCOUNTS}/{odd}"
    assert sent.query == b""


@pytest.mark.parametrize("arguments", [{"attempts": 0}, {"base_delay": -1}, {"max_delay": -0.1}])
def test_impossible_policies_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        RetryPolicy(**arguments)


@pytest.mark.parametrize("name", ["connect", "read", "write", "pool", "total"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_impossible_timeouts_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        Timeouts(**{name: value})


def test_the_test_policy_does_not_wait() -> None:
    assert AT_ONCE.base_delay == 0
