"""What happens on a cluster: each test kills the real process of its sentence.

The run must end as if nothing had happened, with nothing run twice and nothing lost.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = [pytest.mark.zenml, pytest.mark.timeout(600)]

GATED = """
    cpu = {"orchestrator": RunAIOrchestratorSettings(gpu_devices_request=0)}

    @step
    def first() -> int:
        return mark("first")

    @step
    def middle(number: int) -> int:
        started = mark("middle")
        gate("middle")
        return number + started

    @step
    def beside(number: int) -> int:
        mark("beside")
        gate("beside")
        return number

    @step
    def last(middle: int, beside: int) -> None:
        mark(f"last-{middle}-{beside}")

    @pipeline(enable_cache=False, settings={"docker": DOCKER, **cpu})
    def gated():
        number = first()
        last(middle(number), beside(number))

    gated.with_options(run_name=RUN, **OPTIONS)()
"""


def start_gated(lab: Any, options: str = "{}") -> Any:
    return lab.start(f"OPTIONS = {options}\n{textwrap.dedent(GATED)}")


def head_of(lab: Any, name: str = "gated") -> dict[str, Any]:
    return lab.until(lambda: lab.workload(f"zenml-{name}"), "the head is there")


def process_of(lab: Any, run_id: str, entrypoint: str) -> psutil.Process:
    """The process in the pod of a head."""

    def find() -> psutil.Process | None:
        for process in psutil.process_iter(["cmdline"]):
            line = " ".join(process.info["cmdline"] or ())
            if f"zenml_runai.entrypoints.{entrypoint}" in line and run_id in line:
                return process
        return None

    return lab.until(find, f"the process of {entrypoint}")


def run_id_of(lab: Any, script: Any) -> str:
    def find() -> str | None:
        found = lab.api.call("GET", "/runs", params={"name": script.run_name})["items"]
        return str(found[0]["id"]) if found else None

    return str(lab.until(find, "the run exists"))


def status_of(lab: Any, run_id: str) -> str:
    return str(lab.api.run(run_id)["body"]["status"])


def both_gates_reached(lab: Any) -> bool:
    return lab.marked("middle") >= 1 and lab.marked("beside") >= 1


def test_preempted_step_resumes_and_a_killed_head_and_a_lost_client_change_nothing(
    lab: Any,
) -> None:
    script = start_gated(lab)
    run_id = run_id_of(lab, script)
    lab.until(lambda: both_gates_reached(lab), "both steps run")
    before = {name: runs[0]["id"] for name, runs in lab.api.steps(run_id).items()}

    # The client is lost.
    script.process.kill()
    script.process.wait()

    # The scheduler takes a step's resources back; it runs again as the same step run.
    lab.provoke(lab.workload("zenml-middle")["id"], "preempt")
    lab.until(lambda: lab.marked("middle") == 2, "the preempted step runs again")

    # The head dies and starts anew.
    head = process_of(lab, run_id, "pipeline")
    head.send_signal(signal.SIGKILL)
    head.wait(10)
    replaced = process_of(lab, run_id, "pipeline")
    assert replaced.pid != head.pid
    lab.until(lambda: "Taking up" in lab.logs(head_of(lab)["id"]), "the new head takes up")

    lab.open_gate("middle")
    lab.open_gate("beside")
    lab.until(lambda: status_of(lab, run_id) == "completed", "the run completes")
    assert {name: len(runs) for name, runs in lab.api.steps(run_id).items()} == {
        "first": 1, "middle": 1, "beside": 1, "last": 1,
    }  # fmt: skip
    after = {name: runs[0]["id"] for name, runs in lab.api.steps(run_id).items()}
    assert before.items() <= after.items()
    assert lab.marked("first") == 1
    assert lab.marked("beside") == 1, "a step that was not killed ran once"
    assert lab.marked("last-3-1") == 1, "the output is that of the second run of `middle`"
    names = sorted(each["name"] for each in lab.workloads())
    assert len(names) == len(set(names)) == 5


def test_a_dead_head_is_seen_and_its_orphans_are_stopped(lab: Any) -> None:
    script = lab.start(
        "OPTIONS = {}\n"
        + textwrap.dedent(GATED).replace(
            "RunAIOrchestratorSettings(",
            "RunAIOrchestratorSettings(head_backoff_limit=0, synchronous=False, ",
        )
    )
    script.succeed()  # it does not wait
    run_id = run_id_of(lab, script)
    lab.until(lambda: both_gates_reached(lab), "both steps run")
    process_of(lab, run_id, "pipeline").kill()
    lab.until(lambda: head_of(lab)["phase"] == "Failed", "the head workload has failed")
    assert status_of(lab, run_id) == "running", "nobody knows yet"

    pids = lab.pids("middle") + lab.pids("beside")
    # As the button of the dashboard does it, in the server's process.
    lab.api.call("POST", f"/runs/{run_id}/refresh", params={"include_steps": True})
    assert status_of(lab, run_id) == "failed"
    assert lab.api.statuses(run_id) == {
        "first": ["completed"], "middle": ["stopped"], "beside": ["stopped"],
    }  # fmt: skip
    lab.until(lambda: not any(psutil.pid_exists(pid) for pid in pids), "the orphans are gone")
    assert {each["phase"] for each in lab.workloads()} == {"Completed", "Failed", "Stopped"}


def test_a_forced_stop_ends_every_workload_and_every_status(lab: Any) -> None:
    script = start_gated(lab)
    run_id = run_id_of(lab, script)
    lab.until(lambda: both_gates_reached(lab), "both steps run")
    pids = lab.pids("middle") + lab.pids("beside")
    lab.api.call("POST", f"/runs/{run_id}/stop", params={"graceful": False})
    assert status_of(lab, run_id) == "stopped"
    assert lab.api.statuses(run_id) == {
        "first": ["completed"], "middle": ["stopped"], "beside": ["stopped"],
    }  # fmt: skip
    lab.until(lambda: not any(psutil.pid_exists(pid) for pid in pids), "no step runs on")
    assert {each["phase"] for each in lab.workloads()} == {"Completed", "Stopped"}
    script.fail()
    assert "was stopped" in script.words


def test_a_graceful_stop_lets_running_steps_end_and_starts_no_more(lab: Any) -> None:
    # Without heartbeats: ZenML itself interrupts steps of a stopping run by them.
    script = start_gated(lab, '{"enable_heartbeat": False}')
    run_id = run_id_of(lab, script)
    lab.until(lambda: both_gates_reached(lab), "both steps run")
    lab.api.call("POST", f"/runs/{run_id}/stop", params={"graceful": True})
    assert status_of(lab, run_id) == "stopping"
    lab.open_gate("middle")
    lab.open_gate("beside")
    lab.until(lambda: status_of(lab, run_id) == "stopped", "the run stops by itself")
    assert lab.api.statuses(run_id) == {
        "first": ["completed"], "middle": ["completed"], "beside": ["completed"],
    }  # fmt: skip
    lab.until(
        lambda: {each["phase"] for each in lab.workloads()} == {"Completed"}, "the head ends too"
    )


def test_an_outage_is_waited_out_and_a_lost_answer_submits_nothing_twice(lab: Any) -> None:
    # Each submission is carried out, and its answer lost.
    lab.emulator.add_fault(
        method="POST", path="/api/v1/workloads/trainings", kind="reset-after", times=3
    )
    script = start_gated(lab)
    run_id = run_id_of(lab, script)
    lab.until(lambda: both_gates_reached(lab), "both steps run")
    # Then the control plane is away, while a step ends.
    lab.emulator.add_fault(path="/api/*", kind="status", status=503, times=10_000)
    lab.open_gate("middle")
    middle = lab.pids("middle")[0]
    lab.until(lambda: not psutil.pid_exists(middle), "the step has ended")
    lab.open_gate("beside")
    lab.until(lambda: not psutil.pid_exists(lab.pids("beside")[0]), "so has the other")
    time.sleep(3)  # time in which the head could draw a wrong conclusion
    assert status_of(lab, run_id) == "running"
    lab.emulator.clear_faults()
    script.succeed()
    assert lab.api.statuses(run_id) == {
        name: ["completed"] for name in ("first", "middle", "beside", "last")
    }
    assert lab.marked("last-2-1") == 1
    assert len(lab.workloads()) == 5


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("mode", "beside", "runs_after"),
    [("FAIL_FAST", "stopped", False), ("STOP_ON_FAILURE", "completed", False)],
)
def test_execution_modes(lab: Any, mode: str, beside: str, runs_after: bool) -> None:
    script = lab.start(f"""
        cpu = {{"orchestrator": RunAIOrchestratorSettings(gpu_devices_request=0)}}

        @step
        def bad() -> int:
            mark("bad")
            gate("bad")
            raise RuntimeError("stop here")

        @step
        def beside() -> int:
            mark("beside")
            gate("beside")
            return 1

        @step
        def after(number: int) -> None:
            mark("after")

        @pipeline(enable_cache=False, enable_heartbeat=False,
                  execution_mode=ExecutionMode.{mode}, settings={{"docker": DOCKER, **cpu}})
        def modes():
            bad()
            after(beside())

        modes.with_options(run_name=RUN)()
    """)
    run_id = run_id_of(lab, script)
    lab.until(lambda: lab.marked("bad") and lab.marked("beside"), "both run")
    lab.open_gate("bad")
    lab.until(lambda: status_of(lab, run_id) == "failed", "the run fails")
    if mode == "STOP_ON_FAILURE":
        time.sleep(3)
        lab.open_gate("beside")
    script.fail()
    assert lab.api.statuses(run_id) == {"bad": ["failed"], "beside": [beside]}
    assert lab.marked("after") == 0
    lab.until(
        lambda: not {"Running", "Pending"} & {each["phase"] for each in lab.workloads()},
        "nothing runs on",
    )


@pytest.mark.chaos
def test_a_restarted_single_workload_resumes_its_step(lab: Any) -> None:
    script = lab.start("""
        @step
        def first() -> int:
            return mark("first")

        @step
        def second(number: int) -> int:
            started = mark("second")
            if started == 1:
                gate("never")
            return number + started

        @step
        def third(number: int) -> None:
            mark(f"third-{number}")

        @pipeline(enable_cache=False, settings={"docker": DOCKER,
            "orchestrator": RunAIOrchestratorSettings(mode="single", gpu_devices_request=0)})
        def single():
            third(second(first()))

        single.with_options(run_name=RUN)()
    """)
    run_id = run_id_of(lab, script)
    lab.until(lambda: lab.marked("second"), "the second step runs")
    os.kill(lab.pids("second")[0], signal.SIGKILL)
    script.succeed()
    assert lab.marked("first") == 1
    assert lab.marked("third-3") == 1
    assert lab.api.statuses(run_id) == {
        name: ["completed"] for name in ("first", "second", "third")
    }


@pytest.mark.chaos
def test_a_restarted_step_and_a_restarted_dynamic_head(lab: Any) -> None:
    script = lab.start("""
        own = {"orchestrator": RunAIOrchestratorSettings(gpu_devices_request=0, backoff_limit=2)}

        @step(settings=own)
        def isolated() -> int:
            started = mark("isolated")
            gate("isolated")
            return started

        @step(runtime="inline")
        def inline(number: int) -> int:
            mark(f"inline-{number}")
            return number

        @pipeline(dynamic=True, enable_cache=False, settings={"docker": DOCKER},
                  depends_on=[isolated])
        def dynamic():
            inline(isolated())

        dynamic.with_options(run_name=RUN)()
    """)
    run_id = run_id_of(lab, script)
    lab.until(lambda: lab.marked("isolated"), "the isolated step runs")
    os.kill(lab.pids("isolated")[0], signal.SIGKILL)
    lab.until(lambda: lab.marked("isolated") == 2, "it is started again in place")
    process_of(lab, run_id, "dynamic").kill()
    lab.open_gate("isolated")
    script.succeed()
    assert lab.marked("isolated") == 2
    assert lab.marked("inline-2") == 1
    assert lab.api.statuses(run_id) == {"isolated": ["completed"], "inline": ["completed"]}


@pytest.mark.chaos
def test_a_failed_dynamic_run_is_resumed_by_another_head(lab: Any) -> None:
    script = lab.start("""
        @step
        def works() -> int:
            return mark("works")

        @step
        def after(number: int) -> None:
            mark("after")

        @pipeline(dynamic=True, enable_cache=False, settings={"docker": DOCKER})
        def dynamic():
            number = works()
            if mark("body") < 2:
                raise OSError("once, between two steps")
            after(number)

        dynamic.with_options(run_name=RUN)()
    """).fail()
    run_id = run_id_of(lab, script)
    zenml = Path(sys.executable).parent / "zenml"
    done = subprocess.run(
        [zenml, "pipeline", "runs", "retry", run_id],
        cwd=lab.folder,
        env=lab.environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lab.until(lambda: status_of(lab, run_id) == "completed", "the run completes")
    assert lab.marked("works") == 1
    assert lab.marked("after") == 1
    heads = [each for each in lab.workloads() if each["name"].startswith("zenml-dynamic")]
    assert len(heads) == 2


@pytest.mark.chaos
def test_a_head_that_never_starts_is_given_up_in_time(lab: Any) -> None:
    lab.nodes([])
    script = lab.start("""
        @step
        def only() -> None:
            mark("only")

        @pipeline(enable_cache=False, settings={"docker": DOCKER,
            "orchestrator": RunAIOrchestratorSettings(gpu_devices_request=0, pending_timeout=3)})
        def waits():
            only()

        waits.with_options(run_name=RUN)()
    """).fail()
    assert "RunAIPendingTimeout" in script.words
    assert "waits:" in script.words, "the reason was told"
    assert status_of(lab, run_id_of(lab, script)) == "failed"
    assert [each["phase"] for each in lab.workloads()] == ["Stopped"]


@pytest.mark.chaos
def test_a_single_workload_holds_its_timeout_without_a_client(lab: Any) -> None:
    script = lab.start("""
        @step
        def endless() -> None:
            mark("endless")
            gate("never")

        @pipeline(enable_cache=False, settings={"docker": DOCKER,
            "orchestrator": RunAIOrchestratorSettings(
                mode="single", gpu_devices_request=0, synchronous=False, workload_timeout=6)})
        def single():
            endless()

        single.with_options(run_name=RUN)()
    """).succeed()
    run_id = run_id_of(lab, script)
    lab.until(lambda: lab.api.statuses(run_id) == {"endless": ["failed"]}, "the step fails")
    step_run = lab.api.steps(run_id)["endless"][0]
    assert "ran longer than workload_timeout" in str(step_run["metadata"]["exception_info"])
    assert status_of(lab, run_id) == "failed"
    lab.until(lambda: lab.workloads()[0]["phase"] in ("Failed", "Completed"), "it ends")
    assert lab.marked("endless") == 1


@pytest.mark.chaos
def test_a_waiting_client_learns_that_the_head_died_and_why(lab: Any) -> None:
    options = "gpu_devices_request=0, head_backoff_limit=0"
    script = lab.start(
        "OPTIONS = {}\n" + textwrap.dedent(GATED).replace("gpu_devices_request=0", options)
    )
    run_id = run_id_of(lab, script)
    lab.until(lambda: both_gates_reached(lab), "both steps run")
    process_of(lab, run_id, "pipeline").kill()
    script.fail()
    assert "RunAIWorkloadFailed" in script.words
    assert "The workload zenml-gated" in script.words
    assert lab.api.statuses(run_id)["middle"] == ["stopped"]


@pytest.mark.chaos
def test_the_zenml_token_can_travel_as_a_credential(lab: Any) -> None:
    stack = lab.stack(orchestrator={"pass_zenml_token_as_credential": True})
    script = lab.start(f"OPTIONS = {{}}\n{textwrap.dedent(GATED)}", ZENML_ACTIVE_STACK_ID=stack)
    lab.until(lambda: both_gates_reached(lab), "both steps run")
    with lab.control_plane() as client:
        assert len(client.generic_secrets.list()) == 3, "of the head and of two steps"
        for workload in lab.workloads():
            variables = client.trainings.get(workload["id"]).spec["environmentVariables"]
            (token,) = [each for each in variables if each["name"] == "ZENML_STORE_API_TOKEN"]
            assert "value" not in token
            assert token["secret"]["key"] == "token"
        lab.open_gate("middle")
        lab.open_gate("beside")
        script.succeed()
        lab.until(lambda: not client.generic_secrets.list(), "no credential is left")
