"""One thread tells of every end, once, whether the workload or the patience has ended."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from zenml_runai.errors import RunAIPendingTimeout
from zenml_runai.monitor import Sighting
from zenml_runai.orchestrators import _watcher
from zenml_runai.orchestrators._watcher import Watcher

PENDING = Sighting(
    phase="Pending",
    started=False,
    workload=None,
    pending_for=0.0,
    running_for=0.0,
    stale_for=0.0,
    reasons=(),
    refused=None,
    version=0,
)


class Monitor:
    """What is known, as the test says."""

    def __init__(self) -> None:
        self.known: dict[str, Sighting] = {}
        self.news = 0
        self.changed = threading.Condition()

    def see(self, workload_id: str, **what: Any) -> None:
        with self.changed:
            self.known[workload_id] = replace(self.known.get(workload_id, PENDING), **what)
            self.news += 1
            self.changed.notify_all()

    def sighting(self, workload_id: str) -> Sighting:
        return self.known[workload_id]

    def wait_for_news(self, seen: int, seconds: float) -> int:
        with self.changed:
            self.changed.wait_for(lambda: self.news > seen, seconds)
            return self.news


def watch(workload_id: str, limit: float | None = None) -> Any:
    def out_of_time(sighting: Sighting) -> Exception | None:
        if limit is not None and sighting.pending_for > limit:
            return RunAIPendingTimeout("too long")
        return None

    return SimpleNamespace(
        workload_id=workload_id, name=workload_id, tell=lambda _: None, out_of_time=out_of_time
    )


@pytest.fixture
def monitor() -> Monitor:
    return Monitor()


def test_ends_are_told_once_each(monitor: Monitor) -> None:
    told: queue.Queue[tuple[str, str]] = queue.Queue()
    watcher = Watcher(monitor)  # type: ignore[arg-type]
    for name in ("a", "b", "c"):
        monitor.see(name)
        watcher.add(watch(name), lambda seen, error, name=name: told.put((name, seen.phase)))
    monitor.see("b", phase="Failed")
    assert told.get(timeout=5) == ("b", "Failed")
    monitor.see("a", phase="Completed")
    assert told.get(timeout=5) == ("a", "Completed")
    monitor.see("b", phase="Failed")
    monitor.see("c", phase="Stopped")
    assert told.get(timeout=5) == ("c", "Stopped")
    assert told.empty()


def test_a_timeout_is_an_end_with_an_error(monitor: Monitor) -> None:
    told: queue.Queue[Any] = queue.Queue()
    monitor.see("a", pending_for=3.0)
    Watcher(monitor).add(watch("a", limit=5.0), lambda *end: told.put(end))  # type: ignore[arg-type]
    monitor.see("a", pending_for=6.0)
    sighting, error = told.get(timeout=5)
    assert isinstance(error, RunAIPendingTimeout)
    assert not sighting.ended


def test_a_timeout_needs_no_news(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_watcher, "WATCH_SECONDS", 0.02)
    told: queue.Queue[Any] = queue.Queue()
    monitor.see("a")
    Watcher(monitor).add(watch("a", limit=5.0), lambda *end: told.put(end))  # type: ignore[arg-type]
    monitor.known["a"] = replace(PENDING, pending_for=9.0)
    assert isinstance(told.get(timeout=5)[1], RunAIPendingTimeout)


def test_a_service_is_done_when_it_runs_and_a_step_is_not(monitor: Monitor) -> None:
    told: queue.Queue[str] = queue.Queue()
    watcher = Watcher(monitor)  # type: ignore[arg-type]
    for name in ("step", "service"):
        monitor.see(name)
        watcher.add(
            watch(name),
            lambda seen, error, name=name: told.put(name),
            is_service=name == "service",
        )
    monitor.see("step", phase="Running", started=True)
    monitor.see("service", phase="Running", started=True)
    assert told.get(timeout=5) == "service"
    assert told.empty()


def test_what_is_forgotten_is_not_told(monitor: Monitor) -> None:
    told: queue.Queue[str] = queue.Queue()
    watcher = Watcher(monitor)  # type: ignore[arg-type]
    for name in ("a", "b"):
        monitor.see(name)
        watcher.add(watch(name), lambda seen, error, name=name: told.put(name))
    watcher.forget("a")
    monitor.see("a", phase="Completed")
    monitor.see("b", phase="Completed")
    assert told.get(timeout=5) == "b"
    assert told.empty()


def test_the_thread_ends_with_the_last_and_starts_anew(monitor: Monitor) -> None:
    told: queue.Queue[str] = queue.Queue()
    watcher = Watcher(monitor)  # type: ignore[arg-type]
    for name in ("a", "b"):
        monitor.see(name, phase="Completed")
        watcher.add(watch(name), lambda seen, error, name=name: told.put(name))
        assert told.get(timeout=5) == name
        deadline = time.monotonic() + 5
        while watcher._thread is not None and time.monotonic() < deadline:
            monitor.see("nobody")
        assert watcher._thread is None


def test_an_error_about_one_workload_does_not_blind_the_others(monitor: Monitor) -> None:
    told: queue.Queue[str] = queue.Queue()
    watcher = Watcher(monitor)  # type: ignore[arg-type]
    monitor.see("good")
    watcher.add(watch("unknown"), lambda *end: told.put("unknown"))
    watcher.add(watch("good"), lambda *end: told.put("good"))
    monitor.see("good", phase="Completed")
    assert told.get(timeout=5) == "good"
    watcher.forget("unknown")
