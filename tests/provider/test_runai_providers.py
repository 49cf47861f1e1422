"""Life cycle and recovery of the control plane's resources, through the real provider host."""

from __future__ import annotations

from typing import Any

import pytest

from provision.providers.access_rule import AccessRuleProvider
from provision.providers.project import RunaiProjectProvider
from provision.providers.registry_credential import RegistryCredentialProvider
from provision.providers.role import CustomRoleProvider, PredefinedRoleProvider
from provision.providers.service_account import ServiceAccountProvider
from runai_api import AuthenticationFailed, RunaiClient
from tests.provider.host import Host, HostError

ACCOUNT = ServiceAccountProvider()
RULE = AccessRuleProvider()
ROLE = CustomRoleProvider()
CREDENTIAL = RegistryCredentialProvider()
PROJECT = RunaiProjectProvider()
OWNER = "organization/zenml-runai/test/thing"


def can_log_in(emulator: Any, outs: dict[str, Any]) -> bool:
    with RunaiClient(
        emulator.base_url, client_id=outs["client_id"], client_secret=outs["client_secret"]
    ) as client:
        try:
            return bool(client.version)
        except AuthenticationFailed:
            return False


def rule_inputs(admin_client: RunaiClient, subject: dict[str, Any]) -> dict[str, Any]:
    project = admin_client.projects.find("ml-team")
    role = admin_client.roles.find("AI practitioner")
    assert project
    assert role
    return {
        "subject_id": subject["subject_id"],
        "subject_type": subject["subject_type"],
        "role_id": str(role.id),
        "scope_type": "project",
        "scope_id": project.id,
        "cluster_id": project.cluster_id,
    }


