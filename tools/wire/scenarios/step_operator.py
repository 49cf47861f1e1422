"""A step on the step operator, from its submission to its end.

The operator, its monitor and its client are the real ones. ZenML's server is not part of the wire
that is recorded: what the operator reports there is caught. The clock of the monitor is the
scenario's, so that it asks for the same moments again when it is replayed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from uuid import UUID

from zenml.config import ResourceSettings
from zenml.enums import ExecutionStatus, StackComponentType

from tools.wire.scenario import World, sandbox, scenario
from zenml_runai.flavors import RunAIStepOperatorConfig
from zenml_runai.monitor import Pace, WorkloadMonitor
from zenml_runai.step_operators import RunAIStepOperator

COMPONENT = UUID("00000000-0000-4000-8000-0000000000c0")
STEP_RUN = UUID("00000000-0000-4000-8000-0000000000aa")
RUN = UUID("00000000-0000-4000-8000-0000000000bb")
#: A monitor whose clock the scenario drives cannot wait for ever.
PATIENCE_SECONDS = 300.0


class DrivenClock:
    """Time that passes only while somebody waits; then it also lets the monitor ask."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._seconds = 0.0
        self.monitor: WorkloadMonitor | None = None

    def time(self) -> float:
        return self._seconds

    def now(self) -> datetime:
        started = datetime.fromisoformat(self._world.prepared["started"])
        return started + timedelta(seconds=self._seconds)

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        step = min(seconds or 1.0, 1.0)
        if not self._world.replaying:
            time.sleep(step)
        self._seconds += step
        if self._seconds > PATIENCE_SECONDS:
            raise TimeoutError("the workload did not end")
        assert self.monitor is not None
        if self.monitor.next_poll() <= self._seconds:
            self.monitor.poll_once()


class Reported(dict[str, Any]):
    """The step run as ZenML's server would hold it."""

    status = ExecutionStatus.RUNNING
    exception: Any = None


@contextmanager
def operator(world: World) -> Iterator[tuple[RunAIStepOperator, Reported]]:
    config = RunAIStepOperatorConfig(
        client_id=world.client_id,
        client_secret=world.client_secret,
        runai_base_url=world.base_url,
        project_name=world.project,
        delete_on_failure=True,
        gpu_devices_request=0,
        cpu_core_request=0.1,
        cpu_memory_request="32M",
    )
    now = datetime.now(UTC)
    found = RunAIStepOperator(
        name="runai",
        id=COMPONENT,
        config=config,
        flavor="nvidia_runai",
        type=StackComponentType.STEP_OPERATOR,
        user=None,
        created=now,
        updated=now,
    )
    reported = Reported()
    clock = DrivenClock(world)
    session = found._session()
    # The clock asks every second at most, and the bucket lets it.
    pace = Pace(shortest=1.0, longest=1.0, per_minute=600)
    session.pace = pace
    session.monitor = WorkloadMonitor(session.control_plane, pace, clock, threaded=False)
    clock.monitor = session.monitor
    session.control_plane._client = world.connect()

    def publish(_: UUID, metadata: dict[UUID, dict[str, Any]]) -> None:
        reported.update(metadata[COMPONENT])

    def update(step_run_id: UUID, step_run_update: Any) -> None:
        reported.status = step_run_update.status
        reported.exception = step_run_update.exception_info

    server = SimpleNamespace(
        get_run_step=lambda *_, **__: SimpleNamespace(
            status=reported.status, exception_info=reported.exception
        ),
        zen_store=SimpleNamespace(update_run_step=update),
    )
    module = "zenml_runai.step_operators"
    with (
        patch(f"{module}.runai_step_operator.publish_step_run_metadata", publish),
        patch(f"{module}._watch.publish_step_run_metadata", publish),
        patch(f"{module}._watch.Client", lambda: server),
        patch("zenml_runai._session._sessions", {}),
    ):
        found._session = lambda: session  # type: ignore[method-assign]
        yield found, reported
    session.control_plane.client.close()


def info(world: World, what: str, reported: Reported) -> Any:
    """A command step without settings of its own, as ZenML describes it to the operator."""
    step_run = SimpleNamespace(
        id=STEP_RUN,
        name=world.name(what),
        run_metadata=reported,
        config=SimpleNamespace(command=["sh"]),
        pipeline_configuration=SimpleNamespace(settings={}),
    )
    return SimpleNamespace(
        pipeline_step_name=step_run.name,
        step_run_id=STEP_RUN,
        step_run=step_run,
        run_id=RUN,
        run_name="run",
        pipeline=SimpleNamespace(name="pipeline"),
        config=SimpleNamespace(command=["sh"], resource_settings=ResourceSettings()),
        pipeline_configuration=SimpleNamespace(settings={}),
        get_image=lambda key: "busybox:1.37",
        force_write_logs=lambda: None,
    )


def _prepare(world: World) -> None:
    sandbox(world)
    world.prepared["started"] = datetime.now(UTC).isoformat()


@scenario("step_operator/completed", prepare=_prepare, client_only=False)
def completed(world: World) -> None:
    """Submitted, followed, ended, and what it used is noted."""
    with operator(world) as (runai, reported):
        step = info(world, "works", reported)
        runai.submit(step, ["sh", "-c", "sleep 2"], {"EPOCHS": "1", "ZENML_STORE_API_TOKEN": "t"})
        workload_id = str(reported["runai_workload_id"])
        world.undo(lambda admin: admin.trainings.delete(workload_id))
        assert runai.wait(step.step_run) is ExecutionStatus.COMPLETED
        runai.cleanup_step_submission(step.step_run)
        assert "runai_gpu_seconds" in reported


@scenario("step_operator/failed", prepare=_prepare, client_only=False)
def failed(world: World) -> None:
    """The program fails: the error says so, and the workload is deleted as configured."""
    with operator(world) as (runai, reported):
        step = info(world, "breaks", reported)
        runai.submit(step, ["sh", "-c", "exit 3"], {})
        workload_id = str(reported["runai_workload_id"])
        world.undo(lambda admin: admin.trainings.delete(workload_id))
        assert runai.wait(step.step_run) is ExecutionStatus.FAILED
        assert reported.exception is not None


@scenario("step_operator/cancelled", prepare=_prepare, client_only=False)
def cancelled(world: World) -> None:
    """A step that is not wanted any more: its workload is stopped and kept."""
    with operator(world) as (runai, reported):
        step = info(world, "stops", reported)
        runai.submit(step, ["sleep", "600"], {})
        workload_id = str(reported["runai_workload_id"])
        world.undo(lambda admin: admin.trainings.delete(workload_id))
        runai.cancel(step.step_run)
        assert runai.wait(step.step_run) is ExecutionStatus.STOPPED
