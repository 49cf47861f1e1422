"""What reaches into running workloads from outside: provoked accidents, updates, a restart."""

from __future__ import annotations

from typing import Any

from .engine import AUTO_DELETION_SECONDS, Cluster
from .kinds import ACTIVE, TERMINAL
from .workload import Workload

#: Accidents that the admin route can bring about.
ACCIDENTS = (
    "oom",
    "fail",
    "preempt",
    "evict",
    "node-failure",
    "image-pull-failure",
    "unknown",
    "recover",
)
_DISPLACING = {"preempt": "preempted", "evict": "evicted", "node-failure": "node-lost"}


def provoke(cluster: Cluster, workload: Workload, what: str) -> bool:
    """Make something happen to a running workload; False when its phase does not allow it."""
    moment = cluster.now()
    if workload.phase not in ACTIVE or not workload.pods:
        return False
    if what in _DISPLACING:
        cluster.preempt(workload, moment, "by the scheduler", _DISPLACING[what])
    elif what == "image-pull-failure":
        if workload.phase != "Initializing":
            return False
        cluster.fail_pull(workload, moment, "manifest unknown")
    elif what in ("oom", "fail"):
        reason = "OOMKilled" if what == "oom" else None
        if workload.script is not None:
            code = 137 if what == "oom" else 1
            cluster.count_failure(workload, moment, workload.pods[0], code, reason)
        elif workload.phase == "Initializing":
            return False
        else:
            cluster.processes.fail(workload, reason)
    else:
        _show(cluster, workload, "Unknown" if what == "unknown" else "Running", moment)
    cluster.settle()
    return True


def _show(cluster: Cluster, workload: Workload, phase: str, moment: float) -> None:
    """Change the phase that is reported, without touching what runs."""
    generation = workload.generation
    cluster.move(workload, phase, moment)
    workload.generation = generation
    cluster.save(workload)


def roll_out(cluster: Cluster, workload: Workload, bodies: dict[str, Any], encoded: bytes) -> None:
    """An inference got a new spec."""
    moment = cluster.now()
    workload.spec_json = encoded
    cluster.apply_spec(workload, bodies)
    workload.updated_at = moment
    if workload.phase in ("Running", "Degraded", "Failed"):
        cluster.scheduler.release(workload)
        cluster.move(workload, "Updating", moment)
        workload.pods = []
        workload.failures = 0
        workload.completed_at = None
        cluster.processes.kill(workload, moment, 0)
        cluster.at(moment + cluster.delay, workload, cluster.admit)
    cluster.save(workload)
    cluster.settle()


def restore(cluster: Cluster) -> None:
    """Read saved workloads. What was running has lost its processes and runs again."""
    now = cluster.now()
    for body in cluster.emulator.store.stored("workload"):
        workload = Workload.load(body)
        cluster.sequence = max(cluster.sequence, workload.seq)
        cluster.index.add(workload)
        if workload.deleted_at is None:
            _resume(cluster, workload, now)


def _resume(cluster: Cluster, workload: Workload, now: float) -> None:
    phase = workload.phase
    if phase == "Stopped":
        return
    if phase in TERMINAL:
        keep = workload.spec.get("autoDeletionTimeAfterCompletionSeconds")
        seconds = AUTO_DELETION_SECONDS if keep is None else keep
        cluster.at((workload.completed_at or now) + seconds, workload, cluster.expired)
    elif phase == "Stopping":
        cluster.at(now, workload, cluster.stopped)
    elif phase == "Deleting":
        cluster.at(now, workload, cluster.gone)
    else:
        if phase not in ("Creating", "Resuming", "Pending"):
            cluster.end_pods(workload, now)
            cluster.move(workload, "Pending", now, "The cluster was restarted")
        if workload.script is None:
            cluster.start_driving()
        cluster.at(now, workload, cluster.admit)
