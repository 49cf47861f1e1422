"""Steps as workloads of their own."""

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar, cast
from uuid import UUID

from zenml.config.base_settings import BaseSettings
from zenml.config.step_configurations import StepConfiguration
from zenml.config.step_run_info import StepRunInfo
from zenml.constants import ORCHESTRATOR_DOCKER_IMAGE_KEY
from zenml.enums import ExecutionStatus
from zenml.logger import get_logger
from zenml.metadata.metadata_types import MetadataType
from zenml.models import StepRunResponse
from zenml.orchestrators.utils import get_step_entrypoint_command

from runai_api import (
    AmbiguousOutcome,
    ConnectionFailed,
    DeadlineExceeded,
    RateLimited,
    ServerError,
)
from zenml_runai import _metadata, phases
from zenml_runai._container import delete_token, image_pull_secrets, labels, make_container
from zenml_runai._session import Session
from zenml_runai.entrypoints import environment as names
from zenml_runai.entrypoints.step import RunAIStepEntrypoint
from zenml_runai.errors import RunAIControlPlaneError, RunAIError, RunAIInvalidSettings
from zenml_runai.flavors import RunAIOrchestratorConfig, RunAIOrchestratorSettings
from zenml_runai.flavors._workload_settings import RunAIComputeSettings
from zenml_runai.monitor import Sighting
from zenml_runai.orchestrators._constants import OUTAGE_PAUSES, STEP_BACKOFF_LIMIT
from zenml_runai.orchestrators._launcher import Ending
from zenml_runai.orchestrators._watcher import Watcher
from zenml_runai.step_operators._watch import StepWatch
from zenml_runai.workload_spec import WorkloadKind, workload_body, workload_name

logger = get_logger(__name__)

T = TypeVar("T")

_OUTAGES = (AmbiguousOutcome, ConnectionFailed, DeadlineExceeded, RateLimited, ServerError)


class Component(Protocol):
    """What is needed of the orchestrator."""

    @property
    def id(self) -> UUID: ...

    @property
    def config(self) -> RunAIOrchestratorConfig: ...

    @property
    def session(self) -> Session: ...

    def get_settings(self, container: Any) -> BaseSettings: ...

    def attach(self, step_run_id: UUID, metadata: dict[str, MetadataType]) -> None: ...


def settings_of(component: Component, container: Any) -> RunAIOrchestratorSettings:
    """The settings of a step, a step run or a pipeline, with the component's defaults.

    Compute that the component sets counts as a default and not as set: ZenML's
    ``ResourceSettings`` of a step are more particular. (ZenML has merged the two by now, so they
    are told apart by their values.)
    """
    settings = cast(RunAIOrchestratorSettings, component.get_settings(container))
    config = component.config
    defaults = config.model_fields_set & set(RunAIComputeSettings.model_fields)
    settings.__pydantic_fields_set__ -= {
        field for field in defaults if getattr(settings, field) == getattr(config, field)
    }
    return settings


def check_settings(
    label: str, config: StepConfiguration, settings: RunAIOrchestratorSettings
) -> None:
    """Refuse settings that cannot make sense for a step.

    Raises:
        RunAIInvalidSettings: It says why, and what to do.
    """
    if settings.workload_type == "inference" and config.outputs:
        raise RunAIInvalidSettings(
            f"{label} is an inference workload, which serves until somebody stops it, so it can"
            f" never store its output(s) {', '.join(map(repr, config.outputs))}.",
            "Return nothing from the step, or use workload_type='training'.",
        )
    several = (
        settings.workload_type == "distributed"
        or max(settings.parallelism or 1, settings.completions or 1) > 1
    )
    if several and config.command is None and not settings.safe_in_several_pods:
        raise RunAIInvalidSettings(
            f"{label} is to run in several pods, each of which would run its function.",
            "Set safe_in_several_pods=True if its function may run in every pod (in a distributed"
            " workload only the pod of rank 0 stores outputs), or make it a command step.",
        )


