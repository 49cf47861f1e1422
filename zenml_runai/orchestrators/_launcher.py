"""The ways in which a step can be run, as the head sees them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from zenml.config.step_run_info import StepRunInfo
from zenml.enums import ExecutionStatus
from zenml.metadata.metadata_types import MetadataType
from zenml.models import StepRunResponse


@dataclass(frozen=True)
class Ending:
    """How the place where a step ran saw its end.

    `status` is COMPLETED, FAILED or STOPPED; `error` says why it is not COMPLETED. `is_service`
    is true for a step that has become a service: nobody reports its success.
    """

    status: ExecutionStatus
    error: Exception | None = None
    is_service: bool = False
    metadata: Mapping[str, MetadataType] = field(default_factory=dict)


class Launcher(Protocol):
    """One way to run steps; called from several threads at once."""

    @property
    def component_id(self) -> UUID:
        """The stack component under which metadata is attached."""

    def launch(self, info: StepRunInfo, ended: Callable[[], None]) -> bool:
        """Run a step run, or take it up where an earlier head has left it.

        Returns True when it has ended already. Otherwise `ended` is called when it has, from any
        thread. An error means that it does not run.
        """

    def ending(self, step_run: StepRunResponse) -> Ending:
        """How it ended; asked once, after the end."""

    def stop(self, step_run: StepRunResponse) -> None:
        """End it, if it runs."""

    def clean_up(self, step_run: StepRunResponse) -> float:
        """What is to be done after its end, by the component's configuration.

        What still runs although the step run is over is ended. Returns the GPU seconds that were
        noted on the step run only now, beside those of its `Ending`.
        """
