"""Steps that really run on the control plane, from a real ZenML server and artifact store."""

import sys
from types import ModuleType
from typing import Any

import pytest
from zenml.client import Client
from zenml.config import ResourceSettings

from zenml_runai import errors
from zenml_runai.flavors import RunAIStepOperatorSettings

pytestmark = pytest.mark.zenml


def last_run(name: str) -> Any:
    return Client().list_pipeline_runs(pipeline_name=name, sort_by="desc:created", hydrate=True)[0]


def test_static_pipeline_with_one_step_on_half_a_gpu(code: ModuleType, administrator: Any) -> None:
    run = code.numbers()
    assert run.status.value == "completed"
    step = run.steps["double"]
    assert run.steps["add_two"].output.load() == 42
    known = step.run_metadata
    workload = administrator.workloads.get(str(known["runai_workload_id"]))
    assert workload.phase == "Completed"
    assert workload.name == known["runai_workload_name"]
    assert workload.id in str(known["runai_workload_url"])
    typed = administrator.trainings.get(workload.id)
    assert typed.spec["compute"]["gpuPortionRequest"] == 0.5
    assert typed.spec["backoffLimit"] == 0
    assert {"name": "zenml-step-run-id", "value": str(step.id)} in typed.spec["labels"]
    plain = {v["name"]: v["value"] for v in typed.spec["environmentVariables"]}
    assert plain["ZENML_STORE_API_TOKEN"]
    assert known["runai_gpus"] == 0.5
    assert float(known["runai_running_seconds"]) > 0
    assert known["runai_node_pool"] == "default"


def test_dynamic_pipeline_shares_the_status_requests(code: ModuleType, steps_emulator: Any) -> None:
    run = code.dynamic_numbers(3)
    assert run.status.value == "completed"
    assert len(Client().get_pipeline_run(run.id).steps) == 6
    requests = steps_emulator.requests()
    submitted = [r for r in requests if r["method"] == "POST" and r["path"].endswith("/trainings")]
    assert len(submitted) == 3
    # Nobody asks for one workload by its id.
    single = [r for r in requests if r["path"].startswith("/api/v1/workloads/trainings/")]
    assert single == []


def test_command_step(code: ModuleType, administrator: Any) -> None:
    run = code.commanding([sys.executable, "-c", "print('a  b', 'it\\'s')"])
    assert run.status.value == "completed"
    step = run.steps["command"]
    assert step.status.value == "completed"
    workload = administrator.trainings.get(str(step.run_metadata["runai_workload_id"]))
    assert workload.spec["args"] == """-c 'print('"'"'a  b'"'"', '"'"'it\\'"'"'s'"'"')'"""


def test_resource_settings_of_zenml_reach_the_workload(
    code: ModuleType, administrator: Any
) -> None:
    """What the user left open is still known as such when the step is submitted."""
    pipeline = code.resourced.with_options(
        steps={
            "command": {
                "settings": {
                    "step_operator": RunAIStepOperatorSettings(labels={"team": "ml"}),
                    "resources": ResourceSettings(cpu_count=0.2, memory="200MB"),
                }
            }
        }
    )
    run = pipeline()
    workload_id = str(run.steps["command"].run_metadata["runai_workload_id"])
    spec = administrator.trainings.get(workload_id).spec
    assert spec["compute"] == {
        "gpuDevicesRequest": 0,
        "cpuCoreRequest": 0.2,
        "cpuMemoryRequest": "200M",
    }
    assert {"name": "team", "value": "ml"} in spec["labels"]


def test_failing_command_step_says_its_exit_code(code: ModuleType) -> None:
    with pytest.raises(errors.RunAIWorkloadFailed, match="exit code 3"):
        code.commanding([sys.executable, "-c", "raise SystemExit(3)"])
    step = last_run("commanding").steps["command"]
    assert step.status.value == "failed"
    assert "exit code 3" in step.exception_info.message


def test_distributed_command_step_runs_in_every_pod(
    code: ModuleType, administrator: Any, steps_emulator: Any
) -> None:
    pipeline = code.commanding.with_options(
        steps={
            "command": {
                "settings": {
                    "step_operator": {
                        "gpu_devices_request": 0,
                        "cpu_memory_request": "100M",
                        "workload_kind": "distributed",
                        "distributed": {"num_workers": 2},
                    }
                }
            }
        }
    )
    # The first pod ends last: the others are stopped when it has ended.
    show = (
        "import os, time; rank = int(os.environ['RANK']);"
        " print('rank', rank, 'of', os.environ['WORLD_SIZE']); time.sleep(0 if rank else 2)"
    )
    run = pipeline([sys.executable, "-c", show])
    assert run.status.value == "completed"
    workload_id = str(run.steps["command"].run_metadata["runai_workload_id"])
    assert administrator.distributed.get(workload_id).spec["distributedFramework"] == "PyTorch"
    log = steps_emulator.workload_log(workload_id)
    assert sorted(log.split("\n"))[1:] == ["rank 0 of 3", "rank 1 of 3", "rank 2 of 3"]


def test_own_error_of_a_step_reaches_the_user(code: ModuleType, administrator: Any) -> None:
    with pytest.raises(code.OwnError, match="boom 17"):
        code.failing("boom 17")
    step = last_run("failing").steps["fail"]
    assert step.status.value == "failed"
    assert "raise OwnError(text)" in step.exception_info.traceback
    workload = administrator.workloads.get(str(step.run_metadata["runai_workload_id"]))
    assert workload.phase == "Failed"


def test_own_error_of_a_step_in_a_dynamic_pipeline(code: ModuleType) -> None:
    with pytest.raises(Exception, match="boom 18"):
        code.dynamic_failing("boom 18")
    run = last_run("dynamic_failing")
    assert run.status.value == "failed"
    step = next(iter(run.steps.values()))
    assert step.status.value == "failed"
    assert "boom 18" in step.exception_info.message


def test_retry_of_zenml_is_a_workload_of_its_own(code: ModuleType, administrator: Any) -> None:
    run = code.retrying()
    assert run.status.value == "completed"
    versions = Client().list_run_steps(pipeline_run_id=run.id, exclude_retried=False, hydrate=True)
    by_version = {step.version: step for step in versions}
    assert {v: s.status.value for v, s in by_version.items()} == {1: "retried", 2: "completed"}
    ids = {str(step.run_metadata["runai_workload_id"]) for step in versions}
    assert len(ids) == 2
    phases = {administrator.workloads.get(workload_id).phase for workload_id in ids}
    assert phases == {"Failed", "Completed"}


def test_step_killed_from_outside_is_explained(code: ModuleType) -> None:
    with pytest.raises(errors.RunAIWorkloadFailed, match="137"):
        code.dying()
    step = last_run("dying").steps["die"]
    assert step.status.value == "failed"
    assert step.exception_info.source.endswith("RunAIWorkloadFailed")


def test_token_reaches_the_step_through_a_credential(
    code: ModuleType, configure: Any, administrator: Any, strong_account: Any
) -> None:
    configure(
        pass_zenml_token_as_credential=True,
        client_id=strong_account.client_id,
        client_secret=strong_account.client_secret,
    )
    run = code.environment()
    step = run.steps["show_environment"]
    shown = step.output.load()
    assert shown["ZENML_STORE_API_TOKEN"]
    typed = administrator.trainings.get(str(step.run_metadata["runai_workload_id"]))
    assert shown["ZENML_STORE_API_TOKEN"] not in str(typed.spec)
    assert administrator.generic_secrets.list(project_id=typed.project_id) == []
