"""Which setting counts, and the documented examples as they stand, compiled by ZenML itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = [pytest.mark.zenml, pytest.mark.timeout(300)]

SHOW = """
import json
from zenml.client import Client
from zenml_runai.orchestrators._step_workloads import settings_of
from zenml_runai.workload_spec import compute

FOUND = {}


def show(name, pipeline):
    pipeline.prepare()
    snapshot, _, _ = pipeline._compile()
    orchestrator = Client().active_stack.orchestrator
    for step_name, step in snapshot.step_configurations.items():
        settings = settings_of(orchestrator, step)
        FOUND[f"{name}.{step_name}"] = {
            **compute(settings, step.config.resource_settings),
            "nodePools": settings.node_pools,
            "environment": settings.environment_variables,
        }
"""

# The examples of the documentation; only the import path is ours.
DOCUMENTED = """
from zenml import pipeline, step
from zenml_runai.flavors import RunAIOrchestratorSettings

# Request half a GPU
settings = RunAIOrchestratorSettings(
    gpu_devices_request=1,
    gpu_portion_request=0.5,  # 0.5 = half GPU
    gpu_request_type="portion",
    cpu_core_request=2.0,
    cpu_memory_request="4G",
)

@step
def training_step():
    pass

@pipeline(settings={"orchestrator": settings})
def fraction():
    training_step()

# Configure at pipeline level (applies to all steps)
@pipeline(
    settings={
        "orchestrator": RunAIOrchestratorSettings(
            gpu_devices_request=1,
            gpu_portion_request=0.5,  # Half GPU
            gpu_request_type="portion",
            cpu_core_request=2.0,
            cpu_memory_request="8G",
        )
    }
)
def my_pipeline():
    training_step()
    heavy_training_step()

# Or configure per step
@step(
    settings={
        "orchestrator": RunAIOrchestratorSettings(
            gpu_devices_request=2,  # 2 full GPUs
            gpu_request_type="device",
            cpu_core_request=4.0,
            cpu_memory_request="16G",
        )
    }
)
def heavy_training_step():
    # This step gets 2 full GPUs
    pass

@step(
    settings={
        "orchestrator": RunAIOrchestratorSettings(
            gpu_portion_request=0.25,  # Quarter GPU
            gpu_request_type="portion",
            cpu_core_request=1.0,
            cpu_memory_request="4G",
        )
    }
)
def light_training():
    # Train a small model with 1/4 GPU
    pass

@pipeline
def efficient_pipeline():
    light_training()

@step(
    settings={
        "orchestrator": RunAIOrchestratorSettings(
            gpu_devices_request=4,  # 4 full GPUs
            gpu_request_type="device",
            cpu_core_request=16.0,
            cpu_memory_request="64G",
        )
    }
)
def distributed_training():
    # Train a large model with 4 full GPUs
    pass

@step(
    settings={
        "orchestrator": RunAIOrchestratorSettings(
            gpu_devices_request=0,  # No GPU
            cpu_core_request=8.0,
            cpu_memory_request="32G",
        )
    }
)
def data_preprocessing():
    # CPU-intensive data processing
    pass

@pipeline
def others():
    distributed_training()
    data_preprocessing()
"""

PRECEDENCE = """
MEMORY = RunAIOrchestratorSettings(cpu_memory_request="9G")

@step
def plain():
    pass

@step(settings={"resources": ResourceSettings(gpu_count=2, cpu_count=3, memory="5GB")})
def resources():
    pass

@step(settings={"orchestrator": RunAIOrchestratorSettings(gpu_portion_request=0.25),
                "resources": ResourceSettings(gpu_count=2, cpu_count=3)})
def both():
    pass

@step(settings={"orchestrator.nvidia_runai": RunAIOrchestratorSettings(cpu_core_request=7.0)})
def by_flavor():
    pass

@step(settings={"orchestrator": {"gpu_devices_request": 0, "node_pools": ["default"]}})
def as_mapping():
    pass

@pipeline(settings={"orchestrator": MEMORY})
def precedence():
    plain(), resources(), both(), by_flavor(), as_mapping()

show("p", precedence)
"""


def shown(lab: Any, code: str, **environment: str) -> dict[str, dict[str, Any]]:
    script = lab.start(f"{SHOW}\n{code}\nprint('FOUND' + json.dumps(FOUND))", **environment)
    output = script.succeed().output
    line = next(line for line in output.splitlines() if line.startswith("FOUND"))
    return dict(json.loads(line.removeprefix("FOUND")))


def gpus(compute: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(
        compute.get(key) for key in ("gpuDevicesRequest", "gpuRequestType", "gpuPortionRequest")
    )


def cpus(compute: dict[str, Any]) -> tuple[Any, ...]:
    return compute["cpuCoreRequest"], compute["cpuMemoryRequest"]


def test_the_documented_examples_as_they_stand(lab: Any) -> None:
    names = ("fraction", "my_pipeline", "efficient_pipeline", "others")
    calls = "\n".join(f"show({name!r}, {name})" for name in names)
    found = shown(lab, f"{DOCUMENTED}\n{calls}")
    whole = ("portion", 1.0)
    assert {name: (gpus(each), cpus(each)) for name, each in found.items()} == {
        "fraction.training_step": ((1, "portion", 0.5), (2.0, "4G")),
        "my_pipeline.training_step": ((1, "portion", 0.5), (2.0, "8G")),
        "my_pipeline.heavy_training_step": ((2, *whole), (4.0, "16G")),
        "efficient_pipeline.light_training": ((1, "portion", 0.25), (1.0, "4G")),
        "others.distributed_training": ((4, *whole), (16.0, "64G")),
        "others.data_preprocessing": ((0, None, None), (8.0, "32G")),
    }


def test_the_step_wins_over_the_pipeline_over_the_component(lab: Any) -> None:
    stack = lab.stack(
        orchestrator={"cpu_core_request": 2.5, "node_pools": ["a100"], "gpu_devices_request": 1}
    )
    found = shown(lab, PRECEDENCE, ZENML_ACTIVE_STACK_ID=stack)
    assert cpus(found["p.plain"]) == (2.5, "9G")
    assert found["p.plain"]["nodePools"] == ["a100"]
    assert found["p.as_mapping"]["nodePools"] == ["default"]
    assert gpus(found["p.as_mapping"]) == (0, None, None)
    assert cpus(found["p.by_flavor"]) == (7.0, "9G")
    assert gpus(found["p.both"])[2] == 0.25
    assert cpus(found["p.both"]) == (3.0, "9G"), "ResourceSettings win over the component"
    assert gpus(found["p.resources"]) == (2, "portion", 1.0)


def test_resource_settings_count_where_nothing_is_set_for_runai(lab: Any) -> None:
    decorator = '@pipeline(settings={"orchestrator": MEMORY})'
    assert decorator in PRECEDENCE
    found = shown(lab, PRECEDENCE.replace(decorator, "@pipeline"))
    assert gpus(found["p.resources"]) == (2, "portion", 1.0)
    assert cpus(found["p.resources"]) == (3.0, "5G")
    assert gpus(found["p.both"])[2] == 0.25
    assert found["p.both"]["cpuCoreRequest"] == 3.0
    assert gpus(found["p.plain"]) == (1, "portion", 1.0)
