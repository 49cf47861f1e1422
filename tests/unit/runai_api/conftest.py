"""A scripted control plane, once behind httpx and once behind real sockets."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from runai_api import RetryPolicy, RunaiClient

SECRET = "canary-client-secret"
TOKEN = "canary.access.token"
AT_ONCE = RetryPolicy(base_delay=0.0, max_delay=0.0)

Answer = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


@dataclass
class Wire:
    """Answers in the order given (the last one for ever) and keeps what was sent."""

    answers: dict[tuple[str, str], list[Answer]] = field(default_factory=dict)
    requests: list[httpx.Request] = field(default_factory=list)
    clients: list[RunaiClient] = field(default_factory=list)

    def on(self, method: str, path: str, *answers: Answer) -> None:
        self.answers[method, path] = list(answers)

    def json(self, method: str, path: str, value: Any, status: int = 200) -> None:
        self.on(method, path, httpx.Response(status, json=value))

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        waiting = self.answers.get((request.method, request.url.path))
        if not waiting:
            return httpx.Response(404, json={"code": 404, "message": "no such route"})
        answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):  # a fresh one each time: a response is read once
            return httpx.Response(
                answer.status_code, headers=answer.headers, content=answer.content
            )
        return answer(request)

    def client(self, **arguments: Any) -> RunaiClient:
        settings = {"client_id": "me", "client_secret": SECRET, "retry": AT_ONCE, **arguments}
        client = RunaiClient(
            "https://acme.example", transport=httpx.MockTransport(self), **settings
        )
        self.clients.append(client)
        return client

    def sent(self, method: str, path: str) -> list[httpx.Request]:
        return [r for r in self.requests if (r.method, r.url.path) == (method, path)]

    def body(self, number: int = -1) -> Any:
        return json.loads(self.requests[number].content)

    def query(self, number: int = -1) -> dict[str, str]:
        found = parse_qs(self.requests[number].url.query.decode(), strict_parsing=True)
        return {name: values[0] for name, values in found.items()}


@pytest.fixture
def wire() -> Iterator[Wire]:
    script = Wire()
    token = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600}
    script.json("POST", "/api/v2/token", token)
    yield script
    for client in script.clients:
        client.close()


@pytest.fixture
def client(wire: Wire) -> RunaiClient:
    return wire.client()


class SocketServer:
    """Speaks HTTP byte by byte: each connection's requests are handed to a script.

    The script gets the request (head and body as bytes) and the socket, and may write anything,
    or nothing. It returns False to hang up.
    """

    def __init__(self, script: Callable[[bytes, socket.socket], bool]) -> None:
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests: list[bytes] = []
        self.connections = 0
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._listener.close()
        for connection in self._open:
            connection.close()
        self._thread.join(timeout=10)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while True:
                    request = read_request(connection)
                    if request is None:
                        return
                    self.requests.append(request)
                    if not self._script(request, connection):
                        connection.shutdown(socket.SHUT_RDWR)
                        return
            except OSError:
                return


def read_request(connection: socket.socket) -> bytes | None:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return None
        data += chunk
    head, body = data.split(b"\r\n\r\n", 1)
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def write_json(connection: socket.socket, value: Any, status: str = "200 OK") -> bool:
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    connection.sendall(head.encode() + b"\r\n\r\n" + body)
    return True


def give_token(request: bytes, connection: socket.socket) -> bool:
    """Answer a token request; False if it is none."""
    if b"/api/v2/token" not in request.split(b"\r\n", 1)[0]:
        return False
    return write_json(connection, {"access_token": TOKEN, "token_type": "Bearer"})


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[bytes, socket.socket], bool]], SocketServer]]:
    servers: list[SocketServer] = []

    def start(script: Callable[[bytes, socket.socket], bool]) -> SocketServer:
        servers.append(SocketServer(script))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
