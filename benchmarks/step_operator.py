"""The step operator beside ZenML's builtin one on one emulator: import cost, lag, requests."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

os.environ.setdefault("ZENML_LOGGING_VERBOSITY", "ERROR")
os.environ.setdefault("ZENML_ANALYTICS_OPT_IN", "false")

import httpx
from pydantic import SecretStr

from benchmarks._report import Report, percentile
from benchmarks.emulator import emulator
from runai_api import RunaiClient, ScopeType, SubjectType, Workload
from zenml_runai._control_plane import Connection, ControlPlane
from zenml_runai._session import Session
from zenml_runai.flavors import RunAIStepOperatorSettings
from zenml_runai.monitor import Pace, WorkloadMonitor
from zenml_runai.step_operators._watch import StepWatch
from zenml_runai.workload_spec import WorkloadKind

IMPORT_RUNS = 5
STEPS = 20
SINGLE_STEPS = 60
SHORTEST, LONGEST = 20.0, 70.0
PROJECT = "ml-team"
BASE = "from zenml.step_operators import BaseStepOperator"
OURS = (
    "import zenml_runai.step_operators, zenml_runai._session, zenml_runai.step_operators._watch\n"
    "from runai_api import RunaiClient"
)
BUILTIN = "import zenml.integrations.runai.step_operators"
MEASURE = """
import time, psutil
{base}
process = psutil.Process()
before, memory = time.perf_counter(), process.memory_info().rss
{code}
print(time.perf_counter() - before, (process.memory_info().rss - memory) / 1e6)
"""


def import_cost(code: str) -> tuple[float, float]:
    """Median seconds and MB that an import adds to the base class's."""
    times, sizes = [], []
    for _ in range(IMPORT_RUNS):
        out = subprocess.run(
            [sys.executable, "-c", MEASURE.format(base=BASE, code=code)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        times.append(float(out[-2]))
        sizes.append(float(out[-1]))
    return statistics.median(times), statistics.median(sizes)


@dataclass
class Account:
    client_id: str
    secret: str


def accounts(url: str) -> tuple[RunaiClient, Account, Account]:
    """The administrator, and one account for each of the two operators."""
    admin = RunaiClient(url, client_id="emulator-admin", client_secret="emulator-admin-secret")
    project, role = admin.projects.find(PROJECT), admin.roles.find("AI practitioner")
    made = []
    for name in ("ours", "builtin"):
        secret = admin.service_accounts.create(name)
        admin.access_rules.create(
            subject_id=secret.client_id,
            subject_type=SubjectType.SERVICE_ACCOUNT,
            role_id=role.id,
            scope_type=ScopeType.PROJECT,
            scope_id=project.id,
        )
        made.append(Account(secret.client_id, secret.client_secret.get_secret_value()))
    return admin, made[0], made[1]


def submit(admin: RunaiClient, seconds: float) -> Workload:
    """A simulated CPU-only training that runs for so long."""
    project = admin.projects.find(PROJECT)
    created = admin.trainings.create(
        {
            "name": f"w-{uuid4().hex[:12]}",
            "projectId": project.id,
            "clusterId": project.cluster_id,
            "spec": {
                "image": "example/image",
                "command": "train",
                "compute": {"gpuDevicesRequest": 0, "cpuCoreRequest": 0.1},
                "annotations": [
                    {"name": "runai-emulator/script", "value": f"Running={seconds},Completed"}
                ],
            },
        }
    )
    return admin.workloads.get(created.workload_id)


@dataclass
class Ends:
    """When the end of each workload was noticed."""

    noticed: dict[str, datetime] = field(default_factory=dict)

    def lags(self, admin: RunaiClient) -> list[float]:
        return [
            (at - admin.workloads.get(workload_id).completed_at).total_seconds()
            for workload_id, at in self.noticed.items()
        ]


def control_plane(url: str, account: Account) -> ControlPlane:
    connection = Connection(url, account.client_id, SecretStr(account.secret))
    return ControlPlane(lambda: connection, PROJECT)


def our_wait(session: Session, workload: Workload) -> None:
    """What the step operator's `wait` does for a command step."""
    step_run = SimpleNamespace(
        id=uuid4(), name=workload.name, run_metadata={}, config=SimpleNamespace(command=["train"])
    )
    watch = StepWatch(
        session=session,
        component_id=uuid4(),
        step_run=step_run,
        kind=WorkloadKind.TRAINING,
        workload_id=workload.id,
        name=workload.name,
        created_at=workload.created_at,
        settings=RunAIStepOperatorSettings(),
        delete_on_failure=False,
        delete_on_cancel=False,
    )
    watch.wait()


def builtin_operator(url: str, account: Account, interval: float) -> Any:
    from zenml.enums import StackComponentType
    from zenml.integrations.runai.flavors import RunAIStepOperatorConfig
    from zenml.integrations.runai.step_operators import RunAIStepOperator

    now = datetime.now(UTC)
    return RunAIStepOperator(
        name="builtin",
        id=uuid4(),
        config=RunAIStepOperatorConfig(
            client_id=account.client_id,
            client_secret=account.secret,
            runai_base_url=url,
            project_name=PROJECT,
            monitoring_interval=interval,
        ),
        flavor="runai",
        type=StackComponentType.STEP_OPERATOR,
        user=uuid4(),
        created=now,
        updated=now,
    )


def in_threads(actions: Sequence[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=action) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def noting(ends: Ends, workload: Workload, wait: Callable[[], object]) -> Callable[[], None]:
    def action() -> None:
        wait()
        ends.noticed[workload.id] = datetime.now(UTC)

    return action


def status_requests(url: str, client_id: str) -> int:
    answer = httpx.get(f"{url}/_emulator/requests").json()["requests"]
    return sum(
        request["client"] == client_id
        and request["method"] == "GET"
        and request["path"].startswith("/api/v1/workloads")
        for request in answer
    )


def twenty_steps(report: Report, url: str, interval: float) -> None:
    """Both operators wait for 20 workloads each, at the same time and with the same longest gap."""
    from zenml.integrations.runai.flavors import RunAIStepOperatorSettings as BuiltinSettings

    admin, mine, theirs = accounts(url)
    chance = random.Random(20)
    durations = [chance.uniform(SHORTEST, LONGEST) for _ in range(STEPS)]
    ours, builtin = Ends(), Ends()
    plane = control_plane(url, mine)
    session = Session(plane, WorkloadMonitor(plane, Pace()), Pace())
    operator = builtin_operator(url, theirs, interval)
    httpx.delete(f"{url}/_emulator/requests")
    actions = []
    for seconds in durations:
        workload, other = submit(admin, seconds), submit(admin, seconds)
        actions.append(noting(ours, workload, lambda w=workload: our_wait(session, w)))
        actions.append(
            noting(
                builtin,
                other,
                lambda w=other: operator._wait_for_completion(
                    operator.client, w.id, BuiltinSettings()
                ),
            )
        )
    in_threads(actions)
    counts = {who.client_id: status_requests(url, who.client_id) for who in (mine, theirs)}
    lag, their_lag = ours.lags(admin), builtin.lags(admin)
    report.note(
        f"{STEPS} steps: lag p50 / p95, ours",
        f"{statistics.median(lag):.2f} / {percentile(lag, 95):.2f} s",
    )
    report.note(
        f"{STEPS} steps: lag p50 / p95, builtin every {interval} s",
        f"{statistics.median(their_lag):.2f} / {percentile(their_lag, 95):.2f} s",
    )
    report.note(
        f"{STEPS} steps: status requests, ours / builtin",
        f"{counts[mine.client_id]} / {counts[theirs.client_id]}",
    )
    report.at_most(f"{STEPS} steps: lag p95", percentile(lag, 95), 3.0, " s")
    report.at_most(
        f"{STEPS} steps: requests, ours to builtin",
        counts[mine.client_id] / counts[theirs.client_id],
        0.2,
    )


class Counting(ControlPlane):
    """Counts what the monitor asks, with the time."""

    def __init__(self, url: str, account: Account) -> None:
        connection = Connection(url, account.client_id, SecretStr(account.secret))
        super().__init__(lambda: connection, PROJECT)
        self.asked: list[float] = []

    def changes(self, since: datetime) -> Sequence[Workload]:
        self.asked.append(time.monotonic())
        return super().changes(since)

    def get(self, workload_id: str) -> Workload | None:
        self.asked.append(time.monotonic())
        return super().get(workload_id)

    def reasons(self, workload: Workload) -> Sequence[str]:
        self.asked.append(time.monotonic())
        return super().reasons(workload)

    def busiest_minute(self) -> int:
        return max(sum(begin <= at < begin + 60.0 for at in self.asked) for begin in self.asked)


def single_steps(report: Report, url: str) -> None:
    """Many processes with one step each, played by one monitor each."""
    admin, mine, _ = accounts(url)
    chance = random.Random(1)
    ends, planes, actions = Ends(), [], []
    for _ in range(SINGLE_STEPS):
        plane = Counting(url, mine)
        planes.append(plane)
        session = Session(plane, WorkloadMonitor(plane, Pace()), Pace())
        workload = submit(admin, chance.uniform(SHORTEST, LONGEST))
        actions.append(noting(ends, workload, lambda s=session, w=workload: our_wait(s, w)))
    in_threads(actions)
    lag = ends.lags(admin)
    report.note(
        f"single step ({SINGLE_STEPS} times): lag p50 / max",
        f"{statistics.median(lag):.2f} / {max(lag):.2f} s",
    )
    report.at_most("single step: lag p95", percentile(lag, 95), 3.0, " s")
    report.at_most(
        "single step: requests in the busiest minute",
        max(plane.busiest_minute() for plane in planes),
        24,
    )


def main() -> int:
    report = Report("Step operator")
    flavors = import_cost("import zenml_runai.flavors")
    ours, builtin = import_cost(OURS), import_cost(BUILTIN)
    report.note("flavors: import adds", f"{flavors[0]:.2f} s, {flavors[1]:.1f} MB")
    report.note("operator with its client: import adds", f"{ours[0]:.2f} s, {ours[1]:.1f} MB")
    report.note("builtin operator: import adds", f"{builtin[0]:.2f} s, {builtin[1]:.1f} MB")
    report.at_most("import time, ours to builtin", ours[0] / builtin[0], 1 / 6)
    report.at_most("import memory, ours to builtin", ours[1] / builtin[1], 1 / 4)
    with emulator("--executor", "simulate") as running:
        twenty_steps(report, running.url, interval=Pace().longest)
    with emulator("--executor", "simulate") as running:
        single_steps(report, running.url)
    return report.show()


if __name__ == "__main__":
    sys.exit(main())
