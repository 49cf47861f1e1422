"""The life of workloads: every change of phase, and what makes it happen.

    Creating -> Pending? -> Initializing -> Running -> Completed | Failed
    suspend: -> Stopping -> Stopped; resume: -> Resuming -> Pending? -> Initializing -> ...
    delete:  -> Deleting -> gone from lists (shown with deleted=true)
    preemption: Running -> Pending

The machine is driven by a timeline of due entries. Before every request what is due is carried
out in order, each entry at its own moment, so simulated workloads need no timers. Workloads that
run as processes are also driven by a thread, since nobody may be asking.
"""

from __future__ import annotations

import heapq
import logging
import random
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runai_emulator._constants import DEFAULT_SCRIPT

from . import script as scripts
from .index import Index
from .kinds import ACTIVE, KINDS, PRIORITIES, TERMINAL
from .pods import demands_of, make_pods
from .processes import Processes
from .queue import Queue
from .scheduler import Scheduler
from .simulation import Simulation
from .spec import preemptible
from .workload import Pod, Workload

if TYPE_CHECKING:
    from runai_emulator.emulator import Emulator

LOG = logging.getLogger("runai_emulator")

#: Documented defaults: six retries, thirty days until an ended workload is deleted.
BACKOFF_LIMIT = 6
AUTO_DELETION_SECONDS = 30 * 86_400
#: A serving pod that keeps failing is reported as Failed after so many restarts (inferred).
SERVING_FAILURES = 6
#: Kubernetes' own default grace period.
GRACE_SECONDS = 30
_QUEUED = ("Creating", "Pending", "Initializing", "Resuming")

_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_ALWAYS = -1


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """How workloads are run.

    executor: "simulate" or "process"; script: what a simulated workload does by default;
    allow_env: names of the emulator's variables that processes inherit;
    work_dir: where processes live; None is a temporary folder that is removed at the end.
    """

    executor: str = "simulate"
    script: str = DEFAULT_SCRIPT
    allow_env: tuple[str, ...] = ()
    work_dir: Path | None = None

    def __post_init__(self) -> None:
        if self.executor not in ("simulate", "process"):
            raise ValueError(f"executor must be simulate or process, not {self.executor!r}")
        scripts.parse(self.script)


