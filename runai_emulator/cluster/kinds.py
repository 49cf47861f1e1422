"""Kinds of workloads, their phases and their priorities."""

from __future__ import annotations

from dataclasses import dataclass

PHASES = (
    "Creating",
    "Initializing",
    "Resuming",
    "Pending",
    "Deleting",
    "Running",
    "Updating",
    "Stopped",
    "Stopping",
    "Degraded",
    "Failed",
    "Completed",
    "Terminating",
    "Unknown",
)
#: Phases in which a workload holds resources and has pods.
ACTIVE = ("Initializing", "Running", "Degraded", "Updating", "Unknown")
TERMINAL = frozenset({"Completed", "Failed"})

#: Priority classes: documented names; their numbers, and that training defaults to `low`,
#: workspace to `high` and inference to `very-high`, are inferred.
PRIORITIES = {
    "very-low": 10,
    "low": 20,
    "medium-low": 30,
    "medium": 40,
    "medium-high": 60,
    "high": 100,
    "very-high": 125,
    # Names of older clusters.
    "train": 50,
    "interactive-preemptible": 75,
    "build": 100,
    "inference": 125,
}
NON_PREEMPTIBLE_CLASSES = frozenset({"build", "inference", "high", "very-high"})


@dataclass(frozen=True, slots=True)
class Kind:
    """One typed family of workloads.

    path: last segment of its URL; type: value of `type` in lists; resource: resource type of
    its rights; stoppable: whether suspend and resume exist.
    """

    path: str
    type: str
    resource: str
    label: str
    default_priority: str
    category: str
    stoppable: bool = True


KINDS = {
    kind.path: kind
    for kind in (
        Kind("trainings", "Training", "trainings", "Training", "low", "Train"),
        Kind("distributed", "Distributed", "trainings", "Distributed training", "low", "Train"),
        Kind("workspaces", "Workspace", "workspaces", "Workspace", "high", "Build"),
        Kind(
            "inferences",
            "Inference",
            "inferences",
            "Inference",
            "very-high",
            "Deploy",
            stoppable=False,
        ),
    )
}
