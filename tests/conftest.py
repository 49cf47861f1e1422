"""Services of the test session: real ones, on free ports of loopback, gone at its end."""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tools import pulumi_engine, services

# ZenML takes the folder of the main module for the root of the user's code; a worker of
# pytest-xdist has a main module without a file.
if not hasattr(sys.modules["__main__"], "__file__"):
    sys.modules["__main__"].__file__ = str(Path(__file__).resolve().parent.parent / "pytest")

# A shell that starts the tests in the background has them and their children ignore SIGINT. Then
# the engine waits 5 s for each of its plugins, and the chaos matrix cannot be stopped.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A developer's own configuration must not change what the tests see.
for _name in list(os.environ):
    if _name.startswith(("RUNAI_", "ZENML_", "PULUMI_")) and not _name.startswith("ZENML_RUNAI_"):
        del os.environ[_name]
os.environ["ZENML_ANALYTICS_OPT_IN"] = "false"
# Nor may the tests write into it.
os.environ["ZENML_CONFIG_PATH"] = _zenml_config = tempfile.mkdtemp(prefix="zenml-config-")
atexit.register(shutil.rmtree, _zenml_config, ignore_errors=True)


@dataclass(frozen=True)
class EmulatorProcess:
    """A running emulator and its admin routes."""

    base_url: str
    admin_id: str
    admin_secret: str
    pid: int

    def reset(self) -> None:
        self._admin("POST", "/_emulator/reset")

    def requests(self) -> list[dict[str, Any]]:
        """The control-plane requests since the last `forget_requests` or `reset`."""
        return list(self._admin("GET", "/_emulator/requests")["requests"])

    def forget_requests(self) -> None:
        self._admin("DELETE", "/_emulator/requests")

    def add_fault(self, **rule: Any) -> dict[str, Any]:
        return dict(self._admin("POST", "/_emulator/faults", json=rule))

    def clear_faults(self) -> None:
        self._admin("DELETE", "/_emulator/faults")

    def advance_clock(self, seconds: float) -> None:
        self._admin("POST", "/_emulator/clock", json={"advance": seconds})

    def _admin(self, method: str, path: str, **arguments: Any) -> Any:
        answer = httpx.request(
            method, self.base_url + path, timeout=30, trust_env=False, **arguments
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None


@dataclass(frozen=True)
class ZenMLServer:
    """A running ZenML server and an API key for it."""

    url: str
    api_key: str
    database: Path
    log: Path

    def requests(self) -> list[str]:
        """The lines of the access log so far."""
        return [line for line in self.log.read_text().splitlines() if "HTTP/1.1" in line]


@dataclass(frozen=True)
class S3Server:
    """A running S3 server with the bucket ``zenml``."""

    url: str
    access_key: str = services.S3_ACCESS_KEY
    secret_key: str = services.S3_SECRET_KEY
    bucket: str = services.S3_BUCKET


def run_emulator(folder: Path, *arguments: str) -> Iterator[EmulatorProcess]:
    service = services.start_emulator(folder, services.free_port(), *arguments)
    try:
        yield EmulatorProcess(
            service.url, services.EMULATOR_ADMIN_ID, services.EMULATOR_ADMIN_SECRET, service.pid
        )
    finally:
        service.stop()


@pytest.fixture(scope="session")
def services_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("services")


@pytest.fixture(scope="session")
def emulator_process(services_folder: Path) -> Iterator[EmulatorProcess]:
    """One emulator (2.24) for the session; states change at once."""
    yield from run_emulator(services_folder / "emulator", "--async-delay", "0")


@pytest.fixture
def emulator(emulator_process: EmulatorProcess) -> EmulatorProcess:
    """The session's emulator, as it is after a first start."""
    emulator_process.reset()
    return emulator_process


@pytest.fixture(scope="session")
def emulator_legacy_process(services_folder: Path) -> Iterator[EmulatorProcess]:
    """One emulator of the 2.23 kind for the session."""
    folder = services_folder / "emulator-legacy"
    yield from run_emulator(folder, "--version", "2.23", "--async-delay", "0")


@pytest.fixture
def emulator_legacy(emulator_legacy_process: EmulatorProcess) -> EmulatorProcess:
    emulator_legacy_process.reset()
    return emulator_legacy_process


@pytest.fixture
def admin_client(emulator: EmulatorProcess) -> Iterator[Any]:
    """A client with the administrator's credentials on a reset emulator."""
    from runai_api import RunaiClient

    with RunaiClient(
        emulator.base_url, client_id=emulator.admin_id, client_secret=emulator.admin_secret
    ) as client:
        yield client


@pytest.fixture(scope="session")
def new_zenml_server(services_folder: Path) -> Iterator[Callable[[str], ZenMLServer]]:
    """Starts ZenML servers that live as long as the session; one takes several seconds."""
    with ExitStack() as servers:

        def start(name: str) -> ZenMLServer:
            folder = services_folder / name
            password = secrets.token_urlsafe(16)
            service = services.start_zenml(folder, services.free_port(), password, access_log=True)
            servers.callback(service.stop)
            key = services.make_api_key(service.url, password, "provisioner")
            database = folder / "zenml-server" / "stores" / "default_zen_store" / "zenml.db"
            return ZenMLServer(service.url, key, database, service.log)

        yield start


@pytest.fixture(scope="session")
def zenml_server(new_zenml_server: Callable[[str], ZenMLServer]) -> ZenMLServer:
    """The server that most tests share."""
    return new_zenml_server("zenml")


@pytest.fixture(scope="session")
def s3_server(services_folder: Path) -> Iterator[S3Server]:
    service = services.start_s3(services_folder / "s3", services.free_port())
    try:
        yield S3Server(service.url)
    finally:
        service.stop()


@pytest.fixture(scope="session")
def pulumi_engine_folder() -> Path:
    """The folder of the engine's binaries; put it on PATH with `tools.pulumi_engine.path_with`."""
    return pulumi_engine.ensure()
