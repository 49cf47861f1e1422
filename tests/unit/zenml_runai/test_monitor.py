"""The shared poller on a clock of its own and a control plane with scripted phases."""

import random
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from runai_api import Workload
from zenml_runai import phases
from zenml_runai.monitor import Pace, WorkloadMonitor

START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """Moves only when told; the date may be wrong by `skew` against the control plane's."""

    def __init__(self, skew: timedelta = timedelta(0)) -> None:
        self.seconds = 0.0
        self.skew = skew

    def time(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds) + self.skew

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        raise AssertionError("nobody waits in these tests")


class Refusal(Exception):
    pass


class FakePlane:
    """A control plane whose workloads change their phase at given times."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.scripts: dict[str, list[tuple[float, str]]] = {}
        self.visible_late: dict[str, float] = {}
        self.requests: list[tuple[float, str]] = []
        self.down = False
        self.refuses = False
        self.hidden: set[str] = set()
        self.list_lies: list[Workload] | None = None
        self.said: dict[str, list[str]] = {}
        self.phases_behind = timedelta(0)

    def create(self, workload_id: str, *script: tuple[float, str]) -> datetime:
        """`script`: seconds from now and the phase that begins then."""
        begin = self.clock.seconds
        self.scripts[workload_id] = [(begin + after, phase) for after, phase in script]
        return self.date(begin)

    def date(self, seconds: float) -> datetime:
        return START + timedelta(seconds=seconds)

    def present(self, workload_id: str) -> Workload:
        shown = self.clock.seconds - self.visible_late.get(workload_id, 0.0)
        changed, phase = [e for e in self.scripts[workload_id] if e[0] <= shown][-1]
        return Workload(
            id=workload_id,
            name=workload_id,
            type="Training",
            phase=phase,
            project_id="1",
            created_at=self.date(self.scripts[workload_id][0][0]),
            phase_updated_at=self.date(changed)
            - (timedelta(0) if phase == "Creating" else self.phases_behind),
        )

    def changes(self, since: datetime) -> Sequence[Workload]:
        self.requests.append((self.clock.seconds, "list"))
        self._maybe_fail()
        if self.list_lies is not None:
            return self.list_lies
        shown = (self.present(workload_id) for workload_id in self.scripts)
        found = [w for w in shown if w.phase_updated_at >= since and w.id not in self.hidden]
        # Further pages of 500 are requests of their own.
        self.requests += [(self.clock.seconds, "page")] * (len(found) // 500)
        return found

    def get(self, workload_id: str) -> Workload | None:
        self.requests.append((self.clock.seconds, "get"))
        self._maybe_fail()
        return None if workload_id in self.hidden else self.present(workload_id)

    def reasons(self, workload: Workload) -> Sequence[str]:
        self.requests.append((self.clock.seconds, "events"))
        return self.said.get(workload.id, ())

    def is_refusal(self, error: Exception) -> bool:
        return isinstance(error, Refusal)

    def _maybe_fail(self) -> None:
        if self.refuses:
            raise Refusal("workloads:read is missing")
        if self.down:
            raise ConnectionError("no answer")

    def ended_at(self, workload_id: str) -> float:
        return self.scripts[workload_id][-1][0]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def plane(clock: FakeClock) -> FakePlane:
    return FakePlane(clock)


@pytest.fixture
def monitor(plane: FakePlane, clock: FakeClock) -> WorkloadMonitor:
    return WorkloadMonitor(plane, Pace(), clock, threaded=False)


def polls(monitor: WorkloadMonitor, clock: FakeClock, until: float) -> Iterator[float]:
    """Run the monitor's own schedule; yields after each request."""
    while (due := monitor.next_poll()) <= until:
        clock.seconds = max(clock.seconds, due)
        monitor.poll_once()
        yield clock.seconds
    clock.seconds = until


def run(monitor: WorkloadMonitor, clock: FakeClock, seconds: float) -> None:
    for _ in polls(monitor, clock, clock.seconds + seconds):
        pass


def busiest_minute(plane: FakePlane) -> int:
    times = [at for at, _ in plane.requests]
    return max(sum(begin <= at < begin + 60.0 for at in times) for begin in times)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[round(share * (len(values) - 1))]


