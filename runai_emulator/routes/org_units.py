"""Departments and projects: the same kind of unit at two levels of the scope tree."""

from __future__ import annotations

import re
from typing import Any

from runai_emulator.clock import iso
from runai_emulator.emulator import Emulator
from runai_emulator.query import Field, date, number, page, paged, select, text
from runai_emulator.store import Row, Table
from runai_emulator.wire import Answer, Body, Call, bad_request, conflict, not_found, route

from .access_rules import withdraw_rules

_NAME = re.compile(r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")
#: The namespace is `runai-<name>` and Kubernetes allows 63 characters.
_MAX_NAME = 57
_SCHEDULING_RULES = (
    "interactiveJobTimeLimitSeconds",
    "interactiveJobMaxIdleDurationSeconds",
    "interactiveJobPreemptIdleDurationSeconds",
    "trainingJobMaxIdleDurationSeconds",
    "trainingJobTimeLimitSeconds",
)
_AVERAGES = [
    f"avg{what}{span}"
    for span in ("24h", "7d", "30d")
    for what in ("GpuAllocation", "GpuUtilization", "GpuMemoryUtilization")
]
_MEMORY_UNITS = ("Mib", "MB", "GB")


def new_unit(kind: str, key: str, fields: dict[str, Any], author: str, now: float) -> Row:
    return {
        "id": key,
        "kind": kind,
        "description": "",
        "schedulingRules": None,
        "defaultNodePools": None,
        "nodeTypes": {},
        "parentId": None,
        "requestedNamespace": None,
        "enforceRunaiScheduler": True,
        "resources": [],
        **fields,
        "createdBy": author,
        "updatedBy": author,
        "createdAt": now,
        "updatedAt": now,
        "deletingSince": None,
    }


class _Units:
    """The endpoints of one level."""

    def __init__(self, kind: str, plural: str, parameter: str) -> None:
        self.kind = kind
        self.plural = plural
        self.parameter = parameter
        path = f"/api/v1/org-unit/{plural}"
        one = f"{path}/{{{parameter}}}"
        route("GET", path)(self.list)
        route("POST", path)(self.create)
        route("GET", f"{path}/count")(self.count)
        route("GET", one)(self.get)
        route("PUT", one)(self.update)
        route("DELETE", one)(self.delete)
        route("PUT", f"{one}/resources")(self.replace_resources)
        route("PATCH", f"{one}/resources")(self.patch_resources)

    def _table(self, emulator: Emulator) -> Table:
        return emulator.store.tables[self.plural]

    def _may_see(self, call: Call, row: Row) -> bool:
        if self.kind == "project":
            return call.permits("project", row["id"])
        return call.permits_read("department", row["id"])

    # -- views ---------------------------------------------------------------------------------

    def _phase(self, emulator: Emulator, row: Row) -> str:
        if row["deletingSince"] is not None:
            return "Deleting"
        if not emulator.settled(row):
            return "Creating"
        return "Ready" if emulator.settled(row, "updatedAt") else "Updating"

    def _fields(self, emulator: Emulator) -> dict[str, Field]:
        def parent_name(row: Row) -> str | None:
            parent = emulator.store.departments.rows.get(row["parentId"] or "")
            return parent["name"] if parent else None

        fields = {
            "name": text("name"),
            "clusterId": text("clusterId"),
            "phase": Field("text", lambda row: self._phase(emulator, row)),
            "totalGpuQuota": Field("number", lambda row: _total(row, "gpu")),
            "gpuAllocated": Field("number", lambda row: _usage(emulator, row)["allocated"]["gpu"]),
            "createdAt": date("createdAt"),
        }
        if self.kind == "project":
            fields |= {
                "departmentId": text("parentId"),
                "parentId": text("parentId"),
                "parentName": Field("text", parent_name),
            }
        return fields | {name: number(name) for name in _AVERAGES}

    def view(self, emulator: Emulator, row: Row) -> dict[str, Any]:
        phase = self._phase(emulator, row)
        usage = _usage(emulator, row)
        view = {
            "id": row["id"],
            "name": row["name"],
            "description": row["description"],
            "clusterId": row["clusterId"],
            "resources": row["resources"],
            "schedulingRules": row["schedulingRules"],
            "defaultNodePools": row["defaultNodePools"],
            "nodeTypes": row["nodeTypes"],
            "status": {
                "phase": phase,
                "phaseMessage": "",
                "lastUpdatedTime": iso(row["updatedAt"]),
                "nodePoolQuotaStatuses": usage["pools"],
                "quotaStatus": {
                    name: usage[name]
                    for name in ("allocated", "allocatedNonPreemptible", "requested")
                },
                "additionalStatusData": None,
            },
            "totalResources": {
                "gpuQuota": _total(row, "gpu"),
                "cpuQuota": _total(row, "cpu"),
                "memoryQuota": _total(row, "memory"),
            },
            "createdAt": iso(row["createdAt"]),
            "updatedAt": iso(row["updatedAt"]),
            "createdBy": row["createdBy"],
            "updatedBy": row["updatedBy"],
            "effective": {
                "schedulingRules": row["schedulingRules"],
                "defaultNodePools": row["defaultNodePools"],
                "nodeTypes": row["nodeTypes"],
            },
            "overtimeData": {"range24hData": None, "range7dData": None, "range30dData": None},
        }
        if self.kind == "project":
            parent = emulator.store.departments.rows[row["parentId"]]
            view |= {
                "parentId": parent["id"],
                "parent": {"id": parent["id"], "name": parent["name"], "parent": None},
                "requestedNamespace": row["requestedNamespace"],
                "enforceRunaiScheduler": row["enforceRunaiScheduler"],
            }
            settled = phase != "Creating"
            view["status"]["namespace"] = row["requestedNamespace"] if settled else None
        else:
            children = emulator.store.projects.matching(parentId=row["id"])
            view["childrenCount"] = sum(1 for _ in children)
        return view

    # -- reading -------------------------------------------------------------------------------

    def _visible(self, emulator: Emulator, call: Call) -> list[Row]:
        call.require_anywhere()
        rows = self._table(emulator).listed(call.hidden_since)
        return [row for row in rows if self._may_see(call, row)]

    def list(self, emulator: Emulator, call: Call) -> Answer:
        found = select(call, self._visible(emulator, call), self._fields(emulator))
        rows, following = page(call, found)
        return 200, paged(self.plural, [self.view(emulator, row) for row in rows], following)

    def count(self, emulator: Emulator, call: Call) -> Answer:
        found = select(call, self._visible(emulator, call), self._fields(emulator))
        return 200, {"count": len(found)}

    def _one(self, emulator: Emulator, call: Call) -> Row:
        call.require_anywhere()
        row = self._table(emulator).get(call.param(self.parameter))
        if row is None:
            raise not_found(self.kind.capitalize())
        if self.kind == "department" and call.method == "GET":
            call.require_read("department", row["id"])
        else:
            call.require(self.kind, row["id"])
        return row

    def get(self, emulator: Emulator, call: Call) -> Answer:
        return 200, self.view(emulator, self._one(emulator, call))

    # -- writing -------------------------------------------------------------------------------

    def create(self, emulator: Emulator, call: Call) -> Answer:
        call.require_anywhere()
        body = call.object()
        cluster_id = body.text("clusterId")
        if emulator.store.clusters.get(cluster_id) is None:
            raise bad_request(f"Cluster not found: {cluster_id}.")
        name = body.text("name")
        if not _NAME.fullmatch(name) or len(name) > _MAX_NAME:
            raise bad_request(
                "Validation failed - name must hold lower-case letters, digits and hyphens, "
                f"at most {_MAX_NAME} characters."
            )
        fields: dict[str, Any] = {"name": name, "clusterId": cluster_id}
        if self.kind == "project":
            parent = self._parent(emulator, body, cluster_id)
            call.require("department", parent["id"])
            fields["parentId"] = parent["id"]
            namespace = body.text("requestedNamespace", None, high=63)
            fields["requestedNamespace"] = namespace or f"runai-{name}"
            fields["enforceRunaiScheduler"] = body.flag("enforceRunaiScheduler", True)
        else:
            call.require("cluster", cluster_id)
        fields |= _settings(emulator, body, cluster_id, True)
        if self._table(emulator).find(clusterId=cluster_id, name=name):
            raise conflict(f"{self.kind.capitalize()} with this name already exists: {name}")
        key = str(emulator.store.next_id(self.kind))
        row = new_unit(self.kind, key, fields, call.subject.label, emulator.clock.now())
        return 201, self.view(emulator, self._table(emulator).put(row))

    def _parent(self, emulator: Emulator, body: Body, cluster_id: str) -> Row:
        parent_id = body.text("parentId", None)
        if parent_id is None:
            parent = emulator.store.departments.find(clusterId=cluster_id, name="default")
        else:
            parent = emulator.store.departments.get(parent_id)
        if parent is None or parent["clusterId"] != cluster_id:
            raise bad_request(f"Department not found: {parent_id or 'default'}.")
        return parent

    def update(self, emulator: Emulator, call: Call) -> Answer:
        row = self._one(emulator, call)
        fields = _settings(emulator, call.object(), row["clusterId"], True)
        return 200, self.view(emulator, self._store(emulator, call, row, fields))

    def _store(self, emulator: Emulator, call: Call, row: Row, fields: dict[str, Any]) -> Row:
        row.update(fields, updatedBy=call.subject.label, updatedAt=emulator.clock.now())
        self._table(emulator).put(row)
        emulator.cluster.capacity_changed()
        return row

    def replace_resources(self, emulator: Emulator, call: Call) -> Answer:
        row = self._one(emulator, call)
        resources = _resources(emulator, call, row["clusterId"])
        self._store(emulator, call, row, {"resources": resources})
        return 200, resources

    def patch_resources(self, emulator: Emulator, call: Call) -> Answer:
        row = self._one(emulator, call)
        merged = {_pool_id(item): item for item in row["resources"]}
        for item in _resources(emulator, call, row["clusterId"], partial=True):
            current = merged.get(_pool_id(item), {})
            for name, value in item.items():
                both = isinstance(value, dict) and isinstance(current.get(name), dict)
                current[name] = current[name] | value if both else value
            merged[_pool_id(item)] = current
        self._store(emulator, call, row, {"resources": list(merged.values())})
        return 200, row["resources"]

    def delete(self, emulator: Emulator, call: Call) -> Answer:
        row = self._one(emulator, call)
        if self.kind == "department":
            if row["name"] == "default":
                raise bad_request("The default department cannot be deleted.")
            if emulator.store.projects.find(parentId=row["id"]):
                raise bad_request("The department still has projects; delete them first.")
        key = row["id"]
        withdraw_rules(
            emulator, lambda rule: rule["scopeType"] == self.kind and rule["scopeId"] == key
        )
        if self.kind == "project":
            emulator.cluster.delete_all(key)
        for asset in list(emulator.store.assets.matching(scope=self.kind, scopeId=key)):
            emulator.store.assets.delete(asset["id"])
        return (204, None) if self._table(emulator).delete_later(row) else (202, None)


# -- settings and quota ----------------------------------------------------------------------------


def _settings(emulator: Emulator, body: Body, cluster_id: str, required: bool) -> dict[str, Any]:
    rules = body.child("schedulingRules", None)
    node_types = body.child("nodeTypes", None)
    return {
        "description": body.text("description", "", low=0),
        "schedulingRules": None
        if rules is None
        else {name: rules.integer(name, None, low=1) for name in _SCHEDULING_RULES},
        "defaultNodePools": body.texts("defaultNodePools", None),
        "nodeTypes": {} if node_types is None else node_types.data,
        "resources": [
            _resource(emulator, item, cluster_id) for item in body.children("resources", [])
        ],
    }


def _resources(
    emulator: Emulator, call: Call, cluster_id: str, partial: bool = False
) -> list[dict[str, Any]]:
    items = call.json()
    if not isinstance(items, list):
        raise bad_request("Request body must be a JSON array.")
    return [
        _resource(emulator, Body(item, f"[{n}]"), cluster_id, partial)
        for n, item in enumerate(items)
    ]


def _resource(
    emulator: Emulator, body: Body, cluster_id: str, partial: bool = False
) -> dict[str, Any]:
    pool = body.child("nodePool", None)
    item: dict[str, Any] = {"nodePool": None}
    if pool is not None:
        row = emulator.store.node_pools.get(pool.text("id"))
        if row is None or row["clusterId"] != cluster_id:
            raise bad_request(f"Node pool not found: {pool.data['id']}.")
        item["nodePool"] = {"id": row["id"], "name": row["name"]}
    for kind in ("gpu", "cpu", "memory"):
        share = body.child(kind, None)
        if share is None:
            if not partial:
                # No word on CPU or memory means no quota for them, unlike for GPUs (inferred).
                deserved = 0.0 if kind == "gpu" else None
                empty = {"deserved": deserved, "limit": None, "overQuotaWeight": 2.0}
                item[kind] = empty | ({"units": "Mib"} if kind == "memory" else {})
            continue
        names = ("deserved", "limit", "overQuotaWeight")
        if partial:
            names = tuple(name for name in names if name in share.data)
        item[kind] = {name: share.number(name, None) for name in names}
        if kind == "gpu" and item[kind].get("deserved") is None and not partial:
            item[kind]["deserved"] = 0.0
        if kind == "memory":
            item[kind]["units"] = share.one_of("units", _MEMORY_UNITS, "Mib")
    if not partial or "priority" in body.data:
        item["priority"] = body.text("priority", None)
    return item


def _pool_id(item: dict[str, Any]) -> str | None:
    return item["nodePool"]["id"] if item.get("nodePool") else None


def _total(row: Row, kind: str) -> float:
    return float(sum((item.get(kind) or {}).get("deserved") or 0.0 for item in row["resources"]))


def _usage(emulator: Emulator, row: Row) -> dict[str, Any]:
    """Allocated and requested resources of a unit, in all and by node pool."""
    scheduler = emulator.cluster.scheduler
    waiting = emulator.cluster.queue.asked(row["kind"], row["id"])
    pools = []
    for item in row["resources"]:
        pool = item.get("nodePool")
        if pool is None:
            continue
        used = scheduler.used(row["kind"], row["id"], pool["name"])
        asked = waiting.get(pool["name"], [0.0] * 3)
        pools.append(
            {
                "nodePoolId": pool["id"],
                "nodePoolName": pool["name"],
                "allocated": _amounts(used[:3]),
                "allocatedNonPreemptible": _amounts(used[3:]),
                "requested": _amounts([a + b for a, b in zip(used[:3], asked, strict=True)]),
            }
        )
    totals = {
        name: {
            resource: sum(pool[name][resource] for pool in pools)
            for resource in ("gpu", "cpu", "memory")
        }
        for name in ("allocated", "allocatedNonPreemptible", "requested")
    }
    return {**totals, "pools": pools}


def _amounts(values: list[float]) -> dict[str, float]:
    """Rounded, since shares of GPUs are added and taken away many times."""
    return {
        name: round(value, 6) for name, value in zip(("gpu", "cpu", "memory"), values, strict=True)
    }


DEPARTMENTS = _Units("department", "departments", "departmentId")
PROJECTS = _Units("project", "projects", "projectId")
