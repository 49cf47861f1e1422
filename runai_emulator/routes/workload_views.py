"""Workloads of every kind: list, count, one, events, history, pods, and batch actions."""

from __future__ import annotations

import uuid
from typing import Any

from runai_emulator.clock import iso
from runai_emulator.cluster.kinds import KINDS
from runai_emulator.cluster.queries import FIELDS, Query, query_workloads
from runai_emulator.cluster.views import event_view, generic_view, pod_view
from runai_emulator.cluster.workload import Pod, Workload
from runai_emulator.emulator import Emulator
from runai_emulator.query import (
    Field,
    page,
    page_bounds,
    paged,
    parse_filters,
    select,
    sort_order,
)
from runai_emulator.wire import Answer, ApiError, Call, bad_request, forbidden, not_found, route

_BASE = "/api/v1/workloads"
_ACTIONS = {"delete": "delete", "suspend": "update", "resume": "update"}


def _visible_projects(emulator: Emulator, call: Call) -> set[str] | None:
    """Ids of the projects whose workloads the caller may see; None stands for all."""
    call.require_anywhere()
    granted = emulator.access.rights(call.subject).at(call.endpoint.needs)
    if not granted.isdisjoint({("tenant", "1"), ("system", "")}):
        return None
    return {
        row["id"] for row in emulator.store.projects.values() if call.permits("project", row["id"])
    }


def _query(emulator: Emulator, call: Call) -> Query:
    sort_by, descending = sort_order(call, FIELDS)
    return Query(
        projects=_visible_projects(emulator, call),
        deleted=call.flag("deleted"),
        conditions=tuple(parse_filters(call, FIELDS)),
        search=call.text("search"),
        sort_by=sort_by,
        descending=descending,
        hidden_since=call.hidden_since,
        key=call.raw_query,
    )


@route("GET", _BASE)
def list_workloads(emulator: Emulator, call: Call) -> Answer:
    offset, limit = page_bounds(call)
    found = query_workloads(emulator.cluster, _query(emulator, call))
    rows = found[offset : offset + limit]
    following = offset + limit if offset + limit < len(found) else None
    now = emulator.clock.now()
    return 200, paged("workloads", [generic_view(emulator, row, now) for row in rows], following)


@route("GET", f"{_BASE}/count")
def count_workloads(emulator: Emulator, call: Call) -> Answer:
    return 200, {"count": len(query_workloads(emulator.cluster, _query(emulator, call)))}


def _one(emulator: Emulator, call: Call) -> Workload:
    call.require_anywhere()
    workload = emulator.cluster.index.by_id.get(call.param("workloadId"))
    if workload is None or workload.deleted_at is not None:
        raise not_found("Workload")
    call.require("project", workload.project_id)
    return workload


@route("GET", f"{_BASE}/{{workloadId}}")
def get_workload(emulator: Emulator, call: Call) -> Answer:
    workload = _one(emulator, call)
    return 200, generic_view(emulator, workload, emulator.clock.now(), detailed=True)


@route("GET", f"{_BASE}/{{workloadId}}/events")
def events(emulator: Emulator, call: Call) -> Answer:
    workload = _one(emulator, call)
    order = call.text("sortOrder") or "desc"
    if order not in ("asc", "desc"):
        raise bad_request("sortOrder must be asc or desc.")
    numbered = list(enumerate(workload.events))
    if order == "desc":
        numbered.reverse()
    shown, following = page(call, numbered)
    views = [event_view(emulator, workload, number, event) for number, event in shown]
    return 200, paged("events", views, following)


@route("GET", f"{_BASE}/{{workloadId}}/history")
def history(emulator: Emulator, call: Call) -> Answer:
    """Changes of phase and events in one sequence, oldest first."""
    workload = _one(emulator, call)
    entries: list[tuple[float, int, dict[str, Any]]] = []
    for moment, phase, message in workload.history:
        update = {"phase": phase, "phaseMessage": message}
        entries.append((moment, 0, {"type": "PhaseUpdate", "phaseUpdate": update}))
    for number, event in enumerate(workload.events):
        view = event_view(emulator, workload, number, event)
        entries.append((event[0], 1, {"type": "Event", "event": view}))
    entries.sort(key=lambda entry: entry[:2])
    shown, following = page(call, entries)
    records = []
    for moment, _, record in shown:
        meta = {"creationTimestamp": iso(moment), "type": record.pop("type")}
        records.append({"meta": meta, "spec": record})
    return 200, paged("records", records, following)


