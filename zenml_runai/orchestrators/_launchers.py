"""Which way each step of a pipeline is run."""

import threading
from collections.abc import Callable, Mapping
from uuid import UUID

from zenml.config.step_configurations import Step
from zenml.config.step_run_info import StepRunInfo
from zenml.metadata.metadata_types import MetadataType
from zenml.stack import Stack

from zenml_runai.errors import RunAIInvalidSettings
from zenml_runai.orchestrators._launcher import Launcher
from zenml_runai.orchestrators._step_operators import StepOperatorLauncher


class Launchers:
    """The default way, and one for each step operator that a step names.

    Args:
        stack: The stack of the run.
        environment: The environment of a step.
        default: The way of a step without a step operator.
        attach: Attaches metadata to a step run in ZenML.
    """

    def __init__(
        self,
        stack: Stack,
        environment: Callable[[StepRunInfo], Mapping[str, str]],
        default: Launcher,
        attach: Callable[[UUID, dict[str, MetadataType]], None],
    ) -> None:
        self._stack = stack
        self._environment = environment
        self._default = default
        self._attach = attach
        self._operators: dict[str, StepOperatorLauncher] = {}
        self._lock = threading.Lock()

    def of(self, step: Step) -> Launcher:
        """The way to run a step.

        Raises:
            RunAIInvalidSettings: It names a step operator that the stack does not have.
        """
        wanted = step.config.step_operator
        if not wanted:
            return self._default
        operators = self._stack.step_operators
        operator = operators.get(wanted) if isinstance(wanted, str) else self._stack.step_operator
        if operator is None:
            raise RunAIInvalidSettings(
                f"The stack `{self._stack.name}` has no step operator"
                f"{f' `{wanted}`' if isinstance(wanted, str) else ''}.",
                f"It has: {', '.join(operators) or 'none'}.",
            )
        with self._lock:
            if operator.name not in self._operators:
                self._operators[operator.name] = StepOperatorLauncher(
                    operator, self._environment, self._attach
                )
            return self._operators[operator.name]
