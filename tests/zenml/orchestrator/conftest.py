"""A real ZenML stack on the emulator: server, S3 artifacts, components of flavor nvidia_runai.

Pipelines are scripts that run in processes of their own, as a user's would.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from zenml_runai import FLAVOR_NAME

PROJECT = "ml-team"
#: Every run writes here; the folder is on this machine, as the emulated cluster is.
MARKS = "TEST_MARKS"

#: What the scripts of the tests share: a note of each start, gates, and a stack without builds.
PRELUDE = '''
import os, sys, time
from pathlib import Path
from typing import Annotated
from zenml import pipeline, step
from zenml.config import DockerSettings, ResourceSettings
from zenml.config.retry_config import StepRetryConfig
from zenml.enums import ExecutionMode
from zenml_runai.flavors import *

DOCKER = DockerSettings(skip_build=True, parent_image="registry.example.com/ml/zenml:0.98.0")
MARKS = Path(os.environ.get("TEST_MARKS", "/nonexistent"))


def mark(name):
    """Note that a step has started; returns how often it has."""
    with open(MARKS / name, "a") as file:
        file.write(f"{os.getpid()}\\n")
    return len((MARKS / name).read_text().split())


def gate(name, seconds=120):
    """Wait until the test opens a gate."""
    deadline = time.monotonic() + seconds
    while not (MARKS / f"gate-{name}").exists():
        if time.monotonic() > deadline:
            raise TimeoutError(name)
        time.sleep(0.05)
'''


class ZenMLApi:
    """The server's REST interface, as an observer."""

    def __init__(self, url: str, api_key: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=f"{url}/api/v1", timeout=60, trust_env=False)
        login = self._http.post("/login", data={"password": api_key})
        login.raise_for_status()
        self._http.headers["Authorization"] = f"Bearer {login.json()['access_token']}"

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        answer = self._http.request(method, path, **arguments)
        assert answer.status_code < 400, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def close(self) -> None:
        self._http.close()

    def run(self, name_or_id: str) -> dict[str, Any]:
        if re.fullmatch(r"[0-9a-f-]{36}", name_or_id):
            return dict(self.call("GET", f"/runs/{name_or_id}", params={"hydrate": True}))
        found = self.call("GET", "/runs", params={"name": name_or_id, "hydrate": True})["items"]
        assert found, f"no run {name_or_id}"
        return dict(found[0])

    def steps(self, run_id: str) -> dict[str, list[dict[str, Any]]]:
        """Step runs by name, oldest attempt first."""
        found = self.call(
            "GET", "/steps", params={"pipeline_run_id": run_id, "hydrate": True, "size": 200}
        )["items"]
        steps: dict[str, list[dict[str, Any]]] = {}
        for step_run in sorted(found, key=lambda item: item["body"]["version"]):
            steps.setdefault(step_run["name"], []).append(step_run)
        return steps

    def statuses(self, run_id: str) -> dict[str, list[str]]:
        return {
            name: [attempt["body"]["status"] for attempt in attempts]
            for name, attempts in self.steps(run_id).items()
        }


@dataclass
class Script:
    """A pipeline script that runs, or has run."""

    process: subprocess.Popen[str]
    log: Path
    run_name: str
    started: float = field(default_factory=time.monotonic)

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def words(self) -> str:
        """The output without the line breaks of tracebacks in boxes."""
        return " ".join(self.output.split())

    def wait(self, timeout: float = 150) -> int:
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running:\n{self.output[-6000:]}") from None

    def succeed(self) -> Script:
        assert self.wait() == 0, self.output[-8000:]
        return self

    def fail(self) -> Script:
        assert self.wait() != 0, self.output[-8000:]
        return self


