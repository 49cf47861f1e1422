"""Made, but not noted, and no second `up` that would recognise it: a destroy leaves nothing."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.chaos.support.life import Nth
from tests.chaos.support.report import Report, Row
from tests.chaos.support.world import DESTROY, UP, World

pytestmark = pytest.mark.engine

ACCOUNT = "POST /api/v1/service-accounts"
#: Whatever an `up` makes, and how many of it.
CREATES = {
    ACCOUNT: 1,
    "POST /api/v2/authorization/roles": 1,
    "POST /api/v1/authorization/access-rules": 1,
    "POST /api/v1/asset/credentials/docker-registry": 1,
    "POST /api/v1/secrets": 2,
    "POST /api/v1/flavors": 2,
    "POST /api/v1/components": 5,
    "POST /api/v1/stacks": 1,
}
SAMPLE = [Nth(1, ACCOUNT), Nth(2, "POST /api/v1/components")]
CASES = [
    pytest.param(create, id=f"{create.number} {path}", marks=() if create in SAMPLE else chaos)
    for path, number in CREATES.items()
    for create in (Nth(n, path) for n in range(1, number + 1))
    for chaos in [pytest.mark.chaos]
]


def kill(world: World, create: Nth) -> str:
    request = world.killed_at(create.picker(), "after", *UP)
    assert request, f"this `up` makes no {create}"
    world.engine.run("cancel", "--yes").succeeded()
    return request


def judge(
    world: World, report: Report, scenario: str, case: str, request: str, started: float
) -> None:
    """Destroy, and see that nothing is left."""
    verdict = world.verdict(world.engine.run(*DESTROY), world.empty(), provisioned=False)
    row = Row(
        f"left over: {scenario}", case, request, verdict.converged, verdict.difference.duplicates,
        verdict.difference.orphans, verdict.difference.missing, verdict.problems,
        round(time.monotonic() - started, 1),
    )  # fmt: skip
    report.add(row)
    assert row.good, str(row)


@pytest.mark.parametrize("create", CASES)
def test_a_destroy_after_a_killed_up(create: Nth, world: World, chaos_report: Report) -> None:
    world.empty()
    started = time.monotonic()
    request = kill(world, create)
    judge(world, chaos_report, "destroy", str(create), request, started)


#: What is made before the kill, and the settings that then give it another name or none.
RENAMED: dict[str, tuple[Nth, dict[str, Any]]] = {
    "account": (Nth(1, ACCOUNT), {"rotation": {"date": "2027-01"}}),
    "role": (Nth(1, "POST /api/v2/authorization/roles"), {"role": "predefined"}),
    "registry credential": (
        Nth(1, "POST /api/v1/asset/credentials/docker-registry"),
        dict.fromkeys(("registryUrl", "registryUser", "registryPassword")),
    ),
    "secret": (Nth(2, "POST /api/v1/secrets"), {"zenmlSecretName": "by-name"}),
    "component": (Nth(2, "POST /api/v1/components"), {"zenmlStack": "by-name"}),
    "flavor of a component": (
        Nth(3, "POST /api/v1/components"),
        {
            "containerRegistryDefinition": {
                "flavor": "dockerhub", "configuration": {"uri": "docker.io/ml"},
            },
            "imageBuilderDefinition": {
                "flavor": "kaniko", "configuration": {"kubernetes_context": "none"},
            },
        },
    ),
    "stack": (Nth(1, "POST /api/v1/stacks"), {"zenmlStack": "by-name"}),
}  # fmt: skip


@pytest.mark.parametrize(
    "what", [w if w == "account" else pytest.param(w, marks=pytest.mark.chaos) for w in RENAMED]
)
def test_a_destroy_after_a_killed_up_and_another_name(
    what: str, world: World, chaos_report: Report
) -> None:
    world.empty()
    started = time.monotonic()
    create, settings = RENAMED[what]
    request = kill(world, create)
    world.engine.configure(**settings)
    world.engine.run(*UP).succeeded()
    world.engine.preview("--expect-no-changes", "--refresh").succeeded()
    judge(world, chaos_report, "another name", what, request, started)


@pytest.mark.chaos
def test_what_is_gone_is_forgotten(world: World) -> None:
    """Each rotation adds the old account's name to the list; it does not grow."""
    world.engine.run(*UP).succeeded()
    for number in range(3):
        world.engine.configure(rotation={"date": str(number)})
        world.engine.run(*UP).succeeded()

        outputs = world.engine.resources()["runai-project"]["outputs"]
        assert len(outputs["formerly_planned"]) == 1, outputs
    world.engine.run("refresh", "--yes").succeeded()
    assert world.engine.resources()["runai-project"]["outputs"] == outputs
    world.engine.preview("--expect-no-changes").succeeded()
