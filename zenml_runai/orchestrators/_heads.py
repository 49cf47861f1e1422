"""The head workload of a run: the one that runs the pipeline."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from zenml.config import ResourceSettings
from zenml.logger import get_logger
from zenml.models import PipelineRunResponse, PipelineSnapshotResponse

from runai_api import ControlPlaneVersion, Workload
from runai_api.org_units import Project
from zenml_runai import _metadata
from zenml_runai._container import image_pull_secrets, labels, make_container
from zenml_runai.errors import RunAIInvalidSettings
from zenml_runai.flavors import RunAIOrchestratorSettings, RunAIWorkloadSettings
from zenml_runai.flavors._quantities import quantity
from zenml_runai.orchestrators._constants import HEAD_ID, HEAD_NUMBER
from zenml_runai.orchestrators._quota import check_fits
from zenml_runai.orchestrators._step_workloads import Component, check_settings, settings_of
from zenml_runai.workload_spec import (
    Container,
    Target,
    WorkloadKind,
    compute,
    workload_body,
    workload_name,
)

logger = get_logger(__name__)

#: Settings of the pipeline that its small head shares with its steps: what a pod of the project
#: may need to be admitted, to start and to reach the control plane and ZenML.
_SHARED = (
    "tolerations",
    "security_context",
    "labels",
    "annotations",
    "image_pull_secret_names",
    "config_map_mounts",
    "secret_mounts",
)
#: What one workload for all steps cannot honour for a single step.
_PER_STEP_ONLY = ("node_pools", "node_type", "preemptibility", "priority_class", "tolerations")


def head_name(run: PipelineRunResponse, number: int) -> str:
    """The name of the head workload; it follows from the run and the number of heads before."""
    unique = run.id if number == 0 else uuid5(run.id, f"head-{number}")
    return workload_name(run.pipeline.name if run.pipeline else run.name, unique)


def head_body(
    component: Component,
    snapshot: PipelineSnapshotResponse,
    run: PipelineRunResponse,
    *,
    name: str,
    image: str,
    command: Sequence[str],
    environment: Mapping[str, str],
) -> dict[str, Any]:
    """The body of the head workload, a training.

    Raises:
        RunAIError: The settings cannot become a workload.
    """
    session = component.session
    target = session.control_plane.target()
    container = make_container(component.config, session, target, name, image, command, environment)
    return _body(component, snapshot, run.id, name=name, target=target, container=container)


def check_pipeline(
    component: Component, snapshot: PipelineSnapshotResponse, project: Project
) -> None:
    """Refuse, before anything is submitted, what can never run.

    Raises:
        RunAIInvalidSettings: Settings make no sense for a step or for the mode.
        RunAIQuotaExceeded: A workload does not fit into the project's quota.
    """
    settings = settings_of(component, snapshot)
    target = Target(project.id, project.cluster_id)
    # Only compute and scheduling are looked at.
    container = Container("image", ["command"])
    unused = UUID(int=0)
    body = _body(component, snapshot, unused, name="head", target=target, container=container)
    single = settings.mode == "single"
    check_fits(project, "The pipeline" if single else "The head of the pipeline", body)
    for name, step in snapshot.step_configurations.items():
        if step.config.step_operator:
            continue
        own = settings_of(component, step)
        label = f"Step `{name}`"
        if single:
            _check_single(label, own)
            continue
        check_settings(label, step.config, own)
        body = workload_body(
            own.workload_type,
            name="step",
            target=target,
            settings=own,
            container=container,
            resources=step.config.resource_settings,
            inference=own.inference,
        )
        check_fits(project, label, body)


def _check_single(label: str, settings: RunAIOrchestratorSettings) -> None:
    if settings.workload_type != "training":
        raise RunAIInvalidSettings(
            f"{label} is to be a workload of type '{settings.workload_type}', but mode='single'"
            " runs all steps in one training workload.",
            "Use mode='per_step', or leave workload_type at 'training'.",
        )


def _body(
    component: Component,
    snapshot: PipelineSnapshotResponse,
    run_id: UUID,
    *,
    name: str,
    target: Target,
    container: Container,
) -> dict[str, Any]:
    settings = settings_of(component, snapshot)
    own: RunAIWorkloadSettings
    resources: ResourceSettings | None
    if settings.mode == "single":
        _check_single("The pipeline", settings)
        own, resources = settings, snapshot.pipeline_configuration.resource_settings
    else:
        version = component.session.control_plane.call(lambda client: client.version)
        own, resources = _small(settings, version), None
    body = workload_body(
        WorkloadKind.TRAINING,
        name=name,
        target=target,
        settings=own,
        container=container,
        resources=resources,
        image_pull_secrets=image_pull_secrets(component.config),
        labels=labels(snapshot.pipeline_configuration.name, run_id),
    )
    spec = body["spec"]
    spec.setdefault("backoffLimit", settings.head_backoff_limit)
    if settings.mode == "single":
        spec["compute"] = _for_all_steps(component, snapshot, spec.get("compute") or {})
    return body


def _small(
    settings: RunAIOrchestratorSettings, version: ControlPlaneVersion
) -> RunAIWorkloadSettings:
    """Settings of a head that only decides: no GPU, and never preempted where that can be said."""
    # New in 2.24 (documented). Before, `head_priority_class` decides; a preempted head resumes.
    firm = version is ControlPlaneVersion.CURRENT
    shared = {field: getattr(settings, field) for field in _SHARED}
    return RunAIWorkloadSettings().model_copy(
        update={field: value for field, value in shared.items() if value is not None}
        | {
            "gpu_devices_request": 0,
            "cpu_core_request": settings.head_cpu_core_request,
            "cpu_memory_request": settings.head_cpu_memory_request,
            "node_pools": settings.head_node_pools,
            "priority_class": settings.head_priority_class,
            "preemptibility": "non-preemptible" if firm else None,
        }
    )


def _for_all_steps(
    component: Component, snapshot: PipelineSnapshotResponse, pipeline: dict[str, Any]
) -> dict[str, Any]:
    """Compute of one workload for all steps: of everything, what the neediest step asks for."""
    steps = {
        name: step
        for name, step in snapshot.step_configurations.items()
        if not step.config.step_operator
    }
    result: dict[str, Any] = {} if steps else dict(pipeline)
    shared = settings_of(component, snapshot)
    for name, step in steps.items():
        own = settings_of(component, step)
        for key, value in compute(own, step.config.resource_settings).items():
            larger = key != "gpuRequestType" and _amount(value) > _amount(result.get(key))
            if larger or key not in result:
                result[key] = value
        ignored = [
            field for field in _PER_STEP_ONLY if getattr(own, field) != getattr(shared, field)
        ]
        if step.config.docker_settings != snapshot.pipeline_configuration.docker_settings:
            ignored.append("docker settings")
        if ignored:
            logger.warning(
                "Step `%s` has its own %s, which mode='single' cannot honour: all steps run in one"
                " workload.",
                name,
                ", ".join(ignored),
            )
    return _consistent_gpus(result)


def _consistent_gpus(block: dict[str, Any]) -> dict[str, Any]:
    """A compute block in which one way to ask for GPUs is left."""
    devices = int(block.get("gpuDevicesRequest") or 0)
    unused: tuple[str, ...] = ("gpuMemoryRequest", "gpuMemoryLimit")
    if devices == 0:
        unused += ("gpuPortionRequest", "gpuPortionLimit", "gpuRequestType")
    elif "gpuPortionRequest" in block:
        block["gpuRequestType"] = "portion"
    else:
        unused = ()
    if devices > 1:
        # With several devices each is taken whole (documented).
        block["gpuPortionRequest"] = 1.0
        unused += ("gpuPortionLimit",)
    return {key: value for key, value in block.items() if key not in unused}


def _amount(value: Any) -> Decimal:
    if isinstance(value, str):
        return quantity(value.replace("k", "K"))
    return Decimal(str(value)) if isinstance(value, int | float) else Decimal(0)


def find_head(component: Component, run: PipelineRunResponse) -> Workload | None:
    """The head workload of a run; None when there is none (any more)."""
    control_plane = component.session.control_plane
    known = run.run_metadata
    if (head_id := _metadata.text(known, HEAD_ID)) is not None:
        return control_plane.get(head_id)
    number = int(_metadata.text(known, HEAD_NUMBER) or 0)
    return control_plane.find(head_name(run, number), control_plane.target().project_id)
