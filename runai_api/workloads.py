"""Workloads of every kind: list, read, watch, and act on many at once."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from runai_api._family import Family
from runai_api._filters import checked
from runai_api._models import Many, Model, Timestamp
from runai_api._operation import Operation
from runai_api.errors import InvalidArgument

_ALL = "/api/v1/workloads"
_EACH = f"{_ALL}/{{id}}"
_IN_ITS_PROJECT = "the workload's project"

_LIST = Operation("workloads.list", "GET", _ALL, "workloads:read")
_COUNT = Operation("workloads.count", "GET", f"{_ALL}/count", "workloads:read")
_GET = Operation("workloads.get", "GET", _EACH, "workloads:read", scope=_IN_ITS_PROJECT)
_EVENTS = Operation(
    "workloads.events", "GET", f"{_EACH}/events", "workloads:read", scope=_IN_ITS_PROJECT
)
_HISTORY = Operation(
    "workloads.history", "GET", f"{_EACH}/history", "workloads:read", scope=_IN_ITS_PROJECT
)
_PODS = Operation("workloads.pods", "GET", f"{_EACH}/pods", "workloads:read", scope=_IN_ITS_PROJECT)
# Each item is judged by the rights on its own kind; refused ones come back under `failed`.
_BATCH = Operation("workloads.batch", "POST", f"{_ALL}/batch")


class PendingMessage(Model):
    """Why the scheduler keeps a workload waiting in one node pool."""

    node_pool: str | None = None
    phase_reason: str | None = None
    """NonPreemptibleOverQuota or OverLimit."""
    reason: str | None = None
    org_type: str | None = None
    user_message: str | None = None


class Condition(Model):
    type: str | None = None
    status: str | None = None
    reason: str | None = None
    message: str | None = None
    last_transition_time: Timestamp = None


class Workload(Model):
    """A workload of any kind. For the phases see `Phase`; newer servers may send others."""

    id: str
    name: str
    type: str
    phase: str
    project_id: str
    project_name: str | None = None
    department_id: str | None = None
    cluster_id: str | None = None
    namespace: str | None = None
    phase_message: str | None = None
    phase_reason: str | None = None
    phase_updated_at: Timestamp = None
    submitted_by: str | None = None
    source: str | None = None
    created_at: Timestamp = None
    updated_at: Timestamp = None
    completed_at: Timestamp = None
    deleted_at: Timestamp = None
    running_pods: int | None = None
    requested_node_pools: Many[str] = ()
    current_node_pools: Many[str] = ()
    conditions: Many[Condition] = ()
    pending_scheduling_messages: Many[PendingMessage] = ()
    """Filled by `get`, not by `list`."""
    images: Many[str] = ()
    urls: Many[str] = ()
    preemptible: bool | None = None
    priority_class_name: str | None = None
    distributed_framework: str | None = None
    total_pending_time_seconds: float | None = None
    total_running_time_seconds: float | None = None
    allocated_resources: dict[str, Any] | None = None


class InvolvedObject(Model):
    kind: str | None = None
    name: str | None = None
    namespace: str | None = None
    uid: str | None = None


class WorkloadEvent(Model):
    """A Kubernetes event; `type` is Normal or Warning."""

    created_at: Timestamp = None
    type: str | None = None
    reason: str | None = None
    message: str | None = None
    source: str | None = None
    involved_object: InvolvedObject | None = None


class HistoryMeta(Model):
    creation_timestamp: Timestamp = None
    type: str | None = None
    """Event or PhaseUpdate."""


class PhaseUpdate(Model):
    phase: str | None = None
    phase_message: str | None = None


class HistorySpec(Model):
    event: WorkloadEvent | None = None
    phase_update: PhaseUpdate | None = None


class HistoryRecord(Model):
    """One entry of a workload's life: an event or a change of phase."""

    meta: HistoryMeta
    spec: HistorySpec = HistorySpec()


class Container(Model):
    name: str | None = None
    image: str | None = None
    started_at: Timestamp = None


class Pod(Model):
    """One pod of a workload; `k8s_phase` is Kubernetes' own."""

    id: str
    name: str
    workload_id: str | None = None
    k8s_phase: str | None = Field(default=None, alias="k8sPhase")
    node_name: str | None = None
    current_node_pool: str | None = None
    created_at: Timestamp = None
    completed_at: Timestamp = None
    containers: Many[Container] = ()


class BatchFailure(Model):
    id: str
    code: int | None = None
    message: str | None = None


class BatchResult(Model):
    """What became of each workload of a batch; a batch as a whole does not fail."""

    succeeded: Many[str] = ()
    failed: Many[BatchFailure] = ()


class _Count(Model):
    count: int


class Workloads(Family):
    """``client.workloads``"""

    def list(
        self,
        filter_by: Sequence[str] = (),
        sort_by: str | None = None,
        search: str | None = None,
        deleted: bool = False,
        limit: int | None = None,
        *,
        descending: bool = False,
    ) -> builtins.list[Workload]:
        """Workloads that match every filter; with `deleted` the deleted ones and no others.

        Filters are FIELD OP VALUE, such as ``projectId==4500001``, ``type==Training`` or
        ``phaseUpdatedAt>=2026-01-01T00:00:00Z``; there is none for the id. `limit` bounds the
        whole result, None means all.
        """
        params = {
            "deleted": True if deleted else None,
            "sortBy": sort_by,
            "sortOrder": "desc" if descending else None,
            "search": search,
        }
        return self._list(
            _LIST, Workload, "workloads", params=params, filters=filter_by, limit=limit
        )

    def get(self, workload_id: str) -> Workload:
        return self._one(_GET, Workload, path={"id": workload_id})

    def count(
        self,
        filter_by: Sequence[str] = (),
        search: str | None = None,
        deleted: bool = False,
    ) -> int:
        params = {
            "deleted": True if deleted else None,
            "search": search,
            "filterBy": checked(filter_by),
        }
        return self._one(_COUNT, _Count, params=params).count

    def events(self, workload_id: str, limit: int | None = None) -> builtins.list[WorkloadEvent]:
        """Events, newest first."""
        path = {"id": workload_id}
        return self._list(_EVENTS, WorkloadEvent, "events", path=path, limit=limit)

    def history(self, workload_id: str, limit: int | None = None) -> builtins.list[HistoryRecord]:
        path = {"id": workload_id}
        return self._list(_HISTORY, HistoryRecord, "records", path=path, limit=limit)

    def pods(self, workload_id: str, deleted: bool = False) -> builtins.list[Pod]:
        params = {"deleted": True if deleted else None}
        return self._list(_PODS, Pod, "pods", path={"id": workload_id}, params=params)

    def batch(
        self, ids: Sequence[str], action: Literal["delete", "suspend", "resume"]
    ) -> BatchResult:
        """Delete, suspend or resume many in one request."""
        if isinstance(ids, str) or not ids:
            raise InvalidArgument("A batch needs a list of at least one workload id.")
        return self._one(_BATCH, BatchResult, body={"ids": list(ids), "action": action})
