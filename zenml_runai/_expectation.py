"""When workloads may be expected to end: as long after their start as others like them."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable
from datetime import datetime
from typing import Final

# Durations of similar steps that are remembered.
_REMEMBERED: Final = 20
# Ends this close to each other are worth one request together, seconds.
_TOGETHER: Final = 0.5
# A request comes so long after the expected end, seconds: the control plane hears of it first.
_MARGIN: Final = 0.25
# An end is overdue, and looked for more often, for this share of the usual duration, but at least
# for so many seconds.
_OVERDUE_SHARE: Final = 0.1
_OVERDUE_SECONDS: Final = 3.0


class Expectations:
    """Learns how long the workloads of a group run, by the control plane's own dates.

    Local seconds are those of a clock that never goes back. How the two are apart is learnt from
    the changes that are seen: none can be seen before it happens.
    """

    def __init__(self) -> None:
        self._durations: dict[str, deque[float]] = {}
        self._ahead: float | None = None

    def saw(self, happened: datetime, local: float) -> None:
        """A change that happened at a date was seen at a local time."""
        ahead = happened.timestamp() - local
        if self._ahead is None or ahead > self._ahead:
            self._ahead = ahead

    def ran(self, group: str, began: datetime, ended: datetime) -> None:
        """A workload of a group ran from one date to another."""
        known = self._durations.setdefault(group, deque(maxlen=_REMEMBERED))
        known.append(max((ended - began).total_seconds(), 0.0))

    def knows(self, group: str) -> bool:
        return group in self._durations

    def next_look(self, running: Iterable[tuple[str, datetime]], now: float) -> float | None:
        """The local time at which a request finds the next ends; ``now`` if one is overdue.

        Args:
            running: Group and start of each workload that runs.
            now: Local time.
        """
        if self._ahead is None:
            return None
        due: list[float] = []
        for group, began in running:
            if not self.knows(group):
                continue
            usual = statistics.median(self._durations[group])
            end = began.timestamp() - self._ahead + usual + _MARGIN
            if end > now:
                due.append(end)
            elif now - end <= max(_OVERDUE_SHARE * usual, _OVERDUE_SECONDS):
                return now
        if not due:
            return None
        due.sort()
        together = due[0]
        for end in due:
            if end - together > _TOGETHER:
                break
            together = end
        return together
