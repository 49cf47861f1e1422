"""Workload templates: a spec under a name, at a scope, for one kind of workload."""

from __future__ import annotations

import uuid
from typing import Any

from runai_emulator._constants import TENANT_ID
from runai_emulator.clock import iso
from runai_emulator.cluster.kinds import KINDS, Kind
from runai_emulator.cluster.spec import check_spec
from runai_emulator.emulator import Emulator
from runai_emulator.query import Field, date, flag, page_bounds, select, text
from runai_emulator.store import Row
from runai_emulator.wire import (
    Answer,
    Body,
    Call,
    bad_request,
    conflict,
    not_found,
    route,
)

from .workloads import merge_specs

_BASE = "/api/v1/workload-templates"
_SCOPES = ("tenant", "cluster", "department", "project")
_ONE = f"{_BASE}/{{templateId}}"


def _view(emulator: Emulator, row: Row) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "id": row["id"],
        "name": row["name"],
        "workloadType": KINDS[row["kind"]].type,
        "scopeType": row["scopeType"],
        "scopeId": row["scopeId"],
        "clusterId": row["clusterId"],
        "createdBy": row["createdBy"],
        "createdAt": iso(row["createdAt"]),
        "updatedBy": row["updatedBy"],
        "updatedAt": iso(row["updatedAt"]),
    }
    if row["description"] is not None:
        meta["description"] = row["description"]
    chain = dict(emulator.access.above(row["scopeType"], row["scopeId"]))
    if "department" in chain:
        meta["departmentId"] = chain["department"]
    if "project" in chain:
        meta["projectId"] = int(chain["project"])
    runnable = row["spec"].get("image") is not None
    return {
        "meta": meta,
        "spec": row["spec"],
        "combinedSpec": row["spec"],
        "runnable": {
            "isRunnable": runnable,
            "issue": None if runnable else "The template names no image.",
        },
    }


def _fields(emulator: Emulator) -> dict[str, Field]:
    def above(unit: str) -> Field:
        return Field(
            "text",
            lambda row: dict(emulator.access.above(row["scopeType"], row["scopeId"])).get(unit),
        )

    return {
        "name": text("name"),
        "workloadType": Field("text", lambda row: KINDS[row["kind"]].type),
        "runnable": Field("flag", lambda row: row["spec"].get("image") is not None),
        "scopeType": text("scopeType"),
        "clusterId": text("clusterId"),
        "projectId": above("project"),
        "departmentId": above("department"),
        "createdAt": date("createdAt"),
        "updatedAt": date("updatedAt"),
        "createdBy": text("createdBy"),
        "updatedBy": text("updatedBy"),
        "custom": flag("custom"),
    }


def _found(emulator: Emulator, call: Call, kind: str | None) -> list[Row]:
    call.require_anywhere()
    rows = [
        row
        for row in emulator.store.templates.listed(call.hidden_since)
        if (kind is None or row["kind"] == kind)
        and call.permits_read(row["scopeType"], row["scopeId"])
    ]
    project = call.integer("complyToProject")
    if project is not None:
        usable = set(emulator.access.above("project", str(project)))
        rows = [row for row in rows if (row["scopeType"], row["scopeId"]) in usable]
    return select(call, rows, _fields(emulator))


def _listed(emulator: Emulator, call: Call, kind: str | None) -> Answer:
    found = _found(emulator, call, kind)
    offset, limit = page_bounds(call)
    end = offset + limit
    return 200, {
        "entries": [_view(emulator, row) for row in found[offset:end]],
        "pagination": {
            "limit": limit,
            "offset": offset,
            "nextOffset": end if end < len(found) else None,
        },
    }


def _scope(emulator: Emulator, scope_type: str, scope_id: str | None) -> tuple[str, Row]:
    if scope_type == "tenant":
        scope_id = scope_id or str(TENANT_ID)
    if scope_id is None:
        raise bad_request("Required parameter is missing: scopeId.")
    unit = emulator.access.scope_row(scope_type, scope_id)
    if unit is None:
        raise bad_request(f"{scope_type.capitalize()} not found: {scope_id}.")
    return scope_id, unit


def _taken(emulator: Emulator, name: str, scope_type: str, scope_id: str) -> bool:
    return (
        emulator.store.templates.find(name=name, scopeType=scope_type, scopeId=scope_id) is not None
    )


@route("GET", _BASE)
def list_templates(emulator: Emulator, call: Call) -> Answer:
    return _listed(emulator, call, None)


@route("GET", f"{_BASE}/count")
def count_templates(emulator: Emulator, call: Call) -> Answer:
    return 200, {"count": len(_found(emulator, call, None))}


