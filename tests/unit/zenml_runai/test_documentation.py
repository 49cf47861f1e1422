"""The page about the step operator names every option, error and class there is."""

import inspect
import re
from pathlib import Path

import pytest

from zenml_runai import _metadata, errors, flavors
from zenml_runai.flavors import RunAIStepOperatorConfig

PAGE = (Path(__file__).parents[3] / "docs" / "step-operator.md").read_text()
NAMED = set(re.findall(r"\w+", PAGE))

# Base classes that nobody raises by themselves.
UNNAMED_ERRORS = {"RunAIWorkloadFailed", "RunAIInvalidConfiguration"}


def test_every_option_is_documented() -> None:
    assert set(RunAIStepOperatorConfig.model_fields) - NAMED == set()


@pytest.mark.parametrize(
    "name", [name for name in flavors.__all__ if name.endswith("MountSettings")]
)
def test_every_field_of_a_mount_is_documented(name: str) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}`"))
    fields = set(getattr(flavors, name).model_fields) - {"name", "exclude"}
    assert fields - set(re.findall(r"\w+", row)) == set()


def test_every_error_has_a_remedy_and_a_row() -> None:
    kinds = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.RunAIError) and kind is not errors.RunAIError
    ]
    assert {kind.__name__ for kind in kinds} - NAMED - UNNAMED_ERRORS == set()
    # Bad settings and configuration differ too much for one remedy.
    without = {kind.__name__ for kind in kinds if not kind.default_remedy}
    assert without == {"RunAIInvalidSettings", "RunAIInvalidConfiguration"}


def test_metadata_of_a_step_is_documented() -> None:
    keys = {
        _metadata.WORKLOAD_ID,
        _metadata.WORKLOAD_NAME,
        _metadata.WORKLOAD_URL,
        _metadata.WORKLOAD_KIND,
        _metadata.PENDING_SECONDS,
        _metadata.RUNNING_SECONDS,
        _metadata.GPU_SECONDS,
        _metadata.NODE_POOL,
    }
    assert keys - NAMED == set()
