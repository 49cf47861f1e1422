"""New credentials while the old ones are in use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runai_api import AuthenticationFailed, RunaiClient
from tests.chaos.support.world import UP, World
from tests.zenml.orchestrator.conftest import MARKS, Lab, ZenMLApi

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

#: Two accounts, one after the other in the ZenML secret; `old` goes when nobody needs it any more.
TWO_ACCOUNTS = """
import pulumi
from provision import AccessRule, PredefinedRole, RunaiProject, ServiceAccount, ZenMLSecret

settings = pulumi.Config()
project = RunaiProject("project", "ml-team")
role = PredefinedRole("role")
accounts = {}
for name in settings.require_object("features"):
    account = accounts[name] = ServiceAccount(f"account-{name}")
    AccessRule(
        f"rule-{name}",
        subject_id=account.subject_id,
        subject_type=account.subject_type,
        role_id=role.role_id,
        scope_id=project.project_id,
    )
current = accounts[settings.require("roleName")]
ZenMLSecret(
    "credentials",
    values={"client_id": current.client_id, "client_secret": current.client_secret},
)
"""

PIPELINE = """
    cpu = {"orchestrator": RunAIOrchestratorSettings(gpu_devices_request=0)}

    @step
    def before() -> int:
        mark("before")
        gate("rotated")
        return 1

    @step
    def after(number: int) -> None:
        mark("after")

    @pipeline(enable_cache=False, settings={"docker": DOCKER, **cpu})
    def long_one():
        after(before())

    long_one.with_options(run_name=RUN)()
"""


def values_of(world: World, secret: str) -> dict[str, str]:
    return dict(world.zenml.secrets.get(world.engine.resources()[secret]["id"]).body["values"])


def accepted(world: World, values: dict[str, str]) -> bool:
    with RunaiClient(
        world.emulator.base_url,
        client_id=values["client_id"],
        client_secret=values["client_secret"],
    ) as client:
        try:
            return client.projects.find("ml-team") is not None
        except AuthenticationFailed:
            return False


@pytest.mark.parametrize("exact_name", [None, "zenml-by-name"])
def test_the_old_secret_dies_last_or_the_gap_is_known(world: World, exact_name: str | None) -> None:
    """With the default name there are two accounts for a while. With an exact name there is only
    one, whose secret the control plane replaces at once: the order is then the other way round."""
    world.provision(serviceAccountName=exact_name, rotation={"date": "2027-01"})
    old = values_of(world, "runai-credentials")
    seen: dict[str, tuple[bool, bool]] = {}

    def note(moment: str) -> None:
        now = values_of(world, "runai-credentials")
        seen[moment] = (accepted(world, old), accepted(world, now))

    world.engine.configure(rotation={"date": "2027-02"})
    world.proxy.forget()
    hold = world.proxy.hold(lambda e: e.is_a("PUT", "/api/v1/secrets/*"), "before")
    process = world.start(*UP)
    assert hold.reached.wait(120)
    note("before the ZenML secret is updated")
    world.proxy.lift()
    assert process.wait(120) == 0
    note("in the end")

    overlap = exact_name is None
    assert seen == {
        "before the ZenML secret is updated": (overlap, overlap),
        "in the end": (False, True),
    }


@pytest.mark.chaos
def test_two_accounts_overlap_as_long_as_one_likes(
    make_world: Callable[..., World],
) -> None:
    world = make_world(stack="overlap")
    (world.engine.folder / "stacks" / "__main__.py").write_text(TWO_ACCOUNTS)
    world.fresh()
    steps = [
        (["blue"], "blue"),
        (["blue", "green"], "green"),
        (["green"], "green"),
    ]
    held: list[dict[str, str]] = []
    alive: list[list[bool]] = []
    for accounts, current in steps:
        world.engine.configure(features=accounts, roleName=current)
        world.engine.run(*UP).succeeded()
        held.append(values_of(world, "credentials"))
        alive.append([accepted(world, values) for values in held])

    assert held[0] != held[1] == held[2]
    assert alive == [[True], [True, True], [False, True, True]]
    world.fresh()


@pytest.fixture
def lab(
    world: World, zenml_server: Any, s3_server: Any, tmp_path: Path, services_folder: Path
) -> Iterator[Lab]:
    """The stack that Pulumi provisioned, with an artifact store that works."""
    hurry = {"shortest_status_interval": 0.2, "longest_status_interval": 0.5}
    world.provision(
        artifactStoreDefinition={
            "flavor": "s3",
            "configuration": {
                "path": f"s3://{s3_server.bucket}",
                "client_kwargs": {"endpoint_url": s3_server.url, "region_name": "us-east-1"},
            },
        },
        artifactStoreCredentials={"key": s3_server.access_key, "secret": s3_server.secret_key},
        orchestratorConfiguration=hurry,
        stepOperatorConfiguration=hurry,
    )
    marks = tmp_path / "marks"
    marks.mkdir()
    stack_id = str(world.engine.resources()["runai-stack"]["id"])
    # The emulated pods run on this machine.
    environment = {"ZENML_RUNAI_APP_DIR": "app", MARKS: str(marks)}
    world.zenml.stacks.update(stack_id, {"environment": environment})
    api = ZenMLApi(zenml_server.url, zenml_server.api_key)
    folder = tmp_path / "user"
    folder.mkdir()
    lab = Lab(world.emulator, zenml_server, s3_server, api, stack_id, folder, marks)
    yield lab
    lab.close()
    api.close()


@pytest.mark.chaos
def test_a_running_pipeline_goes_on(world: World, lab: Lab) -> None:
    script = lab.start(PIPELINE)
    lab.until(lambda: lab.marked("before"), "the first step runs")
    old = values_of(world, "runai-credentials")

    world.engine.configure(rotation={"date": "2027-02"})
    world.engine.run(*UP).succeeded()
    assert not accepted(world, old)
    assert not lab.marked("after")
    lab.open_gate("rotated")

    script.succeed()
    assert lab.marked("after") == 1
    assert lab.marked("before") == 1


@pytest.mark.chaos
def test_a_registry_credential_in_use_goes_when_nobody_uses_it(world: World, lab: Lab) -> None:
    script = lab.start(PIPELINE)
    lab.until(lambda: lab.marked("before"), "the first step runs")
    [old] = world.runai.registry_credentials.list()

    world.engine.configure(rotation={"registry": "2"}, registryPassword="canary-of-the-next")
    refused = world.engine.run(*UP).failed()
    assert "still uses the registry credential" in refused.errors
    assert "run the same command again" in refused.errors
    [new] = [c for c in world.runai.registry_credentials.list() if c.id != old.id]
    operator = world.zenml.components.get(world.engine.resources()["runai-step-operator"]["id"])
    assert operator.configuration["image_pull_secret_name"] == new.kubernetes_secret_name
    lab.open_gate("rotated")
    script.succeed()
    with lab.control_plane() as client:
        for workload in lab.workloads():
            client.trainings.delete(workload["id"])

    world.engine.run(*UP).succeeded()
    assert [c.id for c in world.runai.registry_credentials.list()] == [new.id]
