"""Every workload family against the running emulator, which starts real processes."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from runai_api import (
    BadRequest,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Phase,
    RunaiClient,
    TypedWorkload,
)
from runai_api._http import Deadline

from .conftest import Wire

KINDS = {
    "trainings": "Training",
    "distributed": "Distributed",
    "workspaces": "Workspace",
    "inferences": "Inference",
}


def body(client: RunaiClient, kind: str, name: str = "w-1", **spec: Any) -> dict[str, Any]:
    project = client.projects.find("ml-team")
    assert project
    own: dict[str, Any] = {}
    if kind == "distributed":
        own = {"numWorkers": 2, "distributedFramework": "PyTorch"}
    if kind == "inferences":
        own = {"servingPort": {"container": 8080}}
    return {
        "name": name,
        "projectId": project.id,
        "clusterId": project.cluster_id,
        "spec": {"image": "busybox", "command": "sleep 600", **own, **spec},
    }


def until(read: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
    """Ask until it is so; the emulator's workloads are real processes."""
    deadline = time.monotonic() + 30
    while not good(value := read()):
        assert time.monotonic() < deadline, f"still {value}"
        time.sleep(0.05)
    return value


@pytest.fixture
def submitted(
    request: pytest.FixtureRequest, admin_client: RunaiClient
) -> Iterator[tuple[str, TypedWorkload]]:
    kind = getattr(request, "param", "trainings")
    made = getattr(admin_client, kind).create(body(admin_client, kind))
    yield kind, made
    with contextlib.suppress(NotFound):
        getattr(admin_client, kind).delete(made.workload_id)


each_kind = pytest.mark.parametrize("submitted", KINDS, indirect=True)


@each_kind
def test_a_workload_is_submitted_and_read(
    submitted: tuple[str, TypedWorkload], admin_client: RunaiClient
) -> None:
    kind, made = submitted
    assert made.name == made.requested_name == "w-1"
    assert made.desired_phase == "Running"
    typed = getattr(admin_client, kind).get(made.workload_id)
    assert typed.workload_id == made.workload_id
    assert typed.spec is not None
    assert typed.spec["image"] == "busybox"
    general = admin_client.workloads.get(made.workload_id)
    assert general.type == KINDS[kind]
    assert general.project_name == "ml-team"
    (listed,) = admin_client.workloads.list(filter_by=["name==w-1", f"type=={KINDS[kind]}"])
    assert listed.id == made.workload_id
    # An inference runs once it serves; this one never does.
    started = Phase.INITIALIZING if kind == "inferences" else Phase.RUNNING
    running = until(
        lambda: admin_client.workloads.get(made.workload_id),
        lambda workload: workload.phase == started,
    )
    assert running.phase_updated_at is not None
    pods = admin_client.workloads.pods(made.workload_id)
    assert pods
    assert all(pod.k8s_phase for pod in pods)
    assert admin_client.workloads.events(made.workload_id)
    history = admin_client.workloads.history(made.workload_id)
    phases = [record.spec.phase_update.phase for record in history if record.spec.phase_update]
    assert "Creating" in phases


@pytest.mark.parametrize("submitted", ["trainings", "distributed", "workspaces"], indirect=True)
def test_a_workload_is_stopped_started_and_deleted(
    submitted: tuple[str, TypedWorkload], admin_client: RunaiClient
) -> None:
    kind, made = submitted
    family = getattr(admin_client, kind)
    family.suspend(made.workload_id)
    until(lambda: family.get(made.workload_id), lambda w: w.actual_phase == Phase.STOPPED)
    assert family.get(made.workload_id).desired_phase == "Stopped"
    family.resume(made.workload_id)
    until(lambda: family.get(made.workload_id), lambda w: w.actual_phase == Phase.RUNNING)
    family.delete(made.workload_id)
    by_name = ["name==w-1"]
    until(lambda: admin_client.workloads.list(filter_by=by_name), lambda rows: rows == [])
    (gone,) = admin_client.workloads.list(filter_by=by_name, deleted=True)
    assert gone.deleted_at is not None
    assert admin_client.workloads.count(filter_by=by_name, deleted=True) == 1
    assert admin_client.workloads.count(filter_by=by_name) == 0


def test_a_finished_workload_tells_its_end(admin_client: RunaiClient) -> None:
    ends = {"true": Phase.COMPLETED, "false": Phase.FAILED}
    made = {
        command: admin_client.trainings.create(
            body(admin_client, "trainings", f"w-{command}", command=command, backoffLimit=0)
        )
        for command in ends
    }
    for command, phase in ends.items():
        done = until(
            lambda c=command: admin_client.workloads.get(made[c].workload_id),  # type: ignore[misc]
            lambda w: w.phase in (Phase.COMPLETED, Phase.FAILED),
        )
        assert done.phase == phase


