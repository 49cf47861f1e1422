"""Why a workload waits or died, in words and as a typed error.

The control plane has no field for the cause of death: it is read from the workload's message, its
conditions and the Kubernetes events that it keeps. The words looked for are Kubernetes' own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from zenml_runai import phases
from zenml_runai.errors import (
    RunAIImagePullFailed,
    RunAIOutOfMemory,
    RunAIQuotaExceeded,
    RunAIWorkloadFailed,
    RunAIWorkloadGone,
    RunAIWorkloadPreempted,
    RunAIWorkloadStopped,
)

if TYPE_CHECKING:
    from runai_api import Workload, WorkloadEvent

# In this order: an image that cannot be pulled also keeps a workload from starting, a container
# that ran out of memory also ends with an exit code.
_CAUSES: Final[Sequence[tuple[type[RunAIWorkloadFailed], re.Pattern[str]]]] = (
    (RunAIOutOfMemory, re.compile(r"OOM ?Killed|out of memory|OutOfMemory", re.I)),
    (
        RunAIImagePullFailed,
        re.compile(
            r"ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull"
            r"|failed to pull image|back-off pulling image",
            re.I,
        ),
    ),
    (RunAIWorkloadPreempted, re.compile(r"preempt|evict|reclaim", re.I)),
    (RunAIQuotaExceeded, re.compile(r"over ?quota|OverLimit|exceed\w* (the )?quota", re.I)),
)
_IMAGE: Final = _CAUSES[1][1]
_EXITED: Final = re.compile(r"exit code|exited", re.I)
# An attempt that failed for good, or that failed before.
_IMAGE_FOR_GOOD: Final = re.compile(r"InvalidImageName|ErrImageNeverPull", re.I)

_WORDS_FOR_PHASE_REASON: Final = {
    "NonPreemptibleOverQuota": (
        "A non-preemptible workload cannot go over the project's quota (NonPreemptibleOverQuota)."
    ),
    "OverLimit": "The workload would go over the project's limit (OverLimit).",
}


def sentences(workload: Workload, events: Iterable[WorkloadEvent] = ()) -> list[str]:
    """What the control plane says about a workload, most telling first, nothing twice."""
    found: dict[str, None] = {}
    for pending in workload.pending_scheduling_messages:
        text = pending.user_message or pending.reason or pending.phase_reason
        if text:
            pool = f"node pool {pending.node_pool}: " if pending.node_pool else ""
            found[f"{pool}{text}"] = None
    if workload.phase_reason:
        found[_WORDS_FOR_PHASE_REASON.get(workload.phase_reason, workload.phase_reason)] = None
    if workload.phase_message:
        found[workload.phase_message] = None
    for condition in workload.conditions:
        if condition.message and condition.status == "False":
            found[condition.message] = None
    for event in events:
        if event.type == "Warning" and event.message:
            found[f"{event.reason}: {event.message}" if event.reason else event.message] = None
    return list(found)


def cause_of_death(
    name: str, phase: str, sentences: Sequence[str], *, started: bool
) -> RunAIWorkloadFailed:
    """The typed error for a workload that ended without success.

    Args:
        name: Name of the workload.
        phase: Its last phase.
        sentences: What the control plane said, newest events first, see `sentences`.
        started: Whether it ever ran.
    """
    if phase == phases.GONE:
        return RunAIWorkloadGone(f"The workload {name} does not exist any more.")
    said = f" Run:ai says: {'; '.join(sentences[:3])}." if sentences else ""
    for kind, pattern in _CAUSES:
        if kind is RunAIQuotaExceeded and started:
            continue
        for sentence in sentences:
            if pattern.search(sentence):
                return kind(f"The workload {name} failed: {sentence.rstrip('.')}.")
            if kind is RunAIWorkloadPreempted and _EXITED.search(sentence):
                break  # it was preempted once, but that is not how it ended
    if phase == phases.STOPPED:
        return RunAIWorkloadStopped(f"The workload {name} was stopped in Run:ai.{said}")
    return RunAIWorkloadFailed(f"The workload {name} failed.{said}")


def image_problem(reasons: Sequence[str]) -> str | None:
    """The sentence that says that the image cannot be pulled, if there is one."""
    return next((reason for reason in reasons if _IMAGE.search(reason)), None)


def is_for_good(image_problem: str) -> bool:
    """Whether waiting cannot help, as with a malformed image name."""
    return bool(_IMAGE_FOR_GOOD.search(image_problem))
