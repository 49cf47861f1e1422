"""Start and stop the local services: the emulator, a ZenML server, an S3 server.

Used by ``make lab`` (services that stay) and by the test session (services of its own, on free
ports, gone when it ends). All of them listen on loopback only.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

HOST = "127.0.0.1"
#: A first start of the ZenML server makes its database: 14 s seen on two cores, more under load.
START_SECONDS = 180.0
STOP_SECONDS = 15.0

EMULATOR_ADMIN_ID = "emulator-admin"
EMULATOR_ADMIN_SECRET = "emulator-admin-secret"  # noqa: S105 - the emulator's documented default
S3_ACCESS_KEY = "lab-access-key"
S3_SECRET_KEY = "lab-secret-key"  # noqa: S105 - moto accepts any
S3_BUCKET = "zenml"


class ServiceError(Exception):
    """A service could not be started; the message says why and what to do."""


@dataclass(frozen=True)
class Service:
    """A running process that answers at `url`."""

    name: str
    url: str
    pid: int
    log: Path

    def stop(self) -> None:
        """SIGTERM to its process group, SIGKILL after `STOP_SECONDS`."""
        stop_process(self.pid)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


def check_port(name: str, port: int, setting: str) -> None:
    """Refuse a port that something else listens on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ServiceError(
                f"{name}: port {port} is in use ({error.strerror}). "
                f"Stop what listens there, or choose another: {setting}=<port> make lab"
            ) from None


def start_emulator(folder: Path, port: int, *arguments: str, name: str = "emulator") -> Service:
    return start(
        name,
        [
            sys.executable,
            "-m",
            "runai_emulator",
            "serve",
            "--host",
            HOST,
            "--port",
            str(port),
            *arguments,
        ],
        folder,
        f"http://{HOST}:{port}",
        "/_emulator/health",
    )


def start_s3(folder: Path, port: int) -> Service:
    """An S3 server (moto, in memory) with an empty bucket ``zenml``."""
    service = start(
        "s3", [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)], folder,
        f"http://{HOST}:{port}", "/moto-api/",
    )  # fmt: skip
    httpx.put(f"{service.url}/{S3_BUCKET}", timeout=30).raise_for_status()
    return service


def start_zenml(folder: Path, port: int, password: str, *, access_log: bool = False) -> Service:
    """A ZenML server on SQLite, with user ``default`` and `password`."""
    home = folder / "zenml-server"
    home.mkdir(parents=True, exist_ok=True)
    environment = {
        "ZENML_SERVER": "true",
        "ZENML_CONFIG_PATH": str(home / "config"),
        "ZENML_LOCAL_STORES_PATH": str(home / "stores"),
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_SERVER_AUTO_ACTIVATE": "true",
        "ZENML_DEFAULT_USER_NAME": "default",
        "ZENML_DEFAULT_USER_PASSWORD": password,
        "ZENML_SERVER_DEPLOYMENT_TYPE": "other",
        "ZENML_LOGGING_VERBOSITY": "WARN",
    }
    return start(
        "zenml",
        [sys.executable, "-m", "uvicorn", "zenml.zen_server.zen_server_api:app",
         "--host", HOST, "--port", str(port), "--log-level", "info" if access_log else "error"],
        folder,
        f"http://{HOST}:{port}",
        "/health",
        environment,
    )  # fmt: skip


def make_api_key(zenml_url: str, password: str, account: str) -> str:
    """Make a ZenML service account (if missing) and a new API key for it."""
    with httpx.Client(base_url=f"{zenml_url}/api/v1", timeout=60) as http:
        login = http.post("/login", data={"username": "default", "password": password})
        login.raise_for_status()
        http.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
        body = {"name": account, "description": "Made by `make lab`.", "active": True}
        made = http.post("/service_accounts", json=body)
        if made.status_code == 409:
            made = http.get("/service_accounts", params={"name": account})
            made.raise_for_status()
            account_id = made.json()["items"][0]["id"]
        else:
            made.raise_for_status()
            account_id = made.json()["id"]
        key_name = f"key-{secrets.token_hex(4)}"
        key = http.post(
            f"/service_accounts/{account_id}/api_keys",
            json={"name": key_name, "description": "Made by `make lab`."},
        )
        key.raise_for_status()
        return str(key.json()["body"]["key"])


def _neutral_environment() -> dict[str, str]:
    """The environment without what the caller's shell says of a client: a ZenML server that finds
    the `ZENML_STORE_URL` of `make lab-env` refuses to start."""
    clients = ("ZENML_", "RUNAI_", "PULUMI_")
    return {name: value for name, value in os.environ.items() if not name.startswith(clients)}


def start(
    name: str,
    command: list[str],
    folder: Path,
    url: str,
    health: str,
    environment: Mapping[str, str] | None = None,
) -> Service:
    """Start `command` in a session of its own and wait until `health` answers 200."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**_neutral_environment(), "PYTHONUNBUFFERED": "1", **(environment or {})},
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServiceError(f"{name} stopped at once (exit {process.returncode}):\n{tail(log)}")
        if answers(url + health):
            return Service(name, url, process.pid, log)
        time.sleep(0.05)
    stop_process(process.pid)
    raise ServiceError(f"{name} did not answer within {START_SECONDS:.0f} s:\n{tail(log)}")


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def alive(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def stop_process(pid: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            if not alive(pid):
                return
            time.sleep(0.02)


def tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