class TestServiceAccount:
    def test_life_cycle(self, host: Host, emulator: Any, admin_client: RunaiClient) -> None:
        id, outs = host.create(ACCOUNT, {"name": "zen-one"})
        assert can_log_in(emulator, outs)
        assert (outs["subject_type"], outs["adopted"]) == ("service-account", False)

        inputs, _ = host.check(ACCOUNT, {"name": "zen-one", "enabled": False})
        assert host.diff(ACCOUNT, id, outs, inputs).replaces == []
        outs = host.update(ACCOUNT, id, outs, inputs)
        account = admin_client.service_accounts.get(id)
        assert account.enabled is False
        assert outs["client_id"] == account.client_id

        host.delete(ACCOUNT, id, outs)
        host.delete(ACCOUNT, id, outs)
        assert admin_client.service_accounts.find("zen-one") is None
        assert host.read(ACCOUNT, id, outs) is None

    def test_is_an_application_on_an_older_control_plane(
        self, legacy_host: Host, emulator_legacy: Any
    ) -> None:
        _, outs = legacy_host.create(ACCOUNT, {"name": "zen-one"})
        assert outs["subject_type"] == "app"
        assert can_log_in(emulator_legacy, outs)

    def test_what_an_interrupted_run_made_is_taken_over_with_a_new_secret(
        self, host: Host, emulator: Any, admin_client: RunaiClient
    ) -> None:
        lost_id, lost = host.create(ACCOUNT, {"name": "zen-one"})

        id, outs = host.create(ACCOUNT, {"name": "zen-one"})

        assert (id, outs["adopted"]) == (lost_id, False)
        assert can_log_in(emulator, outs)
        assert not can_log_in(emulator, lost)
        assert [a.name for a in admin_client.service_accounts.list()].count("zen-one") == 1

    def test_an_exact_name_that_is_taken_needs_adoption(
        self, host: Host, emulator: Any, admin_client: RunaiClient
    ) -> None:
        theirs = admin_client.service_accounts.create("theirs")
        rule = rule_inputs(
            admin_client, {"subject_id": "theirs", "subject_type": "service-account"}
        )
        host.create(RULE, rule)
        secret = theirs.client_secret.get_secret_value()
        exact = {"name": "theirs", "name_is_ours": False}
        with pytest.raises(HostError, match="adopt='if_exists'"):
            host.create(ACCOUNT, exact)
        with pytest.raises(HostError, match="rotate_on_adopt"):
            host.create(ACCOUNT, {**exact, "adopt": "if_exists"})
        with pytest.raises(HostError, match="is wrong"):
            host.create(ACCOUNT, {**exact, "adopt": "if_exists", "adopt_secret": "guess"})
        with pytest.raises(HostError, match="does not exist"):
            host.create(ACCOUNT, {"name": "nobody", "name_is_ours": False, "adopt": "required"})

        given = {**exact, "adopt": "required", "adopt_secret": secret}
        id, outs = host.create(ACCOUNT, given)
        assert (id, outs["adopted"]) == (theirs.id, True)
        assert can_log_in(emulator, outs)

        host.delete(ACCOUNT, id, outs)
        assert admin_client.service_accounts.find("theirs"), "adopted objects are kept"

    def test_an_exact_name_that_an_interrupted_run_left_is_taken_over(
        self, host: Host, emulator: Any, admin_client: RunaiClient
    ) -> None:
        left = admin_client.service_accounts.create("zenml")
        for adopt in ("never", "if_exists"):
            exact = {"name": "zenml", "name_is_ours": False, "adopt": adopt}
            id, outs = host.create(ACCOUNT, exact)
            assert (id, outs["adopted"]) == (left.id, False)
            assert can_log_in(emulator, outs)

    def test_an_unused_account_of_another_is_not_taken_for_a_left_over(
        self, host: Host, emulator: Any, admin_client: RunaiClient
    ) -> None:
        colleague = admin_client.service_accounts.create("colleague")
        role = admin_client.roles.find("System administrator")
        assert role
        admin_client.access_rules.create("colleague", "service-account", role.id, "tenant", "1")
        with RunaiClient(
            emulator.base_url, client_id="colleague", client_secret=colleague.client_secret
        ) as other:
            other.service_accounts.create("theirs")
        with pytest.raises(HostError, match="adopt='if_exists'"):
            host.create(ACCOUNT, {"name": "theirs", "name_is_ours": False})

    def test_drift_is_seen_and_repaired(
        self, host: Host, emulator: Any, admin_client: RunaiClient
    ) -> None:
        id, outs = host.create(ACCOUNT, {"name": "zen-one"})
        assert host.read(ACCOUNT, id, outs) == (outs, host.check(ACCOUNT, {"name": "zen-one"})[0])

        admin_client.service_accounts.regenerate_secret(id)
        found = host.read(ACCOUNT, id, outs)
        assert found
        inputs, _ = host.check(ACCOUNT, {"name": "zen-one"}, found[1])
        changes = host.diff(ACCOUNT, id, found[0], inputs)
        assert (changes.changes, changes.replaces) == (None, [])

        repaired = host.update(ACCOUNT, id, found[0], inputs)
        assert can_log_in(emulator, repaired)

    def test_a_renamed_account_is_made_before_the_old_one_goes(self, host: Host) -> None:
        olds, _ = host.check(ACCOUNT, {"name": "zen-one"})
        news, _ = host.check(ACCOUNT, {"name": "zen-two"})
        changes = host.diff(ACCOUNT, "1", olds, news)
        assert changes.replaces == ["name"]
        assert not changes.delete_before_replace
        # Forced to replace without any change, it has to go first: the name is unique.
        assert host.diff(ACCOUNT, "1", olds, olds).delete_before_replace

    @pytest.mark.parametrize("name", ["A", "a", "9a", "a-", "a b", "ä-b", "x" * 256])
    def test_illegal_names_are_refused(self, host: Host, name: str) -> None:
        _, failures = host.check(ACCOUNT, {"name": name})
        assert "not a legal name" in failures["name"]