def step_body(
    component: Component, info: StepRunInfo, environment: Mapping[str, str]
) -> tuple[WorkloadKind, dict[str, Any]]:
    """The workload of a step run; the same for the same step run at any time.

    Raises:
        RunAIError: The settings cannot become a workload.
    """
    settings = settings_of(component, info)
    check_settings(f"Step `{info.pipeline_step_name}`", info.config, settings)
    kind = WorkloadKind(settings.workload_type)
    command, arguments = get_step_entrypoint_command(
        invocation_id=info.pipeline_step_name,
        config=info.config,
        entrypoint_config_class=RunAIStepEntrypoint,
        snapshot_id=info.snapshot.id,
        step_run_id=str(info.step_run_id),
    )
    name = workload_name(info.pipeline_step_name, info.step_run_id)
    session = component.session
    target = session.control_plane.target()
    container = make_container(
        component.config,
        session,
        target,
        name,
        info.get_image(ORCHESTRATOR_DOCKER_IMAGE_KEY),
        [*command, *arguments],
        {**environment, **settings.environment_variables, names.WORKLOAD_TYPE: kind.value},
    )
    body = workload_body(
        kind,
        name=name,
        target=target,
        settings=settings,
        container=container,
        resources=info.config.resource_settings,
        image_pull_secrets=image_pull_secrets(component.config),
        labels=labels(info.pipeline.name, info.run_id, info.pipeline_step_name, info.step_run_id),
        inference=settings.inference,
    )
    if kind is not WorkloadKind.INFERENCE and settings.workload_template_id is None:
        body["spec"].setdefault("backoffLimit", STEP_BACKOFF_LIMIT)
    return kind, body


def submit_step(component: Component, info: StepRunInfo, environment: Mapping[str, str]) -> None:
    """Submit the workload of a step run, or adopt the one that exists, and write down its id.

    The id is written to ZenML and to the given step run.
    """
    kind, body = step_body(component, info, environment)
    control_plane = component.session.control_plane
    submitted = control_plane.submit(kind, body)
    component.session.monitor.watch(
        submitted.workload_id,
        submitted.created_at,
        fresh=not submitted.adopted,
        # Invocations of one step take about the same time, whatever they are called.
        group=info.config.name,
    )
    known = _metadata.at_submission(
        control_plane.client.base_url, component.config.project_name, kind, submitted, body
    )
    info.step_run.run_metadata.update(known)
    component.attach(info.step_run_id, known)
    logger.info(
        "Step `%s` is workload `%s`: %s",
        info.pipeline_step_name,
        submitted.name,
        known[_metadata.WORKLOAD_URL],
    )


def watch_step(component: Component, step_run: StepRunResponse) -> StepWatch | None:
    """Follow the workload of a step run; None when there is none."""
    known = step_run.run_metadata
    workload_id = _metadata.text(known, _metadata.WORKLOAD_ID)
    created = _metadata.text(known, _metadata.CREATED_AT)
    settings = settings_of(component, step_run)
    name = workload_name(step_run.name, step_run.id)
    if workload_id is None:
        # Its submitter may have died before it could write down the id.
        control_plane = component.session.control_plane
        found = control_plane.find(name, control_plane.target().project_id)
        if found is None:
            return None
        workload_id = found.id
        created = found.created_at.isoformat() if found.created_at else None
    return StepWatch(
        session=component.session,
        component_id=component.id,
        step_run=step_run,
        kind=WorkloadKind(settings.workload_type),
        workload_id=workload_id,
        name=name,
        created_at=datetime.fromisoformat(created) if created else datetime.now(UTC),
        settings=settings,
        delete_on_failure=component.config.delete_on_failure,
        delete_on_cancel=component.config.delete_on_cancel,
    )


@dataclass
class _Flight:
    watch: StepWatch
    gpus: float
    sighting: Sighting | None = None
    error: RunAIError | None = None

    @property
    def ended(self) -> bool:
        return self.sighting is not None and self.sighting.ended

    @property
    def serves(self) -> bool:
        return (
            self.watch.kind is WorkloadKind.INFERENCE
            and self.sighting is not None
            and self.sighting.phase in phases.RUNNING
        )


