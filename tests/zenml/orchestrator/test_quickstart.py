"""The pipeline that `make demo` runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

# `make demo` runs it as well.
pytestmark = [pytest.mark.zenml, pytest.mark.chaos, pytest.mark.timeout(600)]

QUICKSTART = Path(__file__).parents[3] / "stacks" / "quickstart" / "pipeline.py"


def test_the_quickstart_pipeline_runs_on_a_fresh_stack(lab: Any) -> None:
    script = lab.start_file(shutil.copy(QUICKSTART, lab.folder / "pipeline.py")).succeed()
    assert "completed" in script.output
    workloads = {each["name"].split("-")[1]: each for each in lab.workloads()}
    assert {"make", "train", "choose", "check", "report"} <= set(workloads)
    kinds = sorted(each["type"] for each in lab.workloads())
    assert kinds == ["Distributed", *["Training"] * 6]
