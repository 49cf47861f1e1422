"""Runs seen from outside: their status, their stop, and what a dead head leaves behind."""

import time
from collections.abc import Iterator
from datetime import datetime
from typing import NoReturn

from zenml.client import Client
from zenml.constants import PAGE_SIZE_MAXIMUM, STR_FIELD_MAX_LENGTH
from zenml.enums import ExecutionStatus
from zenml.exceptions import IllegalOperationError, RunStoppedException
from zenml.logger import get_logger
from zenml.models import PipelineRunResponse, StepRunResponse
from zenml.orchestrators.publish_utils import (
    publish_pipeline_run_status_update,
    publish_stopped_step_run,
)
from zenml.stack import Stack
from zenml.utils.pagination_utils import depaginate

from runai_api import RunaiError, Workload
from zenml_runai import phases
from zenml_runai._container import delete_token
from zenml_runai._control_plane import Submitted
from zenml_runai._diagnosis import cause_of_death
from zenml_runai._metadata import text
from zenml_runai._patience import patiently
from zenml_runai.errors import RunAIControlPlaneError, RunAIPendingTimeout, RunAIWorkloadFailed
from zenml_runai.monitor import Sighting
from zenml_runai.orchestrators._constants import HEAD_NAME, HEAD_POLL_SECONDS, HEAD_STOP_SECONDS
from zenml_runai.orchestrators._heads import find_head
from zenml_runai.orchestrators._step_workloads import Component, watch_step
from zenml_runai.workload_spec import WorkloadKind

logger = get_logger(__name__)

#: A run that has no head by right: not yet, or not until somebody resumes it.
_HEADLESS = frozenset(
    {ExecutionStatus.INITIALIZING, ExecutionStatus.PAUSED, ExecutionStatus.RESUMING}
)


def refreshed_status(component: Component, run: PipelineRunResponse) -> ExecutionStatus | None:
    """The status of a run, by the state of its head.

    A run whose head has died is failed (or stopped, if that was asked for), and what the head has
    left behind is ended.
    """
    run = Client().get_pipeline_run(run.id)
    keeps_token = component.config.pass_zenml_token_as_credential
    if run.status in _HEADLESS or (run.status.is_finished and not keeps_token):
        return run.status
    head = find_head(component, run)
    if _is_alive(head):
        return run.status
    _forget_token(component, run)
    # It may have ended in good order just now.
    run = Client().get_pipeline_run(run.id)
    if run.status.is_finished or run.status in _HEADLESS:
        return run.status
    if run.status is ExecutionStatus.STOPPING:
        return end_run(component, run, ExecutionStatus.STOPPED)
    return end_run(component, run, ExecutionStatus.FAILED, _cause(component, head))


def stop_run(component: Component, run: PipelineRunResponse, *, graceful: bool) -> None:
    """Stop a run whose status is STOPPING already.

    Graceful: the head starts nothing more and waits for the steps that run; it ends the run. A run
    without a living head, or a dynamic one, is stopped at once.
    """
    run = Client().get_pipeline_run(run.id)
    head = find_head(component, run)
    if graceful and _is_alive(head):
        if run.snapshot is None or not run.snapshot.is_dynamic:
            logger.info("The head of run `%s` lets running steps end.", run.name)
            return
        logger.warning("A dynamic pipeline cannot be drained; run `%s` is stopped now.", run.name)
    if head is not None and _is_alive(head):
        _stop_head(component, head)
    end_run(component, run, ExecutionStatus.STOPPED)


def end_run(
    component: Component,
    run: PipelineRunResponse,
    status: ExecutionStatus,
    reason: str | None = None,
) -> ExecutionStatus:
    """End a run that has no head: its workloads, its step runs, and itself."""
    if status is ExecutionStatus.FAILED:
        # First, since the server makes a run without open steps STOPPED, and that is final.
        _publish(run, status, reason)
    for step_run in _open_step_runs(run):
        _end_step(component, step_run)
    _forget_token(component, run)
    _publish(run, status, reason)
    return Client().get_pipeline_run(run.id, hydrate=False).status


