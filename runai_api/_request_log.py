"""A record of what was asked of the control plane: one JSON object a line, never a body."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from runai_api.errors import ConfigurationError


class RequestLog:
    """Appends to a file that only its owner can read; safe from several threads and processes.

    Keys of a line: time, method, path, template, operation, status (null if no answer came),
    permission (null if none is needed), attempt, duration_ms, error (null or the error's class).
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser()
        self._lock = threading.Lock()
        try:
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"The request log {self.path} cannot be opened: {error.strerror}.",
                hint="Check RUNAI_REQUEST_LOG or the argument request_log.",
            ) from error

    def write(self, entry: Mapping[str, object]) -> None:
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **entry})
        with self._lock:
            if self._file >= 0:
                os.write(self._file, line.encode() + b"\n")

    def close(self) -> None:
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1
