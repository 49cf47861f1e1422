"""The head of a pipeline with many steps, on the emulator's simulated workloads.

Real: the head with its DAG, launcher and watcher, the shared poller, the client, the control plane
over HTTP. Stand-in: ZenML, which answers at once, since its own calls are not what is measured.
The head runs in a process of its own, so that its memory is its own.

``python -m benchmarks.orchestrator [--quick]``
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

os.environ.setdefault("ZENML_LOGGING_VERBOSITY", "ERROR")
os.environ.setdefault("ZENML_ANALYTICS_OPT_IN", "false")

import httpx
import psutil

from benchmarks._report import Report, percentile
from benchmarks.emulator import Running, emulator

PROJECT = "ml-team"
#: Room for everything at once: what is measured is the head, not the queue of a small cluster.
NODES = [{"id": "n1", "nodePool": "default", "gpus": 0, "cpu": 100_000, "memoryMib": 10**9}]
REPEATS = 3


@dataclass
class Figures:
    """What one pipeline has cost; times in seconds."""

    wall: float
    lags: list[float]
    delays: list[float]
    status_requests: list[float]
    """When each status request was made, since the first submission."""
    memory: float
    """Largest resident memory of the head's process in MB."""
    at_once: int

    def per_minute(self) -> float:
        """Status requests in the busiest minute (in all, if there was less than a minute)."""
        times = self.status_requests
        return float(max((sum(t <= u < t + 60 for u in times) for t in times), default=0))

    def rate(self) -> float:
        """Status requests a minute over the whole time."""
        return len(self.status_requests) / self.wall * 60


@dataclass
class Job:
    """A pipeline: steps with those before them, and what a workload does."""

    url: str
    upstream: dict[str, list[str]]
    shortest: float
    longest: float
    max_parallelism: int | None = None

    def script(self, name: str) -> str:
        """What a step's workload does: run for a time between the two, always the same."""
        seconds = random.Random(name).uniform(self.shortest, self.longest)
        return f"Running={seconds:.2f},Completed"


