"""Steps in the head's own process, one after the other: the mode ``single``."""

from collections.abc import Callable
from uuid import UUID

from zenml.config.step_run_info import StepRunInfo
from zenml.enums import ExecutionStatus
from zenml.logger import get_logger
from zenml.models import StepRunResponse
from zenml.steps.heartbeat import StepHeartBeatTerminationException

from zenml_runai.entrypoints.step import RunAIStepEntrypoint
from zenml_runai.orchestrators._launcher import Ending

logger = get_logger(__name__)


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

    def clean_up(self, step_run: StepRunResponse) -> None:
        """Nothing is left."""
