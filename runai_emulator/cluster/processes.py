"""Workloads that run as local processes: starting pods, restarting them, counting failures."""

from __future__ import annotations

import signal
import uuid
from typing import TYPE_CHECKING

from .kinds import ACTIVE
from .pods import MissingReference, argv_of, completions_of, environment, pod_name
from .process import ProcessExecutor, StartFailed, free_port
from .workload import Pod, Workload

if TYPE_CHECKING:
    from .engine import Cluster

#: Pause before a failed pod runs again: short, since Kubernetes' ten seconds would only cost time.
RESTART_SECONDS = 0.1
MAX_RESTART_SECONDS = 2.0
#: How often a pod whose secret is missing looks for it again.
CONFIG_RETRY_SECONDS = 1.0


class Processes:
    """Starts pods and takes note of their ends. The caller holds the emulator's lock."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._executor: ProcessExecutor | None = None

    def _need_executor(self) -> ProcessExecutor:
        if self._executor is None:
            if self._cluster.settings.executor != "process":
                raise RuntimeError("a workload without a script needs the process executor")
            self._executor = ProcessExecutor(
                self._cluster.settings.work_dir,
                self._cluster.settings.allow_env,
                self._process_ended,
            )
            self._cluster.start_driving()
        return self._executor

    def launch(self, workload: Workload, moment: float) -> None:
        """Start every pod of a workload that was placed."""
        port = str(free_port()) if workload.kind == "distributed" else None
        for pod in [one for one in workload.pods if one.phase == "Pending"]:
            if not self._start(workload, pod, moment, port):
                return
        if workload.kind != "inferences" and workload.phase == "Initializing":
            self._cluster.move(workload, "Running", moment)

    def _start(self, workload: Workload, pod: Pod, moment: float, port: str | None) -> bool:
        """Start one pod; False when it cannot start, which has been dealt with."""
        executor = self._need_executor()
        bodies = workload.bodies
        spec = bodies.get("spec") or {}
        if pod.role == "master" and bodies.get("masterSpec"):
            spec = bodies["masterSpec"]
        project = self._cluster.emulator.store.projects.rows.get(workload.project_id)
        namespace = project["requestedNamespace"] if project else ""
        try:
            variables = environment(self._cluster.emulator.store, workload, pod, spec, namespace)
        except MissingReference as error:
            pod.reason = "CreateContainerConfigError"
            message = f"CreateContainerConfigError: {error}"
            if workload.message != message:
                workload.message = message
                self._cluster.event(workload, moment, "config-error", str(error), pod)
                self._cluster.save(workload)
            self._cluster.at(moment + CONFIG_RETRY_SECONDS, workload, self.launch)
            return False
        if workload.kind == "distributed":
            variables["MASTER_PORT"] = variables["MASTER_PORT"] or port or str(free_port())
        self._cluster.event(workload, moment, "pulled", None, pod)
        try:
            argv = argv_of(spec)
            if not argv:
                raise StartFailed("no command: images are not run, so command or args is needed")
            executor.start(workload.id, pod, argv, variables, spec.get("workingDir"))
        except (StartFailed, ValueError) as error:
            self._cluster.event(workload, moment, "start-failed", str(error), pod)
            pod.reason = "StartError"
            return not self._pod_failed(workload, moment, pod, 128, "StartError")
        pod.started_at = pod.started_at or moment
        pod.phase = "Running"
        pod.exit_code = None
        self._cluster.event(workload, moment, "started", None, pod)
        if workload.kind == "inferences":
            serving = (spec.get("servingPort") or {}).get("container")
            executor.when_listening(pod.id, serving, lambda: self._listening(workload.id, pod.id))
            timeout = (spec.get("servingConfiguration") or {}).get("initializationTimeoutSeconds")
            if timeout is not None:
                self._cluster.at(moment + timeout, workload, self._too_slow, timeout)
        self._cluster.save(workload)
        return True

    def _listening(self, workload_id: str, pod_id: str) -> None:
        """Called from a probe thread: a serving pod accepts connections."""
        with self._cluster.emulator.lock:
            self._cluster.settle()
            workload = self._cluster.index.by_id.get(workload_id)
            if workload is None or workload.phase not in ("Initializing", "Degraded", "Updating"):
                return
            if any(pod.id == pod_id for pod in workload.pods):
                moment = self._cluster.now()
                self._cluster.event(workload, moment, "ready")
                self._cluster.move(workload, "Running", moment)
                self._cluster.emulator.store.commit()

    def _too_slow(self, workload: Workload, moment: float, timeout: int) -> None:
        self._cluster.event(workload, moment, "not-ready", str(timeout))
        self._cluster.finish(workload, "Failed", moment, f"not ready within {timeout} seconds")

    def _process_ended(self, workload_id: str, pod_id: str, code: int, reason: str | None) -> None:
        """Called from a watcher thread when a process has ended."""
        with self._cluster.emulator.lock:
            if self._cluster.closed:
                return
            self._cluster.settle()
            self._executor.forget(pod_id)
            workload = self._cluster.index.by_id.get(workload_id)
            if workload is None:
                return
            moment = self._cluster.now()
            pod = next((one for one in workload.pods if one.id == pod_id), None)
            # A container killed by a signal reports 128 plus its number.
            exit_code = 128 - code if code < 0 else code
            if pod is not None and workload.phase in ACTIVE:
                if exit_code == 0 and workload.kind != "inferences":
                    self._pod_succeeded(workload, moment, pod)
                else:
                    self._pod_failed(workload, moment, pod, exit_code, reason)
            elif not self._executor.alive(workload_id):
                self._idle(workload, moment)
            self._cluster.settle()
            self._cluster.emulator.store.commit()

    def _idle(self, workload: Workload, moment: float) -> None:
        """The last process of a workload that was being ended has gone."""
        if workload.phase == "Stopping":
            self._cluster.stopped(workload, moment)
        elif workload.phase == "Deleting":
            self._cluster.gone(workload, moment)
        elif workload.phase == "Pending" and workload.desired == "Running":
            self._cluster.enqueue(workload, moment)

    def _pod_succeeded(self, workload: Workload, moment: float, pod: Pod) -> None:
        pod.phase, pod.exit_code, pod.completed_at = "Succeeded", 0, moment
        if workload.kind == "distributed":
            if pod.role == "master":
                self._cluster.finish(workload, "Completed", moment)
            return
        workload.successes += 1
        wanted = completions_of(workload.spec) if workload.kind == "trainings" else 1
        if workload.successes >= wanted:
            self._cluster.finish(workload, "Completed", moment)
            return
        active = sum(1 for one in workload.pods if one.phase in ("Pending", "Running"))
        if workload.successes + active < wanted:
            rank = len(workload.pods)
            name = pod_name(workload, pod.role, rank)
            follower = Pod(str(uuid.uuid4()), name, pod.role, rank, moment)
            follower.node, follower.pool = pod.node, pod.pool
            workload.pods.append(follower)
            self._start(workload, follower, moment, None)
        self._cluster.save(workload)

    def _pod_failed(
        self, workload: Workload, moment: float, pod: Pod, code: int, reason: str | None
    ) -> bool:
        """Note a failed pod and run it again; True when the workload has failed for good."""
        pod.phase, pod.exit_code, pod.completed_at = "Failed", code, moment
        if self._cluster.count_failure(workload, moment, pod, code, reason):
            return True
        pause = min(RESTART_SECONDS * 2 ** (workload.failures - 1), MAX_RESTART_SECONDS)
        if workload.kind == "inferences" and workload.phase == "Running":
            self._cluster.move(workload, "Degraded", moment, pod.reason or "")
        # The phase may change meanwhile; whether the pod is still wanted is looked at then.
        self._cluster.at(moment + pause, workload, self._restart, pod.id, always=True)
        return False

    def _restart(self, workload: Workload, moment: float, pod_id: str) -> None:
        pod = next((one for one in workload.pods if one.id == pod_id), None)
        if pod is None or workload.phase not in ACTIVE:
            return
        pod.phase, pod.completed_at, pod.reason = "Pending", None, None
        started = self._start(workload, pod, moment, None)
        if started and workload.phase == "Initializing" and workload.kind != "inferences":
            self._cluster.move(workload, "Running", moment)

    def kill(self, workload: Workload, moment: float, grace: float) -> bool:
        """End the processes of a workload; True when there are any."""
        if self._executor is None:
            return False
        alive = self._executor.alive(workload.id)
        for pod_id in alive:
            if grace > 0:
                self._executor.signal(pod_id, signal.SIGTERM)
                self._cluster.at(moment + grace, workload, self._kill_hard, pod_id, always=True)
            else:
                self._executor.signal(pod_id, signal.SIGKILL)
        return bool(alive)

    def _kill_hard(self, workload: Workload, moment: float, pod_id: str) -> None:
        self._executor.signal(pod_id, signal.SIGKILL)

    def fail(self, workload: Workload, reason: str | None) -> None:
        """Kill the first pod as the node would, for the given reason."""
        if self._executor is not None:
            self._executor.signal(workload.pods[0].id, signal.SIGKILL, reason)

    def logs(self, workload: Workload) -> dict[str, str]:
        """Pod name -> what it wrote."""
        return self._executor.logs(workload.id) if self._executor is not None else {}

    def close(self) -> None:
        if self._executor is not None:
            self._executor.close()
