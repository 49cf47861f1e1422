"""Indexes over workloads, so that a page costs what the page holds and not what the tenant holds.

Live workloads are kept in order of creation and in order of their last change of phase: all of
them, by project, by phase, and by both. Deleted ones are kept in order of creation only.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict

from .workload import Workload


def _by_seq(workload: Workload) -> int:
    return workload.seq


def _by_phase_at(workload: Workload) -> tuple[float, int]:
    return (workload.phase_at, workload.seq)


class Index:
    """All workloads. `None` as project or phase stands for all of them."""

    def __init__(self) -> None:
        self.by_id: dict[str, Workload] = {}
        self.deleted: list[Workload] = []
        self.created: dict[tuple[str | None, str | None], list[Workload]] = defaultdict(list)
        self.changed: dict[str | None, list[Workload]] = defaultdict(list)
        self._names: dict[tuple[str, str], str] = {}
        #: Grows with every change; cached query results compare it.
        self.generation = 0

    def _keys(self, workload: Workload) -> tuple[tuple[str | None, str | None], ...]:
        project, phase = workload.project_id, workload.phase
        return ((None, None), (project, None), (None, phase), (project, phase))

    def add(self, workload: Workload) -> None:
        self.generation += 1
        self.by_id[workload.id] = workload
        if workload.deleted_at is not None:
            insort(self.deleted, workload, key=_by_seq)
            return
        self._names[workload.project_id, workload.name] = workload.id
        for key in self._keys(workload):
            insort(self.created[key], workload, key=_by_seq)
        for project in (None, workload.project_id):
            insort(self.changed[project], workload, key=_by_phase_at)

    def named(self, project_id: str, name: str) -> Workload | None:
        key = self._names.get((project_id, name))
        return self.by_id[key] if key is not None else None

    def move(self, workload: Workload, phase: str, moment: float) -> None:
        """Give a live workload a new phase."""
        self.generation += 1
        for project in (None, workload.project_id):
            _remove(self.changed[project], workload, _by_phase_at)
        for key in ((None, workload.phase), (workload.project_id, workload.phase)):
            _remove(self.created[key], workload, _by_seq)
        workload.phase, workload.phase_at = phase, moment
        for project in (None, workload.project_id):
            insort(self.changed[project], workload, key=_by_phase_at)
        for key in ((None, phase), (workload.project_id, phase)):
            insort(self.created[key], workload, key=_by_seq)

    def bury(self, workload: Workload, moment: float) -> None:
        """Mark a workload as deleted."""
        self.generation += 1
        self._names.pop((workload.project_id, workload.name), None)
        for key in self._keys(workload):
            _remove(self.created[key], workload, _by_seq)
        for project in (None, workload.project_id):
            _remove(self.changed[project], workload, _by_phase_at)
        workload.deleted_at = workload.updated_at = moment
        insort(self.deleted, workload, key=_by_seq)

    def changed_since(
        self, project_id: str | None, low: float | None, high: float | None
    ) -> list[Workload]:
        """Workloads whose phase changed from `low` to `high`, both inclusive, oldest first."""
        rows = self.changed.get(project_id, [])
        begin = 0 if low is None else bisect_left(rows, low, key=lambda one: one.phase_at)
        end = len(rows) if high is None else bisect_right(rows, high, key=lambda one: one.phase_at)
        return rows[begin:end]


def _remove(rows: list[Workload], workload: Workload, key) -> None:
    position = bisect_left(rows, key(workload), key=key)
    if position >= len(rows) or rows[position] is not workload:
        raise RuntimeError(f"workload {workload.id} is missing from an index")
    del rows[position]
