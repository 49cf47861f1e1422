"""Lists of workloads: choose the index that answers a query, filter the rest, remember results."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runai_emulator.query import Condition, Field, sort_key

from .kinds import KINDS
from .views import allocated_gpus, pending_seconds, running_seconds
from .workload import Workload

if TYPE_CHECKING:
    from .engine import Cluster

#: Results kept for paging through them; each is a list of references.
_CACHED_RESULTS = 8


@dataclass(frozen=True, slots=True)
class Query:
    """One list request. projects: ids that may be seen, None for all."""

    projects: set[str] | None
    deleted: bool
    conditions: tuple[Condition, ...]
    search: str | None
    sort_by: str | None
    descending: bool
    hidden_since: float | None
    key: str


#: Set for the time of one query: the cluster whose rows the field getters read.
_current: list[Cluster] = []


def _unit(table: str, id_of: Callable[[Workload], str], name: str) -> Callable[[Workload], Any]:
    def get(workload: Workload) -> Any:
        row = _current[0].unit(table, id_of(workload))
        return row[name] if row else None

    return get


def _text(get: Callable[[Workload], Any]) -> Field:
    return Field("text", get)


FIELDS: dict[str, Field] = {
    "type": _text(lambda one: KINDS[one.kind].type),
    "name": _text(lambda one: one.name),
    "clusterId": _text(_unit("projects", lambda one: one.project_id, "clusterId")),
    "projectId": _text(lambda one: one.project_id),
    "projectName": _text(_unit("projects", lambda one: one.project_id, "name")),
    "departmentId": _text(lambda one: one.department_id),
    "departmentName": _text(_unit("departments", lambda one: one.department_id, "name")),
    "createdAt": Field("date", lambda one: one.created_at),
    "deletedAt": Field("date", lambda one: one.deleted_at),
    "submittedBy": _text(lambda one: one.created_by),
    "phase": _text(lambda one: one.phase),
    "completedAt": Field("date", lambda one: one.completed_at),
    "nodepool": _text(lambda one: one.pool),
    "distributedFramework": _text(
        lambda one: one.spec.get("distributedFramework") if one.kind == "distributed" else None
    ),
    "allocatedGPU": Field("number", allocated_gpus),
    "idleGpus": Field("number", lambda one: 0.0),
    "idleAllocatedGpus": Field("number", lambda one: 0.0),
    "phaseUpdatedAt": Field("date", lambda one: one.phase_at),
    "category": _text(lambda one: one.category),
    "priority": Field("number", lambda one: float(one.priority)),
    "totalPendingTimeSeconds": Field(
        "number", lambda one: float(pending_seconds(one, _current[0].now()))
    ),
    "totalRunningTimeSeconds": Field(
        "number", lambda one: float(running_seconds(one, _current[0].now()))
    ),
    "priorityClassName": _text(lambda one: one.priority_class),
    "guaranteedRuntimeEndsAt": Field("date", lambda one: None),
    "aiApplicationId": _text(lambda one: None),
    "aiApplicationName": _text(lambda one: None),
}


def query_workloads(cluster: Cluster, query: Query) -> list[Workload]:
    """All workloads that a query asks for, in its order. The list must not be changed."""
    cache: OrderedDict[tuple, tuple[int, list[Workload]]] = cluster.results
    projects = None if query.projects is None else frozenset(query.projects)
    stripped = "&".join(
        part for part in query.key.split("&") if not part.startswith(("offset=", "limit="))
    )
    key = (projects, stripped)
    volatile = query.hidden_since is not None or any(
        name in stripped for name in ("TimeSeconds", "allocatedGPU")
    )
    hit = cache.get(key)
    if hit is not None and hit[0] == cluster.index.generation and not volatile:
        cache.move_to_end(key)
        return hit[1]
    _current[:] = [cluster]
    found = _find(cluster, query)
    if not volatile:
        cache[key] = (cluster.index.generation, found)
        if len(cache) > _CACHED_RESULTS:
            cache.popitem(last=False)
    return found


def _find(cluster: Cluster, query: Query) -> list[Workload]:
    project, phase, low, high, rest = _plan(query)
    index = cluster.index
    ordered_by = "createdAt"
    if query.deleted:
        rows = index.deleted
        rest = list(query.conditions)
    elif low is not None or high is not None:
        rows = index.changed_since(project, low, high)
        ordered_by = "phaseUpdatedAt"
        if phase is not None:
            rows = [one for one in rows if one.phase == phase]
    elif query.sort_by == "phaseUpdatedAt" and phase is None:
        rows = index.changed.get(project, [])
        ordered_by = "phaseUpdatedAt"
    else:
        rows = index.created.get((project, phase), [])
    if query.projects is not None and (project is None or query.deleted):
        rows = [one for one in rows if one.project_id in query.projects]
    elif project is not None and query.projects is not None and project not in query.projects:
        rows = []
    if rest:
        rows = [one for one in rows if all(condition.holds(one) for condition in rest)]
    if query.search:
        needle = query.search.lower()
        rows = [one for one in rows if needle in one.name.lower()]
    if query.hidden_since is not None:
        rows = [one for one in rows if one.created_at <= query.hidden_since]
    wanted = query.sort_by
    if wanted not in (None, ordered_by) or (wanted is not None and query.deleted):
        rows = sorted(rows, key=sort_key(FIELDS[wanted]))
    if query.descending:
        return rows[::-1]
    # Index lists change in place; what is handed out and remembered must not.
    return list(rows)


def _plan(
    query: Query,
) -> tuple[str | None, str | None, float | None, float | None, list[Condition]]:
    """Split conditions into those that indexes answer and the rest."""
    project: str | None = None
    phase: str | None = None
    low: float | None = None
    high: float | None = None
    rest: list[Condition] = []
    for condition in query.conditions:
        name, operator, value = condition.name, condition.operator, condition.value
        if name == "projectId" and operator == "==" and project is None:
            project = value
        elif name == "phase" and operator == "==" and phase is None:
            phase = value
        elif name == "phaseUpdatedAt" and operator == ">=":
            low = value if low is None else max(low, value)
        elif name == "phaseUpdatedAt" and operator == "<=":
            high = value if high is None else min(high, value)
        else:
            rest.append(condition)
    if project is None and query.projects is not None and len(query.projects) == 1:
        project = next(iter(query.projects))
    return project, phase, low, high, rest