class WorkloadLauncher:
    """Runs each step in a workload of its own.

    Args:
        component: The orchestrator.
        environment: The environment of a step.
    """

    def __init__(
        self, component: Component, environment: Callable[[StepRunInfo], Mapping[str, str]]
    ) -> None:
        self._component = component
        self._environment = environment
        self._watcher = Watcher(component.session.monitor)
        self._flights: dict[UUID, _Flight] = {}
        self._lock = threading.Lock()

    @property
    def component_id(self) -> UUID:
        return self._component.id

    def launch(self, info: StepRunInfo, ended: Callable[[], None]) -> bool:
        step_run = info.step_run
        if _metadata.WORKLOAD_ID not in step_run.run_metadata:
            environment = self._environment(info)
            outlast_outages(lambda: submit_step(self._component, info, environment))
        watch = watch_step(self._component, step_run)
        assert watch is not None  # noqa: S101 - its id was written down above
        gpus = float(_metadata.text(step_run.run_metadata, _metadata.GPUS) or 0)
        flight = _Flight(watch, gpus)
        with self._lock:
            self._flights[step_run.id] = flight

        def on_end(sighting: Sighting, error: RunAIError | None) -> None:
            flight.sighting, flight.error = sighting, error
            ended()

        self._watcher.add(watch, on_end, is_service=watch.kind is WorkloadKind.INFERENCE)
        return False

    def ending(self, step_run: StepRunResponse) -> Ending:
        with self._lock:
            flight = self._flights[step_run.id]
        sighting = flight.sighting
        if sighting is None:
            return Ending(ExecutionStatus.RUNNING)
        if flight.serves:
            urls = _metadata.service_urls(sighting.workload)
            return Ending(ExecutionStatus.COMPLETED, metadata=urls, is_service=True)
        used = _metadata.at_end(sighting, flight.gpus)
        if flight.error is not None:
            return Ending(ExecutionStatus.FAILED, flight.error, metadata=used)
        status = phases.execution_status(sighting.phase, started=sighting.started)
        error = None
        if status is not ExecutionStatus.COMPLETED and not step_run.status.is_finished:
            error = flight.watch.cause(sighting)
        return Ending(status, error, metadata=used)

    def stop(self, step_run: StepRunResponse) -> None:
        with self._lock:
            flight = self._flights.pop(step_run.id, None)
        watch = flight.watch if flight else watch_step(self._component, step_run)
        if watch is None:
            return
        self._watcher.forget(watch.workload_id)
        outlast_outages(watch.cancel)
        self._forget(watch)

    def clean_up(self, step_run: StepRunResponse) -> float:
        with self._lock:
            flight = self._flights.pop(step_run.id, None)
        if flight is not None:
            self._watcher.forget(flight.watch.workload_id)
            self._clean_up(flight, failed=not step_run.status.is_successful)
        return 0.0

    def _clean_up(self, flight: _Flight, *, failed: bool) -> None:
        watch = flight.watch
        if flight.serves:
            # It lives on, and may start anew with the same token.
            watch.session.forget(watch.workload_id)
            return
        control_plane = self._component.session.control_plane
        if watch.delete_on_failure and failed:
            outlast_outages(lambda: control_plane.delete(watch.kind, watch.workload_id))
        elif not flight.ended:
            outlast_outages(lambda: control_plane.stop(watch.kind, watch.workload_id))
        self._forget(watch)

    def _forget(self, watch: StepWatch) -> None:
        delete_token(self._component.config, watch.session, watch.name)
        watch.session.forget(watch.workload_id)


def outlast_outages(call: Callable[[], T]) -> T:
    """Make a call to the control plane, again and again while it is away.

    What runs there goes on meanwhile, so waiting costs nothing but time.
    """
    for pause in itertools.chain(OUTAGE_PAUSES, itertools.repeat(OUTAGE_PAUSES[-1])):
        try:
            return call()
        except (RunAIControlPlaneError, *_OUTAGES) as error:
            reason = error.__cause__ if isinstance(error, RunAIControlPlaneError) else error
            if not isinstance(reason, _OUTAGES):
                raise
            logger.warning("Run:ai does not answer; trying again in %.0f s: %s", pause, reason)
            time.sleep(pause)
    raise AssertionError("unreachable")
