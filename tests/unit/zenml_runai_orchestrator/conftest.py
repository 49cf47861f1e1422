"""Parts of the head on their own: ZenML's server and the control plane are played."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

_FOLDER = tempfile.TemporaryDirectory(prefix="zenml-config-")
os.environ.setdefault("ZENML_CONFIG_PATH", _FOLDER.name)


class PlayedServer:
    """ZenML's rules for step runs, as far as the head depends on them."""

    def __init__(self, retries: Mapping[str, Any] | None = None) -> None:
        from zenml.enums import ExecutionStatus

        self.statuses = ExecutionStatus
        self.retries = dict(retries or {})
        self.attempts: dict[str, list[Any]] = {}
        self.run = ExecutionStatus.RUNNING
        self.cached: set[str] = set()
        self.metadata: dict[UUID, dict[str, Any]] = {}
        self.run_metadata: dict[str, Any] = {}
        self.opened_at: dict[UUID, float] = {}
        self.lock = threading.RLock()

    def add(self, name: str, status: str = "running", **more: Any) -> Any:
        with self.lock:
            attempts = self.attempts.setdefault(name, [])
            for earlier in attempts:
                earlier.status = self.statuses.RETRIED
            step_run = SimpleNamespace(
                id=uuid4(),
                name=name,
                status=self.statuses(status),
                version=len(attempts) + 1,
                run_metadata={},
                end_time=None,
                config=SimpleNamespace(retry=self.retries.get(name), command=None, name=name),
                **more,
            )
            attempts.append(step_run)
            self.opened_at[step_run.id] = time.monotonic()
            return step_run

    # As `StepRuns`

    def load(self) -> dict[str, Any]:
        return {name: attempts[-1] for name, attempts in self.attempts.items()}

    def latest(self, name: str) -> Any:
        return self.attempts[name][-1] if name in self.attempts else None

    def open(self, name: str) -> Any:
        from zenml.exceptions import IllegalOperationError

        known = self.latest(name)
        if known is not None and known.status is not self.statuses.RETRYING:
            return known
        if self.run in (self.statuses.STOPPING, self.statuses.STOPPED):
            raise IllegalOperationError("the run is stopping")
        return self.add(name, "cached" if name in self.cached else "running")

    def refresh(self, step_run_id: UUID) -> Any:
        return self._find(step_run_id)

    def info(self, step_run: Any) -> Any:
        return SimpleNamespace(
            step_run=step_run,
            step_run_id=step_run.id,
            pipeline_step_name=step_run.name,
            config=step_run.config,
            snapshot=SimpleNamespace(id=uuid4()),
        )

    def report(self, name: str, status: str) -> None:
        """What a step's pod tells the server."""
        self._set(self.latest(name), self.statuses(status))

    def succeed(self, step_run_id: UUID) -> Any:
        return self._set(self._find(step_run_id), self.statuses.COMPLETED)

    def fail(self, step_run_id: UUID, error: BaseException) -> Any:
        step_run = self._set(self._find(step_run_id), self.statuses.FAILED)
        step_run.error = error
        return step_run

    def stop(self, step_run_id: UUID) -> Any:
        return self._set(self._find(step_run_id), self.statuses.STOPPED)

    def failed(self) -> list[Any]:
        bad = (self.statuses.FAILED, self.statuses.RETRYING)
        return [a[-1] for a in self.attempts.values() if a[-1].status in bad]

    def open_ones(self) -> list[Any]:
        return [a[-1] for a in self.attempts.values() if not a[-1].status.is_finished]

    def describe(self, step_run_id: UUID, component_id: UUID, metadata: Mapping[str, Any]) -> None:
        self.metadata.setdefault(step_run_id, {}).update(metadata)

    def describe_run(self, component_id: UUID, metadata: Mapping[str, Any]) -> None:
        self.run_metadata.update(metadata)

    def run_status(self) -> Any:
        return self.run

    def end_run(self, status: Any) -> Any:
        self.run = status
        return status

    def _find(self, step_run_id: UUID) -> Any:
        return next(s for a in self.attempts.values() for s in a if s.id == step_run_id)

    def _set(self, step_run: Any, status: Any) -> Any:
        with self.lock:
            if step_run.status.is_finished:
                return step_run
            retry = step_run.config.retry
            retriable = retry is not None and step_run.version <= retry.max_retries
            if status is self.statuses.FAILED and retriable:
                status = self.statuses.RETRYING
            step_run.status = status
            if status is self.statuses.FAILED and self.run is self.statuses.RUNNING:
                self.run = self.statuses.FAILED
            return step_run


