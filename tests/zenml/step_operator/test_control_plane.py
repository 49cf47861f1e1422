"""The component's view of the control plane, and the poller, on the real emulator."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from runai_api import RunaiClient, ScopeType, SubjectType, Workload
from zenml_runai import errors, phases
from zenml_runai._control_plane import Connection, ControlPlane
from zenml_runai.flavors import RunAIStepOperatorSettings
from zenml_runai.monitor import Pace, WorkloadMonitor
from zenml_runai.workload_spec import Container, WorkloadKind, workload_body

PROJECT = "ml-team"
FAST = Pace(shortest=0.02, longest=0.05, per_minute=6000, full=1.0)


@pytest.fixture
def plane(steps_emulator: Any, account: Any) -> ControlPlane:
    connection = Connection(
        steps_emulator.base_url, account.client_id, SecretStr(account.client_secret)
    )
    return ControlPlane(lambda: connection, PROJECT)


@pytest.fixture
def script(
    plane: ControlPlane, administrator: RunaiClient, steps_emulator: Any
) -> Iterator[Callable[[str], Workload]]:
    """Submit a workload that plays a script; all of them are deleted at the end."""
    made: list[str] = []

    def submit(script: str) -> Workload:
        settings = RunAIStepOperatorSettings(
            gpu_devices_request=0,
            cpu_core_request=0.1,
            cpu_memory_request="1M",
            annotations={"runai-emulator/script": script},
        )
        body = workload_body(
            "training",
            name=f"script-{len(made)}-{time.time_ns() % 10**9}",
            target=plane.target(),
            settings=settings,
            container=Container("example/image", ["train"]),
        )
        submitted = plane.submit(WorkloadKind.TRAINING, body)
        made.append(submitted.workload_id)
        return administrator.workloads.get(submitted.workload_id)

    yield submit
    steps_emulator.clear_faults()
    for workload_id in made:
        administrator.trainings.delete(workload_id)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://my-org.run.ai", "https://my-org.run.ai"),
        ("https://my-org.run.ai/", "https://my-org.run.ai"),
        ("https://example.com/runai/", "https://example.com/runai"),
        ("http://127.0.0.1:8780", "http://127.0.0.1:8780"),
    ],
)
def test_base_url_is_taken(given: str, used: str) -> None:
    connection = Connection(given, "id", SecretStr("secret"))
    assert ControlPlane(lambda: connection, PROJECT).client.base_url == used


@pytest.mark.parametrize(
    "given",
    [
        "my-org.run.ai",
        "ftp://my-org.run.ai",
        "https://",
        "https:///path",
        "https://my-org.run.ai?x=1",
        "https://my-org.run.ai#x",
        "http://my-org.run.ai",
        "https://user:password@my-org.run.ai",
    ],
)
def test_base_url_is_refused(given: str) -> None:
    connection = Connection(given, "id", SecretStr("secret"))
    with pytest.raises(errors.RunAIInvalidConfiguration):
        _ = ControlPlane(lambda: connection, PROJECT).client


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"project": "ml-taem"}, errors.RunAIProjectNotFound, "Did you mean ml-team"),
        ({"project": "other-team"}, errors.RunAIProjectNotFound, "project:read"),
        ({"cluster": "nowhere"}, errors.RunAIClusterNotFound, "Visible: local"),
        ({"client_id": "nobody"}, errors.RunAIAuthenticationError, "Check client_id"),
        ({"base_url": "http://127.0.0.1:9"}, errors.RunAIControlPlaneError, "runai_base_url"),
        ({"ca_bundle": "/no/such/ca.pem"}, errors.RunAIInvalidConfiguration, "ca.pem"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_configuration_that_cannot_work(
    steps_emulator: Any,
    account: Any,
    given: dict[str, str],
    error: type[Exception],
    message: str,
) -> None:
    connection = Connection(
        given.get("base_url", steps_emulator.base_url),
        given.get("client_id", account.client_id),
        SecretStr(account.client_secret),
        given.get("ca_bundle"),
    )
    plane = ControlPlane(lambda: connection, given.get("project", PROJECT), given.get("cluster"))
    with pytest.raises(error, match=message) as caught:
        plane.target()
    assert account.client_secret not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"priority_class": "urgent"}, errors.RunAISubmissionFailed, "urgent"),
        ({"node_pools": ["no-such-pool"]}, errors.RunAISubmissionFailed, "no-such-pool"),
        ({"workload_template_id": "x"}, errors.RunAITemplateNotFound, "takes the id"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_settings_that_the_control_plane_refuses(
    plane: ControlPlane, settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    body = workload_body(
        "training",
        name="refused",
        target=plane.target(),
        settings=RunAIStepOperatorSettings(**settings),
        container=Container("example/image", ["true"]),
    )
    with pytest.raises(error, match=message):
        plane.submit(WorkloadKind.TRAINING, body)
    assert plane.find("refused", plane.target().project_id) is None


def test_every_phase_is_seen_as_it_comes(
    plane: ControlPlane, script: Callable[[str], Workload], steps_emulator: Any
) -> None:
    lasting = [
        "Creating",
        "Pending",
        "Initializing",
        "Running",
        "Degraded",
        "Updating",
        "Unknown",
        "Terminating",
    ]
    workload = script(",".join(f"{phase}=60" for phase in lasting) + ",Completed")
    monitor = WorkloadMonitor(plane, FAST)
    assert workload.created_at is not None
    monitor.watch(workload.id, workload.created_at)
    seen: list[str] = []
    version = -1
    while not (sighting := monitor.wait(workload.id, version, 20.0)).ended:
        version = sighting.version
        if sighting.workload is None or (seen and seen[-1] == sighting.phase):
            continue
        seen.append(sighting.phase)
        status = phases.execution_status(sighting.phase, started=sighting.started)
        assert status.value == ("running" if sighting.started else "provisioning")
        steps_emulator.advance_clock(60)
    monitor.forget(workload.id)
    assert seen == lasting
    assert sighting.phase == "Completed"


@pytest.mark.parametrize(
    ("end", "phase"), [("Completed", "Completed"), ("Failed:OOMKilled", "Failed")]
)
def test_end_is_seen_after_an_hour(
    plane: ControlPlane,
    script: Callable[[str], Workload],
    steps_emulator: Any,
    end: str,
    phase: str,
) -> None:
    workload = script(f"Running=3600,{end}")
    monitor = WorkloadMonitor(plane, FAST)
    assert workload.created_at is not None
    monitor.watch(workload.id, workload.created_at)
    while not monitor.wait(workload.id, 0, 10.0).started:
        pass
    steps_emulator.advance_clock(3601)
    version = 0
    while not (sighting := monitor.wait(workload.id, version, 10.0)).ended:
        version = sighting.version
    assert sighting.phase == phase
    monitor.forget(workload.id)


def test_reasons_of_a_waiting_workload_are_words(
    plane: ControlPlane, administrator: RunaiClient, script: Callable[[str], Workload]
) -> None:
    workload = script("Running=1,Completed")
    body = workload_body(
        "training",
        name=f"greedy-{time.time_ns() % 10**9}",
        target=plane.target(),
        settings=RunAIStepOperatorSettings(gpu_devices_request=64, gpu_request_type="device"),
        container=Container("example/image", ["train"]),
    )
    greedy = plane.submit(WorkloadKind.TRAINING, body)
    try:
        known = plane.get(greedy.workload_id)
        assert known is not None
        assert known.phase == "Pending"
        assert any("64" in reason for reason in plane.reasons(known))
    finally:
        administrator.trainings.delete(greedy.workload_id)
    assert plane.get(workload.id) is not None


def test_changes_are_those_of_the_project_since_then(
    plane: ControlPlane, script: Callable[[str], Workload], steps_emulator: Any
) -> None:
    first = script("Running=10000")
    assert first.phase_updated_at is not None
    steps_emulator.advance_clock(100)
    second = script("Running=10000")
    assert second.created_at is not None
    ids = [w.id for w in plane.changes(second.created_at - timedelta(seconds=5))]
    assert second.id in ids
    assert first.id not in ids
    # The phase of the first began exactly then.
    assert first.id in [w.id for w in plane.changes(first.phase_updated_at)]


def test_stop_and_delete_of_what_is_over_or_gone_is_no_error(
    plane: ControlPlane, administrator: RunaiClient, script: Callable[[str], Workload]
) -> None:
    workload = script("Completed")
    plane.stop(WorkloadKind.TRAINING, workload.id)
    gone = "00000000-0000-0000-0000-000000000000"
    plane.stop(WorkloadKind.TRAINING, gone)
    plane.delete(WorkloadKind.TRAINING, gone)
    assert plane.get(gone) is None


def test_second_submission_of_a_name_takes_up_the_first(
    plane: ControlPlane, administrator: RunaiClient
) -> None:
    body = workload_body(
        "training",
        name=f"twice-{time.time_ns() % 10**9}",
        target=plane.target(),
        settings=RunAIStepOperatorSettings(
            gpu_devices_request=0, annotations={"runai-emulator/script": "Running=10000"}
        ),
        container=Container("example/image", ["train"]),
    )
    first = plane.submit(WorkloadKind.TRAINING, body)
    second = plane.submit(WorkloadKind.TRAINING, body)
    assert (first.adopted, second.adopted) == (False, True)
    assert (second.workload_id, second.created_at) == (first.workload_id, first.created_at)
    administrator.trainings.delete(first.workload_id)


@pytest.mark.parametrize(
    "lost",
    [
        {"kind": "reset-after"},
        {"kind": "conflict-after-lost-answer"},
        {"kind": "status", "status": 503, "committed": True},
        {"kind": "truncate"},
    ],
    ids=lambda rule: rule["kind"],
)
def test_lost_answer_starts_no_second_workload(
    plane: ControlPlane, administrator: RunaiClient, steps_emulator: Any, lost: dict[str, Any]
) -> None:
    body = workload_body(
        "training",
        name=f"lost-{time.time_ns() % 10**9}",
        target=plane.target(),
        settings=RunAIStepOperatorSettings(gpu_devices_request=0),
        container=Container("example/image", ["true"]),
    )
    steps_emulator.add_fault(method="POST", path="/api/v1/workloads/*", **lost)
    # The look-up that follows has to wait, too.
    steps_emulator.add_fault(
        kind="status", status=503, method="GET", path="/api/v1/workloads", times=2
    )
    submitted = plane.submit(WorkloadKind.TRAINING, body)
    assert submitted.adopted
    found = administrator.workloads.list(filter_by=[f"name=={body['name']}"])
    assert [workload.id for workload in found] == [submitted.workload_id]


def test_silent_control_plane_is_an_error_at_once_only_before_it_has_answered(
    steps_emulator: Any, account: Any
) -> None:
    connection = Connection(
        steps_emulator.base_url, account.client_id, SecretStr(account.client_secret)
    )
    steps_emulator.add_fault(kind="status", status=503, path="/api/*", times=None)
    with pytest.raises(errors.RunAIControlPlaneError):
        ControlPlane(lambda: connection, PROJECT).target()
    steps_emulator.clear_faults()
    patient = ControlPlane(lambda: connection, PROJECT)
    patient.call(lambda client: client.permissions.mine())
    steps_emulator.add_fault(kind="status", status=503, path="/api/v1/org-unit/*", times=5)
    assert patient.target().project_id


@pytest.fixture
def legacy_plane(emulator_legacy: Any) -> ControlPlane:
    """An application with the role of its time on a control plane of version 2.23."""
    with RunaiClient(
        emulator_legacy.base_url,
        client_id=emulator_legacy.admin_id,
        client_secret=emulator_legacy.admin_secret,
    ) as administrator:
        made = administrator.applications.create("zenml-legacy")
        project = administrator.projects.find(PROJECT)
        role = administrator.roles.find("L1 researcher")
        assert project is not None
        assert role is not None
        rule = administrator.access_rules.create(
            subject_id=made.client_id,
            subject_type=SubjectType.APP,
            role_id=role.id,
            scope_type=ScopeType.PROJECT,
            scope_id=project.id,
        )
        administrator.access_rules.wait_ready(rule.id, timeout=10)
    connection = Connection(emulator_legacy.base_url, made.client_id, made.client_secret)
    return ControlPlane(lambda: connection, PROJECT)


def test_control_plane_of_an_older_version(legacy_plane: ControlPlane) -> None:
    def body(**settings: Any) -> dict[str, Any]:
        return workload_body(
            "training",
            name=f"legacy-{time.time_ns() % 10**9}",
            target=legacy_plane.target(),
            settings=RunAIStepOperatorSettings(gpu_devices_request=0, **settings),
            container=Container("example/image", ["true"]),
        )

    with pytest.raises(errors.RunAIInvalidSettings, match=r"2\.23.*preemptibility"):
        legacy_plane.submit(WorkloadKind.TRAINING, body(preemptibility="preemptible"))
    submitted = legacy_plane.submit(WorkloadKind.TRAINING, body())
    monitor = WorkloadMonitor(legacy_plane, FAST)
    monitor.watch(submitted.workload_id, submitted.created_at)
    version = -1
    while not (sighting := monitor.wait(submitted.workload_id, version, 20.0)).ended:
        version = sighting.version
    assert sighting.phase == "Completed"
    monitor.forget(submitted.workload_id)
