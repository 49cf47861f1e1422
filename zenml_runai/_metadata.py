"""What a step run remembers of its workload; keys of its metadata in ZenML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from zenml.metadata.metadata_types import MetadataType, Uri

from zenml_runai.workload_spec import WorkloadKind, requested_gpus

if TYPE_CHECKING:
    from runai_api import Workload
    from zenml_runai._control_plane import Submitted
    from zenml_runai.monitor import Sighting

WORKLOAD_ID: Final = "runai_workload_id"
WORKLOAD_NAME: Final = "runai_workload_name"
WORKLOAD_KIND: Final = "runai_workload_kind"
WORKLOAD_URL: Final = "runai_workload_url"
CREATED_AT: Final = "runai_created_at"
PROJECT: Final = "runai_project"
GPUS: Final = "runai_gpus"
GPU_TYPE: Final = "runai_gpu_type"
GPU_MEMORY: Final = "runai_gpu_memory"
REQUESTED_NODE_POOLS: Final = "runai_requested_node_pools"
SERVICE_URLS: Final = "runai_service_urls"
NODE_POOL: Final = "runai_node_pool"
PENDING_SECONDS: Final = "runai_pending_seconds"
RUNNING_SECONDS: Final = "runai_running_seconds"
GPU_SECONDS: Final = "runai_gpu_seconds"


def workload_url(base_url: str, workload_id: str) -> str:
    """The workload's page in the control plane (inferred: the list, narrowed to the workload)."""
    return f"{base_url.rstrip('/')}/workloads?id={workload_id}"


def at_submission(
    base_url: str,
    project: str,
    kind: WorkloadKind,
    submitted: Submitted,
    body: Mapping[str, Any],
) -> dict[str, MetadataType]:
    """What is known as soon as the workload exists."""
    compute = body["spec"].get("compute") or {}
    gpus = all_gpus(body)
    metadata: dict[str, MetadataType] = {
        WORKLOAD_ID: submitted.workload_id,
        WORKLOAD_NAME: submitted.name,
        WORKLOAD_KIND: kind.value,
        WORKLOAD_URL: Uri(workload_url(base_url, submitted.workload_id)),
        CREATED_AT: submitted.created_at.isoformat(),
        PROJECT: project,
        GPUS: gpus,
    }
    if gpus:
        metadata[GPU_TYPE] = str(compute.get("gpuRequestType", "portion"))
    if memory := compute.get("gpuMemoryRequest"):
        metadata[GPU_MEMORY] = str(memory)
    if pools := body["spec"].get("nodePools"):
        metadata[REQUESTED_NODE_POOLS] = list(pools)
    return metadata


def all_gpus(body: Mapping[str, Any]) -> float:
    """GPUs that all pods of a workload ask for together; a portion counts as such."""
    spec = body["spec"]
    if "numWorkers" not in spec:
        return requested_gpus(body) * int(spec.get("parallelism") or 1)
    master = spec if body.get("masterSpecSameAsWorker") else body.get("masterSpec", spec)
    return requested_gpus(body) * int(spec["numWorkers"]) + requested_gpus({"spec": master})


def service_urls(workload: Workload | None) -> dict[str, MetadataType]:
    """Where a workload that serves can be reached."""
    return {SERVICE_URLS: list(workload.urls)} if workload and workload.urls else {}


def at_end(sighting: Sighting, gpus: float) -> dict[str, MetadataType]:
    """What is known when the workload has ended; seconds as the control plane counts them.

    Where it does not count, the monitor's own observation stands in.
    """
    workload = sighting.workload
    if workload is None:
        return {}
    running = workload.total_running_time_seconds
    running = sighting.running_for if running is None else float(running)
    metadata: dict[str, MetadataType] = {
        RUNNING_SECONDS: round(running, 1),
        GPU_SECONDS: round(running * gpus, 1),
    }
    if workload.total_pending_time_seconds is not None:
        metadata[PENDING_SECONDS] = round(float(workload.total_pending_time_seconds), 1)
    pools = workload.current_node_pools or workload.requested_node_pools
    if pools:
        metadata[NODE_POOL] = ", ".join(pools)
    return metadata


def gpu_seconds(metadata: Mapping[str, Any]) -> float:
    """What a workload has used, 0.0 as long as it is not known."""
    return float(text(metadata, GPU_SECONDS) or 0.0)


def text(metadata: Mapping[str, Any], key: str) -> str | None:
    """A value of run metadata as text."""
    value = metadata.get(key)
    return None if value is None else str(value)
