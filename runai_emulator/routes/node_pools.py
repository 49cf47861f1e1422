"""Node pools. Workloads name them, project quota refers to them by id."""

from __future__ import annotations

import re
from typing import Any

from runai_emulator._constants import TENANT_ID
from runai_emulator.clock import iso
from runai_emulator.emulator import Emulator
from runai_emulator.query import Field, date, flag, page, select, text
from runai_emulator.store import Row
from runai_emulator.wire import (
    Answer,
    Body,
    Call,
    accepted,
    bad_request,
    conflict,
    not_found,
    route,
)

_PATH = "/api/v1/node-pools"
_NAME = re.compile(r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")


def new_node_pool(
    emulator: Emulator, key: str, fields: dict[str, Any], author: str, now: float
) -> Row:
    return {
        "id": key,
        "overProvisioningRatio": 1,
        "placementStrategy": {"cpu": "spread", "gpu": "binpack"},
        "gpuNetworkAccelerationDetection": "Auto",
        "gpuNetworkAccelerationLabelKey": "",
        "networkTopologyId": None,
        **fields,
        "createdBy": author,
        "updatedBy": author,
        "createdAt": now,
        "updatedAt": now,
        "deletingSince": None,
    }


def _phase(emulator: Emulator, pool: Row) -> str:
    if pool["deletingSince"] is not None:
        return "Deleting"
    if not emulator.settled(pool):
        return "Creating"
    if not emulator.settled(pool, "updatedAt"):
        return "Updating"
    return "Ready" if _nodes(emulator, pool) else "Empty"


def _nodes(emulator: Emulator, pool: Row) -> list[str]:
    return [node["id"] for node in emulator.store.nodes.matching(nodePool=pool["name"])]


def _fields(emulator: Emulator) -> dict[str, Field]:
    return {
        "name": text("name"),
        "clusterId": text("clusterId"),
        "phase": Field("text", lambda pool: _phase(emulator, pool)),
        "createdAt": date("createdAt"),
        "updatedAt": date("updatedAt"),
        "gpuNetworkAccelerationDetection": text("gpuNetworkAccelerationDetection"),
        "networkTopologyName": text("networkTopologyName"),
        "gpuNetworkAccelerationDetected": flag("gpuNetworkAccelerationDetected"),
        "gpuNetworkAccelerationLabelKey": text("gpuNetworkAccelerationLabelKey"),
        "swapEnabled": flag("swapEnabled"),
        "nodeLevelSchedulerEnabled": flag("nodeLevelSchedulerEnabled"),
    }


def _view(emulator: Emulator, pool: Row) -> dict[str, Any]:
    cluster = emulator.store.clusters.rows[pool["clusterId"]]
    shared = {
        name: pool[name]
        for name in (
            "labelKey",
            "labelValue",
            "overProvisioningRatio",
            "placementStrategy",
            "gpuNetworkAccelerationDetection",
        )
    }
    return {
        "id": pool["id"],
        "name": pool["name"],
        **shared,
        "clusterId": pool["clusterId"],
        "clusterName": cluster["name"],
        "tenantId": TENANT_ID,
        "isDefault": pool["name"] == "default",
        "phase": _phase(emulator, pool),
        "phaseMessage": "",
        "status": {
            **shared,
            "conditions": [],
            "gpuNetworkAccelerationDetected": False,
            "nodes": _nodes(emulator, pool),
        },
        "createdBy": pool["createdBy"],
        "createdAt": iso(pool["createdAt"]),
        "updatedBy": pool["updatedBy"],
        "updatedAt": iso(pool["updatedAt"]),
        "deletedAt": None,
    }


def _visible(emulator: Emulator, call: Call) -> list[Row]:
    call.require_anywhere()
    rows = emulator.store.node_pools.listed(call.hidden_since)
    return [pool for pool in rows if call.permits_read("cluster", pool["clusterId"])]


@route("GET", _PATH)
def list_pools(emulator: Emulator, call: Call) -> Answer:
    rows, _ = page(call, select(call, _visible(emulator, call), _fields(emulator)))
    return 200, {"nodepools": [_view(emulator, pool) for pool in rows]}


@route("GET", f"{_PATH}/count")
def count_pools(emulator: Emulator, call: Call) -> Answer:
    return 200, {"count": len(select(call, _visible(emulator, call), _fields(emulator)))}


def _one(emulator: Emulator, call: Call) -> Row:
    call.require_anywhere()
    pool = emulator.store.node_pools.get(call.param("nodepoolId"))
    if pool is None:
        raise not_found("Node pool")
    return pool


@route("GET", f"{_PATH}/{{nodepoolId}}")
def get_pool(emulator: Emulator, call: Call) -> Answer:
    pool = _one(emulator, call)
    call.require_read("cluster", pool["clusterId"])
    return 200, _view(emulator, pool)


def _changes(body: Body, required: bool) -> dict[str, Any]:
    """The settings of a pool that callers may give."""
    changes: dict[str, Any] = {}
    for name in ("labelKey", "labelValue"):
        if required:
            changes[name] = body.text(name)
        elif (value := body.text(name, None)) is not None:
            changes[name] = value
    ratio = body.integer("overProvisioningRatio", None, low=1, high=5)
    if ratio is not None:
        changes["overProvisioningRatio"] = ratio
    placement = body.child("placementStrategy", None)
    if placement is not None:
        changes["placementStrategy"] = {
            kind: placement.one_of(kind, ("spread", "binpack"), "spread") for kind in ("cpu", "gpu")
        }
    detection = body.one_of("gpuNetworkAccelerationDetection", ("Use", "DontUse", "Auto"), None)
    if detection is not None:
        changes["gpuNetworkAccelerationDetection"] = detection
    return changes


@route("POST", _PATH)
def create_pool(emulator: Emulator, call: Call) -> Answer:
    call.require_anywhere()
    body = call.object()
    cluster_id = body.text("clusterId")
    if emulator.store.clusters.get(cluster_id) is None:
        raise bad_request(f"Cluster not found: {cluster_id}.")
    call.require("cluster", cluster_id)
    name = body.text("name", high=63)
    if not _NAME.fullmatch(name):
        raise bad_request("Validation failed - name must be a DNS label.")
    if emulator.store.node_pools.find(clusterId=cluster_id, name=name):
        raise conflict(f"Node pool with this name already exists: {name}")
    fields = {"name": name, "clusterId": cluster_id, **_changes(body, True)}
    key = str(emulator.store.next_id("node_pool"))
    pool = new_node_pool(emulator, key, fields, call.subject.label, emulator.clock.now())
    return 201, _view(emulator, emulator.store.node_pools.put(pool))


def _update(emulator: Emulator, call: Call, required: bool) -> Answer:
    pool = _one(emulator, call)
    call.require("cluster", pool["clusterId"])
    pool.update(
        _changes(call.object(), required),
        updatedBy=call.subject.label,
        updatedAt=emulator.clock.now(),
    )
    return 200, _view(emulator, emulator.store.node_pools.put(pool))


@route("PUT", f"{_PATH}/{{nodepoolId}}")
def replace_pool(emulator: Emulator, call: Call) -> Answer:
    return _update(emulator, call, True)


@route("PATCH", f"{_PATH}/{{nodepoolId}}")
def patch_pool(emulator: Emulator, call: Call) -> Answer:
    return _update(emulator, call, False)


@route("DELETE", f"{_PATH}/{{nodepoolId}}")
def delete_pool(emulator: Emulator, call: Call) -> Answer:
    pool = _one(emulator, call)
    call.require("cluster", pool["clusterId"])
    if pool["name"] == "default":
        raise bad_request("The default node pool cannot be deleted.")
    return (204, None) if emulator.store.node_pools.delete_later(pool) else accepted()
