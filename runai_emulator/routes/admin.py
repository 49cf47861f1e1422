"""Admin routes under `/_emulator/`: not part of the API, without a token, for loopback use."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from runai_emulator.emulator import Emulator
from runai_emulator.wire import Answer, ApiError, Call, bad_request

_JSON = [(b"content-type", b"application/json")]


class Admin:
    """Health, reset, the request log, the clock."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self._handlers: dict[tuple[str, str], Callable[[Call], Answer]] = {
            ("GET", "/_emulator/health"): self._health,
            ("POST", "/_emulator/reset"): self._reset,
            ("GET", "/_emulator/requests"): self._requests,
            ("DELETE", "/_emulator/requests"): self._forget_requests,
            ("POST", "/_emulator/clock"): self._clock,
        }

    def handle(self, call: Call) -> tuple[int, list, bytes]:
        with self.emulator.lock:
            try:
                handler = self._handlers.get((call.method, call.path))
                if handler is None:
                    raise ApiError(404, f"No such admin route: {call.method} {call.path}")
                status, body = handler(call)
            except ApiError as error:
                status, body = error.status, error.body()
            self.emulator.store.commit()
        return status, _JSON, json.dumps(body).encode() if body is not None else b""

    def _health(self, call: Call) -> Answer:
        return 200, {
            "status": "ok",
            "version": self.emulator.version,
            "pid": os.getpid(),
            "now": self.emulator.clock.now(),
        }

    def _reset(self, call: Call) -> Answer:
        self.emulator.reset()
        return 200, {"status": "ok"}

    def _requests(self, call: Call) -> Answer:
        return 200, {
            "total": self.emulator.request_count,
            "requests": list(self.emulator.requests),
        }

    def _forget_requests(self, call: Call) -> Answer:
        self.emulator.requests.clear()
        self.emulator.request_count = 0
        return 200, {"status": "ok"}

    def _clock(self, call: Call) -> Answer:
        seconds: Any = call.object().number("advance")
        if seconds < 0:
            raise bad_request("The clock moves forward only.")
        return 200, {"now": self.emulator.clock.advance(float(seconds))}
