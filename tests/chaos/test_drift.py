"""Changed behind its back: the next look tells it in words, and `up` puts it right.

Each round changes several objects that have nothing to do with each other.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.chaos.support.report import Report, Row
from tests.chaos.support.world import UP, World

pytestmark = pytest.mark.engine

CANARY = "canary-of-an-intruder"
LOOK = ("preview", "--refresh", "--diff", "--suppress-progress")


@dataclass
class Hand:
    """What somebody does by hand in the two consoles, to the objects of a provisioned world."""

    world: World
    ids: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        resources = self.world.engine.resources()
        self.ids = {name: str(entry["id"]) for name, entry in resources.items()}

    def role(self, **changes: Any) -> None:
        roles = self.world.runai.roles
        role = roles.get(int(self.ids["runai-role"]))
        settings = {
            "name": role.name,
            "description": role.description or "",
            "permission_set_ids": [found.id for found in role.permission_sets],
            "enabled": role.enabled is not False,
        }
        roles.update(role.id, **{**settings, **changes})

    def held_permission_sets(self) -> dict[str, str]:
        role = self.world.runai.roles.get(int(self.ids["runai-role"]))
        names = {found.id: found.name for found in self.world.runai.permission_sets.list()}
        return {names[found.id]: found.id for found in role.permission_sets}

    def component(self, name: str, /, **changes: Any) -> None:
        self.world.zenml.components.update(self.ids[name], changes)

    def configuration(self, name: str) -> dict[str, Any]:
        return dict(self.world.zenml.components.get(self.ids[name]).configuration)

    def stack(self, **changes: Any) -> None:
        self.world.zenml.stacks.update(self.ids["runai-stack"], changes)

    def stack_parts(self) -> dict[str, list[str]]:
        entries = self.world.zenml.stacks.get(self.ids["runai-stack"]).metadata["components"]
        return {type: [found[0]["id"]] for type, found in entries.items()}

    def secret(self, **values: str | None) -> None:
        """Set keys of the ZenML secret; None removes one."""
        secrets = self.world.zenml.secrets
        id = self.ids["runai-credentials"]
        wanted = {**secrets.get(id).body["values"], **values}
        secrets.update(id, {"values": {k: v for k, v in wanted.items() if v is not None}})


@dataclass(frozen=True)
class Drift:
    """`shown` are parts of what the preview must say."""

    what: str
    change: Callable[[Hand], object]
    shown: tuple[str, ...]


def add_a_permission_set(hand: Hand) -> None:
    held = hand.held_permission_sets()
    more = next(s for s in hand.world.runai.permission_sets.list() if s.name == "Departments view")
    hand.role(permission_set_ids=[*held.values(), more.id])


def take_a_permission_set(hand: Hand) -> None:
    held = hand.held_permission_sets()
    hand.role(permission_set_ids=[id for name, id in held.items() if name != "Trainings manage"])


def swap_the_artifact_store(hand: Hand) -> None:
    default = hand.world.zenml.components.find("default", type="artifact_store")
    assert default
    hand.stack(components={**hand.stack_parts(), "artifact_store": [default.id]})


def drop_the_step_operator(hand: Hand) -> None:
    parts = hand.stack_parts()
    hand.stack(components={type: ids for type, ids in parts.items() if type != "step_operator"})


def change_the_flavor(hand: Hand, **changes: Any) -> None:
    hand.world.zenml.flavors.update(hand.ids["runai-orchestrator-flavor"], changes)


def runai(hand: Hand) -> Any:
    return hand.world.runai


def accounts(hand: Hand) -> Any:
    return runai(hand).service_accounts


def operator(**changes: Any) -> Callable[[Hand], object]:
    def change(hand: Hand) -> None:
        name = "runai-step-operator"
        hand.component(name, configuration={**hand.configuration(name), **changes})

    return change


ROUNDS: list[list[Drift]] = [
    [
        Drift("a permission set added to the role", add_a_permission_set,
              ("+ Departments view", '+ [1]: "(changed outside Pulumi)"')),
        Drift("a disabled account",
              lambda hand: accounts(hand).set_enabled(hand.ids["runai-account"], False),
              ("~ enabled : true => false", "~ enabled: false => true")),
        Drift("a setting of a component changed", operator(project_name="other-team"),
              ('"ml-team" => "other-team"', '"other-team" => "ml-team"')),
        Drift("the description of the ZenML stack", lambda hand: hand.stack(description="by hand"),
              ('=> "by hand"',)),
        Drift("a value of the ZenML secret changed", lambda hand: hand.secret(client_secret=CANARY),
              ('client_secret: "(changed outside Pulumi)"',)),
        Drift("the description of the registry credential",
              lambda hand: runai(hand).registry_credentials.update(
                  hand.ids["runai-registry"], description="by hand too"),
              ('description : "by hand too"',)),
        Drift("the source of a flavor",
              lambda hand: change_the_flavor(hand, source="of.another.Package"),
              ('=> "of.another.Package"',)),
    ],
    [
        Drift("a permission set taken from the role", take_a_permission_set,
              ("- Trainings manage", "+ Trainings manage")),
        Drift("a rotated secret of the account",
              lambda hand: accounts(hand).regenerate_secret(hand.ids["runai-account"]),
              ('+ found: "secret no longer accepted"',)),
        Drift("a setting of a component added", operator(workload_timeout=5),
              ("+ workload_timeout : 5",)),
        Drift("the name of the ZenML stack", lambda hand: hand.stack(name="by-hand"),
              ('=> "by-hand"',)),
        Drift("a key of the ZenML secret added", lambda hand: hand.secret(another=CANARY),
              ('another: "(added outside Pulumi)"',)),
        Drift("a deleted registry credential",
              lambda hand: runai(hand).registry_credentials.delete(hand.ids["runai-registry"]),
              ("+ pulumi-python:dynamic/runai:RegistryCredential: (create)",)),
        Drift("the schema of a flavor",
              lambda hand: change_the_flavor(hand, config_schema={"title": "Of another"}),
              ("~ digest", '"(changed outside Pulumi)"')),
    ],
    [
        Drift("the description of the role", lambda hand: hand.role(description="by hand"),
              ('description : "by hand"', '- description: "by hand"')),
        Drift("a deleted account",
              lambda hand: accounts(hand).delete(hand.ids["runai-account"]),
              ("+ pulumi-python:dynamic/runai:ServiceAccount: (create)",)),
        Drift("the labels of a component",
              lambda hand: hand.component("runai-step-operator", labels={"team": "x"}),
              ('+ team: "x"', '=> "(none)"')),
        Drift("a component of the ZenML stack swapped", swap_the_artifact_store,
              ("~ artifact_store",)),
        Drift("a key of the ZenML secret removed", lambda hand: hand.secret(client_secret=None),
              ('client_secret: "(removed outside Pulumi)"',)),
    ],
    [
        Drift("a disabled role", lambda hand: hand.role(enabled=False),
              ("enabled : true => false", "~ enabled: false => true")),
        Drift("a deleted rule",
              lambda hand: runai(hand).access_rules.delete(int(hand.ids["runai-rule"])),
              ("+ pulumi-python:dynamic/runai:AccessRule: (create)",)),
        Drift("the name of a component",
              lambda hand: hand.component("runai-step-operator", name="by-hand"),
              ('"runai-chaos" => "by-hand"',)),
        Drift("the labels of the ZenML stack", lambda hand: hand.stack(labels={"team": "y"}),
              ('+ team: "y"', '=> "(none)"')),
        Drift("the mark of the ZenML secret", lambda hand: hand.secret(pulumi_owner=None),
              ('pulumi_owner: "(removed outside Pulumi)"',)),
    ],
    [
        Drift("the name of the role", lambda hand: hand.role(name="by-hand"),
              ('=> "by-hand"',)),
        Drift("a component dropped from the ZenML stack", drop_the_step_operator,
              ("- step_operator", "+ step_operator")),
        Drift("a deleted ZenML secret",
              lambda hand: hand.world.zenml.secrets.delete(hand.ids["runai-credentials"]),
              ("+ pulumi-python:dynamic/zenml:Secret: (create)",)),
    ],
    [
        Drift("a deleted ZenML stack",
              lambda hand: hand.world.zenml.stacks.delete(hand.ids["runai-stack"]),
              ("+ pulumi-python:dynamic/zenml:Stack: (create)",)),
        Drift("a deleted component",
              lambda hand: hand.world.zenml.components.delete(hand.ids["runai-step-operator"]),
              ("+ pulumi-python:dynamic/zenml:Component: (create)",)),
    ],
]  # fmt: skip


@pytest.mark.parametrize(
    "number",
    [
        0,
        *(pytest.param(number, marks=pytest.mark.chaos) for number in range(1, len(ROUNDS))),
    ],
)
def test_is_told_in_words_and_put_right(number: int, world: World, chaos_report: Report) -> None:
    settings = {"rotation": {"date": "2027-01"}}
    wanted = world.wanted(**settings)
    world.provision(**settings)
    hand = Hand(world)
    drifts = ROUNDS[number]
    for drift in drifts:
        drift.change(hand)
    changed = world.inventory().compared_with(wanted)
    started = time.monotonic()

    told = world.engine.run(*LOOK).succeeded().output
    words = " ".join(told.split())
    silent = [
        f"{d.what}: {text!r} is not told" for d in drifts for text in d.shown if text not in words
    ]
    if CANARY in told or CANARY in str(world.engine.export()):
        silent.append("a secret of somebody else is shown")
    outcome = world.engine.run(*UP, "--refresh")

    verdict = world.verdict(outcome, wanted)
    row = Row(
        "drift", "; ".join(drift.what for drift in drifts), f"round {number}", verdict.converged,
        verdict.difference.duplicates, verdict.difference.orphans, verdict.difference.missing,
        [*silent, *verdict.problems], round(time.monotonic() - started, 1),
    )  # fmt: skip
    chaos_report.add(row)
    assert changed, "the changes by hand changed something"
    assert row.good, f"{row}\n{told}"


def test_a_second_rule_is_reported_as_excess(world: World) -> None:
    world.provision()
    account = world.runai.service_accounts.get(Hand(world).ids["runai-account"])
    role = world.runai.roles.find("System administrator")
    assert role
    second = world.runai.access_rules.create(
        account.client_id, "service-account", role.id, "tenant", "1"
    )

    told = world.engine.run(*LOOK).succeeded().output
    in_words = f"System administrator at tenant local-tenant (access rule {second.id})"
    assert f"{account.client_id!r} holds: {in_words}" in told
    assert f'[0]: "{in_words}"' in told

    # It is reported, not taken back: whoever granted it may have had a reason.
    world.engine.run(*UP, "--refresh").succeeded()
    assert world.engine.resources()["runai-rule"]["outputs"]["excess"] == [in_words]
    assert world.runai.access_rules.get(second.id).deleted_at is None

    world.runai.access_rules.delete(second.id)
    again = world.engine.run("refresh", "--yes").succeeded().output
    assert "holds:" not in again
    assert world.engine.resources()["runai-rule"]["outputs"]["excess"] == []
