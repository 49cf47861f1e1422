"""What the head makes of what it sees: reports of pods, ends of workloads, stops, restarts."""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from zenml.config.retry_config import StepRetryConfig
from zenml.enums import ExecutionStatus

_spec = importlib.util.spec_from_file_location("played", Path(__file__).with_name("conftest.py"))
assert _spec is not None
assert _spec.loader is not None
played = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(played)
Server, Launcher, ends = played.PlayedServer, played.PlayedLauncher, played.ends

DIAMOND = {"load": [], "left": ["load"], "right": ["load"], "join": ["left", "right"]}
Head = Callable[..., Any]


def statuses(server: Any) -> dict[str, list[str]]:
    return {name: [a.status.value for a in attempts] for name, attempts in server.attempts.items()}


def test_a_run_completes_and_says_what_it_has_used(head: Head) -> None:
    server = Server()
    server.cached.add("load")
    launcher = Launcher(server, {})
    assert head(DIAMOND, server, launcher).run() is ExecutionStatus.COMPLETED
    assert statuses(server) == {
        "load": ["cached"], "left": ["completed"], "right": ["completed"], "join": ["completed"],
    }  # fmt: skip
    assert "load" not in launcher.launched
    # 2.0 of each that ran, and 0.5 of each that became known when it was cleaned up.
    assert server.run_metadata == {"runai_gpu_seconds": 7.5}
    assert sorted(launcher.cleaned) == [(n, "completed") for n in ("join", "left", "right")]


@pytest.mark.parametrize(
    ("reported", "phase", "becomes"),
    [
        ("completed", "completed", "completed"),
        ("completed", "failed", "completed"),
        ("failed", "failed", "failed"),
        ("failed", "completed", "failed"),
        (None, "failed", "failed"),
        (None, "completed", "failed"),
        (None, "stopped", "stopped"),
        ("stopped", "failed", "stopped"),
        ("stopping", "failed", "stopped"),
    ],
)
def test_the_pods_word_counts_and_a_dead_pod_gets_one(
    head: Head, reported: str | None, phase: str, becomes: str
) -> None:
    server = Server()
    launcher = Launcher(server, {"only": lambda step: ends(step, reported, phase)})
    head({"only": []}, server, launcher).run()
    assert statuses(server) == {"only": [becomes]}


def test_the_cause_of_a_silent_death_is_the_steps_error(head: Head) -> None:
    server = Server()
    launcher = Launcher(server, {"only": lambda step: ends(step, None, "failed")})
    assert head({"only": []}, server, launcher).run() is ExecutionStatus.FAILED
    assert str(server.latest("only").error) == "the workload is failed"
    server = Server()
    launcher = Launcher(server, {"only": lambda step: ends(step, None, "completed")})
    head({"only": []}, server, launcher).run()
    assert "did not report a result" in str(server.latest("only").error)


def test_a_command_and_a_service_succeed_without_a_word(head: Head) -> None:
    from zenml_runai.orchestrators._launcher import Ending

    server = Server()

    def command(step: Any) -> Any:
        step.info.step_run.config.command = ["train"]
        return ends(step, None, "completed")

    def serve(step: Any) -> Any:
        return Ending(ExecutionStatus.COMPLETED, is_service=True)

    launcher = Launcher(server, {"command": command, "serve": serve})
    head({"command": [], "serve": []}, server, launcher).run()
    assert statuses(server) == {"command": ["completed"], "serve": ["completed"]}


def test_retries_wait_their_growing_delay_and_are_new_step_runs(head: Head) -> None:
    retry = StepRetryConfig(max_retries=3, delay=1, backoff=2)
    retry = retry.model_copy(update={"delay": 0.2})
    server = Server({"flaky": retry})
    outcomes = iter(["failed", "failed", "completed"])
    launcher = Launcher(server, {"flaky": lambda step: ends(step, next(outcomes), "failed")})
    assert head({"flaky": [], "after": ["flaky"]}, server, launcher).run() is (
        ExecutionStatus.COMPLETED
    )
    assert statuses(server)["flaky"] == ["retried", "retried", "completed"]
    times = [server.opened_at[attempt.id] for attempt in server.attempts["flaky"]]
    assert times[1] - times[0] >= 0.2
    assert times[2] - times[1] >= 0.4


def test_a_refused_submission_fails_the_step_with_its_error(head: Head) -> None:
    server = Server()
    launcher = Launcher(server, {"left": played.refuses})
    assert head(DIAMOND, server, launcher).run() is ExecutionStatus.FAILED
    assert statuses(server)["left"] == ["failed"]
    assert "the control plane refuses" in str(server.latest("left").error)
    assert "join" not in server.attempts


@pytest.mark.parametrize(
    ("mode", "sibling"), [("fail_fast", "stopped"), ("stop_on_failure", "completed")]
)
def test_modes_end_siblings_or_let_them(head: Head, mode: str, sibling: str) -> None:
    server = Server()
    failed = threading.Event()

    def bad(step: Any) -> Any:
        ending = ends(step, "failed", "failed")
        failed.set()
        return ending

    def slow(step: Any) -> Any:
        failed.wait(10)
        if mode == "fail_fast":
            return None
        time.sleep(0.1)
        return ends(step, "completed", "completed")

    launcher = Launcher(server, {"bad": bad, "slow": slow})
    upstream = {"slow": [], "bad": [], "after": ["slow"]}
    assert head(upstream, server, launcher, mode).run() is ExecutionStatus.FAILED
    assert statuses(server) == {"slow": [sibling], "bad": ["failed"]}
    assert launcher.stopped == (["slow"] if mode == "fail_fast" else [])


