"""What runs in the head workload of a static pipeline."""

import contextlib
import sys
from typing import Any
from uuid import UUID

from zenml.client import Client
from zenml.entrypoints.base_entrypoint_configuration import BaseEntrypointConfiguration
from zenml.enums import ExecutionStatus
from zenml.integrations.registry import integration_registry
from zenml.logger import get_logger
from zenml.models import PipelineRunResponse, PipelineRunUpdate
from zenml.orchestrators.publish_utils import publish_pipeline_run_status_update
from zenml.utils.logging_utils import is_pipeline_logging_enabled, setup_logging_context

from zenml_runai.entrypoints._app_folder import AppFolderMixin

logger = get_logger(__name__)

RUN_ID_OPTION = "run_id"

_NOT_BEGUN = frozenset({ExecutionStatus.INITIALIZING, ExecutionStatus.PROVISIONING})


class RunAIPipelineEntrypoint(AppFolderMixin, BaseEntrypointConfiguration):
    """Runs a static pipeline to its end, as often as its pod is started.

    A head that starts anew takes the run up where the last one has left it. One that finds the run
    finished ends with success, so that the cluster does not start it once more.
    """

    @classmethod
    def get_entrypoint_options(cls) -> dict[str, bool]:
        return super().get_entrypoint_options() | {RUN_ID_OPTION: True}

    @classmethod
    def get_entrypoint_arguments(cls, **kwargs: Any) -> list[str]:
        arguments = super().get_entrypoint_arguments(**kwargs)
        return [*arguments, f"--{RUN_ID_OPTION}", str(kwargs[RUN_ID_OPTION])]

    def run(self) -> None:
        from zenml_runai.orchestrators import RunAIOrchestrator

        client = Client()
        run = client.get_pipeline_run(UUID(self.entrypoint_args[RUN_ID_OPTION]))
        if run.status.is_finished:
            logger.info("Run `%s` is %s already.", run.name, run.status.value)
            return
        # Before inputs are resolved: that imports the modules of the steps.
        integration_registry.activate_integrations()
        self.prepare_code_environment()
        orchestrator = client.active_stack.orchestrator
        if not isinstance(orchestrator, RunAIOrchestrator):
            raise RuntimeError(
                f"The orchestrator of the active stack is `{orchestrator.name}` of flavor"
                f" `{orchestrator.flavor}`, not the one that submitted this workload."
            )
        orchestrator._prepare_run(snapshot=self.snapshot)
        run = self._begin(run, orchestrator.get_orchestrator_run_id())
        with self._logged(run):
            status = orchestrator.run_head(self.snapshot, run)
            logger.info("Run `%s` is %s.", run.name, status.value)
        if status is ExecutionStatus.FAILED:
            sys.exit(1)

    @staticmethod
    def _begin(run: PipelineRunResponse, orchestrator_run_id: str) -> PipelineRunResponse:
        store = Client().zen_store
        if run.orchestrator_run_id is None:
            run = store.update_run(
                run.id, PipelineRunUpdate(orchestrator_run_id=orchestrator_run_id)
            )
        if run.status in _NOT_BEGUN:
            # Nobody else says so, and the server refuses a stop before.
            run = publish_pipeline_run_status_update(run.id, ExecutionStatus.RUNNING)
        return run

    def _logged(self, run: PipelineRunResponse) -> contextlib.AbstractContextManager[Any]:
        if is_pipeline_logging_enabled(self.snapshot.pipeline_configuration):
            return setup_logging_context(source="orchestrator", pipeline_run=run)
        return contextlib.nullcontext()
