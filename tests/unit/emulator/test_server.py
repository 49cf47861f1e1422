"""The command, the state file, the admin routes, and what the core never does."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys

import httpx
import pytest
from click.testing import CliRunner

from runai_emulator.cli import main
from runai_emulator.testing import as_wsgi


class Server:
    """``runai-emulator serve`` as a process."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "runai_emulator", "serve", "--port", "0", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.ready = self.process.stdout.readline()
        self.client = httpx.Client(base_url=self.ready.split()[-1], trust_env=False)

    def log_in(self, client_id="emulator-admin", secret="emulator-admin-secret") -> int:
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": secret,
        }
        answer = self.client.post("/api/v2/token", data=form)
        if answer.status_code == 200:
            token = answer.json()["access_token"]
            self.client.headers["Authorization"] = f"Bearer {token}"
        return answer.status_code

    def stop(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(20)


@pytest.fixture
def start():
    servers = []

    def make(*arguments: str) -> Server:
        servers.append(Server(*arguments))
        return servers[-1]

    yield make
    for server in servers:
        server.process.kill()
        server.process.wait()


def test_the_ready_line_and_the_health(start):
    server = start()
    assert server.ready.startswith("runai-emulator ")
    assert " ready on http://127.0.0.1:" in server.ready
    health = server.client.get("/_emulator/health").json()
    assert (health["status"], health["version"]) == ("ok", "2.24")
    assert health["pid"] == server.process.pid


def test_own_admin_credentials(start):
    server = start("--admin-id", "boss", "--admin-secret", "s3cret")
    assert server.log_in() == 401
    assert server.log_in("boss", "s3cret") == 200
    assert server.client.get("/api/v1/clusters").status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_state_survives(start, tmp_path, number):
    state = tmp_path / "state.db"
    first = start("--state", str(state), "--async-delay", "0", "--executor", "simulate")
    first.log_in()
    account = first.client.post("/api/v1/service-accounts", json={"name": "kept"}).json()
    rule = first.client.post(
        "/api/v1/authorization/access-rules",
        json={
            "subjectId": "kept",
            "subjectType": "service-account",
            "roleId": 2001,
            "scopeType": "project",
            "scopeId": "1001",
        },
    ).json()
    cluster = first.client.get("/api/v1/clusters").json()[0]["uuid"]
    body = {
        "name": "kept",
        "projectId": "1001",
        "clusterId": cluster,
        "spec": {
            "image": "i",
            "annotations": [{"name": "runai-emulator/script", "value": "Running=600"}],
            "compute": {"gpuDevicesRequest": 1},
        },
    }
    workload = first.client.post("/api/v1/workloads/trainings", json=body).json()["workloadId"]
    headers = dict(first.client.headers)
    first.stop(number)
    assert stat.S_IMODE(os.stat(state).st_mode) == 0o600
    assert account["clientSecret"].encode() not in state.read_bytes()

    second = start("--state", str(state), "--async-delay", "0", "--executor", "simulate")
    second.client.headers.update(headers)
    names = [row["name"] for row in second.client.get("/api/v1/service-accounts").json()]
    assert names == ["emulator-admin", "kept"]
    found = second.client.get(f"/api/v1/workloads/{workload}").json()
    assert (found["phase"], found["allocatedResources"]["gpu"]) == ("Running", 1)
    assert second.log_in("kept", account["clientSecret"]) == 200
    assert second.client.get("/api/v1/org-unit/projects/1001").status_code == 200
    second.log_in()
    fresh = second.client.post(
        "/api/v1/authorization/access-rules",
        json={
            "subjectId": "x",
            "subjectType": "user",
            "roleId": 2001,
            "scopeType": "project",
            "scopeId": "1001",
        },
    ).json()
    assert fresh["id"] == rule["id"] + 1
    second.client.post("/_emulator/reset")
    assert second.client.get("/api/v1/service-accounts").status_code == 401


def test_a_state_file_belongs_to_one_version(start, tmp_path):
    state = str(tmp_path / "state.db")
    start("--state", state).stop()
    result = CliRunner().invoke(main, ["serve", "--state", state, "--version", "2.23"])
    assert result.exit_code == 1
    assert "--version 2.24" in result.output


def test_a_port_in_use_is_a_clear_message():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(main, ["serve", "--port", port])
    assert result.exit_code == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in result.output
    assert "--port 0" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version", "1.0"],
        ["--port", "99999"],
        ["--async-delay", "-1"],
        ["--script", "Dancing=1"],
        ["--admin-id", ""],
        ["--state", "/no/such/folder/x.db"],
    ],
)
def test_bad_options(arguments):
    result = CliRunner().invoke(main, ["serve", *arguments])
    assert result.exit_code in (1, 2)
    assert "Traceback" not in result.output


