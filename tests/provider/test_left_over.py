"""The look-ups of project and server: their list of what may have been made, and its end."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from provision import _constants as constants
from provision.providers.project import RunaiProjectProvider
from provision.providers.zenml_component import ZenMLComponentProvider
from provision.providers.zenml_server import ZenMLServerProvider
from provision.zenml_rest import ZenMLClient
from runai_api import RunaiClient
from tests.provider.host import Host, HostError

PROJECT = RunaiProjectProvider()
SERVER = ZenMLServerProvider()
COMPONENT = ZenMLComponentProvider()
OWNER = "organization/zenml-runai/test/thing"
OTHER = "organization/zenml-runai/other/thing"
#: Marks by which an object is not ours to delete.
FOREIGN = [OTHER, f"adopted:{OWNER}", f"{OWNER}-2", ""]
PLANNED = [
    {"type": "service_account", "name": "zen-one"},
    {"type": "role", "owner": OWNER},
    {"type": "registry_credential", "owner": OWNER},
]


def described(mark: str) -> str:
    return f"For the team ({constants.DESCRIPTION_MARK}{mark})" if mark else "For the team"


def looked_up(host: Host, **inputs: Any) -> tuple[str, dict[str, Any]]:
    return host.create(PROJECT, {"name": "ml-team", "planned": PLANNED, **inputs})


class TestProject:
    def test_what_is_ours_goes_with_it(
        self, host: Host, emulator: Any, admin_client: RunaiClient
    ) -> None:
        id, outs = looked_up(host)
        before = len(admin_client.access_rules.list())
        account = admin_client.service_accounts.create("zen-one")
        role = admin_client.roles.find("AI practitioner")
        assert role
        admin_client.access_rules.create(
            account.client_id, "service-account", role.id, "project", id
        )
        self.make_marked(admin_client, id, OWNER)
        admin_client.service_accounts.create("zen-one-more")

        emulator.forget_requests()
        host.delete(PROJECT, id, outs)

        deleted = [r["path"].split("/")[-2] for r in emulator.requests() if r["method"] == "DELETE"]
        assert deleted == ["access-rules", "service-accounts", "roles", "docker-registry"]
        assert admin_client.service_accounts.find("zen-one") is None
        assert admin_client.service_accounts.find("zen-one-more")
        assert len(admin_client.access_rules.list()) == before
        assert admin_client.roles.find("zen-role") is None
        assert not admin_client.registry_credentials.list()

        emulator.forget_requests()
        host.delete(PROJECT, id, outs)
        asked = [r["path"] for r in emulator.requests() if not r["path"].endswith("/token")]
        assert len(asked) == 3, asked

    @pytest.mark.parametrize("mark", FOREIGN)
    def test_what_is_not_ours_stays(self, mark: str, host: Host, admin_client: RunaiClient) -> None:
        id, outs = looked_up(host)
        self.make_marked(admin_client, id, mark)

        host.delete(PROJECT, id, outs)

        assert admin_client.roles.find("zen-role")
        assert admin_client.registry_credentials.find("zen-reg", id)

    def test_an_application_is_found_on_an_older_control_plane(
        self, legacy_host: Host, emulator_legacy: Any
    ) -> None:
        id, outs = legacy_host.create(PROJECT, {"name": "ml-team", "planned": PLANNED[:1]})
        with RunaiClient(
            emulator_legacy.base_url,
            client_id=emulator_legacy.admin_id,
            client_secret=emulator_legacy.admin_secret,
        ) as client:
            client.applications.create("zen-one")
            legacy_host.delete(PROJECT, id, outs)
            assert client.applications.find("zen-one") is None

    def test_a_failure_is_clear_and_the_next_try_goes_on(
        self, host: Host, emulator: Any, admin_client: RunaiClient
    ) -> None:
        id, outs = looked_up(host)
        admin_client.service_accounts.create("zen-one")
        emulator.add_fault(
            method="DELETE", path="/api/v1/service-accounts/*", kind="status", status=403
        )
        with pytest.raises(HostError, match=r"'zen-one', which an interrupted run has left.*again"):
            host.delete(PROJECT, id, outs)
        emulator.clear_faults()
        host.delete(PROJECT, id, outs)
        assert admin_client.service_accounts.find("zen-one") is None

    def test_a_new_name_is_a_change_that_asks_nothing(self, host: Host, emulator: Any) -> None:
        inputs, _ = host.check(PROJECT, {"name": "ml-team", "planned": PLANNED})
        id, outs = looked_up(host)
        emulator.forget_requests()
        renamed = [{"type": "service_account", "name": "zen-two"}, *PLANNED[1:]]
        checked, _ = host.check(PROJECT, {"name": "ml-team", "planned": renamed}, inputs)
        assert host.diff(PROJECT, id, outs, checked).changes is None
        outs = host.update(PROJECT, id, outs, checked)
        assert not emulator.requests()
        assert outs["planned"] == renamed
        assert outs["formerly_planned"] == PLANNED[:1]
        found = host.read(PROJECT, id, outs)
        assert found
        assert found[0] == outs, "a refresh keeps the list"

    def test_only_what_exists_is_remembered(self, host: Host, admin_client: RunaiClient) -> None:
        admin_client.service_accounts.create("zen-2")
        inputs: dict[str, Any] = {}
        id, outs = looked_up(host, planned=[{"type": "service_account", "name": "zen-1"}])
        for number in (2, 3, 4):
            planned = [{"type": "service_account", "name": f"zen-{number}"}]
            inputs, _ = host.check(PROJECT, {"name": "ml-team", "planned": planned}, outs)
            outs = host.update(PROJECT, id, outs, inputs)
        assert [entry["name"] for entry in outs["formerly_planned"]] == ["zen-2", "zen-3"]

        host.delete(PROJECT, id, outs)
        assert admin_client.service_accounts.find("zen-2") is None

    def test_an_earlier_state_begins_its_list_with_the_first_change(self, host: Host) -> None:
        id, outs = host.create(PROJECT, {"name": "ml-team"})
        old, _ = host.check(PROJECT, {"name": "ml-team"})
        assert "planned" not in outs
        inputs, _ = host.check(PROJECT, {"name": "ml-team", "planned": PLANNED}, old)
        assert host.diff(PROJECT, id, outs, inputs).changes is False
        again, _ = host.check(PROJECT, {"name": "ml-team", "planned": PLANNED}, inputs)
        assert again == inputs
        assert host.diff(PROJECT, id, outs, again).changes is False

        renamed, _ = host.check(PROJECT, {"name": "ml-team", "planned": PLANNED[1:]}, again)
        assert host.diff(PROJECT, id, outs, renamed).changes is None
        outs = host.update(PROJECT, id, outs, renamed)
        assert outs["planned"] == PLANNED[1:]
        same, _ = host.check(PROJECT, {"name": "ml-team", "planned": PLANNED[1:]}, renamed)
        assert host.diff(PROJECT, id, outs, same).changes is False
        host.delete(PROJECT, id, outs)

    @staticmethod
    def make_marked(client: RunaiClient, project_id: str, mark: str) -> None:
        [some, *_] = client.permission_sets.list()
        client.roles.create("zen-role", described(mark), [some.id])
        client.registry_credentials.create(
            "zen-reg", project_id, user="u", password="p", url="https://r.example.com",
            description=described(mark),
        )  # fmt: skip


class TestServer:
    @pytest.fixture
    def name(self) -> str:
        return f"zen-{secrets.token_hex(4)}"

    @staticmethod
    def planned(name: str) -> dict[str, Any]:
        types = ("stack", "orchestrator", "artifact_store")
        return {
            "planned": [{"type": type, "name": name, "owner": OWNER} for type in types],
            "planned_secrets": [{"type": "secret", "name": name, "owner": OWNER}],
        }

    @staticmethod
    def make(zenml: ZenMLClient, name: str, mark: str) -> dict[str, str]:
        """A stack, its components and a secret with this mark; their ids."""
        labels = {constants.LABEL_OWNER: mark} if mark else {}
        ids = {}
        for type, options in (("orchestrator", {}), ("artifact_store", {"path": f"/tmp/{name}"})):
            body = {"name": name, "type": type, "flavor": "local", "configuration": options}
            ids[type] = zenml.components.create({**body, "labels": labels}).id
        parts = {type: [id] for type, id in ids.items()}
        stack = {"name": name, "description": "", "components": parts, "labels": labels}
        ids["stack"] = zenml.stacks.create(stack).id
        values = {"a": "b"} | ({constants.SECRET_OWNER_KEY: mark} if mark else {})
        ids["secret"] = zenml.secrets.create({"name": name, "private": False, "values": values}).id
        return ids

    @staticmethod
    def existing(zenml: ZenMLClient, name: str) -> list[str]:
        kinds = {"stack": zenml.stacks, "component": zenml.components, "secret": zenml.secrets}
        return [
            kind for kind, where in kinds.items() for _ in where.matching(name=f"startswith:{name}")
        ]

    def test_what_is_ours_goes_with_it(
        self, zenml_host: Host, zenml: ZenMLClient, name: str
    ) -> None:
        id, outs = zenml_host.create(SERVER, self.planned(name))
        ids = self.make(zenml, name, OWNER)
        zenml.components.update(ids["artifact_store"], {"name": f"{name}-replaced-1234"})

        zenml_host.delete(SERVER, id, outs)
        assert not self.existing(zenml, name)
        zenml_host.delete(SERVER, id, outs)

    @pytest.mark.parametrize("mark", FOREIGN)
    def test_what_is_not_ours_stays(
        self, mark: str, zenml_host: Host, zenml: ZenMLClient, name: str
    ) -> None:
        id, outs = zenml_host.create(SERVER, self.planned(name))
        ids = self.make(zenml, name, mark)

        zenml_host.delete(SERVER, id, outs)

        assert self.existing(zenml, name) == ["stack", "component", "component", "secret"]
        zenml.stacks.delete(ids["stack"])
        zenml.secrets.delete(ids["secret"])
        for type in ("orchestrator", "artifact_store"):
            zenml.components.delete(ids[type])

    def test_a_stack_under_another_name_goes_with_its_component(
        self, zenml_host: Host, zenml: ZenMLClient, name: str
    ) -> None:
        """What a killed `up` made and an `up` with another name for it never saw."""
        ids = self.make(zenml, name, OWNER)
        props = {"name": name, "type": "artifact_store", "owner": OWNER}
        zenml_host.delete(COMPONENT, ids["artifact_store"], props)
        assert self.existing(zenml, name) == ["component", "secret"]
        zenml.components.delete(ids["orchestrator"])
        zenml.secrets.delete(ids["secret"])

    @pytest.mark.parametrize("mark", [OTHER, f"adopted:{OWNER}"])
    def test_a_stack_of_another_does_not(
        self, mark: str, zenml_host: Host, zenml: ZenMLClient, name: str
    ) -> None:
        ids = self.make(zenml, name, mark)
        props = {"name": name, "type": "artifact_store", "owner": OWNER}
        with pytest.raises(HostError, match="is still part of the ZenML stack"):
            zenml_host.delete(COMPONENT, ids["artifact_store"], props)
        assert self.existing(zenml, name) == ["stack", "component", "component", "secret"]
        zenml.stacks.delete(ids["stack"])

    def test_a_secret_of_another_name_is_kept_in_mind(
        self, zenml_host: Host, zenml: ZenMLClient, name: str
    ) -> None:
        """Components and stacks are found by their mark under any name: they need no memory."""
        id, outs = zenml_host.create(SERVER, self.planned(name))
        inputs, _ = zenml_host.check(SERVER, self.planned(f"{name}-new"), outs)
        assert zenml_host.diff(SERVER, id, outs, inputs).changes is None
        outs = zenml_host.update(SERVER, id, outs, inputs)
        assert outs["formerly_planned"] == self.planned(name)["planned_secrets"]

        self.make(zenml, name, OWNER)
        zenml_host.delete(SERVER, id, outs)
        assert not self.existing(zenml, name)
