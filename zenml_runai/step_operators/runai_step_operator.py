"""Runs single steps as Run:ai workloads."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, cast

from zenml.config.build_configuration import BuildConfiguration
from zenml.enums import ExecutionStatus, StackComponentType
from zenml.logger import get_logger
from zenml.orchestrators.publish_utils import publish_step_run_metadata
from zenml.stack import StackValidator
from zenml.step_operators import BaseStepOperator

from zenml_runai import _metadata as metadata
from zenml_runai._container import (
    delete_token,
    image_pull_secrets,
    labels,
    make_container,
    package_requirement,
    validate_remote_components,
)
from zenml_runai._patience import patiently
from zenml_runai.entrypoints.environment import WORKLOAD_TYPE
from zenml_runai.errors import RunAIInvalidSettings
from zenml_runai.flavors import RunAIStepOperatorConfig, RunAIStepOperatorSettings
from zenml_runai.workload_spec import WorkloadKind, workload_body, workload_name

if TYPE_CHECKING:
    from zenml.config.step_run_info import StepRunInfo
    from zenml.models import PipelineSnapshotBase, StepRunResponse
    from zenml.step_operators.step_operator_entrypoint_configuration import (
        StepOperatorEntrypointConfiguration,
    )

    from zenml_runai._session import Session
    from zenml_runai.step_operators._watch import StepWatch

logger = get_logger(__name__)

IMAGE_KEY: Final = "nvidia_runai_step_operator"
# Run:ai restarts a failed pod six times by default. A step that raised would raise again, while it
# holds its GPU; steps are retried by ZenML, as workloads of their own.
_BACKOFF_LIMIT: Final = 0


class RunAIStepOperator(BaseStepOperator):
    """Runs a step as a training or as a distributed workload of a Run:ai project."""

    @property
    def config(self) -> RunAIStepOperatorConfig:
        """The component's configuration."""
        return cast(RunAIStepOperatorConfig, self._config)

    @property
    def settings_class(self) -> type[RunAIStepOperatorSettings]:
        """The class of the settings of a step."""
        return RunAIStepOperatorSettings

    @property
    def entrypoint_config_class(self) -> type[StepOperatorEntrypointConfiguration]:
        """What runs in the workload of a step; it resumes the same step run after a restart."""
        from zenml_runai.entrypoints.step import RunAIStepEntrypoint

        return RunAIStepEntrypoint

    @property
    def requirements(self) -> set[str]:
        """What images for steps need besides ZenML: this distribution."""
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

    def get_docker_builds(self, snapshot: PipelineSnapshotBase) -> list[BuildConfiguration]:
        """One image for each step that runs on this step operator."""
        return [
            BuildConfiguration(
                key=IMAGE_KEY, settings=step.config.docker_settings, step_name=step_name
            )
            for step_name, step in snapshot.step_configurations.items()
            if step.config.uses_step_operator(self.name)
        ]

    # Life of a step

    def submit(
        self, info: StepRunInfo, entrypoint_command: list[str], environment: dict[str, str]
    ) -> None:
        """Create the workload of a step run and return.

        Safe to repeat: the workload's name belongs to the step run, and one that exists already is
        taken up.

        Raises:
            RunAIError: Nothing was created; the class says why.
        """
        settings = cast(RunAIStepOperatorSettings, self.get_settings(info))
        kind = WorkloadKind(settings.workload_kind)
        _check_several_pods(settings, info)
        session = self._session()
        target = session.control_plane.target()
        name = workload_name(info.pipeline_step_name, info.step_run_id)
        if kind is WorkloadKind.DISTRIBUTED:
            environment = environment | {WORKLOAD_TYPE: kind.value}
        container = make_container(
            self.config,
            session,
            target,
            name,
            info.get_image(key=IMAGE_KEY),
            entrypoint_command,
            environment,
        )
        try:
            body = workload_body(
                kind,
                name=name,
                target=target,
                settings=settings,
                container=container,
                resources=info.config.resource_settings,
                image_pull_secrets=image_pull_secrets(self.config),
                labels=labels(
                    info.pipeline.name, info.run_id, info.pipeline_step_name, info.step_run_id
                ),
            )
            if settings.workload_template_id is None:
                body["spec"].setdefault("backoffLimit", _BACKOFF_LIMIT)
            info.force_write_logs()
            submitted = session.control_plane.submit(kind, body)
        except BaseException:
            delete_token(self.config, session, name)
            raise
        session.monitor.watch(
            submitted.workload_id,
            submitted.created_at,
            fresh=not submitted.adopted,
            group=info.pipeline_step_name,
        )
        known = metadata.at_submission(
            session.control_plane.client.base_url,
            self.config.project_name,
            kind,
            submitted,
            body,
        )
        try:
            patiently(lambda: publish_step_run_metadata(info.step_run_id, {self.id: known}))
        except BaseException:
            # ZenML takes the step for failed: nobody would look after the workload.
            session.control_plane.stop(kind, submitted.workload_id)
            raise
        # The same object is passed to `wait`.
        info.step_run.run_metadata.update(known)
        logger.info(
            "Step `%s` runs on Run:ai as workload `%s`: %s",
            info.pipeline_step_name,
            submitted.name,
            known[metadata.WORKLOAD_URL],
        )

    def get_status(self, step_run: StepRunResponse) -> ExecutionStatus:
        """The status of a step that was submitted, by this process or by another.

        Raises:
            RunAIError: The control plane does not answer, so that nothing is known. ZenML asks
                again.
        """
        return self._watch(step_run).check()

    def wait(self, step_run: StepRunResponse) -> ExecutionStatus:
        """Wait for the end of a step.

        Returns a status also for a step that failed, whose error is then on its step run; ZenML
        raises it.
        """
        watch = self._watch(step_run)
        try:
            return watch.wait()
        except BaseException:
            # Nobody will wait for it any more: interrupted by the user, or stopped by ZenML.
            watch.stop()
            raise

    def cancel(self, step_run: StepRunResponse) -> None:
        """Stop the workload of a step, and delete it with ``delete_on_cancel``."""
        self._watch(step_run).cancel()

    def cleanup_step_submission(self, step_run: StepRunResponse) -> None:
        """Note what the workload has used, and forget it."""
        watch = self._watch(step_run)
        delete_token(self.config, self._session(), watch.name)
        watch.close()

    # Parts

    def _session(self) -> Session:
        from zenml_runai._session import session_of

        return session_of(self)

    def _watch(self, step_run: StepRunResponse) -> StepWatch:
        from zenml_runai.step_operators._watch import StepWatch

        known = step_run.run_metadata
        session = self._session()
        settings = cast(RunAIStepOperatorSettings, self.get_settings(step_run))
        workload_id, created = known.get(metadata.WORKLOAD_ID), known.get(metadata.CREATED_AT)
        name = workload_name(step_run.name, step_run.id)
        if not workload_id:
            # The process that submitted it died before it could write down the id.
            found = session.control_plane.find(name, session.control_plane.target().project_id)
            if found is not None:
                workload_id = found.id
                created = (found.created_at or datetime.now(UTC)).isoformat()
        if not workload_id:
            raise RunAIInvalidSettings(
                f"The step run {step_run.id} has no workload in Run:ai.", "Run the step again."
            )
        return StepWatch(
            session=session,
            component_id=self.id,
            step_run=step_run,
            kind=WorkloadKind(settings.workload_kind),
            workload_id=str(workload_id),
            name=name,
            created_at=datetime.fromisoformat(str(created)) if created else datetime.now(UTC),
            settings=settings,
            delete_on_failure=self.config.delete_on_failure,
            delete_on_cancel=self.config.delete_on_cancel,
        )


def _check_several_pods(settings: RunAIStepOperatorSettings, info: StepRunInfo) -> None:
    if info.config.command is not None or settings.safe_in_several_pods:
        return
    step = info.pipeline_step_name
    if settings.workload_kind == "distributed":
        raise RunAIInvalidSettings(
            f"Step `{step}` is to run in several pods, each of which would run its function.",
            "Make it a command step that starts the training, or set safe_in_several_pods=True if"
            " its function may run in every pod.",
        )
    if max(settings.parallelism or 1, settings.completions or 1) > 1:
        logger.warning(
            "Step `%s` runs in several pods, each of which runs the whole step and writes its"
            " outputs. Set safe_in_several_pods=True if this is meant.",
            step,
        )