def test_thousand_steps_two_hundred_at_a_time(
    monitor: WorkloadMonitor, plane: FakePlane, clock: FakeClock
) -> None:
    chance = random.Random(7)
    waiting = [f"w{number}" for number in range(1000)]
    in_flight: set[str] = set()
    lags: list[float] = []

    def fill() -> None:
        while waiting and len(in_flight) < 200:
            name = waiting.pop()
            runs = 2.0 + chance.uniform(0.5, 60.0)
            since = plane.create(name, (0, "Creating"), (2.0, "Running"), (runs, "Completed"))
            monitor.watch(name, since, group="same")
            in_flight.add(name)

    fill()
    for now in polls(monitor, clock, 3600.0):
        for name in list(in_flight):
            if monitor.sighting(name).ended:
                lags.append(now - plane.ended_at(name))
                monitor.forget(name)
                in_flight.remove(name)
        fill()
        if not in_flight:
            break
    assert len(lags) == 1000
    assert percentile(lags, 0.95) <= 3.0
    assert busiest_minute(plane) <= 24


def test_single_step_is_seen_to_end_within_three_seconds(
    monitor: WorkloadMonitor, plane: FakePlane, clock: FakeClock
) -> None:
    chance = random.Random(11)
    lags = []
    for number in range(200):
        name = f"w{number}"
        runs = chance.uniform(1.0, 120.0)
        since = plane.create(name, (0, "Pending"), (0.5, "Running"), (0.5 + runs, "Completed"))
        monitor.watch(name, since, group=name)
        for now in polls(monitor, clock, clock.seconds + 1000.0):
            if monitor.sighting(name).ended:
                lags.append(now - plane.ended_at(name))
                monitor.forget(name)
                break
    assert len(lags) == 200
    assert percentile(lags, 0.95) <= 3.0
    assert busiest_minute(plane) <= 24


def test_number_of_requests_does_not_depend_on_the_number_of_steps(clock: FakeClock) -> None:
    counts = []
    for steps in (1, 100, 1000):
        mine = FakeClock()
        plane = FakePlane(mine)
        monitor = WorkloadMonitor(plane, Pace(), mine, threaded=False)
        for number in range(steps):
            since = plane.create(f"w{number}", (0, "Creating"), (1, "Running"))
            monitor.watch(f"w{number}", since)
        run(monitor, mine, 600.0)
        counts.append(len(plane.requests))
    assert max(counts) <= 1.1 * min(counts)


def test_both_limits_can_be_set(plane: FakePlane, clock: FakeClock) -> None:
    pace = Pace(shortest=5.0, longest=20.0, per_minute=60, full=1000.0)
    monitor = WorkloadMonitor(plane, pace, clock, threaded=False)
    monitor.watch("w", plane.create("w", (0, "Pending"), (4, "Running")))
    run(monitor, clock, 120.0)
    lists = [at for at, what in plane.requests if what == "list"]
    gaps = [later - earlier for earlier, later in pairwise(lists)]
    assert min(gaps) >= 5.0
    assert gaps[-1] == 20.0


def test_asks_faster_after_a_submission(
    monitor: WorkloadMonitor, plane: FakePlane, clock: FakeClock
) -> None:
    monitor.watch("a", plane.create("a", (0, "Creating"), (3, "Running"), (63, "Completed")))
    due = monitor.next_poll()
    monitor.poll_once()
    assert monitor.next_poll() - due == 1.0


def test_asks_just_after_the_expected_end_of_a_step_like_others(
    monitor: WorkloadMonitor, plane: FakePlane, clock: FakeClock
) -> None:
    lags = []
    for number in range(12):
        name = f"w{number}"
        since = plane.create(name, (0, "Creating"), (0.7, "Running"), (10.7, "Completed"))
        monitor.watch(name, since, group="same")
        for now in polls(monitor, clock, clock.seconds + 100.0):
            if monitor.sighting(name).ended:
                lags.append(now - plane.ended_at(name))
                monitor.forget(name)
                break
    assert percentile(lags[3:], 0.5) <= 0.6
    assert busiest_minute(plane) <= 24


def test_late_timestamp_within_the_overlap_is_seen_at_the_next_request(
    monitor: WorkloadMonitor, plane: FakePlane, clock: FakeClock
) -> None:
    monitor.watch("a", plane.create("a", (0, "Running")))
    monitor.watch("b", plane.create("b", (0, "Running"), (20.0, "Completed")))
    # The list shows b's end 3 s late, while a newer timestamp has moved the cursor beyond it.
    plane.visible_late["b"] = 3.0
    plane.scripts["a"].append((22.5, "Degraded"))
    run(monitor, clock, 28.0)
    assert monitor.sighting("b").phase == "Completed"


