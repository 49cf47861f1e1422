"""Pulumi.yaml's keys and what the program makes of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from pulumi.runtime.config import set_all_config
from pydantic import SecretStr

from provision import ComponentDefinition, InvalidSetting, read_config
from provision._session import HostSettings

ROOT = Path(__file__).resolve().parents[3]
NEEDED = {
    "runaiProject": "ml-team",
    "artifactStore": "s3",
    "containerRegistry": "ecr",
}


@pytest.fixture
def read() -> Iterator[Any]:
    """Reads the given settings; keys in `secret` are encrypted ones."""

    def run(settings: dict[str, str], secret: tuple[str, ...] = ()) -> Any:
        full = {f"test:{key}": value for key, value in {**NEEDED, **settings}.items()}
        set_all_config(full, [f"test:{key}" for key in secret])
        return read_config(pulumi.Config("test"))

    loop = asyncio.new_event_loop()  # outputs belong to one
    asyncio.set_event_loop(loop)
    yield run
    set_all_config({})
    asyncio.set_event_loop(None)
    loop.close()


def test_every_key_is_declared_with_type_and_description_and_is_read() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    for entry in declared.values():
        assert entry["type"] in ("string", "boolean", "integer", "array", "object")
        assert len(entry["description"]) > 20
    sources = "".join(
        (ROOT / "provision" / name).read_text()
        for name in ("config.py", "_session.py", "component.py")
    )
    read = set(re.findall(r'"([a-z]+[A-Z][A-Za-z]*|role|scope|features|rotation|adopt)"', sources))
    for part in ("artifactStore", "containerRegistry", "imageBuilder"):
        read |= {f"{part}Definition", f"{part}Credentials"}
    shown = {"runaiProjectId", "runaiConsole", "serviceAccount", "accessRuleId", "imagePullSecret",
             "zenmlSecret", "stepOperator", "zenmlStackId", "zenmlDashboard"}  # fmt: skip
    assert set(declared) == read - shown
    required = {key for key, entry in declared.items() if "default" not in entry}
    assert required == {"runaiBaseUrl", "runaiProject", "zenmlUrl"}


def test_defaults(read: Any) -> None:
    args = read({})
    assert (args.role, args.scope, args.adopt) == ("predefined", "project", "never")
    assert args.image_builder == ComponentDefinition("local")
    assert args.registry is None
    assert args.allow_broader_scope is False
    assert args.require_gpu_quota is True


def test_definitions_and_credentials(read: Any) -> None:
    args = read(
        {
            "artifactStore": "",
            "artifactStoreDefinition": '{"flavor": "s3", "configuration": {"path": "s3://b"}}',
            "artifactStoreCredentials": '{"key": "k", "secret": "s"}',
            "features": '["node_pools"]',
            "rotation": '{"n": 1}',
        },
        secret=("artifactStoreCredentials",),
    )
    assert args.artifact_store.flavor == "s3"
    assert set(args.artifact_store.credentials) == {"key", "secret"}
    assert all(isinstance(v, pulumi.Output) for v in args.artifact_store.credentials.values())
    assert (args.features, args.rotation) == (["node_pools"], {"n": "1"})


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"runaiProject": " "}, "runaiProject is not set"),
        ({"role": "big"}, "role must be one of predefined, custom"),
        ({"adopt": "yes"}, "adopt must be one of never, if_exists, required"),
        ({"allowBroaderScope": "perhaps"}, "allowBroaderScope must be true or false"),
        ({"features": '"node_pools"'}, "features must be a list of text"),
        ({"features": "[1]"}, "features must be a list of text"),
        ({"features": "node_pools"}, "features is not valid JSON"),
        ({"rotation": "[]"}, "rotation must be an object"),
        ({"artifactStore": ""}, "pulumi config set artifactStore <name>"),
        ({"artifactStoreDefinition": '{"flavor": "s3"}'}, "set one"),
        ({"artifactStore": "", "artifactStoreDefinition": '{"name": "x"}'}, "needs a flavor"),
        (
            {"artifactStore": "", "artifactStoreDefinition": '{"flavor": "s3", "konfig": {}}'},
            "unknown: konfig",
        ),
        ({"registryUrl": "r", "registryPassword": "hunter2"}, "in plain text"),
        ({"runaiClientSecret": "hunter2"}, "runaiClientSecret stands in the stack's configuration"),
        ({"zenmlApiKey": "hunter2"}, "zenmlApiKey stands in the stack's configuration in plain"),
        ({"imageBuilderCredentials": '{"a": "hunter2"}'}, "in plain text"),
    ],
)
def test_bad_values_are_named(read: Any, settings: dict[str, str], expected: str) -> None:
    with pytest.raises(InvalidSetting, match=re.escape(expected)) as caught:
        read(settings)
    assert "hunter2" not in str(caught.value)


def test_a_misspelt_key_is_pointed_out(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", said.append)
    read({"feature": '["node_pools"]', "destroyInUsed": "true", "teamBudget": "1"})
    assert said == [
        "feature is no setting and has no effect; features is one.",
        "destroyInUsed is no setting and has no effect; destroyInUse is one.",
    ]


def test_credentials_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNAI_CLIENT_ID", "from-environment")
    monkeypatch.setenv("RUNAI_CLIENT_SECRET", " canary-1 ")
    monkeypatch.setenv("ZENML_STORE_API_KEY", "canary-2")
    monkeypatch.setenv("RUNAI_BASE_URL", "https://not.of.this.stack")
    found = HostSettings.read({"runaiClientId": "from-configuration", "zenmlApiKey": ""})
    assert found.runai_client_id == "from-configuration", "what the stack says comes first"
    assert found.runai_client_secret == SecretStr("canary-1")
    assert found.zenml_api_key == SecretStr("canary-2")
    assert found.runai_base_url is None, "which servers a stack is on is for its state to say"


def test_host_settings_hide_their_secrets() -> None:
    values = {"runaiClientSecret": "canary-1", "zenmlApiKey": "canary-2", "destroyInUse": "true"}
    settings = HostSettings.read(values)
    assert settings.destroy_in_use is True
    assert "canary" not in repr(settings)
