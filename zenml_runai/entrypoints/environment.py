"""Environment variables between a submission and what runs in the container."""

import os
from typing import Final

#: Folder for the pipeline's code instead of ``/app``; a relative one counts from the folder in
#: which the container starts. Needed where ``/app`` cannot be written or is shared.
APP_FOLDER: Final = "ZENML_RUNAI_APP_DIR"
#: Id of the orchestrator's run, the same in the head, in its restarts and in all steps.
ORCHESTRATOR_RUN_ID: Final = "ZENML_RUNAI_RUN_ID"
#: ``training``, ``distributed`` or ``inference``: the kind of workload that the step runs in.
WORKLOAD_TYPE: Final = "ZENML_RUNAI_WORKLOAD_TYPE"
#: Rank of a pod within a distributed workload; set by the framework's operator, not by us.
RANK: Final = "RANK"


def serves() -> bool:
    """Whether this container is a replica of an inference workload."""
    return os.environ.get(WORKLOAD_TYPE) == "inference"


def follows() -> bool:
    """Whether this pod of a distributed workload leaves the reporting to the one of rank 0."""
    if os.environ.get(WORKLOAD_TYPE) != "distributed":
        return False
    return os.environ.get(RANK, "0").strip() not in ("", "0")
