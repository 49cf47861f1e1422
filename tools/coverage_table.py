"""Write ``docs/coverage.md``: every endpoint, and who has seen it work.

The facts come from the code: the client's operations, the emulator's endpoint table, the cassettes
on disk, and the cases that the contract tests carry out with the vendor's client.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from runai_api import operations
from runai_emulator import endpoint_table
from tools.wire import cassette

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = ROOT / "docs" / "coverage.md"

_PARAMETER = re.compile(r"\{[^}]*\}")
_SHOWN_CASSETTES = 3

HEADER = """\
# Coverage of the control plane's API

Made by `python -m tools.coverage_table`; a test compares it with the code. One row an endpoint.

- **Client**: the operation of `runai_api` that calls it.
- **Emulator**: since which control plane `runai-emulator` serves it, and how certain the route is:
  *documented* (in the vendor's published API), *observed* (public clients rely on it), *inferred*.
- **Cassettes**: recordings under `cassettes/` that show it. Each says in its header what it was
  recorded from.
- **Vendor's client**: the vendor's own Python client asked the emulator for it and its strict
  models took the answer ("models": it has the models, but no call).
- **Right**: what the emulator asks for, and how certain that is. The vendor publishes no table of
  rights, so most of it is inferred.

"""


@dataclass
class Row:
    """One verb and path, as the emulator's table spells it where it serves it."""

    method: str
    path: str
    client: list[str] = field(default_factory=list)
    emulator: str = ""
    cassettes: set[str] = field(default_factory=set)
    vendor: str = ""
    right: str = ""

    def cells(self) -> Iterable[str]:
        shown = sorted(self.cassettes, key=lambda name: (name.count("_"), name))[:_SHOWN_CASSETTES]
        more = len(self.cassettes) - len(shown)
        yield f"`{self.method} {self.path}`"
        yield ", ".join(f"`{name}`" for name in self.client)
        yield self.emulator
        yield ", ".join(shown) + (f", {more} more" if more else "")
        yield self.vendor
        yield self.right


def _key(method: str, path: str) -> tuple[str, str]:
    return method, _PARAMETER.sub("{}", path)


def rows() -> list[Row]:
    """All endpoints that the client or the emulator knows, sorted by path."""
    table: dict[tuple[str, str], Row] = {}
    for endpoint in endpoint_table():
        row = Row(endpoint.method, endpoint.path)
        since = f"{endpoint.since}+" if endpoint.until is None else f"to {endpoint.until}"
        row.emulator = f"{since}, {endpoint.route_certainty}"
        rights = " or ".join(f"`{kind}:{action}`" for kind, action in endpoint.needs)
        without = "any token" if endpoint.token else "no token"
        row.right = f"{rights}, {endpoint.right_certainty}" if rights else without
        table[_key(endpoint.method, endpoint.path)] = row
    for operation in operations():
        key = _key(operation.method, operation.template)
        table.setdefault(key, Row(operation.method, operation.template)).client.append(
            operation.name
        )
    for (method, path), how in witnessed().items():
        table[_key(method, path)].vendor = how
    for name, method, path in recorded():
        if row := _find(table.values(), method, path):
            row.cassettes.add(name)
    return sorted(table.values(), key=lambda row: (row.path, row.method))


def _find(candidates: Iterable[Row], method: str, path: str) -> Row | None:
    """The row of a real path; one without parameters wins over one with."""
    fitting = [
        row
        for row in candidates
        if row.method == method
        and re.fullmatch(_PARAMETER.sub("[^/]+", row.path.replace(".", r"\.")), path)
    ]
    return min(fitting, key=lambda row: len(_PARAMETER.findall(row.path)), default=None)


def witnessed() -> dict[tuple[str, str], str]:
    """(method, path template) -> how the vendor's client has seen it in the contract tests."""
    from tests.contract.vendor_cases import CASES
    from tests.contract.vendor_methods import beyond_our_client

    found = {}
    for operation in operations():
        if operation.name in CASES:
            calls = CASES[operation.name].theirs.__code__.co_names
            found[operation.method, operation.template] = "models" if "raw" in calls else "yes"
    found |= dict.fromkeys(beyond_our_client(), "yes")
    found["POST", "/api/v1/token"] = "yes"
    return found


def recorded() -> list[tuple[str, str, str]]:
    """(cassette, method, path) of every recorded request to the control plane."""
    found = []
    for path in sorted(cassette.FOLDER.rglob("*.yaml")):
        name = str(path.relative_to(cassette.FOLDER).with_suffix(""))
        for item in yaml.load(path.read_text("utf-8"), Loader=yaml.CSafeLoader)["interactions"]:
            address = urlsplit(item["request"]["uri"])
            if address.hostname == "runai.example.com":
                found.append((name, item["request"]["method"], address.path))
    return found


def summary(table: list[Row]) -> str:
    """In numbers, for those who do not read the table."""
    by_client = [row for row in table if row.client]
    by_emulator = [row for row in table if row.emulator]

    def count(rows: list[Row], name: str) -> str:
        return f"{sum(bool(getattr(row, name)) for row in rows)} of {len(rows)}"

    documented = sum("documented" in row.right for row in by_emulator if ":" in row.right)
    ruled = sum(":" in row.right for row in by_emulator)
    return (
        f"- The client calls {len(by_client)} endpoints. The emulator serves "
        f"{count(by_client, 'emulator')} of them, cassettes show {count(by_client, 'cassettes')}, "
        f"the vendor's client has seen {count(by_client, 'vendor')}.\n"
        f"- The emulator serves {len(by_emulator)} endpoints; the vendor's client has seen "
        f"{sum(bool(row.vendor) for row in by_emulator)} of them.\n"
        f"- Of {ruled} rules about rights, {documented} are documented; the others are inferred.\n"
    )


def render() -> str:
    table = rows()
    lines = [
        "| Endpoint | Client | Emulator | Cassettes | Vendor's client | Right |",
        "|---|---|---|---|---|---|",
        *(f"| {' | '.join(row.cells())} |" for row in table),
    ]
    return f"{HEADER}{summary(table)}\n" + "\n".join(lines) + "\n"


def main() -> int:
    OUTPUT.write_text(render(), "utf-8")
    print(f"{OUTPUT.relative_to(ROOT)} is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
