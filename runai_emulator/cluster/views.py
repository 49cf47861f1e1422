"""How workloads, pods and events look on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runai_emulator._constants import TENANT_ID
from runai_emulator.clock import iso

from .events import EVENTS
from .kinds import KINDS, TERMINAL
from .pods import completions_of, workers_of
from .spec import Demand
from .workload import Pod, Workload

if TYPE_CHECKING:
    from runai_emulator.emulator import Emulator

_MIB = 2**20


def typed_view(emulator: Emulator, workload: Workload) -> dict[str, Any]:
    """The reply of the typed families (documented: Training, Distributed, ...)."""
    bodies = workload.bodies
    view = {
        "name": workload.name,
        "requestedName": workload.requested_name,
        "workloadId": workload.id,
        "projectId": workload.project_id,
        "departmentId": workload.department_id,
        "clusterId": _cluster_id(emulator, workload),
        "createdBy": workload.created_by,
        "createdAt": iso(workload.created_at),
        "deletedAt": iso(workload.deleted_at),
        "desiredPhase": workload.desired,
        "actualPhase": workload.phase,
        "spec": bodies.get("spec"),
    }
    if workload.kind == "distributed":
        view["masterSpecSameAsWorker"] = workload.same_master
        view["masterSpec"] = bodies.get("masterSpec")
    return view


def _cluster_id(emulator: Emulator, workload: Workload) -> str:
    project = emulator.store.projects.rows.get(workload.project_id)
    return project["clusterId"] if project else ""


def _resources(demands: tuple[Demand, ...], spec: dict[str, Any]) -> dict[str, Any]:
    compute = spec.get("compute") or {}
    count = len(demands)
    need = demands[0]
    cpu, memory = need.cpu, need.memory
    if count > 1:
        cpu = sum(one.cpu for one in demands)
        memory = sum(one.memory for one in demands)
    view: dict[str, Any] = {
        "gpu": {"request": 0.0, "limit": 0.0},
        "cpu": {
            "request": cpu / 1000.0,
            "limit": (compute.get("cpuCoreLimit") or 0.0) * count,
        },
        "cpuMemory": {
            "request": str(int(memory * _MIB)),
            "limit": compute.get("cpuMemoryLimit") or "0",
        },
        "extendedResources": compute.get("extendedResources") or [],
    }
    if need.devices:
        view["gpuRequestType"] = compute.get("gpuRequestType") or "portion"
        requested = sum(one.devices * one.portion for one in demands if not one.gpu_memory)
        limit = compute.get("gpuPortionLimit")
        view["gpu"] = {
            "request": requested,
            "limit": requested if limit is None else limit * need.devices * count,
        }
        if need.gpu_memory:
            view["gpuMemory"] = {
                "request": compute["gpuMemoryRequest"],
                "limit": compute.get("gpuMemoryLimit") or compute["gpuMemoryRequest"],
            }
    return view


def _allocated(workload: Workload) -> dict[str, Any]:
    places = workload.placement
    if not places:
        return {"gpu": 0, "cpu": 0, "cpuMemory": "0", "extendedResources": []}
    return {
        "gpu": sum(len(place.gpus) * place.share for place in places),
        "cpu": sum(place.cpu for place in places) / 1000.0,
        "cpuMemory": str(int(sum(place.memory for place in places) * _MIB)),
        "extendedResources": [],
    }


def allocated_gpus(workload: Workload) -> float:
    return sum(len(place.gpus) * place.share for place in workload.placement or ())


def running_pods(workload: Workload) -> int:
    return [pod.phase for pod in workload.pods].count("Running")


def pending_seconds(workload: Workload, now: float) -> int:
    since = workload.pending_since
    return int(workload.pending_total + (now - since if since is not None else 0.0))


def running_seconds(workload: Workload, now: float) -> int:
    since = workload.running_since
    return int(workload.running_total + (now - since if since is not None else 0.0))


def _pod_counts(workload: Workload, spec: dict[str, Any]) -> dict[str, Any]:
    if workload.kind == "distributed":
        count = workers_of(spec) + 1
        return {"number": count, "min": spec.get("minReplicas"), "max": spec.get("maxReplicas")}
    if workload.kind == "inferences":
        scaling = spec.get("autoscaling") or {}
        return {
            "number": None,
            "min": scaling.get("minReplicas", 1),
            "max": scaling.get("maxReplicas", 1),
        }
    return {
        "number": 1,
        "parallelism": spec.get("parallelism"),
        "completions": completions_of(spec) if spec.get("completions") else None,
    }


def generic_view(
    emulator: Emulator, workload: Workload, now: float, detailed: bool = False
) -> dict[str, Any]:
    """An item of `GET /api/v1/workloads`; `detailed` adds what only the single one has."""
    store = emulator.store
    project = store.projects.rows.get(workload.project_id) or {}
    department = store.departments.rows.get(workload.department_id) or {}
    kind = KINDS[workload.kind]
    bodies = workload.bodies
    spec = bodies.get("spec") or {}
    active = workload.phase not in TERMINAL and workload.deleted_at is None
    variables = {
        item["name"]: item["value"]
        for item in spec.get("environmentVariables") or ()
        if item.get("value") is not None
    }
    phase_at = iso(workload.phase_at)
    demanded = _resources(workload.demands, spec)
    by_pod = demanded if len(workload.demands) == 1 else _resources(workload.demands[:1], spec)
    view = {
        "id": workload.id,
        "name": workload.name,
        "type": kind.type,
        "tenantId": TENANT_ID,
        "clusterId": project.get("clusterId", ""),
        "projectId": workload.project_id,
        "projectName": project.get("name", ""),
        "departmentId": workload.department_id,
        "departmentName": department.get("name", ""),
        "namespace": project.get("requestedNamespace") or "",
        "phase": workload.phase,
        "phaseMessage": workload.message,
        "phaseReason": workload.reason,
        "phaseUpdatedAt": phase_at,
        "k8sPhase": workload.phase,
        "k8sPhaseUpdatedAt": phase_at,
        "conditions": _conditions(workload, phase_at),
        "createdAt": iso(workload.created_at),
        "updatedAt": iso(workload.updated_at),
        "deletedAt": iso(workload.deleted_at),
        "completedAt": iso(workload.completed_at),
        "submittedBy": workload.created_by,
        "source": "Control-plane",
        "sourceApi": "WorkloadsV2",
        "priority": workload.priority,
        "priorityClassName": workload.priority_class,
        "preemptible": workload.preemptible,
        "category": workload.category,
        "runningPods": running_pods(workload),
        "requestedPods": _pod_counts(workload, spec),
        "requestedNodePools": list(workload.pools),
        "currentNodePools": [workload.pool] if workload.placement else [],
        "workloadRequestedResources": demanded,
        "podsRequestedResources": by_pod,
        "allocatedResources": _allocated(workload),
        "actionsSupport": {"delete": True, "suspend": kind.stoppable and active},
        "images": [spec["image"]] if spec.get("image") else [],
        "command": spec.get("command") or "",
        "arguments": spec.get("args") or "",
        "environmentVariables": variables,
        "urls": [workload.url] if workload.url else [],
        "externalConnections": _connections(workload, spec),
        "datasources": [],
        "environments": [],
        "childrenIds": [],
        "additionalFields": {},
        "totalPendingTimeSeconds": pending_seconds(workload, now),
        "totalRunningTimeSeconds": running_seconds(workload, now),
        "idleGpus": 0,
        "idleAllocatedGpus": 0,
        "guaranteedRuntimeEndsAt": None,
    }
    if workload.kind == "distributed":
        view["distributedFramework"] = spec.get("distributedFramework") or "PyTorch"
    if detailed:
        view["pendingSchedulingMessages"] = [
            {
                "nodePool": refusal.pool,
                "phaseReason": refusal.reason,
                "reason": refusal.reason,
                "orgType": refusal.org_type,
                "userMessage": refusal.message,
            }
            for refusal in workload.pending_messages
            if refusal.reason is not None
        ]
    return view


def _conditions(workload: Workload, phase_at: str | None) -> list[dict[str, Any]]:
    return [
        {
            "type": workload.phase,
            "status": "True",
            "message": workload.message,
            "lastTransitionTime": phase_at,
        }
    ]


def _connections(workload: Workload, spec: dict[str, Any]) -> list[dict[str, Any]]:
    if workload.url is None:
        return []
    port = spec.get("servingPort") or {}
    return [
        {
            "name": "serving-endpoint",
            "toolType": "serving-endpoint",
            "connectionType": "ExternalUrl",
            "url": workload.url,
            "authorizationType": port.get("authorizationType") or "public",
            "authorizedUsers": port.get("authorizedUsers") or [],
            "authorizedGroups": port.get("authorizedGroups") or [],
            "containerPort": port.get("container"),
        }
    ]


def pod_view(emulator: Emulator, workload: Workload, pod: Pod) -> dict[str, Any]:
    bodies = workload.bodies
    spec = bodies.get("spec") or {}
    if pod.role == "master" and bodies.get("masterSpec"):
        spec = bodies["masterSpec"]
    container = {
        "name": "main",
        "image": spec.get("image") or "",
        "startedAt": iso(pod.started_at),
        "restartCount": pod.restarts,
        "exitCode": pod.exit_code,
        "reason": pod.reason,
    }
    return {
        "id": pod.id,
        "name": pod.name,
        "workloadId": workload.id,
        "clusterId": _cluster_id(emulator, workload),
        "tenantId": TENANT_ID,
        "workloadName": workload.name,
        "projectId": workload.project_id,
        "createdAt": iso(pod.created_at),
        "updatedAt": iso(pod.completed_at or pod.started_at or pod.created_at),
        "completedAt": iso(pod.completed_at),
        "containers": [container],
        "k8sPhase": pod.phase,
        "k8sPhaseUpdatedAt": iso(pod.completed_at or pod.started_at or pod.created_at),
        "priorityClassName": workload.priority_class,
        "nodeName": pod.node or "",
        "currentNodePool": pod.pool or "",
        "requestedNodePools": list(workload.pools),
        "requestedResources": _resources(workload.demands[:1], spec),
        "tolerations": [],
        "ip": "127.0.0.1",
    }


def event_view(emulator: Emulator, workload: Workload, number: int, event: tuple) -> dict[str, Any]:
    moment, code, arg, pod = event
    kind, reason, source, object_kind, message = EVENTS[code]
    project = emulator.store.projects.rows.get(workload.project_id) or {}
    name = pod or workload.name
    image = workload.spec.get("image") or ""
    return {
        "id": f"{workload.id}.{number}",
        "createdAt": iso(moment),
        "type": kind,
        "clusterId": project.get("clusterId", ""),
        "message": message.format(name=name, arg=arg, image=image),
        "reason": reason,
        "source": source,
        "involvedObject": {
            "uid": workload.id,
            "kind": object_kind,
            "name": name,
            "namespace": project.get("requestedNamespace") or "",
        },
    }
