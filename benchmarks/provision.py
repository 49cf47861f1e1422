"""``pulumi up`` from nothing, and an unchanged preview: requests and time.

The peer of the wall time is the same program and component with providers that do nothing, in turn
with ours, so that what is left over is what our requests and imports cost. The emulator's
asynchronous states are immediate. The ZenML server is a real one; its requests are counted in its
own access log.
"""

from __future__ import annotations

import os
import secrets
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks._noop import PROGRAM
from benchmarks._report import Report, median_ratio
from tests.engine.harness import Engine
from tools import pulumi_engine, services

ROUNDS = 5


class Counts:
    """Requests that the two servers have seen since the last look."""

    def __init__(self, emulator: services.Service, zenml: services.Service) -> None:
        self._emulator = emulator
        self._zenml = zenml
        self._seen = self._zenml_lines()

    def _zenml_lines(self) -> list[str]:
        return [line for line in self._zenml.log.read_text().splitlines() if "HTTP/1.1" in line]

    def take(self) -> tuple[list[str], list[str]]:
        kept = httpx.get(f"{self._emulator.url}/_emulator/requests").json()["requests"]
        httpx.delete(f"{self._emulator.url}/_emulator/requests")
        lines = self._zenml_lines()
        new, self._seen = lines[len(self._seen) :], lines
        return [f"{r['method']} {r['path']}" for r in kept], new


def settings(emulator: services.Service, zenml: services.Service, key: str) -> dict[str, Any]:
    """A full stack: custom role, registry credential, all components new."""
    return {
        "runaiBaseUrl": emulator.url,
        "runaiClientId": services.EMULATOR_ADMIN_ID,
        "runaiClientSecret": services.EMULATOR_ADMIN_SECRET,
        "runaiProject": "ml-team",
        "role": "custom",
        "features": ["node_pools"],
        "registryUrl": "https://registry.example.com",
        "registryUser": "robot",
        "registryPassword": "robot-password",
        "zenmlUrl": zenml.url,
        "zenmlApiKey": key,
        "artifactStoreDefinition": {"flavor": "s3", "configuration": {"path": "s3://zenml"}},
        "artifactStoreCredentials": {"key": "a", "secret": "b"},
        "containerRegistryDefinition": {
            "flavor": "default",
            "configuration": {"uri": "registry.example.com/ml"},
        },
    }


def timed(engine: Engine) -> float:
    started = time.perf_counter()
    engine.up().succeeded()
    return time.perf_counter() - started


def login_time(zenml: services.Service, key: str) -> float:
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        httpx.post(f"{zenml.url}/api/v1/login", data={"password": key}, timeout=60)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> int:
    for name in list(os.environ):
        if name.startswith(("RUNAI_", "ZENML_", "PULUMI_")):
            del os.environ[name]
    # As an installed tool has it: modules are compiled once.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPATH"] = str(pulumi_engine.ROOT)
    binaries = pulumi_engine.ensure()
    report = Report("Provisioning: the whole stack with a custom role and a registry credential")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        password = secrets.token_urlsafe(12)
        emulator = services.start_emulator(folder, services.free_port(), "--async-delay", "0")
        zenml = services.start_zenml(folder, services.free_port(), password, access_log=True)
        try:
            key = services.make_api_key(zenml.url, password, "bench")
            counts = Counts(emulator, zenml)
            ours, peers = [], []
            for number in range(ROUNDS):
                values = settings(emulator, zenml, key)
                real = Engine(folder / f"real{number}", binaries, "bench")
                peer = Engine(folder / f"peer{number}", binaries, "bench", PROGRAM)
                real.configure(**values)
                peer.configure(**values)
                counts.take()
                ours.append(timed(real))
                runai, zenml_lines = counts.take()
                peers.append(timed(peer))
                assert counts.take() == ([], []), "the peer must ask nobody"
                if number == 0:
                    report.at_most("control-plane requests of `up`", len(runai), 20)
                    report.at_most("ZenML requests of `up`", len(zenml_lines), 25)
                    real.preview("--expect-no-changes").succeeded()
                    again, zenml_again = counts.take()
                    writes = [
                        line for line in again if not line.startswith(("GET", "POST /api/v2/token"))
                    ]
                    report.at_most(
                        "requests of an unchanged preview", len(again) + len(zenml_again), 3
                    )
                    report.at_most("writes of an unchanged preview", len(writes), 0)
                real.destroy().succeeded()
            report.note("`up`, median", f"{statistics.median(ours):.2f} s")
            report.note("`up` with no-op providers, median", f"{statistics.median(peers):.2f} s")
            report.at_most("`up`, times no-op providers", median_ratio(ours, peers), 1.3)
            # The server checks an API key with bcrypt; `up` logs in to preview, and to update.
            report.note(
                "one login at the ZenML server alone, median", f"{login_time(zenml, key):.2f} s"
            )
        finally:
            zenml.stop()
            emulator.stop()
    return report.show()


if __name__ == "__main__":
    sys.exit(main())
