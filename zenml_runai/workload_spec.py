"""From settings to the request body of a workload: the one place that knows the shape.

The body is a plain mapping in the documented form of ``POST /api/v1/workloads/<kind>``; what the
user left open is left out, so that a template, a policy or the control plane's default decides.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from zenml_runai.errors import RunAIInvalidSettings
from zenml_runai.flavors._inference import RunAIInferenceSettings
from zenml_runai.flavors._quantities import from_zenml_memory, quantity, wire_quantity
from zenml_runai.flavors._workload_settings import (
    RunAIComputeSettings,
    RunAIDistributedSettings,
    RunAIWorkloadSettings,
)
from zenml_runai.flavors._workload_types import RunAIPart

if TYPE_CHECKING:
    from zenml.config import ResourceSettings

Body = dict[str, Any]

# Pods and services are named after the workload. Public clients of the API cut names at 35 or 50
# characters, Kubernetes at 63; distributed pods add a suffix.
MAX_NAME_LENGTH: Final = 35
_UNIQUE_LENGTH: Final = 12

_GPU_FIELDS: Final = frozenset(
    {"gpu_devices_request", "gpu_portion_request", "gpu_request_type", "gpu_memory_request"}
)
# Documented: what the spec of a kind does not have, in the words of a training's spec.
_NOT_IN_KIND: Final[Mapping[str, frozenset[str]]] = {
    "training": frozenset(),
    "workspace": frozenset({"completions", "parallelism"}),
    "distributed": frozenset({"completions", "parallelism"}),
    "inference": frozenset(
        {
            "autoDeletionTimeAfterCompletionSeconds",
            "backoffLimit",
            "completions",
            "parallelism",
            "terminateAfterPreemption",
            "terminationGracePeriodSeconds",
        }
    ),
}


class WorkloadKind(StrEnum):
    """Kinds of workload, each with its own endpoint."""

    TRAINING = "training"
    DISTRIBUTED = "distributed"
    INFERENCE = "inference"
    WORKSPACE = "workspace"


@dataclass(frozen=True)
class Target:
    """Where a workload runs; ids as the control plane gives them."""

    project_id: str
    cluster_id: str


@dataclass(frozen=True)
class SecretKey:
    """One key of a Kubernetes secret in the project's namespace."""

    name: str
    key: str


@dataclass(frozen=True)
class Container:
    """What runs: image, program with arguments, environment."""

    image: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret_environment: Mapping[str, SecretKey] = field(default_factory=dict)


