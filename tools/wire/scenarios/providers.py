"""The life of each resource, through its provider class as the engine calls it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from pydantic import SecretStr

from provision._flavors import ShippedFlavor, shipped_flavor
from provision._session import HostSettings, Session
from provision.providers.access_rule import AccessRuleProvider
from provision.providers.base import Provider
from provision.providers.project import RunaiProjectProvider
from provision.providers.registry_credential import RegistryCredentialProvider
from provision.providers.role import CustomRoleProvider, PredefinedRoleProvider
from provision.providers.service_account import ServiceAccountProvider
from provision.providers.zenml_component import ZenMLComponentProvider
from provision.providers.zenml_flavor import ZenMLFlavorProvider
from provision.providers.zenml_secret import ZenMLSecretProvider
from provision.providers.zenml_server import ZenMLServerProvider
from provision.providers.zenml_stack import ZenMLStackProvider
from provision.zenml_rest import ZenMLClient
from tools.wire.scenario import CURRENT, LEGACY, World, sandbox, scenario
from tools.wire.scenarios.authorization import account
from tools.wire.scrub import PLACEHOLDER

OWNER = "organization/project/wire/thing"
Properties = dict[str, Any]


@contextmanager
def engine(world: World, provider: Provider) -> Iterator[Engine]:
    """The provider with the credentials of whoever records, and clients of its own."""
    zenml_key = world.secrets.get("zenml") or SecretStr("replayed")
    settings = HostSettings(
        runai_base_url=world.base_url,
        runai_client_id=world.client_id,
        runai_client_secret=SecretStr(world.client_secret),
        runai_ca_bundle=None,
        zenml_url=world.zenml_url,
        zenml_api_key=zenml_key,
        zenml_ca_bundle=None,
        destroy_in_use=False,
        delete_adopted=False,
    )
    session = Session(settings)
    provider.session = session
    with world.connect() as runai, ZenMLClient(world.zenml_url, zenml_key) as zenml:
        session._runai, session._zenml = runai, zenml
        yield Engine(world, provider)


class Engine:
    """Calls a provider in the order in which the engine does."""

    def __init__(self, world: World, provider: Provider) -> None:
        self.world = world
        self.provider = provider

    def inputs(self, given: Mapping[str, Any], olds: Properties | None = None) -> Properties:
        checked = self.provider.check(olds or {}, dict(given))
        assert not checked.failures, checked.failures
        return dict(checked.inputs)

    def create(self, given: Mapping[str, Any]) -> tuple[str, Properties]:
        made = self.provider.create(self.inputs(given))
        return made.id, dict(made.outs or {})

    def update(self, id: str, olds: Properties, given: Mapping[str, Any]) -> Properties:
        news = self.inputs(given, olds)
        changes = self.provider.diff(id, olds, news)
        assert changes.changes is None, "nothing has changed"
        assert not changes.replaces, changes.replaces
        return dict(self.provider.update(id, olds, news).outs or {})

    def unchanged(self, id: str, outs: Properties, given: Mapping[str, Any]) -> None:
        """Refresh and preview find nothing to do."""
        found = self.provider.read(id, outs)
        assert found.id == id
        news = self.inputs(given, dict(found.outs))
        assert self.provider.diff(id, dict(found.outs), news).changes is False

    def delete(self, id: str, outs: Properties) -> None:
        """Delete twice, as a run does that was interrupted after the first."""
        self.provider.delete(id, outs)
        self.provider.delete(id, outs)
        self.world.until(lambda: self.provider.read(id, outs).id, lambda found: not found)


@scenario("providers/project", CURRENT, LEGACY, client_only=False)
def project(world: World) -> None:
    with engine(world, RunaiProjectProvider()) as run:
        given = {"name": world.project}
        id, outs = run.create(given)
        run.unchanged(id, outs, given)


@scenario("providers/service_account", CURRENT, LEGACY, client_only=False)
def service_account(world: World) -> None:
    """Made, switched off and on, its secret rotated, deleted."""
    given = {"name": world.name("made")}
    with engine(world, ServiceAccountProvider()) as run:
        id, outs = run.create(given)
        current = outs["subject_type"] == "service-account"
        world.undo(
            lambda admin: (admin.service_accounts if current else admin.applications).delete(id)
        )
        run.unchanged(id, outs, given)
        outs = run.update(id, outs, {**given, "enabled": False})
        outs = run.update(id, outs, given)
        rotated = {**given, "rotation": {"when": "now"}}
        outs = run.update(id, outs, rotated)
        run.unchanged(id, outs, rotated)
        run.delete(id, outs)


@scenario("providers/interrupted_service_account", client_only=False)
def interrupted(world: World) -> None:
    """What an interrupted run made is taken over, with a new secret."""
    given = {"name": world.name("twice")}
    with engine(world, ServiceAccountProvider()) as run:
        lost, _ = run.create(given)
        world.undo(lambda admin: admin.service_accounts.delete(lost))
        id, outs = run.create(given)
        assert id == lost
        run.unchanged(id, outs, given)
        run.delete(id, outs)


@scenario("providers/predefined_role", CURRENT, LEGACY, prepare=sandbox, client_only=False)
def predefined_role(world: World) -> None:
    with engine(world, PredefinedRoleProvider()) as run:
        id, outs = run.create({})
        assert id == world.prepared["role_id"]
        run.unchanged(id, outs, {})


@scenario("providers/custom_role", client_only=False)
def custom_role(world: World) -> None:
    given = {"name": world.name("role"), "features": ["node_pools"], "owner": OWNER}
    with engine(world, CustomRoleProvider()) as run:
        id, outs = run.create(given)
        world.undo(lambda admin: admin.roles.delete(int(id)))
        run.unchanged(id, outs, given)
        outs = run.update(id, outs, {**given, "features": ["delete_on_failure"]})
        run.delete(id, outs)


def _with_account(world: World) -> None:
    sandbox(world)
    with world.connect() as client:
        world.prepared["client_id"] = account(world, client, "granted").client_id


@scenario("providers/access_rule", CURRENT, LEGACY, prepare=_with_account, client_only=False)
def access_rule(world: World) -> None:
    given = {
        "subject_id": world.prepared["client_id"],
        "subject_type": "service-account" if world.version == CURRENT else "app",
        "role_id": world.prepared["role_id"],
        "scope_id": world.project_id,
    }
    with engine(world, AccessRuleProvider()) as run:
        id, outs = run.create(given)
        world.undo(lambda admin: admin.access_rules.delete(int(id)))
        run.unchanged(id, outs, given)
        again, _ = run.create(given)
        assert again == id, "a second rule of the same content"
        run.delete(id, outs)


@scenario("providers/registry_credential", prepare=sandbox, client_only=False)
def registry_credential(world: World) -> None:
    given = {
        "name": world.name("pull"),
        "project_id": world.project_id,
        "user": "robot",
        "password": "a-password-nobody-has",
        "url": "https://registry.example.com",
        "owner": OWNER,
    }
    with engine(world, RegistryCredentialProvider()) as run:
        id, outs = run.create(given)
        world.undo(lambda admin: admin.registry_credentials.delete(id))
        assert outs["kubernetes_secret_name"]
        run.unchanged(id, outs, given)
        outs = run.update(id, outs, {**given, "description": "Changed by a recording."})
        run.delete(id, outs)


# ZenML's resources: the other half of a stack.


@scenario("providers/zenml_server", needs_zenml=True, client_only=False)
def zenml_server(world: World) -> None:
    given = {"existing": {"artifact_store": "default"}}
    with engine(world, ZenMLServerProvider()) as run:
        id, outs = run.create(given)
        assert outs["component_flavors"] == {"artifact_store": "local"}
        run.unchanged(id, outs, given)


@scenario("providers/zenml_secret", needs_zenml=True, client_only=False)
def zenml_secret(world: World) -> None:
    """The values are what a cassette shows instead of values, so that both runs see the same."""
    given = {
        "name": world.name("credentials"),
        "values": {"client_id": PLACEHOLDER},
        "owner": OWNER,
    }
    with engine(world, ZenMLSecretProvider()) as run:
        id, outs = run.create(given)
        run.unchanged(id, outs, given)
        changed = {**given, "values": {"client_id": PLACEHOLDER, "client_secret": PLACEHOLDER}}
        outs = run.update(id, outs, changed)
        run.unchanged(id, outs, changed)
        run.delete(id, outs)


@scenario("providers/zenml_flavor", needs_zenml=True, client_only=False)
def zenml_flavor(world: World) -> None:
    """With a short schema: the shipped one has hundreds of lines, and tells nothing more here."""
    schema: dict[str, Any] = {"title": "RunAIStepOperatorConfig", "properties": {}}
    short = ShippedFlavor({**shipped_flavor("step_operator").body, "config_schema": schema})
    given = {"type": "step_operator"}
    with (
        patch("provision.providers.zenml_flavor.shipped_flavor", lambda _: short),
        engine(world, ZenMLFlavorProvider()) as run,
    ):
        id, outs = run.create(given)
        run.unchanged(id, outs, given)
        schema["description"] = "A newer release."
        outs = run.update(id, outs, given)
        run.delete(id, outs)


def _store(world: World) -> Properties:
    return {
        "name": world.name("store"),
        "type": "artifact_store",
        "flavor": "local",
        "configuration": {"path": "/data/store"},
        "owner": OWNER,
    }


@scenario("providers/zenml_component", needs_zenml=True, client_only=False)
def zenml_component(world: World) -> None:
    given = _store(world)
    with engine(world, ZenMLComponentProvider()) as run:
        id, outs = run.create(given)
        run.unchanged(id, outs, given)
        outs = run.update(id, outs, {**given, "labels": {"team": "ml"}})
        run.delete(id, outs)


@scenario("providers/zenml_stack", needs_zenml=True, client_only=False)
def zenml_stack(world: World) -> None:
    with engine(world, ZenMLServerProvider()) as look:
        wanted = {"orchestrator": "default", "artifact_store": "default"}
        components = look.inputs({"existing": wanted})["component_ids"]
    given = {"name": world.name("stack"), "components": components, "owner": OWNER}
    with engine(world, ZenMLStackProvider()) as run:
        id, outs = run.create(given)
        run.unchanged(id, outs, given)
        outs = run.update(id, outs, {**given, "description": "Changed by a recording."})
        run.delete(id, outs)