@dataclass
class Notes:
    """Taken by the stand-ins while a pipeline runs."""

    learnt: dict[str, float] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    submitted: dict[str, float] = field(default_factory=dict)
    requests: list[float] = field(default_factory=list)
    flying: int = 0
    at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def run_head(job: Job) -> Figures:
    """Run a pipeline in this process."""
    from pydantic import SecretStr
    from zenml.config.step_configurations import StepConfiguration
    from zenml.enums import ExecutionMode, ExecutionStatus

    from zenml_runai._control_plane import Connection, ControlPlane
    from zenml_runai._session import Session
    from zenml_runai.flavors import RunAIOrchestratorConfig, RunAIOrchestratorSettings
    from zenml_runai.monitor import Pace, WorkloadMonitor
    from zenml_runai.orchestrators import RunAIOrchestrator  # noqa: F401 - its memory counts
    from zenml_runai.orchestrators._head import Head
    from zenml_runai.orchestrators._step_workloads import WorkloadLauncher

    notes = Notes()
    connection = Connection(job.url, "emulator-admin", SecretStr("emulator-admin-secret"))

    class Counted(ControlPlane):
        """Notes every status request, and every submission."""

        def changes(self, since: datetime) -> Any:
            found = super().changes(since)
            with notes.lock:
                notes.requests += [time.monotonic()] * (1 + len(found) // 500)
                for workload in found:
                    if workload.completed_at is not None:
                        notes.ended.setdefault(workload.name, workload.completed_at.timestamp())
            return found

        def get(self, workload_id: str) -> Any:
            notes.requests.append(time.monotonic())
            return super().get(workload_id)

        def reasons(self, workload: Any) -> Any:
            notes.requests.append(time.monotonic())
            return super().reasons(workload)

        def submit(self, kind: Any, body: Mapping[str, Any]) -> Any:
            notes.submitted[body["name"]] = time.monotonic()
            return super().submit(kind, body)

    control_plane = Counted(lambda: connection, PROJECT)
    # The defaults of the flavors.
    config = RunAIOrchestratorConfig(
        client_id="emulator-admin",
        client_secret="emulator-admin-secret",
        runai_base_url=job.url,
        project_name=PROJECT,
    )
    pace = Pace(
        shortest=config.shortest_status_interval,
        longest=config.longest_status_interval,
        per_minute=config.status_requests_per_minute,
        full=config.monitoring_interval,
    )
    session = Session(control_plane, WorkloadMonitor(control_plane, pace), pace)
    settings = RunAIOrchestratorSettings(gpu_devices_request=0, cpu_core_request=0.1)

    def settings_of(container: Any) -> RunAIOrchestratorSettings:
        script = job.script(getattr(container, "pipeline_step_name", container.name))
        return settings.model_copy(update={"annotations": {"runai-emulator/script": script}})

    component = SimpleNamespace(
        id=uuid4(),
        config=config,
        session=session,
        get_settings=settings_of,
        attach=lambda step_run_id, metadata: None,
    )

    class InMemory:
        """ZenML's part: step runs that are command steps, so that the head reports their end."""

        def __init__(self) -> None:
            self.runs: dict[str, Any] = {}
            self.by_id: dict[UUID, Any] = {}

        def load(self) -> Mapping[str, Any]:
            return {}

        def latest(self, name: str) -> Any:
            return self.runs.get(name)

        def open(self, name: str) -> Any:
            step_run = SimpleNamespace(
                id=uuid4(),
                name=name,
                status=ExecutionStatus.RUNNING,
                run_metadata={},
                version=1,
                config=StepConfiguration(name="train", command=["train"]),
            )
            self.runs[name] = self.by_id[step_run.id] = step_run
            return step_run

        def refresh(self, step_run_id: UUID) -> Any:
            return self.by_id[step_run_id]

        def info(self, step_run: Any) -> Any:
            with notes.lock:
                notes.flying += 1
                notes.at_once = max(notes.at_once, notes.flying)
            return SimpleNamespace(
                name=step_run.name,
                step_run=step_run,
                step_run_id=step_run.id,
                run_id=component.id,
                config=step_run.config,
                pipeline=SimpleNamespace(name="benchmark"),
                pipeline_step_name=step_run.name,
                snapshot=SimpleNamespace(id=component.id),
                get_image=lambda key: "image",
            )

        def succeed(self, step_run_id: UUID) -> Any:
            step_run = self.by_id[step_run_id]
            step_run.status = ExecutionStatus.COMPLETED
            return step_run

        fail = stop = lambda self, step_run_id, error=None: self.by_id[step_run_id]
        failed = lambda self: []  # noqa: E731
        open_ones = lambda self: [None]  # noqa: E731
        describe = describe_run = lambda self, *what: None
        run_status = lambda self: ExecutionStatus.RUNNING  # noqa: E731
        end_run = lambda self, status: status  # noqa: E731

    class Noting(WorkloadLauncher):
        """Notes when the head learns of an end."""

        def launch(self, info: Any, ended: Any) -> bool:
            def noted() -> None:
                with notes.lock:
                    notes.flying -= 1
                    notes.learnt[info.pipeline_step_name] = time.monotonic()
                ended()

            return super().launch(info, noted)

    steps = {
        name: SimpleNamespace(spec=SimpleNamespace(upstream_steps=before))
        for name, before in job.upstream.items()
    }
    snapshot = SimpleNamespace(
        step_configurations=steps,
        pipeline_configuration=SimpleNamespace(execution_mode=ExecutionMode.CONTINUE_ON_FAILURE),
    )
    launcher = Noting(component, lambda info: {})
    step_runs = InMemory()
    head = Head(
        snapshot,
        step_runs,
        lambda step: launcher,
        component_id=component.id,
        max_parallelism=job.max_parallelism,
    )
    peak = _Peak()
    wall_clock = time.time() - time.monotonic()
    started = time.monotonic()
    with peak:
        status = head.run()
    wall = time.monotonic() - started
    assert status is ExecutionStatus.COMPLETED, status

    names = {run.name: _workload_name(run) for run in step_runs.runs.values()}
    lags = [learnt + wall_clock - notes.ended[names[name]] for name, learnt in notes.learnt.items()]
    delays = [
        notes.submitted[names[name]] - max(notes.learnt[up] for up in before)
        for name, before in job.upstream.items()
        if before
    ]
    return Figures(
        wall,
        lags,
        delays,
        [at - started for at in notes.requests],
        peak.megabytes,
        notes.at_once,
    )


def _workload_name(step_run: Any) -> str:
    return str(step_run.run_metadata["runai_workload_name"])


class _Peak:
    """Largest resident memory while it is entered."""

    def __init__(self) -> None:
        self.megabytes = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        process = psutil.Process()
        while not self._over.wait(0.2):
            self.megabytes = max(self.megabytes, process.memory_info().rss / 1e6)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()


def measure(running: Running, job: Job) -> Figures:
    """Run a pipeline in a process of its own, on an empty control plane."""
    httpx.post(f"{running.url}/_emulator/reset", timeout=60).raise_for_status()
    httpx.put(f"{running.url}/_emulator/nodes", json=NODES, timeout=60).raise_for_status()
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(run_head, (job,))


def chains(count: int, length: int) -> dict[str, list[str]]:
    """Steps that follow each other in several rows."""
    return {
        f"s{row}-{number}": [f"s{row}-{number - 1}"] if number else []
        for number in range(length)
        for row in range(count)
    }


def layers(count: int, width: int) -> dict[str, list[str]]:
    """Layers of steps, each of which needs the whole layer before it."""
    return {
        f"s{layer}-{number}": [f"s{layer - 1}-{other}" for other in range(width)] if layer else []
        for layer in range(count)
        for number in range(width)
    }


def _median(values: Sequence[float]) -> float:
    return percentile(values, 50)


def many_steps(running: Running, report: Report, *, quick: bool) -> None:
    """1,000 steps, 200 at a time."""
    job = Job(running.url, chains(200, 5), *((4, 8) if quick else (10, 20)), 200)
    figures = [measure(running, job) for _ in range(1 if quick else REPEATS)]
    assert all(each.at_once == 200 for each in figures), [each.at_once for each in figures]
    lags = [lag for each in figures for lag in each.lags]
    delays = [delay for each in figures for delay in each.delays]
    busiest = max(each.per_minute() for each in figures)
    report.note("1,000 steps, 200 at a time, in rows of 5", f"{len(figures)} run(s)")
    report.at_most("  status requests in the busiest minute", busiest, 24)
    report.note("  detection lag, median", f"{_median(lags):.2f} s")
    report.at_most("  detection lag, p95", percentile(lags, 95), 3.0, " s")
    report.note("  end learnt to successor submitted, median", f"{_median(delays):.3f} s")
    report.at_most("  end learnt to successor submitted, p95", percentile(delays, 95), 0.3, " s")
    report.at_most("  memory of the head", max(each.memory for each in figures), 200, " MB")


def in_flight(running: Running, report: Report, *, quick: bool) -> None:
    """Requests for 1,000 steps beside those for 100."""
    seconds = (20, 20) if quick else (75, 75)
    hundred = measure(running, Job(running.url, chains(100, 1), *seconds))
    thousand = measure(running, Job(running.url, chains(1000, 1), *seconds))
    assert thousand.at_once == 1000
    report.note("Status requests a minute, 100 in flight", f"{hundred.rate():.1f}")
    report.note("Status requests a minute, 1,000 in flight", f"{thousand.rate():.1f}")
    report.at_most("  ratio", thousand.rate() / hundred.rate(), 1.5)


def many_levels(running: Running, report: Report, *, quick: bool) -> None:
    """100 steps in 10 levels, beside the critical path."""
    step = 3 if quick else 10
    job = Job(running.url, layers(10, 10), step, step)
    figures = [measure(running, job) for _ in range(1 if quick else REPEATS)]
    wall = _median([each.wall for each in figures])
    lags = [lag for each in figures for lag in each.lags]
    report.note("100 steps in 10 levels: critical path", f"{10 * step} s")
    report.at_most(f"  wall time, median of {len(figures)}", wall, 12 * step, " s")
    report.note("  detection lag, median", f"{_median(lags):.2f} s")
    busiest = max(each.per_minute() for each in figures)
    report.at_most("  status requests in the busiest minute", busiest, 24)


PARTS = {"many": many_steps, "flight": in_flight, "levels": many_levels}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PARTS, help="one part only")
    parser.add_argument("--quick", action="store_true", help="one run of each, shorter steps")
    chosen = parser.parse_args(arguments)
    report = Report("Orchestrator: the head on simulated workloads, ZenML answering at once")
    with emulator("--executor", "simulate") as running:
        for name, part in PARTS.items():
            if chosen.only in (None, name):
                part(running, report, quick=chosen.quick)
    return report.show()


if __name__ == "__main__":
    raise SystemExit(main())
