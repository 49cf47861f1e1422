"""Take over what somebody made by hand in the two consoles, and give it back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from provision._flavors import shipped_flavors
from runai_api import RunaiClient
from tests.chaos.support.inventory import Inventory
from tests.chaos.support.world import DESTROY, UP, World

pytestmark = pytest.mark.engine

BY_HAND = {
    "runaiProject": None,
    "role": None,
    "features": None,
    "registryUrl": None,
    "registryUser": None,
    "registryPassword": None,
    "artifactStoreDefinition": None,
    "artifactStoreCredentials": None,
    "containerRegistryDefinition": None,
}


@dataclass(frozen=True)
class Handmade:
    """The ids of what a colleague has made, by the name of the resource that adopts it."""

    ids: dict[str, str]
    secret: str


@pytest.fixture
def colleague(world: World) -> Iterator[RunaiClient]:
    """Another administrator."""
    made = world.runai.service_accounts.create("colleague")
    role = world.runai.roles.find("System administrator")
    assert role
    world.runai.access_rules.create("colleague", "service-account", role.id, "tenant", "1")
    with RunaiClient(
        world.emulator.base_url, client_id="colleague", client_secret=made.client_secret
    ) as client:
        yield client


def make_by_hand(world: World, colleague: RunaiClient, base_url: str) -> Handmade:
    """What the guides for the two consoles say, with names of one's own and some extras."""
    project = colleague.projects.find("ml-team")
    assert project
    account = colleague.service_accounts.create("zenml-prod")
    sets = {found.name: found.id for found in colleague.permission_sets.list()}
    role = colleague.roles.create(
        "ZenML submitters", "By hand, for ZenML",
        [sets["Trainings manage"], sets["Projects view"], sets["Clusters minimal"],
         sets["Workloads view"], sets["Departments view"]],
    )  # fmt: skip
    rule = colleague.access_rules.create(
        account.client_id, "service-account", role.id, "project", project.id
    )
    registry = colleague.registry_credentials.create(
        "pull-ml", project.id, user="robot", password="canary-pull", url="https://r.example.com"
    )
    registry = colleague.registry_credentials.wait_ready(registry, 10)
    zenml = world.zenml
    secret = account.client_secret.get_secret_value()
    kept = zenml.secrets.create(
        {
            "name": "runai-prod",
            "private": False,
            "values": {"client_id": account.client_id, "client_secret": secret, "note": "mine"},
        }
    )
    for flavor in shipped_flavors().values():
        zenml.flavors.create(flavor.body)
    connection = {
        "client_id": "{{runai-prod.client_id}}",
        "client_secret": "{{runai-prod.client_secret}}",
        "runai_base_url": base_url,
        "project_name": "ml-team",
        "image_pull_secret_name": registry.kubernetes_secret_name,
    }

    def component(type: str, name: str, flavor: str, configuration: dict[str, Any]) -> str:
        body = {"name": name, "type": type, "flavor": flavor, "configuration": configuration}
        return zenml.components.create({**body, "labels": {"team": "research"}}).id

    parts = {
        "step_operator": component(
            "step_operator", "gpu-steps", "nvidia_runai",
            {**connection, "workload_timeout": 600, "delete_on_failure": True},
        ),
        "orchestrator": component("orchestrator", "runai-dag", "nvidia_runai", connection),
        "artifact_store": component("artifact_store", "bucket", "s3", {"path": "s3://mine"}),
        "container_registry": component(
            "container_registry", "images", "default", {"uri": "r.example.com/ml"}
        ),
        "image_builder": component("image_builder", "builder", "local", {}),
        "data_validator": component("data_validator", "checks", "evidently", {}),
    }  # fmt: skip
    stack = zenml.stacks.create(
        {
            "name": "production",
            "components": {type: [id] for type, id in parts.items()},
            "labels": {"team": "research"},
        }
    )
    ids = {
        "runai-account": account.id,
        "runai-role": str(role.id),
        "runai-rule": str(rule.id),
        "runai-registry": registry.id,
        "runai-credentials": kept.id,
        "runai-step-operator": parts["step_operator"],
        "runai-orchestrator": parts["orchestrator"],
        "runai-stack": stack.id,
    }
    return Handmade(ids, secret)


