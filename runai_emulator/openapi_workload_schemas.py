"""Schemas of workloads, their events and their pods."""

from __future__ import annotations

from . import openapi_schemas as s
from .cluster.kinds import KINDS, PHASES
from .cluster.spec_schema import spec_schema
from .schema import Schema, choice, flag, items, named, text, thing, whole

_PHASE = choice(*PHASES)


def workload_request(kind: str) -> Schema:
    fields = {
        "name": text(low=1),
        "useGivenNameAsPrefix": flag(),
        "projectId": text(low=1),
        "clusterId": s.UUID,
        "templateId": s.UUID,
        "spec": spec_schema(kind),
    }
    if kind == "distributed":
        fields |= {"masterSpecSameAsWorker": flag(), "masterSpec": spec_schema(kind)}
    return thing(("name", "projectId", "clusterId"), **fields)


def workload_reply(kind: str) -> Schema:
    return thing(
        (
            "name",
            "requestedName",
            "workloadId",
            "projectId",
            "clusterId",
            "createdBy",
            "createdAt",
            "desiredPhase",
        ),
        name=s.TEXT,
        requestedName=s.TEXT,
        workloadId=s.UUID,
        projectId=s.TEXT,
        departmentId=s.TEXT,
        clusterId=s.UUID,
        createdBy=s.TEXT,
        createdAt=s.DATE,
        deletedAt=s.DATE,
        desiredPhase=choice("Running", "Stopped", "Deleted"),
        actualPhase=_PHASE,
        spec=spec_schema(kind),
    )


INFERENCE_PATCH = thing(("spec",), spec=spec_schema("inferences"))
WORKLOAD = named(
    "Workload",
    thing(
        (
            "id",
            "name",
            "type",
            "tenantId",
            "clusterId",
            "projectId",
            "projectName",
            "departmentId",
            "departmentName",
            "namespace",
            "phase",
            "phaseUpdatedAt",
            "createdAt",
            "updatedAt",
            "runningPods",
            "priorityClassName",
            "category",
            "conditions",
        ),
        id=s.UUID,
        name=s.TEXT,
        type=choice(*(kind.type for kind in KINDS.values())),
        tenantId=whole(0),
        clusterId=s.UUID,
        projectId=s.TEXT,
        projectName=s.TEXT,
        departmentId=s.TEXT,
        departmentName=s.TEXT,
        namespace=s.TEXT,
        phase=_PHASE,
        phaseMessage=s.TEXT,
        phaseReason=choice("NonPreemptibleOverQuota", "OverLimit"),
        phaseUpdatedAt=s.DATE,
        createdAt=s.DATE,
        updatedAt=s.DATE,
        deletedAt=s.DATE,
        completedAt=s.DATE,
        runningPods=whole(0),
        priority=whole(0),
        priorityClassName=s.TEXT,
        category=s.TEXT,
        conditions=items(thing(("type", "status"), type=s.TEXT, status=s.TEXT)),
        totalPendingTimeSeconds=whole(0),
        totalRunningTimeSeconds=whole(0),
    ),
)
EVENT = named(
    "Event",
    thing(
        ("createdAt", "type", "clusterId", "message"),
        id=s.TEXT,
        createdAt=s.DATE,
        type=choice("Normal", "Warning"),
        clusterId=s.UUID,
        message=s.TEXT,
        reason=s.TEXT,
        source=s.TEXT,
        involvedObject=thing(uid=s.TEXT, kind=s.TEXT, name=s.TEXT, namespace=s.TEXT),
    ),
)
RECORD = thing(
    ("meta", "spec"),
    meta=thing(
        ("creationTimestamp", "type"),
        creationTimestamp=s.DATE,
        type=choice("Event", "PhaseUpdate"),
    ),
    spec=thing(event=EVENT, phaseUpdate=thing(("phase",), phase=_PHASE, phaseMessage=s.TEXT)),
)
POD = named(
    "Pod",
    thing(
        (
            "id",
            "name",
            "workloadId",
            "clusterId",
            "createdAt",
            "containers",
            "k8sPhase",
            "tenantId",
        ),
        id=s.UUID,
        name=s.TEXT,
        workloadId=s.UUID,
        clusterId=s.UUID,
        createdAt=s.DATE,
        completedAt=s.DATE,
        containers=items(thing(("name", "image"), name=s.TEXT, image=s.TEXT)),
        k8sPhase=choice("Pending", "Running", "Succeeded", "Failed"),
        tenantId=whole(0),
        nodeName=s.TEXT,
    ),
)
WORKLOAD_BATCH = thing(
    ("ids", "action"), ids=items(s.UUID, 1), action=choice("delete", "suspend", "resume")
)
