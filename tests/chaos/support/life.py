"""The life of one Pulumi stack: changes, drifts, commands and disasters in any order, and a model
that says at every moment what the two servers must hold.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from provision.zenml_errors import ZenMLError
from runai_api import RunaiError
from tests.chaos.support.faults import KINDS
from tests.chaos.support.inventory import Inventory
from tests.chaos.support.model import expected
from tests.chaos.support.proxy import Exchange, When
from tests.chaos.support.report import Report, Row
from tests.chaos.support.scenarios import EXACT
from tests.chaos.support.world import CANARIES, DESTROY, UP, Verdict, World
from tests.chaos.test_drift import ROUNDS, Drift, Hand
from tests.chaos.test_faults import repeat, unclear
from tests.engine.harness import Outcome

#: One more than either client tries within a command.
OUTAGE = 6
REFRESH = ("refresh", "--yes", "--suppress-progress")


def _exact(*names: str) -> tuple[dict[str, Any], ...]:
    return dict.fromkeys(names), {name: EXACT[name] for name in names}


def _registry(user: str | None, password: str | None, name: str | None = None) -> dict[str, Any]:
    url = "https://registry.example.com" if user else None
    return {
        "registryUser": user, "registryUrl": url, "registryPassword": password,
        "registryName": name,
    }  # fmt: skip


#: What a user may change, each with the values that it takes in turn; None is "not set".
CHANGES: dict[str, tuple[dict[str, Any], ...]] = {
    "role": (
        {"role": "custom", "roleName": None},
        {"role": "predefined", "roleName": None},
        {"role": "custom", "roleName": EXACT["roleName"]},
    ),
    "features": (
        {"features": ["delete_on_failure"]},
        {"features": ["delete_on_failure", "node_pools"]},
        {"features": []},
    ),
    "registry": (
        _registry("robot", CANARIES["registryPassword"]),
        _registry(None, None),
        _registry("android", "registry-canary-5b07"),
        _registry("android", "registry-canary-e9f2"),
        _registry("android", "registry-canary-e9f2", EXACT["registryName"]),
        _registry("android", "registry-canary-5b07", EXACT["registryName"]),
    ),
    "step operator": (
        {"stepOperatorConfiguration": {}},
        {"stepOperatorConfiguration": {"workload_timeout": 600, "delete_on_failure": True}},
        {"stepOperatorConfiguration": {"workload_timeout": 900}},
    ),
    "orchestrator": (
        {"orchestratorConfiguration": {}},
        {"orchestratorConfiguration": {"synchronous": False}},
    ),
    "artifact store": tuple(
        {"artifactStoreDefinition": {"flavor": "s3", "configuration": {"path": path}}}
        for path in ("s3://zenml", "s3://another")
    ),
    "container registry": tuple(
        {"containerRegistryDefinition": {"flavor": flavor, "configuration": {"uri": uri}}}
        for flavor, uri in (("default", "registry.example.com/ml"), ("dockerhub", "docker.io/ml"))
    ),
    "where the client secret is": (
        {"clientSecretInState": None},
        {"clientSecretInState": False},
    ),
    "name of the stack": _exact("zenmlStack"),
    "name of the account": _exact("serviceAccountName"),
    "name of the secret": _exact("zenmlSecretName"),
    "names of the components": _exact("stepOperatorName", "orchestratorName"),
}

#: What may follow an interrupted `up` in place of the same one. Not another role: nothing tells
#: whose an access rule is that was not noted, so the role that it grants could not be deleted.
THEN = ("destroy", "rotate", *(what for what in CHANGES if what != "role"))

DRIFTS: dict[str, Drift] = {drift.what: drift for round in ROUNDS for drift in round}

#: Only the emulator itself can do these to its clients, and only some requests can suffer them.
AT_THE_EMULATOR = {"token expired": "*", "stale list": "GET", "409 after a lost answer": "POST"}


@dataclass(frozen=True)
class Nth:
    """The `number`-th request of a command: of all its requests, of those that change something
    (`of` is "writes"), or of one kind, such as "POST /api/v1/stacks"."""

    number: int
    of: str = "writes"

    def picker(self) -> Callable[[Exchange], bool]:
        """Tells of one request after the other, in their order, whether it is this one."""
        counted: list[int] = []

        def picks(exchange: Exchange) -> bool:
            if self._counts(exchange) and exchange.number not in counted:
                counted.append(exchange.number)
            return counted[self.number - 1 : self.number] == [exchange.number]

        return picks

    def _counts(self, exchange: Exchange) -> bool:
        if self.of == "writes":
            logs_in = exchange.is_a("POST", "*/token") or exchange.is_a("POST", "*/login")
            return exchange.method != "GET" and not logs_in
        return self.of == "requests" or exchange.is_a(*self.of.split())

    def __str__(self) -> str:
        return f"number {self.number} of the {self.of}" if " " not in self.of else self.of


@dataclass(frozen=True)
class Kill:
    """SIGKILL of everything, before or after a server processes a request."""

    when: When
    at: Nth


@dataclass(frozen=True)
class Fault:
    """A kind of fault at a request; with `lasts` also at all that are like it, more often than the
    clients try again, so that the command fails."""

    kind: str
    at: Nth
    lasts: bool = False


#: What befalls one command: one kill after the other (of the command, then of its repetitions), or
#: a fault, or nothing.
Disaster = Sequence[Kill] | Fault


@dataclass
class Life:
    """From nothing; every method is one command of the user with what befalls it, its recovery,
    and the judgement."""

    world: World
    report: Report
    name: str
    provisioned: bool = False
    #: Whether something was changed by hand that the state does not know of.
    drifted: bool = False
    #: Whether the state knows of such a change, and the next `up` has to undo it.
    found_out: bool = False
    #: What an interrupted `up` made, under names that the next one did not use: it may stay until
    #: the stack is destroyed.
    left: set[str] = field(default_factory=set)
    history: list[str] = field(default_factory=list)
    failed: bool = False
    _values: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CHANGES, 0))
    _rotation: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.world.empty()
        self.world.fresh()
        self._address = self.world.engine.settings()["runaiBaseUrl"]

    # -- what a user does -------------------------------------------------------------------------

    def up(
        self, changes: Sequence[str] = (), drifts: Sequence[str] = (), disaster: Disaster = (), *,
        look_first: bool = True, then: str = "",
    ) -> None:  # fmt: skip
        """The first `up`, or an update: each of the `changes` gets its next value. `then`, one of
        `THEN`, is what the user does if it is killed; by default the same again.

        Without `look_first` the user does not know what was changed by hand: that `up` may fail,
        with a clear error, and an ``up --refresh`` follows.
        """
        made = self._drift(drifts)
        if changes:
            self._change(changes)
        problems = []
        if made and not look_first:
            outcome = self.world.engine.run(*UP)
            problems = unclear(outcome) if outcome.code else []
            made.append("an `up` that does not look: " + ("an error" if outcome.code else "done"))
        around = [*changes, *made]
        self._command("up", self._up_command(), around, disaster, problems=problems, then=then)

    def rotate(self, key: str, disaster: Disaster = (), *, then: str = "") -> None:
        """New credentials: of the registry if `key` says so, else of the account."""
        self._rotate(key)
        self._command("rotate", self._up_command(), [key], disaster, then=then)

    def refresh(self, drifts: Sequence[str] = (), disaster: Disaster = ()) -> None:
        """Let the state know what is there; this changes nothing on the servers."""
        made = self._drift(drifts)
        self._command("refresh", REFRESH, made, disaster)

    def destroy(
        self, drifts: Sequence[str] = (), disaster: Disaster = (), *, then_up: bool = False
    ) -> None:
        """With `then_up` the user changes his mind if the command is interrupted."""
        if self.provisioned:
            made = self._drift(drifts)
            recovery = (*UP, "--refresh") if then_up else DESTROY
            self._command("destroy", DESTROY, made, disaster, recovery)

    def end(self) -> None:
        """The last recovery point."""
        if not self.failed and (self.drifted or self.found_out):
            self.up()

    # -- how it is done ---------------------------------------------------------------------------

    def wanted(self) -> Inventory:
        if not self.provisioned:
            return self.world.empty()
        settings = {"runaiBaseUrl": self._address}
        for what, values in CHANGES.items():
            settings |= values[self._values[what]]
        return expected(self.world, settings, self._rotation)

    def _up_command(self) -> tuple[str, ...]:
        return (*UP, "--refresh") if self.drifted else UP

    def _change(self, changes: Sequence[str]) -> None:
        new: dict[str, Any] = {}
        for what in changes:
            self._values[what] = (self._values[what] + 1) % len(CHANGES[what])
            new |= CHANGES[what][self._values[what]]
        self.world.engine.configure(**new)

    def _rotate(self, key: str) -> None:
        self._rotation[key] = str(int(self._rotation.get(key, "0")) + 1)
        self.world.engine.configure(rotation=self._rotation)

    def _drift(self, drifts: Sequence[str]) -> list[str]:
        """Change something by hand; returns what could be done to what there is."""
        if not self.provisioned or not drifts:
            return []
        hand, made = Hand(self.world), []
        for what in drifts:
            if not self._is_possible(what):
                continue
            # What another drift has deleted, or what is in use, cannot be changed or deleted.
            with contextlib.suppress(KeyError, RunaiError, ZenMLError):
                DRIFTS[what].change(hand)
                made.append(f"by hand: {what}")
                self.drifted = True
        return made

    def _is_possible(self, drift: str) -> bool:
        """A predefined role is not ours to change, and there may be no registry credential."""
        now = {what: values[self._values[what]] for what, values in CHANGES.items()}
        if "registry credential" in drift:
            return now["registry"]["registryUser"] is not None
        return "role" not in drift or now["role"]["role"] == "custom"

    def _command(
        self, verb: str, command: tuple[str, ...], around: Sequence[str], disaster: Disaster,
        recovery: tuple[str, ...] | None = None, problems: Sequence[str] = (), then: str = "",
    ) -> None:  # fmt: skip
        started = time.monotonic()
        before = self.world.inventory()
        in_sync = not (self.drifted or self.found_out)
        problems = [*problems]
        self.failed = True
        try:
            if isinstance(disaster, Fault):
                outcome, befell = self._faulty(command, disaster, problems)
            else:
                if self._values["name of the account"]:
                    then = ""  # Nothing tells whose an account of an exact name is.
                outcome, befell = self._killed(command, disaster, recovery or command, then, before)
        except AssertionError as error:
            outcome, befell = Outcome(f"pulumi {' '.join(command)}", 1, str(error)), str(disaster)
        case = f"{self.name}.{len(self.history) + 1} {verb}"
        if around:
            case += f" ({', '.join(around)})"
        self.history.append(f"{case}: {befell}")

        last = outcome.command.split()[1]
        if last == "refresh":
            self.found_out, self.drifted = self.found_out or self.drifted, False
            # Unless all is in order it is not for a refresh to bring it there.
            verdict = self._judged(
                outcome, self.wanted() if in_sync else before, look=in_sync and self.provisioned
            )
        else:
            self.provisioned = last != "destroy"
            self.drifted = self.found_out = False
            if last == "destroy":
                self.left = set()
            verdict = self._judged(outcome, self.wanted(), look=self.provisioned)
        row = Row(
            "random life", case, befell, verdict.converged, verdict.difference.duplicates,
            verdict.difference.orphans, verdict.difference.missing,
            [*problems, *verdict.problems], round(time.monotonic() - started, 1),
        )  # fmt: skip
        self.report.add(row)
        self.failed = not row.good
        if self.failed:
            raise AssertionError("\n".join([*self.history, "", str(row)]))

    def _judged(self, outcome: Outcome, wanted: Inventory, *, look: bool) -> Verdict:
        """After a failed command there may be nothing to look at."""
        verdict = self.world.verdict(outcome, wanted, provisioned=look and not outcome.code)
        orphans = [o for o in verdict.difference.orphans if _first_name(o) not in self.left]
        verdict.difference = replace(verdict.difference, orphans=orphans)
        return verdict

    def _killed(
        self, command: tuple[str, ...], kills: Sequence[Kill], recovery: tuple[str, ...],
        then: str, before: Inventory,
    ) -> tuple[Outcome, str]:  # fmt: skip
        befell: list[str] = []
        for kill in kills:
            request = self.world.killed_at(kill.at.picker(), kill.when, *command)
            if request is None:
                return Outcome(f"pulumi {' '.join(command)}", 0, ""), _words(befell)
            befell.append(f"killed {kill.when} {request}")
            command = recovery
            self.world.engine.run("cancel", "--yes").succeeded()
            if then:
                command = recovery = self._do_otherwise(then, recovery, before)
                befell.append(f"then {then}")
                then = ""
        return self.world.engine.run(*command), _words(befell)

    def _do_otherwise(
        self, then: str, recovery: tuple[str, ...], before: Inventory
    ) -> tuple[str, ...]:
        """The user changes his mind: another command, or other settings for the same one."""
        if then == "destroy":
            return DESTROY
        made = self.world.inventory().compared_with(before)
        self.left |= {_first_name(what) for what in (*made.orphans, *made.duplicates)}
        if then == "rotate":
            self._rotate("date")
        else:
            self._change([then])
        return recovery

    def _faulty(
        self, command: tuple[str, ...], fault: Fault, problems: list[str]
    ) -> tuple[Outcome, str]:
        """Repeat the command as long as it fails; each failure must be explained."""
        world = self.world
        kind = KINDS[fault.kind]
        world.proxy.forget()
        if fault.kind in AT_THE_EMULATOR:
            assert kind.emulator
            world.emulator.add_fault(**kind.emulator, method=AT_THE_EMULATOR[fault.kind])
            where = "Run:ai"
        else:
            assert kind.proxy
            picks = fault.at.picker()
            struck: list[Exchange] = []

            def strikes(exchange: Exchange) -> bool:
                if picks(exchange) or (fault.lasts and struck and _alike(exchange, struck[0])):
                    struck.append(exchange)
                return exchange in struck

            world.proxy.add_fault(**kind.proxy, wanted=strikes, times=OUTAGE if fault.lasts else 1)
        outcome, errors = world.engine.run(*command), 0
        world.proxy.forget()  # no fault of ours lasts longer than one command
        if outcome.code:
            problems += unclear(outcome)
            world.engine.run("cancel", "--yes").succeeded()
            went = repeat(world, command, most=2)
            problems += went.problems
            outcome, errors = went.outcome, 1 + len(went.errors)
        world.emulator.clear_faults()
        if fault.kind not in AT_THE_EMULATOR:
            where = f"{struck[0]} x{len(struck)}" if struck else "nothing"
        return outcome, f"{fault.kind} at {where}" + (f", {errors} errors" if errors else "")


def _alike(one: Exchange, another: Exchange) -> bool:
    return (one.server, one.method, one.path) == (another.server, another.method, another.path)


def _first_name(what: str) -> str:
    """A component that made room for one of another flavor as it was called before."""
    return re.sub(r"-replaced-[0-9a-f]{8}", "", what)


def _words(befell: Sequence[str]) -> str:
    return "; ".join(befell) or "nothing"
