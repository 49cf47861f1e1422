"""Workloads as real local processes, in a server of its own."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from runai_emulator.cluster.engine import ClusterSettings
from runai_emulator.testing import run_in_thread

WORKLOADS = "/api/v1/workloads"
PATIENCE = 20.0


class Lab:
    """A server whose workloads run, and an administrator's client."""

    def __init__(self, emulator) -> None:
        self.emulator = emulator
        self.client = httpx.Client(base_url=emulator.base_url, timeout=30, trust_env=False)
        form = {
            "grant_type": "client_credentials",
            "client_id": emulator.admin_id,
            "client_secret": emulator.admin_secret,
        }
        token = self.client.post("/api/v2/token", data=form).json()["access_token"]
        self.client.headers["Authorization"] = f"Bearer {token}"
        self.cluster_id = self.client.get("/api/v1/clusters").json()[0]["uuid"]

    def submit(self, command: str, kind: str = "trainings", **fields) -> str:
        spec = {"image": "any:1", "command": command} | fields.pop("spec", {})
        body = {
            "name": "w",
            "useGivenNameAsPrefix": True,
            "projectId": "1001",
            "clusterId": self.cluster_id,
            "spec": spec,
        } | fields
        answer = self.client.post(f"{WORKLOADS}/{kind}", json=body)
        assert answer.status_code == 202, answer.text
        return answer.json()["workloadId"]

    def python(self, code: str, **fields) -> str:
        return self.submit(f"python -c {shlex.quote(code)}", **fields)

    def get(self, key: str) -> dict:
        return self.client.get(f"{WORKLOADS}/{key}").json()

    def until(self, key: str, *phases: str) -> dict:
        return self.poll(lambda: (one := self.get(key))["phase"] in phases and one, key)

    def poll(self, ask, key: str = ""):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = ask()
            if found:
                return found
            time.sleep(0.01)
        raise AssertionError(f"never happened: {self.get(key) if key else ''}")

    def log(self, key: str, pod: str | None = None) -> str:
        query = "" if pod is None else f"?pod={pod}"
        return self.client.get(f"/_emulator/workloads/{key}/logs{query}").text

    def reasons(self, key: str) -> list[str]:
        events = self.client.get(f"{WORKLOADS}/{key}/events?limit=500").json()["events"]
        return [event["reason"] for event in events]


@pytest.fixture(scope="module")
def lab():
    os.environ["LAB_ALLOWED"] = "let through"
    os.environ["LAB_SECRET"] = "canary-of-the-emulator"
    try:
        settings = ClusterSettings("process", allow_env=("LAB_ALLOWED",))
        with run_in_thread(async_delay=0, cluster=settings) as emulator:
            yield Lab(emulator)
    finally:
        del os.environ["LAB_ALLOWED"], os.environ["LAB_SECRET"]


def test_command_args_and_environment_reach_the_process(lab):
    key = lab.submit(
        "python -c",
        spec={
            "args": "'import os, sys; print(sys.argv[1:], os.environ[\"GIVEN\"])' one 'two words'",
            "environmentVariables": [{"name": "GIVEN", "value": "as it is, with $HOME"}],
        },
    )
    assert lab.until(key, "Completed", "Failed")["phase"] == "Completed"
    assert lab.log(key) == "['one', 'two words'] as it is, with $HOME\n"


def test_a_process_gets_a_home_of_its_own_and_nothing_of_the_emulator(lab):
    key = lab.python("import json, os; print(json.dumps([dict(os.environ), os.getcwd()]))")
    lab.until(key, "Completed")
    text = lab.log(key)
    assert "canary-of-the-emulator" not in text
    environment, folder = json.loads(text)
    assert environment["LAB_ALLOWED"] == "let through"
    assert environment["HOME"] != os.environ.get("HOME")
    assert Path(folder).parent == Path(environment["HOME"])
    assert key in environment["HOME"]
    assert set(environment) <= {
        "PATH",
        "HOME",
        "TMPDIR",
        "HOSTNAME",
        "PYTHONUNBUFFERED",
        "LANG",
        "LC_ALL",
        "TZ",
        "LAB_ALLOWED",
        "LC_CTYPE",
    }


def test_python_is_the_emulators_own(lab):
    key = lab.python("import sys; print(sys.prefix)")
    lab.until(key, "Completed")
    assert lab.log(key).strip() == sys.prefix


