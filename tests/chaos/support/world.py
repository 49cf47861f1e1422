"""One Pulumi stack, both servers behind a proxy, and what must hold of them after a disaster."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provision.zenml_rest import ZenMLClient
from runai_api import RunaiClient
from tests.chaos.support import inventory, killing
from tests.chaos.support.homes import BucketHome, FolderHome, Home
from tests.chaos.support.inventory import Difference, Inventory
from tests.chaos.support.proxy import Exchange, Hold, Proxy, When
from tests.engine.harness import ROOT, TIME_LIMIT, Engine, Outcome

STACK = "chaos"
PROJECT = "ml-team"
CANARIES = {
    "registryPassword": "registry-canary-8a11",
    "artifactStoreCredentials": {"key": "AKIA-canary-41c8", "secret": "s3-secret-canary-95d2"},
}
#: Every kind of object that the component can make.
EVERYTHING: dict[str, Any] = {
    "runaiProject": PROJECT,
    "role": "custom",
    "features": ["delete_on_failure"],
    "registryUrl": "https://registry.example.com",
    "registryUser": "robot",
    "artifactStoreDefinition": {"flavor": "s3", "configuration": {"path": "s3://zenml"}},
    "containerRegistryDefinition": {
        "flavor": "default",
        "configuration": {"uri": "registry.example.com/ml"},
    },
    **CANARIES,
}
UP = ("up", "--yes", "--skip-preview", "--suppress-progress")
DESTROY = ("destroy", "--yes", "--skip-preview", "--suppress-progress")


@dataclass
class Verdict:
    """How one case ended; empty `problems` is what every case must come to."""

    converged: bool
    difference: Difference
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return self.converged and not self.difference and not self.problems


class World:
    def __init__(
        self, engine: Engine, proxy: Proxy, emulator: Any, runai: RunaiClient, zenml: ZenMLClient,
        zenml_key: str, home: Home,
    ) -> None:  # fmt: skip
        self.engine = engine
        self.home = home
        self.proxy = proxy
        self.emulator = emulator
        self.runai = runai
        self.zenml = zenml
        self.zenml_key = zenml_key
        self._others = inventory.ids_in_zenml(zenml)
        self._wanted: dict[str, Inventory] = {}
        #: What tests found out about this world and need not ask again.
        self.memory: dict[str, Any] = {}
        self._settings = engine.folder / "stacks" / f"Pulumi.{engine.stack}.yaml"
        self._first_settings = self._settings.read_text()
        home.keep()

    # -- the two servers --------------------------------------------------------------------------

    def fresh(self) -> None:
        """Both servers and the state as before the first `up`."""
        self.proxy.forget()
        self.emulator.reset()
        inventory.wipe_zenml(self.zenml, self._others)
        self.home.restore()
        self._settings.write_text(self._first_settings)

    def inventory(self) -> Inventory:
        return inventory.take(self.runai, self.zenml, self._others)

    def provision(self, **settings: Any) -> Inventory:
        """A plain `up` from nothing; what the servers hold then."""
        self.fresh()
        self.engine.configure(**settings)
        self.engine.run(*UP).succeeded()
        return self.inventory()

    def wanted(self, **settings: Any) -> Inventory:
        """What the servers hold after a plain `up` with these settings. Asked anew, it is known
        without a run; the first time it leaves the world provisioned with them."""
        key = json.dumps(settings, sort_keys=True)
        if key not in self._wanted:
            self._wanted[key] = self.provision(**settings)
        return self._wanted[key]

    def empty(self) -> Inventory:
        """What the servers hold before anything is provisioned."""
        if "empty" not in self.memory:
            self.fresh()
            self.memory["empty"] = self.inventory()
        found: Inventory = self.memory["empty"]
        return found

    def secret_name(self) -> str:
        return str(self.engine.resources()["runai-credentials"]["outputs"]["name"])

    # -- commands ---------------------------------------------------------------------------------

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command of the engine, without waiting for it."""
        log = (self.engine.folder / "started.log").open("w")
        return subprocess.Popen(
            ["pulumi", *command, "--non-interactive"], cwd=self.engine.folder,
            env=self.engine.environment, stdout=log, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip

    def killed_at(
        self, wanted: int | Callable[[Exchange], bool], when: When, *command: str
    ) -> str | None:
        """Run the command; kill it before or after a request, chosen as `Proxy.hold` does.

        Returns the request, or None if the command ended without sending so many.
        """
        self.proxy.forget()
        hold = self.proxy.hold(wanted, when)
        process = self.start(*command)
        if not wait_for(hold, process):
            self.proxy.lift()
            output = (self.engine.folder / "started.log").read_text()
            assert process.returncode == 0, f"{' '.join(command)} failed by itself:\n{output}"
            return None
        killing.kill_all(process)
        self.proxy.lift(drop=True)
        self.proxy.wait_quiet()
        return str(hold.held)

    def recover(self, *command: str) -> Outcome:
        """What a user does after a crash: break the stale lock, and run the command again."""
        self.engine.run("cancel", "--yes").succeeded()
        return self.engine.run(*command)

    # -- what must hold ---------------------------------------------------------------------------

    def verdict(self, outcome: Outcome, wanted: Inventory, *, provisioned: bool = True) -> Verdict:
        """The command succeeded, nothing is left to do, and the servers hold what they should."""
        problems = []
        if outcome.code:
            problems.append(f"{outcome.command} failed: {outcome.output[-2000:]}")
        converged = outcome.code == 0
        if provisioned:
            preview = self.engine.preview("--expect-no-changes", "--refresh")
            if preview.code:
                converged = False
                problems.append(f"the next preview is not empty: {preview.output[-2000:]}")
            wrong = inventory.credential_works(
                self.zenml, self.emulator.base_url, self.secret_name(), PROJECT
            )
            if wrong:
                problems.append(wrong)
        doomed = [r["urn"] for r in self.engine.export().get("resources", []) if r.get("delete")]
        if doomed:
            problems.append(f"still to be deleted, by the state: {doomed}")
        return Verdict(converged, self.inventory().compared_with(wanted), problems)


def wait_for(hold: Hold, process: subprocess.Popen[str]) -> bool:
    """Whether the held request came before the process ended."""
    deadline = time.monotonic() + TIME_LIMIT
    while not hold.reached.wait(0.01):
        if process.poll() is not None:
            return hold.reached.is_set()
        assert time.monotonic() < deadline, "the command hangs"
    return True


@contextmanager
def new_world(
    folder: Path, binaries: Path, emulator: Any, zenml_server: Any,
    runai: RunaiClient, zenml: ZenMLClient, *, stack: str = STACK,
    fronted: Collection[str] = ("runai", "zenml"), s3: Any = None, **settings: Any,
) -> Iterator[World]:  # fmt: skip
    """`fronted` tells which servers are reached through the proxy; with `s3` the state is kept in
    a bucket of that server."""
    with Proxy() as proxy:

        def front(name: str, url: str) -> str:
            return proxy.front(name, url) if name in fronted else url

        home: Home
        if s3 is None:
            home = FolderHome(folder / "state")
        else:
            home = BucketHome(s3, folder.name, front("s3", s3.url))
        engine = Engine(folder, binaries, stack, backend=home.url, environment=home.environment)
        # Hundreds of runs: compile the modules once, not each time.
        engine.environment["PYTHONPYCACHEPREFIX"] = str(ROOT / "build" / "pycache")
        engine.environment["PYTHONDONTWRITEBYTECODE"] = ""
        engine.configure(
            runaiBaseUrl=front("runai", emulator.base_url),
            zenmlUrl=front("zenml", zenml_server.url),
            runaiClientId=emulator.admin_id,
            runaiClientSecret=emulator.admin_secret,
            zenmlApiKey=zenml_server.api_key,
            **{**EVERYTHING, **settings},
        )
        yield World(engine, proxy, emulator, runai, zenml, zenml_server.api_key, home)
