"""Clusters. The list is a bare array without paging."""

from __future__ import annotations

import uuid
from typing import Any

from runai_emulator._constants import TENANT_ID
from runai_emulator.clock import iso
from runai_emulator.emulator import Emulator
from runai_emulator.store import Row
from runai_emulator.wire import Answer, Call, accepted, bad_request, not_found, route

from .access_rules import withdraw_rules

_PATH = "/api/v1/clusters"
_KUBERNETES = "1.33.4"


def new_cluster(
    emulator: Emulator, key: str, name: str, now: float, domain: str | None = None
) -> Row:
    return {
        "id": key,
        "name": name,
        "domain": domain,
        "version": f"{emulator.version}.1",
        "createdAt": now,
        "updatedAt": now,
        # A cluster that is only registered waits for its agent; the seeded one is connected.
        "connected": domain is not None,
        "deletingSince": None,
    }


def _view(emulator: Emulator, cluster: Row, full: bool) -> dict[str, Any]:
    connected = cluster["connected"]
    view: dict[str, Any] = {
        "uuid": cluster["id"],
        "tenantId": TENANT_ID,
        "name": cluster["name"],
        "createdAt": iso(cluster["createdAt"]),
        "updatedAt": iso(cluster["updatedAt"]),
        "domain": cluster["domain"],
        "version": cluster["version"] if connected else None,
        "deletedAt": None,
        "deleteRequestedAt": iso(cluster["deletingSince"]),
        "lastLiveness": iso(emulator.clock.now()) if connected else None,
    }
    if full:
        view["status"] = {
            "state": "Connected" if connected else "WaitingToConnect",
            "conditions": [],
            "operands": {},
            "platform": {"type": "vanilla", "kubeVersion": _KUBERNETES} if connected else None,
            "config": {
                "workloadOwnershipProtection": False,
                "subdomainEnabled": False,
                "ingressClass": "nginx",
            }
            if connected
            else None,
            "dependencies": {"required": {}, "optional": {}},
        }
    return view


@route("GET", _PATH)
def list_clusters(emulator: Emulator, call: Call) -> Answer:
    call.require_anywhere()
    verbosity = call.text("verbosity") or "full"
    if verbosity not in ("full", "metadata"):
        raise bad_request("verbosity must be full or metadata.")
    leaving = call.flag("includeRequestedForDelete")
    return 200, [
        _view(emulator, cluster, verbosity == "full")
        for cluster in emulator.store.clusters.listed(call.hidden_since)
        if (leaving or cluster["deletingSince"] is None)
        and call.permits_read("cluster", cluster["id"])
    ]


def _one(emulator: Emulator, call: Call) -> Row:
    call.require_anywhere()
    cluster = emulator.store.clusters.get(call.param("clusterUuid"))
    if cluster is None:
        raise not_found("Cluster")
    return cluster


@route("GET", f"{_PATH}/{{clusterUuid}}")
def get_cluster(emulator: Emulator, call: Call) -> Answer:
    cluster = _one(emulator, call)
    call.require_read("cluster", cluster["id"])
    return 200, _view(emulator, cluster, True)


@route("POST", _PATH)
def create_cluster(emulator: Emulator, call: Call) -> Answer:
    call.require("tenant", str(TENANT_ID))
    body = call.object()
    name = body.text("name", high=253)
    if emulator.store.clusters.find(name=name):
        raise bad_request(f"Cluster with this name already exists: {name}")
    cluster = new_cluster(emulator, str(uuid.uuid4()), name, emulator.clock.now())
    cluster["domain"] = body.text("domain", None)
    emulator.store.clusters.put(cluster)
    return 201, _view(emulator, cluster, True)


@route("PUT", f"{_PATH}/{{clusterUuid}}")
def rename_cluster(emulator: Emulator, call: Call) -> Answer:
    cluster = _one(emulator, call)
    call.require("cluster", cluster["id"])
    cluster["name"] = call.object().text("name", high=253)
    cluster["updatedAt"] = emulator.clock.now()
    emulator.store.clusters.put(cluster)
    return 204, None


@route("DELETE", f"{_PATH}/{{clusterUuid}}")
def delete_cluster(emulator: Emulator, call: Call) -> Answer:
    cluster = _one(emulator, call)
    call.require("cluster", cluster["id"])
    force = call.flag("force")
    key = cluster["id"]
    if emulator.store.projects.find(clusterId=key):
        raise bad_request("The cluster still has projects; delete them first.")
    withdraw_rules(emulator, lambda rule: rule["clusterId"] == key)
    for table in (emulator.store.node_pools, emulator.store.departments):
        for row in list(table.matching(clusterId=key)):
            table.delete(row["id"])
    if force:
        emulator.store.clusters.delete(key)
        return 204, None
    return (204, None) if emulator.store.clusters.delete_later(cluster) else accepted()
