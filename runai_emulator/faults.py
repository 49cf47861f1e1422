"""Faults on demand: rules that make chosen requests go wrong in a chosen, counted way.

A rule matches by method and path and counts its matches; it lets the first `skip` of them pass,
then fires `times` times. Kinds and their own settings:

latency       `seconds`: the request waits before it is processed.
reset-before  the connection is cut before the request is processed.
reset-after   the request is processed and committed, then the connection is cut.
status        `status` (500), `retry_after` seconds, `committed` (false): answer with a status,
              after the request was processed when `committed` is true.
truncate      the answer announces its full length and ends half way.
content-type  an HTML page instead of JSON; `committed` (true).
drip          the body comes in pieces of `chunk` (16) bytes, `seconds` (0.05) apart.
expire-tokens every token issued so far becomes invalid just before the request is processed.
stale-list    lists do not show what was created in the last `seconds` (5), and still show what
              was deleted in that time.
conflict-after-lost-answer
              a create is committed and its answer lost; the same request again answers 409.
hold          the request stops before or after (`when`) it is processed until the rule is
              released or deleted; one whose client has gone by then is never processed.
"""

from __future__ import annotations

import asyncio
import fnmatch
import hashlib
import itertools
import re
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Any

from .wire import ApiError, Body, Call, bad_request

KINDS = (
    "latency",
    "reset-before",
    "reset-after",
    "status",
    "truncate",
    "content-type",
    "drip",
    "expire-tokens",
    "stale-list",
    "conflict-after-lost-answer",
    "hold",
)
_SECONDS = {"latency": 1.0, "drip": 0.05, "stale-list": 5.0}
#: How often a held request looks whether it may go on. Held requests are few.
_HOLD_POLL_SECONDS = 0.005
_HTML = b"<!doctype html><html><body><h1>Sign in</h1></body></html>"
_KNOWN_KEYS = {
    "method",
    "path",
    "path_regex",
    "client",
    "kind",
    "times",
    "skip",
    "seconds",
    "status",
    "retry_after",
    "committed",
    "when",
    "chunk",
    "how",
}


@dataclass(slots=True)
class Rule:
    """One fault rule. seen: matches so far; hits: times fired; holding: requests held now."""

    id: str
    kind: str
    method: str
    path: str | None
    path_regex: str | None
    client: str | None
    times: int | None
    skip: int
    seconds: float
    status: int
    retry_after: float | None
    committed: bool
    when: str
    chunk: int
    how: str
    pattern: re.Pattern = field(repr=False)
    seen: int = 0
    hits: int = 0
    holding: int = 0
    released: int = 0
    deleted: bool = False

    def view(self) -> dict[str, Any]:
        hidden = {"pattern", "deleted", "released"}
        return {name: getattr(self, name) for name in self.__slots__ if name not in hidden}

    def matches(self, method: str, path: str) -> bool:
        return self.method in ("*", method) and self.pattern.fullmatch(path) is not None

    def spent(self) -> bool:
        return self.times is not None and self.hits >= self.times


def parse_rule(body: Body, key: str) -> Rule:
    unknown = set(body.data) - _KNOWN_KEYS
    if unknown:
        raise bad_request(f"Unknown key in fault rule: {', '.join(sorted(unknown))}.")
    kind = body.one_of("kind", KINDS)
    path, regex = body.text("path", None), body.text("path_regex", None)
    if path is not None and regex is not None:
        raise bad_request("Give path (a glob) or path_regex, not both.")
    try:
        pattern = re.compile(regex if regex is not None else fnmatch.translate(path or "*"))
    except re.error as error:
        raise bad_request(f"path_regex is not a regular expression: {error}.") from error
    times = body.data.get("times", 1)
    if times is not None:
        times = body.integer("times", 1, low=1)
    seconds = float(body.number("seconds", _SECONDS.get(kind, 0.0)))
    retry_after = body.number("retry_after", None)
    if seconds < 0 or (retry_after is not None and retry_after < 0):
        raise bad_request("seconds and retry_after must not be negative.")
    return Rule(
        id=key,
        kind=kind,
        method=body.text("method", "*").upper(),
        path=path,
        path_regex=regex,
        client=body.text("client", None),
        times=times,
        skip=body.integer("skip", 0, low=0),
        seconds=seconds,
        status=body.integer("status", 500, low=400, high=599),
        retry_after=retry_after,
        committed=body.flag("committed", kind == "content-type"),
        when=body.one_of("when", ("before", "after"), "before"),
        chunk=body.integer("chunk", 16, low=1),
        how=body.one_of("how", ("reset", "close"), "reset"),
        pattern=pattern,
    )


class Faults:
    """The rules in force, in order of creation; the first that fires wins."""

    def __init__(self) -> None:
        self.rules: dict[str, Rule] = {}
        self._numbers = itertools.count(1)
        self._lost: dict[tuple[str, str, bytes], int] = {}

    def add(self, body: Body) -> Rule:
        rule = parse_rule(body, str(next(self._numbers)))
        self.rules[rule.id] = rule
        return rule

    def get(self, key: str) -> Rule:
        rule = self.rules.get(key)
        if rule is None:
            raise ApiError(404, f"No such fault rule: {key}")
        return rule

    def remove(self, key: str) -> None:
        self.get(key).deleted = True
        del self.rules[key]

    def clear(self) -> None:
        for rule in self.rules.values():
            rule.deleted = True
        self.rules.clear()
        self._lost.clear()

    @property
    def active(self) -> bool:
        return bool(self.rules or self._lost)

    def pick(self, method: str, path: str, client: str | None) -> Rule | None:
        """Count a request against every rule it matches; the first rule that fires, if any."""
        chosen = None
        for rule in self.rules.values():
            if not rule.matches(method, path) or rule.client not in (None, client):
                continue
            rule.seen += 1
            if chosen is None and rule.seen > rule.skip and not rule.spent():
                rule.hits += 1
                chosen = rule
        return chosen

    def remember_lost(self, call: Call) -> None:
        self._lost[_fingerprint(call)] = 1

    def take_lost(self, call: Call) -> bool:
        """Whether this very request was committed before and its answer lost on purpose."""
        return bool(self._lost) and self._lost.pop(_fingerprint(call), 0) > 0