class TestAccessRule:
    def test_life_cycle(self, host: Host, admin_client: RunaiClient) -> None:
        _, account = host.create(ACCOUNT, {"name": "zen-one"})
        inputs = rule_inputs(admin_client, account)
        id, outs = host.create(RULE, inputs)
        rule = admin_client.access_rules.get(int(id))
        assert (rule.subject_id, rule.role_name) == (account["subject_id"], "AI practitioner")
        assert outs["role_name"] == "AI practitioner"

        again, _ = host.create(RULE, inputs)
        assert again == id, "an interrupted run's rule is taken over, not doubled"

        host.delete(RULE, id, outs)
        host.delete(RULE, id, outs)
        assert host.read(RULE, id, outs) is None

    def test_a_rule_made_by_another_can_be_adopted_and_then_stays(
        self, host: Host, emulator: Any, admin_client: RunaiClient
    ) -> None:
        colleague = admin_client.service_accounts.create("colleague")
        everything = admin_client.roles.find("System administrator")
        assert everything
        admin_client.access_rules.create(
            "colleague", "service-account", everything.id, "tenant", "1"
        )
        _, account = host.create(ACCOUNT, {"name": "zen-one"})
        inputs = rule_inputs(admin_client, account)
        with RunaiClient(
            emulator.base_url, client_id="colleague", client_secret=colleague.client_secret
        ) as other:
            theirs = other.access_rules.create(
                inputs["subject_id"], inputs["subject_type"], int(inputs["role_id"]),
                "project", inputs["scope_id"],
            )  # fmt: skip
        id, outs = host.create(RULE, {**inputs, "adopt": "if_exists"})
        assert (id, outs["adopted"]) == (str(theirs.id), True)
        host.delete(RULE, id, outs)
        assert admin_client.access_rules.get(theirs.id)

    def test_our_own_rule_is_no_adoption(self, host: Host, admin_client: RunaiClient) -> None:
        _, account = host.create(ACCOUNT, {"name": "zen-one"})
        inputs = {**rule_inputs(admin_client, account), "adopt": "if_exists"}
        id, _ = host.create(RULE, inputs)
        again, outs = host.create(RULE, inputs)
        assert (again, outs["adopted"]) == (id, False)

    def test_a_wider_scope_needs_permission(self, host: Host) -> None:
        _, failures = host.check(RULE, {"scope_type": "tenant", "scope_id": "1"})
        assert "allowBroaderScope" in failures["scope_type"]
        _, failures = host.check(
            RULE, {"scope_type": "tenant", "scope_id": "1", "allow_broader_scope": True}
        )
        assert not failures

    def test_an_unknown_role_leaves_nothing_behind(
        self, host: Host, admin_client: RunaiClient
    ) -> None:
        _, account = host.create(ACCOUNT, {"name": "zen-one"})
        inputs = {**rule_inputs(admin_client, account), "role_id": "999999"}
        with pytest.raises(HostError):
            host.create(RULE, inputs)
        assert not admin_client.access_rules.list(subject_ids=[account["subject_id"]])