def workload_name(label: str, unique: UUID) -> str:
    """The name of the workload for a step run (or a pipeline run).

    Deterministic, so that a submission whose answer was lost can be found; at most 35 characters
    of a DNS label. Twelve hexadecimal digits of the id keep names apart within a project.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
    room = MAX_NAME_LENGTH - _UNIQUE_LENGTH - len("zenml--")
    parts = ["zenml", slug[:room].strip("-"), unique.hex[-_UNIQUE_LENGTH:]]
    return "-".join(part for part in parts if part)


def workload_body(
    kind: WorkloadKind | str,
    *,
    name: str,
    target: Target,
    settings: RunAIWorkloadSettings,
    container: Container,
    resources: "ResourceSettings | None" = None,
    image_pull_secrets: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    inference: RunAIInferenceSettings | None = None,
) -> Body:
    """The body of ``POST /api/v1/workloads/<kind>``.

    Args:
        kind: The kind of workload.
        name: Its name, see `workload_name`.
        target: Project and cluster.
        settings: Settings of the step.
        container: What runs.
        resources: ZenML's resource settings; they count where the settings are silent.
        image_pull_secrets: Kubernetes secrets of the component, before those of the step.
        labels: Labels of the component; the step's own win.
        annotations: Annotations of the component; the step's own win.
        inference: Port and scaling, for an inference workload.

    Raises:
        RunAIInvalidSettings: The settings do not fit each other or the kind.
    """
    kind = WorkloadKind(kind)
    spec = _spec(settings, container, resources, image_pull_secrets, labels, annotations)
    for key in _NOT_IN_KIND[kind]:
        spec.pop(key, None)
    body: Body = {
        "name": name,
        "projectId": target.project_id,
        "clusterId": target.cluster_id,
        "spec": spec,
    }
    if settings.workload_template_id is not None:
        body["templateId"] = settings.workload_template_id
    if kind is WorkloadKind.DISTRIBUTED:
        _add_distributed(body, settings.distributed or RunAIDistributedSettings())
    elif kind is WorkloadKind.INFERENCE:
        if settings.s3_mounts:
            raise RunAIInvalidSettings(
                "An inference workload cannot mount S3 buckets.", "Remove s3_mounts."
            )
        _refuse_security_of_pods(settings)
        spec.update(_inference(inference or RunAIInferenceSettings()))
    return body


def compute(
    settings: RunAIComputeSettings,
    resources: "ResourceSettings | None" = None,
    *,
    only_explicit: bool = False,
) -> Body:
    """The ``compute`` block of a spec.

    GPU, CPU and memory each come from the Run:ai settings when they were set there, else from
    ``ResourceSettings``, else from the documented defaults. ``ResourceSettings`` that ask for CPU
    or memory and for no GPU mean a CPU-only step.

    Args:
        settings: The Run:ai settings.
        resources: ZenML's resource settings.
        only_explicit: Leave the defaults out, for a template to decide.
    """
    explicit = settings.model_fields_set
    body: Body = {}
    if not explicit & _GPU_FIELDS and resources is not None and _asks(resources):
        body.update(_whole_gpus(resources.gpu_count or 0))
    elif explicit & _GPU_FIELDS or not only_explicit:
        body.update(_gpu(settings))
    cores = settings.cpu_core_request
    if "cpu_core_request" in explicit or not only_explicit:
        body["cpuCoreRequest"] = cores
    memory = settings.cpu_memory_request
    if "cpu_memory_request" in explicit or not only_explicit:
        body["cpuMemoryRequest"] = wire_quantity(memory)
    if resources is not None:
        if resources.cpu_count is not None and "cpu_core_request" not in explicit:
            body["cpuCoreRequest"] = cores = float(resources.cpu_count)
        if resources.memory is not None and "cpu_memory_request" not in explicit:
            body["cpuMemoryRequest"] = memory = from_zenml_memory(resources.memory)
    if settings.cpu_core_limit is not None:
        if settings.cpu_core_limit < cores:
            raise RunAIInvalidSettings(
                f"cpu_core_limit {settings.cpu_core_limit} is under the {cores} cores asked for by"
                " ResourceSettings(cpu_count=...)."
            )
        body["cpuCoreLimit"] = settings.cpu_core_limit
    if settings.cpu_memory_limit is not None:
        if quantity(settings.cpu_memory_limit) < quantity(memory):
            raise RunAIInvalidSettings(
                f"cpu_memory_limit {settings.cpu_memory_limit} is under the {memory} asked for by"
                " ResourceSettings(memory=...)."
            )
        body["cpuMemoryLimit"] = wire_quantity(settings.cpu_memory_limit)
    if settings.extended_resources:
        body["extendedResources"] = [
            {"resource": resource, "quantity": amount}
            for resource, amount in settings.extended_resources.items()
        ]
    if settings.large_shm_request or "large_shm_request" in explicit:
        body["largeShmRequest"] = settings.large_shm_request
    return body


def requested_gpus(body: Mapping[str, Any]) -> float:
    """GPUs that one pod of a workload body asks for; fractions by portion count as such."""
    block = body["spec"].get("compute") or {}
    devices = int(block.get("gpuDevicesRequest") or 0)
    return devices * float(block.get("gpuPortionRequest") or 1.0)


def _asks(resources: "ResourceSettings") -> bool:
    return any(
        value is not None for value in (resources.cpu_count, resources.gpu_count, resources.memory)
    )


def _whole_gpus(count: int) -> Body:
    if count == 0:
        # Said explicitly, so that no default of a policy or a template adds one.
        return {"gpuDevicesRequest": 0}
    # With several devices the API knows only the type portion; clients of it send 1.
    return {"gpuDevicesRequest": count, "gpuRequestType": "portion", "gpuPortionRequest": 1.0}


def _gpu(settings: RunAIComputeSettings) -> Body:
    devices, portion = settings.gpu_devices_request, settings.gpu_portion_request
    if settings.gpu_request_type == "device":
        return _whole_gpus(devices)
    if devices == 0 or (settings.gpu_request_type == "portion" and portion == 0.0):
        return _whole_gpus(0)
    if settings.gpu_request_type == "memory":
        assert settings.gpu_memory_request is not None  # noqa: S101 - validated by the settings
        body: Body = {
            "gpuDevicesRequest": devices,
            "gpuRequestType": "memory",
            "gpuMemoryRequest": wire_quantity(settings.gpu_memory_request),
        }
        if settings.gpu_memory_limit is not None:
            body["gpuMemoryLimit"] = wire_quantity(settings.gpu_memory_limit)
        return body
    body = _whole_gpus(devices) | {"gpuPortionRequest": portion}
    if settings.gpu_portion_limit is not None:
        body["gpuPortionLimit"] = settings.gpu_portion_limit
    return body


def _spec(
    settings: RunAIWorkloadSettings,
    container: Container,
    resources: "ResourceSettings | None",
    image_pull_secrets: Sequence[str],
    labels: Mapping[str, str] | None,
    annotations: Mapping[str, str] | None,
) -> Body:
    if not container.command:
        raise RunAIInvalidSettings("The step has no command to run.")
    program, *arguments = container.command
    pull_secrets = dict.fromkeys([*image_pull_secrets, *(settings.image_pull_secret_names or ())])
    optional: Body = {
        "args": shlex.join(arguments) if arguments else None,
        "compute": compute(
            settings, resources, only_explicit=settings.workload_template_id is not None
        ),
        "environmentVariables": _environment(container),
        "imagePullSecrets": [{"name": name} for name in pull_secrets],
        "nodePools": settings.node_pools,
        "nodeType": settings.node_type,
        "preemptibility": settings.preemptibility,
        "priorityClass": settings.priority_class,
        "tolerations": _parts(settings.tolerations),
        "backoffLimit": settings.backoff_limit,
        "terminationGracePeriodSeconds": settings.termination_grace_period_seconds,
        "terminateAfterPreemption": settings.terminate_after_preemption,
        "autoDeletionTimeAfterCompletionSeconds": (
            settings.auto_deletion_time_after_completion_seconds
        ),
        "workingDir": settings.working_dir,
        "labels": _named(labels, settings.labels),
        "annotations": _named(annotations, settings.annotations),
        "storage": _storage(settings),
        "security": settings.security_context.to_body() if settings.security_context else None,
        "ports": _parts(settings.ports),
        "exposedUrls": _parts(settings.external_urls),
        "parallelism": settings.parallelism,
        "completions": settings.completions,
    }
    return {"image": container.image, "command": shlex.quote(program)} | {
        key: value for key, value in optional.items() if value not in (None, [], {})
    }


def _environment(container: Container) -> list[Body]:
    plain = [
        {"name": name, "value": value}
        for name, value in container.environment.items()
        if name not in container.secret_environment
    ]
    secret = [
        {"name": name, "secret": {"name": source.name, "key": source.key}}
        for name, source in container.secret_environment.items()
    ]
    return plain + secret


def _storage(settings: RunAIWorkloadSettings) -> Body:
    storage = {
        "pvc": _parts(settings.pvc_mounts),
        "configMapVolume": _parts(settings.config_map_mounts),
        "secretVolume": _parts(settings.secret_mounts),
        "nfs": _parts(settings.nfs_mounts),
        "s3": _parts(settings.s3_mounts),
        "hostPath": _parts(settings.host_path_mounts),
    }
    return {key: value for key, value in storage.items() if value}


def _parts(parts: Sequence[RunAIPart] | None) -> list[Body]:
    return [part.to_body() for part in parts or ()]


def _named(*layers: Mapping[str, str] | None) -> list[Body]:
    merged: dict[str, str] = {}
    for layer in layers:
        merged.update(layer or {})
    return [{"name": name, "value": value} for name, value in merged.items()]


def _add_distributed(body: Body, distributed: RunAIDistributedSettings) -> None:
    worker = body["spec"]
    if distributed.master is None:
        body["masterSpecSameAsWorker"] = True
    else:
        body["masterSpecSameAsWorker"] = False
        body["masterSpec"] = worker | {"compute": compute(distributed.master)}
    fields = {
        "distributedFramework": distributed.framework,
        "numWorkers": distributed.num_workers,
        "slotsPerWorker": distributed.slots_per_worker,
        "sshAuthMountPath": distributed.ssh_auth_mount_path,
        "mpiLauncherCreationPolicy": distributed.mpi_launcher_creation_policy,
        "minReplicas": distributed.min_replicas,
        "maxReplicas": distributed.max_replicas,
        "cleanPodPolicy": distributed.clean_pod_policy,
    }
    body["spec"] = worker | {key: value for key, value in fields.items() if value is not None}


def _refuse_security_of_pods(settings: RunAIWorkloadSettings) -> None:
    """Documented: the security block of an inference has no such fields.

    They are refused, not dropped: what was meant to protect must not vanish in silence.
    """
    context = settings.security_context
    wrong = [
        name
        for name in ("allow_privilege_escalation", "host_ipc", "host_network")
        if context is not None and getattr(context, name) is not None
    ]
    if wrong:
        raise RunAIInvalidSettings(
            f"The security context of an inference workload has no {', '.join(wrong)}.",
            "Remove what it cannot express; the administrator's policy can set it.",
        )


def _inference(inference: RunAIInferenceSettings) -> Body:
    serving = {
        "initializationTimeoutSeconds": inference.initialization_timeout_seconds,
        "requestTimeoutSeconds": inference.request_timeout_seconds,
    }
    serving = {key: value for key, value in serving.items() if value is not None}
    body: Body = {}
    if inference.serving_port is not None:
        body["servingPort"] = inference.serving_port.to_body()
    if inference.autoscaling is not None:
        body["autoscaling"] = inference.autoscaling.to_body()
    if serving:
        body["servingConfiguration"] = serving
    return body
