"""Steps that a step operator of the stack runs, driven by the head itself.

ZenML's other orchestrators start a pod that waits for the step operator. The head does not need
one: it submits, asks for the status and cancels through the operator's own methods.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from zenml.client import Client
from zenml.config.step_run_info import StepRunInfo
from zenml.constants import ENV_ZENML_STEP_OPERATOR
from zenml.enums import ExecutionStatus
from zenml.logger import get_logger
from zenml.metadata.metadata_types import MetadataType
from zenml.models import StepRunResponse
from zenml.orchestrators.utils import get_step_entrypoint_command
from zenml.step_operators import BaseStepOperator

from zenml_runai import FLAVOR_NAME
from zenml_runai._metadata import gpu_seconds
from zenml_runai.errors import RunAIWorkloadFailed
from zenml_runai.orchestrators._constants import (
    OPERATOR_POLL_SECONDS,
    OPERATOR_POLL_SECONDS_MAX,
)
from zenml_runai.orchestrators._launcher import Ending

logger = get_logger(__name__)

#: Metadata of a step run that its operator has accepted; a new head does not submit it again.
_SUBMITTED = "runai_submitted_to"


@dataclass
class _Flight:
    info: StepRunInfo
    ended: Callable[[], None]
    pause: float
    next_look: float
    ending: Ending | None = None


class StepOperatorLauncher:
    """Runs steps through one step operator.

    Args:
        operator: The step operator.
        environment: The environment of a step.
        attach: Attaches metadata to a step run in ZenML.
    """

    def __init__(
        self,
        operator: BaseStepOperator,
        environment: Callable[[StepRunInfo], Mapping[str, str]],
        attach: Callable[[UUID, dict[str, MetadataType]], None],
    ) -> None:
        self._operator = operator
        self._environment = environment
        self._attach = attach
        # Our own operator answers from what the head's monitor knows; others ask their backend.
        self._patient = operator.flavor != FLAVOR_NAME
        self._flights: dict[UUID, _Flight] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def component_id(self) -> UUID:
        return self._operator.id

    def launch(self, info: StepRunInfo, ended: Callable[[], None]) -> bool:
        flight = _Flight(info, ended, OPERATOR_POLL_SECONDS, time.monotonic())
        if _SUBMITTED not in info.step_run.run_metadata:
            command, arguments = get_step_entrypoint_command(
                invocation_id=info.pipeline_step_name,
                config=info.config,
                entrypoint_config_class=self._operator.entrypoint_config_class,
                snapshot_id=info.snapshot.id,
                step_run_id=str(info.step_run_id),
            )
            environment = {**self._environment(info), ENV_ZENML_STEP_OPERATOR: "True"}
            try:
                self._operator.submit(info, [*command, *arguments], environment)
            except NotImplementedError:
                return self._launch_and_wait(flight, [*command, *arguments], environment)
            self._note_submission(info)
        with self._lock:
            self._flights[info.step_run_id] = flight
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._poll, name="runai-step-operators", daemon=True
                )
                self._thread.start()
        return False

    def _note_submission(self, info: StepRunInfo) -> None:
        self._attach(info.step_run_id, {_SUBMITTED: self._operator.name})
        info.step_run.run_metadata[_SUBMITTED] = self._operator.name

    def _launch_and_wait(
        self, flight: _Flight, command: list[str], environment: dict[str, str]
    ) -> bool:
        """Operators of the old kind only know how to launch a step and wait for its end."""
        launch = getattr(self._operator, "launch", None)
        if not callable(launch):
            raise NotImplementedError(
                f"The step operator `{self._operator.name}` can neither submit nor launch steps."
            )

        def run() -> None:
            try:
                launch(info=flight.info, entrypoint_command=command, environment=environment)
                flight.ending = Ending(ExecutionStatus.COMPLETED)
            except Exception as error:
                flight.ending = Ending(ExecutionStatus.FAILED, error)
            flight.ended()

        with self._lock:
            self._flights[flight.info.step_run_id] = flight
        name = f"runai-launch-{flight.info.pipeline_step_name}"
        threading.Thread(target=run, name=name, daemon=True).start()
        return False

    def _poll(self) -> None:
        while True:
            with self._lock:
                waiting = [each for each in self._flights.values() if each.ending is None]
                if not waiting:
                    self._thread = None
                    return
            now = time.monotonic()
            for flight in waiting:
                if flight.next_look <= now:
                    self._look(flight)
            time.sleep(OPERATOR_POLL_SECONDS)

    def _look(self, flight: _Flight) -> None:
        step_run = flight.info.step_run
        try:
            try:
                status = self._operator.get_status(step_run)
            except Exception as error:
                logger.warning("Step operator `%s`: %s", self._operator.name, error)
                status = Client().get_run_step(step_run.id, hydrate=False).status
        except Exception as error:
            logger.warning("No status of step `%s`: %s", step_run.name, error)
            status = ExecutionStatus.RUNNING
        if status.is_finished or status is ExecutionStatus.RETRYING:
            flight.ending = self._judge(flight, status)
            flight.ended()
            return
        if self._patient:
            flight.pause = min(flight.pause * 2, OPERATOR_POLL_SECONDS_MAX)
        flight.next_look = time.monotonic() + flight.pause

    def _judge(self, flight: _Flight, status: ExecutionStatus) -> Ending:
        if status.is_successful:
            return Ending(ExecutionStatus.COMPLETED)
        error = RunAIWorkloadFailed(
            f"Step `{flight.info.pipeline_step_name}` is {status.value} on step operator"
            f" `{self._operator.name}`."
        )
        stopped = status is ExecutionStatus.STOPPED
        return Ending(ExecutionStatus.STOPPED if stopped else ExecutionStatus.FAILED, error)

    def ending(self, step_run: StepRunResponse) -> Ending:
        with self._lock:
            flight = self._flights.get(step_run.id)
        if flight is None or flight.ending is None:
            return Ending(ExecutionStatus.RUNNING)
        return flight.ending

    def stop(self, step_run: StepRunResponse) -> None:
        with self._lock:
            flight = self._flights.pop(step_run.id, None)
        self._operator.cancel(flight.info.step_run if flight else step_run)

    def clean_up(self, step_run: StepRunResponse) -> float:
        with self._lock:
            flight = self._flights.pop(step_run.id, None)
        known = flight.info.step_run if flight else step_run
        if flight is not None and flight.ending is None:
            self._operator.cancel(known)
        self._operator.cleanup_step_submission(known)
        return gpu_seconds(known.run_metadata)
