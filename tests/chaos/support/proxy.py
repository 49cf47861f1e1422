"""A proxy in front of both servers: one counter sees all requests, in order, and faults go in here.

It runs in a thread with an event loop of its own. The real servers stay real: every request that
is let through is answered by them.
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

HOST = "127.0.0.1"
#: Answers of the faults `status` and `content-type`.
_HTML = b"<!doctype html><html><body><h1>Sign in</h1></body></html>"
FAULTS = (
    "latency",
    "reset-before",
    "reset-after",
    "status",
    "truncate",
    "content-type",
    "drip",
    "unauthorised",
)

When = Literal["before", "after"]


@dataclass
class Exchange:
    """One request: `status` is None until the server has answered, or for ever if it never saw it.

    `client` is the port of the connection at the client's side.
    """

    number: int
    server: str
    method: str
    path: str
    client: int
    body: bytes = field(repr=False, default=b"")
    status: int | None = None

    def is_a(self, method: str, path: str) -> bool:
        """Whether it has this method and a path that fits this pattern; ``*`` fits any."""
        return method in ("*", self.method) and fnmatch.fnmatchcase(self.path, path)

    def __str__(self) -> str:
        return f"{self.server}: {self.method} {self.path}"


@dataclass
class Fault:
    """Goes wrong `times` times, after the first `skip` matches. See `FAULTS` for the kinds.

    committed: for `status` and `content-type`, whether the server processes the request.
    wanted: if given, what matches besides.
    """

    kind: str
    method: str = "*"
    path: str = "*"
    server: str = "*"
    times: int = 1
    skip: int = 0
    status: int = 500
    committed: bool = False
    retry_after: int | None = None
    seconds: float = 0.2
    chunk: int = 64
    wanted: Callable[[Exchange], bool] | None = None
    seen: int = 0
    hits: int = 0

    def fires(self, exchange: Exchange) -> bool:
        if self.server not in ("*", exchange.server) or not exchange.is_a(self.method, self.path):
            return False
        if self.wanted is not None and not self.wanted(exchange):
            return False
        self.seen += 1
        if self.seen <= self.skip or self.hits >= self.times:
            return False
        self.hits += 1
        return True


@dataclass
class Hold:
    """Stops the request for which `wanted` says so, and every later one unless it is to be held
    `alone`, until it is lifted."""

    wanted: Callable[[Exchange], bool]
    when: When
    alone: bool = False
    held: Exchange | None = None
    reached: threading.Event = field(default_factory=threading.Event)
    lifted: asyncio.Event = field(default_factory=asyncio.Event)
    dropped: bool = False


class Proxy:
    """``front(name, upstream)`` gives the address to use instead of `upstream`."""

    def __init__(self) -> None:
        self.requests: list[Exchange] = []
        self.faults: list[Fault] = []
        self._hold: Hold | None = None
        self._in_flight = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._servers: list[asyncio.Server] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def front(self, name: str, upstream: str) -> str:
        parts = urlsplit(upstream)
        port = self._run(self._listen(name, parts.hostname or HOST, parts.port or 80))
        return f"http://{HOST}:{port}"

    def forget(self) -> None:
        """Start counting anew, without faults and holds."""
        self.lift()

        def clear() -> None:
            self.requests = []
            self.faults = []

        self._run(self._soon(clear))

    def add_fault(self, kind: str, **settings: Any) -> Fault:
        assert kind in FAULTS, kind
        fault = Fault(kind, **settings)
        self._run(self._soon(lambda: self.faults.append(fault)))
        return fault

    def hold(
        self, wanted: int | Callable[[Exchange], bool], when: When, *, alone: bool = False
    ) -> Hold:
        """Hold the request of this number (counted from 1), or the first that `wanted` picks."""
        if isinstance(wanted, int):
            number = wanted

            def is_wanted(exchange: Exchange) -> bool:
                return exchange.number == number
        else:
            is_wanted = wanted

        def place() -> Hold:
            self._hold = Hold(is_wanted, when, alone)
            return self._hold

        return self._run(self._soon(place))

    def lift(self, *, drop: bool = False) -> None:
        """Let held requests go on; with `drop`, cut their connections and never send them on."""

        def release() -> None:
            if self._hold is not None:
                self._hold.dropped = drop
                self._hold.lifted.set()
                self._hold = None

        self._run(self._soon(release))

    def wait_quiet(self, seconds: float = 30.0) -> None:
        """Return when the servers have answered everything that was sent on to them."""
        deadline = time.monotonic() + seconds
        while self._in_flight:
            assert time.monotonic() < deadline, "a request to a server does not end"
            time.sleep(0.005)

    # -- in the loop ------------------------------------------------------------------------------

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _soon(self, work: Callable[[], T]) -> T:
        return work()

    async def _listen(self, name: str, host: str, port: int) -> int:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(
                ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError
            ):
                await self._serve(_Line(reader, writer), name, host, port)
            writer.close()

        server = await asyncio.start_server(serve, HOST, 0)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, line: _Line, name: str, host: str, port: int) -> None:
        while (message := await line.read_request()) is not None:
            method, target, _ = message.start.split(" ", 2)
            exchange = Exchange(
                len(self.requests) + 1,
                name,
                method,
                target.partition("?")[0],
                line.port,
                message.body,
            )
            self.requests.append(exchange)
            if await self._held(exchange, "before"):
                return line.cut()
            fault = next((fault for fault in self.faults if fault.fires(exchange)), None)
            if not await self._answer(line, message, exchange, fault, host, port):
                return None
        return None

    async def _held(self, exchange: Exchange, now: When) -> bool:
        """Wait while a hold is in force; True if the connection is to be cut."""
        hold = self._hold
        if hold is None:
            return False
        if hold.held is None and hold.wanted(exchange):
            hold.held = exchange
        mine = hold.held is exchange
        if hold.held is None or (mine and hold.when != now):
            return False
        if not mine and (hold.alone or now == "after"):
            return False
        if mine:
            hold.reached.set()
        await hold.lifted.wait()
        return hold.dropped

    async def _answer(
        self, line: _Line, message: _Message, exchange: Exchange, fault: Fault | None,
        host: str, port: int,
    ) -> bool:  # fmt: skip
        """Answer one request; False when the connection is over."""
        kind = fault.kind if fault else ""
        if kind == "reset-before":
            line.cut()
            return False
        if kind == "latency" and fault:
            await asyncio.sleep(fault.seconds)
        invented = _invented(fault) if fault else None
        if invented is None or (fault and fault.committed):
            answer = await self._ask(message, exchange, host, port)
            if await self._held(exchange, "after") or kind == "reset-after":
                line.cut()
                return False
        else:
            answer = b""
        if invented is not None:
            answer = invented
        if fault and kind == "truncate":
            head, _, body = answer.partition(b"\r\n\r\n")
            await line.write(head + b"\r\n\r\n" + body[: len(body) // 2])
            return False
        if fault and kind == "drip":
            for begin in range(0, len(answer), fault.chunk):
                await line.write(answer[begin : begin + fault.chunk])
                await asyncio.sleep(fault.seconds / 10)
            return True
        await line.write(answer)
        return True

    async def _ask(self, message: _Message, exchange: Exchange, host: str, port: int) -> bytes:
        """Send the request on, over a connection of its own; return the whole answer."""
        self._in_flight += 1
        try:
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(message.bytes_with_close())
                await writer.drain()
                answer = await reader.read()
            finally:
                writer.close()
            if not answer:
                raise ConnectionResetError("the server has cut the connection")
            head, gap, body = answer.partition(b"\r\n\r\n")
            exchange.status = int(head.split(b" ", 2)[1])
            kept = [row for row in head.split(b"\r\n") if not row.lower().startswith(b"connection")]
            return b"\r\n".join(kept) + gap + body
        finally:
            self._in_flight -= 1


@dataclass
class _Message:
    start: str
    headers: list[str]
    body: bytes

    def bytes_with_close(self) -> bytes:
        kept = [row for row in self.headers if not row.lower().startswith("connection:")]
        head = "\r\n".join([self.start, *kept, "Connection: close", "", ""])
        return head.encode("latin-1") + self.body


class _Line:
    """The connection to a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.port = int(writer.get_extra_info("peername")[1])

    async def read_request(self) -> _Message | None:
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        start, *headers = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        length = 0
        for row in headers:
            key, _, value = row.partition(":")
            assert key.lower() != "transfer-encoding", "the clients send lengths"
            if key.lower() == "content-length":
                length = int(value)
        return _Message(start, headers, await self._reader.readexactly(length))

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def cut(self) -> None:
        """A TCP reset."""
        raw = self._writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


def _invented(fault: Fault) -> bytes | None:
    """The answer that a fault gives in place of the server's, if it does."""
    if fault.kind == "content-type":
        return _plain(200, "text/html", _HTML)
    if fault.kind == "unauthorised":
        return _plain(401, "application/json", b'{"detail":["CredentialsNotValid","expired"]}')
    if fault.kind == "status":
        body = json.dumps({"detail": ["Fault", "Something went wrong."]}).encode()
        after = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        return _plain(fault.status, "application/json", body, after)
    return None


def _plain(status: int, kind: str, body: bytes, more: dict[str, str] | None = None) -> bytes:
    rows = {"Content-Type": kind, "Content-Length": str(len(body)), **(more or {})}
    head = "".join(f"{key}: {value}\r\n" for key, value in rows.items())
    return f"HTTP/1.1 {status} Fault\r\n{head}\r\n".encode() + body