def test_a_graceful_stop_drains_and_ends_the_run(head: Head) -> None:
    server = Server()

    def slow(step: Any) -> Any:
        server.run = ExecutionStatus.STOPPING
        time.sleep(0.2)
        return ends(step, "completed", "completed")

    launcher = Launcher(server, {"slow": slow})
    upstream = {"slow": [], "after": ["slow"]}
    assert head(upstream, server, launcher).run() is ExecutionStatus.STOPPED
    assert statuses(server) == {"slow": ["completed"]}
    assert launcher.stopped == []


def test_a_step_that_the_server_refuses_because_of_a_stop_is_no_failure(head: Head) -> None:
    server = Server()

    def slow(step: Any) -> Any:
        ending = ends(step, "completed", "completed")
        server.run = ExecutionStatus.STOPPING
        return ending

    assert head(
        {"slow": [], "after": ["slow"]}, server, Launcher(server, {"slow": slow})
    ).run() is (ExecutionStatus.STOPPED)
    assert "after" not in server.attempts


def test_a_forced_stop_stops_what_runs(head: Head) -> None:
    server = Server()

    def stuck(step: Any) -> Any:
        server.run = ExecutionStatus.STOPPED

    launcher = Launcher(server, {"stuck": stuck})
    assert head({"stuck": [], "after": ["stuck"]}, server, launcher).run() is (
        ExecutionStatus.STOPPED
    )
    assert launcher.stopped == ["stuck"]
    assert statuses(server) == {"stuck": ["stopped"]}


def test_another_head_takes_up_what_is_there(head: Head) -> None:
    server = Server()
    server.add(
        "load",
        "completed",
    )
    server.add("left", "running")
    launcher = Launcher(server, {})
    assert head(DIAMOND, server, launcher).run() is ExecutionStatus.COMPLETED
    assert sorted(launcher.launched) == ["join", "left", "right"]
    assert [len(attempts) for attempts in server.attempts.values()] == [1, 1, 1, 1]


def test_another_head_waits_the_rest_of_a_delay(head: Head) -> None:
    retry = StepRetryConfig(max_retries=2, delay=10, backoff=1)
    server = Server({"flaky": retry})
    ago = datetime.now(UTC) - timedelta(seconds=9.7)
    server.add("flaky", "retrying").end_time = ago
    launcher = Launcher(server, {})
    started = time.monotonic()
    assert head({"flaky": []}, server, launcher).run() is ExecutionStatus.COMPLETED
    assert 0.2 <= time.monotonic() - started < 5
    assert statuses(server) == {"flaky": ["retried", "completed"]}


def test_a_pod_that_lingers_after_its_failure_is_not_waited_for(
    head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zenml_runai.orchestrators import _head

    monkeypatch.setattr(_head, "LINGERING_CHECK_SECONDS", 0.05)
    server = Server()

    def lingers(step: Any) -> None:
        server.report("bad", "failed")

    launcher = Launcher(server, {"bad": lingers})
    assert head({"bad": [], "good": []}, server, launcher).run() is ExecutionStatus.FAILED
    assert statuses(server) == {"bad": ["failed"], "good": ["completed"]}
    assert ("bad", "failed") in launcher.cleaned, "it is cleaned up, which ends the pod"


def test_a_late_end_of_an_earlier_attempt_does_not_end_the_next(
    head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zenml_runai.orchestrators import _head

    monkeypatch.setattr(_head, "LINGERING_CHECK_SECONDS", 0.05)
    retry = StepRetryConfig(max_retries=1, delay=0, backoff=1)
    server = Server({"flaky": retry})

    def flaky(step: Any) -> Any:
        if step.info.step_run.version == 1:
            server.report("flaky", "failed")
            return None
        first = server.attempts["flaky"][0]
        step.launcher.ended[first.id]()
        time.sleep(0.2)
        assert not server.latest("flaky").status.is_finished
        return ends(step, "completed", "completed")

    launcher = Launcher(server, {"flaky": flaky})
    assert head({"flaky": []}, server, launcher).run() is ExecutionStatus.COMPLETED
    assert statuses(server) == {"flaky": ["retried", "completed"]}


def test_zenml_away_while_asked_for_a_stop_changes_nothing(head: Head) -> None:
    server = Server()
    answers = iter([requests.exceptions.ConnectionError("away")])

    def run_status() -> Any:
        error = next(answers, None)
        if error is not None:
            raise error
        return server.run

    server.run_status = run_status
    assert head(DIAMOND, server, Launcher(server, {})).run() is ExecutionStatus.COMPLETED


def test_server_stand_in_refuses_what_zenml_refuses() -> None:
    server = Server()
    step_run = server.add("a")
    server.report("a", "completed")
    assert server.fail(step_run.id, RuntimeError()).status is ExecutionStatus.COMPLETED
    assert isinstance(server.info(step_run), SimpleNamespace)
