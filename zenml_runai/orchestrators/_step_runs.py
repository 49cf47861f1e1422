"""The step runs of one pipeline run, as their owner keeps them in ZenML."""

import contextlib
import json
import threading
from collections.abc import Callable, Mapping
from uuid import UUID

from zenml.client import Client
from zenml.config.step_run_info import StepRunInfo
from zenml.constants import PAGE_SIZE_MAXIMUM
from zenml.enums import ExecutionStatus
from zenml.exceptions import EntityExistsError, IllegalOperationError
from zenml.logger import get_logger
from zenml.metadata.metadata_types import MetadataType
from zenml.models import (
    ExceptionInfo,
    PipelineRunResponse,
    PipelineSnapshotResponse,
    StepRunRequest,
    StepRunResponse,
)
from zenml.orchestrators import publish_utils
from zenml.orchestrators.step_run_utils import StepRunRequestFactory, publish_cached_step_run
from zenml.stack import Stack
from zenml.utils.exception_utils import collect_exception_information
from zenml.utils.pagination_utils import depaginate
from zenml.utils.time_utils import utc_now

from zenml_runai._patience import patiently

logger = get_logger(__name__)

# A step run that was never started by its pod is still somebody's: ours.
_DONE_WITHOUT_POD = frozenset({ExecutionStatus.CACHED, ExecutionStatus.SKIPPED})