def test_very_late_timestamp_is_seen_by_the_full_look(
    monitor: WorkloadMonitor, plane: FakePlane, clock: FakeClock
) -> None:
    monitor.watch("a", plane.create("a", *[(float(t), "Running") for t in range(0, 200, 2)]))
    monitor.watch("b", plane.create("b", (0, "Running"), (40.0, "Completed")))
    plane.visible_late["b"] = 60.0
    run(monitor, clock, 99.0)
    assert monitor.sighting("b").phase == "Running"
    run(monitor, clock, 40.0)
    assert monitor.sighting("b").phase == "Completed"


@pytest.mark.parametrize("hours", [-1, 1])
def test_wrong_clock_of_this_machine_changes_nothing(hours: int) -> None:
    clock = FakeClock(skew=timedelta(hours=hours))
    plane = FakePlane(clock)
    monitor = WorkloadMonitor(plane, Pace(), clock, threaded=False)
    monitor.watch("w", plane.create("w", (0, "Pending"), (10, "Running"), (50, "Completed")))
    run(monitor, clock, 30.0)
    assert monitor.sighting("w").running_for == pytest.approx(20.0, abs=6.0)
    run(monitor, clock, 30.0)
    assert monitor.sighting("w").phase == "Completed"


def test_two_clocks_in_the_control_plane_cost_one_full_look(
    monitor: WorkloadMonitor, plane: FakePlane, clock: FakeClock
) -> None:
    """Creations are dated by one clock, phases by another that is two minutes behind."""
    plane.phases_behind = timedelta(minutes=2)
    lags = []
    for number in range(20):
        name = f"w{number}"
        since = plane.create(name, (0, "Creating"), (5, "Running"), (50 + number, "Completed"))
        monitor.watch(name, since)
        for now in polls(monitor, clock, clock.seconds + 200.0):
            if monitor.sighting(name).ended:
                lags.append(now - plane.ended_at(name))
                break
        else:
            pytest.fail(f"the end of {name} was never seen")
    assert max(lags[1:]) <= 3.5


def test_outage_changes_no_state_and_asks_less_often(
    monitor: WorkloadMonitor, plane: FakePlane, clock: FakeClock
) -> None:
    monitor.watch("w", plane.create("w", (0, "Running"), (300, "Completed")))
    run(monitor, clock, 10.0)
    plane.down = True
    before = len(plane.requests)
    run(monitor, clock, 900.0)
    sighting = monitor.sighting("w")
    assert sighting.phase == "Running"
    assert sighting.stale_for >= 895.0
    assert sighting.refused is None
    assert len(plane.requests) - before <= 900 / 15 + 5
    plane.down = False
    run(monitor, clock, 16.0)
    assert monitor.sighting("w").phase == "Completed"


def test_workload_is_gone_only_after_several_answers(
    monitor: WorkloadMonitor, plane: FakePlane, clock: FakeClock
) -> None:
    monitor.watch("w", plane.create("w", (0, "Running")))
    run(monitor, clock, 10.0)
    plane.hidden.add("w")
    run(monitor, clock, 25.0)
    plane.hidden.clear()
    run(monitor, clock, 60.0)
    assert monitor.sighting("w").phase == "Running"
    plane.hidden.add("w")
    run(monitor, clock, 90.0)
    sighting = monitor.sighting("w")
    assert sighting.phase == phases.GONE
    assert sighting.ended


def test_list_without_the_workload_is_no_proof(
    monitor: WorkloadMonitor, plane: FakePlane, clock: FakeClock
) -> None:
    monitor.watch("w", plane.create("w", (0, "Running"), (40, "Completed")))
    plane.list_lies = []
    run(monitor, clock, 180.0)
    assert monitor.sighting("w").phase == "Completed"


def test_stale_list_does_not_turn_back_a_phase(
    monitor: WorkloadMonitor, plane: FakePlane, clock: FakeClock
) -> None:
    monitor.watch("w", plane.create("w", (0, "Pending"), (2, "Running"), (9, "Completed")))
    stale = [plane.present("w")]
    run(monitor, clock, 5.0)
    version = monitor.sighting("w").version
    plane.list_lies = stale
    run(monitor, clock, 3.0)
    assert monitor.sighting("w").phase == "Running"
    assert monitor.sighting("w").version == version
    plane.list_lies = None
    run(monitor, clock, 10.0)
    plane.list_lies = stale
    run(monitor, clock, 60.0)
    assert monitor.sighting("w").phase == "Completed"


