"""The emulator inside a test suite: in one process, without a port, or in a thread with one.

Without a port, for synchronous and asynchronous clients of httpx (which stays on your side)::

    app = create_app(async_delay=0)
    httpx.Client(transport=httpx.WSGITransport(app=as_wsgi(app)), base_url="http://emulator")
    httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://emulator")

With a port, for clients that need a socket and for fault rules that cut connections::

    with run_in_thread(async_delay=0) as emulator:
        RunaiClient(emulator.base_url, emulator.admin_id, emulator.admin_secret)

As a pytest fixture: put ``pytest_plugins = ["runai_emulator.pytest_plugin"]`` into your conftest
and take ``runai_emulator``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ._constants import DEFAULT_HOST, MAX_BODY_BYTES
from .app import EmulatorApp, create_app
from .wire import Call

_START_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class RunningEmulator:
    """An emulator that listens on loopback, with its admin routes as methods."""

    base_url: str
    admin_id: str
    admin_secret: str
    app: EmulatorApp

    def reset(self) -> None:
        """Back to the seeds, without faults and with an empty request log."""
        self.admin("POST", "/_emulator/reset")

    def requests(self) -> list[dict[str, Any]]:
        return self.admin("GET", "/_emulator/requests")["requests"]

    def add_fault(self, **rule: Any) -> dict[str, Any]:
        """Add a fault rule; see the kinds and settings in the documentation of the emulator."""
        return self.admin("POST", "/_emulator/faults", rule)

    def clear_faults(self) -> None:
        self.admin("DELETE", "/_emulator/faults")

    def advance_clock(self, seconds: float) -> None:
        self.admin("POST", "/_emulator/clock", {"advance": seconds})

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """Call an admin route. Raises urllib.error.HTTPError for an answer other than 2xx."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base_url + path, data, method=method)  # noqa: S310
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            return json.load(answer)


@contextlib.contextmanager
def run_in_thread(host: str = DEFAULT_HOST, port: int = 0, **settings: Any) -> Iterator:
    """A real server in a thread of this process; settings as for `create_app`."""
    import uvicorn

    app = create_app(**settings)
    listener = socket.socket()
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        app.emulator.close()
        raise
    server = uvicorn.Server(
        uvicorn.Config(
            app, log_level="warning", access_log=False, ws="none", timeout_graceful_shutdown=1
        )
    )
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    waited = threading.Event()
    for _ in range(int(_START_SECONDS / 0.01)):
        if server.started or not thread.is_alive():
            break
        waited.wait(0.01)
    if not server.started:
        raise RuntimeError("the emulator did not start; see the log of uvicorn")
    settings_used = app.emulator.settings
    try:
        yield RunningEmulator(
            f"http://{host}:{listener.getsockname()[1]}",
            settings_used.admin_id,
            settings_used.admin_secret,
            app,
        )
    finally:
        server.should_exit = True
        thread.join(_START_SECONDS)
        app.emulator.close()


def as_wsgi(app: EmulatorApp) -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    """The application for WSGI transports. Fault rules need a connection and do not act here."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else environ["wsgi.input"].read()
        call = Call(
            app.emulator,
            environ["REQUEST_METHOD"],
            # WSGI hands paths over as latin-1 text of their UTF-8 bytes.
            environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace"),
            environ.get("QUERY_STRING", ""),
            body if len(body) <= MAX_BODY_BYTES else None,
            environ.get("CONTENT_TYPE", ""),
            f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST', 'emulator')}",
        )
        if call.path.startswith("/_emulator/"):
            status, headers, content = asyncio.run(app.admin.handle(call))
        else:
            status, headers, content = app.answer(call, environ.get("HTTP_AUTHORIZATION"))
        shown = [(name.decode(), value.decode("latin-1")) for name, value in headers]
        start_response(f"{status} -", [*shown, ("content-length", str(len(content)))])
        return [content]

    return application
