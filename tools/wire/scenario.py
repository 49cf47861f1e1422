"""Scenarios: plain functions that use a control plane and check what it answers.

Each runs twice: against an emulator or a tenant while its cassette is recorded, and against the
cassette in the tests. So a scenario takes names from its `World`, never from a clock or a random
source, and waits through `World.until`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, TypeVar

import httpx
from pydantic import SecretStr

from runai_api import NotFound, RunaiClient, RunaiError
from runai_api._http import Deadline

T = TypeVar("T")
#: As what servers go into cassettes, whatever their real address.
RUNAI_URL, ZENML_URL = "https://runai.example.com", "https://zenml.example.com"
CURRENT, LEGACY = "2.24", "2.23"
#: How long a scenario waits for a real control plane.
PATIENCE_SECONDS = 180.0
EMULATOR_POLL_SECONDS, TENANT_POLL_SECONDS = 0.2, 5.0


@dataclass
class World:
    """Where a scenario runs.

    `run` begins every name that a scenario gives, so that leftovers can be told and swept.
    `prepared` carries what `Scenario.prepare` made outside of the recording.
    """

    base_url: str
    client_id: str
    client_secret: str
    run: str
    project: str
    version: str
    emulator: bool = True
    """Whether an emulator answers (or answered): it has admin routes and known content."""
    replaying: bool = False
    transport: Any = None
    """What carries the requests, where it is not the network."""
    prepared: dict[str, str] = field(default_factory=dict)
    zenml_url: str = ZENML_URL
    secrets: dict[str, SecretStr] = field(default_factory=dict, repr=False)
    """What recording needs and a cassette never holds."""
    _undo: list[Callable[[RunaiClient], object]] = field(default_factory=list)

    def name(self, what: str) -> str:
        return f"{self.run}-{what}"

    def connect(self, client_id: str | None = None, client_secret: Any = None) -> RunaiClient:
        """A client; without arguments that of whoever records."""
        client = RunaiClient(
            self.base_url,
            client_id=client_id or self.client_id,
            client_secret=client_secret or self.client_secret,
            transport=self.transport,
        )
        client._session._client.headers["Accept-Encoding"] = "identity"
        if self.replaying:
            client._session.sleep = lambda seconds: None
        return client

    @property
    def project_id(self) -> str:
        return self.prepared["project_id"]

    def raw(self, method: str, path: str, body: Any = None) -> Any:
        """One request that the client has no operation for; never part of a recording."""
        with self.connect() as client:
            token = client._tokens.current(Deadline(PATIENCE_SECONDS))
        answer = httpx.request(
            method,
            self.base_url + path,
            json=body,
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def keep(self, what: str, client_id: str, secret: SecretStr) -> None:
        """Remember an account that was prepared; a replay knows its id only."""
        self.prepared[f"{what}_client_id"] = client_id
        self.secrets[what] = secret

    def kept(self, what: str) -> tuple[str, str]:
        """Client id and secret of such an account."""
        secret = self.secrets.get(what, SecretStr("replayed"))
        return self.prepared[f"{what}_client_id"], secret.get_secret_value()

    def undo(self, action: Callable[[RunaiClient], object]) -> None:
        """What to do afterwards if the scenario did not get to it; outside of the recording."""
        self._undo.append(action)

    def clean_up(self) -> list[RunaiError]:
        """Undo in reverse order; what is gone already is fine. Returns what went wrong."""
        if self.replaying or not self._undo:
            return []
        troubles = []
        with self.connect() as client:
            while self._undo:
                try:
                    self._undo.pop()(client)
                except NotFound:
                    pass
                except RunaiError as error:
                    troubles.append(error)
        return troubles

    def until(self, read: Callable[[], T], good: Callable[[T], bool]) -> T:
        """Read until `good`; while replaying as often as was recorded."""
        end = time.monotonic() + PATIENCE_SECONDS
        state = read()
        while not good(state):
            if time.monotonic() > end:
                raise TimeoutError(f"not reached within {PATIENCE_SECONDS:g} s; last: {state!r}")
            if not self.replaying:
                time.sleep(EMULATOR_POLL_SECONDS if self.emulator else TENANT_POLL_SECONDS)
            state = read()
        return state


def sandbox(world: World) -> None:
    """Prepare by looking up what most scenarios need, so that their cassettes need not show it."""
    with world.connect() as client:
        project = client.projects.find(world.project)
        role = client.roles.find("AI practitioner" if world.version == CURRENT else "L1 researcher")
    if project is None or role is None:
        raise LookupError(f"no project {world.project!r}, or not the predefined role")
    world.prepared.update(
        project_id=project.id, cluster_id=project.cluster_id, role_id=str(role.id)
    )


@dataclass(frozen=True)
class Scenario:
    """One cassette's worth of use."""

    case: str
    run: Callable[[World], None]
    versions: tuple[str, ...]
    prepare: Callable[[World], None] | None = None
    emulator_only: bool = False
    """It needs the emulator's admin routes, or changes more than a sandbox project."""
    client_only: bool = True
    """Nothing stands between the scenario and `runai_api`."""
    needs_zenml: bool = False
    """It also talks to a ZenML server, which the recorder starts."""

    def cassette(self, version: str) -> str:
        """``area/case``, with the version behind it where there are recordings of several."""
        plain = version == self.versions[0]
        return self.case if plain else f"{self.case}_{version.replace('.', '_')}"


_SCENARIOS: dict[str, Scenario] = {}


def scenario(
    case: str,
    *versions: str,
    prepare: Callable[[World], None] | None = None,
    emulator_only: bool = False,
    client_only: bool = True,
    needs_zenml: bool = False,
) -> Callable[[Callable[[World], None]], Callable[[World], None]]:
    """Register a function as the scenario of ``cassettes/<case>.yaml`` (by default for 2.24)."""

    def register(function: Callable[[World], None]) -> Callable[[World], None]:
        if case in _SCENARIOS:
            raise ValueError(f"two scenarios are named {case}")
        _SCENARIOS[case] = Scenario(
            case,
            function,
            versions or (CURRENT,),
            prepare,
            emulator_only,
            client_only,
            needs_zenml,
        )
        return function

    return register


def scenarios() -> tuple[Scenario, ...]:
    """All scenarios, by name."""
    from tools.wire import scenarios as package

    for module in iter_modules([str(Path(package.__file__ or "").parent)]):
        import_module(f"{package.__name__}.{module.name}")
    return tuple(_SCENARIOS[case] for case in sorted(_SCENARIOS))


def recordings() -> Iterable[tuple[Scenario, str]]:
    """Each scenario with each version that it is recorded on."""
    return [(found, version) for found in scenarios() for version in found.versions]


@contextmanager
def raises(kind: type[RunaiError] | tuple[type[RunaiError], ...]) -> Iterator[list[Any]]:
    """The block must fail with this error, which is put into the list."""
    caught: list[Any] = []
    try:
        yield caught
    except kind as error:
        caught.append(error)
    if not caught:
        raise AssertionError(f"{kind} was expected")
