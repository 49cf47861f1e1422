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


@pytest.mark.chaos
@pytest.mark.parametrize("what", RENAMED)
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
def test_what_is_not_ours_stays(world: World) -> None:
    """Somebody else has taken the objects over since the kill."""
    world.empty()
    kill(world, Nth(1, "POST /api/v1/stacks"))
    [stack] = [s for s in world.zenml.stacks.matching() if s.labels]
    world.zenml.stacks.update(stack.id, {"labels": {"pulumi-owner": "organization/x/y/stack"}})
    refused = world.engine.run(*DESTROY).failed()
    assert f"is still part of the ZenML stack {stack.name!r}" in refused.errors

    world.zenml.stacks.update(stack.id, {"labels": stack.labels})
    world.engine.run(*DESTROY).succeeded()
    kill(world, Nth(1, "POST /api/v2/authorization/roles"))
    [role] = [role for role in world.runai.roles.list() if role.custom]
    world.runai.roles.update(
        role.id, name=role.name, description="somebody else's now",
        permission_set_ids=[found.id for found in role.permission_sets],
    )  # fmt: skip
    world.engine.run(*DESTROY).succeeded()
    left = world.inventory().compared_with(world.empty())
    assert [words.split()[0] for words in left.orphans] == ["role"], left


@pytest.mark.chaos
def test_an_object_out_of_the_state_is_still_on_the_list(world: World) -> None:
    world.empty()
    world.engine.run(*UP).succeeded()
    urn = world.engine.resources()["runai-stack"]["urn"]
    world.engine.run("state", "delete", urn, "--yes").succeeded()
    outcome = world.engine.run(*DESTROY).succeeded()
    assert "an interrupted run had left it" in outcome.output
    assert not world.inventory().compared_with(world.empty())


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
