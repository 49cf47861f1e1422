"""One thread that waits for the ends of all workloads of a head."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from zenml.logger import get_logger

from zenml_runai import phases
from zenml_runai.errors import RunAIError
from zenml_runai.monitor import Sighting, WorkloadMonitor
from zenml_runai.orchestrators._constants import WATCH_SECONDS
from zenml_runai.step_operators._watch import StepWatch

logger = get_logger(__name__)

OnEnd = Callable[[Sighting, RunAIError | None], None]


@dataclass(frozen=True)
class _Waiting:
    watch: StepWatch
    on_end: OnEnd
    is_service: bool


class Watcher:
    """Tells, once for each workload, that it has ended or that its time is up."""

    def __init__(self, monitor: WorkloadMonitor) -> None:
        self._monitor = monitor
        self._waiting: dict[str, _Waiting] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, watch: StepWatch, on_end: OnEnd, *, is_service: bool = False) -> None:
        """Wait for a workload. A service is done as soon as it runs."""
        with self._lock:
            self._waiting[watch.workload_id] = _Waiting(watch, on_end, is_service)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="runai-watch", daemon=True)
                self._thread.start()

    def forget(self, workload_id: str) -> None:
        """Wait for a workload no more; its `on_end` is not called."""
        with self._lock:
            self._waiting.pop(workload_id, None)

    def _run(self) -> None:
        news = 0
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                waiting = list(self._waiting.values())
            for each in waiting:
                try:
                    self._look(each)
                except Exception:
                    logger.exception("Cannot judge the workload `%s`.", each.watch.name)
            news = self._monitor.wait_for_news(news, WATCH_SECONDS)

    def _look(self, waiting: _Waiting) -> None:
        watch = waiting.watch
        sighting = self._monitor.sighting(watch.workload_id)
        watch.tell(sighting)
        serves = waiting.is_service and sighting.phase in phases.RUNNING
        over = sighting.ended or serves
        error = None if over else watch.out_of_time(sighting)
        if not over and error is None:
            return
        with self._lock:
            if self._waiting.pop(watch.workload_id, None) is None:
                return
        waiting.on_end(sighting, error)
