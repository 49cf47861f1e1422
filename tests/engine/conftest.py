"""Stacks for the engine tests: on the session's services, destroyed when the test is over."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from provision.zenml_rest import ZenMLClient
from tests.engine.harness import Engine

S3_KEY_CANARY = "AKIA-canary-41c8"
S3_SECRET_CANARY = "s3-secret-canary-95d2"


@pytest.fixture(scope="session")
def zenml(zenml_server: Any) -> Iterator[ZenMLClient]:
    """A client of our own to look at what the providers did."""
    with ZenMLClient(zenml_server.url, SecretStr(zenml_server.api_key)) as client:
        yield client


NewEngine = Callable[..., Engine]


@pytest.fixture(scope="module")
def new_engine(
    tmp_path_factory: pytest.TempPathFactory,
    pulumi_engine_folder: Path,
    emulator_process: Any,
    zenml_server: Any,
) -> Iterator[NewEngine]:
    """Makes configured stacks with names of their own; destroys them at the end of the module."""
    made: list[Engine] = []

    def new(*, stack: str | None = None, program: str | None = None, **settings: Any) -> Engine:
        stack = stack or f"t{secrets.token_hex(3)}"
        engine = Engine(tmp_path_factory.mktemp("engine"), pulumi_engine_folder, stack, program)
        made.append(engine)
        engine.configure(**{**basic_settings(emulator_process, zenml_server), **settings})
        return engine

    yield new
    for engine in made:
        if engine.resources():
            engine.configure(destroyInUse=True)
            engine.run("cancel", "--yes")
            engine.destroy().succeeded()


def basic_settings(emulator: Any, zenml_server: Any) -> dict[str, Any]:
    """A full stack: everything new, an S3 artifact store with credentials."""
    return {
        "runaiBaseUrl": emulator.base_url,
        "runaiClientId": emulator.admin_id,
        "runaiClientSecret": emulator.admin_secret,
        "runaiProject": "ml-team",
        "zenmlUrl": zenml_server.url,
        "zenmlApiKey": zenml_server.api_key,
        "artifactStoreDefinition": {"flavor": "s3", "configuration": {"path": "s3://zenml"}},
        "artifactStoreCredentials": {"key": S3_KEY_CANARY, "secret": S3_SECRET_CANARY},
        "containerRegistryDefinition": {
            "flavor": "default",
            "configuration": {"uri": "registry.example.com/ml"},
        },
    }
