"""Runs whole pipelines on Run:ai."""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from zenml.client import Client
from zenml.config.step_configurations import Step
from zenml.config.step_run_info import StepRunInfo
from zenml.constants import METADATA_ORCHESTRATOR_RUN_ID, METADATA_ORCHESTRATOR_URL
from zenml.enums import ExecutionMode, ExecutionStatus, StackComponentType
from zenml.logger import get_logger
from zenml.metadata.metadata_types import MetadataType, Uri
from zenml.models import PipelineRunResponse, PipelineRunUpdate
from zenml.orchestrators import ContainerizedOrchestrator, SubmissionResult
from zenml.orchestrators.publish_utils import (
    publish_pipeline_run_metadata,
    publish_step_run_metadata,
    publish_successful_step_run,
)
from zenml.orchestrators.utils import get_config_environment_vars
from zenml.stack import StackValidator
from zenml.utils.env_utils import get_runtime_environment

from runai_api import RunaiError
from zenml_runai import _metadata, phases
from zenml_runai._container import (
    delete_token,
    package_requirement,
    validate_remote_components,
)
from zenml_runai._control_plane import translated
from zenml_runai._patience import patiently
from zenml_runai.entrypoints.environment import ORCHESTRATOR_RUN_ID
from zenml_runai.errors import RunAIError
from zenml_runai.flavors import (
    RunAIOrchestratorConfig,
    RunAIOrchestratorSettings,
    RunAIWorkloadSettings,
)
from zenml_runai.orchestrators import _lifecycle
from zenml_runai.orchestrators._constants import (
    DYNAMIC_MONITORING_SECONDS,
    DYNAMIC_MONITORING_VARIABLE,
    HEAD_ID,
    HEAD_NAME,
    HEAD_NUMBER,
)
from zenml_runai.orchestrators._heads import check_pipeline, head_body, head_name
from zenml_runai.orchestrators._step_workloads import (
    outlast_outages,
    settings_of,
    submit_step,
    watch_step,
)
from zenml_runai.workload_spec import WorkloadKind

if TYPE_CHECKING:
    from uuid import UUID

    from zenml.entrypoints.base_entrypoint_configuration import BaseEntrypointConfiguration
    from zenml.models import PipelineSnapshotBase, PipelineSnapshotResponse, StepRunResponse
    from zenml.stack import Stack

    from zenml_runai._session import Session

logger = get_logger(__name__)

#: Settings that say what a step's own workload is like, as opposed to the pipeline's run.
_SHAPE_FIELDS = (frozenset(RunAIWorkloadSettings.model_fields) | {"workload_type", "inference"}) - {
    "image_pull_secret_names",
    "labels",
    "annotations",
}


