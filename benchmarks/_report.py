"""One table for all benchmarks: what was measured, beside what, against which goal."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass
class Report:
    """Collects rows and prints them; `exit_code` is 1 when a goal was missed."""

    title: str
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)
    missed: int = 0

    def add(self, what: str, measured: str, goal: str, met: bool) -> None:
        """One row; `goal` is text such as ``<= 20``, `met` whether it was reached."""
        self.rows.append((what, measured, goal, "met" if met else "MISSED"))
        self.missed += not met

    def note(self, what: str, measured: str) -> None:
        """A row without a goal."""
        self.rows.append((what, measured, "", ""))

    def at_most(self, what: str, value: float, limit: float, unit: str = "") -> None:
        self.add(what, f"{value:.4g}{unit}", f"<= {limit:g}{unit}", value <= limit)

    def at_least(self, what: str, value: float, limit: float, unit: str = "") -> None:
        self.add(what, f"{value:.4g}{unit}", f">= {limit:g}{unit}", value >= limit)

    def show(self) -> int:
        """Print the table; return the exit code."""
        print(self.title)
        widths = [max((len(row[i]) for row in self.rows), default=0) for i in range(4)]
        for row in self.rows:
            print(
                "  "
                + "  ".join(
                    text.ljust(width) for text, width in zip(row, widths, strict=True)
                ).rstrip()
            )
        return 1 if self.missed else 0


def paired(
    ours: Callable[[], float], peer: Callable[[], float], runs: int
) -> tuple[Sequence[float], Sequence[float]]:
    """Measure the two in turn, so that a drift of the machine's speed hits both."""
    pairs = [(ours(), peer()) for _ in range(runs)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def median_ratio(ours: Sequence[float], peer: Sequence[float]) -> float:
    """The median of the ratios pair by pair."""
    return statistics.median(a / b for a, b in zip(ours, peer, strict=True))


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which `percent` of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