def test_help_teaches():
    result = CliRunner().invoke(main, ["serve", "--help"])
    for word in ("--port", "--state", "--version", "--async-delay", "--executor", "--allow-env"):
        assert word in result.output


def test_requests_are_logged_without_bodies_or_admin_calls(plane):
    plane.anonymous.delete("/_emulator/requests")
    plane.admin.get("/api/v1/clusters?verbosity=metadata")
    plane.anonymous.get("/api/v1/nowhere")
    log = plane.anonymous.get("/_emulator/requests").json()
    assert log == {
        "total": 2,
        "requests": [
            {
                "n": 1,
                "method": "GET",
                "path": "/api/v1/clusters",
                "query": "verbosity=metadata",
                "status": 200,
                "client": "emulator-admin",
            },
            {
                "n": 2,
                "method": "GET",
                "path": "/api/v1/nowhere",
                "query": "",
                "status": 404,
                "client": None,
            },
        ],
    }


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/api/v1/workloads/x/y/z", 404),
        ("PUT", "/api/v1/clusters", 405),
        ("DELETE", "/api/v1/token", 405),
        ("GET", "/_emulator/nowhere", 404),
        ("POST", "/_emulator/clock", 400),
    ],
)
def test_wrong_paths_and_verbs(plane, method, path, status):
    answer = plane.admin.request(method, path)
    assert answer.status_code == status
    assert answer.json()["code"] == status


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"[" * 100_000])
def test_bodies_that_are_no_object(plane, body):
    for path in (
        "/api/v1/service-accounts",
        "/api/v1/authorization/access-rules",
        "/api/v1/workloads/trainings",
        "/api/v1/asset/credentials/docker-registry",
        "/api/v1/org-unit/projects",
    ):
        assert plane.admin.post(path, content=body).status_code == 400


def test_a_huge_body_is_refused(plane):
    assert plane.admin.post("/api/v1/service-accounts", content=b" " * 9_000_000).status_code == 413


def test_in_process_transports(plane):
    transport = httpx.WSGITransport(app=as_wsgi(plane.app))
    with httpx.Client(transport=transport, base_url="http://x") as client:
        assert client.get("/_emulator/health").json()["status"] == "ok"


async def _health(app) -> int:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        return (await client.get("/_emulator/health")).status_code


def test_asynchronous_transport(plane):
    import asyncio

    assert asyncio.run(_health(plane.app)) == 200


def test_starting_imports_nothing_heavy():
    code = (
        "import sys, json, runai_emulator.app, runai_emulator.server;"
        "print(json.dumps([name for name in ('pydantic', 'httpx', 'jwt', 'cryptography')"
        " if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_reset_brings_the_seeds_back(plane):
    plane.account("gone")
    plane.submit()
    plane.advance(100)
    assert plane.anonymous.post("/_emulator/reset").status_code == 200
    fresh = plane.caller("emulator-admin", "emulator-admin-secret")
    assert len(fresh.get("/api/v1/service-accounts").json()) == 1
    assert fresh.get("/api/v1/workloads").json()["workloads"] == []
    assert plane.anonymous.get("/_emulator/requests").json()["total"] == 3


def test_the_pytest_plugin(tmp_path):
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["runai_emulator.pytest_plugin"]\n')
    (tmp_path / "test_it.py").write_text(
        "import urllib.request\n"
        "def test_it(runai_emulator):\n"
        "    url = runai_emulator.base_url + '/_emulator/health'\n"
        "    assert urllib.request.urlopen(url).status == 200\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
