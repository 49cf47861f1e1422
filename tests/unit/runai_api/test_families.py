"""Every management family against the running emulator, on both kinds of control plane."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from runai_api import (
    AuthenticationFailed,
    ConfigurationError,
    Conflict,
    ControlPlaneVersion,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    RunaiClient,
)


@pytest.fixture
def legacy_client(emulator_legacy: Any) -> Iterator[RunaiClient]:
    with RunaiClient(
        emulator_legacy.base_url,
        client_id=emulator_legacy.admin_id,
        client_secret=emulator_legacy.admin_secret,
    ) as client:
        yield client


def as_account(client: RunaiClient, client_id: str, secret: SecretStr) -> RunaiClient:
    return RunaiClient(client.base_url, client_id=client_id, client_secret=secret)


def identities(client: RunaiClient) -> Any:
    current = client.version is ControlPlaneVersion.CURRENT
    return client.service_accounts if current else client.applications


@pytest.fixture(params=["2.24", "2.23"])
def any_client(request: pytest.FixtureRequest) -> RunaiClient:
    name = "admin_client" if request.param == "2.24" else "legacy_client"
    client: RunaiClient = request.getfixturevalue(name)
    assert client.version == request.param
    return client


def test_the_life_of_an_identity(any_client: RunaiClient) -> None:
    family = identities(any_client)
    made = family.create("bot-1")
    assert made.name == "bot-1"
    assert made.client_secret.get_secret_value() not in repr(made)
    assert family.get(made.id).client_id == made.client_id
    assert family.find("bot-1").id == made.id
    assert family.find("bot") is None
    assert made.id in [account.id for account in family.list()]
    with pytest.raises(Conflict):
        family.create("bot-1")

    with as_account(any_client, made.client_id, made.client_secret) as own:
        assert own.permissions.mine() == []

    family.set_enabled(made.id, False)
    assert family.get(made.id).enabled is False
    with (
        as_account(any_client, made.client_id, made.client_secret) as own,
        pytest.raises(AuthenticationFailed, match="bot-1"),
    ):
        own.permissions.mine()
    family.set_enabled(made.id, True)

    renewed = family.regenerate_secret(made.id)
    assert renewed.get_secret_value() != made.client_secret.get_secret_value()
    with as_account(any_client, made.client_id, renewed) as own:
        assert own.permissions.mine() == []
    with (
        as_account(any_client, made.client_id, made.client_secret) as own,
        pytest.raises(AuthenticationFailed),
    ):
        own.permissions.mine()

    family.delete(made.id)
    with pytest.raises(NotFound):
        family.get(made.id)
    with pytest.raises(NotFound):
        family.delete(made.id)


@pytest.mark.parametrize(
    "name", ["", "a", "1bot", "-bot", "Bot", "bot-", "bot_", "b t", "b" * 256, "böt", "bot\n"]
)
def test_illegal_account_names_are_refused_before_they_are_sent(
    admin_client: RunaiClient, emulator: Any, name: str
) -> None:
    with pytest.raises(InvalidArgument, match="letter first"):
        admin_client.service_accounts.create(name)
    assert emulator.requests() == []


def test_what_2_23_lacks_is_said(legacy_client: RunaiClient) -> None:
    assert legacy_client.version is ControlPlaneVersion.LEGACY
    calls = [
        lambda: legacy_client.service_accounts.create("bot"),
        lambda: legacy_client.service_accounts.list(),
        lambda: legacy_client.permission_sets.list(),
        lambda: legacy_client.roles.create("r", "d", ["x"]),
        lambda: legacy_client.roles.delete(1),
        lambda: legacy_client.roles.enable(1),
    ]
    for call in calls:
        with pytest.raises(ConfigurationError, match=r"2\.24 or newer"):
            call()


def test_predefined_roles_are_found_by_name(any_client: RunaiClient) -> None:
    current = any_client.version is ControlPlaneVersion.CURRENT
    name = "AI practitioner" if current else "L1 researcher"
    role = any_client.roles.find(name)
    assert role is not None
    assert any_client.roles.get(role.id) == role
    assert "trainings:create" in [p for entry in role.permissions for p in entry.names]
    assert any_client.roles.find(name.upper()) is None
    assert role.id in [listed.id for listed in any_client.roles.list()]


def test_the_life_of_a_custom_role(admin_client: RunaiClient) -> None:
    sets = {found.name: found for found in admin_client.permission_sets.list()}
    first, second = list(sets.values())[:2]
    assert admin_client.permission_sets.get(first.id) == first
    assert admin_client.permission_sets.find(first.name) == first
    made = admin_client.roles.create("submitter", "for tests", [first.id])
    assert made.custom is True
    assert made.permissions == first.permissions
    assert admin_client.roles.find("submitter") == made
    changed = admin_client.roles.update(
        made.id, name="submitter-2", description="d", permission_set_ids=[first.id, second.id]
    )
    assert {found.id for found in changed.permission_sets} == {first.id, second.id}
    assert admin_client.roles.find("submitter") is None
    admin_client.roles.disable(made.id)
    assert admin_client.roles.get(made.id).effective_enabled is False
    admin_client.roles.enable(made.id)
    assert admin_client.roles.get(made.id).effective_enabled is True
    assert [role.name for role in admin_client.roles.list(filter_by=["custom==true"])] == [
        "submitter-2"
    ]
    admin_client.roles.delete(made.id)
    with pytest.raises(NotFound):
        admin_client.roles.get(made.id)


@pytest.mark.parametrize("sets", [[], "abc"])
def test_a_role_without_permission_sets_is_refused(admin_client: RunaiClient, sets: Any) -> None:
    with pytest.raises(InvalidArgument, match="permission set"):
        admin_client.roles.create("r", "d", sets)


def test_the_life_of_an_access_rule(any_client: RunaiClient) -> None:
    account = identities(any_client).create("bot")
    current = any_client.version is ControlPlaneVersion.CURRENT
    kind = "service-account" if current else "app"
    role = any_client.roles.find("AI practitioner" if current else "L1 researcher")
    project = any_client.projects.find("ml-team")
    assert role
    assert project
    rule = any_client.access_rules.create(account.client_id, kind, role.id, "project", project.id)
    ready = any_client.access_rules.wait_ready(rule, timeout=10)
    assert ready.status is None or ready.status.phase == "Ready"
    assert (ready.scope_name, ready.role_name) == ("ml-team", role.name)

    rules = any_client.access_rules
    found = rules.find(account.client_id, role.id, "project", project.id)
    assert found is not None
    assert found.id == rule.id
    assert rules.find(account.client_id, role.id, "project", "1002") is None
    assert rules.find("nobody", role.id, "project", project.id) is None
    assert (
        rules.find(account.client_id, role.id, "project", project.id, subject_type="user") is None
    )
    for narrowed in (
        {"subject_ids": [account.client_id]},
        {"subject_type": kind, "scope_type": "project"},
        {"scope_id": project.id},
        {"role_id": role.id},
    ):
        assert [listed.id for listed in rules.list(**narrowed)] == [rule.id]
    everything = rules.count()
    with as_account(any_client, account.client_id, account.client_secret) as own:
        (mine,) = own.access_rules.mine()
        assert (mine.role_id, mine.scope_id) == (role.id, project.id)
        assert own.permissions.permitted_scopes("trainings", "create").permits(project)
        other = own.permissions.permitted_scopes("access_rules", "create")
        assert not other.permits(project)
        assert "trainings:create" in [p for entry in own.permissions.mine() for p in entry.names]
        with pytest.raises(PermissionDenied) as caught:
            own.access_rules.create("bot", kind, role.id, "project", project.id)
        assert caught.value.permission == "access_rules:create"
        assert caught.value.scope == f"project {project.id}"

    rules.delete(rule.id)
    assert rules.count() == everything - 1
    assert rules.count(include_deleted=True) == everything
    assert rule.id not in [listed.id for listed in rules.list()]
    deleted = [listed for listed in rules.list(include_deleted=True) if listed.id == rule.id]
    assert deleted[0].deleted_at is not None
    with pytest.raises(NotFound):
        rules.get(rule.id)


def test_a_new_rule_costs_one_more_request_than_a_ready_one(
    admin_client: RunaiClient, emulator: Any
) -> None:
    role = admin_client.roles.find("AI practitioner")
    assert role
    rule = admin_client.access_rules.create("someone@acme.example", "user", role.id, "tenant", "1")
    emulator.forget_requests()
    ready = admin_client.access_rules.wait_ready(rule)
    assert len(emulator.requests()) <= 1
    emulator.forget_requests()
    assert admin_client.access_rules.wait_ready(ready) is ready
    assert emulator.requests() == []
    assert admin_client.access_rules.wait_ready(ready.id).id == ready.id
    assert len(emulator.requests()) == 1


def test_org_units_are_found(any_client: RunaiClient) -> None:
    (cluster,) = any_client.clusters.list()
    assert cluster.name == "local"
    assert any_client.clusters.get(cluster.id).name == "local"
    found = any_client.clusters.find("local")
    assert found
    assert found.id == cluster.id
    assert any_client.clusters.find("other") is None
    assert any_client.clusters.list(verbosity="metadata")[0].id == cluster.id

    assert {pool.name for pool in any_client.node_pools.list(cluster_id=cluster.id)} >= {
        "default",
        "a100",
    }
    pool = any_client.node_pools.find("a100", cluster.id)
    assert pool
    assert any_client.node_pools.get(pool.id) == pool
    assert any_client.node_pools.find("a10", cluster.id) is None

    department = any_client.departments.find("default")
    assert department
    assert any_client.departments.get(department.id).name == "default"
    assert [unit.id for unit in any_client.departments.list()] == [department.id]

    project = any_client.projects.find("ml-team", cluster.id)
    assert project
    assert project.is_ready
    assert project.namespace == "runai-ml-team"
    assert project.ancestor_ids == (department.id,)
    assert any_client.projects.get(project.id).name == "ml-team"
    assert {unit.name for unit in any_client.projects.list(search="team")} == {
        "ml-team",
        "other-team",
    }
    assert any_client.projects.find("team") is None


def test_the_life_of_a_registry_credential(any_client: RunaiClient) -> None:
    project = any_client.projects.find("ml-team")
    assert project
    family = any_client.registry_credentials
    made = family.create(
        "reg", project.id, user="u", password="canary", url="https://r.example", description="mine"
    )
    assert "canary" not in repr(made)
    ready = family.wait_ready(made)
    assert ready.kubernetes_secret_name
    found = family.find("reg", project.id)
    assert found is not None
    assert found.kubernetes_secret_name == ready.kubernetes_secret_name
    assert found.project_id == project.id
    assert family.find("reg", "1002") is None
    assert family.find("re", project.id) is None
    assert [entry.id for entry in family.list(project_id=project.id)] == [made.id]
    assert family.list(name="other") == []
    with pytest.raises(Conflict):
        family.create("reg", project.id, user="u", password="p", url="https://r.example")
    family.update(made.id, description="changed")
    assert family.get(made.id).meta.description == "changed"
    family.delete(made.id)
    assert family.find("reg", project.id) is None


def test_a_credential_from_an_existing_secret(admin_client: RunaiClient) -> None:
    made = admin_client.registry_credentials.create("reg", "1001", existing_secret_name="pull-me")
    assert made.spec.existing_secret_name == "pull-me"
    assert admin_client.registry_credentials.wait_ready(made).kubernetes_secret_name


def test_the_life_of_a_generic_secret(any_client: RunaiClient) -> None:
    project = any_client.projects.find("ml-team")
    assert project
    family = any_client.generic_secrets
    made = family.create("tokens", project.id, {"KEY": "canary", "OTHER": SecretStr("canary-2")})
    assert "canary" not in repr(made)
    assert family.wait_ready(made).kubernetes_secret_name
    found = family.find("tokens", project.id)
    assert found is not None
    assert found.id == made.id
    with pytest.raises(Conflict):
        family.create("tokens", project.id, {"KEY": "v"})
    family.delete(made.id)
    assert family.find("tokens", project.id) is None


@pytest.mark.parametrize("values", [{}, {"": "v"}])
def test_a_generic_secret_without_values_is_refused(
    admin_client: RunaiClient, emulator: Any, values: dict[str, str]
) -> None:
    with pytest.raises(InvalidArgument):
        admin_client.generic_secrets.create("tokens", "1001", values)
    assert emulator.requests() == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "user, password, url"),
        ({"user": "u"}, "password, url"),
        ({"user": "u", "password": "", "url": "https://r"}, "password"),
        ({"user": "u", "password": SecretStr(""), "url": "https://r"}, "password"),
        ({"existing_secret_name": "s", "user": "u"}, "excludes user"),
        ({"existing_secret_name": "s", "description": ""}, "250"),
        ({"existing_secret_name": "s", "description": "x" * 251}, "250"),
        ({"existing_secret_name": "s", "project_id": "abc"}, "not a number"),
        ({"existing_secret_name": "s", "name": ""}, "name"),
    ],
)
def test_bad_credentials_are_refused_before_they_are_sent(
    admin_client: RunaiClient, emulator: Any, arguments: dict[str, Any], says: str
) -> None:
    given = {"name": "reg", "project_id": "1001", **arguments}
    with pytest.raises(InvalidArgument, match=says):
        admin_client.registry_credentials.create(**given)
    assert emulator.requests() == []


def test_the_whole_set_up_takes_few_requests(admin_client: RunaiClient, emulator: Any) -> None:
    """What provisioning does, from the token to the finished credential."""
    project = admin_client.projects.find("ml-team")
    role = admin_client.roles.find("AI practitioner")
    account = admin_client.service_accounts.create("bot")
    assert project
    assert role
    rule = admin_client.access_rules.create(
        account.client_id, "service-account", role.id, "project", project.id
    )
    admin_client.access_rules.wait_ready(rule)
    credential = admin_client.registry_credentials.create(
        "reg", project.id, user="u", password="p", url="https://r.example"
    )
    admin_client.registry_credentials.wait_ready(credential)
    paths = [f"{entry['method']} {entry['path']}" for entry in emulator.requests()]
    assert len(paths) <= 8, paths


def test_half_a_character_is_refused_before_it_is_sent(
    admin_client: RunaiClient, emulator: Any
) -> None:
    """A lone surrogate, as a damaged answer may hold one, cannot stand in a URL."""
    with pytest.raises(InvalidArgument, match="not text"):
        admin_client.trainings.get("\ud800")
    with pytest.raises(InvalidArgument, match="not text"):
        admin_client.projects.list(search="\ud800")
    assert [found["path"] for found in emulator.requests()] in ([], ["/api/v2/token"])
