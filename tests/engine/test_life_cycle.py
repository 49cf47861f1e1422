"""One stack from nothing to nothing through the real engine, the emulator and a ZenML server."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from provision.zenml_errors import ZenMLInvalidResponse
from provision.zenml_rest import ZenMLClient
from runai_api import RunaiClient
from tests.engine.conftest import S3_KEY_CANARY, S3_SECRET_CANARY, NewEngine
from tests.engine.harness import PASSPHRASE, Engine

pytestmark = pytest.mark.engine

REGISTRY_PASSWORD = "registry-canary-2b7e"


class Everything:
    """A stack with a custom role and a registry credential, after its first `up`."""

    def __init__(
        self, engine: Engine, runai_requests: list[Any], zenml_requests: list[str]
    ) -> None:
        self.engine = engine
        self.runai_requests = runai_requests
        self.zenml_requests = zenml_requests


@pytest.fixture(scope="module")
def live(new_engine: NewEngine, emulator_process: Any, zenml_server: Any) -> Everything:
    emulator_process.reset()
    engine = new_engine(
        role="custom",
        features=["delete_on_failure"],
        registryUrl="https://registry.example.com",
        registryUser="robot",
        registryPassword=REGISTRY_PASSWORD,
    )
    emulator_process.forget_requests()
    before = len(zenml_server.requests())
    engine.up().succeeded()
    return Everything(engine, emulator_process.requests(), zenml_server.requests()[before:])


@pytest.fixture(scope="module")
def runai(emulator_process: Any) -> Any:
    with RunaiClient(
        emulator_process.base_url,
        client_id=emulator_process.admin_id,
        client_secret=emulator_process.admin_secret,
    ) as client:
        yield client


def secret_of(live: Everything, zenml: ZenMLClient) -> dict[str, str]:
    record = zenml.secrets.find(live.engine.outputs()["zenmlSecret"])
    assert record
    return dict(zenml.secrets.get(record.id).body["values"])


def can_log_in(runai: RunaiClient, values: dict[str, str]) -> bool:
    with RunaiClient(
        runai.base_url, client_id=values["client_id"], client_secret=values["client_secret"]
    ) as client:
        return client.projects.find("ml-team") is not None


def test_both_sides_hold_what_was_asked_for(
    live: Everything, runai: RunaiClient, zenml: ZenMLClient
) -> None:
    outputs = live.engine.outputs()
    stack = zenml.stacks.get(outputs["zenmlStackId"])
    assert stack.name == outputs["zenmlStack"]
    assert {
        "orchestrator", "step_operator", "artifact_store", "container_registry", "image_builder",
    } == stack.metadata["components"].keys()  # fmt: skip

    secret = outputs["zenmlSecret"]
    for type in ("orchestrator", "step_operator"):
        component = zenml.components.find(outputs["stepOperator"], type=type)
        assert component
        assert component.body["flavor_name"] == "nvidia_runai"
        assert component.configuration == {
            "client_id": f"{{{{{secret}.client_id}}}}",
            "client_secret": f"{{{{{secret}.client_secret}}}}",
            "runai_base_url": runai.base_url,
            "project_name": "ml-team",
            "image_pull_secret_name": outputs["imagePullSecret"],
        }
    store = zenml.components.find(outputs["zenmlStack"], type="artifact_store")
    assert store
    assert S3_KEY_CANARY not in str(store.configuration)

    values = secret_of(live, zenml)
    assert can_log_in(runai, values)
    [rule] = runai.access_rules.list(subject_ids=[values["client_id"]])
    assert (rule.scope_type, rule.scope_name) == ("project", "ml-team")
    assert rule.role_name == outputs["role"]


def test_it_took_few_requests(live: Everything) -> None:
    assert len(live.runai_requests) <= 20
    assert len(live.zenml_requests) <= 25
    tokens = [r for r in live.runai_requests if r["path"].endswith("/token")]
    logins = [line for line in live.zenml_requests if "/login" in line]
    assert len(tokens) <= 2, "one for the preview, one for the update"
    assert len(logins) <= 2


def test_an_unchanged_preview_is_empty_and_asks_nobody(
    live: Everything, emulator_process: Any, zenml_server: Any
) -> None:
    emulator_process.forget_requests()
    before = len(zenml_server.requests())
    live.engine.preview("--expect-no-changes").succeeded()
    assert not emulator_process.requests()
    assert len(zenml_server.requests()) == before


def test_an_update_changes_in_place_and_shows_the_rights_by_name(
    live: Everything, runai: RunaiClient, zenml: ZenMLClient
) -> None:
    before = live.engine.resources()
    live.engine.configure(
        features=["delete_on_failure", "node_pools"],
        stepOperatorConfiguration={"delete_on_failure": True, "workload_timeout": 600},
    )
    shown = live.engine.preview("--diff").succeeded().output
    assert '+ nodepools-minimal:read: "node_pools"' in " ".join(shown.split())
    assert "to replace" not in shown

    live.engine.up("--skip-preview").succeeded()
    after = live.engine.resources()
    assert {name: entry["id"] for name, entry in before.items()} == {
        name: entry["id"] for name, entry in after.items()
    }
    role = runai.roles.find(live.engine.outputs()["role"])
    assert role
    assert "nodepools-minimal:read" in {n for p in role.permissions for n in p.names}
    operator = zenml.components.get(after["runai-step-operator"]["id"])
    assert operator.configuration["workload_timeout"] == 600
    live.engine.preview("--expect-no-changes").succeeded()


def test_rotation_keeps_the_old_secret_until_the_new_one_is_stored(
    live: Everything, runai: RunaiClient, zenml: ZenMLClient, emulator_process: Any
) -> None:
    old = secret_of(live, zenml)
    emulator_process.forget_requests()
    live.engine.configure(rotation={"date": "2027-01"})
    outcome = live.engine.up("--skip-preview").succeeded()

    new = secret_of(live, zenml)
    assert new["client_id"] != old["client_id"]
    assert can_log_in(runai, new)
    order = outcome.output
    assert order.index("runai-credentials updated") < order.index("runai-account deleting original")
    assert runai.service_accounts.find(old["client_id"]) is None
    assert len(runai.access_rules.list(subject_ids=[new["client_id"]])) == 1
    live.engine.preview("--expect-no-changes").succeeded()


def test_what_was_deleted_behind_its_back_comes_back(
    live: Everything, runai: RunaiClient, zenml: ZenMLClient
) -> None:
    resources = live.engine.resources()
    values = secret_of(live, zenml)
    runai.access_rules.delete(int(resources["runai-rule"]["id"]))
    runai.service_accounts.delete(resources["runai-account"]["id"])
    runai.registry_credentials.delete(resources["runai-registry"]["id"])
    zenml.stacks.delete(resources["runai-stack"]["id"])
    zenml.components.delete(resources["runai-step-operator"]["id"])
    zenml.secrets.delete(resources["runai-credentials"]["id"])

    live.engine.refresh().succeeded()
    gone = resources.keys() - live.engine.resources().keys()
    assert gone == {
        "runai-rule", "runai-account", "runai-registry", "runai-stack", "runai-step-operator",
        "runai-credentials",
    }  # fmt: skip
    live.engine.up("--skip-preview").succeeded()
    live.engine.preview("--expect-no-changes", "--refresh").succeeded()
    again = secret_of(live, zenml)
    assert again["client_secret"] != values["client_secret"]
    assert can_log_in(runai, again)


def test_what_was_changed_behind_its_back_is_shown_and_put_right(
    live: Everything, runai: RunaiClient, zenml: ZenMLClient
) -> None:
    resources = live.engine.resources()
    operator = resources["runai-step-operator"]["id"]
    wanted = zenml.components.get(operator).configuration
    zenml.components.update(operator, {"configuration": {**wanted, "project_name": "other-team"}})
    secret = resources["runai-credentials"]["id"]
    mark = zenml.secrets.get(secret).body["values"]
    zenml.secrets.update(secret, {"values": {**mark, "client_secret": "canary-of-an-intruder"}})
    runai.service_accounts.set_enabled(resources["runai-account"]["id"], False)
    role = runai.roles.get(int(resources["runai-role"]["id"]))
    runai.roles.update(
        role.id,
        name=role.name,
        description=str(role.description),
        permission_set_ids=[found.id for found in runai.permission_sets.list()],
    )

    shown = live.engine.preview("--refresh", "--diff").succeeded().output
    assert '"other-team" => "ml-team"' in " ".join(shown.split())
    assert "canary" not in shown
    assert "canary" not in str(live.engine.export())

    live.engine.up("--refresh", "--skip-preview").succeeded()
    assert zenml.components.get(operator).configuration == wanted
    assert can_log_in(runai, secret_of(live, zenml))
    assert len(runai.roles.get(role.id).permission_sets) == len(role.permission_sets)
    live.engine.preview("--expect-no-changes", "--refresh").succeeded()


def test_a_stack_in_use_is_not_destroyed_unless_told_to(
    live: Everything, zenml: ZenMLClient
) -> None:
    stack_id = live.engine.outputs()["zenmlStackId"]
    run = start_a_run(zenml, stack_id, f"run-{live.engine.stack}")

    refused = live.engine.destroy().failed()
    assert f"'run-{live.engine.stack}'" in refused.errors
    assert "destroyInUse" in refused.errors
    assert "runai-stack" in live.engine.resources()
    assert "runai-account" in live.engine.resources(), "nothing else was touched either"
    live.engine.preview("--expect-no-changes").succeeded()

    zenml.request("PUT", f"/runs/{run}", body={"status": "failed"})
    assert not zenml.unfinished_runs(stack_id)


def test_no_secret_is_to_be_found_anywhere(
    live: Everything, zenml: ZenMLClient, emulator_process: Any, zenml_server: Any
) -> None:
    canaries = {
        emulator_process.admin_secret,
        zenml_server.api_key,
        REGISTRY_PASSWORD,
        S3_KEY_CANARY,
        S3_SECRET_CANARY,
        PASSPHRASE,
        secret_of(live, zenml)["client_secret"],
    }
    assert len(canaries) == 7
    # From 9 on the engine itself writes what it sends to providers, configuration included.
    live.engine.run("preview", "--logtostderr", "-v=8")
    written = [live.engine.transcript.encode()]
    assert b"provision" in written[0], "the log of the provider host is part of it"
    for folder in ("state", "home", "stacks"):
        files = (file for file in (live.engine.folder / folder).rglob("*") if file.is_file())
        written.extend(file.read_bytes() for file in files)
    assert len(written) > 5
    for canary in canaries:
        for content in written:
            at = content.find(canary.encode())
            # The value itself stays out of the report.
            assert at < 0, content[max(0, at - 200) : at]


def test_destroy_leaves_nothing_on_either_side(
    live: Everything, runai: RunaiClient, zenml: ZenMLClient
) -> None:
    resources = live.engine.resources()
    live.engine.destroy().succeeded()
    assert not live.engine.resources()

    assert not runai.access_rules.list(subject_type="service-account", scope_type="project")
    assert not [a for a in runai.service_accounts.list() if a.name.startswith("runai-")]
    assert not [role for role in runai.roles.list() if role.custom]
    assert not runai.registry_credentials.list()
    name = f"runai-{live.engine.stack}"
    assert not zenml.components.matching(name=name)
    assert not zenml.stacks.find(name)
    ids = {entry["id"] for entry in resources.values()}
    assert not [record for record in zenml.secrets.matching() if record.id in ids]
    used = zenml.components.matching(flavor="nvidia_runai")
    assert bool(zenml.flavors.matching(name="nvidia_runai")) == bool(used)


def start_a_run(zenml: ZenMLClient, stack_id: str, name: str) -> str:
    """A pipeline run on a stack that has not ended, as a client would register it."""
    project = zenml.request("GET", "/projects/default")["id"]
    pipeline = zenml.request("POST", "/pipelines", body={"name": name, "project": project})["id"]
    snapshot = zenml.request(
        "POST",
        "/pipeline_snapshots",
        body={
            "project": project,
            "stack": stack_id,
            "pipeline": pipeline,
            "run_name_template": name,
            "pipeline_configuration": {"name": name},
            "client_environment": {},
            "client_version": "0.98.0",
            "server_version": "0.98.0",
        },
    )["id"]
    body = {
        "name": name,
        "project": project,
        "pipeline": pipeline,
        "snapshot": snapshot,
        "status": "running",
    }
    with contextlib.suppress(ZenMLInvalidResponse):  # the answer is a pair
        zenml.request("POST", "/runs", body=body)
    [run] = zenml.unfinished_runs(stack_id)
    return run.id