class PlayedLauncher:
    """Runs steps by functions of the test: they report to the server and say how the pod ended."""

    def __init__(self, server: PlayedServer, steps: Mapping[str, Callable[[Any], Any]]) -> None:
        self.server = server
        self.steps = steps
        self.component_id = uuid4()
        self.launched: list[str] = []
        self.stopped: list[str] = []
        self.cleaned: list[tuple[str, str]] = []
        self.endings: dict[UUID, Any] = {}
        self.ended: dict[UUID, Callable[[], None]] = {}

    def launch(self, info: Any, ended: Callable[[], None]) -> bool:
        self.launched.append(info.pipeline_step_name)
        self.ended[info.step_run_id] = ended
        behaviour = self.steps.get(info.pipeline_step_name, completes)
        thread = threading.Thread(target=self._run, args=(behaviour, info, ended), daemon=True)
        if behaviour is refuses:
            raise RuntimeError("the control plane refuses")
        thread.start()
        return False

    def _run(self, behaviour: Callable[[Any], Any], info: Any, ended: Callable[[], None]) -> None:
        ending = behaviour(SimpleNamespace(server=self.server, info=info, launcher=self))
        if ending is not None:
            self.endings[info.step_run_id] = ending
            ended()

    def ending(self, step_run: Any) -> Any:
        from zenml.enums import ExecutionStatus

        from zenml_runai.orchestrators._launcher import Ending

        return self.endings.get(step_run.id, Ending(ExecutionStatus.RUNNING))

    def stop(self, step_run: Any) -> None:
        self.stopped.append(step_run.name)

    def clean_up(self, step_run: Any) -> float:
        self.cleaned.append((step_run.name, step_run.status.value))
        return 0.5


def completes(step: Any) -> Any:
    """The pod reports success and ends."""
    return ends(step, "completed", "completed", {"runai_gpu_seconds": 2.0})


def refuses(step: Any) -> Any:
    raise AssertionError("never run")


def ends(
    step: Any, reported: str | None, phase: str, metadata: Mapping[str, Any] | None = None
) -> Any:
    """The pod reports something, or nothing, and its workload ends in some way."""
    from zenml.enums import ExecutionStatus

    from zenml_runai.orchestrators._launcher import Ending

    if reported is not None:
        step.server.report(step.info.pipeline_step_name, reported)
    error = None if phase == "completed" else RuntimeError(f"the workload is {phase}")
    return Ending(ExecutionStatus(phase), error, metadata=dict(metadata or {}))


@pytest.fixture
def head() -> Callable[..., Any]:
    """Makes a head for a DAG: name -> names before it."""

    def make(
        upstream: Mapping[str, list[str]],
        server: PlayedServer,
        launcher: PlayedLauncher,
        mode: str = "continue_on_failure",
    ) -> Any:
        from zenml.enums import ExecutionMode

        from zenml_runai.orchestrators._head import Head

        snapshot = SimpleNamespace(
            step_configurations={
                name: SimpleNamespace(spec=SimpleNamespace(upstream_steps=before))
                for name, before in upstream.items()
            },
            pipeline_configuration=SimpleNamespace(execution_mode=ExecutionMode(mode)),
        )
        return Head(
            snapshot,
            server,
            lambda step: launcher,
            component_id=uuid4(),
            interrupt_interval=0.02,
        )

    return make
