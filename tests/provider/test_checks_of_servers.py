"""Checks that need a server in a state of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest

from provision.providers.project import RunaiProjectProvider
from provision.providers.zenml_server import ZenMLServerProvider
from tests.provider.host import Host, running_host

PROJECT = RunaiProjectProvider()


@contextmanager
def web_server(answer: Callable[[str], Any]) -> Iterator[str]:
    """Answers each path with an object as JSON."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answer(self.path)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"id": "1", "version": "0.97.3"}, "is 0.97.3; 0.98.0 or newer is needed"),
        ({"id": "1", "version": "dev"}, "is dev; 0.98.0 or newer is needed"),
        ({"hello": "world"}, "not as a ZenML server does"),
    ],
)
def test_an_unfit_zenml_server_is_refused_before_the_key_is_sent(
    info: dict[str, str], expected: str
) -> None:
    asked = []

    def answer(path: str) -> Any:
        asked.append(path)
        return info

    with (
        web_server(answer) as url,
        running_host({"zenmlUrl": url, "zenmlApiKey": "ZENKEY_canary"}) as host,
    ):
        _, failures = host.check(ZenMLServerProvider(), {"url": url})
    assert expected in " ".join(failures.values())
    assert asked == ["/api/v1/info"]


def test_missing_credentials_are_named_with_the_command(emulator: Any) -> None:
    with running_host({"runaiBaseUrl": emulator.base_url}) as host:
        _, failures = host.check(PROJECT, {"name": "ml-team"})
        assert "pulumi config set runaiClientId" in failures[""]
        _, failures = host.check(ZenMLServerProvider(), {})
        assert "pulumi config set zenmlUrl" in failures[""]


@pytest.fixture
def new_project(emulator: Any, admin_client: Any) -> Callable[[str, float], None]:
    """Makes a project with so many GPUs, by the API itself: the client only reads them."""

    def make(name: str, gpus: float) -> None:
        token = httpx.post(
            f"{emulator.base_url}/api/v2/token",
            data={
                "grant_type": "client_credentials",
                "client_id": emulator.admin_id,
                "client_secret": emulator.admin_secret,
            },
        ).json()["access_token"]
        like = admin_client.projects.find("ml-team")
        pool = admin_client.node_pools.find("default")
        body = {
            "name": name,
            "clusterId": like.cluster_id,
            "resources": [{"nodePool": {"id": pool.id}, "gpu": {"deserved": gpus}}],
        }
        httpx.post(
            f"{emulator.base_url}/api/v1/org-unit/projects",
            json=body,
            headers={"Authorization": f"Bearer {token}"},
        ).raise_for_status()

    return make


def test_a_project_without_gpu_quota_is_refused_unless_that_is_meant(
    host: Host, new_project: Callable[[str, float], None]
) -> None:
    new_project("no-gpus", 0)
    _, failures = host.check(PROJECT, {"name": "no-gpus"})
    assert "has no GPU quota" in failures["name"]
    assert "requireGpuQuota" in failures["name"]
    inputs, failures = host.check(PROJECT, {"name": "no-gpus", "require_gpu_quota": False})
    assert (inputs["gpu_quota"], failures) == (0, {})

    new_project("half-a-gpu", 0.5)
    inputs, failures = host.check(PROJECT, {"name": "half-a-gpu"})
    assert (inputs["gpu_quota"], failures) == (0.5, {})
