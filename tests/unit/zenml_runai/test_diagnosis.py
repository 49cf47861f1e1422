"""From phases, events and messages to ZenML's status and a typed error."""

import pytest
from zenml.enums import ExecutionStatus
from zenml.utils.exception_utils import collect_exception_information, reconstruct_exception

from runai_api import Phase, Workload, WorkloadEvent
from zenml_runai import errors, phases
from zenml_runai._diagnosis import cause_of_death, image_problem, is_for_good, sentences


def workload(**fields: object) -> Workload:
    return Workload.model_validate(
        {"id": "1", "name": "w", "type": "Training", "phase": "Pending", "project_id": "1"} | fields
    )


EXPECTED = {
    "Creating": "provisioning",
    "Initializing": "provisioning",
    "Resuming": "provisioning",
    "Pending": "provisioning",
    "Running": "running",
    "Updating": "running",
    "Degraded": "running",
    "Deleting": "running",
    "Terminating": "running",
    "Stopping": "running",
    "Unknown": "running",
    "Stopped": "stopped",
    "Failed": "failed",
    "Completed": "completed",
}


def test_all_documented_phases_are_known() -> None:
    assert set(EXPECTED) == {phase.value for phase in Phase} == phases.DOCUMENTED


@pytest.mark.parametrize(("phase", "status"), EXPECTED.items())
def test_status_of_a_phase(phase: str, status: str) -> None:
    assert phases.execution_status(phase, started=True).value == status


@pytest.mark.parametrize("phase", ["Stopping", "Deleting", "Unknown", "Hibernating", ""])
@pytest.mark.parametrize("started", [True, False])
def test_phase_that_says_nothing_keeps_zenml_watching(phase: str, started: bool) -> None:
    # Dynamic pipelines stop watching at any other status.
    status = phases.execution_status(phase, started=started)
    assert status in (ExecutionStatus.PROVISIONING, ExecutionStatus.RUNNING)


def test_workload_that_is_gone_has_failed() -> None:
    assert phases.execution_status(phases.GONE, started=True) is ExecutionStatus.FAILED


@pytest.mark.parametrize(
    ("said", "started", "kind"),
    [
        ("Container of pod w-0-0 was killed: OOMKilled, exit code 137", True, "RunAIOutOfMemory"),
        ("OOMKilled: out of memory", False, "RunAIOutOfMemory"),
        ('Failed: Failed to pull image "x": no such host', False, "RunAIImagePullFailed"),
        ("BackOff: ImagePullBackOff", False, "RunAIImagePullFailed"),
        ("Preempted: pod w-0-0 was preempted by another", True, "RunAIWorkloadPreempted"),
        ("Evicted: the node was low on resource", True, "RunAIWorkloadPreempted"),
        ("The workload is over quota", False, "RunAIQuotaExceeded"),
        ("OverLimit", False, "RunAIQuotaExceeded"),
        ("The workload was over quota", True, "RunAIWorkloadFailed"),
        ("exit code 1", True, "RunAIWorkloadFailed"),
    ],
)
def test_cause_of_death(said: str, started: bool, kind: str) -> None:
    error = cause_of_death("w", "Failed", ["Scheduled: assigned", said], started=started)
    assert type(error).__name__ == kind
    assert said.rstrip(".") in str(error)
    assert error.remedy in str(error)


def test_out_of_memory_wins_over_an_earlier_preemption() -> None:
    said = ["Preempted: by another", "OOMKilled: out of memory"]
    assert isinstance(cause_of_death("w", "Failed", said, started=True), errors.RunAIOutOfMemory)


def test_earlier_preemption_is_not_the_cause_of_a_later_exit() -> None:
    said = ["ContainerExited: terminated with exit code 1", "Preempted: by another"]
    error = cause_of_death("w", "Failed", said, started=True)
    assert type(error) is errors.RunAIWorkloadFailed
    assert "exit code 1" in str(error)


@pytest.mark.parametrize(
    ("phase", "kind"),
    [("Stopped", errors.RunAIWorkloadStopped), (phases.GONE, errors.RunAIWorkloadGone)],
)
def test_end_that_is_no_failure_of_the_step(phase: str, kind: type) -> None:
    assert type(cause_of_death("w", phase, [], started=True)) is kind


def test_sentences_take_the_most_telling_first_and_nothing_twice() -> None:
    pending = workload(
        phase_reason="OverLimit",
        phase_message="waits",
        pending_scheduling_messages=[
            {"nodePool": "a100", "phaseReason": "OverLimit", "reason": "no room"},
            {"nodePool": "default", "userMessage": "Ask for less."},
        ],
        conditions=[{"type": "x", "status": "False", "message": "waits"}],
    )
    events = [
        WorkloadEvent(type="Warning", reason="Unschedulable", message="no node"),
        WorkloadEvent(type="Normal", reason="Created", message="fine"),
        WorkloadEvent(type="Warning", reason="Unschedulable", message="no node"),
    ]
    assert sentences(pending, events) == [
        "node pool a100: no room",
        "node pool default: Ask for less.",
        "The workload would go over the project's limit (OverLimit).",
        "waits",
        "Unschedulable: no node",
    ]


def test_image_problem_and_whether_waiting_can_help() -> None:
    said = ["no quota", "Failed: Error: ErrImagePull"]
    assert image_problem(said) == said[1]
    assert image_problem(["no quota"]) is None
    assert not is_for_good(said[1])
    assert is_for_good("Failed: InvalidImageName")


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.RunAIError)
    ],
)
def test_error_comes_back_from_zenml_as_it_was(kind: type[errors.RunAIError]) -> None:
    """ZenML keeps an error as class and text, and makes it anew for the user."""
    original = kind("It happened.")
    information = collect_exception_information(original)
    again = reconstruct_exception(information, fallback_message="lost")
    assert type(again) is kind
    assert str(again) == str(original)
