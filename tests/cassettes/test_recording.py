"""Recording: what is written, and that nothing stays behind on the control plane."""

from __future__ import annotations

import dataclasses
import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from runai_api import RunaiClient
from tools import record
from tools.wire import cassette
from tools.wire.scenario import Scenario, World, sandbox
from tools.wire.scenarios.workloads import LASTING, body
from tools.wire.scrub import Scrubber

if TYPE_CHECKING:
    from tests.conftest import EmulatorProcess


@pytest.fixture
def target(emulator: EmulatorProcess) -> record.Target:
    return record.Target(
        base_url=emulator.base_url,
        client_id=emulator.admin_id,
        client_secret=emulator.admin_secret,
        project="ml-team",
        version="2.24",
        described="runai-emulator test",
        run="wire",
        emulator=True,
    )


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cassette, "FOLDER", tmp_path)
    return tmp_path


def _make_account(world: World) -> None:
    with world.connect() as client:
        made = client.service_accounts.create(world.name("made"))
        world.undo(lambda admin: admin.service_accounts.delete(made.id))


def test_what_a_scenario_leaves_is_removed_outside_of_the_recording(
    target: record.Target, admin_client: RunaiClient, folder: Path
) -> None:
    record._record(Scenario("x/leaves", _make_account, ("2.24",)), folder / "x/leaves.yaml", target)
    assert admin_client.service_accounts.find("wire-made") is None
    text = (folder / "x/leaves.yaml").read_text("utf-8")
    assert "DELETE" not in text
    assert cassette.metadata_of(folder / "x/leaves.yaml")["recorded_from"] == "runai-emulator test"


def test_a_failure_writes_nothing_and_cleans_up(
    target: record.Target, admin_client: RunaiClient, folder: Path
) -> None:
    def fails(world: World) -> None:
        _make_account(world)
        raise ValueError("half-way")

    with pytest.raises(ValueError, match="half-way"):
        record._record(Scenario("x/fails", fails, ("2.24",)), folder / "x/fails.yaml", target)
    assert admin_client.service_accounts.find("wire-made") is None
    assert not any(path.is_file() for path in folder.rglob("*"))


def test_sweep_removes_what_a_killed_recording_left(
    target: record.Target, admin_client: RunaiClient
) -> None:
    world = target.world()
    _make_account(world)
    sandbox(world)
    workload = admin_client.trainings.create(body(world, "left", LASTING))
    role = admin_client.roles.create("wire-role", "", [admin_client.permission_sets.list()[0].id])
    account = admin_client.service_accounts.find("wire-made")
    kept = admin_client.service_accounts.create("somebody-else")
    assert account is not None
    project = admin_client.projects.find("ml-team")
    assert project is not None
    rule = admin_client.access_rules.create(
        account.client_id, "service-account", role.id, "project", project.id
    )
    record._sweep(admin_client, "ml-team")
    assert admin_client.service_accounts.find("wire-made") is None
    assert admin_client.roles.find("wire-role") is None
    left = admin_client.workloads.list(filter_by=[f"projectId=={project.id}"])
    assert all(found.phase == "Deleting" for found in left if found.id == workload.workload_id)
    assert rule.id not in {found.id for found in admin_client.access_rules.list()}
    assert admin_client.service_accounts.get(kept.id).name == "somebody-else"


def test_a_tenants_cassette_shows_what_is_ours_and_no_more(
    target: record.Target, admin_client: RunaiClient, folder: Path
) -> None:
    """The emulator stands in for a tenant, whose content is nobody's business."""
    admin_client.service_accounts.create("secret-plans")
    tenant = dataclasses.replace(target, emulator=False, run="wire-12ab34")

    def looks_around(world: World) -> None:
        with world.connect() as client:
            made = client.service_accounts.create(world.name("made"))
            world.undo(lambda admin: admin.service_accounts.delete(made.id))
            assert client.service_accounts.find(made.name) is not None
            assert client.projects.find(world.project) is not None
            assert len(client.projects.list()) == 2

    record._record(Scenario("x/tenant", looks_around, ("2.24",)), folder / "x/tenant.yaml", tenant)
    text = (folder / "x/tenant.yaml").read_text("utf-8")
    assert "wire-12ab34-made" in text
    assert "ml-team" in text
    for hidden in ("secret-plans", "other-team", target.client_id, target.base_url):
        assert hidden not in text
    assert admin_client.service_accounts.find("wire-12ab34-made") is None


class _Compressed(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = gzip.compress(json.dumps({"clientSecret": "hush", "seen": True}).encode())
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def compressing_server() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Compressed)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_compressed_answers_are_scrubbed_too(compressing_server: str, folder: Path) -> None:
    path = folder / "x.yaml"
    scrubber = Scrubber({compressing_server: "https://runai.example.com"})
    with cassette.recording(path, scrubber, {"recorded_from": "here"}):
        assert httpx.get(compressing_server, trust_env=False).json()["clientSecret"] == "hush"
    text = path.read_text("utf-8")
    assert '"seen": true' in text
    assert "hush" not in text
    with cassette.replaying(path, Scrubber({})):
        assert httpx.get("https://runai.example.com/").json()["seen"] is True
