"""Steps in the head's own process, one after the other: the mode ``single``."""

import os
import threading
from collections.abc import Callable
from uuid import UUID

from zenml.config.step_run_info import StepRunInfo
from zenml.enums import ExecutionStatus
from zenml.logger import get_logger
from zenml.models import StepRunResponse
from zenml.steps.heartbeat import StepHeartBeatTerminationException

from zenml_runai.entrypoints.step import RunAIStepEntrypoint
from zenml_runai.errors import RunAIWorkloadTimeout
from zenml_runai.orchestrators._launcher import Ending
from zenml_runai.orchestrators._step_runs import StepRuns

logger = get_logger(__name__)


class Deadline:
    """Ends this process, and the run, when all steps together take too long.

    Args:
        seconds: How long they may take; None for as long as they like.
        step_runs: The run and its step runs in ZenML.
    """

    def __init__(self, seconds: float | None, step_runs: StepRuns) -> None:
        self._seconds = seconds
        self._step_runs = step_runs
        self._timer = threading.Timer(seconds, self._end) if seconds is not None else None
        if self._timer is not None:
            self._timer.daemon = True

    def __enter__(self) -> None:
        if self._timer is not None:
            self._timer.start()

    def __exit__(self, *error: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        error = RunAIWorkloadTimeout(
            f"The pipeline ran longer than workload_timeout ({self._seconds} s)."
        )
        logger.error("%s", error)
        try:
            self._step_runs.end_run(ExecutionStatus.FAILED)
            for step_run in self._step_runs.open_ones():
                self._step_runs.fail(step_run.id, error)
        finally:
            # The step has the main thread and need not listen to anybody.
            os._exit(1)


class InlineLauncher:
    """Runs a step run in this thread, which must be the main one: ZenML interrupts steps there."""

    def __init__(self, component_id: UUID) -> None:
        self._component_id = component_id
        self._endings: dict[UUID, Ending] = {}

    @property
    def component_id(self) -> UUID:
        return self._component_id

    def launch(self, info: StepRunInfo, ended: Callable[[], None]) -> bool:
        entrypoint = RunAIStepEntrypoint.for_step_run(info.snapshot, info.step_run)
        ending = Ending(ExecutionStatus.COMPLETED)
        try:
            entrypoint.run_here()
        except StepHeartBeatTerminationException as error:
            ending = Ending(ExecutionStatus.STOPPED, error)
        except Exception as error:
            logger.exception("Step `%s` failed.", info.pipeline_step_name)
            ending = Ending(ExecutionStatus.FAILED, error)
        self._endings[info.step_run_id] = ending
        return True

    def ending(self, step_run: StepRunResponse) -> Ending:
        return self._endings.pop(step_run.id)

    def stop(self, step_run: StepRunResponse) -> None:
        """Nothing runs while the head can think."""

    def clean_up(self, step_run: StepRunResponse) -> float:
        """Nothing is left."""
        return 0.0
