"""One step run and its workload: what is told, what ends it, what is cleaned up."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from zenml.client import Client
from zenml.enums import ExecutionStatus
from zenml.logger import get_logger
from zenml.models import StepRunUpdate
from zenml.orchestrators.publish_utils import publish_step_run_metadata
from zenml.utils.exception_utils import collect_exception_information
from zenml.utils.time_utils import utc_now

from runai_api import RunaiError
from zenml_runai import _metadata as metadata
from zenml_runai import phases
from zenml_runai._diagnosis import cause_of_death, image_problem, is_for_good
from zenml_runai._patience import patiently
from zenml_runai.errors import (
    RunAIControlPlaneError,
    RunAIError,
    RunAIImagePullFailed,
    RunAIPendingTimeout,
    RunAIWorkloadFailed,
    RunAIWorkloadTimeout,
)

if TYPE_CHECKING:
    from zenml.models import StepRunResponse

    from zenml_runai._session import Session
    from zenml_runai.flavors import RunAIWorkloadSettings
    from zenml_runai.monitor import Sighting
    from zenml_runai.workload_spec import WorkloadKind

logger = get_logger(__name__)

# How long `check` waits for the first answer about a workload that this process did not submit.
_FIRST_ANSWER_SECONDS: Final = 15.0
# Longest wait between two looks at the timeouts.
_TICK_SECONDS: Final = 1.0
# Knowledge older than this many intervals is no ground for a timeout.
_STALE_INTERVALS: Final = 3

_ENDING: Final = (ExecutionStatus.STOPPING, ExecutionStatus.CANCELLING)


@dataclass
class StepWatch:
    """Follows the workload of a step run."""

    session: Session
    component_id: UUID
    step_run: StepRunResponse
    kind: WorkloadKind
    workload_id: str
    name: str
    created_at: datetime
    settings: RunAIWorkloadSettings
    delete_on_failure: bool
    delete_on_cancel: bool

    def __post_init__(self) -> None:
        self.session.monitor.watch(
            self.workload_id, self.created_at, fresh=False, group=self.step_run.name
        )

    def wait(self) -> ExecutionStatus:
        """Block until the step has ended."""
        seen = -1
        while True:
            sighting = self.session.monitor.wait(self.workload_id, seen, _TICK_SECONDS)
            seen = sighting.version
            status = self._judge(sighting)
            if status.is_finished:
                return status

    def check(self) -> ExecutionStatus:
        """The status now.

        Raises:
            RunAIControlPlaneError: Nothing is known of the workload yet.
        """
        monitor = self.session.monitor
        sighting = monitor.sighting(self.workload_id)
        deadline = time.monotonic() + _FIRST_ANSWER_SECONDS
        while sighting.workload is None and sighting.refused is None and not sighting.ended:
            left = deadline - time.monotonic()
            if left <= 0:
                raise RunAIControlPlaneError(
                    f"Run:ai has said nothing yet about the workload {self.name}."
                )
            sighting = monitor.wait(self.workload_id, sighting.version, left)
        return self._judge(sighting)

    def cancel(self) -> None:
        """Stop the workload because the step is not wanted any more."""
        self.session.tell_once(self.workload_id, _CANCELLED)
        if self.delete_on_cancel:
            self.session.control_plane.delete(self.kind, self.workload_id)
        else:
            self.session.control_plane.stop(self.kind, self.workload_id)

    def stop(self) -> None:
        """Stop the workload if the control plane can be reached."""
        try:
            self.session.control_plane.stop(self.kind, self.workload_id)
        except RunaiError as error:
            logger.warning(
                "The workload %s could not be stopped: %s Stop it in Run:ai.", self.name, error
            )

    def close(self) -> None:
        """Write down what the workload has used, and forget it."""
        sighting = self.session.monitor.sighting(self.workload_id)
        gpus = float(str(self.step_run.run_metadata.get(metadata.GPUS) or 0.0))
        if sighting.ended and (used := metadata.at_end(sighting, gpus)):
            patiently(
                lambda: publish_step_run_metadata(self.step_run.id, {self.component_id: used})
            )
            self.step_run.run_metadata.update(used)
        self.session.forget(self.workload_id)

    # What a sighting means

    def _judge(self, sighting: Sighting) -> ExecutionStatus:
        self.tell(sighting)
        if sighting.phase == phases.COMPLETED:
            return self._completed()
        if sighting.ended:
            if sighting.phase == phases.STOPPED and self._was_cancelled():
                return ExecutionStatus.STOPPED
            return self._fail(self.cause(sighting))
        if (error := self.out_of_time(sighting)) is not None:
            return self._fail(error)
        return phases.execution_status(sighting.phase, started=sighting.started)

    def _completed(self) -> ExecutionStatus:
        if self.step_run.config.command is not None:
            return ExecutionStatus.COMPLETED
        status = patiently(lambda: Client().get_run_step(self.step_run.id, hydrate=False)).status
        if status.is_finished or status in (ExecutionStatus.RETRYING, *_ENDING):
            return ExecutionStatus.STOPPED if status in _ENDING else status
        return self._fail(
            RunAIWorkloadFailed(
                f"The workload {self.name} ended without reporting a result to ZenML.",
                "Check that the image starts ZenML's entrypoint and reaches the ZenML server.",
            )
        )

    def out_of_time(self, sighting: Sighting) -> RunAIError | None:
        """Why a workload that has not ended is to be given up, if it is."""
        if sighting.refused is not None:
            return RunAIControlPlaneError(
                f"The workload {self.name} cannot be watched: {sighting.refused}",
                "Give the service account workloads:read in the project.",
            )
        pace = self.session.pace
        if sighting.stale_for > _STALE_INTERVALS * pace.longest:
            # It may have ended meanwhile: an outage of the control plane is no reason to fail.
            return None
        settings = self.settings
        if settings.workload_timeout is not None and (
            sighting.running_for > settings.workload_timeout
        ):
            return RunAIWorkloadTimeout(
                f"The workload {self.name} ran longer than workload_timeout"
                f" ({settings.workload_timeout} s)."
            )
        if sighting.phase not in phases.NOT_STARTED:
            return None
        problem = image_problem(sighting.reasons)
        if problem is not None and (
            is_for_good(problem) or sighting.pending_for > settings.image_pull_timeout
        ):
            return RunAIImagePullFailed(
                f"The image of the workload {self.name} cannot be pulled: {problem}."
            )
        if settings.pending_timeout is not None and (
            sighting.pending_for > settings.pending_timeout
        ):
            said = f" Run:ai says: {sighting.reasons[-1]}." if sighting.reasons else ""
            return RunAIPendingTimeout(
                f"The workload {self.name} did not start within pending_timeout"
                f" ({settings.pending_timeout} s).{said}"
            )
        return None

    def cause(self, sighting: Sighting) -> RunAIWorkloadFailed:
        """Why a workload has ended without success, with the events that tell it."""
        said = list(sighting.reasons)
        if sighting.workload is not None:
            try:
                workload = self.session.control_plane.get(self.workload_id) or sighting.workload
                said = [*self.session.control_plane.reasons(workload), *said]
            except RunaiError as error:
                logger.debug("The events of %s cannot be read: %s", self.name, error)
        return cause_of_death(self.name, sighting.phase, said, started=sighting.started)

    def _fail(self, error: RunAIError) -> ExecutionStatus:
        """End a step that did not succeed: its own error wins over what is known from outside."""
        current = patiently(lambda: Client().get_run_step(self.step_run.id))
        if current.status.is_successful:
            self._dispose(failed=False)
            return current.status
        if current.status in _ENDING:
            self._dispose(failed=False)
            return ExecutionStatus.STOPPED
        if not current.status.is_finished and current.status is not ExecutionStatus.RETRYING:
            if current.exception_info is None:
                logger.error("%s", error)
            Client().zen_store.update_run_step(
                step_run_id=self.step_run.id,
                step_run_update=StepRunUpdate(
                    status=ExecutionStatus.FAILED,
                    end_time=utc_now(),
                    exception_info=current.exception_info or collect_exception_information(error),
                ),
            )
        self._dispose(failed=True)
        return ExecutionStatus.FAILED

    def _dispose(self, *, failed: bool) -> None:
        try:
            if failed and self.delete_on_failure:
                self.session.control_plane.delete(self.kind, self.workload_id)
            elif not self.session.monitor.sighting(self.workload_id).ended:
                self.session.control_plane.stop(self.kind, self.workload_id)
        except RunaiError as error:
            logger.warning(
                "The workload %s could not be cleaned up: %s Do it in Run:ai.", self.name, error
            )

    # What is told

    def tell(self, sighting: Sighting) -> None:
        """Log what is new about the workload."""
        workload = sighting.workload
        if workload is not None and self.session.tell_once(
            self.workload_id, f"phase {workload.phase} {workload.phase_updated_at}"
        ):
            if sighting.started and sighting.phase in phases.NOT_STARTED:
                logger.warning("Workload `%s` was interrupted and waits to run again.", self.name)
            else:
                logger.info("Workload `%s`: %s.", self.name, sighting.phase)
        for reason in sighting.reasons:
            if self.session.tell_once(self.workload_id, reason):
                logger.info("Workload `%s` waits: %s", self.name, reason)

    def _was_cancelled(self) -> bool:
        return not self.session.tell_once(self.workload_id, _CANCELLED)


_CANCELLED: Final = "cancelled"
