"""Simulated workloads: they follow their script instead of running anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import script as scripts
from .kinds import TERMINAL
from .workload import Workload

if TYPE_CHECKING:
    from .engine import Cluster


class Simulation:
    """Carries out scripts. The caller holds the emulator's lock."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def head(self, workload: Workload, moment: float) -> None:
        """Steps before resources are asked for: Creating and Pending."""
        steps = scripts.parse(workload.script)
        if workload.script_at < len(steps):
            step = steps[workload.script_at]
            if step.name in ("Creating", "Pending"):
                workload.script_at += 1
                if workload.phase != step.name:
                    self._cluster.move(workload, step.name, moment)
                self._cluster.at(moment + step.seconds, workload, self.head)
                return
        self._cluster.enqueue(workload, moment)

    def step(self, workload: Workload, moment: float) -> None:
        """Steps after resources were given."""
        steps = scripts.parse(workload.script)
        while workload.script_at < len(steps):
            step = steps[workload.script_at]
            workload.script_at += 1
            if step.name in TERMINAL:
                message = step.reason or ("" if step.name == "Completed" else "Error")
                if step.name == "Failed":
                    self._explain(workload, moment, step.reason)
                self._cluster.finish(workload, step.name, moment, message)
                return
            if step.name == "Preempt":
                self._cluster.preempt(workload, moment, "by the scheduler")
                return
            if step.name == "Fail":
                code = 137 if step.reason == "OOMKilled" else 1
                pod = workload.pods[0]
                if self._cluster.count_failure(workload, moment, pod, code, step.reason):
                    return
                continue
            if step.name == "Running":
                self._mark_running(workload, moment)
            if workload.phase != step.name:
                self._cluster.move(workload, step.name, moment)
            self._cluster.at(moment + step.seconds, workload, self.step)
            return

    def _explain(self, workload: Workload, moment: float, reason: str | None) -> None:
        """The event and exit code that go with the end of a scripted failure."""
        for pod in workload.pods[:1]:
            pod.reason = reason or "Error"
            pod.exit_code = 137 if reason == "OOMKilled" else 1
            self._cluster.event(
                workload,
                moment,
                "oom" if reason == "OOMKilled" else "exited",
                str(pod.exit_code),
                pod,
            )

    def _mark_running(self, workload: Workload, moment: float) -> None:
        for pod in workload.pods:
            if pod.started_at is None:
                pod.started_at = moment
                pod.phase = "Running"
                self._cluster.event(workload, moment, "pulled", None, pod)
                self._cluster.event(workload, moment, "started", None, pod)

    def set_script(self, workload: Workload, script: str) -> None:
        """Give a simulated workload a new script from now on."""
        moment = self._cluster.now()
        workload.script, workload.script_at = script, 0
        workload.generation += 1
        if workload.id in self._cluster.scheduler.placed:
            self.step(workload, moment)
        elif workload.id not in self._cluster.queue.waiting:
            self.head(workload, moment)
        self._cluster.save(workload)
        self._cluster.settle()

    def rewind(self, workload: Workload) -> None:
        """Begin the run anew after a preemption, without the waiting at its head."""
        steps = scripts.parse(workload.script)
        if workload.script_at and steps[workload.script_at - 1].name == "Preempt":
            return
        head = 0
        while head < len(steps) and steps[head].name in ("Creating", "Pending"):
            head += 1
        workload.script_at = head