@route("GET", f"{_BASE}/{{workloadId}}/pods")
def pods(emulator: Emulator, call: Call) -> Answer:
    workload = _one(emulator, call)
    found = [] if call.flag("deleted") else list(workload.pods)
    wanted = (call.text("search") or "").lower()
    found = [pod for pod in found if wanted in pod.name.lower()]
    shown, following = page(call, found)
    return 200, paged("pods", [pod_view(emulator, workload, pod) for pod in shown], following)


_Pair = tuple[Workload, Pod]


def _pod_fields(emulator: Emulator) -> dict[str, Field]:
    def cluster_id(pair: _Pair) -> str:
        project = emulator.store.projects.rows.get(pair[0].project_id)
        return project["clusterId"] if project else ""

    return {
        "name": Field("text", lambda pair: pair[1].name),
        "clusterId": Field("text", cluster_id),
        "workloadId": Field("text", lambda pair: pair[0].id),
        "revisionId": Field("text", lambda pair: None),
        "nodeName": Field("text", lambda pair: pair[1].node),
        "currentNodePool": Field("text", lambda pair: pair[1].pool),
        "createdAt": Field("date", lambda pair: pair[1].created_at),
        "completedAt": Field("date", lambda pair: pair[1].completed_at),
        "deletedAt": Field("date", lambda pair: None),
    }


def _all_pods(emulator: Emulator, call: Call) -> list[_Pair]:
    projects = _visible_projects(emulator, call)
    completed = call.text("completed") or "all"
    if completed not in ("true", "false", "all"):
        raise bad_request("completed must be true, false or all.")
    index = emulator.cluster.index
    pairs = [
        (workload, pod)
        for key in ([None] if projects is None else sorted(projects))
        for workload in index.created.get((key, None), ())
        for pod in workload.pods
        if completed == "all" or (pod.completed_at is not None) == (completed == "true")
    ]
    return select(call, pairs, _pod_fields(emulator))


@route("GET", f"{_BASE}/pods")
def list_pods(emulator: Emulator, call: Call) -> Answer:
    shown, following = page(call, _all_pods(emulator, call))
    views = [pod_view(emulator, workload, pod) for workload, pod in shown]
    return 200, paged("pods", views, following)


@route("GET", f"{_BASE}/pods/count")
def count_pods(emulator: Emulator, call: Call) -> Answer:
    return 200, {"count": len(_all_pods(emulator, call))}


@route("POST", f"{_BASE}/batch")
def batch(emulator: Emulator, call: Call) -> Answer:
    """One action on several workloads; each needs the right on its kind (inferred)."""
    body = call.object()
    ids = body.texts("ids")
    if not ids:
        raise bad_request("ids needs at least one entry.")
    action = body.one_of("action", tuple(_ACTIONS))
    succeeded, failed = [], []
    for key in ids:
        try:
            _act(emulator, call, key, action)
            succeeded.append(key)
        except ApiError as error:
            failed.append({"id": key, "code": error.status, "message": error.message})
    return 200, {"id": str(uuid.uuid4()), "succeeded": succeeded, "failed": failed}


def _act(emulator: Emulator, call: Call, key: str, action: str) -> None:
    workload = emulator.cluster.index.by_id.get(key)
    if workload is None or workload.deleted_at is not None:
        raise not_found("Workload")
    kind = KINDS[workload.kind]
    need = ((kind.resource, _ACTIONS[action]),)
    if not emulator.access.permits(call.subject, need, "project", workload.project_id):
        raise forbidden(f"{kind.resource}:{_ACTIONS[action]} at project {workload.project_id}")
    if action == "delete":
        emulator.cluster.delete(workload)
    elif not kind.stoppable:
        raise bad_request(f"{kind.label} workloads cannot be {action}ed.")
    elif action == "suspend":
        emulator.cluster.suspend(workload)
    else:
        emulator.cluster.resume(workload)
