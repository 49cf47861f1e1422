"""The set-up tools: engine look-up, ports, pid files."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tools import lab, pulumi_engine, services


@pytest.fixture
def lab_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(lab, "LAB", tmp_path)
    return tmp_path


def fake_pulumi(folder: Path, version: str, *, host: bool = True) -> None:
    for name in ["pulumi", *(["pulumi-language-python"] if host else [])]:
        (folder / name).write_text(f"#!/bin/sh\necho {version}\n")
        (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("version", "host", "usable"),
    [
        ("v3.259.0", True, True),
        ("3.207.0", True, True),
        ("v3.206.9", True, False),
        ("not a version", True, False),
        ("v3.259.0", False, False),
    ],
)
def test_the_pulumi_on_path_is_used_only_when_it_can_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, host: bool, usable: bool
) -> None:
    fake_pulumi(tmp_path, version, host=host)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert pulumi_engine.from_path() == (tmp_path if usable else None)


def test_the_engine_answers_with_its_version(pulumi_engine_folder: Path) -> None:
    version = pulumi_engine.pulumi_version(pulumi_engine_folder / "pulumi")
    assert version is not None
    assert version >= pulumi_engine.OLDEST_ON_PATH


def test_no_engine_at_all_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> None:
        raise pulumi_engine.EngineError("cannot be reached (test)")

    monkeypatch.setattr(pulumi_engine, "TOOLS", tmp_path)
    monkeypatch.setattr(pulumi_engine, "from_path", lambda: None)
    monkeypatch.setattr(pulumi_engine, "install", refuse)
    monkeypatch.setattr(pulumi_engine, "build", refuse)
    with pytest.raises(pulumi_engine.EngineError, match=r"Install Pulumi 3\.\d+\.\d+ or newer"):
        pulumi_engine.ensure()
    assert [path.name for path in tmp_path.iterdir()] == ["engine.lock"]


def test_a_port_in_use_is_named_with_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind((services.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(services.ServiceError, match=f"port {port} is in use.*LAB_S3_PORT="):
            services.check_port("s3", port, "LAB_S3_PORT")
    services.check_port("s3", port, "LAB_S3_PORT")


@pytest.mark.parametrize("value", ["http", "0", "65536", "-1"])
def test_a_port_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("LAB_ZENML_PORT", value)
    with pytest.raises(services.ServiceError, match="LAB_ZENML_PORT must be a port number"):
        lab.port_of("zenml")


def test_a_process_that_took_over_a_dead_service_s_id_is_not_ours(lab_folder: Path) -> None:
    ours = {"pid": os.getpid(), "url": "http://127.0.0.1:1", "started": 1.0}
    (lab_folder / "emulator.pid").write_text(json.dumps(ours))
    assert lab.status() == {}
    assert not (lab_folder / "emulator.pid").exists()


def test_down_stops_what_up_started(lab_folder: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True
    )
    record = {
        "pid": child.pid,
        "url": "http://127.0.0.1:1",
        "started": lab.process_start(child.pid),
    }
    (lab_folder / "s3.pid").write_text(json.dumps(record))
    assert list(lab.status()) == ["s3"]
    lab.down()
    assert not services.alive(child.pid)
    assert list(lab_folder.iterdir()) == []


def test_a_service_that_dies_at_once_shows_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no room for a database')"]
    with pytest.raises(services.ServiceError, match="no room for a database"):
        services.start("zenml", command, tmp_path, "http://127.0.0.1:1", "/health")


def test_kept_secrets_are_private_and_stay(lab_folder: Path) -> None:
    first = lab.kept_secret("zenml-password")
    assert lab.kept_secret("zenml-password") == first
    assert (lab_folder / "zenml-password").stat().st_mode & 0o777 == 0o600


def test_a_service_does_not_see_what_the_shell_says_to_clients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZENML_STORE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("KEPT", "yes")
    look = "import os, sys; sys.exit(os.getenv('ZENML_STORE_URL', '-') + os.environ['KEPT'])"
    with pytest.raises(services.ServiceError, match="-yes"):
        services.start("probe", [sys.executable, "-c", look], tmp_path, "http://127.0.0.1:1", "/")
