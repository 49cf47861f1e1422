"""What credentials and data sources share: meta, scope, states, listing, use by workloads."""

from __future__ import annotations

import uuid
from typing import Any

from runai_emulator._constants import INT32_MAX, TENANT_ID
from runai_emulator.clock import iso
from runai_emulator.cluster.kinds import PHASES, TERMINAL
from runai_emulator.cluster.pods import secret_names
from runai_emulator.emulator import Emulator
from runai_emulator.store import Row
from runai_emulator.wire import (
    Answer,
    ApiError,
    Body,
    Call,
    accepted,
    bad_request,
    conflict,
    not_found,
)

SCOPES = ("tenant", "cluster", "department", "project")
#: Keys of data sources that refer to a credential.
REFERENCES = ("credentialAssetId", "accessKeyAssetId", "passwordAssetId")
_WORKLOAD_TYPES = ("inference", "workspace", "training", "distributed")


def parse_meta(emulator: Emulator, body: Body) -> dict[str, Any]:
    """Checked meta of a create body, with the scope as (scope, scopeId)."""
    meta = body.child("meta")
    scope = meta.one_of("scope", ("system", *SCOPES))
    fields: dict[str, Any] = {
        "name": meta.text("name", high=253),
        "description": meta.text("description", None, high=250),
        "scope": scope,
        "clusterId": meta.text("clusterId", None),
        "departmentId": meta.text("departmentId", None),
        "projectId": meta.integer("projectId", None, low=0, high=INT32_MAX),
        "autoDelete": meta.flag("autoDelete", False),
        "private": meta.flag("private", False),
    }
    types = meta.child("workloadSupportedTypes", None)
    fields["workloadSupportedTypes"] = (
        None if types is None else {name: types.flag(name, None) for name in _WORKLOAD_TYPES}
    )
    if scope == "system":
        raise ApiError(403, "You do not have sufficient permissions.")
    scope_id = str(TENANT_ID)
    if scope != "tenant":
        value = fields[f"{scope}Id"]
        if value is None:
            raise bad_request(f"Required parameter is missing: meta.{scope}Id.")
        scope_id = str(value)
    unit = emulator.access.scope_row(scope, scope_id)
    if unit is None:
        raise bad_request(f"{scope.capitalize()} not found: {scope_id}.")
    cluster = unit["id"] if scope == "cluster" else unit.get("clusterId")
    if fields["clusterId"] not in (None, cluster):
        raise bad_request("meta.clusterId is not the cluster of the scope.")
    fields |= {"scopeId": scope_id, "clusterId": cluster}
    if scope == "project":
        fields["departmentId"] = unit["parentId"]
    return fields


def create_asset(
    emulator: Emulator, call: Call, kind: str, prefix: str, meta: dict[str, Any], spec: Any
) -> Row:
    """Record an asset; its name is unique for its kind and scope (inferred)."""
    same = {"kind": kind, "scope": meta["scope"], "scopeId": meta["scopeId"], "name": meta["name"]}
    if emulator.store.assets.find(**same):
        raise conflict(f"Resource with this name already exists: {meta['name']}")
    now = emulator.clock.now()
    return emulator.store.assets.put(
        {
            "id": str(uuid.uuid4()),
            "kind": kind,
            **meta,
            "spec": spec,
            "kubernetesName": spec.get("existingSecretName") or f"{prefix}-{meta['name']}",
            "updateCount": 0,
            "createdBy": call.subject.label,
            "createdAt": now,
            "updatedBy": call.subject.label,
            "updatedAt": now,
            "deletingSince": None,
        }
    )


def asset_status(emulator: Emulator, asset: Row) -> str:
    if asset["deletingSince"] is not None:
        return "Deleting"
    if not emulator.settled(asset):
        return "Creating"
    if not emulator.settled(asset, "updatedAt"):
        return "Updating"
    # Documented: assets of tenant scope have no status of their own.
    return "No status" if asset["scope"] == "tenant" else "No issues found"


def asset_view(
    emulator: Emulator,
    asset: Row,
    spec: Any,
    status: bool = True,
    usage: bool = False,
    resource_kind: str = "Secret",
) -> dict[str, Any]:
    project = emulator.store.projects.rows.get(str(asset["projectId"]))
    meta = {
        "id": asset["id"],
        "name": asset["name"],
        "kind": asset["kind"],
        "scope": asset["scope"],
        "description": asset["description"],
        "clusterId": asset["clusterId"],
        "departmentId": asset["departmentId"],
        "projectId": asset["projectId"],
        "projectName": project["name"] if project else None,
        "tenantId": TENANT_ID,
        "autoDelete": asset["autoDelete"],
        "workloadSupportedTypes": asset["workloadSupportedTypes"],
        "createdBy": asset["createdBy"],
        "createdAt": iso(asset["createdAt"]),
        "updatedBy": asset["updatedBy"],
        "updatedAt": iso(asset["updatedAt"]),
        "updateCount": asset["updateCount"],
    }
    if emulator.version >= "2.24":
        meta["private"] = asset["private"]
    view: dict[str, Any] = {
        "meta": meta,
        "spec": spec,
        "compliance": {"imposed": False, "compliance": True, "reason": []},
    }
    if emulator.settled(asset):
        view["clusterInfo"] = {
            "resources": [{"name": asset["kubernetesName"], "kind": resource_kind}]
        }
    if status:
        view["status"] = {
            "status": asset_status(emulator, asset),
            "issues": [],
            "message": "",
        }
    if usage:
        view["usedBy"] = used_by(emulator, asset)
    return view


