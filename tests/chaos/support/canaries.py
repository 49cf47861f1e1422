"""Finds secrets wherever they have got to: in files, databases and command lines, in whatever
writing."""

from __future__ import annotations

import base64
import contextlib
import gzip
import os
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from secrets import token_hex
from typing import Self

#: A token of either server, whatever it says.
TOKEN = re.compile(rb"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{20,}")


def canary(what: str, before: str = "", after: str = "") -> str:
    """A secret of its own. What stands around it looks different in JSON or in a form; the
    middle is the same everywhere."""
    return f"{before}{what}-{token_hex(10)}{after}"


class Canaries:
    """`secrets` by what they are; the search looks for their middle, if they were made here."""

    def __init__(self, secrets: Mapping[str, str], *, tokens: bool = True) -> None:
        self._tokens = tokens
        self._writings: dict[str, tuple[bytes, ...]] = {}
        for what, secret in secrets.items():
            self.add(what, secret)

    def add(self, what: str, secret: str) -> None:
        """Look for one more; the other ones of this name stay."""
        found = re.search(r"[\w-]+-[0-9a-f]{20}", secret)
        middle = (found.group() if found else secret).encode()
        assert len(middle) >= 12, f"{what} is too short to be searched for"
        while self._writings.get(what, (middle,))[0] != middle:
            what += "'"
        self._writings[what] = (middle, *_in_base64(middle))

    def in_text(self, text: str | bytes, where: str) -> list[str]:
        """What was found, with what stands before it; the secrets themselves are left out."""
        content = text if isinstance(text, bytes) else text.encode(errors="replace")
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        hits = []
        for what, writings in self._writings.items():
            for number, writing in enumerate(writings):
                at = content.find(writing)
                if at >= 0:
                    how = " in base64" if number else ""
                    hits.append(f"{what}{how} in {where}, after {content[max(0, at - 80) : at]!r}")
        if self._tokens and (found := TOKEN.search(content)):
            before = content[max(0, found.start() - 80) : found.start()]
            hits.append(f"a token in {where}, after {before!r}")
        return hits

    def in_files(self, *places: Path) -> list[str]:
        """Files, and folders with all that they hold; their names too."""
        files = [
            file
            for place in places
            for file in ([place] if place.is_file() else place.rglob("*"))
            if file.is_file()
        ]
        assert files, f"nothing to search in {places}"
        return [
            hit
            for file in files
            for hit in self.in_text(str(file).encode() + b"\n", f"the name of {file}")
            + self.in_text(file.read_bytes(), str(file))
        ]

    def in_database(self, file: Path) -> list[str]:
        """Every column of every table of an SQLite database, each as ``table.column``."""
        hits = []
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            cells = 0
            for where, cell in _cells(database):
                cells += 1
                content = cell if isinstance(cell, bytes) else str(cell).encode(errors="replace")
                hits += self.in_text(content, where)
        assert cells > 100, f"{file} is nearly empty"
        return hits


def _in_base64(middle: bytes) -> Iterator[bytes]:
    """What a text has in common wherever it stands in something that is written in base64."""
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + middle)
        # The first and the last group mix with what stands around.
        yield encoded[4:-4]


def _cells(database: sqlite3.Connection) -> Iterator[tuple[str, object]]:
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (table,) in tables:
        rows = database.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - names of the schema
        columns = [column[0] for column in rows.description]
        for row in rows:
            for column, cell in zip(columns, row, strict=True):
                if cell is not None:
                    yield f"{table}.{column}", cell


class ProcessWatch:
    """Every command line that any process of this machine has while it is watched, of those that
    live for some milliseconds."""

    #: A process changes its command line when it starts a program, which it does at once.
    _LOOKS = 200
    _PAUSE = 0.001

    def __init__(self) -> None:
        self.command_lines: set[bytes] = set()
        self._looks: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="process-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def saw(self, *parts: str) -> bool:
        """Whether a process with all of these in its command line was seen."""
        return any(all(part.encode() in line for part in parts) for line in self.command_lines)

    def _watch(self) -> None:
        while not self._stop.wait(self._PAUSE):
            running = {name for name in os.listdir("/proc") if name.isdigit()}
            self._looks = {pid: n for pid, n in self._looks.items() if pid in running}
            for pid in running:
                looks = self._looks.get(pid, 0)
                if looks < self._LOOKS:
                    self._looks[pid] = looks + 1
                    with contextlib.suppress(OSError):
                        line = Path("/proc", pid, "cmdline").read_bytes()
                        self.command_lines.add(line.replace(b"\0", b" "))


def in_command_lines(canaries: Canaries, watch: ProcessWatch) -> list[str]:
    return [
        hit
        for line in watch.command_lines
        for hit in canaries.in_text(line, f"the command line of {line.split()[:3]!r}"[:60])
    ]


def without(hits: Iterable[str], *places: str) -> list[str]:
    """The hits that are not in one of these places."""
    return [hit for hit in hits if not any(f" in {place}, after" in hit for place in places)]
