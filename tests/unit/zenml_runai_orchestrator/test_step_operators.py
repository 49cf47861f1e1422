"""Steps on step operators of any make, driven by the head itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from zenml.enums import ExecutionStatus

from zenml_runai.orchestrators import _step_operators
from zenml_runai.orchestrators._step_operators import StepOperatorLauncher


class Operator:
    """A step operator of the present kind: submits, and is asked for the status."""

    flavor = "elsewhere"

    def __init__(self, *answers: Any) -> None:
        self.id, self.name = uuid4(), "elsewhere"
        self.answers: Iterator[Any] = iter(answers)
        self.submitted: list[tuple[list[str], dict[str, str]]] = []
        self.cancelled: list[Any] = []
        self.cleaned: list[Any] = []

    @property
    def entrypoint_config_class(self) -> Any:
        from zenml_runai.entrypoints.step import RunAIStepEntrypoint

        return RunAIStepEntrypoint

    def submit(self, info: Any, entrypoint_command: list[str], environment: Any) -> None:
        self.submitted.append((entrypoint_command, environment))

    def get_status(self, step_run: Any) -> ExecutionStatus:
        answer = next(self.answers, ExecutionStatus.RUNNING)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def cancel(self, step_run: Any) -> None:
        self.cancelled.append(step_run)

    def cleanup_step_submission(self, step_run: Any) -> None:
        self.cleaned.append(step_run)


class OldOperator(Operator):
    """One that launches a step and waits for its end."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error
        self.submit = self._cannot  # type: ignore[method-assign]

    def _cannot(self, info: Any, entrypoint_command: Any, environment: Any) -> None:
        raise NotImplementedError

    def launch(self, info: Any, entrypoint_command: Any, environment: Any) -> None:
        if self.error is not None:
            raise self.error


def info() -> Any:
    step_run = SimpleNamespace(id=uuid4(), name="trainer", run_metadata={}, status=None)
    return SimpleNamespace(
        step_run=step_run,
        step_run_id=step_run.id,
        pipeline_step_name="trainer",
        config=SimpleNamespace(command=["python", "train.py"]),
        snapshot=SimpleNamespace(id=uuid4()),
    )


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_step_operators, "OPERATOR_POLL_SECONDS", 0.01)
    monkeypatch.setattr(_step_operators, "OPERATOR_POLL_SECONDS_MAX", 0.02)


def run(operator: Any, given: Any) -> tuple[StepOperatorLauncher, dict[Any, Any]]:
    attached: dict[Any, Any] = {}
    launcher = StepOperatorLauncher(operator, lambda _: {"A": "b"}, attached.__setitem__)
    ended = threading.Event()
    assert launcher.launch(given, ended.set) is False
    assert ended.wait(10)
    return launcher, attached


@pytest.mark.parametrize(
    ("last", "becomes"),
    [
        (ExecutionStatus.COMPLETED, "completed"),
        (ExecutionStatus.FAILED, "failed"),
        (ExecutionStatus.CANCELLED, "failed"),
        (ExecutionStatus.STOPPED, "stopped"),
        (ExecutionStatus.RETRYING, "failed"),
    ],
)
def test_a_step_is_submitted_watched_and_cleaned_up(last: ExecutionStatus, becomes: str) -> None:
    operator, given = Operator(ExecutionStatus.PROVISIONING, ExecutionStatus.RUNNING, last), info()
    launcher, attached = run(operator, given)
    ending = launcher.ending(given.step_run)
    assert ending.status.value == becomes
    assert (ending.error is None) == (becomes == "completed")
    ((command, environment),) = operator.submitted
    assert command == ["python", "train.py"]
    assert environment == {"A": "b", "ZENML_STEP_OPERATOR": "True"}
    assert attached == {given.step_run_id: {"runai_submitted_to": "elsewhere"}}
    given.step_run.run_metadata["runai_gpu_seconds"] = 7.5
    assert launcher.clean_up(given.step_run) == 7.5
    assert operator.cleaned == [given.step_run]
    assert operator.cancelled == []


def test_another_head_does_not_submit_it_again() -> None:
    operator, given = Operator(ExecutionStatus.COMPLETED), info()
    given.step_run.run_metadata["runai_submitted_to"] = "elsewhere"
    launcher, _ = run(operator, given)
    assert operator.submitted == []
    assert launcher.ending(given.step_run).status is ExecutionStatus.COMPLETED


def test_a_backend_that_does_not_answer_leaves_zenmls_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    statuses = iter([ExecutionStatus.RUNNING, ExecutionStatus.FAILED])
    monkeypatch.setattr(
        _step_operators,
        "Client",
        lambda: SimpleNamespace(
            get_run_step=lambda *a, **k: SimpleNamespace(status=next(statuses))
        ),
    )
    operator, given = Operator(OSError("away"), OSError("away")), info()
    launcher, _ = run(operator, given)
    assert launcher.ending(given.step_run).status is ExecutionStatus.FAILED


def test_an_operator_of_the_old_kind_is_waited_for() -> None:
    given = info()
    launcher, _ = run(OldOperator(), given)
    assert launcher.ending(given.step_run).status is ExecutionStatus.COMPLETED
    given = info()
    launcher, _ = run(OldOperator(ValueError("boom")), given)
    ending = launcher.ending(given.step_run)
    assert ending.status is ExecutionStatus.FAILED
    assert isinstance(ending.error, ValueError)


def test_an_operator_that_can_do_neither_is_an_error() -> None:
    operator = OldOperator()
    operator.launch = None  # type: ignore[assignment,method-assign]
    launcher = StepOperatorLauncher(operator, lambda _: {}, lambda *_: None)  # type: ignore[arg-type]
    with pytest.raises(NotImplementedError, match="can neither submit nor launch"):
        launcher.launch(info(), lambda: None)


def test_a_running_step_is_cancelled() -> None:
    operator, given = Operator(), info()
    launcher = StepOperatorLauncher(operator, lambda _: {}, lambda *_: None)  # type: ignore[arg-type]
    launcher.launch(given, lambda: None)
    launcher.stop(given.step_run)
    assert operator.cancelled == [given.step_run]