def used_by(emulator: Emulator, asset: Row) -> dict[str, Any]:
    """Where an asset is referred to: by live workloads, templates and other assets."""
    found: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("workspaces", "trainings", "distributed", "inferences", "templates")
    }
    name = asset["kubernetesName"]
    for phase in PHASES:
        if phase in TERMINAL:
            continue
        for workload in emulator.cluster.index.created.get((None, phase), ()):
            # A look at the text first: parsing every spec would be slow.
            if name.encode() in workload.spec_json and name in secret_names(workload.spec):
                found[workload.kind].append(
                    {"id": workload.id, "name": workload.name, "status": workload.phase}
                )
    for template in emulator.store.templates.values():
        if name in secret_names(template["spec"]):
            found["templates"].append({"id": template["id"], "name": template["name"]})
    referring = [
        row
        for row in emulator.store.assets.values()
        if asset["id"] in (row["spec"].get(key) for key in REFERENCES)
    ]
    return {
        **found,
        "assets": {
            "environments": [],
            "computes": [],
            "datasources": [
                {"id": row["id"], "name": row["name"], "kind": row["kind"]} for row in referring
            ],
        },
    }


def visible_assets(emulator: Emulator, call: Call, kinds: tuple[str, ...]) -> list[Row]:
    """Assets of the kinds that the query asks for and the caller may read.

    `scope` alone: exactly that level. An organisation unit without `scope`: what can be used
    there, its own and what it inherits from above (documented).
    """
    call.require_anywhere()
    name, scope = call.text("name"), call.text("scope")
    if scope is not None and scope not in ("system", *SCOPES):
        raise bad_request(f"Unknown scope: {scope}.")
    units = [
        (unit, call.text(f"{unit}Id"))
        for unit in ("project", "department", "cluster")
        if call.text(f"{unit}Id") is not None
    ]
    if any(unit == "project" for unit, _ in units):
        call.integer("projectId")
    rows = [
        row
        for row in emulator.store.assets.listed(call.hidden_since)
        if row["kind"] in kinds
        and (name is None or row["name"] == name)
        and (not row["private"] or row["createdBy"] == call.subject.label)
        and call.permits_read(row["scope"], row["scopeId"])
    ]
    if scope is not None:
        rows = [row for row in rows if row["scope"] == scope]
        return [row for row in rows if all(str(row[f"{unit}Id"]) == key for unit, key in units)]
    for unit, key in units:
        usable = set(emulator.access.above(unit, key))
        rows = [row for row in rows if (row["scope"], row["scopeId"]) in usable]
    return rows


def find_asset(emulator: Emulator, call: Call, kind: str) -> Row:
    """The asset of the path, after the check of the right on it."""
    call.require_anywhere()
    asset = emulator.store.assets.get(call.param("AssetId"))
    hidden = asset is not None and asset["private"] and asset["createdBy"] != call.subject.label
    if asset is None or asset["kind"] != kind or hidden:
        raise not_found("Asset")
    if call.method == "GET":
        call.require_read(asset["scope"], asset["scopeId"])
    else:
        call.require(asset["scope"], asset["scopeId"])
    return asset


def update_meta(emulator: Emulator, call: Call, asset: Row) -> Row:
    """Only description and name can be changed (documented: description; in the UI: name)."""
    meta = call.object().child("meta", None)
    if meta is not None:
        if "description" in meta.data:
            asset["description"] = meta.text("description", None, high=250)
        name = meta.text("name", None, high=253)
        if name is not None and name != asset["name"]:
            same = {key: asset[key] for key in ("kind", "scope", "scopeId")}
            if emulator.store.assets.find(name=name, **same):
                raise conflict(f"Resource with this name already exists: {name}")
            asset["name"] = name
    asset["updateCount"] += 1
    asset.update(updatedBy=call.subject.label, updatedAt=emulator.clock.now())
    return emulator.store.assets.put(asset)


def delete_asset(emulator: Emulator, asset: Row) -> Answer:
    used = used_by(emulator, asset)
    used |= used.pop("assets")
    users = [name for name, entries in used.items() if entries]
    if users:
        raise ApiError(412, f"Precondition failed: the asset is in use by {', '.join(users)}.")
    emulator.store.assets.delete_later(asset)
    return accepted()