class RunAIOrchestrator(ContainerizedOrchestrator):
    """Runs a pipeline by a head workload, and each step as a workload of its own.

    With ``mode="single"`` the whole pipeline runs in one workload. See `RunAIOrchestratorSettings`.
    """

    @property
    def config(self) -> RunAIOrchestratorConfig:
        """The component's configuration."""
        return cast(RunAIOrchestratorConfig, self._config)

    @property
    def settings_class(self) -> type[RunAIOrchestratorSettings]:
        """The class of the settings of pipelines and steps."""
        return RunAIOrchestratorSettings

    @property
    def session(self) -> "Session":
        """The control plane and its monitor, shared by all components of this process."""
        from zenml_runai._session import session_of

        return session_of(self)

    @property
    def requirements(self) -> set[str]:
        """What images need besides ZenML: this distribution."""
        return super().requirements | {package_requirement()}

    @property
    def validator(self) -> StackValidator:
        """The stack needs a registry and an artifact store that the cluster can reach."""
        return StackValidator(
            required_components={
                StackComponentType.CONTAINER_REGISTRY,
                StackComponentType.IMAGE_BUILDER,
            },
            custom_validation_function=validate_remote_components,
        )

    @property
    def supported_execution_modes(self) -> list[ExecutionMode]:
        """All of them."""
        return list(ExecutionMode)

    def should_build_pipeline_image(self, snapshot: "PipelineSnapshotBase") -> bool:
        """The head runs in the pipeline's image, even when each step has its own."""
        return True

    # Submission

    def get_orchestrator_run_id(self) -> str:
        """The id of the run; the same in the head, in its restarts and in all steps."""
        try:
            return os.environ[ORCHESTRATOR_RUN_ID]
        except KeyError:
            raise RuntimeError(
                f"{ORCHESTRATOR_RUN_ID} is not set: this is not a workload of the orchestrator."
            ) from None

    def submit_pipeline(
        self,
        snapshot: "PipelineSnapshotResponse",
        stack: "Stack",
        base_environment: dict[str, str],
        step_environments: dict[str, dict[str, str]],
        placeholder_run: PipelineRunResponse | None = None,
    ) -> SubmissionResult | None:
        """Submit the head of a static pipeline.

        Raises:
            RunAIError: Nothing was submitted; the class says why.
        """
        from zenml_runai.entrypoints.pipeline import RunAIPipelineEntrypoint

        return self._submit_head(
            snapshot, stack, base_environment, placeholder_run, RunAIPipelineEntrypoint
        )

    def submit_dynamic_pipeline(
        self,
        snapshot: "PipelineSnapshotResponse",
        stack: "Stack",
        environment: dict[str, str],
        placeholder_run: PipelineRunResponse | None = None,
    ) -> SubmissionResult | None:
        """Submit the head of a dynamic pipeline, or another one for a run that is resumed.

        Raises:
            RunAIError: Nothing was submitted; the class says why.
        """
        from zenml_runai.entrypoints.dynamic import RunAIDynamicEntrypoint

        environment = {DYNAMIC_MONITORING_VARIABLE: DYNAMIC_MONITORING_SECONDS, **environment}
        return self._submit_head(
            snapshot, stack, environment, placeholder_run, RunAIDynamicEntrypoint
        )

    def _submit_head(
        self,
        snapshot: "PipelineSnapshotResponse",
        stack: "Stack",
        environment: Mapping[str, str],
        run: PipelineRunResponse | None,
        entrypoint: "type[BaseEntrypointConfiguration]",
    ) -> SubmissionResult:
        if snapshot.schedule or run is None:
            raise RunAIError(
                "Run:ai cannot start a pipeline by a schedule.",
                "Run it without one, for example from a cron job or a CI system.",
            )
        settings = settings_of(self, snapshot)
        self._check(snapshot)
        run_id = run.orchestrator_run_id or str(run.id)
        number = 0
        if run.orchestrator_run_id is None:
            Client().zen_store.update_run(run.id, PipelineRunUpdate(orchestrator_run_id=run_id))
        else:
            earlier = _metadata.text(Client().get_pipeline_run(run.id).run_metadata, HEAD_NUMBER)
            number = int(earlier or 0) + 1
        name = head_name(run, number)
        command = entrypoint.get_entrypoint_command()
        arguments = entrypoint.get_entrypoint_arguments(snapshot_id=snapshot.id, run_id=run.id)
        body = head_body(
            self,
            snapshot,
            run,
            name=name,
            image=self.get_image(snapshot),
            command=[*command, *arguments],
            environment={
                **environment,
                **get_runtime_environment(config=snapshot.pipeline_configuration, stack=stack),
                **settings.environment_variables,
                ORCHESTRATOR_RUN_ID: run_id,
            },
        )
        control_plane = self.session.control_plane
        try:
            submitted = control_plane.submit(WorkloadKind.TRAINING, body)
        except BaseException:
            delete_token(self.config, self.session, name)
            raise
        url = _metadata.workload_url(control_plane.client.base_url, submitted.workload_id)
        logger.info("Pipeline `%s` runs on Run:ai as workload `%s`: %s", run.name, name, url)
        metadata: dict[str, MetadataType] = {
            METADATA_ORCHESTRATOR_RUN_ID: run_id,
            METADATA_ORCHESTRATOR_URL: Uri(url),
            HEAD_ID: submitted.workload_id,
            HEAD_NAME: submitted.name,
            HEAD_NUMBER: number,
        }
        # ZenML publishes a submission's metadata for new runs only, not for resumed ones.
        publish_pipeline_run_metadata(run.id, {self.id: metadata})
        wait = None
        if settings.synchronous:

            def wait() -> None:
                _lifecycle.wait_for_run(self, run, submitted, settings.pending_timeout)

        return SubmissionResult(wait_for_completion=wait)

    def _check(self, snapshot: "PipelineSnapshotResponse") -> None:
        control_plane = self.session.control_plane
        target = control_plane.target()
        try:
            project = control_plane.call(lambda client: client.projects.get(target.project_id))
        except RunaiError as error:
            raise translated(error) from error
        check_pipeline(self, snapshot, project)

    # What the heads ask

    def run_head(
        self, snapshot: "PipelineSnapshotResponse", run: PipelineRunResponse
    ) -> ExecutionStatus:
        """Run a static pipeline in this process, or what is left of it.

        Returns:
            The final status of the run.
        """
        from zenml.stack import Stack

        from zenml_runai.orchestrators._dag import CallingThread
        from zenml_runai.orchestrators._head import Head
        from zenml_runai.orchestrators._inline import Deadline, InlineLauncher
        from zenml_runai.orchestrators._launchers import Launchers
        from zenml_runai.orchestrators._step_runs import StepRuns
        from zenml_runai.orchestrators._step_workloads import WorkloadLauncher

        assert snapshot.stack is not None  # noqa: S101 - it was compiled for one
        stack = Stack.from_model(snapshot.stack)
        settings = settings_of(self, snapshot)
        environment = self._step_environment(stack, run.id)
        single = settings.mode == "single"
        launchers = Launchers(
            stack,
            environment,
            InlineLauncher(self.id) if single else WorkloadLauncher(self, environment),
            self.attach,
        )
        step_runs = StepRuns(snapshot, run, stack)
        head = Head(
            snapshot,
            step_runs,
            launchers.of,
            component_id=self.id,
            max_parallelism=1 if single else settings.max_parallelism,
            executor=CallingThread() if single else None,
        )
        with Deadline(settings.workload_timeout if single else None, step_runs):
            return head.run()

    def attach(self, step_run_id: "UUID", metadata: dict[str, MetadataType]) -> None:
        """Attach metadata to a step run in the name of this component."""
        patiently(lambda: publish_step_run_metadata(step_run_id, {self.id: metadata}))

    def wants_own_workload(self, snapshot: "PipelineSnapshotResponse", step: Step) -> bool:
        """Whether a step of a dynamic pipeline asks for a workload by its settings."""
        if settings_of(self, snapshot).mode == "single":
            return False
        keys = {"orchestrator", f"orchestrator.{self.flavor}", f"orchestrator:{self.name}"}
        asked: set[str] = set()
        for key in keys & set(step.config.settings):
            asked |= set(dict(step.config.settings[key]))
        return bool(asked & _SHAPE_FIELDS)

    def _step_environment(
        self, stack: "Stack", run_id: "UUID"
    ) -> Callable[[StepRunInfo], Mapping[str, str]]:
        """What gives each step its environment."""
        shared, secrets = get_config_environment_vars(pipeline_run_id=run_id)
        shared = {**shared, **secrets, ORCHESTRATOR_RUN_ID: self.get_orchestrator_run_id()}

        def environment(info: StepRunInfo) -> Mapping[str, str]:
            return {**shared, **get_runtime_environment(config=info.config, stack=stack)}

        return environment

    # Isolated steps of dynamic pipelines

    def submit_isolated_step(self, step_run_info: StepRunInfo, environment: dict[str, str]) -> None:
        """Submit a step of a dynamic pipeline as a workload of its own."""
        environment = {**environment, ORCHESTRATOR_RUN_ID: self.get_orchestrator_run_id()}
        outlast_outages(lambda: submit_step(self, step_run_info, environment))

    def get_isolated_step_status(self, step_run: "StepRunResponse") -> ExecutionStatus:
        """The status of an isolated step.

        Raises:
            RunAIError: Nothing is known at the moment. ZenML asks again.
        """
        watch = watch_step(self, step_run)
        if watch is None:
            # The head died between the creation of the step run and its submission.
            self._submit_again(step_run)
            return ExecutionStatus.PROVISIONING
        status = watch.check()
        if watch.kind is WorkloadKind.INFERENCE and status is ExecutionStatus.RUNNING:
            sighting = self.session.monitor.sighting(watch.workload_id)
            if sighting.phase in phases.RUNNING:
                return self._serves(step_run, sighting.workload)
        return status

    def _serves(self, step_run: "StepRunResponse", workload: Any) -> ExecutionStatus:
        urls = _metadata.service_urls(workload)
        if urls:
            self.attach(step_run.id, urls)
        if not Client().get_run_step(step_run.id, hydrate=False).status.is_finished:
            publish_successful_step_run(step_run.id, {})
        return ExecutionStatus.COMPLETED

    def _submit_again(self, step_run: "StepRunResponse") -> None:
        run = Client().get_pipeline_run(step_run.pipeline_run_id)
        assert run.snapshot is not None  # noqa: S101 - it was run from it
        info = StepRunInfo(
            step_run=step_run,
            config=step_run.config,
            spec=step_run.spec,
            pipeline=run.snapshot.pipeline_configuration,
            run_name=run.name,
            pipeline_step_name=step_run.name,
            run_id=run.id,
            step_run_id=step_run.id,
            force_write_logs=lambda: None,
            snapshot=run.snapshot,
        )
        environment = self._step_environment(Client().active_stack, run.id)(info)
        self.submit_isolated_step(info, dict(environment))

    def wait_for_isolated_step(self, step_run: "StepRunResponse") -> ExecutionStatus:
        """Wait for the end of an isolated step."""
        watch = watch_step(self, step_run)
        if watch is None or watch.kind is WorkloadKind.INFERENCE:
            return super().wait_for_isolated_step(step_run)
        return watch.wait()

    def stop_isolated_step(self, step_run: "StepRunResponse") -> None:
        """Stop the workload of an isolated step, and delete it with ``delete_on_cancel``."""
        if (watch := watch_step(self, step_run)) is not None:
            watch.cancel()

    def cleanup_isolated_step(self, step_run: "StepRunResponse") -> None:
        """Note what the workload has used, and forget it."""
        if (watch := watch_step(self, step_run)) is None:
            return
        if watch.kind is not WorkloadKind.INFERENCE:
            delete_token(self.config, self.session, watch.name)
        watch.close()

    # Runs from outside

    def fetch_status(
        self, run: PipelineRunResponse, include_steps: bool = False
    ) -> tuple[ExecutionStatus | None, dict[str, ExecutionStatus] | None]:
        """The status of a run; the head keeps those of its steps, so there are none to add.

        A run whose head has died becomes failed, and its workloads are stopped.
        """
        try:
            return _lifecycle.refreshed_status(self, run), None
        except (RunaiError, RunAIError) as error:
            logger.warning("The status of run `%s` cannot be refreshed: %s", run.name, error)
            return None, None

    def _stop_run(self, run: PipelineRunResponse, graceful: bool = False) -> None:
        _lifecycle.stop_run(self, run, graceful=graceful)
