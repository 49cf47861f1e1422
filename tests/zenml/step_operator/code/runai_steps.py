"""Steps and pipelines of the step operator's tests; this folder is what runs in the workloads."""

import os
import signal
import time
from pathlib import Path
from typing import Annotated

from zenml import CommandStep, get_step_context, pipeline, step
from zenml.config import DockerSettings, StepRetryConfig
from zenml.enums import ExecutionMode

from zenml_runai.flavors import RunAIStepOperatorSettings

OPERATOR = "runai-steps"
# Otherwise the local orchestrator replaces a step's error by one of its own.
FAIL_FAST = ExecutionMode.FAIL_FAST
DOCKER = DockerSettings(skip_build=True, parent_image="registry.example.com/ml/zenml:0.98.0")

CPU = RunAIStepOperatorSettings(
    gpu_devices_request=0, cpu_core_request=0.1, cpu_memory_request="100M"
)
HALF_GPU = CPU.model_copy(update={"gpu_devices_request": 1, "gpu_portion_request": 0.5})


class OwnError(ValueError):
    """An error class of the user's own code."""


@step(enable_cache=False)
def local_number() -> Annotated[int, "number"]:
    return 20


@step(step_operator=OPERATOR, settings={"step_operator": HALF_GPU}, enable_cache=False)
def double(number: int) -> Annotated[int, "doubled"]:
    print("doubling in", os.environ["HOSTNAME"])
    return 2 * number


@step(enable_cache=False)
def add_two(number: int) -> Annotated[int, "sum"]:
    return number + 2


@step(step_operator=OPERATOR, settings={"step_operator": CPU}, enable_cache=False)
def fail(text: str) -> None:
    raise OwnError(text)


@step(
    step_operator=OPERATOR,
    settings={"step_operator": CPU},
    enable_cache=False,
    retry=StepRetryConfig(max_retries=2, delay=0, backoff=1),
)
def succeed_at_the_second_attempt() -> Annotated[int, "attempt"]:
    attempt = get_step_context().step_run.version
    if attempt < 2:
        raise OwnError(f"attempt {attempt}")
    return attempt


@step(step_operator=OPERATOR, settings={"step_operator": CPU}, enable_cache=False)
def sleep(seconds: float, started: str) -> Annotated[str, "slept"]:
    """Say by a file that it runs, then sleep."""
    Path(started).write_text(str(os.getpid()))
    time.sleep(seconds)
    return "done"


@step(step_operator=OPERATOR, settings={"step_operator": CPU}, enable_cache=False)
def wait_for(started: str, released: str) -> Annotated[str, "waited"]:
    """Say by a file that it runs, then wait for another file."""
    with Path(started).open("a") as file:
        file.write(f"{os.getpid()}\n")
    while not Path(released).exists():
        time.sleep(0.1)
    return "done"


@step(step_operator=OPERATOR, settings={"step_operator": CPU}, enable_cache=False)
def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@step(step_operator=OPERATOR, enable_cache=False)
def show_environment() -> Annotated[dict[str, str], "environment"]:
    return dict(os.environ)


def command(*argv: str) -> CommandStep:
    return CommandStep(
        list(argv),
        name="command",
        step_operator=OPERATOR,
        settings={"step_operator": CPU},
    )


@pipeline(enable_cache=False, execution_mode=FAIL_FAST, settings={"docker": DOCKER})
def numbers() -> None:
    add_two(double(local_number()))


@pipeline(enable_cache=False, execution_mode=FAIL_FAST, settings={"docker": DOCKER})
def failing(text: str) -> None:
    fail(text)


@pipeline(enable_cache=False, execution_mode=FAIL_FAST, settings={"docker": DOCKER})
def retrying() -> None:
    succeed_at_the_second_attempt()


@pipeline(enable_cache=False, execution_mode=FAIL_FAST, settings={"docker": DOCKER})
def sleeping(seconds: float, started: str) -> None:
    sleep(seconds, started)


@pipeline(enable_cache=False, execution_mode=FAIL_FAST, settings={"docker": DOCKER})
def waiting(started: str, released: str) -> None:
    wait_for(started, released)


@pipeline(enable_cache=False, execution_mode=FAIL_FAST, settings={"docker": DOCKER})
def dying() -> None:
    die()


@pipeline(enable_cache=False, execution_mode=FAIL_FAST, settings={"docker": DOCKER})
def environment() -> None:
    show_environment()


@pipeline(enable_cache=False, execution_mode=FAIL_FAST, settings={"docker": DOCKER})
def commanding(argv: list[str]) -> None:
    command(*argv)()


@pipeline(enable_cache=False, execution_mode=FAIL_FAST, settings={"docker": DOCKER})
def resourced() -> None:
    CommandStep(["true"], name="command", step_operator=OPERATOR)()


@pipeline(enable_cache=False, dynamic=True, depends_on=[double], settings={"docker": DOCKER})
def dynamic_numbers(many: int) -> None:
    doubled = [double.submit(number) for number in range(many)]
    for future in doubled:
        add_two(future.load())


@pipeline(enable_cache=False, dynamic=True, depends_on=[fail], settings={"docker": DOCKER})
def dynamic_failing(text: str) -> None:
    fail(text)


@pipeline(enable_cache=False, dynamic=True, depends_on=[sleep], settings={"docker": DOCKER})
def dynamic_sleeping(seconds: float, started: str) -> None:
    sleep(seconds, started)
