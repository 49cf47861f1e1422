"""Stacks side by side, and objects that are not ours."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import Any

import pytest

from provision.zenml_rest import ZenMLClient
from runai_api import RunaiClient
from tests.engine.conftest import NewEngine

pytestmark = pytest.mark.engine

#: The same result with a program of one's own.
OWN_PROGRAM = """
import pulumi
from provision import ComponentDefinition, RunaiZenMLStack, RunaiZenMLStackArgs

args = RunaiZenMLStackArgs(
    project="ml-team",
    artifact_store="default",
    container_registry=ComponentDefinition("default", {"uri": "registry.example.com/ml"}),
)
pulumi.export("stack", RunaiZenMLStack("mine", args).zenml_stack_name)
"""


def test_names_of_another_stack_are_refused_before_anything_is_made(
    new_engine: NewEngine, emulator: Any, zenml: ZenMLClient
) -> None:
    first = new_engine()
    first.up("--skip-preview").succeeded()
    name = first.outputs()["zenmlStack"]
    emulator.forget_requests()

    second = new_engine(zenmlStack=name)
    refused = second.up().failed()
    assert f"The ZenML stack '{name}' exists already and belongs to the Pulumi resource" in (
        refused.errors
    )
    assert f"organization/zenml-runai/{first.stack}/runai-stack" in refused.errors
    assert not second.resources()
    assert not [
        r for r in emulator.requests() if r["method"] == "POST" and "token" not in r["path"]
    ]

    # Stacks share the flavors: the first that goes leaves them, the last takes them away.
    second.configure(zenmlStack=None)
    second.up("--skip-preview").succeeded()
    kept = first.destroy().succeeded()
    assert "stays: other components use it" in kept.output
    assert len(zenml.flavors.matching(name="nvidia_runai")) == 2
    second.preview("--expect-no-changes", "--refresh").succeeded()
    second.destroy().succeeded()
    users = zenml.components.matching(flavor="nvidia_runai")
    assert bool(zenml.flavors.matching(name="nvidia_runai")) == bool(users)


def test_a_component_that_is_not_ours_is_left_alone_or_adopted(
    new_engine: NewEngine, emulator: Any, zenml: ZenMLClient
) -> None:
    engine = new_engine(program=OWN_PROGRAM)
    name = f"mine-{engine.stack}"
    by_hand = zenml.components.create(
        {
            "name": name,
            "type": "container_registry",
            "flavor": "default",
            "configuration": {"uri": "registry.example.com/ml"},
        }
    )
    refused = engine.up().failed()
    assert f"container registry '{name}' exists already and was not made by" in refused.errors
    assert "the artifact store 'default' keeps its files on one machine" in refused.output
    assert not engine.resources()

    program = engine.folder / "stacks" / "__main__.py"
    adopting = OWN_PROGRAM.replace("    container", '    adopt="if_exists",\n    container', 1)
    program.write_text(adopting)
    engine.up("--skip-preview").succeeded()
    assert engine.resources()["mine-container-registry"]["id"] == by_hand.id
    assert engine.run("stack", "output", "stack").output.strip() == name

    engine.destroy().succeeded()
    assert zenml.components.get(by_hand.id), "what was adopted stays"
    zenml.components.delete(by_hand.id)
    assert not zenml.stacks.find(name)


def test_an_older_control_plane_gets_an_application_and_refuses_custom_roles(
    new_engine: NewEngine, emulator_legacy: Any
) -> None:
    engine = new_engine(runaiBaseUrl=emulator_legacy.base_url, role="custom")
    refused = engine.up().failed()
    assert "no custom roles: they need 2.24 or newer" in refused.errors
    assert not engine.resources()

    engine.configure(role="predefined")
    engine.up("--skip-preview").succeeded()
    assert engine.outputs()["role"] == "L1 researcher"
    with RunaiClient(
        emulator_legacy.base_url,
        client_id=emulator_legacy.admin_id,
        client_secret=emulator_legacy.admin_secret,
    ) as runai:
        [rule] = runai.access_rules.list(subject_type="app", scope_type="project")
        assert rule.role_name == "L1 researcher"
        engine.preview("--expect-no-changes", "--refresh").succeeded()
        engine.destroy().succeeded()
        assert not runai.access_rules.list(subject_type="app", scope_type="project")


def test_a_missing_right_is_named_and_the_next_up_goes_on(
    new_engine: NewEngine, emulator: Any, admin_client: RunaiClient
) -> None:
    helper = admin_client.service_accounts.create("half-admin")
    sets = admin_client.permission_sets.list()
    enough = [
        found.id
        for found in sets
        if not {n for p in found.permissions for n in p.names} & {"access_rules:create"}
    ]
    role = admin_client.roles.create("half-admin", "all but granting", enough)
    admin_client.access_rules.create("half-admin", "service-account", role.id, "tenant", "1")

    engine = new_engine(
        runaiClientId="half-admin", runaiClientSecret=helper.client_secret.get_secret_value()
    )
    refused = engine.up().failed()
    assert "seems to lack access_rules:create" in refused.output
    assert "access_rules:create" in refused.errors
    assert "runai-rule" not in engine.resources()

    engine.configure(runaiClientId=emulator.admin_id, runaiClientSecret=emulator.admin_secret)
    engine.up("--skip-preview").succeeded()
    assert len([a for a in admin_client.service_accounts.list() if "runai-" in a.name]) == 1
    engine.preview("--expect-no-changes", "--refresh").succeeded()
    engine.destroy().succeeded()


def test_a_killed_up_is_finished_by_the_next_without_a_duplicate(
    new_engine: NewEngine, emulator: Any, admin_client: RunaiClient
) -> None:
    engine = new_engine()
    emulator.add_fault(
        kind="hold", when="after", method="POST", path="/api/v1/service-accounts", times=1
    )
    running = subprocess.Popen(
        ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive"],
        cwd=engine.folder,
        env=engine.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    made = []
    deadline = time.monotonic() + 60
    while not made and time.monotonic() < deadline:
        made = [a for a in admin_client.service_accounts.list() if "runai-" in a.name]
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    emulator.clear_faults()
    assert made, "the account was made, and nobody has its secret"
    assert "runai-account" not in engine.resources()

    engine.run("cancel", "--yes").succeeded()
    engine.up("--skip-preview").succeeded()
    accounts = [a for a in admin_client.service_accounts.list() if "runai-" in a.name]
    assert [a.id for a in accounts] == [made[0].id]
    engine.preview("--expect-no-changes", "--refresh").succeeded()
    engine.destroy().succeeded()
    assert not [a for a in admin_client.service_accounts.list() if "runai-" in a.name]


#: A stack whose objects are to outlive it.
RETAINED = """
from pulumi import ResourceOptions
from provision import RunaiZenMLStack, read_config

