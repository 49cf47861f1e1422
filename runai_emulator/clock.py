"""The emulator's clock: the wall clock plus an offset that tests may move forward."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache


class Clock:
    """Seconds since the epoch, rounded to the millisecond that the API shows."""

    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> float:
        return round(time.time() + self.offset, 3)

    def advance(self, seconds: float) -> float:
        if seconds < 0:
            raise ValueError("the clock moves forward only")
        self.offset += seconds
        return self.now()


@lru_cache(maxsize=4096)
def _second(number: int) -> str:
    return datetime.fromtimestamp(number, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def iso(moment: float | None) -> str | None:
    """RFC 3339 in UTC with milliseconds; None stays None."""
    if moment is None:
        return None
    seconds, thousandths = divmod(round(moment * 1000), 1000)
    return f"{_second(seconds)}.{thousandths:03d}Z"


def parse_iso(text: str) -> float:
    """Seconds since the epoch of an ISO 8601 date; raises ValueError."""
    # An unescaped "+" of a time zone arrives from a query string as a space.
    moment = datetime.fromisoformat(text.strip().replace(" ", "+"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()
