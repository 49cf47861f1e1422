"""The request log and the debug log: enough to trace, nothing to leak."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from runai_api import ConfigurationError, PermissionDenied, RunaiClient

from .conftest import SECRET, TOKEN, Wire

CLUSTERS = "/api/v1/clusters"
TRAINING = "/api/v1/workloads/trainings/w-1"


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_request_is_one_line(wire: Wire, tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    client = wire.client(request_log=log)
    wire.on("GET", CLUSTERS, httpx.ReadError("reset"), httpx.Response(200, json=[]))
    wire.on("GET", TRAINING, httpx.Response(403))
    client.clusters.list()
    with pytest.raises(PermissionDenied):
        client.trainings.get("w-1")
    token, lost, listed, refused = entries(log)
    assert (token["operation"], token["permission"], token["status"]) == (
        "tokens.create",
        None,
        200,
    )
    assert (lost["status"], lost["error"], lost["attempt"]) == (None, "ConnectionFailed", 1)
    assert (listed["status"], listed["error"], listed["attempt"]) == (200, None, 2)
    assert set(refused) == {
        "time",
        "method",
        "path",
        "template",
        "operation",
        "status",
        "permission",
        "attempt",
        "duration_ms",
        "error",
    }
    assert refused["path"] == TRAINING
    assert refused["template"] == "/api/v1/workloads/trainings/{id}"
    assert (refused["operation"], refused["permission"]) == ("trainings.get", "trainings:read")
    assert (refused["method"], refused["status"]) == ("GET", 403)
    assert refused["time"].endswith("+00:00")
    assert refused["duration_ms"] >= 0


def test_no_record_holds_a_secret(
    wire: Wire, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    log = tmp_path / "requests.jsonl"
    client = wire.client(request_log=log)
    made = {"id": "1", "name": "bot", "clientId": "bot", "clientSecret": "canary-new-secret"}
    wire.json("POST", "/api/v1/service-accounts", made, 201)
    path = "/api/v1/asset/credentials/docker-registry"
    wire.on("POST", path, httpx.Response(429), httpx.Response(409, text="canary-password"))
    client.service_accounts.create("bot")
    with pytest.raises(Exception, match="409"):
        client.registry_credentials.create(
            "reg", "1", user="u", password="canary-password", url="https://r"
        )
    shown = log.read_text() + caplog.text
    assert "registry_credentials.create" in shown
    assert "POST /api/v1/service-accounts -> 201" in caplog.text
    for canary in (SECRET, TOKEN, "canary-new-secret", "canary-password"):
        assert canary not in shown


def test_the_file_is_for_its_owner_only_and_is_continued(wire: Wire, tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    wire.json("GET", CLUSTERS, [])
    old = os.umask(0)
    try:
        for _ in range(2):
            with wire.client(request_log=log) as client:
                client.clusters.list()
    finally:
        os.umask(old)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert len(entries(log)) == 4


def test_lines_of_many_threads_do_not_mix(wire: Wire, tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    client = wire.client(request_log=log)
    wire.json("GET", CLUSTERS, [])
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: client.clusters.list(), range(200)))
    assert len(entries(log)) == 201


def test_a_log_that_cannot_be_written_is_a_clear_error(wire: Wire, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="request log") as caught:
        wire.client(request_log=tmp_path / "missing" / "requests.jsonl")
    assert "RUNAI_REQUEST_LOG" in str(caught.value)


def test_the_environment_names_the_log(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    environ = {
        "RUNAI_BASE_URL": "https://acme.example",
        "RUNAI_CLIENT_ID": "me",
        "RUNAI_CLIENT_SECRET": "s",
        "RUNAI_REQUEST_LOG": str(log),
    }
    RunaiClient.from_environment(environ).close()
    assert log.exists()


def test_the_libraries_below_stay_quiet() -> None:
    """httpx would tell every URL, httpcore every response header."""
    code = (
        "import logging; logging.basicConfig(level=logging.DEBUG)\n"
        "import runai_api; runai_api.RunaiClient\n"
        "print(*[logging.getLogger(n).getEffectiveLevel() for n in ('httpx', 'httpcore')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(logging.WARNING)] * 2
