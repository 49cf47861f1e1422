"""From requests to permissions: what a program really used, by the client's own request log.

The log is a file of JSON lines (``time``, ``method``, ``path``, ``status``; never bodies) that
every client of this project writes when ``RUNAI_REQUEST_LOG`` names a file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runai_perms._catalogue import Catalogue, Certainty, Need, load_catalogue
from runai_perms._errors import UnknownName, UsageError
from runai_perms._model import Permission, Reach

LOG_VARIABLE = "RUNAI_REQUEST_LOG"


@dataclass(slots=True)
class Use:
    """How often a permission was used, by which operations, and how often it was refused."""

    permission: Permission
    alternatives: tuple[Permission, ...]
    reach: Reach
    certainty: Certainty
    operations: dict[str, int] = field(default_factory=dict)
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Trace:
    """What a log tells. ``unknown``: requests whose right their route does not tell."""

    requests: int
    uses: tuple[Use, ...]
    unknown: Mapping[str, int]

    @property
    def needs(self) -> tuple[Need, ...]:
        """The uses as needs, so that a role can be made of them."""
        return tuple(
            Need(
                u.permission, tuple(u.operations), ("trace",), u.certainty, u.alternatives, u.reach
            )
            for u in self.uses
        )


def read_trace(path: str | Path, catalogue: Catalogue | None = None) -> Trace:
    """Read a request log; a file that is no such log is a :class:`UsageError`."""
    path = Path(path)
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        raise UnknownName("trace file", str(path)) from None
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"{path} cannot be read as text") from None
    return summarise(_entries(path, lines), catalogue)


def summarise(entries: Iterable[Mapping[str, Any]], catalogue: Catalogue | None = None) -> Trace:
    """Map requests to the permissions that they need."""
    catalogue = catalogue or load_catalogue()
    uses: dict[Permission, Use] = {}
    unknown: dict[str, int] = {}
    requests = 0
    for entry in entries:
        requests += 1
        method, request_path = str(entry["method"]), str(entry["path"])
        operation = catalogue.operation_for(method, request_path)
        if operation is None or operation.per_item:
            route = f"{method} {request_path.partition('?')[0]}"
            unknown[route] = unknown.get(route, 0) + 1
            continue
        if not operation.any_of:
            continue
        use = uses.setdefault(
            operation.any_of[0],
            Use(
                operation.any_of[0],
                operation.any_of[1:],
                operation.reach,
                operation.certainty,
            ),
        )
        use.operations[operation.name] = use.operations.get(operation.name, 0) + 1
        use.refused += entry.get("status") == 403
    return Trace(requests, tuple(uses[p] for p in sorted(uses)), unknown)


def run_traced(command: Sequence[str], log: str | Path) -> int:
    """Run a command with the request log on; returns its exit status.

    What it prints goes to standard error, so that standard output holds the report alone.
    Raises :class:`UsageError` when the command cannot be started.
    """
    environment = {**os.environ, LOG_VARIABLE: str(Path(log).resolve())}
    try:
        return subprocess.run(
            list(command), env=environment, stdout=sys.stderr, check=False
        ).returncode
    except FileNotFoundError:
        raise UnknownName("command", command[0]) from None
    except OSError as error:
        raise UsageError(f"{command[0]} cannot be run: {error.strerror}") from None


def _entries(path: Path, lines: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            entry["method"], entry["path"]
        except (ValueError, TypeError, KeyError):
            raise UsageError(
                f"{path}, line {number}: not a line of a request log (JSON with method and path)"
            ) from None
        yield entry


def run_trace(command: Sequence[str], output: str | None, form: str) -> tuple[int, str]:
    """Run a command and say what it used."""
    if output:
        status = run_traced(command, output)
        return status, _render_trace(_read_if_any(output), form)
    with tempfile.TemporaryDirectory(prefix="runai-perms-") as folder:
        log = Path(folder) / "requests.jsonl"
        status = run_traced(command, log)
        return status, _render_trace(_read_if_any(log), form)


def _read_if_any(path: str | Path) -> Trace:
    if not Path(path).exists():
        return Trace(0, (), {})
    return read_trace(path, load_catalogue())


def _render_trace(trace: Trace, form: str) -> str:
    if form == "json":
        data = {
            "schema_version": 1,
            "requests": trace.requests,
            "permissions": [
                {
                    "permission": str(u.permission),
                    "alternatives": [str(p) for p in u.alternatives],
                    "reach": u.reach.value,
                    "certainty": u.certainty.value,
                    "operations": u.operations,
                    "refused": u.refused,
                }
                for u in trace.uses
            ],
            "unknown_requests": dict(trace.unknown),
        }
        return json.dumps(data, indent=2)
    lines = [f"{trace.requests} requests, {len(trace.uses)} permissions"]
    width = max((len(str(u.permission)) for u in trace.uses), default=0)
    for use in trace.uses:
        operations = ", ".join(f"{name} x{count}" for name, count in use.operations.items())
        refused = f"  refused x{use.refused}" if use.refused else ""
        lines.append(f"  {use.permission!s:<{width}}  {operations}{refused}")
    lines += [f"  right not known: {route} x{n}" for route, n in trace.unknown.items()]
    return "\n".join(lines)
