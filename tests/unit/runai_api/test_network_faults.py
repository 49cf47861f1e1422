"""Faults of a real connection: hang-ups, silence, drips, cuts, wrong bytes."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from typing import Any

import pytest

from runai_api import (
    AmbiguousOutcome,
    ConfigurationError,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidResponse,
    RetryPolicy,
    RunaiClient,
    Timeouts,
    _constants,
)

from .conftest import AT_ONCE, SECRET, TOKEN, give_token, write_json


def connect(url: str, **arguments: Any) -> RunaiClient:
    settings: dict[str, Any] = {"client_id": "me", "client_secret": SECRET, "retry": AT_ONCE}
    return RunaiClient(url, **{**settings, **arguments})


def lines(request: bytes) -> str:
    return request.split(b"\r\n", 1)[0].decode()


def test_connections_are_kept(serve: Any) -> None:
    def script(request: bytes, connection: socket.socket) -> bool:
        return give_token(request, connection) or write_json(connection, [])

    server = serve(script)
    with connect(server.url) as client:
        for _ in range(5):
            client.clusters.list()
    assert len(server.requests) == 6
    assert server.connections == 1


def test_the_headers_are_as_the_api_wants_them(serve: Any) -> None:
    def script(request: bytes, connection: socket.socket) -> bool:
        return give_token(request, connection) or write_json(connection, [])

    server = serve(script)
    with connect(server.url) as client:
        client.clusters.list()
    head = server.requests[1].decode().lower()
    assert f"authorization: bearer {TOKEN}" in head
    assert "accept: application/json" in head
    assert "user-agent: zenml-runai/" in head


def test_a_hang_up_before_the_answer_is_survived_by_reads_only(serve: Any) -> None:
    dropped: list[str] = []

    def script(request: bytes, connection: socket.socket) -> bool:
        if give_token(request, connection):
            return True
        if lines(request) not in dropped:
            dropped.append(lines(request))
            return False
        return write_json(connection, [])

    server = serve(script)
    with connect(server.url) as client:
        assert client.clusters.list() == []
        with pytest.raises(AmbiguousOutcome):
            client.service_accounts.create("bot")
    posts = [r for r in server.requests if lines(r).startswith("POST /api/v1/service-accounts")]
    assert len(posts) == 1


def test_a_body_that_ends_too_early_is_noticed(serve: Any) -> None:
    def script(request: bytes, connection: socket.socket) -> bool:
        if give_token(request, connection):
            return True
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
        connection.sendall(head + b'[{"uuid":')
        return False

    with connect(serve(script).url) as client:
        with pytest.raises(ConnectionFailed, match="broke before the answer was complete"):
            client.clusters.list()
        with pytest.raises(AmbiguousOutcome):
            client.service_accounts.create("bot")


def test_bytes_that_are_no_http_are_a_typed_error(serve: Any) -> None:
    def script(request: bytes, connection: socket.socket) -> bool:
        connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
        return False

    with connect(serve(script).url) as client, pytest.raises(ConnectionFailed):
        client.clusters.list()


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_body_that_cannot_be_unpacked_is_a_typed_error(serve: Any, encoding: str) -> None:
    def script(request: bytes, connection: socket.socket) -> bool:
        if give_token(request, connection):
            return True
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: 9\r\n\r\n"
        connection.sendall(head.encode() + b"not gzip!")
        return True

    with connect(serve(script).url) as client, pytest.raises(ConnectionFailed):
        client.clusters.list()


def test_a_compressed_body_is_read(serve: Any) -> None:
    def script(request: bytes, connection: socket.socket) -> bool:
        if give_token(request, connection):
            return True
        body = gzip.compress(json.dumps([{"uuid": "u", "name": "one"}]).encode())
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        return True

    with connect(serve(script).url) as client:
        assert client.clusters.list()[0].name == "one"


def test_silence_is_waited_for_no_longer_than_allowed(serve: Any) -> None:
    quiet = threading.Event()

    def script(request: bytes, connection: socket.socket) -> bool:
        if give_token(request, connection):
            return True
        quiet.wait(30)
        return False

    server = serve(script)
    timeouts = Timeouts(read=0.2)
    with connect(server.url, timeouts=timeouts, retry=RetryPolicy(attempts=2, base_delay=0)) as c:
        with pytest.raises(ConnectionFailed, match=r"did not answer within 0\.2 s"):
            c.clusters.list()
        with pytest.raises(AmbiguousOutcome, match="did not answer"):
            c.service_accounts.create("bot")
    quiet.set()
    assert len(server.requests) == 1 + 2 + 1


def drip(connection: socket.socket, data: bytes, stop: threading.Event) -> None:
    for byte in data:
        connection.sendall(bytes([byte]))
        if stop.wait(0.05):
            return


def test_a_body_that_drips_ends_at_the_deadline(serve: Any) -> None:
    stop = threading.Event()

    def script(request: bytes, connection: socket.socket) -> bool:
        if give_token(request, connection):
            return True
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        drip(connection, b"x" * 100000, stop)
        return False

    with connect(serve(script).url, timeouts=Timeouts(read=10, total=0.6)) as client:
        client.version  # noqa: B018  (the token is there)
        with pytest.raises(DeadlineExceeded):
            client.clusters.list()
        with pytest.raises(AmbiguousOutcome):
            client.service_accounts.create("bot")
    stop.set()


def test_an_answer_beyond_the_cap_is_not_read_to_its_end(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_constants, "MAX_RESPONSE_BYTES", 1024 * 1024)
    sent = [0]

    def script(request: bytes, connection: socket.socket) -> bool:
        if give_token(request, connection):
            return True
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        for _ in range(1000):
            connection.sendall(b"[" * 1_000_000)
            sent[0] += 1
        return False

    server = serve(script)
    with connect(server.url) as client, pytest.raises(InvalidResponse, match="exceeds 1 MiB"):
        client.clusters.list()
    assert sent[0] < 100
    assert len(server.requests) == 2  # not asked for again


def test_a_small_body_that_unpacks_to_a_huge_one_is_stopped(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_constants, "MAX_RESPONSE_BYTES", 1024 * 1024)

    def script(request: bytes, connection: socket.socket) -> bool:
        if give_token(request, connection):
            return True
        body = gzip.compress(b" " * 50_000_000)
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        return True

    with connect(serve(script).url) as client, pytest.raises(InvalidResponse, match="exceeds"):
        client.clusters.list()


def test_a_refused_connection_is_explained() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with connect(url) as client, pytest.raises(ConnectionFailed, match=r"refused.*base URL"):
        client.clusters.list()


@pytest.mark.parametrize(("problem", "asked"), [("EAI_NONAME", 1), ("EAI_AGAIN", 3)])
def test_an_unknown_host_is_explained_and_a_busy_name_service_asked_again(
    monkeypatch: pytest.MonkeyPatch, problem: str, asked: int
) -> None:
    looked_up: list[str] = []

    def look_up(host: str, *_: Any, **__: Any) -> Any:
        looked_up.append(host)
        raise socket.gaierror(getattr(socket, problem), "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    policy = RetryPolicy(attempts=3, base_delay=0)
    client = connect("https://no-such-host.invalid", retry=policy)
    with client, pytest.raises(ConnectionFailed, match=r"no-such-host\.invalid is unknown"):
        client.clusters.list()
    assert len(looked_up) == asked


def test_a_failed_write_is_repeated_on_a_new_connection(serve: Any) -> None:
    """The server closes idle connections: the client notices before it writes."""
    closed = threading.Event()

    def script(request: bytes, connection: socket.socket) -> bool:
        if give_token(request, connection):
            connection.shutdown(socket.SHUT_RDWR)
            closed.set()
            return False
        account = {"id": "1", "name": "bot", "clientId": "bot", "clientSecret": "s"}
        return write_json(connection, account, "201 Created")

    server = serve(script)
    with connect(server.url) as client:
        assert client.version
        assert closed.wait(10)
        assert client.service_accounts.create("bot").id == "1"
    assert server.connections == 2


def test_a_closed_client_says_so(serve: Any) -> None:
    def script(request: bytes, connection: socket.socket) -> bool:
        return give_token(request, connection) or write_json(connection, [])

    client = connect(serve(script).url)
    client.clusters.list()
    client.close()
    with pytest.raises(ConfigurationError, match="closed"):
        client.clusters.list()