class Cluster:
    """All workloads of the emulator. The caller holds the emulator's lock."""

    def __init__(self, emulator: Emulator, settings: ClusterSettings) -> None:
        self.emulator = emulator
        self.settings = settings
        self.index = Index()
        self.scheduler = Scheduler(emulator.store)
        self.timeline: list[tuple[float, int, str, int, Callable[..., None], Any]] = []
        self._entries = 0
        self.sequence = 0
        self.queue = Queue(self)
        self.simulation = Simulation(self)
        self.processes = Processes(self)
        self._settling = False
        #: Wakes the thread that drives processes; None while there is no such thread.
        self._wake: threading.Condition | None = None
        self.closed = False
        #: Results of recent queries, see `queries`.
        self.results: OrderedDict = OrderedDict()

    def now(self) -> float:
        return self.emulator.clock.now()

    def unit(self, table: str, key: str) -> dict[str, Any] | None:
        return self.emulator.store.tables[table].rows.get(key)

    # -- timeline ------------------------------------------------------------------------------

    def at(
        self,
        moment: float,
        workload: Workload,
        action: Callable[..., None],
        argument: Any = None,
        always: bool = False,
    ) -> None:
        """Do something later, unless the workload changes its phase before (or `always`)."""
        self._entries += 1
        generation = _ALWAYS if always else workload.generation
        entry = (moment, self._entries, workload.id, generation, action, argument)
        heapq.heappush(self.timeline, entry)
        if self._wake is not None:
            self._wake.notify()

    def settle(self) -> None:
        """Carry out everything that is due by now."""
        if self._settling:
            return
        self._settling = True
        try:
            self._settle(self.now())
        finally:
            self._settling = False

    def _settle(self, now: float) -> None:
        timeline = self.timeline
        while timeline and timeline[0][0] <= now:
            moment, _, key, generation, action, argument = heapq.heappop(timeline)
            workload = self.index.by_id.get(key)
            if workload is None or generation not in (_ALWAYS, workload.generation):
                continue
            action(workload, moment, *(() if argument is None else (argument,)))
            if self.queue.dirty and not (timeline and timeline[0][0] == moment):
                self.queue.run(moment)
        if self.queue.dirty:
            self.queue.run(now)

    def capacity_changed(self) -> None:
        """Nodes or quota changed: look at the queue again."""
        self.scheduler.reload()
        homeless = [
            workload
            for phase in ACTIVE
            for workload in self.index.created.get((None, phase), ())
            if workload.id not in self.scheduler.placed
        ]
        for workload in homeless:
            self.preempt(workload, self.now(), "its node is gone", "node-lost")
        self.queue.dirty = True
        self.settle()

    def start_driving(self) -> None:
        """Start the thread that keeps processes going while nobody asks."""
        if self._wake is None:
            self._wake = threading.Condition(self.emulator.lock)
            threading.Thread(target=self._drive, name="cluster", daemon=True).start()

    def _drive(self) -> None:
        wake = self._wake
        with wake:
            while not self.closed:
                try:
                    self.settle()
                    self.emulator.store.commit()
                except Exception:
                    LOG.exception("the cluster thread failed")
                pause = None
                if self.timeline:
                    pause = max(0.001, self.timeline[0][0] - self.now())
                wake.wait(pause)

    def nudge(self) -> None:
        """The clock was moved."""
        self.settle()
        if self._wake is not None:
            self._wake.notify()

    # -- recording -----------------------------------------------------------------------------

    def event(
        self,
        workload: Workload,
        moment: float,
        code: str,
        arg: str | None = None,
        pod: Pod | None = None,
    ) -> None:
        workload.events.append((moment, code, arg, pod.name if pod else None))

    def save(self, workload: Workload) -> None:
        if self.emulator.store.persistent:
            self.emulator.store.write("workload", workload.id, workload.dump())

    def move(
        self,
        workload: Workload,
        phase: str,
        moment: float,
        message: str = "",
        reason: str | None = None,
    ) -> None:
        before = workload.phase
        if before in _QUEUED:
            if workload.pending_since is not None:
                workload.pending_total += moment - workload.pending_since
                workload.pending_since = None
        elif workload.running_since is not None:
            workload.running_total += moment - workload.running_since
            workload.running_since = None
        if phase in _QUEUED:
            workload.pending_since = moment
        elif phase in ("Running", "Degraded", "Updating", "Unknown"):
            workload.running_since = moment
        workload.generation += 1
        workload.message = message
        workload.reason = reason
        workload.updated_at = moment
        workload.history.append((moment, phase, message))
        if phase != "Pending":
            workload.pending_messages = ()
        self.index.move(workload, phase, moment)
        self.save(workload)

    # -- creation ------------------------------------------------------------------------------

    def create(
        self, kind: str, name: str, fields: dict[str, Any], bodies: dict[str, Any], encoded: bytes
    ) -> Workload:
        """Record a checked workload and start its life."""
        now = self.now()
        self.sequence += 1
        workload = Workload(self.sequence, str(uuid.uuid4()), kind, name, now)
        for key, value in fields.items():
            setattr(workload, key, value)
        workload.spec_json = encoded
        self.apply_spec(workload, bodies)
        workload.history.append((now, "Creating", ""))
        self.event(workload, now, "created")
        self.index.add(workload)
        self.save(workload)
        self.at(now + self.delay, workload, self.admit)
        if workload.script is None:
            self.start_driving()
        self.settle()
        return workload

    def apply_spec(self, workload: Workload, bodies: dict[str, Any]) -> None:
        """What scheduling and execution need to know of the spec."""
        spec = bodies.get("spec") or {}
        kind = KINDS[workload.kind]
        project = self.emulator.store.projects.rows[workload.project_id]
        workload.priority_class = spec.get("priorityClass") or kind.default_priority
        workload.priority = PRIORITIES[workload.priority_class]
        workload.preemptible = preemptible(spec, workload.priority_class)
        workload.category = spec.get("category") or kind.category
        pools = spec.get("nodePools") or project["defaultNodePools"] or ["default"]
        workload.pools = tuple(pools)
        workload.demands = demands_of(workload.kind, bodies)
        default = self.settings.script if self.settings.executor == "simulate" else None
        if workload.kind in ("inferences", "workspaces") and default == DEFAULT_SCRIPT:
            # What serves or waits for a person does not end by itself.
            default = "Running=0"
        workload.script = scripts.script_of(spec, default)
        if workload.kind == "inferences":
            port = (spec.get("servingPort") or {}).get("container")
            workload.url = f"http://127.0.0.1:{port}"

    def free_name(self, project_id: str, prefix: str) -> str:
        """The prefix with a random suffix that is free in the project."""
        while True:
            suffix = "".join(random.choices(_SUFFIX_ALPHABET, k=5))  # noqa: S311 - not a secret
            if self.index.named(project_id, f"{prefix}-{suffix}") is None:
                return f"{prefix}-{suffix}"

    @property
    def delay(self) -> float:
        return self.emulator.store.async_delay

    def admit(self, workload: Workload, moment: float) -> None:
        """The cluster has taken note of the workload: run its script's head, then queue it."""
        workload.script_at = 0
        if workload.script is not None:
            self.simulation.head(workload, moment)
        else:
            self.enqueue(workload, moment)

    def enqueue(self, workload: Workload, moment: float) -> None:
        self.queue.add(workload)

    # -- what was placed -----------------------------------------------------------------------

    def placed(self, workload: Workload, moment: float) -> None:
        self.move(workload, "Initializing", moment)
        make_pods(workload, moment)
        for pod in workload.pods:
            self.event(workload, moment, "scheduled", pod.node, pod)
            self.event(workload, moment, "pulling", None, pod)
        image = (workload.spec.get("image") or "").split("/")[0].split(":")[0]
        if image.endswith(".invalid"):
            # The top-level domain that never resolves stands for an image that cannot be had.
            self.fail_pull(workload, moment, f"dial tcp: lookup {image}: no such host")
        elif workload.script is not None:
            steps = scripts.parse(workload.script)[workload.script_at :]
            if steps and steps[0].name == "Initializing":
                self.simulation.step(workload, moment)
            else:
                self.at(moment + self.delay, workload, self.simulation.step)
        else:
            self.at(moment + self.delay, workload, self.processes.launch)

    def fail_pull(self, workload: Workload, moment: float, why: str) -> None:
        for pod in workload.pods:
            pod.reason = "ImagePullBackOff"
            self.event(workload, moment, "pull-failed", why, pod)
            self.event(workload, moment, "pull-error", None, pod)
            self.event(workload, moment, "pull-backoff", None, pod)
        workload.generation += 1
        workload.message = f"ImagePullBackOff: {why}"
        workload.updated_at = moment
        self.save(workload)

    def count_failure(
        self, workload: Workload, moment: float, pod: Pod, code: int, reason: str | None
    ) -> bool:
        """Count a failed run of a pod; True when it was one too many and the workload failed."""
        pod.exit_code = code
        pod.reason = reason or "Error"
        workload.failures += 1
        self.event(workload, moment, "oom" if reason == "OOMKilled" else "exited", str(code), pod)
        limit = SERVING_FAILURES
        if workload.kind != "inferences":
            given = workload.spec.get("backoffLimit")
            limit = BACKOFF_LIMIT if given is None else given
        if workload.failures > limit:
            if workload.kind != "inferences":
                self.event(workload, moment, "backoff-limit")
            cause = reason or f"exit code {code}"
            self.finish(workload, "Failed", moment, f"BackoffLimitExceeded: {cause}")
            return True
        pod.restarts += 1
        self.event(workload, moment, "backoff", None, pod)
        self.save(workload)
        return False

    # -- ends ----------------------------------------------------------------------------------

    def finish(self, workload: Workload, phase: str, moment: float, message: str = "") -> None:
        """Completed or Failed: free the resources, end what still runs."""
        self.scheduler.release(workload)
        self.queue.dirty = True
        workload.completed_at = moment
        for pod in workload.pods:
            if pod.phase in ("Pending", "Running"):
                pod.phase = "Succeeded" if phase == "Completed" else "Failed"
                pod.completed_at = moment
                if phase == "Completed":
                    pod.exit_code = 0
        if phase == "Completed":
            self.event(workload, moment, "completed")
        self.move(workload, phase, moment, message)
        self.processes.kill(workload, moment, 0)
        if workload.kind != "inferences":
            keep = workload.spec.get("autoDeletionTimeAfterCompletionSeconds")
            seconds = AUTO_DELETION_SECONDS if keep is None else max(0, keep)
            self.at(moment + seconds, workload, self.expired)

    def expired(self, workload: Workload, moment: float) -> None:
        self.delete(workload, moment)

    def grace(self, workload: Workload) -> float:
        given = workload.spec.get("terminationGracePeriodSeconds")
        return float(GRACE_SECONDS if given is None else given)

    def suspend(self, workload: Workload) -> None:
        """Stop a workload; one that has ended stays as it is."""
        moment = self.now()
        if workload.phase in (*TERMINAL, "Stopping", "Stopped", "Deleting"):
            return
        workload.desired = "Stopped"
        self.queue.discard(workload)
        self.move(workload, "Stopping", moment)
        self._killing_events(workload, moment)
        if not self.processes.kill(workload, moment, self.grace(workload)):
            self.at(moment + self.delay, workload, self.stopped)
        self.settle()

    def _killing_events(self, workload: Workload, moment: float) -> None:
        for pod in workload.pods:
            if pod.phase == "Running":
                self.event(workload, moment, "killing", None, pod)

    def stopped(self, workload: Workload, moment: float) -> None:
        self.scheduler.release(workload)
        self.queue.dirty = True
        self.end_pods(workload, moment)
        self.event(workload, moment, "suspended")
        self.move(workload, "Stopped", moment)

    def end_pods(self, workload: Workload, moment: float) -> None:
        for pod in workload.pods:
            if pod.phase in ("Pending", "Running"):
                pod.phase, pod.completed_at = "Failed", moment

    def resume(self, workload: Workload) -> None:
        """Run a stopped workload again, from its beginning."""
        if workload.phase not in ("Stopped", "Stopping"):
            return
        moment = self.now()
        workload.desired = "Running"
        workload.failures = workload.successes = 0
        self.event(workload, moment, "resumed")
        if workload.phase == "Stopping":
            self.scheduler.release(workload)
            self.processes.kill(workload, moment, 0)
        self.move(workload, "Resuming", moment)
        self.at(moment + self.delay, workload, self.admit)
        self.settle()

    def delete(self, workload: Workload, moment: float | None = None) -> None:
        if workload.phase == "Deleting" or workload.deleted_at is not None:
            return
        moment = self.now() if moment is None else moment
        workload.desired = "Deleted"
        self.queue.discard(workload)
        self.move(workload, "Deleting", moment)
        self._killing_events(workload, moment)
        if not self.processes.kill(workload, moment, self.grace(workload)):
            self.at(moment + self.delay, workload, self.gone)
        self.settle()

    def delete_all(self, project_id: str) -> None:
        """A project goes, and its workloads with it."""
        for workload in list(self.index.created.get((project_id, None), ())):
            self.delete(workload)

    def gone(self, workload: Workload, moment: float) -> None:
        self.scheduler.release(workload)
        self.queue.dirty = True
        self.end_pods(workload, moment)
        self.event(workload, moment, "deleted")
        workload.generation += 1
        self.index.bury(workload, moment)
        self.save(workload)

    def preempt(self, workload: Workload, moment: float, why: str, code: str = "preempted") -> None:
        """Take the resources of a running workload away; it asks for them again."""
        self.scheduler.release(workload)
        self.queue.dirty = True
        for pod in workload.pods:
            self.event(workload, moment, code, pod.node if code == "node-lost" else why, pod)
        self.end_pods(workload, moment)
        if workload.spec.get("terminateAfterPreemption"):
            self.finish(workload, "Failed", moment, f"Preempted {why} and terminated")
            return
        self.move(workload, "Pending", moment, f"Preempted {why}")
        workload.pods = []
        if workload.script is not None:
            # A simulated workload starts its run anew, without the waiting at its head.
            self.simulation.rewind(workload)
        if not self.processes.kill(workload, moment, self.grace(workload)):
            self.enqueue(workload, moment)

    def close(self) -> None:
        self.closed = True
        if self._wake is not None:
            self._wake.notify_all()
        self.processes.close()