def test_secrets_come_from_credentials(lab):
    name = f"cred-{os.urandom(4).hex()}"
    lab.client.post(
        "/api/v1/asset/credentials/generic-secret",
        json={
            "meta": {"name": name, "scope": "project", "projectId": 1001},
            "spec": {"keyValuePairs": [{"key": "TOKEN", "value": "from the credential"}]},
        },
    )
    reference = {"name": "X", "secret": {"name": f"genericsecret-{name}", "key": "TOKEN"}}
    fields = {
        "environmentVariables": [
            reference,
            {"name": "P", "podFieldRef": {"path": "metadata.namespace"}},
        ]
    }
    key = lab.submit("sh -c 'echo $X in $P'", spec=fields)
    lab.until(key, "Completed")
    assert lab.log(key) == "from the credential in runai-ml-team\n"
    assert "from the credential" not in str(lab.get(key))


def test_a_missing_secret_keeps_the_pod_waiting_until_it_appears(lab):
    name = f"late-{os.urandom(4).hex()}"
    reference = {"name": "X", "secret": {"name": f"genericsecret-{name}", "key": "K"}}
    key = lab.submit("sh -c 'echo $X'", spec={"environmentVariables": [reference]})
    waiting = lab.poll(lambda: (one := lab.get(key))["phaseMessage"] and one)
    assert waiting["phase"] == "Initializing"
    assert "CreateContainerConfigError" in waiting["phaseMessage"]
    lab.client.post(
        "/api/v1/asset/credentials/generic-secret",
        json={
            "meta": {"name": name, "scope": "project", "projectId": 1001},
            "spec": {"keyValuePairs": [{"key": "K", "value": "here"}]},
        },
    )
    lab.until(key, "Completed")
    assert lab.log(key) == "here\n"


def test_failures_are_repeated_up_to_the_limit_and_logs_are_kept(lab):
    key = lab.submit("sh -c 'echo try; exit 3'", spec={"backoffLimit": 2})
    failed = lab.until(key, "Failed")
    assert lab.log(key) == "try\n" * 3
    assert failed["phaseMessage"] == "BackoffLimitExceeded: exit code 3"
    (pod,) = lab.client.get(f"{WORKLOADS}/{key}/pods").json()["pods"]
    assert pod["containers"][0]["exitCode"] == 3
    assert pod["containers"][0]["restartCount"] == 2


def test_a_second_try_may_succeed(lab):
    key = lab.submit("sh -c 'test -e marker || { touch marker; exit 1; }'")
    assert lab.until(key, "Completed", "Failed")["phase"] == "Completed"


@pytest.mark.parametrize("command", ["no-such-program", "sh -c 'unbalanced"])
def test_commands_that_cannot_start(lab, command):
    key = lab.submit(command, spec={"backoffLimit": 0})
    assert "StartError" in lab.until(key, "Failed")["phaseMessage"]


def test_suspend_is_polite_and_then_firm(lab):
    polite = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('bye'), sys.exit(0)))\n"
        "print('up'); time.sleep(600)"
    )
    key = lab.python(polite)
    lab.poll(lambda: "up" in lab.log(key))
    lab.client.post(f"{WORKLOADS}/trainings/{key}/suspend")
    lab.until(key, "Stopped")
    assert lab.log(key).endswith("bye\n")
    stubborn = (
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('up'); time.sleep(600)"
    )
    key = lab.python(stubborn, spec={"terminationGracePeriodSeconds": 1})
    lab.poll(lambda: "up" in lab.log(key))
    lab.client.post(f"{WORKLOADS}/trainings/{key}/suspend")
    assert lab.get(key)["phase"] == "Stopping"
    lab.until(key, "Stopped")
    lab.client.post(f"{WORKLOADS}/trainings/{key}/resume")
    lab.poll(lambda: lab.log(key).count("up") == 2, key)
    lab.client.delete(f"{WORKLOADS}/trainings/{key}")


