"""Runs a step's function and tells ZenML nothing.

For the pods that are not the one: further ranks of a distributed step, replicas that serve.
"""

from typing import Any

from zenml.client import Client
from zenml.config.step_configurations import Step
from zenml.models import StepRunResponse
from zenml.orchestrators.step_runner import StepRunner
from zenml.steps.step_context import StepContext
from zenml.steps.utils import get_resolved_signature
from zenml.utils import env_utils


def run_function(step: Step, step_run: StepRunResponse) -> Any:
    """Call the step's function with its inputs; returns what it returns."""
    client = Client()
    stack = client.active_stack
    # The runner's loaders are private, but the alternative is to write them a second time.
    runner = StepRunner(step=step, stack=stack)
    instance = runner._load_step()
    environment = env_utils.get_runtime_environment(config=step_run.config, stack=stack)
    environment.update(
        env_utils.get_runtime_secret_environment(config=step_run.config, stack=stack)
    )
    context = StepContext(
        pipeline_run=client.get_pipeline_run(step_run.pipeline_run_id),
        step_run=step_run,
        output_materializers={},
        output_artifact_uris={},
        output_artifact_configs={},
    )
    with context, env_utils.temporary_environment(environment):
        inputs = runner._parse_inputs(
            signature=get_resolved_signature(instance.entrypoint),
            input_artifacts=step_run.inputs,
        )
        return instance.call_entrypoint(**inputs)
