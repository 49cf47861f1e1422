"""The ASGI application: find the endpoint, check the token, run the handler, answer in JSON."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
from typing import Any

from starlette.routing import compile_path

from . import routes
from ._constants import MAX_BODY_BYTES
from .cluster.engine import ClusterSettings
from .emulator import Emulator, Settings
from .endpoints import Endpoint, endpoint_table
from .faults import Connection, Faults, misbehave
from .wire import HANDLERS, ApiError, Call, Handler, RawAnswer

LOG = logging.getLogger("runai_emulator")
_JSON = [(b"content-type", b"application/json")]


class _Route:
    __slots__ = ("endpoint", "handler", "regex")

    def __init__(self, endpoint: Endpoint, regex: re.Pattern, handler: Handler) -> None:
        self.endpoint = endpoint
        self.regex = regex
        self.handler = handler


class EmulatorApp:
    """An ASGI 3 application around one `Emulator`."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        routes.load()
        self._routes: dict[str, list[_Route]] = {}
        for endpoint in endpoint_table(emulator.version):
            regex, _, _ = compile_path(endpoint.path)
            found = _Route(endpoint, regex, HANDLERS[endpoint.method, endpoint.path])
            self._routes.setdefault(_family(endpoint.path), []).append(found)
        self.faults = Faults()
        self.admin = routes.admin.Admin(emulator, self.faults)

    # -- ASGI ----------------------------------------------------------------------------------

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            raise RuntimeError(f"unsupported connection type {scope['type']}")

    async def _lifespan(self, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                self.emulator.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _http(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        call = self._call(scope, headers, await _read(receive))
        line = Connection(receive, send)
        if call.path.startswith("/_emulator/"):
            await line.answer(*await self.admin.handle(call))
            return
        token = headers.get(b"authorization")
        if self.faults.active:
            rule = self.faults.pick(call.method, call.path, self._client(token))
            if rule is not None:
                await misbehave(rule, self, call, token, line)
                return
        await line.answer(*self.answer(call, token))

    def _client(self, token: str | None) -> str | None:
        try:
            return self.emulator.tokens.subject(token).client_id
        except ApiError:
            return None

    def _call(self, scope: Any, headers: dict[bytes, str], body: bytes | None) -> Call:
        host = headers.get(b"host", "127.0.0.1")
        return Call(
            self.emulator,
            scope["method"],
            scope["path"],
            scope["query_string"].decode("latin-1"),
            body,
            headers.get(b"content-type", ""),
            f"{scope.get('scheme', 'http')}://{host}",
        )

    # -- one request ---------------------------------------------------------------------------

    def answer(
        self, call: Call, authorization: str | None, fault: str | None = None
    ) -> tuple[int, list, bytes]:
        """Process one API request; always an answer, never an exception."""
        with self.emulator.lock:
            self.emulator.cluster.settle()
            status, headers, content = self._process(call, authorization)
            self.emulator.store.commit()
            self.log_only(call, status, fault)
        return status, headers, content

    def log_only(self, call: Call, status: int | None, fault: str | None) -> None:
        """Note a request; the status is None when it was never processed."""
        emulator = self.emulator
        with emulator.lock:
            emulator.request_count += 1
            entry = {
                "n": emulator.request_count,
                "method": call.method,
                "path": call.path,
                "query": call.raw_query,
                "status": status,
                "client": call.subject.client_id if call.subject else None,
            }
            if fault is not None:
                entry["fault"] = fault
            emulator.requests.append(entry)

    def _process(self, call: Call, authorization: str | None) -> tuple[int, list, bytes]:
        try:
            found = self._match(call)
            call.endpoint = found.endpoint
            if found.endpoint.token:
                call.subject = self.emulator.tokens.subject(authorization)
            if call.body is None:
                raise ApiError(413, "Request body is too large.")
            if self.faults.take_lost(call):
                raise ApiError(409, "Resource with this name already exists")
            status, body = found.handler(self.emulator, call)
        except ApiError as error:
            headers = list(_JSON)
            if error.missing:
                headers.append((b"x-emulator-missing", error.missing.encode("latin-1", "replace")))
            if error.status == 401:
                headers.append((b"www-authenticate", b"Bearer"))
            return error.status, headers, _encode(error.body())
        except RawAnswer as answer:
            return answer.status, _JSON, _encode(answer.body)
        except Exception:
            LOG.exception("%s %s failed", call.method, call.path)
            return 500, _JSON, _encode({"code": 500, "message": "Something went wrong."})
        if body is None:
            return status, [], b""
        return status, _JSON, _encode(body)

    def _match(self, call: Call) -> _Route:
        allowed = []
        for candidate in self._routes.get(_family(call.path), ()):
            match = candidate.regex.match(call.path)
            if match is None:
                continue
            if candidate.endpoint.method == call.method:
                call.params = match.groupdict()
                return candidate
            allowed.append(candidate.endpoint.method)
        if allowed:
            raise ApiError(405, f"Method {call.method} is not allowed.", ", ".join(allowed))
        raise ApiError(404, "page not found")


def _family(path: str) -> str:
    """The first three segments, which no endpoint has as parameters."""
    return "/".join(path.split("/", 4)[:4])


def _encode(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


async def _read(receive: Any) -> bytes | None:
    """The request body; None when it is larger than the emulator takes."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(chunks)
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= MAX_BODY_BYTES:
            chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks) if size <= MAX_BODY_BYTES else None


def create_app(
    *,
    version: str | None = None,
    state: str | os.PathLike | None = None,
    admin_id: str | None = None,
    admin_secret: str | None = None,
    async_delay: float | None = None,
    token_lifetime: float | None = None,
    hide_forbidden: bool = False,
    cluster: ClusterSettings | None = None,
) -> EmulatorApp:
    """An emulated control plane as an ASGI application; arguments as in `Settings`.

    What is left out takes the default of `Settings`. Raises ValueError for a bad setting and
    OSError for a state file that cannot be opened.
    """
    given = {
        "version": version,
        "state": state,
        "admin_id": admin_id,
        "admin_secret": admin_secret,
        "async_delay": async_delay,
        "token_lifetime": token_lifetime,
        "cluster": cluster,
    }
    settings = Settings(
        **{name: value for name, value in given.items() if value is not None},
        hide_forbidden=hide_forbidden,
    )
    with contextlib.ExitStack() as undo:
        emulator = Emulator(settings)
        undo.callback(emulator.close)
        app = EmulatorApp(emulator)
        undo.pop_all()
    return app
