"""Bad input through the real engine: a clear error, and nothing made."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.conftest import NewEngine
from tests.engine.harness import Engine

pytestmark = pytest.mark.engine

READS = {("POST", "/api/v2/token"), ("POST", "/api/v1/token")}


@pytest.fixture
def writes(emulator: Any) -> Any:
    """The requests that changed something on a fresh control plane."""

    def list_writes() -> list[str]:
        return [
            f"{r['method']} {r['path']}"
            for r in emulator.requests()
            if r["method"] != "GET" and (r["method"], r["path"]) not in READS
        ]

    return list_writes


CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "unknown project": (
        {"runaiProject": "ml-taem"},
        ["There is no Run:ai project 'ml-taem'", "Did you mean 'ml-team'?"],
    ),
    "nothing at the base URL": (
        {"runaiBaseUrl": "http://127.0.0.1:9"},
        ["127.0.0.1:9", "Connection refused", "Check the base URL"],
    ),
    "plain http where TLS is expected": (
        {"runaiBaseUrl": "https://{emulator}"},
        ["TLS"],
    ),
    "wrong admin secret": (
        {"runaiClientSecret": "canary-wrong"},
        ["gave no token", "emulator-admin"],
    ),
    "no admin secret": (
        {"runaiClientSecret": None},
        ["Not configured: runaiClientSecret", "in the environment: RUNAI_CLIENT_SECRET"],
    ),
    "no ZenML key": (
        {"zenmlApiKey": None},
        ["Not configured: zenmlApiKey", "in the environment: ZENML_STORE_API_KEY"],
    ),
    "illegal account name": (
        {"serviceAccountName": "Bad Name"},
        ["'Bad Name' is not a legal name"],
    ),
    "registry without password": (
        {"registryUrl": "https://registry.example.com", "registryUser": "robot"},
        ["lacks password", "registryPassword"],
    ),
    "broader scope": (
        {"scope": "department"},
        ["could submit into projects", "allowBroaderScope"],
    ),
    "unknown role": (
        {"roleName": "AI practicioner"},
        ["no role 'AI practicioner'", "Did you mean 'AI practitioner'"],
    ),
    "unknown feature": (
        {"role": "custom", "features": ["delete_on_failur"]},
        ["delete_on_failur", "delete_on_failure"],
    ),
    "ZenML down": (
        {"zenmlUrl": "http://127.0.0.1:9"},
        ["No answer from the ZenML server at http://127.0.0.1:9", "Connection refused"],
    ),
    "ZenML key wrong": (
        {"zenmlApiKey": "ZENKEY_canary"},
        ["The ZenML API key is not accepted"],
    ),
    "unknown artifact store": (
        {
            "artifactStore": "defualt",
            "artifactStoreDefinition": None,
            "artifactStoreCredentials": None,
        },
        ["There is no artifact store 'defualt'", "'default'"],
    ),
    "no artifact store": (
        {"artifactStoreDefinition": None, "artifactStoreCredentials": None},
        ["pulumi config set artifactStore <name>"],
    ),
    "misspelt option": (
        {"stepOperatorConfiguration": {"workload_timout": 5}},
        ["'workload_timout' is no option", "'workload_timeout'"],
    ),
}


@pytest.fixture(scope="module")
def engine(new_engine: NewEngine) -> Engine:
    """One stack for all cases; none of them gets anything made."""
    return new_engine()


@pytest.mark.parametrize("case", CASES)
def test_says_what_is_wrong_before_anything_is_made(
    case: str, engine: Engine, emulator: Any, writes: Any
) -> None:
    settings, expected = CASES[case]
    if "{emulator}" in settings.get("runaiBaseUrl", ""):
        address = emulator.base_url.removeprefix("http://")
        settings = {"runaiBaseUrl": settings["runaiBaseUrl"].format(emulator=address)}
    file = engine.folder / "stacks" / f"Pulumi.{engine.stack}.yaml"
    before = file.read_text()
    engine.configure(**settings)

    outcome = engine.up().failed()
    file.write_text(before)

    for text in expected:
        assert text in outcome.errors
    assert "canary" not in outcome.output
    assert not engine.resources()
    assert not writes()


def test_a_broader_scope_that_was_asked_for_comes_with_a_warning(engine: Engine) -> None:
    file = engine.folder / "stacks" / f"Pulumi.{engine.stack}.yaml"
    before = file.read_text()
    engine.configure(scope="department", allowBroaderScope=True)
    shown = engine.preview().succeeded().output
    file.write_text(before)
    assert "warning: The access rule is made at department scope" in shown
