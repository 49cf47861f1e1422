"""Rows in memory, written through to SQLite when a state file is given.

A row is a JSON object with a text `id`; moments are floats (seconds since the epoch). Everything
a request writes is committed in one transaction before its answer is sent.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ._constants import FIRST_FREE_ID, GRAVEYARD_SIZE
from .clock import Clock

Row = dict[str, Any]

TABLES = (
    "accounts",
    "roles",
    "rules",
    "clusters",
    "node_pools",
    "departments",
    "projects",
    "assets",
    "templates",
    "nodes",
)


class Table:
    """One kind of row, in order of creation."""

    def __init__(self, store: Store, name: str) -> None:
        self.name = name
        self.rows: dict[str, Row] = {}
        self._store = store
        self._leaving: dict[str, float] = {}
        self.graveyard: deque[tuple[float, Row]] = deque(maxlen=GRAVEYARD_SIZE)

    def get(self, key: str) -> Row | None:
        self._purge()
        return self.rows.get(key)

    def put(self, row: Row) -> Row:
        self.rows[row["id"]] = row
        if row.get("deletingSince") is not None:
            self._leaving[row["id"]] = row["deletingSince"]
        self._store.save(self.name, row["id"], row)
        return row

    def delete(self, key: str) -> None:
        row = self.rows.pop(key)
        self._leaving.pop(key, None)
        self.graveyard.append((self._store.clock.now(), row))
        self._store.forget(self.name, key)

    def delete_later(self, row: Row) -> bool:
        """Begin an asynchronous deletion; True when the row is gone already."""
        if self._store.async_delay == 0:
            self.delete(row["id"])
            return True
        if row.get("deletingSince") is None:
            row["deletingSince"] = self._store.clock.now()
            self.put(row)
        return False

    def values(self) -> list[Row]:
        self._purge()
        return list(self.rows.values())

    def find(self, **wanted: Any) -> Row | None:
        return next(self.matching(**wanted), None)

    def matching(self, **wanted: Any) -> Iterator[Row]:
        items = wanted.items()
        return (row for row in self.values() if all(row.get(key) == value for key, value in items))

    def listed(self, hidden_since: float | None) -> list[Row]:
        """Rows for a list; a stale view hides what is new and still shows what was deleted."""
        rows = self.values()
        if hidden_since is None:
            return rows
        rows = [row for row in rows if row.get("createdAt", 0) <= hidden_since]
        return rows + [
            row
            for moment, row in self.graveyard
            if moment > hidden_since and row.get("createdAt", 0) <= hidden_since
        ]

    def _purge(self) -> None:
        if not self._leaving:
            return
        due = self._store.clock.now() - self._store.async_delay
        for key in [key for key, since in self._leaving.items() if since <= due]:
            self.delete(key)

    def load(self, row: Row) -> None:
        self.rows[row["id"]] = row
        if row.get("deletingSince") is not None:
            self._leaving[row["id"]] = row["deletingSince"]

    def clear(self) -> None:
        self.rows.clear()
        self._leaving.clear()
        self.graveyard.clear()


class Store:
    """All tables, the id counters, and a few single values."""

    def __init__(self, clock: Clock, async_delay: float, path: str | os.PathLike | None) -> None:
        self.clock = clock
        self.async_delay = async_delay
        self.tables = {name: Table(self, name) for name in TABLES}
        self.values: dict[str, Any] = {}
        self._counters = dict(FIRST_FREE_ID)
        #: Grows with every write; caches compare it.
        self.generation = 0
        self._database = _open(path) if path is not None else None

    def __getattr__(self, name: str) -> Table:
        try:
            return self.__dict__["tables"][name]
        except KeyError:
            raise AttributeError(name) from None

    def next_id(self, kind: str) -> int:
        number = self._counters[kind]
        self._counters[kind] = number + 1
        self.set_value(f"next:{kind}", number + 1)
        return number

    def set_value(self, name: str, value: Any) -> None:
        self.values[name] = value
        self.save("values", name, value)

    @property
    def persistent(self) -> bool:
        return self._database is not None

    def save(self, kind: str, key: str, body: Any) -> None:
        self.generation += 1
        self.write(kind, key, body)

    def write(self, kind: str, key: str, body: Any) -> None:
        """Save without making caches of rights stale."""
        if self._database is not None:
            self._database.execute(
                "INSERT INTO rows (kind, id, body) VALUES (?, ?, ?) "
                "ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
                (kind, key, json.dumps(body, separators=(",", ":"))),
            )

    def forget(self, kind: str, key: str) -> None:
        self.generation += 1
        if self._database is not None:
            self._database.execute("DELETE FROM rows WHERE kind = ? AND id = ?", (kind, key))

    def stored(self, kind: str) -> Iterator[Any]:
        """Saved bodies of a kind that is not a table, in order of creation."""
        if self._database is None:
            return
        query = "SELECT body FROM rows WHERE kind = ? ORDER BY seq"
        for (body,) in self._database.execute(query, (kind,)):
            yield json.loads(body)

    def commit(self) -> None:
        if self._database is not None and self._database.in_transaction:
            self._database.commit()

    def load(self) -> bool:
        """Read the state file; False when it is empty or there is none."""
        if self._database is None:
            return False
        found = False
        for kind, key, body in self._database.execute(
            "SELECT kind, id, body FROM rows ORDER BY seq"
        ):
            found = True
            if kind in self.tables:
                self.tables[kind].load(json.loads(body))
            elif kind == "values":
                self.values[key] = json.loads(body)
        for kind in self._counters:
            self._counters[kind] = self.values.get(f"next:{kind}", self._counters[kind])
        return found

    def clear(self) -> None:
        for table in self.tables.values():
            table.clear()
        self.values.clear()
        self._counters = dict(FIRST_FREE_ID)
        self.generation += 1
        if self._database is not None:
            self._database.execute("DELETE FROM rows")
            self._database.commit()

    def close(self) -> None:
        if self._database is not None:
            self.commit()
            self._database.close()
            self._database = None


def _open(path: str | os.PathLike) -> sqlite3.Connection:
    """Open the state file, readable by its owner only: it holds credentials."""
    file = Path(path)
    if not file.parent.is_dir():
        raise FileNotFoundError(f"The folder of the state file does not exist: {file.parent}")
    os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    database = sqlite3.connect(file, check_same_thread=False)
    # A killed emulator loses nothing; only a power cut could, which a local tool can bear.
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = OFF")
    database.execute(
        "CREATE TABLE IF NOT EXISTS rows (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, "
        "id TEXT NOT NULL, body TEXT NOT NULL, UNIQUE (kind, id))"
    )
    database.commit()
    return database