def wait_for_run(
    component: Component,
    run: PipelineRunResponse,
    head: Submitted,
    pending_timeout: float | None = None,
) -> None:
    """Wait for the end of a run, whoever ends it.

    Args:
        component: The orchestrator.
        run: The run.
        head: Its head workload.
        pending_timeout: Seconds that the head may wait for its start.

    Raises:
        RunStoppedException: The run was stopped.
        RunAIWorkloadFailed: It failed; says which steps, and why.
    """
    monitor = component.session.monitor
    monitor.watch(head.workload_id, head.created_at, fresh=not head.adopted)
    progress = _Progress(run, head.name)
    seen = -1
    while True:
        current = patiently(lambda: Client().get_pipeline_run(run.id, hydrate=False))
        progress.tell_steps(current)
        if current.status.is_finished and current.status is not ExecutionStatus.FAILED:
            break
        sighting = monitor.wait(head.workload_id, seen, HEAD_POLL_SECONDS)
        seen = sighting.version
        progress.tell_head(sighting)
        # A run counts as failed from its first failure on, while other steps may go on.
        if current.status.is_finished and (sighting.ended or sighting.refused is not None):
            break
        if _is_overdue(sighting, pending_timeout):
            _give_up(component, run, head, sighting)
        elif sighting.ended and current.status in _HEADLESS:
            logger.info("Run `%s` is %s; resume it to go on.", run.name, current.status.value)
            break
        elif sighting.ended:
            try:
                refreshed_status(component, run)
            except (RunaiError, RunAIControlPlaneError) as error:
                logger.warning("The state of run `%s` is not known: %s", run.name, error)
    if component.config.pass_zenml_token_as_credential:
        # A credential cannot be deleted while the workload uses it.
        while not monitor.wait(head.workload_id, seen, HEAD_POLL_SECONDS).ended:
            pass
        delete_token(component.config, component.session, head.name)
    component.session.forget(head.workload_id)
    if current.status is ExecutionStatus.STOPPED:
        raise RunStoppedException(f"Run `{run.name}` was stopped.")
    if current.status.is_failed:
        raise RunAIWorkloadFailed(_what_failed(run), "")


class _Progress:
    """Tells the user what happens meanwhile, each thing once."""

    def __init__(self, run: PipelineRunResponse, head_name: str) -> None:
        self._run = run
        self._head_name = head_name
        self._updated: datetime | None = None
        self._told: set[tuple[str, ...]] = set()

    def tell_steps(self, run: PipelineRunResponse) -> None:
        if run.updated == self._updated:
            return
        self._updated = run.updated
        step_runs = Client().list_run_steps(
            pipeline_run_id=self._run.id,
            project=self._run.project_id,
            exclude_retried=True,
            hydrate=False,
            size=PAGE_SIZE_MAXIMUM,
        )
        for step_run in step_runs.items:
            if self._is_new(str(step_run.id), step_run.status.value):
                logger.info("Step `%s`: %s.", step_run.name, step_run.status.value)

    def tell_head(self, sighting: Sighting) -> None:
        if self._is_new(self._head_name, sighting.phase) and sighting.workload is not None:
            logger.info("Workload `%s`: %s.", self._head_name, sighting.phase)
        for reason in sighting.reasons:
            if self._is_new(self._head_name, "waits", reason):
                logger.info("Workload `%s` waits: %s", self._head_name, reason)

    def _is_new(self, *what: str) -> bool:
        new = what not in self._told
        self._told.add(what)
        return new


def _is_overdue(sighting: Sighting, pending_timeout: float | None) -> bool:
    return (
        pending_timeout is not None
        and not sighting.started
        and not sighting.ended
        and sighting.pending_for > pending_timeout
    )


def _give_up(
    component: Component, run: PipelineRunResponse, head: Submitted, sighting: Sighting
) -> NoReturn:
    said = f" Run:ai says: {sighting.reasons[-1]}." if sighting.reasons else ""
    error = RunAIPendingTimeout(
        f"The workload {head.name} did not start within pending_timeout.{said}"
    )
    component.session.control_plane.stop(WorkloadKind.TRAINING, head.workload_id)
    component.session.forget(head.workload_id)
    end_run(component, run, ExecutionStatus.FAILED, error.message)
    raise error


