"""ZenML's builtin `runai` step operator, unmodified, as a second witness for the emulator.

It was written by others, against the vendor's own client and the real control plane. What it does
towards ZenML's server is caught; everything towards the control plane is real.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from zenml.enums import ExecutionStatus, StackComponentType
from zenml.integrations.runai.client.runai_client import RunAIProjectNotFoundError
from zenml.integrations.runai.flavors.runai_step_operator_flavor import (
    RunAIStepOperatorConfig,
    RunAIStepOperatorSettings,
)
from zenml.integrations.runai.step_operators import RunAIStepOperator, runai_step_operator

from runai_api import NotFound, RunaiClient

IMAGE = "registry.example.com/ml/zenml:0.98.0"
SMALL = {"gpu_devices_request": 0, "cpu_core_request": 0.1, "cpu_memory_request": "64M"}


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the operator publishes on the step run."""
    published: dict[str, Any] = {}

    def publish(_: Any, values: dict[Any, dict[str, Any]]) -> None:
        for found in values.values():
            published.update(found)

    user = SimpleNamespace(active_user=SimpleNamespace(id=uuid4()))
    monkeypatch.setattr(runai_step_operator, "publish_step_run_metadata", publish)
    monkeypatch.setattr(runai_step_operator, "Client", lambda: user)
    # It polls every 30 s by default and takes whole seconds only.
    sleep = time.sleep
    monkeypatch.setattr(
        runai_step_operator, "time", SimpleNamespace(time=time.time, sleep=lambda _: sleep(0.1))
    )
    return published


def operator(emulator: Any, **configuration: Any) -> RunAIStepOperator:
    now = datetime.now(UTC)
    config = RunAIStepOperatorConfig(
        client_id=emulator.admin_id,
        client_secret=emulator.admin_secret,
        runai_base_url=emulator.base_url,
        project_name="ml-team",
        **configuration,
    )
    return RunAIStepOperator(
        name="builtin",
        id=uuid4(),
        config=config,
        flavor="runai",
        type=StackComponentType.STEP_OPERATOR,
        user=None,
        created=now,
        updated=now,
    )


def step_of(builtin: RunAIStepOperator, metadata: dict[str, Any], **settings: Any) -> Any:
    """A step, as ZenML describes it to a step operator."""
    chosen = RunAIStepOperatorSettings(**{**SMALL, **settings})
    builtin.get_settings = lambda _: chosen  # type: ignore[method-assign]
    step_run = SimpleNamespace(id=uuid4(), name="train", run_metadata=metadata)
    return SimpleNamespace(
        pipeline_step_name="train",
        pipeline=SimpleNamespace(name="pipeline"),
        run_id=uuid4(),
        run_name="run",
        step_run_id=step_run.id,
        step_run=step_run,
        config=SimpleNamespace(),
        get_image=lambda key: IMAGE,
        force_write_logs=lambda: None,
    )


def submit(builtin: RunAIStepOperator, metadata: dict[str, Any], code: str, **settings: Any) -> Any:
    step = step_of(builtin, metadata, **settings)
    builtin.submit(step, [sys.executable, "-c", code], {"A": "1"})
    return step


def test_a_step_that_succeeds(
    emulator: Any, admin_client: RunaiClient, metadata: dict[str, Any]
) -> None:
    builtin = operator(emulator)
    step = submit(builtin, metadata, "import\tos;assert(os.environ['A']=='1')")
    assert builtin.wait(step.step_run) is ExecutionStatus.COMPLETED
    workload = admin_client.workloads.get(metadata["workload_id"])
    assert (workload.name, workload.phase) == (metadata["workload_name"], "Completed")
    assert builtin.get_status(step.step_run) is ExecutionStatus.COMPLETED


@pytest.mark.parametrize("delete", [False, True])
def test_a_step_that_fails(
    emulator: Any, admin_client: RunaiClient, metadata: dict[str, Any], delete: bool
) -> None:
    builtin = operator(emulator, delete_on_failure=delete)
    step = submit(builtin, metadata, "raise(SystemExit(3))")
    with pytest.raises(RuntimeError, match="failed with status: Failed"):
        builtin.wait(step.step_run)
    if delete:
        with pytest.raises(NotFound):
            admin_client.trainings.get(metadata["workload_id"])
    else:
        assert admin_client.trainings.get(metadata["workload_id"]).actual_phase == "Failed"


