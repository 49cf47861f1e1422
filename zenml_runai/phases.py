"""Phases of a workload, as documented, and what they mean to ZenML."""

from typing import Final

from zenml.enums import ExecutionStatus

NOT_STARTED: Final = frozenset({"Creating", "Initializing", "Pending", "Resuming"})
"""Not running yet, or not any more: a preempted workload is Pending again."""

RUNNING: Final = frozenset({"Running", "Degraded", "Updating"})
"""Degraded: some pods are down, the workload goes on."""

IN_TRANSIT: Final = frozenset({"Stopping", "Terminating", "Deleting"})
"""On the way to an end that is not known yet."""

COMPLETED: Final = "Completed"
FAILED: Final = "Failed"
STOPPED: Final = "Stopped"
UNKNOWN: Final = "Unknown"
GONE: Final = "Gone"
"""Ours: the control plane does not know the workload any more."""

ENDED: Final = frozenset({COMPLETED, FAILED, STOPPED, GONE})

DOCUMENTED: Final = NOT_STARTED | RUNNING | IN_TRANSIT | {COMPLETED, FAILED, STOPPED, UNKNOWN}


def execution_status(phase: str, *, started: bool) -> ExecutionStatus:
    """What a phase means to ZenML.

    ZenML stops watching a step at any status but initializing, provisioning and running, so a
    phase that says nothing about the end (in transit, unknown, not documented) is one of these.

    Args:
        phase: The phase.
        started: Whether the workload was ever seen running.
    """
    if phase == COMPLETED:
        return ExecutionStatus.COMPLETED
    if phase in (FAILED, GONE):
        return ExecutionStatus.FAILED
    if phase == STOPPED:
        return ExecutionStatus.STOPPED
    if phase in RUNNING or (started and phase not in NOT_STARTED):
        return ExecutionStatus.RUNNING
    return ExecutionStatus.PROVISIONING