def test_waiting_and_running_times_over_a_preemption(
    monitor: WorkloadMonitor, plane: FakePlane, clock: FakeClock
) -> None:
    script = [(0, "Pending"), (20, "Running"), (60, "Pending"), (100, "Running")]
    monitor.watch("w", plane.create("w", *script))
    run(monitor, clock, 15.0)
    assert monitor.sighting("w").pending_for == 15.0
    assert not monitor.sighting("w").started
    run(monitor, clock, 70.0)
    sighting = monitor.sighting("w")
    assert sighting.started
    assert sighting.pending_for == pytest.approx(25.0, abs=3.0)
    assert sighting.running_for == pytest.approx(40.0, abs=6.0)
    run(monitor, clock, 35.0)
    assert monitor.sighting("w").pending_for == 0.0
    assert monitor.sighting("w").running_for == pytest.approx(60.0, abs=9.0)


def test_times_of_a_workload_of_an_earlier_process(
    monitor: WorkloadMonitor, plane: FakePlane, clock: FakeClock
) -> None:
    since = plane.create("running", (0, "Pending"), (100, "Running"))
    plane.create("waiting", (0, "Pending"))
    clock.seconds = 400.0
    monitor.watch("running", since, fresh=False)
    monitor.watch("waiting", since, fresh=False)
    monitor.poll_once()
    assert monitor.sighting("running").running_for == 300.0
    assert monitor.sighting("waiting").pending_for == 400.0


def test_reasons_are_asked_for_while_it_waits_and_kept_once(
    monitor: WorkloadMonitor, plane: FakePlane, clock: FakeClock
) -> None:
    monitor.watch("w", plane.create("w", (0, "Pending")))
    plane.said["w"] = ["no quota"]
    run(monitor, clock, 15.0)
    assert monitor.sighting("w").reasons == ("no quota",)
    plane.said["w"] = ["no quota", "still none"]
    run(monitor, clock, 120.0)
    assert monitor.sighting("w").reasons == ("no quota", "still none")
    assert busiest_minute(plane) <= 24 + 2


def test_refusal_is_known_at_once_but_not_after_an_answer(
    monitor: WorkloadMonitor, plane: FakePlane, clock: FakeClock
) -> None:
    plane.refuses = True
    monitor.watch("w", plane.create("w", (0, "Running")))
    monitor.poll_once()
    assert monitor.sighting("w").refused == "workloads:read is missing"
    plane.refuses = False
    run(monitor, clock, 30.0)
    assert monitor.sighting("w").refused is None
    plane.refuses = True
    run(monitor, clock, 30.0)
    assert monitor.sighting("w").refused is None
    assert monitor.sighting("w").phase == "Running"


def test_undocumented_phase_goes_on(
    monitor: WorkloadMonitor, plane: FakePlane, clock: FakeClock
) -> None:
    monitor.watch("w", plane.create("w", (0, "Running"), (5, "Hibernating"), (50, "Completed")))
    run(monitor, clock, 20.0)
    assert not monitor.sighting("w").ended
    run(monitor, clock, 40.0)
    assert monitor.sighting("w").phase == "Completed"


def test_thread_of_its_own_wakes_waiters_and_ends_with_the_last_watch() -> None:
    class Instant(FakeClock):
        def time(self) -> float:
            import time

            return time.monotonic() - begin

        def wait(self, condition: threading.Condition, seconds: float | None) -> None:
            self.seconds = self.time()
            condition.wait(seconds)

    import time

    begin = time.monotonic()
    clock = Instant()
    plane = FakePlane(clock)
    pace = Pace(shortest=0.01, longest=0.02, per_minute=6000, full=1.0)
    monitor = WorkloadMonitor(plane, pace, clock)
    since = plane.create("w", (0.0, "Running"), (0.1, "Completed"))
    monitor.watch("w", since)
    seen = -1
    while not (sighting := monitor.wait("w", seen, 10.0)).ended:
        seen = sighting.version
    monitor.forget("w")
    threads = [t for t in threading.enumerate() if t.name == "runai-monitor"]
    for thread in threads:
        thread.join(10.0)
        assert not thread.is_alive()