def test_status_and_cancellation(
    emulator: Any, admin_client: RunaiClient, metadata: dict[str, Any]
) -> None:
    builtin = operator(emulator)
    step = submit(builtin, metadata, "import\ttime;time.sleep(600)")
    while builtin.get_status(step.step_run) is not ExecutionStatus.RUNNING:
        time.sleep(0.05)
    builtin.cancel(step.step_run)
    while admin_client.workloads.get(metadata["workload_id"]).phase != "Stopped":
        time.sleep(0.05)
    assert builtin.get_status(step.step_run) is ExecutionStatus.FAILED


def test_a_step_that_waits_too_long(
    emulator: Any, admin_client: RunaiClient, metadata: dict[str, Any]
) -> None:
    builtin = operator(emulator)
    step = submit(
        builtin,
        metadata,
        "pass",
        gpu_devices_request=64,
        preemptibility="non-preemptible",
        pending_timeout=1,
    )
    with pytest.raises(RuntimeError, match="exceeded pending timeout"):
        builtin.wait(step.step_run)


def test_every_advanced_setting_reaches_the_workload(
    emulator: Any, admin_client: RunaiClient, metadata: dict[str, Any]
) -> None:
    builtin = operator(emulator, image_pull_secret_name="pull")
    given = {
        "node_pools": ["default"],
        "preemptibility": "preemptible",
        "priority_class": "train",
        "labels": {"team": "ml"},
        "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "config_map_mounts": [{"config_map": "cm", "mount_path": "/cm"}],
        "secret_mounts": [{"secret": "s", "mount_path": "/secret"}],
        "nfs_mounts": [{"server": "nfs", "path": "/export", "mount_path": "/nfs"}],
        "s3_mounts": [{"bucket": "b", "path": "/s3"}],
        "host_path_mounts": [{"path": "/data", "mount_path": "/host"}],
        "pvc_mounts": [{"claim_name": "claim", "path": "/pvc", "existing_pvc": True}],
        "security_context": {"supplemental_groups": [1, 2], "run_as_non_root": True},
        "ports": [{"container": 8080, "service_type": "ClusterIP"}],
        "parallelism": 2,
        "completions": 3,
        "termination_grace_period_seconds": 1,
    }
    submit(builtin, metadata, "pass", **given)
    spec = admin_client.trainings.get(metadata["workload_id"]).spec
    assert spec is not None
    assert spec["nodePools"] == ["default"]
    assert spec["priorityClass"] == "train"
    assert {"name": "team", "value": "ml"} in spec["labels"]
    assert spec["imagePullSecrets"][0]["name"] == "pull"
    assert spec["tolerations"][0]["key"] == "gpu"
    assert set(spec["storage"]) == {
        "configMapVolume",
        "secretVolume",
        "nfs",
        "s3",
        "hostPath",
        "pvc",
    }
    assert spec["security"]["supplementalGroups"] == "1;2"
    assert (spec["parallelism"], spec["completions"]) == (2, 3)
    assert spec["ports"][0]["container"] == 8080


def test_an_unknown_project_is_told(emulator: Any, metadata: dict[str, Any]) -> None:
    builtin = operator(emulator)
    with pytest.raises(RunAIProjectNotFoundError, match="nowhere"):
        builtin.client.get_project_by_name("nowhere")


def test_its_client_lists_what_there_is(emulator: Any, metadata: dict[str, Any]) -> None:
    client = operator(emulator).client
    assert {project.name for project in client.get_projects()} == {"ml-team", "other-team"}
    assert client.get_first_cluster().name == "local"
    assert client.get_cluster_by_name("local").id == client.get_projects()[0].cluster_id


def test_it_also_runs_on_the_older_control_plane(
    emulator_legacy: Any, metadata: dict[str, Any]
) -> None:
    builtin = operator(emulator_legacy)
    step = submit(builtin, metadata, "pass")
    assert builtin.wait(step.step_run) is ExecutionStatus.COMPLETED
