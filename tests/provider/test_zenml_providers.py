"""Life cycle and recovery of ZenML's resources, through the real provider host and server."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from provision import _constants as constants
from provision.providers.zenml_component import ZenMLComponentProvider
from provision.providers.zenml_flavor import ZenMLFlavorProvider
from provision.providers.zenml_secret import ZenMLSecretProvider
from provision.providers.zenml_server import ZenMLServerProvider
from provision.providers.zenml_stack import ZenMLStackProvider
from provision.zenml_rest import ZenMLClient
from tests.provider.host import Host, HostError

SECRET = ZenMLSecretProvider()
FLAVOR = ZenMLFlavorProvider()
COMPONENT = ZenMLComponentProvider()
STACK = ZenMLStackProvider()
SERVER = ZenMLServerProvider()
OWNER = "organization/zenml-runai/test/thing"
OTHER = "organization/zenml-runai/other/thing"


@pytest.fixture
def name() -> str:
    return f"zen-{secrets.token_hex(4)}"


@pytest.fixture
def store(name: str) -> dict[str, Any]:
    """Inputs of an artifact store, of a flavor that every server has."""
    return {
        "name": name,
        "type": "artifact_store",
        "flavor": "local",
        "configuration": {"path": f"/tmp/{name}"},
        "owner": OWNER,
    }


class TestSecret:
    def test_life_cycle(self, zenml_host: Host, zenml: ZenMLClient, name: str) -> None:
        inputs = {"name": name, "values": {"a": "one", "b": "two"}, "owner": OWNER}
        id, outs = zenml_host.create(SECRET, inputs)
        assert zenml.secrets.get(id).body["values"] == {
            "a": "one", "b": "two", constants.SECRET_OWNER_KEY: OWNER,
        }  # fmt: skip

        checked, _ = zenml_host.check(SECRET, {**inputs, "values": {"a": "three"}})
        assert zenml_host.diff(SECRET, id, outs, checked).replaces == []
        outs = zenml_host.update(SECRET, id, outs, checked)
        assert zenml.secrets.get(id).body["values"]["a"] == "three"
        assert "b" not in zenml.secrets.get(id).body["values"]

        zenml_host.delete(SECRET, id, outs)
        zenml_host.delete(SECRET, id, outs)
        assert zenml_host.read(SECRET, id, outs) is None

    def test_an_interrupted_run_leaves_one(self, zenml_host: Host, name: str) -> None:
        inputs = {"name": name, "values": {"a": "one"}, "owner": OWNER}
        first, _ = zenml_host.create(SECRET, inputs)
        second, outs = zenml_host.create(SECRET, inputs)
        assert (first, outs["adopted"]) == (second, False)
        with pytest.raises(HostError, match=f"belongs to the Pulumi resource {OWNER}"):
            zenml_host.create(SECRET, {**inputs, "owner": OTHER})
        zenml_host.delete(SECRET, second, outs)

    def test_a_value_changed_by_hand_is_named_but_not_shown(
        self, zenml_host: Host, zenml: ZenMLClient, name: str
    ) -> None:
        inputs = {"name": name, "values": {"a": "one", "b": "two"}, "owner": OWNER}
        id, outs = zenml_host.create(SECRET, inputs)
        found = zenml_host.read(SECRET, id, outs)
        assert found
        assert found[0] == outs

        before = zenml.secrets.get(id).body["values"]
        zenml.secrets.update(
            id, {"values": {"a": "canary-of-another", "c": "canary", "pulumi_owner": OWNER}}
        )
        found = zenml_host.read(SECRET, id, outs)
        assert found
        assert found[0]["found"] == {
            "a": "(changed outside Pulumi)",
            "b": "(removed outside Pulumi)",
            "c": "(added outside Pulumi)",
        }
        assert "canary" not in str(found)
        wanted = zenml_host.check(SECRET, inputs)[0]
        assert zenml_host.diff(SECRET, id, found[0], wanted).changes is not False
        zenml_host.update(SECRET, id, found[0], wanted)
        assert zenml.secrets.get(id).body["values"] == before
        zenml_host.delete(SECRET, id, outs)

    def test_a_name_that_cannot_be_referred_to_is_refused(self, zenml_host: Host) -> None:
        _, failures = zenml_host.check(SECRET, {"name": "a.b", "values": {}})
        assert "cannot be referred to" in failures["name"]


class TestComponent:
    def test_life_cycle(self, zenml_host: Host, zenml: ZenMLClient, store: dict[str, Any]) -> None:
        id, outs = zenml_host.create(COMPONENT, {**store, "labels": {"team": "ml"}})
        record = zenml.components.get(id)
        assert record.labels == {
            "team": "ml", "managed-by": "pulumi", "pulumi-owner": OWNER,
        }  # fmt: skip

        changed = {**store, "configuration": {"path": "/tmp/elsewhere"}}
        checked, _ = zenml_host.check(COMPONENT, changed)
        assert zenml_host.diff(COMPONENT, id, outs, checked).replaces == []
        outs = zenml_host.update(COMPONENT, id, outs, checked)
        assert zenml.components.get(id).configuration == {"path": "/tmp/elsewhere"}
        assert zenml_host.read(COMPONENT, id, outs) == (outs, checked)

        zenml_host.delete(COMPONENT, id, outs)
        zenml_host.delete(COMPONENT, id, outs)
        assert zenml_host.read(COMPONENT, id, outs) is None

    def test_whole_numbers_stay_whole(
        self, zenml_host: Host, zenml: ZenMLClient, connection: dict[str, str], name: str
    ) -> None:
        zenml_host.create(FLAVOR, {"type": "step_operator"})
        inputs = {
            "name": name, "type": "step_operator", "flavor": constants.FLAVOR_NAME,
            "owner": OWNER, "configuration": {**connection, "workload_timeout": 600},
        }  # fmt: skip
        id, outs = zenml_host.create(COMPONENT, inputs)
        stored = zenml.components.get(id).configuration
        assert stored["workload_timeout"] == 600
        assert isinstance(stored["workload_timeout"], int)
        zenml_host.delete(COMPONENT, id, outs)

    def test_only_ours_is_taken_over(
        self, zenml_host: Host, zenml: ZenMLClient, store: dict[str, Any]
    ) -> None:
        first, _ = zenml_host.create(COMPONENT, store)
        second, outs = zenml_host.create(COMPONENT, store)
        assert (first, outs["adopted"]) == (second, False)
        with pytest.raises(HostError, match=f"belongs to the Pulumi resource {OWNER}"):
            zenml_host.create(COMPONENT, {**store, "owner": OTHER, "adopt": "if_exists"})
        zenml_host.delete(COMPONENT, second, outs)

    def test_adoption_keeps_the_id_and_destroy_keeps_the_object(
        self, zenml_host: Host, zenml: ZenMLClient, store: dict[str, Any]
    ) -> None:
        with pytest.raises(HostError, match="does not exist"):
            zenml_host.create(COMPONENT, {**store, "adopt": "required"})
        by_hand = {key: store[key] for key in ("name", "type", "flavor", "configuration")}
        theirs = zenml.components.create(by_hand)
        with pytest.raises(HostError, match="adopt='if_exists'"):
            zenml_host.create(COMPONENT, store)

        id, outs = zenml_host.create(COMPONENT, {**store, "adopt": "required"})
        assert (id, outs["adopted"]) == (theirs.id, True)
        # A run that was interrupted after this goes on with an adopted object.
        again, outs = zenml_host.create(COMPONENT, {**store, "adopt": "required"})
        assert (again, outs["adopted"]) == (theirs.id, True)
        checked, _ = zenml_host.check(COMPONENT, {**store, "adopt": "required"})
        assert zenml_host.read(COMPONENT, id, outs) == (outs, checked)
        zenml_host.delete(COMPONENT, id, outs)
        assert zenml.components.get(id)
        zenml.components.delete(id)

    def test_another_flavor_makes_room_without_a_gap(
        self, zenml_host: Host, zenml: ZenMLClient, store: dict[str, Any]
    ) -> None:
        old, outs = zenml_host.create(COMPONENT, store)
        other = {**store, "flavor": "s3", "configuration": {"path": "s3://bucket"}}
        checked, _ = zenml_host.check(COMPONENT, other)
        changes = zenml_host.diff(COMPONENT, old, outs, checked)
        assert changes.replaces == ["flavor"]
        assert not changes.delete_before_replace

        new, new_outs = zenml_host.create(COMPONENT, other)
        assert new != old
        assert zenml.components.get(new).name == store["name"]
        assert zenml.components.get(old).name != store["name"]
        zenml_host.delete(COMPONENT, old, outs)
        zenml_host.delete(COMPONENT, new, new_outs)

    def test_one_that_a_foreign_stack_uses_is_not_deleted(
        self, zenml_host: Host, zenml: ZenMLClient, store: dict[str, Any], name: str
    ) -> None:
        id, outs = zenml_host.create(COMPONENT, store)
        default = zenml.components.find("default", type="orchestrator")
        assert default
        foreign = zenml.stacks.create(
            {
                "name": f"{name}-foreign",
                "components": {"orchestrator": [default.id], "artifact_store": [id]},
            }
        )
        with pytest.raises(HostError, match=f"part of the ZenML stack '{name}-foreign'"):
            zenml_host.delete(COMPONENT, id, outs)
        zenml.stacks.delete(foreign.id)
        zenml_host.delete(COMPONENT, id, outs)

    def test_misspelt_options_are_found_before_the_first_run(self, zenml_host: Host) -> None:
        _, failures = zenml_host.check(
            COMPONENT,
            {"name": "x", "type": "orchestrator", "flavor": constants.FLAVOR_NAME,
             "configuration": {"projct_name": "p"}},
        )  # fmt: skip
        assert "Did you mean 'project_name'" in failures["configuration"]


class TestStack:
    @pytest.fixture
    def parts(self, zenml: ZenMLClient) -> dict[str, str]:
        found = zenml.components.find_all(["default"])
        return {r.type: r.id for r in found if r.type in ("orchestrator", "artifact_store")}

    def test_life_cycle(
        self, zenml_host: Host, zenml: ZenMLClient, name: str, parts: dict[str, str]
    ) -> None:
        inputs = {"name": name, "components": parts, "owner": OWNER, "description": "one"}
        id, outs = zenml_host.create(STACK, inputs)
        assert zenml_host.read(STACK, id, outs) == (outs, zenml_host.check(STACK, inputs)[0])

        again, _ = zenml_host.create(STACK, inputs)
        assert again == id
        with pytest.raises(HostError, match="belongs to the Pulumi resource"):
            zenml_host.create(STACK, {**inputs, "owner": OTHER})

        renamed, _ = zenml_host.check(STACK, {**inputs, "name": f"{name}-2"})
        assert zenml_host.diff(STACK, id, outs, renamed).replaces == [], "the id is kept"
        outs = zenml_host.update(STACK, id, outs, renamed)
        assert zenml.stacks.get(id).name == f"{name}-2"

        zenml_host.delete(STACK, id, outs)
        zenml_host.delete(STACK, id, outs)
        assert zenml_host.read(STACK, id, outs) is None

    def test_drift_is_told_by_input(
        self, zenml_host: Host, zenml: ZenMLClient, name: str, parts: dict[str, str]
    ) -> None:
        inputs = {"name": name, "components": parts, "owner": OWNER}
        id, outs = zenml_host.create(STACK, inputs)
        zenml.stacks.update(id, {"description": "by hand"})
        found = zenml_host.read(STACK, id, outs)
        assert found
        assert found[1]["description"] == "by hand"
        zenml_host.delete(STACK, id, outs)

    def test_what_cannot_be_a_stack_is_refused(self, zenml_host: Host) -> None:
        _, failures = zenml_host.check(STACK, {"name": "default", "components": {"oven": "1"}})
        assert "ZenML's own" in failures["name"]
        assert "needs an" in failures["components"]


class TestServer:
    def test_finds_existing_components_and_taken_names(
        self, zenml_host: Host, zenml: ZenMLClient, store: dict[str, Any], name: str
    ) -> None:
        id, outs = zenml_host.create(COMPONENT, store)
        planned = [{"type": "artifact_store", "name": name, "owner": OWNER}]
        wanted = {"existing": {"artifact_store": name}, "planned": planned}
        inputs, failures = zenml_host.check(SERVER, wanted)
        assert not failures
        assert inputs["component_ids"] == {"artifact_store": id}
        assert inputs["server_id"] == zenml.info().id

        planned[0]["owner"] = OTHER
        _, failures = zenml_host.check(SERVER, {"planned": planned})
        assert f"belongs to the Pulumi resource {OWNER}" in failures["planned"]
        _, failures = zenml_host.check(SERVER, {"existing": {"artifact_store": f"{name}x"}})
        assert f"Did you mean '{name}'" in failures["existing"]
        zenml_host.delete(COMPONENT, id, outs)

    def test_another_server_is_noticed(self, zenml_host: Host, zenml: ZenMLClient) -> None:
        elsewhere = {"url": "https://old.example.com", "server_id": "1"}
        _, failures = zenml_host.check(SERVER, {"url": zenml.url}, elsewhere)
        assert "another ZenML server than https://old.example.com" in failures["url"]
