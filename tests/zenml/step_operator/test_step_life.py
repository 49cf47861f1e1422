"""What happens to steps on a cluster: timeouts, cancels, preemption, expiry, outages, kills."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from zenml.client import Client
from zenml.enums import ExecutionStatus

from runai_api import RunaiClient
from zenml_runai import errors

pytestmark = pytest.mark.zenml

CPU = {"gpu_devices_request": 0, "cpu_core_request": 0.1, "cpu_memory_request": "100M"}
CODE = Path(__file__).parent / "code"


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Wait for something that happens elsewhere."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)
    return found


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def running_step(name: str) -> Any:
    """The newest step run of this name that has a workload."""
    steps = Client().list_run_steps(name=name, sort_by="desc:created", size=1, hydrate=True)
    return next((step for step in steps if step.run_metadata.get("runai_workload_id")), None)


def workload_of(administrator: RunaiClient, step: Any) -> Any:
    return administrator.workloads.get(str(step.run_metadata["runai_workload_id"]))


@pytest.fixture
def started(tmp_path: Path) -> Path:
    return tmp_path / "started"


@pytest.fixture
def released(tmp_path: Path) -> Path:
    return tmp_path / "released"


def test_workload_timeout_stops_the_process(
    code: ModuleType, administrator: RunaiClient, started: Path
) -> None:
    settings = {"settings": {"step_operator": {**CPU, "workload_timeout": 2}}}
    pipeline = code.commanding.with_options(steps={"command": settings})
    with pytest.raises(errors.RunAIWorkloadTimeout, match="workload_timeout"):
        pipeline(["sh", "-c", f"echo $$ > {started}; exec sleep 600"])
    step = running_step("command")
    assert step.status is ExecutionStatus.FAILED
    assert "Raise workload_timeout" in step.exception_info.message
    assert workload_of(administrator, step).phase in ("Stopping", "Stopped")
    until(lambda: not is_alive(int(started.read_text())))


def test_workload_timeout_in_a_dynamic_pipeline(
    code: ModuleType, administrator: RunaiClient, started: Path
) -> None:
    settings = {"settings": {"step_operator": {**CPU, "workload_timeout": 2}}}
    pipeline = code.dynamic_sleeping.with_options(steps={"sleep": settings})
    with pytest.raises(errors.RunAIWorkloadTimeout, match="workload_timeout"):
        pipeline(600.0, str(started))
    step = running_step("sleep")
    assert step.status is ExecutionStatus.FAILED
    until(lambda: workload_of(administrator, step).phase == "Stopped")


def test_pending_timeout_in_a_dynamic_pipeline(
    code: ModuleType, administrator: RunaiClient, started: Path, configure: Callable[..., None]
) -> None:
    configure(delete_on_failure=True)
    settings = {"step_operator": {"gpu_devices_request": 64, "pending_timeout": 2}}
    pipeline = code.dynamic_sleeping.with_options(steps={"sleep": {"settings": settings}})
    with pytest.raises(errors.RunAIPendingTimeout, match="node_pools"):
        pipeline(600.0, str(started))
    step = running_step("sleep")
    assert step.status is ExecutionStatus.FAILED
    name = step.run_metadata["runai_workload_name"]
    assert name not in [workload.name for workload in administrator.workloads.list()]
    assert not started.exists()


@pytest.mark.parametrize("delete", [False, True])
def test_cancel_stops_and_deletes_when_asked(
    code: ModuleType,
    administrator: RunaiClient,
    configure: Callable[..., None],
    meanwhile: Any,
    started: Path,
    released: Path,
    delete: bool,
) -> None:
    configure(delete_on_cancel=delete)

    def cancel() -> None:
        until(started.exists)
        step = until(lambda: running_step("wait_for"))
        Client().active_stack.step_operator.cancel(step)

    meanwhile(cancel)
    with pytest.raises(RuntimeError):
        code.waiting(str(started), str(released))
    step = running_step("wait_for")
    until(lambda: not is_alive(int(started.read_text())))
    names = {w.name: w.phase for w in administrator.workloads.list()}
    name = str(step.run_metadata["runai_workload_name"])
    assert names.get(name) in ((None,) if delete else ("Stopping", "Stopped"))


def test_preempted_step_resumes_the_same_step_run(
    code: ModuleType,
    steps_emulator: Any,
    meanwhile: Any,
    started: Path,
    released: Path,
) -> None:
    def preempt() -> None:
        until(started.exists)
        step = until(lambda: running_step("wait_for"))
        steps_emulator.provoke(str(step.run_metadata["runai_workload_id"]), "preempt")
        until(lambda: len(started.read_text().split()) == 2)
        released.touch()

    meanwhile(preempt)
    run = code.waiting(str(started), str(released))
    assert run.status.value == "completed"
    assert len(Client().list_run_steps(pipeline_run_id=run.id, exclude_retried=False)) == 1
    first, second = started.read_text().split()
    assert first != second


def test_out_of_memory_is_said_with_the_remedy(
    code: ModuleType, steps_emulator: Any, meanwhile: Any, started: Path, released: Path
) -> None:
    def kill() -> None:
        until(started.exists)
        step = until(lambda: running_step("wait_for"))
        steps_emulator.provoke(str(step.run_metadata["runai_workload_id"]), "oom")

    meanwhile(kill)
    with pytest.raises(errors.RunAIOutOfMemory, match="cpu_memory_request"):
        code.waiting(str(started), str(released))


def test_somebody_stops_the_workload_in_runai(
    code: ModuleType, administrator: RunaiClient, meanwhile: Any, started: Path, released: Path
) -> None:
    def suspend() -> None:
        until(started.exists)
        step = until(lambda: running_step("wait_for"))
        administrator.trainings.suspend(str(step.run_metadata["runai_workload_id"]))

    meanwhile(suspend)
    with pytest.raises(errors.RunAIWorkloadStopped):
        code.waiting(str(started), str(released))


def test_somebody_deletes_the_workload_in_runai(
    code: ModuleType, administrator: RunaiClient, meanwhile: Any, started: Path, released: Path
) -> None:
    def delete() -> None:
        until(started.exists)
        step = until(lambda: running_step("wait_for"))
        administrator.trainings.delete(str(step.run_metadata["runai_workload_id"]))

    meanwhile(delete)
    with pytest.raises(errors.RunAIWorkloadGone):
        code.waiting(str(started), str(released))


def test_tokens_expire_and_the_control_plane_is_away_during_a_run(
    code: ModuleType,
    steps_emulator: Any,
    meanwhile: Any,
    started: Path,
    released: Path,
) -> None:
    def trouble() -> None:
        until(started.exists)
        steps_emulator.add_fault(kind="expire-tokens", path="/api/v1/workloads", times=2)
        until(lambda: steps_emulator.fault_hits("expire-tokens") == 2)
        for kind in ("status", "reset-before", "content-type", "truncate"):
            steps_emulator.clear_faults()
            steps_emulator.add_fault(kind=kind, status=503, path="/api/*", times=None)
            until(lambda kind=kind: steps_emulator.fault_hits(kind) >= 2)
        # It ends while the control plane is away.
        pid = int(started.read_text())
        released.touch()
        until(lambda: not is_alive(pid))
        steps_emulator.clear_faults()

    meanwhile(trouble)
    assert code.waiting(str(started), str(released)).status.value == "completed"


def test_rotated_credentials_are_picked_up_during_a_run(
    code: ModuleType,
    administrator: RunaiClient,
    account: Any,
    meanwhile: Any,
    started: Path,
    released: Path,
) -> None:
    def rotate() -> None:
        until(started.exists)
        secret = administrator.service_accounts.regenerate_secret(account.id)
        account.client_secret = secret.get_secret_value()
        Client().update_secret(
            "runai-steps", add_or_update_values={"client_secret": account.client_secret}
        )
        # Longer than a token lives.
        time.sleep(6.0)
        released.touch()

    meanwhile(rotate)
    assert code.waiting(str(started), str(released)).status.value == "completed"


def test_lost_answer_to_a_submission_starts_no_second_workload(
    code: ModuleType, steps_emulator: Any, administrator: RunaiClient
) -> None:
    before = {workload.id for workload in administrator.workloads.list()}
    steps_emulator.add_fault(
        kind="reset-after", method="POST", path="/api/v1/workloads/trainings", times=1
    )
    run = code.commanding(["true"])
    assert run.status.value == "completed"
    new = [w for w in administrator.workloads.list() if w.id not in before]
    assert [w.id for w in new] == [str(run.steps["command"].run_metadata["runai_workload_id"])]


def test_submission_during_an_outage_only_waits(
    code: ModuleType, steps_emulator: Any, administrator: RunaiClient
) -> None:
    before = len(administrator.workloads.list())
    steps_emulator.add_fault(
        kind="status", status=503, method="POST", path="/api/v1/workloads/*", times=4
    )
    assert code.commanding(["true"]).status.value == "completed"
    assert len(administrator.workloads.list()) == before + 1


@pytest.fixture
def client_process(
    code: ModuleType, zenml_session: Any, started: Path, released: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits for a running step of the pipeline `waiting`."""
    process = subprocess.Popen(
        [sys.executable, str(CODE / "run_waiting.py"), str(started), str(released)],
        env=os.environ | {"ZENML_ACTIVE_STACK_ID": str(Client().active_stack_model.id)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(started.exists)
        yield process
    finally:
        process.kill()
        process.wait()


def test_interrupted_client_stops_its_workload(
    client_process: subprocess.Popen[bytes], administrator: RunaiClient, started: Path
) -> None:
    client_process.send_signal(signal.SIGINT)
    assert client_process.wait(60) != 0
    step = running_step("wait_for")
    until(lambda: not is_alive(int(started.read_text())))
    assert workload_of(administrator, step).phase in ("Stopping", "Stopped")


def test_killed_client_leaves_a_workload_that_the_next_process_takes_up(
    client_process: subprocess.Popen[bytes], released: Path
) -> None:
    client_process.kill()
    client_process.wait()
    step = running_step("wait_for")
    operator = Client().active_stack.step_operator
    # As if the process had died before it could write down the workload's id.
    step.run_metadata.clear()
    assert operator.get_status(step) is ExecutionStatus.RUNNING
    released.touch()
    assert operator.wait(step) is ExecutionStatus.COMPLETED
    operator.cleanup_step_submission(step)
    assert Client().get_run_step(step.id).status is ExecutionStatus.COMPLETED