def _fingerprint(call: Call) -> tuple[str, str, bytes]:
    return call.method, call.path, hashlib.sha256(call.body or b"").digest()


class Connection:
    """The ASGI connection of one request, with the socket behind it where there is one."""

    def __init__(self, receive: Any, send: Any) -> None:
        self.receive = receive
        self.send = send
        # uvicorn's `send` is a method of the request cycle, which knows its transport.
        self._transport = getattr(getattr(send, "__self__", None), "transport", None)

    async def answer(self, status: int, headers: list, content: bytes) -> None:
        length = (b"content-length", str(len(content)).encode())
        start = {"type": "http.response.start", "status": status, "headers": [*headers, length]}
        await self.send(start)
        await self.send({"type": "http.response.body", "body": content})

    async def cut(self, how: str) -> None:
        """End the connection without an answer: a TCP reset, or an orderly close."""
        if self._transport is None:
            # In-process transports have no socket; the caller sees what a socket would raise.
            raise ConnectionResetError("connection cut by a fault rule")
        if how == "reset":
            raw = self._transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        else:
            self._transport.close()
        await self.receive()

    async def truncated(self, status: int, headers: list, content: bytes) -> None:
        length = (b"content-length", str(max(len(content), 2)).encode())
        start = {"type": "http.response.start", "status": status, "headers": [*headers, length]}
        await self.send(start)
        half = content[: len(content) // 2]
        await self.send({"type": "http.response.body", "body": half, "more_body": True})
        await self.cut("close")

    async def dripped(
        self, status: int, headers: list, content: bytes, chunk: int, seconds: float
    ) -> None:
        length = (b"content-length", str(len(content)).encode())
        start = {"type": "http.response.start", "status": status, "headers": [*headers, length]}
        await self.send(start)
        for begin in range(0, len(content), chunk):
            piece = content[begin : begin + chunk]
            await self.send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(seconds)
        await self.send({"type": "http.response.body", "body": b""})

    async def held(self, rule: Rule) -> bool:
        """Wait until the rule lets go; False when the client has gone meanwhile."""
        gone = asyncio.ensure_future(self.receive())
        rule.holding += 1
        try:
            while not rule.deleted:
                if gone.done():
                    return False
                if rule.released > 0:
                    rule.released -= 1
                    break
                await asyncio.sleep(_HOLD_POLL_SECONDS)
            return not gone.done()
        finally:
            rule.holding -= 1
            gone.cancel()


async def wait_holding(rule: Rule, wanted: int, seconds: float) -> None:
    """Return when the rule holds that many requests, or when the time is over."""
    deadline = time.monotonic() + seconds
    while rule.holding < wanted and time.monotonic() < deadline:
        await asyncio.sleep(_HOLD_POLL_SECONDS)


async def misbehave(rule: Rule, app: Any, call: Call, token: str | None, line: Connection) -> None:
    """Process one request in the way that its rule asks for."""
    kind = rule.kind
    if kind == "reset-before":
        app.log_only(call, None, kind)
        await line.cut(rule.how)
        return
    if kind == "status" and not rule.committed:
        app.log_only(call, rule.status, kind)
        await line.answer(*_status_answer(rule))
        return
    if kind == "content-type" and not rule.committed:
        app.log_only(call, 200, kind)
        await line.answer(200, [(b"content-type", b"text/html")], _HTML)
        return
    if kind == "latency":
        await asyncio.sleep(rule.seconds)
    elif kind == "expire-tokens":
        with app.emulator.lock:
            app.emulator.tokens.expire_all()
    elif kind == "stale-list":
        call.hidden_since = app.emulator.clock.now() - rule.seconds
    elif kind == "hold" and rule.when == "before" and not await line.held(rule):
        app.log_only(call, None, kind)
        return
    status, headers, content = app.answer(call, token, kind)
    if kind in ("reset-after", "conflict-after-lost-answer"):
        if kind == "conflict-after-lost-answer" and call.method == "POST" and status < 300:
            app.faults.remember_lost(call)
        await line.cut(rule.how)
    elif kind == "status":
        await line.answer(*_status_answer(rule))
    elif kind == "content-type":
        await line.answer(200, [(b"content-type", b"text/html")], _HTML)
    elif kind == "truncate":
        await line.truncated(status, headers, content)
    elif kind == "drip":
        await line.dripped(status, headers, content, rule.chunk, rule.seconds)
    elif kind == "hold" and rule.when == "after" and not await line.held(rule):
        return
    else:
        await line.answer(status, headers, content)


def _status_answer(rule: Rule) -> tuple[int, list, bytes]:
    headers = [(b"content-type", b"application/json")]
    if rule.retry_after is not None:
        headers.append((b"retry-after", f"{rule.retry_after:g}".encode()))
    message = "Please try again in few minutes." if rule.status == 503 else "Something went wrong."
    if rule.status == 429:
        message = "Too many requests."
    return rule.status, headers, b'{"code":%d,"message":"%s"}' % (rule.status, message.encode())
