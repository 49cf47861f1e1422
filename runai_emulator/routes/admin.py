"""Admin routes under `/_emulator/`: not part of the API, without a token, for loopback use."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable
from typing import Any

from runai_emulator.cluster.interventions import ACCIDENTS, provoke
from runai_emulator.cluster.script import parse
from runai_emulator.cluster.workload import Workload
from runai_emulator.emulator import Emulator
from runai_emulator.faults import Faults, parse_rule, wait_holding
from runai_emulator.tokens import hash_secret
from runai_emulator.wire import Answer, ApiError, Body, Call, bad_request

#: Index of the segment that may vary in an admin path: /_emulator/faults/<id>/release.
_VARIABLE = 3
_JSON = [(b"content-type", b"application/json")]
_TEXT = [(b"content-type", b"text/plain; charset=utf-8")]


class Admin:
    """Health, reset, the request log, the clock, fault rules."""

    def __init__(self, emulator: Emulator, faults: Faults) -> None:
        self.emulator = emulator
        self.faults = faults
        self._handlers: dict[tuple[str, str], Callable[[Call], Answer]] = {
            ("GET", "/_emulator/health"): self._health,
            ("GET", "/_emulator/openapi.json"): self._openapi,
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
            ("GET", "/_emulator/workloads/{}/logs"): self._logs,
            ("POST", "/_emulator/workloads/{}/provoke"): self._provoke,
            ("PUT", "/_emulator/workloads/{}/script"): self._script,
            ("GET", "/_emulator/nodes"): self._nodes,
            ("PUT", "/_emulator/nodes"): self._replace_nodes,
            ("POST", "/_emulator/users"): self._add_user,
        }

    async def handle(self, call: Call) -> tuple[int, list, bytes]:
        try:
            handler = self._find(call)
            await self._wait(call)
            with self.emulator.lock:
                self.emulator.cluster.settle()
                status, body = handler(call)
                self.emulator.store.commit()
        except ApiError as error:
            status, body = error.status, error.body()
        if isinstance(body, str):
            return status, _TEXT, body.encode()
        return status, _JSON, json.dumps(body).encode()

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

    def _openapi(self, call: Call) -> Answer:
        from runai_emulator.openapi import document  # builds hundreds of schemas; rarely asked for

        return 200, document(self.emulator.version)

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
        now = self.emulator.clock.advance(float(seconds))
        self.emulator.cluster.nudge()
        return 200, {"now": now}

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

    # -- the cluster ---------------------------------------------------------------------------

    def _workload(self, call: Call) -> Workload:
        workload = self.emulator.cluster.index.by_id.get(call.param("id"))
        if workload is None:
            raise ApiError(404, f"No such workload: {call.param('id')}")
        return workload

    def _logs(self, call: Call) -> Answer:
        """What the pods wrote, as text; `?pod=` chooses one, else all follow one another."""
        logs = self.emulator.cluster.processes.logs(self._workload(call))
        wanted = call.text("pod")
        if wanted is None:
            return 200, "".join(logs.values())
        if wanted not in logs:
            raise ApiError(404, f"No log of a pod {wanted}; there are: {', '.join(logs) or 'none'}")
        return 200, logs[wanted]

    def _provoke(self, call: Call) -> Answer:
        workload = self._workload(call)
        what = call.object().one_of("what", ACCIDENTS)
        if not provoke(self.emulator.cluster, workload, what):
            raise ApiError(409, f"Not possible while the workload is {workload.phase}.")
        return 200, {"phase": workload.phase}

    def _script(self, call: Call) -> Answer:
        workload = self._workload(call)
        if workload.script is None:
            raise ApiError(409, "The workload runs as a process and has no script.")
        script = call.object().text("script")
        try:
            parse(script)
        except ValueError as error:
            raise bad_request(f"{error}.") from error
        self.emulator.cluster.simulation.set_script(workload, script)
        return 200, {"phase": workload.phase}

    def _nodes(self, call: Call) -> Answer:
        return 200, {"nodes": self.emulator.store.nodes.values()}

    def _replace_nodes(self, call: Call) -> Answer:
        """Put other nodes in the place of all there are: a list of node objects."""
        given = call.json()
        if not isinstance(given, list):
            raise bad_request("Request body must be a JSON array.")
        rows = []
        for item in given:
            body = Body(item)
            rows.append(
                {
                    "id": body.text("id"),
                    "nodePool": body.text("nodePool"),
                    "gpus": body.integer("gpus", 0, low=0, high=10_000),
                    "gpuMemoryMib": body.number("gpuMemoryMib", 81_920),
                    "cpu": body.number("cpu"),
                    "memoryMib": body.number("memoryMib"),
                }
            )
        table = self.emulator.store.nodes
        for row in table.values():
            table.delete(row["id"])
        for row in rows:
            table.put(row)
        self.emulator.cluster.capacity_changed()
        return 200, {"nodes": rows}

    def _add_user(self, call: Call) -> Answer:
        """A user who can log in by name and password; the API itself cannot make one here."""
        body = call.object()
        name = body.text("name", high=255)
        if self.emulator.store.accounts.find(kind="user", name=name):
            raise ApiError(409, f"User exists: {name}")
        now = self.emulator.clock.now()
        account = self.emulator.store.accounts.put(
            {
                "id": str(uuid.uuid4()),
                "kind": "user",
                "name": name,
                "clientId": name,
                "secret": hash_secret(body.text("password")),
                "groups": body.texts("groups", []),
                "enabled": True,
                "createdBy": "",
                "createdAt": now,
                "updatedAt": now,
                "lastLogin": None,
            }
        )
        return 201, {"id": account["id"], "name": name}
