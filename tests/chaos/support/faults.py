"""One kind of fault on every endpoint that a command uses, each exactly once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.chaos.support.proxy import Fault
from tests.chaos.support.world import World

#: Ids of objects: numbers, and UUIDs.
_ID = re.compile(r"(?<=/)(\d+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})(?=/|$)")


@dataclass(frozen=True)
class Kind:
    """A fault by name, with its settings at the emulator and at the proxy before ZenML."""

    emulator: Mapping[str, Any] | None
    proxy: Mapping[str, Any] | None


def _same(**settings: Any) -> Kind:
    return Kind(settings, settings)


KINDS: dict[str, Kind] = {
    "latency": _same(kind="latency", seconds=0.5),
    "reset before": _same(kind="reset-before"),
    "reset after commit": _same(kind="reset-after"),
    "429 with Retry-After": _same(kind="status", status=429, retry_after=1),
    "500": _same(kind="status", status=500),
    "500 after commit": _same(kind="status", status=500, committed=True),
    "502": _same(kind="status", status=502),
    "502 after commit": _same(kind="status", status=502, committed=True),
    "503": _same(kind="status", status=503),
    "503 with Retry-After": _same(kind="status", status=503, retry_after=1),
    "truncated body": _same(kind="truncate"),
    "wrong content type": _same(kind="content-type", committed=False),
    "wrong content type after commit": _same(kind="content-type", committed=True),
    "slow drip": Kind(
        {"kind": "drip", "chunk": 200, "seconds": 0.05},
        {"kind": "drip", "chunk": 400, "seconds": 0.5},
    ),
    "token expired": Kind({"kind": "expire-tokens"}, {"kind": "unauthorised"}),
    "stale list": Kind({"kind": "stale-list", "seconds": 20}, None),
    "409 after a lost answer": Kind({"kind": "conflict-after-lost-answer"}, None),
}


@dataclass(frozen=True, order=True)
class Endpoint:
    server: str
    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.server}: {self.method} {self.path}"


def endpoints_used(world: World) -> list[Endpoint]:
    """What was asked of both servers since `forget`."""
    asked = {
        Endpoint("runai", entry["method"], _ID.sub("*", entry["path"]))
        for entry in world.emulator.requests()
    } | {
        Endpoint(exchange.server, exchange.method, _ID.sub("*", exchange.path))
        for exchange in world.proxy.requests
        if exchange.server == "zenml"
    }
    return sorted(asked)


@dataclass
class Armed:
    """The rules in force; `unfired` tells which endpoints were not hit."""

    world: World
    at_emulator: dict[str, Endpoint] = field(default_factory=dict)
    at_proxy: list[tuple[Fault, Endpoint]] = field(default_factory=list)

    def unfired(self) -> list[str]:
        answer = httpx.get(f"{self.world.emulator.base_url}/_emulator/faults", trust_env=False)
        rules = {rule["id"]: rule for rule in answer.raise_for_status().json()["faults"]}
        left = [at for id, at in self.at_emulator.items() if rules[id]["hits"] == 0]
        left += [at for fault, at in self.at_proxy if fault.hits == 0]
        return sorted(map(str, left))

    def fired(self) -> int:
        return len(self.at_emulator) + len(self.at_proxy) - len(self.unfired())


def arm(world: World, kind: Kind, endpoints: list[Endpoint]) -> Armed:
    armed = Armed(world)
    for endpoint in endpoints:
        at: dict[str, Any] = {"method": endpoint.method, "path": endpoint.path}
        if endpoint.server == "runai" and kind.emulator is not None:
            rule = world.emulator.add_fault(**kind.emulator, **at)
            armed.at_emulator[rule["id"]] = endpoint
        elif endpoint.server == "zenml" and kind.proxy is not None:
            armed.at_proxy.append(
                (world.proxy.add_fault(**kind.proxy, **at, server="zenml"), endpoint)
            )
    return armed
