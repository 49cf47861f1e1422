"""ZenML's builtin `runai` step operator runs a step from a real ZenML server on the emulator."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from zenml import CommandStep, pipeline
from zenml.enums import StackComponentType

pytestmark = pytest.mark.zenml

NAME = "builtin-runai"


@pytest.fixture
def builtin_stack(
    zenml_session: Any, stack: Any, steps_emulator: Any, account: Any
) -> Iterator[None]:
    """The tests' stack with the builtin step operator in the place of ours."""
    operator = zenml_session.create_stack_component(
        name=NAME,
        flavor="runai",
        component_type=StackComponentType.STEP_OPERATOR,
        configuration={
            # It cannot resolve references to secrets.
            "client_id": account.client_id,
            "client_secret": account.client_secret,
            "runai_base_url": steps_emulator.base_url,
            "project_name": "ml-team",
            "monitoring_interval": 5,
        },
    )
    kept = {
        type: found[0].id
        for type, found in zenml_session.get_stack(stack.id).components.items()
        if type is not StackComponentType.STEP_OPERATOR
    }
    made = zenml_session.create_stack(
        name=NAME, components={**kept, StackComponentType.STEP_OPERATOR: operator.id}
    )
    zenml_session.activate_stack(made.id)
    yield
    zenml_session.activate_stack(stack.id)
    zenml_session.delete_stack(made.id)
    zenml_session.delete_stack_component(operator.id, StackComponentType.STEP_OPERATOR)


def test_a_command_step(builtin_stack: None, code: Any, administrator: Any) -> None:
    command = CommandStep(
        [sys.executable, "-c", "print('done')"],
        name="command",
        step_operator=NAME,
        settings={
            "step_operator": {
                "gpu_devices_request": 0,
                "cpu_core_request": 0.1,
                "cpu_memory_request": "64M",
            }
        },
    )

    @pipeline(enable_cache=False, settings={"docker": code.DOCKER})
    def commanding_builtin() -> None:
        command()

    run = commanding_builtin()
    step = run.steps["command"]
    assert step.status.value == "completed"
    workload = administrator.workloads.get(str(step.run_metadata["workload_id"]))
    assert workload.phase == "Completed"
    assert workload.name == step.run_metadata["workload_name"]
