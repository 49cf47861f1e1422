"""What cannot work is refused with the reason and the remedy, and leaves nothing behind."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from zenml.client import Client

from runai_api import RunaiClient
from zenml_runai import errors

pytestmark = pytest.mark.zenml


def alive(administrator: RunaiClient) -> list[str]:
    """Names of workloads that hold or want resources."""
    return [
        workload.name
        for workload in administrator.workloads.list()
        if workload.phase not in ("Completed", "Failed", "Stopped")
    ]


def with_settings(pipeline: Any, step: str, **settings: Any) -> Any:
    return pipeline.with_options(steps={step: {"settings": {"step_operator": settings}}})


def step_log(step: Any) -> list[str]:
    """The messages in the step's log, of all its sources."""
    store = Client().active_stack.log_store
    return [entry.message for logs in step.log_collection for entry in store.fetch(logs).items]


CPU = {"gpu_devices_request": 0, "cpu_core_request": 0.1, "cpu_memory_request": "100M"}


@pytest.mark.parametrize(
    ("configuration", "error", "message"),
    [
        ({"project_name": "ml-taem"}, errors.RunAIProjectNotFound, "Did you mean ml-team"),
        (
            {"client_secret": "wrong"},
            errors.RunAIAuthenticationError,
            "Check client_id and client_secret",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_configuration_that_cannot_work(
    code: ModuleType,
    configure: Callable[..., None],
    administrator: RunaiClient,
    configuration: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    configure(**configuration)
    before = len(administrator.workloads.list())
    with pytest.raises(error, match=message):
        code.commanding(["true"])
    assert len(administrator.workloads.list()) == before


def test_account_that_may_not_submit(
    code: ModuleType,
    configure: Callable[..., None],
    administrator: RunaiClient,
    weak_account: Any,
) -> None:
    configure(client_id=weak_account.client_id, client_secret=weak_account.client_secret)
    before = len(administrator.workloads.list())
    with pytest.raises(errors.RunAISubmissionDenied, match="trainings:create") as caught:
        code.commanding(["true"])
    assert "AI practitioner" in str(caught.value)
    assert len(administrator.workloads.list()) == before


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"workload_template_id": "00000000-0000-0000-0000-000000000000"},
            errors.RunAITemplateNotFound,
            "takes the id of a template",
        ),
        ({"node_pools": ["no-such-pool"]}, errors.RunAISubmissionFailed, "no-such-pool"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_settings_that_the_control_plane_refuses(
    code: ModuleType,
    administrator: RunaiClient,
    settings: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    pipeline = with_settings(code.commanding, "command", **CPU, **settings)
    before = len(administrator.workloads.list())
    with pytest.raises(error, match=message):
        pipeline(["true"])
    assert len(administrator.workloads.list()) == before


def test_function_in_several_pods_needs_the_users_word(
    code: ModuleType, administrator: RunaiClient
) -> None:
    settings = {"workload_kind": "distributed", "distributed": {"num_workers": 1}}
    pipeline = with_settings(code.environment, "show_environment", **CPU, **settings)
    before = len(administrator.workloads.list())
    with pytest.raises(errors.RunAIInvalidSettings, match="safe_in_several_pods"):
        pipeline()
    assert len(administrator.workloads.list()) == before
    pipeline = with_settings(
        code.environment, "show_environment", **CPU, **settings, safe_in_several_pods=True
    )
    run = pipeline()
    assert run.steps["show_environment"].output.load()["RANK"] == "0"


@pytest.mark.parametrize("delete", [False, True])
def test_image_that_cannot_be_pulled(
    code: ModuleType, configure: Callable[..., None], administrator: RunaiClient, delete: bool
) -> None:
    configure(delete_on_failure=delete)
    pipeline = code.environment.with_options(
        settings={
            "docker": {"skip_build": True, "parent_image": "registry.invalid/ml/zenml:1"},
        },
        steps={
            "show_environment": {"settings": {"step_operator": {**CPU, "image_pull_timeout": 2}}}
        },
    )
    before = {workload.id for workload in administrator.workloads.list()}
    with pytest.raises(errors.RunAIImagePullFailed, match=r"registry\.invalid") as caught:
        pipeline()
    assert "image_pull_secret_name" in str(caught.value)
    assert alive(administrator) == []
    new = [w.phase for w in administrator.workloads.list() if w.id not in before]
    assert new == ([] if delete else ["Stopped"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gpu_devices_request": 64, "gpu_request_type": "device"}, "64"),
        (
            {
                "gpu_devices_request": 6,
                "gpu_request_type": "device",
                "preemptibility": "non-preemptible",
            },
            "uota",
        ),
    ],
    ids=["more GPUs than there are", "over the quota"],
)
def test_quota_that_never_suffices_ends_by_the_pending_timeout(
    code: ModuleType,
    administrator: RunaiClient,
    settings: dict[str, Any],
    message: str,
) -> None:
    pipeline = with_settings(code.environment, "show_environment", **settings, pending_timeout=2)
    with pytest.raises(errors.RunAIPendingTimeout, match=message) as caught:
        pipeline()
    assert "node_pools" in str(caught.value)
    assert alive(administrator) == []
    step = Client().list_run_steps(
        name="show_environment", sort_by="desc:created", size=1, hydrate=True
    )[0]
    waits = [line for line in step_log(step) if "waits:" in line]
    assert any(message in line for line in waits)
    # Each reason is said once.
    assert len(set(waits)) == len(waits)
