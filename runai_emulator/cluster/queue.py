"""The queue of workloads that wait for resources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .scheduler import Refusal
from .workload import Workload

if TYPE_CHECKING:
    from .engine import Cluster


class Queue:
    """Workloads that wait, and the passes over them. The caller holds the emulator's lock."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.waiting: dict[str, Workload] = {}
        #: Whether something changed that may let a waiting workload in.
        self.dirty = False

    def add(self, workload: Workload) -> None:
        self.waiting[workload.id] = workload
        self.dirty = True

    def discard(self, workload: Workload) -> None:
        self.waiting.pop(workload.id, None)

    def run(self, moment: float) -> None:
        """Try to place what waits: higher priorities first, then the older."""
        self.dirty = False
        again = True
        while again and self.waiting:
            again = False
            refused: dict[tuple, list[Refusal]] = {}
            for workload in sorted(self.waiting.values(), key=self._rank):
                shape = (
                    workload.project_id,
                    workload.pools,
                    workload.demands,
                    workload.preemptible,
                    workload.priority,
                )
                if shape in refused:
                    self._wait(workload, moment, refused[shape])
                    continue
                victims, refusals = self._cluster.scheduler.schedule(workload)
                if refusals:
                    refused[shape] = refusals
                    self._wait(workload, moment, refusals)
                    continue
                del self.waiting[workload.id]
                for victim in victims:
                    self._cluster.preempt(
                        victim,
                        moment,
                        f"by workload {workload.name} of project {self._project_name(workload)}",
                    )
                self._cluster.placed(workload, moment)
                # What was displaced may fit elsewhere.
                again = again or bool(victims)
        self.dirty = False

    def _rank(self, workload: Workload) -> tuple[bool, int, int]:
        """Projects within their quota first, then higher priorities, then the older."""
        return (self._cluster.scheduler.over_quota(workload), -workload.priority, workload.seq)

    def _project_name(self, workload: Workload) -> str:
        row = self._cluster.emulator.store.projects.rows.get(workload.project_id)
        return row["name"] if row else workload.project_id

    def _wait(self, workload: Workload, moment: float, refusals: list[Refusal]) -> None:
        message = " ".join(refusal.message for refusal in refusals)
        reason = next((one.reason for one in refusals if one.reason), None)
        if workload.phase == "Pending" and workload.reason == reason and workload.pending_messages:
            same = [one.reason for one in workload.pending_messages] == [
                one.reason for one in refusals
            ]
            if same:
                return
        if workload.phase == "Pending":
            workload.message, workload.reason = message, reason
            workload.updated_at = moment
        else:
            self._cluster.move(workload, "Pending", moment, message, reason)
        workload.pending_messages = tuple(refusals)
        self._cluster.event(workload, moment, "unschedulable", message)
        self._cluster.save(workload)

    def asked(self, kind: str, key: str) -> dict[str, list[float]]:
        """GPUs, CPU and memory that queued workloads of a unit ask for, by preferred pool."""
        found: dict[str, list[float]] = {}
        for workload in self.waiting.values():
            if key != (workload.project_id if kind == "project" else workload.department_id):
                continue
            sums = found.setdefault(workload.pools[0], [0.0] * 3)
            for number, amount in enumerate(
                self._cluster.scheduler.wanted(workload, workload.pools[0])
            ):
                sums[number] += amount
        return found
