"""Roles, permission sets, access rules, and one's own rights."""

from __future__ import annotations

from runai_api import (
    AccessRule,
    ConfigurationError,
    NotFound,
    PermissionDenied,
    RunaiClient,
    ServiceAccountSecret,
)
from tools.wire.scenario import CURRENT, LEGACY, World, raises, sandbox, scenario


def grant(world: World, client: RunaiClient, subject: str) -> AccessRule:
    """Give the predefined role at the sandbox project and wait until it holds."""
    kind = "service-account" if world.version == CURRENT else "app"
    role_id = int(world.prepared["role_id"])
    rule = client.access_rules.create(subject, kind, role_id, "project", world.project_id)
    world.undo(lambda admin: admin.access_rules.delete(rule.id))
    return client.access_rules.wait_ready(rule)


def account(world: World, client: RunaiClient, what: str) -> ServiceAccountSecret:
    """A service account (an application on the older control plane) without any right."""
    current = world.version == CURRENT
    family = client.service_accounts if current else client.applications
    made = family.create(world.name(what))
    world.undo(
        lambda admin: (admin.service_accounts if current else admin.applications).delete(made.id)
    )
    return made


@scenario("permission_sets/read")
def permission_sets(world: World) -> None:
    with world.connect() as client:
        listed = client.permission_sets.list()
        assert listed
        first = client.permission_sets.get(listed[0].id)
        assert first.name == listed[0].name
        assert first.permissions


@scenario("roles/predefined")
def predefined_roles(world: World) -> None:
    with world.connect() as client:
        roles = client.roles.list()
        role = client.roles.find("AI practitioner")
        assert role is not None
        assert role.id in {found.id for found in roles}
        assert client.roles.get(role.id).name == "AI practitioner"


@scenario("roles/legacy", LEGACY)
def legacy_roles(world: World) -> None:
    """The older control plane has bare lists of roles, and no custom ones."""
    with world.connect() as client:
        role = client.roles.find("L1 researcher")
        assert role is not None
        assert client.roles.get(role.id).name == "L1 researcher"
        with raises(ConfigurationError):
            client.roles.create(world.name("role"), "", ["any"])


def _two_sets(world: World) -> None:
    with world.connect() as client:
        sets = sorted(client.permission_sets.list(), key=lambda found: len(found.permissions))
    world.prepared.update(first=sets[0].id, second=sets[1].id)


@scenario("roles/custom", prepare=_two_sets)
def custom_role(world: World) -> None:
    first, second = world.prepared["first"], world.prepared["second"]
    with world.connect() as client:
        role = client.roles.create(world.name("role"), "Made by a recording.", [first])
        world.undo(lambda admin: admin.roles.delete(role.id))
        assert [found.id for found in client.roles.get(role.id).permission_sets] == [first]

        client.roles.update(
            role.id,
            name=role.name,
            description="Changed by a recording.",
            permission_set_ids=[first, second],
        )
        assert len(client.roles.get(role.id).permission_sets) == 2

        client.roles.disable(role.id)
        assert client.roles.get(role.id).enabled is False
        client.roles.enable(role.id)
        assert client.roles.get(role.id).enabled is True

        client.roles.delete(role.id)
        assert client.roles.find(role.name) is None


@scenario("access_rules/life_cycle", CURRENT, LEGACY, prepare=sandbox)
def access_rule(world: World) -> None:
    current = world.version == CURRENT
    kind = "service-account" if current else "app"
    with world.connect() as client:
        made = account(world, client, "granted")
        rule = grant(world, client, made.client_id)
        assert (rule.scope_type, rule.scope_id) == ("project", world.project_id)
        assert client.access_rules.get(rule.id).subject_id == made.client_id

        listed = client.access_rules.list(subject_ids=[made.client_id])
        assert [found.id for found in listed] == [rule.id]
        found = client.access_rules.find(
            made.client_id, rule.role_id, "project", rule.scope_id, subject_type=kind
        )
        assert found is not None
        assert found.id == rule.id
        assert client.access_rules.count() >= 1

        with world.connect(made.client_id, made.client_secret) as granted:
            assert [mine.role_id for mine in granted.access_rules.mine()] == [rule.role_id]

        client.access_rules.delete(rule.id)
        deleted = client.access_rules.list(subject_ids=[made.client_id], include_deleted=True)
        assert [found.deleted_at is not None for found in deleted] == [True]
        family = client.service_accounts if current else client.applications
        family.delete(made.id)


@scenario("permissions/own", CURRENT, LEGACY, prepare=sandbox)
def own_permissions(world: World) -> None:
    """What an account sees of its own rights: what, and where."""
    with world.connect() as client:
        made = account(world, client, "own")
        rule = grant(world, client, made.client_id)
        project = client.projects.get(rule.scope_id)
        with world.connect(made.client_id, made.client_secret) as granted:
            names = {name for held in granted.permissions.mine() for name in held.names}
            assert "trainings:create" in names
            assert granted.permissions.permitted_scopes("trainings", "create").permits(project)
            every = granted.permissions.permitted_scopes("roles")
            assert not every.permits(project, "create")
        client.access_rules.delete(rule.id)
        family = client.service_accounts if world.version == CURRENT else client.applications
        family.delete(made.id)


@scenario("errors/forbidden")
def forbidden(world: World) -> None:
    """An account without rights: refused, and the missing right is named."""
    with world.connect() as client:
        made = account(world, client, "powerless")
        with world.connect(made.client_id, made.client_secret) as powerless:
            with raises(PermissionDenied) as caught:
                powerless.service_accounts.create(world.name("never"))
            assert caught[0].permission == "service-account:create"
        client.service_accounts.delete(made.id)


@scenario("errors/not_found")
def not_found(world: World) -> None:
    nothing = "00000000-0000-4000-8000-000000000000"
    with world.connect() as client:
        with raises(NotFound):
            client.trainings.get(nothing)
        with raises(NotFound):
            client.access_rules.delete(2_000_000_000)
        assert client.projects.find(world.name("nowhere")) is None