def _cause(component: Component, head: Workload | None) -> str:
    """Why a head is dead, in words."""
    if head is None:
        return "The head workload of the run does not exist any more."
    try:
        said = component.session.control_plane.reasons(head)
    except RunaiError:
        said = ()
    return cause_of_death(head.name, head.phase, said, started=True).message


def _forget_token(component: Component, run: PipelineRunResponse) -> None:
    """Delete the credential with the head's token, if there is one."""
    if (name := text(run.run_metadata, HEAD_NAME)) is not None:
        delete_token(component.config, component.session, name)


def _is_alive(head: Workload | None) -> bool:
    return head is not None and head.phase not in phases.ENDED


def _stop_head(component: Component, head: Workload) -> None:
    """Stop the head first, so that it starts nothing while its steps are being stopped."""
    control_plane = component.session.control_plane
    control_plane.stop(WorkloadKind.TRAINING, head.id)
    deadline = time.monotonic() + HEAD_STOP_SECONDS
    while _is_alive(control_plane.get(head.id)):
        if time.monotonic() >= deadline:
            logger.warning("The head workload `%s` takes long to stop; going on.", head.name)
            return
        time.sleep(HEAD_POLL_SECONDS / 4)


def _end_step(component: Component, step_run: StepRunResponse) -> None:
    try:
        if step_run.config.step_operator:
            _cancel_on_operator(step_run)
        elif (watch := watch_step(component, step_run)) is not None:
            watch.cancel()
            delete_token(component.config, component.session, watch.name)
            watch.session.forget(watch.workload_id)
    except Exception as error:
        logger.warning("The workload of step `%s` cannot be stopped: %s", step_run.name, error)
    try:
        publish_stopped_step_run(step_run.id)
    except IllegalOperationError as error:
        logger.debug("Step `%s` has ended by itself: %s", step_run.name, error)


def _cancel_on_operator(step_run: StepRunResponse) -> None:
    stack = Client().get_pipeline_run(step_run.pipeline_run_id).stack
    if stack is None:
        return
    operators = Stack.from_model(stack).step_operators
    name = step_run.config.step_operator
    operator = (
        operators.get(name) if isinstance(name, str) else next(iter(operators.values()), None)
    )
    if operator is not None:
        operator.cancel(step_run)


def _open_step_runs(run: PipelineRunResponse) -> Iterator[StepRunResponse]:
    step_runs = depaginate(
        Client().list_run_steps,
        pipeline_run_id=run.id,
        project=run.project_id,
        exclude_retried=True,
        hydrate=True,
        size=PAGE_SIZE_MAXIMUM,
    )
    return (step_run for step_run in step_runs if not step_run.status.is_finished)


def _publish(run: PipelineRunResponse, status: ExecutionStatus, reason: str | None) -> None:
    try:
        short = reason[:STR_FIELD_MAX_LENGTH] if reason else None
        publish_pipeline_run_status_update(run.id, status, status_reason=short)
    except IllegalOperationError as error:
        logger.debug("Run `%s` has ended by itself: %s", run.name, error)


def _what_failed(run: PipelineRunResponse) -> str:
    failed = Client().list_run_steps(
        pipeline_run_id=run.id,
        project=run.project_id,
        status=ExecutionStatus.FAILED.value,
        exclude_retried=True,
        hydrate=True,
    )
    causes = []
    for step_run in failed.items:
        info = step_run.exception_info
        because = f": {info.traceback.strip().splitlines()[-1]}" if info and info.traceback else ""
        causes.append(f"step `{step_run.name}` failed{because}")
    reason = Client().get_pipeline_run(run.id).get_body().status_reason
    what = "; ".join(causes) or (reason or "the head has ended without a word").rstrip(".")
    return f"Run `{run.name}` failed: {what}."
