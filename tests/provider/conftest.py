"""A host on the session's emulator and ZenML server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from provision.zenml_rest import ZenMLClient
from tests.provider.host import Host, running_host


@pytest.fixture(scope="module")
def host_process(emulator_process: Any) -> Iterator[Host]:
    with running_host(runai_config(emulator_process)) as host:
        yield host


@pytest.fixture
def host(host_process: Host, emulator: Any) -> Host:
    """For the resources of the control plane, which is fresh for each test."""
    return host_process


@pytest.fixture(scope="module")
def legacy_host_process(emulator_legacy_process: Any) -> Iterator[Host]:
    with running_host(runai_config(emulator_legacy_process)) as host:
        yield host


@pytest.fixture
def legacy_host(legacy_host_process: Host, emulator_legacy: Any) -> Host:
    return legacy_host_process


@pytest.fixture(scope="module")
def zenml_host(zenml_server: Any) -> Iterator[Host]:
    """For the resources of ZenML."""
    config = {"zenmlUrl": zenml_server.url, "zenmlApiKey": zenml_server.api_key}
    with running_host(config) as host:
        yield host


@pytest.fixture(scope="module")
def zenml(zenml_server: Any) -> Iterator[ZenMLClient]:
    with ZenMLClient(zenml_server.url, SecretStr(zenml_server.api_key)) as client:
        yield client


@pytest.fixture
def connection() -> dict[str, str]:
    """What both flavors of this package require. The servers can import them, so they validate."""
    return {
        "client_id": "{{runai.client_id}}",
        "client_secret": "{{runai.client_secret}}",
        "runai_base_url": "https://acme.run.ai",
        "project_name": "ml-team",
    }


def runai_config(emulator: Any) -> dict[str, str]:
    return {
        "runaiBaseUrl": emulator.base_url,
        "runaiClientId": emulator.admin_id,
        "runaiClientSecret": emulator.admin_secret,
    }