def test_what_a_command_leaves_behind_dies_with_it(lab):
    key = lab.submit("sh -c 'sleep 617 & echo $!'")
    lab.until(key, "Completed")
    child = int(lab.log(key))
    lab.poll(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie")


def test_out_of_memory_on_demand(lab):
    key = lab.submit("sleep 600", spec={"backoffLimit": 0})
    lab.until(key, "Running")
    lab.client.post(f"/_emulator/workloads/{key}/provoke", json={"what": "oom"})
    assert lab.until(key, "Failed")["phaseMessage"] == "BackoffLimitExceeded: OOMKilled"
    (pod,) = lab.client.get(f"{WORKLOADS}/{key}/pods").json()["pods"]
    assert pod["containers"][0]["exitCode"] == 137
    assert "OOMKilled" in lab.reasons(key)


def test_a_preempted_process_is_ended_and_runs_again(lab):
    key = lab.submit("sh -c 'echo up; sleep 600'")
    lab.poll(lambda: lab.log(key) == "up\n")
    lab.client.post(f"/_emulator/workloads/{key}/provoke", json={"what": "preempt"})
    lab.poll(lambda: lab.log(key).count("up") == 2, key)
    assert lab.until(key, "Running")
    assert "Preempted" in lab.reasons(key)
    lab.client.delete(f"{WORKLOADS}/trainings/{key}")


def test_completions_and_parallelism(lab):
    key = lab.submit("echo run", spec={"completions": 5, "parallelism": 2})
    lab.until(key, "Completed")
    assert lab.log(key) == "run\n" * 5
    assert len(lab.client.get(f"{WORKLOADS}/{key}/pods").json()["pods"]) == 5


def test_ranks_of_a_distributed_workload_find_their_master(lab):
    code = (
        "import os, socket\n"
        "rank, world = int(os.environ['RANK']), int(os.environ['WORLD_SIZE'])\n"
        "address = (os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT']))\n"
        "if rank == 0:\n"
        "    with socket.create_server(address) as server:\n"
        "        got = sorted(server.accept()[0].recv(9).decode() for _ in range(world - 1))\n"
        "    print('master', got)\n"
        "else:\n"
        "    import time\n"
        "    while True:\n"
        "        try:\n"
        "            socket.create_connection(address).send(str(rank).encode()); break\n"
        "        except OSError:\n"
        "            time.sleep(0.02)\n"
    )
    key = lab.python(
        code, kind="distributed", spec={"numWorkers": 3, "distributedFramework": "PyTorch"}
    )
    lab.until(key, "Completed")
    assert "master ['1', '2', '3']" in lab.log(key)


def test_an_inference_is_running_when_its_port_answers(lab):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = (
        "import http.server, os, pathlib, time\n"
        "while not pathlib.Path('go').exists(): time.sleep(0.02)\n"
        "http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])),"
        " http.server.SimpleHTTPRequestHandler).serve_forever()"
    )
    key = lab.python(code, kind="inferences", spec={"servingPort": {"container": port}})
    lab.poll(lambda: "Started" in lab.reasons(key))
    assert lab.get(key)["phase"] == "Initializing"
    executor = lab.emulator.app.emulator.cluster.processes
    (home,) = (executor._executor.folder(key)).iterdir()
    (home / "work" / "go").touch()
    running = lab.until(key, "Running")
    assert httpx.get(running["urls"][0], trust_env=False).status_code == 200
    lab.client.delete(f"{WORKLOADS}/inferences/{key}")
    lab.poll(lambda: lab.client.get(f"{WORKLOADS}/{key}").status_code == 404)


def test_nothing_outlives_the_emulator():
    with run_in_thread(async_delay=0, cluster=ClusterSettings("process")) as emulator:
        lab = Lab(emulator)
        key = lab.submit("sh -c 'echo $$; sleep 618'")
        child = int(lab.poll(lambda: lab.log(key).strip()))
        assert psutil.pid_exists(child)
        root = emulator.app.emulator.cluster.processes._executor.root
    assert not psutil.pid_exists(child)
    assert not root.exists()


def test_even_a_killed_emulator_leaves_no_process(tmp_path):
    server = subprocess.Popen(
        [sys.executable, "-m", "runai_emulator", "serve", "--port", "0", "--async-delay", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        base_url = server.stdout.readline().split()[-1]

        class Emulator:
            admin_id, admin_secret = "emulator-admin", "emulator-admin-secret"

        Emulator.base_url = base_url
        lab = Lab(Emulator)
        key = lab.submit("sh -c 'echo $$ $HOME; sleep 619'")
        written = lab.poll(lambda: lab.log(key).strip())
        child, home = int(written.split()[0]), Path(written.split()[1])
        server.send_signal(signal.SIGKILL)
        server.wait()
        deadline = time.monotonic() + PATIENCE
        while (psutil.pid_exists(child) or home.exists()) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not psutil.pid_exists(child)
        assert not home.exists()
    finally:
        server.kill()
        server.wait()
