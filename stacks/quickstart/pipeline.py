"""A first pipeline on Run:ai: ``python stacks/quickstart/pipeline.py``, on the active ZenML stack.

Six steps, each a workload of its own, with what it needs and no more: data on CPUs, two candidates
side by side, one on half a GPU and one on two pods that start together, and a report through the
step operator. The "training" fits a line by gradient descent, without any framework.

It has a folder of its own because ZenML uploads the folder of a pipeline, and the one above holds
the configuration of stacks.
"""

from __future__ import annotations

import ipaddress
import json
import os
import random
import time
from typing import Annotated
from urllib.parse import urlsplit

from zenml import pipeline, step
from zenml.client import Client
from zenml.config import DockerSettings
from zenml.logger import get_logger
from zenml.models import PipelineRunResponse

from zenml_runai.flavors import (
    RunAIDistributedSettings,
    RunAIOrchestratorSettings,
    RunAIStepOperatorSettings,
)

logger = get_logger(__name__)

Rows = list[tuple[float, float]]
Model = dict[str, float]

CPU_ONLY = RunAIOrchestratorSettings(
    gpu_devices_request=0, cpu_core_request=0.2, cpu_memory_request="500M"
)
HALF_A_GPU = RunAIOrchestratorSettings(
    gpu_portion_request=0.5, cpu_core_request=0.2, cpu_memory_request="500M"
)
TWO_PODS = RunAIOrchestratorSettings(
    workload_type="distributed",
    distributed=RunAIDistributedSettings(framework="PyTorch", num_workers=1),
    # Only the pod of rank 0 stores the step's output.
    safe_in_several_pods=True,
    gpu_devices_request=1,
    gpu_request_type="device",
    cpu_core_request=0.2,
    cpu_memory_request="500M",
)


@step(settings={"orchestrator": CPU_ONLY})
def make_data(size: int = 200) -> Annotated[Rows, "rows"]:
    """Points around the line y = 3x + 1."""
    noise = random.Random(7)  # noqa: S311 - data, not cryptography
    return [(x / size, 3 * x / size + 1 + noise.gauss(0, 0.1)) for x in range(size)]


def fit(rows: Rows, rounds: int) -> Model:
    slope, offset = 0.0, 0.0
    for _ in range(rounds):
        errors = [(slope * x + offset - y, x) for x, y in rows]
        slope -= 0.5 * sum(error * x for error, x in errors) / len(rows)
        offset -= 0.5 * sum(error for error, _ in errors) / len(rows)
    loss = sum((slope * x + offset - y) ** 2 for x, y in rows) / len(rows)
    return {"slope": slope, "offset": offset, "loss": loss}


@step(settings={"orchestrator": HALF_A_GPU})
def train_small(rows: Rows) -> Annotated[Model, "small_model"]:
    """A quick candidate on half a GPU."""
    return fit(rows, rounds=20)


@step(settings={"orchestrator": TWO_PODS})
def train_large(rows: Rows) -> Annotated[Model, "large_model"]:
    """A thorough candidate on two pods; Run:ai tells each its rank."""
    rank, world = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    logger.info("Training as rank %s of %s.", rank, world)
    return fit(rows, rounds=300)


@step(settings={"orchestrator": CPU_ONLY})
def choose(small: Model, large: Model) -> Annotated[Model, "best_model"]:
    """The candidate with the smaller loss."""
    return min(small, large, key=lambda model: model["loss"])


@step(settings={"orchestrator": CPU_ONLY})
def check(model: Model) -> Annotated[Model, "checked_model"]:
    """Refuse a model that is far from the line that made the data."""
    if abs(model["slope"] - 3) > 0.3 or abs(model["offset"] - 1) > 0.3:
        raise ValueError(f"not a good fit: {model}")
    return model


@step(
    step_operator=True,
    settings={
        "step_operator": RunAIStepOperatorSettings(
            gpu_devices_request=0, cpu_core_request=0.2, cpu_memory_request="500M"
        )
    },
)
def report(model: Model) -> None:
    """Say what was found, on the stack's step operator."""
    logger.info("The best model: %s", json.dumps(model))


def on_embedded_control_plane() -> bool:
    """Whether the active stack's control plane is the emulator on this machine."""
    url = str(Client().active_stack.orchestrator.config.runai_base_url)  # type: ignore[attr-defined]
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pipeline(enable_cache=False)
def quickstart() -> None:
    rows = make_data()
    report(check(choose(train_small(rows), train_large(rows))))


def with_usage(run: PipelineRunResponse) -> PipelineRunResponse:
    """The run with what the head notes after its last step: the GPU seconds of all."""
    deadline = time.monotonic() + 30
    while "runai_gpu_seconds" not in run.run_metadata and time.monotonic() < deadline:
        time.sleep(0.5)
        run = Client().get_pipeline_run(run.id)
    return run


def main() -> None:
    configured = quickstart
    if on_embedded_control_plane():
        # It runs local processes: no image is built or pulled, and /app is not used.
        image = DockerSettings(skip_build=True, parent_image="registry.example.com/ml/zenml:demo")
        configured = quickstart.with_options(settings={"docker": image})
        configured.configure(environment={"ZENML_RUNAI_APP_DIR": "app"})
    run = configured()
    assert run is not None  # noqa: S101 - there is no schedule
    run = with_usage(run)
    total = run.run_metadata.get("runai_gpu_seconds")
    print(f"\nRun {run.name}: {run.status.value}, {total} GPU seconds")  # noqa: T201 - what it is for
    for name, step_run in run.steps.items():
        known = step_run.run_metadata
        gpus, seconds = known.get("runai_gpus"), known.get("runai_gpu_seconds")
        workload = known.get("runai_workload_name")
        line = f"  {name:12} {step_run.status.value:10} {workload}  gpus={gpus}"
        print(f"{line}  gpu_seconds={seconds}")  # noqa: T201


if __name__ == "__main__":
    main()
