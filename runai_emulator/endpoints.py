"""Every endpoint: the right it needs, since when it exists, and how sure we are of both.

This table is the emulator's own and is written apart from any client's. Right: the resource
type and action that must be held; several are alternatives. `*` means any valid token, `-` means
no token. Scope: where the right must hold. Certainty of the route and of the right is one of
documented, observed, inferred.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .access import Right


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One verb and path of the API.

    needs: alternatives of (resource type, action); empty when only a token, or none, is needed.
    scope: where the right is looked for, in words.
    route_certainty, right_certainty: documented | observed | inferred.
    since, until: control-plane versions that serve it.
    """

    method: str
    path: str
    needs: tuple[Right, ...]
    scope: str
    route_certainty: str
    right_certainty: str
    since: str = "2.23"
    until: str | None = None
    token: bool = True

    def served_by(self, version: str) -> bool:
        return self.since <= version and (self.until is None or version <= self.until)


def _rights(text: str) -> tuple[Right, ...]:
    if text in ("-", "*"):
        return ()
    return tuple((item.rpartition(":")[0], item.rpartition(":")[2]) for item in text.split("|"))


def _parse(line: str) -> Endpoint:
    method, path, right, scope, route_certainty, right_certainty, since = line.split()
    return Endpoint(
        method,
        path,
        _rights(right),
        scope.replace(",", ", "),
        route_certainty,
        right_certainty,
        since,
        token=right != "-",
    )


@cache
def endpoint_table(version: str | None = None) -> tuple[Endpoint, ...]:
    """All endpoints, or those that the given control-plane version serves."""
    if version is not None:
        return tuple(found for found in endpoint_table() if found.served_by(version))
    text = (Path(__file__).parent / "data" / "endpoints.txt").read_text("utf-8")
    lines = (line.strip() for line in text.splitlines())
    return tuple(_parse(line) for line in lines if line and not line.startswith("#"))


def route_table(table: tuple[Endpoint, ...]) -> str:
    """The table as Markdown."""
    lines = [
        "| Route | Right | Where | Route is | Right is | Since |",
        "|---|---|---|---|---|---|",
    ]
    for endpoint in table:
        if endpoint.needs:
            right = " or ".join(f"`{name}:{action}`" for name, action in endpoint.needs)
        else:
            right = "any token" if endpoint.token else "none"
        lines.append(
            f"| `{endpoint.method} {endpoint.path}` | {right} | {endpoint.scope} "
            f"| {endpoint.route_certainty} | {endpoint.right_certainty} | {endpoint.since} |"
        )
    return "\n".join(lines)
