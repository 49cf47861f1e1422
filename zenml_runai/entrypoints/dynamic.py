"""What runs in the head workload of a dynamic pipeline."""

import sys
from typing import Any
from uuid import UUID

from zenml.client import Client
from zenml.config.step_configurations import Step
from zenml.constants import DYNAMIC_PIPELINE_RUN_FAILED_EXIT_CODE
from zenml.enums import StepRuntime
from zenml.execution.pipeline.dynamic.runner import DynamicPipelineRunner
from zenml.integrations.registry import integration_registry
from zenml.logger import get_logger
from zenml.pipelines.dynamic.entrypoint_configuration import (
    RUN_ID_OPTION,
    DynamicPipelineEntrypointConfiguration,
)

from zenml_runai.entrypoints._app_folder import AppFolderMixin
from zenml_runai.orchestrators import RunAIOrchestrator

logger = get_logger(__name__)


class RunAIDynamicRunner(DynamicPipelineRunner):
    """Gives a step a workload of its own when its settings ask for one.

    ZenML looks at ``ResourceSettings`` and Docker settings only; a step that asks for half a GPU
    in the orchestrator's settings would run in the head, which has none.
    """

    def _compile_or_reuse(self, *args: Any, **kwargs: Any) -> Step:
        step = super()._compile_or_reuse(*args, **kwargs)
        orchestrator = self._orchestrator
        if (
            step.config.runtime is not None
            or step.config.step_operator
            or not isinstance(orchestrator, RunAIOrchestrator)
            or not orchestrator.wants_own_workload(self._snapshot, step)
        ):
            return step
        config = step.config.model_copy(update={"runtime": StepRuntime.ISOLATED})
        return Step(spec=step.spec, config=config, step_config_overrides=step.step_config_overrides)


class RunAIDynamicEntrypoint(AppFolderMixin, DynamicPipelineEntrypointConfiguration):
    """Runs a dynamic pipeline, as often as its pod is started."""

    def run(self) -> None:
        client = Client()
        run = None
        if run_id := self.entrypoint_args.get(RUN_ID_OPTION):
            run = client.get_pipeline_run(UUID(run_id))
            if run.status.is_finished:
                logger.info("Run `%s` is %s already.", run.name, run.status.value)
                return
        integration_registry.activate_integrations()
        self.prepare_code_environment()
        runner = RunAIDynamicRunner(snapshot=self.snapshot, run=run)
        try:
            runner.run_pipeline()
        except BaseException:
            if runner.run.status.is_finished:
                logger.exception("Run `%s` failed.", runner.run.name)
                sys.exit(DYNAMIC_PIPELINE_RUN_FAILED_EXIT_CODE)
            raise
