"""Run the matrix of disasters in several processes, and print what came of it as one table.

``python -m tools.chaos [-k EXPRESSION] [--workers N] [--rows]``. Every process has servers of its
own and takes its share of the tests. All cases, one line of JSON each, and the output of the
processes stay in ``build/chaos``. Exit code 0 if every case converged and left nothing behind.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.chaos.support.report import SHARD, VARIABLE, Row, read
from tools import pulumi_engine

FOLDER = pulumi_engine.ROOT / "build" / "chaos"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tools.chaos", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("-k", metavar="EXPRESSION", help="only tests that match, as pytest's -k")
    parser.add_argument(
        "--workers", type=int, default=2, help="processes side by side (default: %(default)s)"
    )
    parser.add_argument("--rows", action="store_true", help="show every case, not only the sums")
    options = parser.parse_args(arguments)

    started = time.monotonic()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    workers = [_start(number, options.workers, options.k) for number in range(options.workers)]
    codes = _wait(workers, started)

    rows = [row for file in sorted(FOLDER.glob("*.jsonl")) for row in read(file)]
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(_table(rows, every=options.rows))
    for row in rows:
        if not row.good:
            console.print(str(row), style="red", markup=False)
    # A share without tests is no failure; a whole run without them is.
    bad = [code for code in codes if code not in (0, pytest_no_tests())]
    for number, code in enumerate(codes):
        if code in bad:
            print(f"\nProcess {number} ended with {code}; the end of its output:")
            print("\n".join(_log(number).read_text().splitlines()[-40:]))
    minutes = (time.monotonic() - started) / 60
    good = sum(row.good for row in rows)
    print(f"{good} of {len(rows)} cases are well, in {minutes:.1f} minutes; details in {FOLDER}")
    return 1 if bad or good < len(rows) or not rows else 0


def pytest_no_tests() -> int:
    import pytest

    return int(pytest.ExitCode.NO_TESTS_COLLECTED)


def _start(number: int, workers: int, expression: str | None) -> subprocess.Popen[bytes]:
    command = [
        sys.executable, "-m", "pytest", "-m", "chaos", "tests/chaos", "-p", "no:cacheprovider",
    ]  # fmt: skip
    if expression:
        command += ["-k", expression]
    environment = {
        **os.environ,
        VARIABLE: str(FOLDER / f"{number}.jsonl"),
        SHARD: f"{number}/{workers}",
    }
    with _log(number).open("wb") as log:
        return subprocess.Popen(
            command, cwd=pulumi_engine.ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
        )


def _wait(workers: list[subprocess.Popen[bytes]], started: float) -> list[int]:
    """Say every minute how far they are; stop them when this process is stopped."""
    try:
        while any(worker.poll() is None for worker in workers):
            time.sleep(1)
            seconds = int(time.monotonic() - started)
            if seconds % 60 == 0:
                cases = sum(len(read(file)) for file in FOLDER.glob("*.jsonl"))
                print(f"[chaos] {seconds // 60} min: {cases} cases", file=sys.stderr, flush=True)
    except BaseException:
        for worker in workers:
            worker.send_signal(signal.SIGINT)  # pytest then stops its servers
        for worker in workers:
            worker.wait()
        raise
    return [worker.wait() for worker in workers]


def _log(number: int) -> Path:
    return FOLDER / f"{number}.log"


def _table(rows: list[Row], *, every: bool) -> Table:
    table = Table(title="Disasters, and what was left of them")
    for name in ("scenario", "case", "request"):
        table.add_column(name, overflow="fold")
    for name in ("converged", "duplicates", "orphans", "missing", "other", "seconds"):
        table.add_column(name, justify="right")
    for scenario in dict.fromkeys(row.scenario for row in rows):
        mine = [row for row in rows if row.scenario == scenario]
        if every:
            for row in mine:
                table.add_row(*_cells([row], row.case, row.request), style=_style([row]))
        else:
            kinds = len({row.request for row in mine})
            table.add_row(
                *_cells(mine, f"{len(mine)} cases", f"{kinds} requests"), style=_style(mine)
            )
    return table


def _cells(rows: list[Row], case: str, request: str) -> list[str]:
    return [
        rows[0].scenario, case, request, f"{sum(row.converged for row in rows)}/{len(rows)}",
        *(str(sum(len(getattr(row, name)) for row in rows))
          for name in ("duplicates", "orphans", "missing", "problems")),
        f"{sum(row.seconds for row in rows):.0f}",
    ]  # fmt: skip


def _style(rows: list[Row]) -> str:
    return "" if all(row.good for row in rows) else "red"


if __name__ == "__main__":
    sys.exit(main())
