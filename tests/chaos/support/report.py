"""The table of `make chaos`: one line of JSON a case, in the file that CHAOS_REPORT names."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

VARIABLE = "CHAOS_REPORT"
#: ``1/4``: take the second of every four tests.
SHARD = "CHAOS_SHARD"


@dataclass(frozen=True)
class Row:
    """One disaster and what came of it."""

    scenario: str
    case: str
    request: str
    converged: bool
    duplicates: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return self.converged and not (
            self.duplicates or self.orphans or self.missing or self.problems
        )

    def __str__(self) -> str:
        words = [f"{self.scenario} {self.case}: {self.request}"]
        if not self.converged:
            words.append("  did not converge")
        for name in ("duplicates", "orphans", "missing", "problems"):
            words += [f"  {name}: {what}" for what in getattr(self, name)]
        return "\n".join(words)


class Report:
    """Appends rows to the file, if there is one."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    @classmethod
    def from_environment(cls) -> Report:
        name = os.environ.get(VARIABLE)
        return cls(Path(name) if name else None)

    def add(self, row: Row) -> None:
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps(asdict(row)) + "\n")


def read(path: Path) -> list[Row]:
    """The complete lines; the last one may still be in the making."""
    lines = path.read_text().splitlines(keepends=True)
    return [Row(**json.loads(line)) for line in lines if line.endswith("\n")]