class Lab:
    """The stack and what the tests do with it."""

    def __init__(
        self,
        emulator: Any,
        zenml: Any,
        s3: Any,
        api: ZenMLApi,
        stack_id: str,
        folder: Path,
        marks: Path,
    ) -> None:
        self.emulator = emulator
        self.api = api
        self.folder = folder
        self.marks = marks
        self._zenml = zenml
        self._s3 = s3
        self._stack_id = stack_id
        self._scripts: list[Script] = []

    # What a user does

    def stack(
        self,
        *,
        orchestrator: dict[str, Any] | None = None,
        artifact_store: tuple[str, dict[str, Any]] | None = None,
        without: Sequence[str] = (),
    ) -> str:
        """Register another stack, with parts changed or missing; its id."""
        parts = components(self.emulator, self._s3)
        flavor, configuration = parts["orchestrator"]
        parts["orchestrator"] = (flavor, {**configuration, **(orchestrator or {})})
        if artifact_store is not None:
            parts["artifact_store"] = artifact_store
        kept = {kind: part for kind, part in parts.items() if kind not in without}
        name = f"stack-{uuid.uuid4().hex[:8]}"
        return register_stack(self.api.call, name, kept, self.marks)

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {
            **kept,
            "HOME": str(self.folder),
            "ZENML_CONFIG_PATH": str(self.folder / "zenml-config"),
            "ZENML_STORE_URL": self._zenml.url,
            "ZENML_STORE_API_KEY": self._zenml.api_key,
            "ZENML_ACTIVE_STACK_ID": self._stack_id,
            "ZENML_ANALYTICS_OPT_IN": "false",
            "DISABLE_CREDENTIALS_DISK_CACHING": "true",
            "ZENML_DISABLE_CLIENT_SERVER_MISMATCH_WARNING": "true",
            MARKS: str(self.marks),
            **more,
        }

    def start(self, code: str, **environment: str) -> Script:
        """Start a script; it finds its run's name in RUN."""
        name = f"run-{uuid.uuid4().hex[:10]}"
        source = self.folder / name / "train.py"
        source.parent.mkdir()
        source.write_text(f"{PRELUDE}\nRUN = {name!r}\n{textwrap.dedent(code)}")
        return self.start_file(source, name, **environment)

    def start_file(self, source: Path | str, name: str = "", **environment: str) -> Script:
        """Start a pipeline's file."""
        source = Path(source)
        log = self.folder / f"{source.parent.name}-{source.stem}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, str(source)],
                cwd=source.parent,
                env=self.environment(**environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        script = Script(process, log, name)
        self._scripts.append(script)
        return script

    def python(self, code: str, timeout: float = 120) -> str:
        """What a piece of code prints, run as the user."""
        file = self.folder / f"code-{uuid.uuid4().hex[:6]}.py"
        file.write_text(textwrap.dedent(code))
        done = subprocess.run(
            [sys.executable, str(file)],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    # What happens meanwhile

    def open_gate(self, name: str) -> None:
        (self.marks / f"gate-{name}").touch()

    def marked(self, name: str) -> int:
        """How often a step has started."""
        path = self.marks / name
        return len(path.read_text().split()) if path.exists() else 0

    def pids(self, name: str) -> list[int]:
        return [int(line) for line in (self.marks / name).read_text().split()]

    def until(self, condition: Callable[[], Any], what: str, seconds: float = 90) -> Any:
        """Wait for a condition; its value."""
        deadline = time.monotonic() + seconds
        while True:
            if value := condition():
                return value
            if time.monotonic() > deadline:
                raise AssertionError(f"in vain: {what}\n{self.report()}")
            time.sleep(0.1)

    def report(self) -> str:
        logs = [f"== {script.run_name}\n{script.output[-3000:]}" for script in self._scripts]
        for workload in self.workloads():
            text = self.logs(workload["id"])
            logs.append(f"== {workload['name']} {workload['phase']}\n{text[-3000:]}")
        return "\n".join(logs)

    # What the control plane knows

    def control_plane(self) -> Any:
        from runai_api import RunaiClient

        return RunaiClient(
            self.emulator.base_url,
            client_id=self.emulator.admin_id,
            client_secret=self.emulator.admin_secret,
        )

    def workloads(self) -> list[dict[str, Any]]:
        with self.control_plane() as client:
            return [workload.model_dump() for workload in client.workloads.list()]

    def workload(self, part: str) -> dict[str, Any] | None:
        """The workload whose name contains a text."""
        return next((each for each in self.workloads() if part in each["name"]), None)

    def provoke(self, workload_id: str, what: str) -> None:
        self._admin("POST", f"/_emulator/workloads/{workload_id}/provoke", json={"what": what})

    def nodes(self, nodes: list[dict[str, Any]]) -> None:
        """Replace the cluster's nodes."""
        self._admin("PUT", "/_emulator/nodes", json=nodes)

    def logs(self, workload_id: str) -> str:
        """What the pods of a workload have written."""
        return self._admin("GET", f"/_emulator/workloads/{workload_id}/logs").text

    def _admin(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        answer = httpx.request(
            method, self.emulator.base_url + path, timeout=30, trust_env=False, **arguments
        )
        assert answer.status_code < 400, answer.text
        return answer

    def close(self) -> None:
        for script in self._scripts:
            if script.process.poll() is None:
                script.process.kill()
                script.process.wait()


@pytest.fixture(scope="session")
def zenml_api(zenml_server: Any) -> Iterator[ZenMLApi]:
    api = ZenMLApi(zenml_server.url, zenml_server.api_key)
    yield api
    api.close()


@pytest.fixture(scope="session")
def marks_folder(services_folder: Path) -> Path:
    folder = services_folder / "marks"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def stack_id(zenml_api: ZenMLApi, emulator_process: Any, s3_server: Any, marks_folder: Path) -> str:
    """A stack that is complete: registered as provisioning does it, over REST."""
    from zenml_runai.flavors import RunAIOrchestratorFlavor, RunAIStepOperatorFlavor

    call = zenml_api.call
    for name, values in {
        "runai": {
            "client_id": emulator_process.admin_id,
            "client_secret": emulator_process.admin_secret,
        },
        "s3": {"key": s3_server.access_key, "secret": s3_server.secret_key},
    }.items():
        call("POST", "/secrets", json={"name": name, "private": False, "values": values})
    for kind, flavor in {
        "orchestrator": RunAIOrchestratorFlavor(),
        "step_operator": RunAIStepOperatorFlavor(),
    }.items():
        source = f"zenml_runai.flavors.{type(flavor).__name__}"
        taken = call("GET", "/flavors", params={"name": FLAVOR_NAME, "type": kind})["items"]
        if taken:
            continue
        call(
            "POST",
            "/flavors",
            json={
                "name": FLAVOR_NAME,
                "type": kind,
                "source": source,
                "config_schema": flavor.config_schema,
                "integration": "custom",
                "is_custom": True,
            },
        )
    return register_stack(call, "lab", components(emulator_process, s3_server), marks_folder)


Components = dict[str, tuple[str, dict[str, Any]]]


def components(emulator: Any, s3: Any) -> Components:
    """Flavor and configuration of each component."""
    connection = {
        "client_id": "{{runai.client_id}}",
        "client_secret": "{{runai.client_secret}}",
        "runai_base_url": emulator.base_url,
        "project_name": PROJECT,
        # The tests are in a greater hurry than a control plane likes.
        "shortest_status_interval": 0.2,
        "longest_status_interval": 0.5,
        "status_requests_per_minute": 300,
    }
    return {
        "orchestrator": (FLAVOR_NAME, connection),
        "step_operator": (FLAVOR_NAME, connection),
        "artifact_store": (
            "s3",
            {
                "path": f"s3://{s3.bucket}",
                "key": "{{s3.key}}",
                "secret": "{{s3.secret}}",
                "client_kwargs": {"endpoint_url": s3.url, "region_name": "us-east-1"},
            },
        ),
        "container_registry": ("default", {"uri": "registry.example.com/ml"}),
        "image_builder": ("local", {}),
    }


def register_stack(
    call: Callable[..., Any], name: str, components: Components, marks_folder: Path
) -> str:
    ids = {}
    for kind, (flavor_name, configuration) in components.items():
        body = {
            "name": f"{name}-{kind}",
            "type": kind,
            "flavor": flavor_name,
            "configuration": configuration,
        }
        ids[kind] = [call("POST", "/components", json=body)["id"]]
    stack = {
        "name": name,
        "components": ids,
        # Processes of the emulator share this machine's /app.
        "environment": {"ZENML_RUNAI_APP_DIR": "app", MARKS: str(marks_folder)},
    }
    return str(call("POST", "/stacks", json=stack)["id"])


@pytest.fixture
def lab(
    emulator: Any,
    zenml_server: Any,
    s3_server: Any,
    zenml_api: ZenMLApi,
    stack_id: str,
    tmp_path: Path,
    marks_folder: Path,
) -> Iterator[Lab]:
    """A stack on a reset emulator, and a folder for the user's scripts."""
    for mark in marks_folder.iterdir():
        mark.unlink()
    lab = Lab(emulator, zenml_server, s3_server, zenml_api, stack_id, tmp_path, marks_folder)
    yield lab
    lab.close()
    emulator.reset()
