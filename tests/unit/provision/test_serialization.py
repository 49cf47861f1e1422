"""What the state of every stack holds for a provider: a reference, short and for ever the same."""

from __future__ import annotations

import base64
import importlib
import json
import pickle
import re
from pathlib import Path
from pkgutil import iter_modules

import dill
import pytest
from pulumi.dynamic import ResourceProvider
from pulumi.dynamic.dynamic import serialize_provider

#: Import paths in the states of users. Entries are never changed or taken away.
PATHS = [
    ("provision.providers.access_rule", "AccessRuleProvider"),
    ("provision.providers.project", "RunaiProjectProvider"),
    ("provision.providers.registry_credential", "RegistryCredentialProvider"),
    ("provision.providers.role", "CustomRoleProvider"),
    ("provision.providers.role", "PredefinedRoleProvider"),
    ("provision.providers.service_account", "ServiceAccountProvider"),
    ("provision.providers.zenml_component", "ZenMLComponentProvider"),
    ("provision.providers.zenml_flavor", "ZenMLFlavorProvider"),
    ("provision.providers.zenml_secret", "ZenMLSecretProvider"),
    ("provision.providers.zenml_server", "ZenMLServerProvider"),
    ("provision.providers.zenml_stack", "ZenMLStackProvider"),
]

ROOT = Path(__file__).resolve().parents[3]
STATES = sorted((ROOT / "tests" / "fixtures" / "state").glob("*/*.json"))
#: What whoever moves or renames a provider has to know.
FROZEN = (
    "{} cannot be loaded, but the states of released versions refer to it: without it their stacks "
    "can neither be updated nor destroyed. Keep the name importable there, as an alias if need be."
)


def provider_at(module: str, name: str) -> ResourceProvider:
    found = None
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        if not module.startswith(str(error.name)):
            raise
    assert found, FROZEN.format(f"{module}.{name}")
    provider: ResourceProvider = found()
    return provider


@pytest.mark.parametrize(("module", "name"), PATHS)
def test_a_provider_is_stored_as_its_import_path(module: str, name: str) -> None:
    provider = provider_at(module, name)
    assert isinstance(provider, ResourceProvider)
    # Nothing but: a frame, module and name as text, look up, call without arguments.
    expected = pickle.PROTO + bytes([4])
    content = _short(module) + pickle.MEMOIZE + _short(name) + pickle.MEMOIZE
    content += pickle.STACK_GLOBAL + pickle.MEMOIZE + pickle.EMPTY_TUPLE + pickle.NEWOBJ
    content += pickle.MEMOIZE + pickle.STOP
    expected += pickle.FRAME + len(content).to_bytes(8, "little") + content

    text = serialize_provider(provider)
    assert base64.b64decode(text) == expected
    assert len(text) < 130


def test_a_provider_carries_no_data_and_may_be_readable_in_the_state() -> None:
    for module, name in PATHS:
        provider = provider_at(module, name)
        assert vars(provider) == {}
        assert provider.serialize_as_secret_always is False


def test_no_path_was_forgotten() -> None:
    providers = importlib.import_module("provision.providers")
    found = {
        (f"provision.providers.{entry.name}", name)
        for entry in iter_modules(providers.__path__)
        if not entry.name.startswith("_") and entry.name != "base"
        for name, value in vars(
            importlib.import_module(f"provision.providers.{entry.name}")
        ).items()
        if isinstance(value, type)
        and issubclass(value, ResourceProvider)
        and value.__module__ == f"provision.providers.{entry.name}"
    }
    assert found == set(PATHS)


@pytest.mark.parametrize("path", STATES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_provider_host_loads_what_a_released_version_has_stored(path: Path) -> None:
    resources = json.loads(path.read_text())["deployment"]["deployment"]["resources"]
    stored = {
        entry["urn"].rsplit("::", 1)[1]: entry["inputs"]["__provider"]
        for entry in resources
        if entry["type"].startswith("pulumi-python:dynamic")
    }
    assert len(stored) > 10
    for name, text in stored.items():
        try:
            provider = dill.loads(base64.b64decode(text))  # noqa: S301 - ours
        except (ImportError, AttributeError) as error:
            pytest.fail(FROZEN.format(f"The provider of {name} ({error})"))
        assert isinstance(provider, ResourceProvider)


def test_there_are_states_of_every_released_version() -> None:
    released = re.findall(
        r"^## \[(\d+\.\d+\.\d+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert released
    kinds = {version: {p.stem for p in STATES if p.parent.name == version} for version in released}
    lacking = [v for v, found in kinds.items() if not found >= {"custom-role", "predefined-role"}]
    assert not lacking, f"record them with this version: python -m tools.state_fixture ({lacking})"


def test_no_state_tells_of_the_machine_that_it_was_recorded_on() -> None:
    for path in STATES:
        text = path.read_text()
        assert not re.findall(
            r"127\.0\.0\.1|localhost|sourcePosition|ZENKEY_|/site-packages/", text
        )
        assert str(ROOT) not in text


def _short(text: str) -> bytes:
    return pickle.SHORT_BINUNICODE + bytes([len(text)]) + text.encode()
