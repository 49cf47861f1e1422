"""What runs in the workload of one step."""

from typing import TYPE_CHECKING
from uuid import UUID

from zenml.client import Client
from zenml.config.step_configurations import Step
from zenml.enums import ExecutionStatus
from zenml.logger import get_logger
from zenml.models import StepRunUpdate
from zenml.orchestrators.publish_utils import (
    publish_step_run_status_update,
    publish_stopped_step_run,
)
from zenml.step_operators.step_operator_entrypoint_configuration import (
    STEP_RUN_ID_OPTION,
    StepOperatorEntrypointConfiguration,
)
from zenml.steps.heartbeat import StepHeartBeatTerminationException
from zenml.utils.exception_utils import collect_exception_information

from zenml_runai.entrypoints import environment
from zenml_runai.entrypoints._app_folder import AppFolderMixin
from zenml_runai.entrypoints._unreported import run_function

if TYPE_CHECKING:
    from zenml.models import PipelineSnapshotResponse, StepRunResponse

logger = get_logger(__name__)


def is_over(status: ExecutionStatus) -> bool:
    """Whether nothing more can be reported for a step run of this status."""
    return status.is_finished or status is ExecutionStatus.RETRYING


class RunAIStepEntrypoint(AppFolderMixin, StepOperatorEntrypointConfiguration):
    """Runs an existing step run, as often as its pod is started.

    A pod that was preempted or lost starts anew with the same arguments and takes up the same
    step run. If that run has ended meanwhile, there is nothing left to do and the pod ends with
    success, so that the cluster does not start it once more.
    """

    @classmethod
    def for_step_run(
        cls, snapshot: "PipelineSnapshotResponse", step_run: "StepRunResponse"
    ) -> "RunAIStepEntrypoint":
        """An entrypoint for a step run of a pipeline whose code is at hand already."""
        arguments = cls.get_entrypoint_arguments(
            snapshot_id=snapshot.id, step_name=step_run.name, step_run_id=str(step_run.id)
        )
        entrypoint = cls(arguments)
        entrypoint._snapshot = snapshot
        entrypoint._step_run = step_run
        return entrypoint

    def run_here(self) -> None:
        """Run the step in this process, without preparing code or reporting early errors."""
        self._run_step(step=self.step, snapshot=self.snapshot)

    @property
    def step_run(self) -> "StepRunResponse":
        """The step run; ZenML hears that it runs, unless it is over."""
        if self._step_run is None:
            store = Client().zen_store
            step_run = store.get_run_step(UUID(self.entrypoint_args[STEP_RUN_ID_OPTION]))
            if (
                self.snapshot.is_dynamic
                and not is_over(step_run.status)
                and not environment.follows()
            ):
                step_run = store.update_run_step(
                    step_run_id=step_run.id,
                    step_run_update=StepRunUpdate(status=ExecutionStatus.RUNNING),
                )
            self._step_run = step_run
        return self._step_run

    def run(self) -> None:
        reports = not environment.serves() and not environment.follows()
        if reports and is_over(self.step_run.status):
            logger.info(
                "Step run %s is %s already; there is nothing to do.",
                self.step_run.id,
                self.step_run.status.value,
            )
            return
        try:
            super().run()
        except StepHeartBeatTerminationException:
            publish_stopped_step_run(self.step_run.id)
        except Exception as error:
            if reports:
                self._report(error)
            raise

    def _run_step(self, step: Step, snapshot: "PipelineSnapshotResponse") -> None:
        if environment.serves() or environment.follows():
            run_function(step, self.step_run)
        else:
            super()._run_step(step=step, snapshot=snapshot)

    def _report(self, error: Exception) -> None:
        """Let the user see what went wrong before the step itself could say so."""
        step_run = Client().get_run_step(self.step_run.id, hydrate=False)
        if not is_over(step_run.status):
            publish_step_run_status_update(
                step_run_id=step_run.id,
                status=ExecutionStatus.FAILED,
                exception_info=collect_exception_information(error),
            )