def adopt_command(world: World, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = world.engine.environment
    settings = {
        "RUNAI_BASE_URL": world.engine.settings()["runaiBaseUrl"],
        "RUNAI_CLIENT_ID": world.emulator.admin_id,
        "RUNAI_CLIENT_SECRET": world.emulator.admin_secret,
        "ZENML_STORE_URL": world.engine.settings()["zenmlUrl"],
        "ZENML_STORE_API_KEY": world.zenml_key,
    }
    return subprocess.run(
        [sys.executable, "-m", "provision", "adopt", *arguments],
        cwd=world.engine.folder, env={**environment, **settings}, capture_output=True, text=True,
    )  # fmt: skip


def unmarked(inventory: Inventory) -> Inventory:
    """Without what tells whose an object is."""
    return inventory.without_labels("managed-by", "pulumi-owner").without_keys("pulumi_owner")


def test_a_handmade_environment_is_taken_over_and_given_back(
    world: World, colleague: RunaiClient
) -> None:
    url = world.engine.settings()["runaiBaseUrl"]
    handmade = make_by_hand(world, colleague, url)
    before = world.inventory()
    world.engine.configure(**BY_HAND)

    listed = adopt_command(world)
    assert listed.stdout == "production\tproject ml-team\tcan be adopted\n"
    shown = adopt_command(world, "production")
    assert "pulumi config set --path registryName pull-ml\n" in shown.stdout
    assert "pulumi config set --path adopt required\n" in shown.stdout
    assert not shown.stderr, "nothing will be otherwise than it was"
    assert handmade.secret not in shown.stdout + shown.stderr
    applied = adopt_command(world, "production", "--apply")
    assert applied.returncode == 0, applied.stderr

    world.proxy.forget()
    world.engine.up().succeeded()
    resources = world.engine.resources()
    assert {name: str(resources[name]["id"]) for name in handmade.ids} == handmade.ids
    writes = [str(e) for e in world.proxy.requests if e.method not in ("GET", "PUT")]
    assert not [w for w in writes if "login" not in w and "token" not in w and "flavors" not in w]
    assert not unmarked(world.inventory()).compared_with(before), "everything is as it was"
    values = world.zenml.secrets.get(handmade.ids["runai-credentials"]).body["values"]
    assert values["client_secret"] == handmade.secret, "the old secret stays in force"
    world.engine.preview("--expect-no-changes", "--refresh").succeeded()
    assert "belongs to organization/" in adopt_command(world).stdout
    refused = adopt_command(world, "production")
    assert refused.returncode == 1
    assert "belongs to" in refused.stderr

    world.engine.run(*DESTROY).succeeded()
    after = world.inventory()
    assert not after.compared_with(before), "adopted objects are given back as they were"


@pytest.mark.chaos
def test_what_was_adopted_goes_only_if_told_so(world: World, colleague: RunaiClient) -> None:
    empty = world.inventory()
    make_by_hand(world, colleague, world.engine.settings()["runaiBaseUrl"])
    world.engine.configure(**BY_HAND)
    assert adopt_command(world, "production", "--apply").returncode == 0
    world.engine.run(*UP).succeeded()

    world.engine.configure(deleteAdopted=True)
    world.engine.run(*DESTROY, "--run-program").succeeded()

    left = world.inventory().compared_with(empty)
    # The components that the program only refers to, and the role that it only looked up, stay.
    assert not left.missing
    names = ["ZenML submitters", "bucket", "builder", "checks", "images"]
    assert len(left.orphans) == len(names), left.orphans
    assert all(any(f'"{name}"' in what for what in left.orphans) for name in names), left.orphans


@pytest.mark.chaos
def test_required_refuses_what_is_not_there(world: World, colleague: RunaiClient) -> None:
    make_by_hand(world, colleague, world.engine.settings()["runaiBaseUrl"])
    world.engine.configure(**BY_HAND)
    assert adopt_command(world, "production", "--apply").returncode == 0
    before = world.inventory()
    world.engine.configure(serviceAccountName="zenml-prodd")

    refused = world.engine.run(*UP).failed()

    assert "The service account 'zenml-prodd' does not exist" in refused.errors
    assert not unmarked(world.inventory()).compared_with(before)
    assert "runai-account" not in world.engine.resources()


@pytest.mark.chaos
def test_a_stack_of_the_builtin_step_operator_keeps_its_components(
    world: World, colleague: RunaiClient
) -> None:
    url = world.engine.settings()["runaiBaseUrl"]
    handmade = make_by_hand(world, colleague, url)
    parts = world.zenml.stacks.get(handmade.ids["runai-stack"]).metadata["components"]
    builtin = world.zenml.components.create(
        {
            "name": "builtin",
            "type": "step_operator",
            "flavor": "runai",
            "configuration": {
                "client_id": "{{runai-prod.client_id}}",
                "client_secret": "{{runai-prod.client_secret}}",
                "runai_base_url": url,
                "project_name": "ml-team",
            },
        }
    )
    ids = {type: [found[0]["id"]] for type, found in parts.items() if type != "orchestrator"}
    default = world.zenml.components.find("default", type="orchestrator")
    assert default
    ids |= {"step_operator": [builtin.id], "orchestrator": [default.id]}
    world.zenml.stacks.update(handmade.ids["runai-stack"], {"components": ids})
    world.engine.configure(**BY_HAND)

    applied = adopt_command(world, "production", "--apply")
    assert applied.returncode == 0, applied.stderr
    assert "The step operator 'builtin' has the flavor 'runai'; a new one" in applied.stderr
    assert "The orchestrator 'default' has the flavor 'local'; a new one" in applied.stderr
    world.engine.run(*UP).succeeded()

    stack = world.zenml.stacks.get(handmade.ids["runai-stack"])
    now = {type: found[0]["id"] for type, found in stack.metadata["components"].items()}
    resources = world.engine.resources()
    assert now["step_operator"] == resources["runai-step-operator"]["id"] != builtin.id
    assert now["data_validator"] == ids["data_validator"][0]
    assert world.zenml.components.get(builtin.id).configuration["project_name"] == "ml-team"
    assert resources["runai-account"]["id"] == handmade.ids["runai-account"]
