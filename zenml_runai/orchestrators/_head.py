"""The head of a static pipeline: decides, step by step, what becomes of the run.

The head owns the step runs: it creates them, starts what runs them, and has the last word where
a pod died without one. Whatever it decides is written to ZenML first, so that another head can
go on from there.
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from uuid import UUID

from zenml.config.step_configurations import Step
from zenml.enums import ExecutionMode, ExecutionStatus
from zenml.exceptions import IllegalOperationError
from zenml.logger import get_logger
from zenml.metadata.metadata_types import MetadataType
from zenml.models import PipelineSnapshotResponse, StepRunResponse
from zenml.utils.time_utils import to_utc_timezone, utc_now

from zenml_runai._metadata import GPU_SECONDS, gpu_seconds
from zenml_runai._patience import patiently
from zenml_runai.errors import RunAIWorkloadFailed
from zenml_runai.orchestrators._constants import (
    INTERRUPT_CHECK_SECONDS,
    LINGERING_CHECK_SECONDS,
    TIDY_WORKERS,
)
from zenml_runai.orchestrators._dag import Again, DagRunner, Interrupt, NodeState
from zenml_runai.orchestrators._launcher import Launcher
from zenml_runai.orchestrators._step_runs import StepRuns

logger = get_logger(__name__)

_ON_FAILURE: Mapping[ExecutionMode, Interrupt | None] = {
    ExecutionMode.FAIL_FAST: Interrupt.STOP,
    ExecutionMode.STOP_ON_FAILURE: Interrupt.DRAIN,
    ExecutionMode.CONTINUE_ON_FAILURE: None,
}


class Head:
    """Runs the steps of one static pipeline run.

    Args:
        snapshot: The pipeline as it was compiled.
        step_runs: The step runs, and the run, in ZenML.
        launcher: The way to run a given step.
        component_id: The orchestrator, under which metadata of the run is attached.
        max_parallelism: Steps at the same time at most.
        executor: Where steps are started; a pool of threads by default.
        interrupt_interval: Seconds between two looks at the run's status.
    """

    def __init__(
        self,
        snapshot: PipelineSnapshotResponse,
        step_runs: StepRuns,
        launcher: Callable[[Step], Launcher],
        *,
        component_id: UUID,
        max_parallelism: int | None = None,
        executor: Executor | None = None,
        interrupt_interval: float = INTERRUPT_CHECK_SECONDS,
    ) -> None:
        self._steps = snapshot.step_configurations
        self._mode = snapshot.pipeline_configuration.execution_mode
        self._step_runs = step_runs
        self._launcher = launcher
        self._component_id = component_id
        self._gpu_seconds = 0.0
        self._max_parallelism = max_parallelism
        self._executor = executor
        self._interrupt_interval = interrupt_interval
        self._waited: set[str] = set()
        self._flying: dict[str, UUID] = {}
        self._lingering: set[UUID] = set()
        self._lock = threading.Lock()
        self._next_lingering_check = time.monotonic() + LINGERING_CHECK_SECONDS

    def run(self) -> ExecutionStatus:
        """Run what is left of the pipeline; returns the final status of the run."""
        known = self._step_runs.load()
        self._gpu_seconds = sum(gpu_seconds(step_run.run_metadata) for step_run in known.values())
        states = {name: state for name in known if (state := self._final_state(known[name]))}
        resumed = [name for name, step_run in known.items() if self._is_open(step_run)]
        if resumed:
            logger.info("Taking up %d running step(s): %s", len(resumed), ", ".join(resumed))
        self._dag = DagRunner(
            {name: step.spec.upstream_steps for name, step in self._steps.items()},
            self,
            states=states,
            resumed=resumed,
            max_parallelism=self._max_parallelism,
            on_failure=_ON_FAILURE[self._mode],
            executor=self._executor,
            interrupt_interval=self._interrupt_interval,
        )
        # What is not needed to start the next steps is done beside them.
        with ThreadPoolExecutor(TIDY_WORKERS, thread_name_prefix="runai-tidy") as self._tidy:
            ended = self._dag.run()
        return self._close(ended)

    def start(self, name: str) -> NodeState | Again:
        """Start a step, or take it up."""
        known = self._step_runs.latest(name)
        if known and known.status is ExecutionStatus.RETRYING and name not in self._waited:
            # Left by a head that died while it waited.
            self._waited.add(name)
            return Again(self._delay(known, elapsed=True))
        self._waited.discard(name)
        try:
            step_run = self._step_runs.open(name)
        except IllegalOperationError as error:
            logger.info("Step `%s` is not started: %s", name, error)
            return NodeState.STOPPED
        if verdict := self._verdict(name, step_run):
            return verdict
        try:
            with self._lock:
                self._flying[name] = step_run.id
            info = self._step_runs.info(step_run)
            over = self._launcher_of(name).launch(info, lambda: self._on_ended(name, step_run.id))
        except Exception as error:
            logger.exception("Step `%s` cannot be started.", name)
            return self._verdict(name, self._step_runs.fail(step_run.id, error)) or NodeState.FAILED
        if over:
            return self.settle(name)
        logger.info("Step `%s` has been submitted.", name)
        return NodeState.RUNNING

    def settle(self, name: str) -> NodeState | Again:
        """Decide how a step ended, from what its pod reported and what became of the pod."""
        with self._lock:
            step_run_id = self._flying.pop(name)
        launcher = self._launcher_of(name)
        step_run = self._step_runs.refresh(step_run_id)
        ending = launcher.ending(step_run)
        if self._is_open(step_run):
            if ending.status is ExecutionStatus.COMPLETED:
                # Of a command nobody hears but its exit; any other step reports for itself.
                if step_run.config.command is not None or ending.is_service:
                    step_run = self._step_runs.succeed(step_run.id)
                else:
                    step_run = self._step_runs.fail(step_run.id, _silent(name))
            elif (
                ending.status is ExecutionStatus.STOPPED
                or step_run.status is ExecutionStatus.STOPPING
            ):
                step_run = self._step_runs.stop(step_run.id)
            else:
                step_run = self._step_runs.fail(step_run.id, ending.error or _silent(name))
        logger.info("Step `%s` is %s.", name, step_run.status.value)
        self._tidy.submit(self._tidy_up, launcher, step_run, ending.metadata)
        return self._verdict(name, step_run) or NodeState.FAILED

    def stop(self, name: str) -> None:
        """End a step that runs, or that waits for another attempt."""
        with self._lock:
            self._flying.pop(name, None)
        step_run = self._step_runs.latest(name)
        if step_run is None:
            return
        launcher = self._launcher_of(name)
        try:
            launcher.stop(step_run)
        except Exception:
            logger.exception("Step `%s` cannot be stopped.", name)
        step_run = self._step_runs.refresh(step_run.id)
        if not step_run.status.is_finished:
            step_run = self._step_runs.stop(step_run.id)
        logger.info("Step `%s` is %s.", name, step_run.status.value)

    def interrupt(self) -> Interrupt | None:
        """Whether the run's status asks for an end."""
        try:
            return self._asked_to_end()
        except Exception as error:
            logger.warning("Whether the run is to be stopped cannot be seen: %s", error)
            return None

    def _asked_to_end(self) -> Interrupt | None:
        status = self._step_runs.run_status()
        if status is ExecutionStatus.STOPPED:
            # The server also says so once the last step of a draining run has reported, when its
            # pod is still on its way out.
            return Interrupt.STOP if self._step_runs.open_ones() else Interrupt.DRAIN
        if status is ExecutionStatus.STOPPING:
            return Interrupt.DRAIN
        self._settle_lingering()
        if status is ExecutionStatus.FAILED:
            return _ON_FAILURE[self._mode]
        return None

    def _on_ended(self, name: str, step_run_id: UUID) -> None:
        # The pod of an earlier attempt may linger beyond the start of the next one.
        with self._lock:
            current = self._flying.get(name) == step_run_id
        if current:
            self._dag.ended(name)

    def _settle_lingering(self) -> None:
        """Settle steps that have reported their failure although their pods are still there.

        After a failure the cluster may start a pod several times more, with growing pauses. The
        step run is over all the same, so its successors, or its next attempt, need not wait.
        """
        now = time.monotonic()
        if now < self._next_lingering_check:
            return
        self._next_lingering_check = now + LINGERING_CHECK_SECONDS
        with self._lock:
            flying = {step_run_id: name for name, step_run_id in self._flying.items()}
        failed = {each.id for each in self._step_runs.failed()} & set(flying) if flying else set()
        # The first time it may just be on its way out.
        for step_run_id in failed & self._lingering:
            self._on_ended(flying[step_run_id], step_run_id)
        self._lingering = failed

    def _launcher_of(self, name: str) -> Launcher:
        return self._launcher(self._steps[name])

    def _verdict(self, name: str, step_run: StepRunResponse) -> NodeState | Again | None:
        if step_run.status is ExecutionStatus.RETRYING:
            self._waited.add(name)
            delay = self._delay(step_run)
            logger.info("Step `%s` gets another attempt in %.0f s.", name, delay)
            return Again(delay)
        return self._final_state(step_run)

    @staticmethod
    def _final_state(step_run: StepRunResponse) -> NodeState | None:
        if step_run.status.is_successful:
            return NodeState.COMPLETED
        if step_run.status is ExecutionStatus.STOPPED:
            return NodeState.STOPPED
        return NodeState.FAILED if step_run.status.is_finished else None

    @staticmethod
    def _is_open(step_run: StepRunResponse) -> bool:
        return not step_run.status.is_finished and step_run.status is not ExecutionStatus.RETRYING

    @staticmethod
    def _delay(step_run: StepRunResponse, *, elapsed: bool = False) -> float:
        """Seconds before the next attempt: the configured delay, grown by each attempt before."""
        retry = step_run.config.retry
        if retry is None:
            return 0.0
        delay = float(retry.delay * retry.backoff ** (step_run.version - 1))
        if elapsed and step_run.end_time is not None:
            delay -= (utc_now(tz_aware=True) - to_utc_timezone(step_run.end_time)).total_seconds()
        return max(delay, 0.0)

    def _tidy_up(
        self,
        launcher: Launcher,
        step_run: StepRunResponse,
        metadata: Mapping[str, MetadataType],
    ) -> None:
        with self._lock:
            self._gpu_seconds += gpu_seconds(metadata)
        self._step_runs.describe(step_run.id, launcher.component_id, metadata)
        try:
            later = launcher.clean_up(step_run)
            with self._lock:
                self._gpu_seconds += later
        except Exception as error:
            logger.warning("Step `%s` is not cleaned up: %s", step_run.name, error)

    def _close(self, ended: Mapping[str, NodeState]) -> ExecutionStatus:
        """Leave nothing open, and agree with ZenML on what the run has come to."""
        for name in ended:
            step_run = self._step_runs.latest(name)
            if step_run is not None and not step_run.status.is_finished:
                self.stop(name)
        used: dict[str, MetadataType] = {GPU_SECONDS: round(self._gpu_seconds, 1)}
        self._step_runs.describe_run(self._component_id, used)
        status = patiently(self._step_runs.run_status)
        if status.is_finished:
            return status
        if status is ExecutionStatus.STOPPING:
            final = ExecutionStatus.STOPPED
        elif NodeState.FAILED in ended.values():
            final = ExecutionStatus.FAILED
        elif all(state is NodeState.COMPLETED for state in ended.values()):
            final = ExecutionStatus.COMPLETED
        else:
            final = ExecutionStatus.STOPPED
        return self._step_runs.end_run(final)


def _silent(name: str) -> RunAIWorkloadFailed:
    return RunAIWorkloadFailed(
        f"The workload of step `{name}` has ended, but the step did not report a result."
    )
