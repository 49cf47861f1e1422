"""A stack on a real ZenML server whose components point at an emulated control plane."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

FLAVORS = Path(__file__).parents[3] / "provision" / "data" / "flavors.json"


@dataclass(frozen=True)
class Stack:
    """A registered stack and the account that its components use."""

    name: str
    id: str
    client_id: str
    client_secret: str


@pytest.fixture(scope="session")
def zenml_http(zenml_server) -> Any:
    """The ZenML API, logged in."""
    with httpx.Client(base_url=f"{zenml_server.url}/api/v1", timeout=60) as http:
        token = http.post("/login", data={"password": zenml_server.api_key}).json()
        http.headers["Authorization"] = f"Bearer {token['access_token']}"
        yield http


def make(http: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = http.post(path, json=body)
    assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
    made: dict[str, Any] = answer.json()
    return made


@pytest.fixture(scope="session")
def flavors(zenml_http) -> None:
    """Our two flavors, registered."""
    data = json.loads(FLAVORS.read_text("utf-8"))
    for flavor in data if isinstance(data, list) else data["flavors"]:
        answer = zenml_http.post("/flavors", json=flavor)
        assert answer.status_code in (200, 409), answer.text


@pytest.fixture
def make_stack(zenml_http, flavors, emulator, admin_client) -> Callable[..., Stack]:
    """Register a stack whose account has `role` at ml-team (None: no role)."""

    def register(role: str | None = "AI practitioner", **config: Any) -> Stack:
        tag = uuid.uuid4().hex[:8]
        account = admin_client.service_accounts.create(f"zenml-{tag}")
        secret = account.client_secret.get_secret_value()
        if role is not None:
            admin_client.access_rules.create(
                account.client_id,
                "service-account",
                admin_client.roles.find(role).id,
                "project",
                admin_client.projects.find("ml-team").id,
            )
        values = {"client_id": account.client_id, "client_secret": secret}
        make(zenml_http, "/secrets", {"name": f"runai-{tag}", "values": values})
        operator = {
            "client_id": f"{{{{runai-{tag}.client_id}}}}",
            "client_secret": f"{{{{runai-{tag}.client_secret}}}}",
            "runai_base_url": emulator.base_url,
            "project_name": "ml-team",
            **config,
        }
        parts = {
            "orchestrator": ("local", {}),
            "artifact_store": ("local", {"path": ""}),
            "step_operator": ("nvidia_runai", operator),
        }
        ids = {}
        for kind, (flavor, configuration) in parts.items():
            body = {"name": f"{kind}-{tag}", "type": kind, "flavor": flavor}
            made = make(zenml_http, "/components", {**body, "configuration": configuration})
            ids[kind] = [made["id"]]
        stack = make(zenml_http, "/stacks", {"name": f"stack-{tag}", "components": ids})
        return Stack(stack["name"], stack["id"], account.client_id, secret)

    return register


@pytest.fixture
def perms(zenml_server) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the real command in a process of its own, with the ZenML server in its environment."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("RUNAI_", "ZENML_"))}
        given = {
            "ZENML_STORE_URL": zenml_server.url,
            "ZENML_STORE_API_KEY": zenml_server.api_key,
            "ZENML_CONFIG_PATH": "/nonexistent",
            **environment,
        }
        return subprocess.run(
            [sys.executable, "-m", "runai_perms", *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**clean, **given},
        )

    return run