class TestCustomRole:
    def test_life_cycle(self, host: Host, admin_client: RunaiClient) -> None:
        basic = {"name": "zen-role", "owner": OWNER}
        id, outs = host.create(ROLE, basic)
        role = admin_client.roles.get(int(id))
        held = {name for permission in role.permissions for name in permission.names}
        assert held == outs["needed"].keys() | outs["excess"].keys()
        assert "trainings:create" in held
        assert "trainings:delete" not in held

        inputs, _ = host.check(ROLE, {**basic, "features": ["delete_on_failure"]}, outs)
        assert "delete_on_failure" in inputs["needed"]["trainings:delete"]
        assert host.diff(ROLE, id, outs, inputs).replaces == []
        outs = host.update(ROLE, id, outs, inputs)
        role = admin_client.roles.get(int(id))
        assert any("trainings:delete" in permission.names for permission in role.permissions)

        host.delete(ROLE, id, outs)
        host.delete(ROLE, id, outs)
        assert host.read(ROLE, id, outs) is None

    def test_an_interrupted_run_leaves_one_role(self, host: Host, emulator: Any) -> None:
        first, _ = host.create(ROLE, {"name": "zen-role", "owner": OWNER})
        emulator.forget_requests()
        second, outs = host.create(ROLE, {"name": "zen-role", "owner": OWNER})
        assert (first, outs["adopted"]) == (second, False)
        # The API declares no conflict for a name that is taken, so it must not be put to the test.
        assert "POST" not in {request["method"] for request in emulator.requests()}

    def test_another_ones_role_is_left_alone(self, host: Host, admin_client: RunaiClient) -> None:
        sets = [found.id for found in admin_client.permission_sets.list()][:1]
        admin_client.roles.create("zen-role", "made by hand", sets)
        with pytest.raises(HostError, match="was not made by this Pulumi stack"):
            host.create(ROLE, {"name": "zen-role", "owner": OWNER})
        _, outs = host.create(ROLE, {"name": "zen-role", "owner": OWNER, "adopt": "if_exists"})
        assert outs["adopted"] is True
        with pytest.raises(HostError, match=f"belongs to the Pulumi resource {OWNER}"):
            host.create(ROLE, {"name": "zen-role", "owner": "x/y/z/r", "adopt": "if_exists"})

    def test_a_permission_set_added_by_hand_is_seen_and_taken_away(
        self, host: Host, admin_client: RunaiClient
    ) -> None:
        inputs = {"name": "zen-role", "owner": OWNER}
        id, outs = host.create(ROLE, inputs)
        everything = [found.id for found in admin_client.permission_sets.list()]
        role = admin_client.roles.get(int(id))
        admin_client.roles.update(
            int(id),
            name=role.name,
            description=str(role.description),
            permission_set_ids=everything,
        )

        found = host.read(ROLE, id, outs)
        assert found
        assert len(found[0]["permission_sets"]) == len(everything)
        wanted, _ = host.check(ROLE, inputs, found[1])
        assert host.diff(ROLE, id, found[0], wanted).changes is None
        host.update(ROLE, id, found[0], wanted)
        live = {found.id for found in admin_client.roles.get(int(id)).permission_sets}
        assert live == set(outs["permission_sets"].values())

    def test_needs_a_new_enough_control_plane(self, legacy_host: Host) -> None:
        _, failures = legacy_host.check(ROLE, {"name": "zen-role"})
        assert "2.24 or newer" in failures[""]

    def test_an_unchanged_role_asks_nobody(self, host: Host, emulator: Any) -> None:
        inputs, _ = host.check(ROLE, {"name": "zen-role"})
        emulator.forget_requests()
        again, _ = host.check(ROLE, {"name": "zen-role"}, inputs)
        assert again == inputs
        assert not emulator.requests()


class TestPredefinedRole:
    def test_default_depends_on_the_version(self, host: Host, legacy_host: Host) -> None:
        current, _ = host.check(PredefinedRoleProvider(), {})
        legacy, _ = legacy_host.check(PredefinedRoleProvider(), {})
        assert current["role_name"] == "AI practitioner"
        assert legacy["role_name"] == "L1 researcher"

    def test_unknown_role_names_near_misses(self, host: Host) -> None:
        _, failures = host.check(PredefinedRoleProvider(), {"name": "ai practitionr"})
        assert "Did you mean 'AI practitioner'" in failures["name"]


