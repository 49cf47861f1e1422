"""The emulator: start, memory, request rate, and pages out of many workloads."""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import psutil

from benchmarks._report import Report, percentile

REQUESTS = 3000
PAGES = 300
#: Requests on their way at a time.
BATCH = 50


@dataclass
class Running:
    url: str
    process: subprocess.Popen[str]
    seconds_to_ready: float

    def resident(self) -> float:
        """Resident memory in MB."""
        return psutil.Process(self.process.pid).memory_info().rss / 1e6


@contextmanager
def emulator(*arguments: str) -> Iterator[Running]:
    started = time.perf_counter()
    command = ["-m", "runai_emulator", "serve", "--port", "0", "--async-delay", "0", *arguments]
    process = subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    ready = time.perf_counter() - started
    try:
        yield Running(line.split()[-1], process, ready)
    finally:
        process.terminate()
        process.wait(15)


def client(running: Running) -> httpx.Client:
    token = httpx.post(
        f"{running.url}/api/v2/token",
        data={
            "grant_type": "client_credentials",
            "client_id": "emulator-admin",
            "client_secret": "emulator-admin-secret",
        },
    ).json()["access_token"]
    return httpx.Client(
        base_url=running.url, headers={"Authorization": f"Bearer {token}"}, timeout=60
    )


class Pipe:
    """One keep-alive connection that speaks HTTP/1.1 by hand, several requests at a time.

    The cost of a client library would hide the server's.
    """

    def __init__(self, running: Running) -> None:
        with client(running) as http:
            token = http.headers["Authorization"]
        host, port = running.url.removeprefix("http://").split(":")
        self._headers = f"HTTP/1.1\r\nHost: {host}\r\nAuthorization: {token}\r\n"
        self._connection = socket.create_connection((host, int(port)))
        self._reader = self._connection.makefile("rb")

    def __enter__(self) -> Pipe:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()
        self._connection.close()

    def get(self, target: str) -> bytes:
        return f"GET {target} {self._headers}\r\n".encode()

    def post(self, target: str, body: object) -> bytes:
        content = json.dumps(body).encode()
        head = (
            f"POST {target} {self._headers}Content-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        return head.encode() + content

    def send(self, requests: Sequence[bytes]) -> None:
        """Send them at once and read all answers, which must be successes."""
        self._connection.sendall(b"".join(requests))
        for _ in requests:
            length = 0
            status = self._reader.readline()
            assert status.split()[1].startswith(b"2"), status
            while (line := self._reader.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            self._reader.read(length)


def request_rate(running: Running) -> float:
    """Simple requests for each second of processor time."""
    server = psutil.Process(running.process.pid)
    with Pipe(running) as pipe:
        request = pipe.get("/api/v1/org-unit/projects?filterBy=name==ml-team")
        pipe.send([request])
        before = sum(server.cpu_times()[:2])
        for _ in range(REQUESTS // BATCH):
            pipe.send([request] * BATCH)
        return REQUESTS / (sum(server.cpu_times()[:2]) - before)


def fill(running: Running, count: int) -> str:
    """Submit `count` workloads that end at once; returns the project's id."""
    with client(running) as http:
        answer = http.get("/api/v1/org-unit/projects", params={"filterBy": "name==ml-team"})
        project = answer.json()["projects"][0]
    body = {
        "projectId": project["id"],
        "clusterId": project["clusterId"],
        "spec": {
            "image": "busybox:1.37",
            "command": "true",
            "compute": {"gpuDevicesRequest": 0, "cpuCoreRequest": 0.1, "cpuMemoryRequest": "32M"},
        },
    }
    with Pipe(running) as pipe:
        for start in range(0, count, BATCH):
            names = [f"w-{number}" for number in range(start, min(start + BATCH, count))]
            pipe.send(
                [pipe.post("/api/v1/workloads/trainings", {**body, "name": n}) for n in names]
            )
    return str(project["id"])


def page_times(running: Running, project_id: str) -> list[float]:
    """Milliseconds for a page of 500, each with another offset."""
    times = []
    with client(running) as http:
        for number in range(PAGES):
            parameters = {
                "limit": 500,
                "offset": (number * 137) % 500,
                "filterBy": f"projectId=={project_id}",
            }
            started = time.perf_counter()
            answer = http.get("/api/v1/workloads", params=parameters)
            times.append((time.perf_counter() - started) * 1000)
            answer.raise_for_status()
    return times


def main() -> int:
    report = Report("The emulator")
    starts = []
    for _ in range(5):
        with emulator() as running:
            starts.append(running.seconds_to_ready)
            memory = running.resident()
    report.at_most("ready after (median of 5)", statistics.median(starts), 1.0, " s")
    report.at_most("resident at start", memory, 60, " MB")
    with emulator() as running:
        rates = [request_rate(running) for _ in range(3)]
        report.at_least(
            "simple requests for each second of one core", statistics.median(rates), 1000
        )
    results = {}
    for count in (1_000, 100_000):
        with emulator("--executor", "simulate", "--script", "Completed") as running:
            started = time.perf_counter()
            project_id = fill(running, count)
            report.note(f"submitting {count:,} workloads", f"{time.perf_counter() - started:.1f} s")
            page_times(running, project_id)
            results[count] = percentile(page_times(running, project_id), 99)
            if count == 100_000:
                report.at_most("resident with 100,000 workloads", running.resident(), 500, " MB")
    report.at_most("p99 of a page of 500 out of 100,000 workloads", results[100_000], 50, " ms")
    report.at_most("the same, times that out of 1,000", results[100_000] / results[1_000], 1.3)
    return report.show()


if __name__ == "__main__":
    sys.exit(main())