@route("GET", f"{_BASE}/name-availability")
def name_availability(emulator: Emulator, call: Call) -> Answer:
    """204: the name is free; 409: it is taken (documented)."""
    call.require_anywhere()
    name, scope_type = call.text("templateName"), call.text("scopeType")
    if name is None or scope_type not in _SCOPES:
        raise bad_request("templateName and scopeType are required.")
    scope_id, _ = _scope(emulator, scope_type, call.text("scopeId"))
    if _taken(emulator, name, scope_type, scope_id):
        raise conflict(f"Template with this name already exists: {name}")
    return 204, None


def _one(emulator: Emulator, call: Call, kind: str | None) -> Row:
    call.require_anywhere()
    row = emulator.store.templates.get(call.param("templateId"))
    if row is None or kind not in (None, row["kind"]):
        raise not_found("Workload template")
    if call.method == "GET":
        call.require_read(row["scopeType"], row["scopeId"])
    else:
        call.require(row["scopeType"], row["scopeId"])
    return row


@route("GET", _ONE)
def get_template(emulator: Emulator, call: Call) -> Answer:
    return 200, _view(emulator, _one(emulator, call, None))


class _Templates:
    """The endpoints of one kind."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind.path
        path = f"{_BASE}/{kind.path}"
        one = f"{path}/{{templateId}}"
        route("GET", path)(self.list)
        route("POST", path)(self.create)
        route("GET", one)(self.get)
        route("DELETE", one)(self.delete)
        if kind.stoppable:
            # Inference templates cannot be changed (documented: no PUT, no PATCH).
            route("PUT", one)(self.replace)
            route("PATCH", one)(self.patch)

    def list(self, emulator: Emulator, call: Call) -> Answer:
        return _listed(emulator, call, self.kind)

    def get(self, emulator: Emulator, call: Call) -> Answer:
        return 200, _view(emulator, _one(emulator, call, self.kind))

    def create(self, emulator: Emulator, call: Call) -> Answer:
        call.require_anywhere()
        body = call.object()
        meta = body.child("meta")
        scope_type = meta.one_of("scopeType", _SCOPES)
        scope_id, unit = _scope(emulator, scope_type, meta.text("scopeId", None))
        call.require(scope_type, scope_id)
        name = meta.text("name", high=253)
        spec = self._spec(body)
        if _taken(emulator, name, scope_type, scope_id):
            raise conflict(f"Template with this name already exists: {name}")
        now = emulator.clock.now()
        row = emulator.store.templates.put(
            {
                "id": str(uuid.uuid4()),
                "kind": self.kind,
                "name": name,
                "description": meta.text("description", None, high=250),
                "scopeType": scope_type,
                "scopeId": scope_id,
                "clusterId": unit["id"] if scope_type == "cluster" else unit.get("clusterId"),
                "spec": spec,
                "createdBy": call.subject.label,
                "createdAt": now,
                "updatedBy": call.subject.label,
                "updatedAt": now,
                "deletingSince": None,
            }
        )
        return 202, _view(emulator, row)

    def _spec(self, body: Body) -> dict[str, Any]:
        spec = body.get("spec", dict, None) or {}
        check_spec(spec, self.kind)
        return spec

    def _change(self, emulator: Emulator, call: Call, merge: bool) -> Answer:
        row = _one(emulator, call, self.kind)
        body = call.object()
        spec = self._spec(body)
        meta = body.child("meta", None)
        changes: dict[str, Any] = {"spec": merge_specs(row["spec"], spec) if merge else spec}
        if meta is not None:
            name = meta.text("name", row["name"], high=253)
            if name != row["name"] and _taken(emulator, name, row["scopeType"], row["scopeId"]):
                raise conflict(f"Template with this name already exists: {name}")
            changes["name"] = name
            if "description" in meta.data:
                changes["description"] = meta.text("description", None, high=250)
        row.update(changes, updatedBy=call.subject.label, updatedAt=emulator.clock.now())
        return 200, _view(emulator, emulator.store.templates.put(row))

    def replace(self, emulator: Emulator, call: Call) -> Answer:
        return self._change(emulator, call, merge=False)

    def patch(self, emulator: Emulator, call: Call) -> Answer:
        return self._change(emulator, call, merge=True)

    def delete(self, emulator: Emulator, call: Call) -> Answer:
        emulator.store.templates.delete(_one(emulator, call, self.kind)["id"])
        return 204, None


FAMILIES = {path: _Templates(kind) for path, kind in KINDS.items()}