RunaiZenMLStack("runai", read_config(), opts=ResourceOptions(retain_on_delete=True))
"""


def test_what_is_retained_on_delete_is_no_left_over(
    new_engine: NewEngine, emulator: Any, admin_client: RunaiClient, zenml: ZenMLClient
) -> None:
    engine = new_engine(program=RETAINED, role="custom")
    engine.up("--skip-preview").succeeded()
    made = engine.resources()
    destroyed = engine.destroy().succeeded()
    assert "left" not in destroyed.output
    assert not engine.resources()
    assert admin_client.service_accounts.get(made["runai-account"]["id"])
    assert admin_client.roles.get(int(made["runai-role"]["id"]))
    assert zenml.stacks.get(made["runai-stack"]["id"])
    assert zenml.secrets.get(made["runai-credentials"]["id"])

    engine.up("--skip-preview").succeeded()
    again = engine.resources()
    assert {name: entry["id"] for name, entry in again.items()} == {
        name: entry["id"] for name, entry in made.items()
    }
    (engine.folder / "stacks" / "__main__.py").write_text(
        RETAINED.replace("retain_on_delete=True", "")
    )
    engine.up("--skip-preview").succeeded()
    engine.destroy().succeeded()
    assert admin_client.service_accounts.find(made["runai-account"]["outputs"]["name"]) is None