def test_news_are_asked_for_by_project_and_time(
    submitted: tuple[str, TypedWorkload], admin_client: RunaiClient
) -> None:
    _, made = submitted
    workload = until(
        lambda: admin_client.workloads.get(made.workload_id),
        lambda found: found.phase == Phase.RUNNING,
    )
    project = f"projectId=={made.project_id}"
    since = workload.phase_updated_at.isoformat()
    later = (workload.phase_updated_at + timedelta(seconds=1)).isoformat()
    list_ = admin_client.workloads.list
    assert [w.id for w in list_([project, f"phaseUpdatedAt>={since}"])] == [made.workload_id]
    assert list_([project, f"phaseUpdatedAt>={later}"]) == []
    assert list_(["projectId==1002"]) == []


def test_names_may_get_a_suffix(admin_client: RunaiClient) -> None:
    given = {**body(admin_client, "trainings"), "useGivenNameAsPrefix": True}
    first, second = (admin_client.trainings.create(given) for _ in range(2))
    assert first.requested_name == second.requested_name == "w-1"
    assert first.name != second.name
    assert first.name.startswith("w-1-")
    result = admin_client.workloads.batch([first.workload_id, second.workload_id], "delete")
    assert sorted(result.succeeded) == sorted([first.workload_id, second.workload_id])
    assert result.failed == ()


def test_a_batch_tells_what_failed(
    submitted: tuple[str, TypedWorkload], admin_client: RunaiClient
) -> None:
    _, made = submitted
    unknown = "00000000-0000-4000-8000-000000000000"
    result = admin_client.workloads.batch([made.workload_id, unknown], "suspend")
    assert result.succeeded == (made.workload_id,)
    assert [failure.id for failure in result.failed] == [unknown]


@pytest.mark.parametrize("ids", [[], "w-1"])
def test_an_impossible_batch_is_refused(admin_client: RunaiClient, ids: Any) -> None:
    with pytest.raises(InvalidArgument):
        admin_client.workloads.batch(ids, "delete")


def test_a_body_that_the_api_refuses_says_why(admin_client: RunaiClient) -> None:
    with pytest.raises(BadRequest):
        admin_client.trainings.create(body(admin_client, "trainings", name="Not A Name"))
    for key in ("name", "projectId"):
        with pytest.raises(InvalidArgument, match=key):
            admin_client.trainings.create({**body(admin_client, "trainings"), key: ""})


def test_rights_are_checked_by_project_and_kind(admin_client: RunaiClient) -> None:
    account = admin_client.service_accounts.create("bot")
    role = admin_client.roles.find("AI practitioner")
    assert role
    admin_client.access_rules.create(
        account.client_id, "service-account", role.id, "project", "1001"
    )
    with RunaiClient(
        admin_client.base_url, client_id=account.client_id, client_secret=account.client_secret
    ) as own:
        given = body(own, "trainings")
        own.trainings.delete(own.trainings.create(given).workload_id)
        with pytest.raises(PermissionDenied) as caught:
            own.trainings.create({**given, "projectId": "1002"})
        assert caught.value.permission == "trainings:create"
        assert caught.value.scope == "project 1002"


def test_a_template_is_found_by_name(admin_client: RunaiClient) -> None:
    with httpx.Client(base_url=admin_client.base_url, trust_env=False) as wire:
        token = admin_client._tokens.current(Deadline(30))
        made = wire.post(
            "/api/v1/workload-templates/trainings",
            headers={"Authorization": f"Bearer {token}"},
            content=json.dumps(
                {
                    "meta": {"name": "base", "scopeType": "project", "scopeId": "1001"},
                    "spec": {"image": "busybox", "command": "true"},
                }
            ),
        )
    made.raise_for_status()
    found = admin_client.workload_templates.find("base", workload_type="Training")
    assert found is not None
    assert found.meta.scope_id == "1001"
    assert admin_client.workload_templates.get(found.id).name == "base"
    assert admin_client.workload_templates.find("bas") is None
    assert [entry.id for entry in admin_client.workload_templates.list()] == [found.id]


def test_the_kinds_share_their_paths_but_not_their_rights(wire: Wire, client: RunaiClient) -> None:
    wanted = {
        "trainings": "trainings",
        "distributed": "trainings",
        "workspaces": "workspaces",
        "inferences": "inferences",
    }
    for kind, resource in wanted.items():
        wire.on("DELETE", f"/api/v1/workloads/{kind}/w", httpx.Response(403))
        with pytest.raises(PermissionDenied) as caught:
            getattr(client, kind).delete("w")
        assert caught.value.permission == f"{resource}:delete"
        assert caught.value.scope == "the workload's project"
    assert not hasattr(client.inferences, "suspend")


def test_an_inference_is_changed_in_place(wire: Wire, client: RunaiClient) -> None:
    answer = {"workloadId": "w", "name": "i", "projectId": "1", "spec": {"image": "new"}}
    wire.json("PATCH", "/api/v1/workloads/inferences/w", answer, 202)
    changed = client.inferences.update("w", {"image": "new"})
    assert wire.body() == {"spec": {"image": "new"}}
    assert changed.spec == {"image": "new"}
    assert changed.actual_phase is None
