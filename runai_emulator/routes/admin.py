"""Admin routes under `/_emulator/`: not part of the API, without a token, for loopback use."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from runai_emulator.emulator import Emulator
from runai_emulator.faults import Faults, parse_rule, wait_holding
from runai_emulator.wire import Answer, ApiError, Body, Call, bad_request

#: Index of the segment that may vary in an admin path: /_emulator/faults/<id>/release.
_VARIABLE = 3
_JSON = [(b"content-type", b"application/json")]


class Admin:
    """Health, reset, the request log, the clock, fault rules."""

    def __init__(self, emulator: Emulator, faults: Faults) -> None:
        self.emulator = emulator
        self.faults = faults
        self._handlers: dict[tuple[str, str], Callable[[Call], Answer]] = {
            ("GET", "/_emulator/health"): self._health,
            ("POST", "/_emulator/reset"): self._reset,
            ("GET", "/_emulator/requests"): self._requests,
            ("DELETE", "/_emulator/requests"): self._forget_requests,
            ("POST", "/_emulator/clock"): self._clock,
            ("POST", "/_emulator/faults"): self._add_faults,
            ("GET", "/_emulator/faults"): self._faults,
            ("DELETE", "/_emulator/faults"): self._clear_faults,
            ("GET", "/_emulator/faults/{}"): self._fault,
            ("DELETE", "/_emulator/faults/{}"): self._remove_fault,
            ("POST", "/_emulator/faults/{}/release"): self._release,
        }

    async def handle(self, call: Call) -> tuple[int, list, bytes]:
        try:
            handler = self._find(call)
            await self._wait(call)
            with self.emulator.lock:
                status, body = handler(call)
                self.emulator.store.commit()
        except ApiError as error:
            status, body = error.status, error.body()
        return status, _JSON, json.dumps(body).encode() if body is not None else b""

    def _find(self, call: Call) -> Callable[[Call], Answer]:
        """The handler; the one variable segment of a path, if any, becomes the parameter `id`."""
        handler = self._handlers.get((call.method, call.path))
        if handler is None:
            segments = call.path.split("/")
            if len(segments) > _VARIABLE:
                call.params = {"id": segments[_VARIABLE]}
                segments[_VARIABLE] = "{}"
                handler = self._handlers.get((call.method, "/".join(segments)))
        if handler is None:
            raise ApiError(404, f"No such admin route: {call.method} {call.path}")
        return handler

    async def _wait(self, call: Call) -> None:
        """`GET /_emulator/faults/<id>?holding=1&wait=5` waits until a request is held."""
        seconds = call.integer("wait", 0, low=0, high=600) if call.query else 0
        if seconds and call.path.startswith("/_emulator/faults/"):
            rule = self.faults.get(call.param("id"))
            await wait_holding(rule, call.integer("holding", 1, low=0), seconds)

    def _health(self, call: Call) -> Answer:
        return 200, {
            "status": "ok",
            "version": self.emulator.version,
            "pid": os.getpid(),
            "now": self.emulator.clock.now(),
        }

    def _reset(self, call: Call) -> Answer:
        self.faults.clear()
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

    # -- faults --------------------------------------------------------------------------------

    def _add_faults(self, call: Call) -> Answer:
        """One rule, or a list of rules of which either all or none are taken."""
        given = call.json()
        bodies = [Body(item) for item in (given if isinstance(given, list) else [given])]
        for body in bodies:
            parse_rule(body, "")
        added = [self.faults.add(body).view() for body in bodies]
        return 201, added if isinstance(given, list) else added[0]

    def _faults(self, call: Call) -> Answer:
        return 200, {"faults": [rule.view() for rule in self.faults.rules.values()]}

    def _clear_faults(self, call: Call) -> Answer:
        self.faults.clear()
        return 200, {"status": "ok"}

    def _fault(self, call: Call) -> Answer:
        return 200, self.faults.get(call.param("id")).view()

    def _remove_fault(self, call: Call) -> Answer:
        self.faults.remove(call.param("id"))
        return 200, {"status": "ok"}

    def _release(self, call: Call) -> Answer:
        """Let one held request go on, or as many as `count` says."""
        rule = self.faults.get(call.param("id"))
        count = call.object().integer("count", 1, low=1) if call.body else 1
        rule.released += count
        return 200, rule.view()
