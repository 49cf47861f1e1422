"""What the state of every stack holds for a provider: a reference, short and for ever the same."""

from __future__ import annotations

import base64
import importlib
import pickle
from pkgutil import iter_modules

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


@pytest.mark.parametrize(("module", "name"), PATHS)
def test_a_provider_is_stored_as_its_import_path(module: str, name: str) -> None:
    provider = getattr(importlib.import_module(module), name)()
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
        provider = getattr(importlib.import_module(module), name)()
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


def _short(text: str) -> bytes:
    return pickle.SHORT_BINUNICODE + bytes([len(text)]) + text.encode()
