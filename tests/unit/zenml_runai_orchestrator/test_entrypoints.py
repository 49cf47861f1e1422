"""What the workloads do before and around the user's code."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from zenml.enums import ExecutionStatus
from zenml.steps.heartbeat import StepHeartBeatTerminationException

from zenml_runai.entrypoints import _app_folder, environment, step
from zenml_runai.entrypoints.step import RunAIStepEntrypoint


@pytest.fixture
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def test_the_app_folder_is_the_one_that_is_named(
    somewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(environment.APP_FOLDER, "code/app")
    assert _app_folder.app_folder() == somewhere / "code" / "app"
    monkeypatch.setenv(environment.APP_FOLDER, str(somewhere / "absolute"))
    assert _app_folder.app_folder() == somewhere / "absolute"
    assert (somewhere / "absolute").is_dir()


def test_without_a_name_it_is_zenmls_or_a_new_one(
    somewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(environment.APP_FOLDER, raising=False)
    monkeypatch.setattr(_app_folder, "DEFAULT_APP_FOLDER", somewhere / "app")
    assert _app_folder.app_folder() == somewhere / "app"
    monkeypatch.setattr(_app_folder.os, "access", lambda *a: False)
    first, second = _app_folder.app_folder(), _app_folder.app_folder()
    assert first != second
    assert os.path.isdir(first)
    monkeypatch.setattr(_app_folder, "DEFAULT_APP_FOLDER", somewhere / "missing" / "app")
    assert _app_folder.app_folder().is_dir()


def test_code_that_is_in_the_image_can_be_imported(
    somewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(environment.APP_FOLDER, "app")
    entrypoint = RunAIStepEntrypoint.__new__(RunAIStepEntrypoint)
    monkeypatch.setattr(RunAIStepEntrypoint, "should_download_code", False)
    entrypoint.prepare_code_environment()
    assert Path.cwd() == somewhere / "app"
    assert sys.path[0] == str(somewhere / "app")


@pytest.mark.parametrize(
    ("kind", "rank", "serves", "follows"),
    [
        ("training", None, False, False),
        ("training", "3", False, False),
        ("distributed", None, False, False),
        ("distributed", "0", False, False),
        ("distributed", "1", False, True),
        ("inference", None, True, False),
        (None, "1", False, False),
    ],
)
def test_which_pods_report(
    monkeypatch: pytest.MonkeyPatch,
    kind: str | None,
    rank: str | None,
    serves: bool,
    follows: bool,
) -> None:
    for name, value in ((environment.WORKLOAD_TYPE, kind), (environment.RANK, rank)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert environment.serves() is serves
    assert environment.follows() is follows


class Entrypoint(RunAIStepEntrypoint):
    """A step's entrypoint whose step run and code are played."""

    def __init__(self, status: str, error: BaseException | None = None) -> None:
        super().__init__(
            ["--snapshot_id", str(uuid4()), "--step_name", "s", "--step_run_id", str(uuid4())]
        )
        self._snapshot = SimpleNamespace(
            is_dynamic=False, pipeline_configuration=SimpleNamespace(name="p")
        )
        self._step_run = SimpleNamespace(id=uuid4(), status=ExecutionStatus(status))
        self.error = error
        self.ran = 0

    @property
    def step(self) -> Any:
        return None

    def prepare_code_environment(self) -> None:
        pass

    def _run_step(self, step: Any, snapshot: Any) -> None:
        self.ran += 1
        if self.error is not None:
            raise self.error


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is told to ZenML; a step run that is asked for still runs."""
    told: list[Any] = []
    monkeypatch.setattr(
        step,
        "Client",
        lambda: SimpleNamespace(
            get_run_step=lambda *a, **k: SimpleNamespace(id=a[0], status=ExecutionStatus.RUNNING)
        ),
    )
    monkeypatch.setattr(step, "publish_step_run_status_update", lambda **given: told.append(given))
    monkeypatch.setattr(step, "publish_stopped_step_run", lambda found: told.append("stopped"))
    monkeypatch.delenv(environment.WORKLOAD_TYPE, raising=False)
    return told


@pytest.mark.parametrize("status", ["completed", "failed", "stopped", "retrying", "retried"])
def test_a_restarted_pod_whose_step_run_is_over_does_nothing(
    status: str, published: list[Any]
) -> None:
    entrypoint = Entrypoint(status)
    entrypoint.run()
    assert entrypoint.ran == 0
    assert published == []


def test_a_restarted_pod_takes_up_a_running_step_run(published: list[Any]) -> None:
    entrypoint = Entrypoint("running")
    entrypoint.run()
    assert entrypoint.ran == 1
    assert published == []


def test_an_early_error_reaches_the_user(published: list[Any]) -> None:
    entrypoint = Entrypoint("running", ModuleNotFoundError("no module named torch"))
    with pytest.raises(ModuleNotFoundError):
        entrypoint.run()
    (told,) = published
    assert told["status"] is ExecutionStatus.FAILED
    assert "no module named torch" in told["exception_info"].traceback


def test_a_step_that_zenml_interrupts_is_stopped(published: list[Any]) -> None:
    Entrypoint("running", StepHeartBeatTerminationException("stop")).run()
    assert published == ["stopped"]


def test_a_replica_serves_whatever_the_step_run_is(
    published: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(environment.WORKLOAD_TYPE, "inference")
    entrypoint = Entrypoint("completed", RuntimeError("port in use"))
    with pytest.raises(RuntimeError):
        entrypoint.run()
    assert entrypoint.ran == 1
    assert published == [], "a replica that fails does not fail the step run"
