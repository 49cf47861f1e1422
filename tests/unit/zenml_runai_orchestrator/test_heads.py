"""The head workload's body: small by default, as large as the neediest step in mode single."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from zenml.config import DockerSettings, ResourceSettings

from runai_api import ControlPlaneVersion
from runai_api.org_units import Project
from zenml_runai.errors import RunAIInvalidSettings, RunAIQuotaExceeded
from zenml_runai.flavors import RunAIOrchestratorConfig, RunAIOrchestratorSettings
from zenml_runai.orchestrators._heads import check_pipeline, head_body, head_name
from zenml_runai.workload_spec import Target

RUN_ID = UUID("11111111-2222-3333-4444-555555555555")


class Component:
    """An orchestrator whose control plane is only asked for its version and project."""

    def __init__(self, version: ControlPlaneVersion = ControlPlaneVersion.CURRENT) -> None:
        self.id = uuid4()
        self.config = RunAIOrchestratorConfig(
            client_id="id",
            client_secret="secret",
            runai_base_url="https://org.run.ai",
            project_name="ml-team",
            image_pull_secret_name="pull",
        )
        client = SimpleNamespace(version=version)
        plane = SimpleNamespace(
            target=lambda: Target("1", "c"), call=lambda action: action(client), client=client
        )
        self.session: Any = SimpleNamespace(control_plane=plane)

    def get_settings(self, container: Any) -> RunAIOrchestratorSettings:
        return container.runai.model_copy()

    def attach(self, *what: Any) -> None:
        raise AssertionError("nothing is attached")


def step(
    settings: dict[str, Any] | None = None,
    resources: ResourceSettings | None = None,
    operator: str | None = None,
    image: str = "a",
) -> Any:
    return SimpleNamespace(
        runai=RunAIOrchestratorSettings(**(settings or {})),
        config=SimpleNamespace(
            step_operator=operator,
            resource_settings=resources or ResourceSettings(),
            docker_settings=DockerSettings(parent_image=image),
            outputs={},
            command=None,
        ),
    )


def snapshot(settings: dict[str, Any], **steps: Any) -> Any:
    return SimpleNamespace(
        runai=RunAIOrchestratorSettings(**settings),
        step_configurations=steps,
        pipeline_configuration=SimpleNamespace(
            name="My Pipeline",
            resource_settings=ResourceSettings(),
            docker_settings=DockerSettings(parent_image="a"),
        ),
    )


def spec(given: Any, component: Component | None = None) -> dict[str, Any]:
    run = SimpleNamespace(id=RUN_ID, name="run", pipeline=SimpleNamespace(name="My Pipeline"))
    body = head_body(
        component or Component(),
        given,
        run,
        name=head_name(run, 0),
        image="image",
        command=["python", "-m", "entry point"],
        environment={"A": "b"},
    )
    assert body["name"] == "zenml-my-pipeline-555555555555"
    return dict(body["spec"])


def test_the_head_of_separate_steps_is_small_and_firm() -> None:
    made = spec(
        snapshot(
            {
                "gpu_devices_request": 4,
                "gpu_request_type": "device",
                "node_pools": ["a100"],
                "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoSchedule"}],
                "head_node_pools": ["cpus"],
                "head_priority_class": "high",
                "head_backoff_limit": 5,
            },
            heavy=step({"gpu_devices_request": 4, "gpu_request_type": "device"}),
        )
    )
    assert made["compute"] == {
        "gpuDevicesRequest": 0, "cpuCoreRequest": 0.1, "cpuMemoryRequest": "400Mi",
    }  # fmt: skip
    assert made["preemptibility"] == "non-preemptible"
    assert made["nodePools"] == ["cpus"]
    assert made["priorityClass"] == "high"
    assert made["backoffLimit"] == 5
    assert made["tolerations"], "what a pod of the project needs, the head needs as well"
    assert made["imagePullSecrets"] == [{"name": "pull"}]
    assert made["args"] == "-m 'entry point'"
    assert {"name": "zenml-run-id", "value": str(RUN_ID)} in made["labels"]


def test_an_older_control_plane_is_not_told_what_it_does_not_know() -> None:
    made = spec(snapshot({}, a=step()), Component(ControlPlaneVersion.LEGACY))
    assert "preemptibility" not in made


@pytest.mark.parametrize(
    ("steps", "compute"),
    [
        (
            [step({"gpu_portion_request": 0.25}), step({"gpu_portion_request": 0.5})],
            {"gpuDevicesRequest": 1, "gpuRequestType": "portion", "gpuPortionRequest": 0.5},
        ),
        (
            [step({"gpu_portion_request": 0.25}), step({"gpu_devices_request": 0})],
            {"gpuDevicesRequest": 1, "gpuRequestType": "portion", "gpuPortionRequest": 0.25},
        ),
        ([step({"gpu_devices_request": 0})], {"gpuDevicesRequest": 0}),
        (
            [
                step({"gpu_portion_request": 0.5}),
                step({"gpu_devices_request": 2, "gpu_request_type": "device"}),
            ],
            {"gpuDevicesRequest": 2, "gpuRequestType": "portion", "gpuPortionRequest": 1.0},
        ),
        (
            [
                step({"gpu_request_type": "memory", "gpu_memory_request": "10G"}),
                step({"gpu_request_type": "memory", "gpu_memory_request": "9Gi"}),
            ],
            {"gpuDevicesRequest": 1, "gpuRequestType": "memory", "gpuMemoryRequest": "10G"},
        ),
        (
            [step({"gpu_devices_request": 0}), step({"gpu_portion_request": 1.0}, operator="op")],
            {"gpuDevicesRequest": 0},
        ),
        (
            [step(resources=ResourceSettings(gpu_count=3)), step({"gpu_portion_request": 0.5})],
            {"gpuDevicesRequest": 3, "gpuRequestType": "portion", "gpuPortionRequest": 1.0},
        ),
    ],
)
def test_one_workload_for_all_steps_takes_the_most_of_each(
    steps: list[Any], compute: dict[str, Any]
) -> None:
    named = {f"s{number}": each for number, each in enumerate(steps)}
    made = spec(snapshot({"mode": "single"}, **named))["compute"]
    assert {key: value for key, value in made.items() if key.startswith("gpu")} == compute


def test_cpus_and_memory_of_one_workload_are_those_of_the_neediest_step() -> None:
    made = spec(
        snapshot(
            {"mode": "single"},
            a=step({"cpu_core_request": 8.0, "cpu_memory_request": "512M"}),
            b=step({"cpu_core_request": 2.0, "cpu_memory_request": "8Gi"}),
        )
    )["compute"]
    assert (made["cpuCoreRequest"], made["cpuMemoryRequest"]) == (8.0, "8Gi")


def test_what_one_workload_cannot_honour_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING"):
        spec(snapshot({"mode": "single"}, a=step({"node_pools": ["a100"]}), b=step(image="other")))
    assert "Step `a` has its own node_pools" in caplog.text
    assert "Step `b` has its own docker settings" in caplog.text


def test_resumed_runs_have_heads_of_other_names() -> None:
    run: Any = SimpleNamespace(id=RUN_ID, name="run", pipeline=None)
    names = {head_name(run, number) for number in range(4)}
    assert len(names) == 4
    assert {head_name(run, 2)} < names, "the same each time"


PROJECT = Project.model_validate(
    {
        "id": "1",
        "name": "ml-team",
        "clusterId": "c",
        "resources": [
            {"nodePool": {"id": "1", "name": "default"}, "gpu": {"deserved": 1, "limit": 2}}
        ],
    }
)


def test_the_whole_pipeline_is_checked_before_anything_is_submitted() -> None:
    fine = snapshot({}, a=step({"gpu_portion_request": 0.5}), b=step({"gpu_devices_request": 0}))
    check_pipeline(Component(), fine, PROJECT)
    too_much = step({"gpu_devices_request": 3, "gpu_request_type": "device"})
    with pytest.raises(RunAIQuotaExceeded, match="Step `b`"):
        check_pipeline(Component(), snapshot({}, a=step(), b=too_much), PROJECT)
    with pytest.raises(RunAIQuotaExceeded, match="The pipeline can never start"):
        check_pipeline(Component(), snapshot({"mode": "single"}, a=step(), b=too_much), PROJECT)
    elsewhere = step({"gpu_devices_request": 3, "gpu_request_type": "device"}, operator="op")
    check_pipeline(Component(), snapshot({}, a=step(), b=elsewhere), PROJECT)


@pytest.mark.parametrize("kind", ["inference", "distributed"])
def test_single_mode_knows_trainings_only(kind: str) -> None:
    given = snapshot({"mode": "single"}, a=step({"workload_type": kind}))
    with pytest.raises(RunAIInvalidSettings, match="mode='single' runs all steps in one"):
        check_pipeline(Component(), given, PROJECT)
    with pytest.raises(RunAIInvalidSettings, match="The pipeline is to be"):
        check_pipeline(
            Component(), snapshot({"mode": "single", "workload_type": kind}, a=step()), PROJECT
        )
