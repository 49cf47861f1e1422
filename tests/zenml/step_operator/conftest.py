"""A real ZenML server and S3 server, an emulator that runs workloads as processes, and a stack."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from runai_api import RunaiClient, ScopeType, SubjectType
from tools import services

OPERATOR = "runai-steps"
SECRET = "runai-steps"
PROJECT = "ml-team"
CODE = Path(__file__).parent / "code"


class Emulator:
    """An emulator that runs workloads as processes, and its admin routes."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._http = httpx.Client(base_url=f"{base_url}/_emulator", timeout=30, trust_env=False)

    def _admin(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        answer = self._http.request(method, path, **arguments)
        answer.raise_for_status()
        return answer

    def requests(self) -> list[dict[str, Any]]:
        """The control-plane requests since the beginning of the test."""
        return list(self._admin("GET", "/requests").json()["requests"])

    def forget_requests(self) -> None:
        self._admin("DELETE", "/requests")

    def add_fault(self, **rule: Any) -> None:
        self._admin("POST", "/faults", json=rule)

    def fault_hits(self, kind: str) -> int:
        """How often the rules of a kind have fired."""
        faults = self._admin("GET", "/faults").json()["faults"]
        return sum(fault["hits"] for fault in faults if fault["kind"] == kind)

    def clear_faults(self) -> None:
        self._admin("DELETE", "/faults")

    def advance_clock(self, seconds: float) -> None:
        self._admin("POST", "/clock", json={"advance": seconds})

    def provoke(self, workload_id: str, what: str) -> None:
        """Make an accident happen: preempt, oom, fail, node-failure, ..."""
        self._admin("POST", f"/workloads/{workload_id}/provoke", json={"what": what})

    def workload_log(self, workload_id: str) -> str:
        return self._admin("GET", f"/workloads/{workload_id}/logs").text


@pytest.fixture(scope="session")
def steps_emulator(services_folder: Path) -> Iterator[Emulator]:
    """An emulator of its own: these tests keep its state, others reset theirs.

    Its tokens expire all the time, so that every test lives through it.
    """
    folder = services_folder / "emulator-steps"
    service = services.start_emulator(
        folder,
        services.free_port(),
        *("--async-delay", "0", "--executor", "process", "--token-lifetime", "5"),
    )
    try:
        yield Emulator(service.url)
    finally:
        service.stop()


@dataclasses.dataclass
class Account:
    """The service account of the stack, as a provisioning would make it."""

    id: str
    client_id: str
    client_secret: str


@pytest.fixture(scope="session")
def administrator(steps_emulator: Emulator) -> Iterator[RunaiClient]:
    with RunaiClient(
        steps_emulator.base_url,
        client_id=services.EMULATOR_ADMIN_ID,
        client_secret=services.EMULATOR_ADMIN_SECRET,
    ) as client:
        yield client


def grant(administrator: RunaiClient, client_id: str, role: str) -> None:
    """Give an account a predefined role in the project."""
    project = administrator.projects.find(PROJECT)
    wanted = administrator.roles.find(role)
    assert project is not None
    assert wanted is not None
    rule = administrator.access_rules.create(
        subject_id=client_id,
        subject_type=SubjectType.SERVICE_ACCOUNT,
        role_id=wanted.id,
        scope_type=ScopeType.PROJECT,
        scope_id=project.id,
    )
    administrator.access_rules.wait_ready(rule.id, timeout=10)


def make_account(administrator: RunaiClient, name: str, *roles: str) -> Account:
    made = administrator.service_accounts.create(name)
    for role in roles:
        grant(administrator, made.client_id, role)
    return Account(made.id, made.client_id, made.client_secret.get_secret_value())


@pytest.fixture(scope="session")
def account(administrator: RunaiClient) -> Account:
    return make_account(administrator, "zenml-step-operator", "AI practitioner")


@pytest.fixture(scope="session")
def weak_account(administrator: RunaiClient) -> Account:
    """May look at the project, but not submit."""
    return make_account(administrator, "zenml-viewer", "Viewer")


@pytest.fixture(scope="session")
def strong_account(administrator: RunaiClient) -> Account:
    """May keep credentials in the project besides."""
    return make_account(
        administrator, "zenml-credentials", "AI practitioner", "Credentials administrator"
    )


def reset_zenml() -> None:
    """Forget what ZenML keeps in the process about its server."""
    from zenml.client import Client
    from zenml.config.global_config import GlobalConfiguration
    from zenml.login.credentials_store import CredentialsStore

    GlobalConfiguration._reset_instance()
    Client._reset_instance()
    CredentialsStore.reset_instance()


@pytest.fixture(scope="session")
def zenml_session(zenml_server: Any, services_folder: Path) -> Iterator[Any]:
    """ZenML's client in this process, connected to the server."""
    variables = {
        "ZENML_CONFIG_PATH": str(services_folder / "zenml-client-steps"),
        "ZENML_STORE_URL": zenml_server.url,
        "ZENML_STORE_API_KEY": zenml_server.api_key,
        "DISABLE_CREDENTIALS_DISK_CACHING": "true",
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_DYNAMIC_PIPELINE_MONITORING_INTERVAL": "1",
        "ZENML_ENABLE_REPO_INIT_WARNINGS": "false",
    }
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    reset_zenml()
    from zenml.client import Client
    from zenml.utils import source_utils

    sys.path.insert(0, str(CODE))
    source_utils.set_custom_source_root(str(CODE))
    yield Client()
    source_utils.set_custom_source_root(None)
    sys.path.remove(str(CODE))
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    reset_zenml()


@pytest.fixture(scope="session")
def stack(zenml_session: Any, steps_emulator: Any, account: Account, s3_server: Any) -> Any:
    """The active stack: local orchestrator, S3 artifact store and our step operator."""
    from zenml.enums import StackComponentType
    from zenml.exceptions import EntityExistsError

    client = zenml_session
    with contextlib.suppress(EntityExistsError):
        client.create_flavor(
            "zenml_runai.flavors.RunAIStepOperatorFlavor", StackComponentType.STEP_OPERATOR
        )
    client.create_secret(
        SECRET, {"client_id": account.client_id, "client_secret": account.client_secret}
    )
    client.create_secret("steps-s3", {"key": s3_server.access_key, "secret": s3_server.secret_key})
    store = client.create_stack_component(
        name="steps-s3",
        flavor="s3",
        component_type=StackComponentType.ARTIFACT_STORE,
        configuration={
            "path": f"s3://{s3_server.bucket}/steps",
            "key": "{{steps-s3.key}}",
            "secret": "{{steps-s3.secret}}",
            "client_kwargs": {"endpoint_url": s3_server.url, "region_name": "us-east-1"},
        },
    )
    registry = client.create_stack_component(
        name="steps-registry",
        flavor="default",
        component_type=StackComponentType.CONTAINER_REGISTRY,
        configuration={"uri": "registry.example.com/ml"},
    )
    builder = client.create_stack_component(
        name="steps-builder",
        flavor="local",
        component_type=StackComponentType.IMAGE_BUILDER,
        configuration={},
    )
    operator = client.create_stack_component(
        name=OPERATOR,
        flavor="nvidia_runai",
        component_type=StackComponentType.STEP_OPERATOR,
        configuration={
            "client_id": f"{{{{{SECRET}.client_id}}}}",
            "client_secret": f"{{{{{SECRET}.client_secret}}}}",
            "runai_base_url": steps_emulator.base_url,
            "project_name": PROJECT,
            "shortest_status_interval": 0.2,
            "longest_status_interval": 0.5,
            "status_requests_per_minute": 600,
            "monitoring_interval": 5,
        },
        environment={"ZENML_RUNAI_APP_DIR": "app"},
    )
    orchestrator = next(
        iter(client.list_stack_components(type="orchestrator", flavor="local").items)
    )
    made = client.create_stack(
        name="steps",
        components={
            StackComponentType.ORCHESTRATOR: orchestrator.id,
            StackComponentType.ARTIFACT_STORE: store.id,
            StackComponentType.CONTAINER_REGISTRY: registry.id,
            StackComponentType.IMAGE_BUILDER: builder.id,
            StackComponentType.STEP_OPERATOR: operator.id,
        },
    )
    client.activate_stack(made.id)
    return made


@pytest.fixture
def code(stack: Any, steps_emulator: Any) -> Iterator[ModuleType]:
    """The module with the pipelines; requests and faults of the emulator start afresh."""
    import runai_steps

    steps_emulator.clear_faults()
    steps_emulator.forget_requests()
    yield runai_steps
    steps_emulator.clear_faults()


@pytest.fixture
def configure(stack: Any, zenml_session: Any) -> Iterator[Callable[..., None]]:
    """Change the step operator's configuration for one test."""
    from zenml.enums import StackComponentType
    from zenml.stack.stack import _STACK_CACHE

    component = zenml_session.get_stack_component(StackComponentType.STEP_OPERATOR, OPERATOR)
    changed: dict[str, Any] = {}

    def update(configuration: dict[str, Any]) -> None:
        zenml_session.update_stack_component(
            OPERATOR, StackComponentType.STEP_OPERATOR, configuration=configuration
        )
        # ZenML keeps the stack's components for the life of a process.
        _STACK_CACHE.clear()

    def change(**configuration: Any) -> None:
        changed.update(configuration)
        update(configuration)

    yield change
    if changed:
        update({name: component.configuration.get(name) for name in changed})


class Meanwhile:
    """Does something in a thread while the test runs a pipeline."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def __call__(self, action: Callable[[], None]) -> None:
        def run() -> None:
            try:
                action()
            except BaseException as error:
                self._error = error

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """The action is done; its error, if any, is raised."""
        assert self._thread is not None
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error


@pytest.fixture
def meanwhile() -> Iterator[Meanwhile]:
    doing = Meanwhile()
    yield doing
    doing.finish()