class TestRegistryCredential:
    def test_life_cycle(self, host: Host, admin_client: RunaiClient) -> None:
        project = admin_client.projects.find("ml-team")
        assert project
        own = {"user": "robot", "password": "hunter2-canary", "url": "https://r.example.com"}
        inputs = {"name": "zen-reg", "project_id": project.id, "owner": OWNER, **own}
        id, outs = host.create(CREDENTIAL, inputs)
        credential = admin_client.registry_credentials.get(id)
        assert outs["kubernetes_secret_name"] == credential.kubernetes_secret_name

        checked, _ = host.check(CREDENTIAL, {**inputs, "password": "hunter3-canary"})
        changes = host.diff(CREDENTIAL, id, outs, checked)
        assert changes.replaces == ["password"]
        assert changes.delete_before_replace, "the name is unique"

        checked, _ = host.check(CREDENTIAL, {**inputs, "description": "for the team"})
        assert host.diff(CREDENTIAL, id, outs, checked).replaces == []
        outs = host.update(CREDENTIAL, id, outs, checked)
        description = admin_client.registry_credentials.get(id).meta.description
        assert description == f"for the team (Managed by Pulumi: {OWNER})"

        assert host.read(CREDENTIAL, id, outs) == (outs, checked)
        host.delete(CREDENTIAL, id, outs)
        host.delete(CREDENTIAL, id, outs)
        assert host.read(CREDENTIAL, id, outs) is None

    def test_an_interrupted_run_leaves_one_with_the_newest_password(
        self, host: Host, admin_client: RunaiClient
    ) -> None:
        project = admin_client.projects.find("ml-team")
        assert project
        inputs = {
            "name": "zen-reg", "project_id": project.id, "owner": OWNER,
            "user": "robot", "password": "one", "url": "https://r.example.com",
        }  # fmt: skip
        first, _ = host.create(CREDENTIAL, inputs)
        second, _ = host.create(CREDENTIAL, {**inputs, "password": "two"})
        assert first != second, "the old password cannot be compared, so it is stored anew"
        assert len(admin_client.registry_credentials.list(project_id=project.id)) == 1
        with pytest.raises(HostError, match=f"belongs to the Pulumi resource {OWNER}"):
            host.create(CREDENTIAL, {**inputs, "owner": "x/y/z/other"})

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({"user": "u", "url": "https://r"}, "lacks password"),
            ({}, "lacks user, password, url"),
            ({"existing_secret_name": "s", "user": "u"}, "excludes user"),
            ({"name": "Not_Legal", "existing_secret_name": "s"}, "not a legal name"),
        ],
    )
    def test_incomplete_ones_are_refused(
        self, host: Host, given: dict[str, str], expected: str
    ) -> None:
        _, failures = host.check(CREDENTIAL, {"name": "zen-reg", "project_id": "1", **given})
        assert any(expected in reason for reason in failures.values())


class TestProject:
    def test_finds_out_what_others_need_and_then_asks_nobody(
        self, host: Host, emulator: Any, admin_client: RunaiClient
    ) -> None:
        inputs, failures = host.check(PROJECT, {"name": "ml-team"})
        project = admin_client.projects.find("ml-team")
        assert project
        assert not failures
        assert (inputs["project_id"], inputs["scope_id"]) == (project.id, project.id)
        assert inputs["control_plane_version"] == "2.24"

        emulator.forget_requests()
        assert host.check(PROJECT, {"name": "ml-team"}, inputs) == (inputs, {})
        assert not emulator.requests()

    def test_scopes(self, host: Host, admin_client: RunaiClient) -> None:
        project = admin_client.projects.find("ml-team")
        assert project
        expected = {
            "department": project.parent_id,
            "cluster": project.cluster_id,
            "tenant": "1",
        }
        for scope, id in expected.items():
            wanted = {"name": "ml-team", "scope_type": scope, "allow_broader_scope": True}
            inputs, failures = host.check(PROJECT, wanted)
            assert (inputs["scope_id"], failures) == (id, {})

    def test_another_control_plane_is_noticed(self, host: Host, emulator: Any) -> None:
        inputs, _ = host.check(PROJECT, {"name": "ml-team", "base_url": emulator.base_url})
        elsewhere = {**inputs, "base_url": "https://old.run.ai", "project_id": "77"}
        _, failures = host.check(
            PROJECT, {"name": "ml-team", "base_url": emulator.base_url}, elsewhere
        )
        assert "another control plane than https://old.run.ai" in failures["base_url"]
