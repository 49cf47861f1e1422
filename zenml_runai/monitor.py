"""One poller for all workloads of a process in one project.

Every step of a process asks the same monitor, and the monitor asks the control plane one question
for all of them: *what changed in this project since then?* (``filterBy=phaseUpdatedAt>=...``). The
number of requests therefore depends on time, not on the number of steps.

* **Pace.** A request every `Pace.longest` seconds at the latest; every `Pace.shortest` after a
  submission; timed to come just after the expected end where steps of the same group have run
  before. A token bucket keeps any minute within `Pace.per_minute`.
* **Nothing is missed.** The cursor is made of the control plane's own timestamps and moves
  an overlap behind its present time, so that equal and late timestamps are seen again. Every
  `Pace.full` seconds one request goes back to the oldest state still in flight, whatever the
  cursor says; what only this request finds widens the overlap, and a workload that is missing
  there is asked for by its id.
* **Outages cost waiting.** An error of the control plane changes no state. Callers see in
  `Sighting.stale_for` how old the knowledge is.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from zenml.logger import get_logger

from zenml_runai import phases
from zenml_runai._expectation import Expectations
from zenml_runai._watches import Bucket, Clock, Pace, Sighting, Source, SystemClock, Watch

__all__ = ["Clock", "Pace", "Sighting", "Source", "SystemClock", "WorkloadMonitor"]

if TYPE_CHECKING:
    from runai_api import Workload

logger = get_logger(__name__)

# Timestamps of a control plane are not strictly in order of their appearance in the list; where
# two clocks date the phases, the overlap grows to their difference.
_OVERLAP: Final = timedelta(seconds=5)
# The cluster's clock, which dates the phases, may be behind the one that dates the creation.
_SKEW: Final = timedelta(minutes=10)
# A change is expected this long after a submission.
_EAGER_SECONDS: Final = 15.0
# With more workloads in flight nothing special is expected of any of them.
_CROWD: Final = 20
# A workload that waits longer than this is asked for its reasons.
_REASONS_AFTER_SECONDS: Final = 5.0
# Between two looks at a workload that is on its way out or missing from the list.
_DOUBT_SECONDS: Final = 10.0
# Longest pause between two attempts while the control plane does not answer.
_MAX_OUTAGE_PAUSE: Final = 15.0
# Between two warnings about the same outage.
_WARNING_SECONDS: Final = 300.0
_PAGE: Final = 500


class WorkloadMonitor:
    """Watches the workloads of one project; see the module's text.

    Thread-safe. The polling thread starts with the first watch and ends with the last.

    Args:
        source: The control plane.
        pace: How often it is asked.
        clock: Time.
        threaded: Poll in a thread of its own; tests call `poll_once` themselves.
    """

    def __init__(
        self,
        source: Source,
        pace: Pace | None = None,
        clock: Clock | None = None,
        *,
        threaded: bool = True,
    ) -> None:
        self._source = source
        self._pace = pace or Pace()
        self._clock = clock or SystemClock()
        self._threaded = threaded
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._watches: dict[str, Watch] = {}
        self._expected = Expectations()
        now = self._clock.time()
        self._bucket = Bucket(self._pace.per_minute, now)
        self._cursor: datetime | None = None
        self._cursor_at = now
        self._overlap = _OVERLAP
        self._full_due = True
        self._full_at = now
        self._polled_at: float | None = None
        self._answered_at: float | None = None
        self._failures = 0
        self._failing_since = now
        self._warned_at: float | None = None
        self._refused: str | None = None
        self._news = 0

    # What callers do

    def watch(
        self, workload_id: str, since: datetime, *, fresh: bool = True, group: str = ""
    ) -> None:
        """Begin to watch a workload; a second call changes nothing.

        Args:
            workload_id: Its id.
            since: When it was created, by the control plane's clock.
            fresh: It was submitted just now. Otherwise waiting and running times begin with the
                dates that the control plane gives.
            group: Workloads of one group take about the same time.
        """
        with self._changed:
            if workload_id in self._watches:
                return
            now = self._clock.time()
            watch = Watch(workload_id, since, fresh, group, registered_at=now, waiting_since=now)
            self._watches[workload_id] = watch
            if not fresh or (self._cursor is not None and since < self._cursor - self._overlap):
                self._full_due = True
            if self._threaded and self._thread is None:
                self._thread = threading.Thread(target=self._run, name="runai-monitor", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def forget(self, workload_id: str) -> None:
        """Stop watching a workload."""
        with self._changed:
            self._watches.pop(workload_id, None)
            self._changed.notify_all()

    def sighting(self, workload_id: str) -> Sighting:
        """What is known of a watched workload; ``KeyError`` for one that is not watched."""
        with self._changed:
            return self._sighting(self._watches[workload_id])

    def wait(self, workload_id: str, seen: int, seconds: float) -> Sighting:
        """The next sighting after version ``seen``, or the present one after ``seconds``."""
        deadline = self._clock.time() + seconds
        with self._changed:
            while True:
                watch = self._watches[workload_id]
                left = deadline - self._clock.time()
                if watch.version > seen or left <= 0:
                    return self._sighting(watch)
                self._clock.wait(self._changed, left)

    def wait_for_news(self, seen: int, seconds: float) -> int:
        """Wait until the control plane was heard since ``seen``, but no longer than ``seconds``.

        Returns the number of times that it was heard, to be passed to the next call; for one
        thread that looks after many workloads.
        """
        deadline = self._clock.time() + seconds
        with self._changed:
            while self._news <= seen and (left := deadline - self._clock.time()) > 0:
                self._clock.wait(self._changed, left)
            return self._news

    def watched(self) -> int:
        """How many workloads are watched."""
        with self._changed:
            return len(self._watches)

    # When to ask

    def next_poll(self) -> float:
        """When the next request is due, in the clock's seconds."""
        now = self._clock.time()
        if self._polled_at is None:
            return self._bucket.ready_at(now)
        pause: float
        if self._failures:
            pause = min(self._pace.longest * 2 ** min(self._failures - 1, 8), _MAX_OUTAGE_PAUSE)
        else:
            pause = self._pause(self._polled_at)
        return max(self._polled_at + pause, self._bucket.ready_at(now))

    def _pause(self, polled_at: float) -> float:
        """Seconds between the last request and the next."""
        shortest, longest = self._pace.shortest, self._pace.longest
        live = list(self._live())
        # In a crowd something is always expected; an even pace serves it best.
        if len(live) > _CROWD:
            return longest
        if any(self._is_new(watch, polled_at) for watch in live):
            return shortest
        running = [(watch.group, watch.began) for watch in live if watch.began is not None]
        look = self._expected.next_look(running, polled_at)
        if look is None:
            return longest
        # Requests at even intervals, the last of which comes just after the expected end.
        left = look - polled_at
        return max(left / max(math.ceil(left / longest), 1), shortest)

    def _is_new(self, watch: Watch, now: float) -> bool:
        """Whether a workload that was just submitted may start, or fail, at any moment."""
        recent = not watch.started and now - watch.registered_at < _EAGER_SECONDS
        return recent and not self._expected.knows(watch.group)

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._watches:
                    self._thread = None
                    return
                left = self.next_poll() - self._clock.time()
                if left > 0 or not any(self._live()):
                    self._clock.wait(self._changed, left if left > 0 else None)
                    continue
            self.poll_once()

    # What is asked

    def poll_once(self) -> None:
        """Ask for changes once, and in spare time for the reasons of one waiting workload."""
        with self._changed:
            now = self._clock.time()
            full = self._full_due or now - self._full_at >= self._pace.full
            since = self._since(full=full)
            self._polled_at = now
            self._bucket.take(now)
        if since is None:
            return
        try:
            found = self._source.changes(since)
        except Exception as error:  # no error of the control plane may end the watch
            self._not_answered(error)
            return
        with self._changed:
            self._answered(now, full=full, pages=1 + len(found) // _PAGE)
            for workload in found:
                watch = self._watches.get(workload.id)
                if watch is not None and self._apply(watch, workload, again=full) and full:
                    self._widen_overlap(workload)
            self._move_cursor(found, now)
            if full:
                ids = {workload.id for workload in found}
                for watch in self._live():
                    if watch.workload_id not in ids and watch.missing == 0:
                        watch.missing = 1
            doubtful = self._most_doubtful(self._clock.time())
            self._news += 1
            self._changed.notify_all()
        if doubtful is not None:
            self._look_at(doubtful)

    def _since(self, *, full: bool) -> datetime | None:
        live = list(self._live())
        if not live:
            return None
        if not full and self._cursor is not None:
            return self._cursor - self._overlap
        return min(self._last_known(watch) for watch in live) - self._overlap

    def _last_known(self, watch: Watch) -> datetime:
        if watch.workload is not None and watch.workload.phase_updated_at is not None:
            return watch.workload.phase_updated_at
        new = watch.fresh and self._clock.time() - watch.registered_at < self._pace.full
        return watch.since if new else watch.since - _SKEW

    def _move_cursor(self, found: Sequence[Workload], asked_at: float) -> None:
        """The control plane's clock was at least here when it was asked: by what it said then, or
        by what it said before and the time since."""
        dates = [w.phase_updated_at for w in found if w.phase_updated_at is not None]
        if self._cursor is not None:
            dates.append(self._cursor + timedelta(seconds=asked_at - self._cursor_at))
        self._cursor = max(dates, default=None)
        self._cursor_at = asked_at

    def _widen_overlap(self, changed: Workload) -> None:
        dated = changed.phase_updated_at
        if self._cursor is not None and dated is not None:
            behind = self._cursor - dated
            if behind > self._overlap:
                self._overlap = min(behind + _OVERLAP, _SKEW)

    def _answered(self, now: float, *, full: bool, pages: int) -> None:
        if self._failures:
            logger.info("Run:ai answers again after %.0f seconds.", now - self._failing_since)
        self._failures = 0
        self._warned_at = None
        self._refused = None
        self._answered_at = self._clock.time()
        if pages > 1:
            self._bucket.take(self._answered_at, pages - 1)
        if full:
            self._full_due = False
            self._full_at = now

    def _not_answered(self, error: Exception) -> None:
        with self._changed:
            now = self._clock.time()
            if self._failures == 0:
                self._failing_since = now
            self._failures += 1
            if self._answered_at is None and self._source.is_refusal(error):
                self._refused = str(error)
                for watch in self._watches.values():
                    watch.version += 1
            if self._warned_at is None or now - self._warned_at >= _WARNING_SECONDS:
                self._warned_at = now
                logger.warning(
                    "Run:ai does not answer, the steps are not affected; asking again: %s", error
                )
            self._changed.notify_all()

    def _most_doubtful(self, now: float) -> Watch | None:
        """The workload to look at by itself, if the minute has room for it."""
        due = [
            watch
            for watch in self._live()
            if (pause := self._pause_between_looks(watch, now)) is not None
            and (watch.looked_at is None or now - watch.looked_at >= pause)
        ]
        watch = min(due, key=lambda watch: watch.looked_at or 0.0, default=None)
        if watch is None:
            return None
        # Borrow from the next requests where the end of a step depends on the look, and where
        # nothing runs whose end could be seen late.
        borrows = watch.missing or not any(other.started for other in self._live())
        return watch if borrows or self._bucket.tokens(now) >= 1.0 else None

    def _pause_between_looks(self, watch: Watch, now: float) -> float | None:
        if watch.missing or watch.phase in phases.IN_TRANSIT or watch.phase == phases.UNKNOWN:
            return _DOUBT_SECONDS
        if watch.phase in phases.NOT_STARTED and watch.pending_for(now) >= _REASONS_AFTER_SECONDS:
            return self._pace.full
        return None

    def _look_at(self, watch: Watch) -> None:
        try:
            workload = self._source.get(watch.workload_id)
            waits = workload is not None and workload.phase in phases.NOT_STARTED
            reasons = self._source.reasons(workload) if workload is not None and waits else ()
        except Exception as error:  # the list goes on, and the next look is soon enough
            logger.debug("Run:ai said nothing about workload %s: %s", watch.workload_id, error)
            watch.looked_at = self._clock.time()
            return
        with self._changed:
            now = self._clock.time()
            self._bucket.take(now, 2 if waits else 1)
            watch.looked_at = now
            if workload is None:
                watch.missing += 1
                # Twice, so that one wrong answer does not end a healthy step.
                if watch.missing > 2:
                    watch.gone = True
                    watch.version += 1
            else:
                watch.missing = 0
                if self._apply(watch, workload, again=True):
                    self._widen_overlap(workload)
                self._add_reasons(watch, reasons)
            self._news += 1
            self._changed.notify_all()

    # What is remembered

    def _live(self) -> Iterator[Watch]:
        return (watch for watch in self._watches.values() if watch.live)

    def _apply(self, watch: Watch, workload: Workload, *, again: bool) -> bool:
        """Take over what the control plane says; whether that is a known workload's new phase."""
        before, now = watch.workload, self._clock.time()
        watch.missing = 0
        state = (workload.phase, _dated(workload))
        if before is not None:
            same = state == (before.phase, _dated(before))
            # A state of the past: the list is behind. Its date alone would not tell, because
            # creation and phases may be dated by different clocks.
            past = state in watch.states and not again
            if same or past or not watch.live:
                self._add_reasons(watch, _short_reasons(workload))
                return False
        watch.states.add(state)
        # How long ago the phase began; unknown for what was submitted by this process just now.
        age = 0.0
        if before is None and not watch.fresh:
            age = max(0.0, (self._clock.now() - _dated(workload)).total_seconds())
            watch.ran = max(watch.ran, float(workload.total_running_time_seconds or 0.0))
        watch.workload = workload
        if before is not None:
            self._expected.saw(_dated(workload), now)
        if workload.phase in phases.RUNNING:
            watch.started, watch.waiting_since = True, None
            watch.began = watch.began or _dated(workload)
            if watch.running_since is None:
                watch.running_since = now - age
                watch.ran = max(0.0, watch.ran - age)
        elif workload.phase in phases.NOT_STARTED:
            watch.began = None
            if watch.running_since is not None:
                watch.ran, watch.running_since = watch.running_for(now), None
            if watch.waiting_since is None or age:
                watch.waiting_since = now - age
        elif workload.phase in phases.ENDED:
            if watch.running_since is not None:
                watch.ran, watch.running_since = watch.running_for(now), None
            if watch.began is not None:
                self._expected.ran(watch.group, watch.began, _dated(workload))
            watch.started = watch.started or workload.phase == phases.COMPLETED
            watch.waiting_since = None
        watch.version += 1
        self._add_reasons(watch, _short_reasons(workload))
        return before is not None

    def _add_reasons(self, watch: Watch, reasons: Sequence[str]) -> None:
        for reason in reasons:
            if reason not in watch.reasons:
                watch.reasons[reason] = None
                watch.version += 1

    def _sighting(self, watch: Watch) -> Sighting:
        now = self._clock.time()
        answered = watch.registered_at if self._answered_at is None else self._answered_at
        return Sighting(
            phase=watch.phase,
            started=watch.started,
            workload=watch.workload,
            pending_for=watch.pending_for(now),
            running_for=watch.running_for(now),
            stale_for=max(0.0, now - answered),
            reasons=tuple(watch.reasons),
            refused=self._refused,
            version=watch.version,
        )


def _dated(workload: Workload) -> datetime:
    return workload.phase_updated_at or workload.created_at or datetime.min.replace(tzinfo=UTC)


def _short_reasons(workload: Workload) -> Sequence[str]:
    """What the list itself says about a workload that waits."""
    if workload.phase not in phases.NOT_STARTED:
        return ()
    return [text for text in (workload.phase_message, workload.phase_reason) if text][:1]