class StepRuns:
    """Creates and ends the step runs of a static pipeline.

    A step run is created as RUNNING before its workload exists: the server would take a run whose
    last step is still PROVISIONING for complete. It is created by the head, not by the pod, so
    that a pod that starts anew finds it.

    Args:
        snapshot: The pipeline as it was compiled.
        run: The pipeline run.
        stack: The stack that it runs on.
    """

    def __init__(
        self, snapshot: PipelineSnapshotResponse, run: PipelineRunResponse, stack: Stack
    ) -> None:
        self._snapshot = snapshot
        self._run = run
        self._factory = StepRunRequestFactory(snapshot=snapshot, pipeline_run=run, stack=stack)
        self._latest: dict[str, StepRunResponse] = {}
        self._lock = threading.Lock()

    def load(self) -> Mapping[str, StepRunResponse]:
        """Read what an earlier life of the head (or the client, for cached steps) has made."""
        step_runs = patiently(
            lambda: depaginate(
                Client().list_run_steps,
                pipeline_run_id=self._run.id,
                project=self._run.project_id,
                exclude_retried=True,
                hydrate=True,
                size=PAGE_SIZE_MAXIMUM,
            )
        )
        for step_run in step_runs:
            self._remember(step_run)
        return dict(self._latest)

    def latest(self, name: str) -> StepRunResponse | None:
        """The step run of a step as last seen here."""
        with self._lock:
            return self._latest.get(name)

    def open(self, name: str) -> StepRunResponse:
        """The step run to work on: the one that is unfinished, or a new one.

        A new one may be finished at once: taken from the cache, skipped, or failed because its
        inputs cannot be had.
        """
        known = self.latest(name)
        if known is not None and known.status is not ExecutionStatus.RETRYING:
            return known
        return self._create(name)

    def refresh(self, step_run_id: UUID) -> StepRunResponse:
        """The step run as ZenML has it now."""
        step_run = patiently(lambda: Client().get_run_step(step_run_id))
        self._remember(step_run)
        return step_run

    def failed(self) -> list[StepRunResponse]:
        """Step runs of this run that have failed, whether or not they may be tried again."""
        return self._with_status(ExecutionStatus.FAILED, ExecutionStatus.RETRYING)

    def open_ones(self) -> list[StepRunResponse]:
        """Step runs of this run that have not ended, as ZenML knows it."""
        return self._with_status(*(each for each in ExecutionStatus if not each.is_finished))

    def _with_status(self, *statuses: ExecutionStatus) -> list[StepRunResponse]:
        return list(
            depaginate(
                Client().list_run_steps,
                pipeline_run_id=self._run.id,
                project=self._run.project_id,
                status=f"oneof:{json.dumps([status.value for status in statuses])}",
                hydrate=False,
                size=PAGE_SIZE_MAXIMUM,
            )
        )

    def info(self, step_run: StepRunResponse) -> StepRunInfo:
        """What step operators and settings want to know of a step run."""
        return StepRunInfo(
            step_run=step_run,
            config=step_run.config,
            spec=step_run.spec,
            pipeline=self._snapshot.pipeline_configuration,
            run_name=self._run.name,
            pipeline_step_name=step_run.name,
            run_id=self._run.id,
            step_run_id=step_run.id,
            force_write_logs=lambda: None,
            snapshot=self._snapshot,
        )

    def succeed(self, step_run_id: UUID) -> StepRunResponse:
        """End a step run that has no outputs and nobody to report for it."""
        return self._end(step_run_id, ExecutionStatus.COMPLETED)

    def fail(self, step_run_id: UUID, error: BaseException) -> StepRunResponse:
        """Fail a step run whose pod could not say so; ZenML may want another attempt."""
        return self._end(step_run_id, ExecutionStatus.FAILED, collect_exception_information(error))

    def stop(self, step_run_id: UUID) -> StepRunResponse:
        """Mark a step run as stopped."""
        return self._end(step_run_id, ExecutionStatus.STOPPED)

    @staticmethod
    def describe(
        step_run_id: UUID, component_id: UUID, metadata: Mapping[str, MetadataType]
    ) -> None:
        """Attach metadata to a step run; that it cannot be attached costs nothing else."""
        if metadata:
            _tolerantly(
                lambda: publish_utils.publish_step_run_metadata(
                    step_run_id, {component_id: dict(metadata)}
                )
            )

    def describe_run(self, component_id: UUID, metadata: Mapping[str, MetadataType]) -> None:
        """Attach metadata to the run, as `describe` does."""
        _tolerantly(
            lambda: publish_utils.publish_pipeline_run_metadata(
                self._run.id, {component_id: dict(metadata)}
            )
        )

    def run_status(self) -> ExecutionStatus:
        """The status of the run as ZenML has it now."""
        return Client().get_pipeline_run(self._run.id, hydrate=False).status

    def end_run(self, status: ExecutionStatus) -> ExecutionStatus:
        """End the run; returns the status that it has then."""
        publish = publish_utils.publish_pipeline_run_status_update
        return patiently(lambda: publish(self._run.id, status)).status

    def _create(self, name: str) -> StepRunResponse:
        request = self._factory.create_request(name)
        try:
            patiently(lambda: self._factory.populate_request(request))
        except Exception as error:
            logger.exception("Cannot prepare step `%s`.", name)
            request.status = ExecutionStatus.FAILED
            request.end_time = utc_now()
            request.exception_info = collect_exception_information(error)
        try:
            step_run = patiently(lambda: self._publish(request))
        except EntityExistsError:
            # Written by a request whose answer was lost, or by a head that we replace.
            step_run = self._existing(name)
        self._remember(step_run)
        return step_run

    def _publish(self, request: StepRunRequest) -> StepRunResponse:
        if request.status in _DONE_WITHOUT_POD:
            return publish_cached_step_run(request, self._run)
        return Client().zen_store.create_run_step(request)

    def _existing(self, name: str) -> StepRunResponse:
        found = patiently(
            lambda: Client().list_run_steps(
                name=name,
                pipeline_run_id=self._run.id,
                project=self._run.project_id,
                exclude_retried=True,
                hydrate=True,
                size=1,
            )
        )
        return found.items[0]

    def _end(
        self,
        step_run_id: UUID,
        status: ExecutionStatus,
        exception_info: ExceptionInfo | None = None,
    ) -> StepRunResponse:
        # Refused when the pod has reported in the meantime; then its word counts.
        with contextlib.suppress(IllegalOperationError):
            patiently(
                lambda: publish_utils.publish_step_run_status_update(
                    step_run_id=step_run_id, status=status, exception_info=exception_info
                )
            )
        return self.refresh(step_run_id)

    def _remember(self, step_run: StepRunResponse) -> None:
        with self._lock:
            self._latest[step_run.name] = step_run
        self._factory.record_step_run(step_run)


def _tolerantly(call: Callable[[], None]) -> None:
    try:
        call()
    except Exception as error:
        logger.warning("Metadata cannot be attached: %s", error)
