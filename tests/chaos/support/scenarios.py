"""What is interrupted: each scenario leads from one wanted state of the servers to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.support.inventory import Inventory
from tests.chaos.support.world import DESTROY, UP, World

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Scenario:
    """`command` is killed; `recovery` is what the user runs then.

    With `first` and `second`, cases take turns: one leads from the first settings to the second,
    the next one back, so that no case has to provision from nothing.
    """

    name: str
    command: tuple[str, ...] = UP
    recovery: tuple[str, ...] = UP
    starts_provisioned: bool = True
    ends_provisioned: bool = True
    first: Settings = field(default_factory=dict)
    second: Settings = field(default_factory=dict)

    @property
    def takes_turns(self) -> bool:
        return self.first != self.second


#: Names that tell nothing about whose the objects are.
EXACT = {
    "serviceAccountName": "zenml-by-name",
    "roleName": "zenml-by-name",
    "registryName": "zenml-by-name",
    "zenmlStack": "by-name",
    "zenmlSecretName": "by-name",
    "stepOperatorName": "by-name-steps",
    "orchestratorName": "by-name-dag",
}

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("up", starts_provisioned=False),
        Scenario(
            "up, exact names",
            starts_provisioned=False,
            first=EXACT,
            second=EXACT,
        ),
        Scenario("destroy", DESTROY, DESTROY, ends_provisioned=False),
        # What was deleted without being noted is in the state still: only a look tells.
        Scenario("destroy, then up", DESTROY, (*UP, "--refresh")),
        Scenario(
            "update",
            first={
                "features": ["delete_on_failure"],
                "stepOperatorConfiguration": {"workload_timeout": 600},
                "artifactStoreDefinition": {"flavor": "s3", "configuration": {"path": "s3://one"}},
            },
            second={
                "features": ["delete_on_failure", "node_pools"],
                "stepOperatorConfiguration": {"workload_timeout": 900},
                "artifactStoreDefinition": {"flavor": "s3", "configuration": {"path": "s3://two"}},
            },
        ),
        Scenario(
            "replace",
            first={
                "role": "custom",
                "registryUser": "robot",
                "zenmlStack": "one",
                "containerRegistryDefinition": {
                    "flavor": "default", "configuration": {"uri": "registry.example.com/ml"},
                },
            },
            second={
                "role": "predefined",
                "registryUser": "android",
                "zenmlStack": "two",
                "containerRegistryDefinition": {
                    "flavor": "dockerhub", "configuration": {"uri": "docker.io/ml"},
                },
            },
        ),
        Scenario(
            "rotation", first={"rotation": {"date": "2027-01"}},
            second={"rotation": {"date": "2027-02"}},
        ),
        Scenario(
            "rotation in place",
            first={"rotation": {"date": "2027-01"}, "serviceAccountName": "zenml-by-name"},
            second={"rotation": {"date": "2027-02"}, "serviceAccountName": "zenml-by-name"},
        ),
        Scenario(
            "rotation, secret in ZenML only",
            first={"rotation": {"date": "2027-01"}, "clientSecretInState": False},
            second={"rotation": {"date": "2027-02"}, "clientSecretInState": False},
        ),
        Scenario(
            "secret in and out of state",
            first={"clientSecretInState": True},
            second={"clientSecretInState": False},
        ),
    )
}  # fmt: skip


class Stage:
    """Brings the world to where a case of a scenario begins, with as little work as possible."""

    def __init__(self, world: World, scenario: Scenario) -> None:
        self.world = world
        self.scenario = scenario
        self._nothing = world.inventory()
        self._wanted = [world.wanted(**scenario.first), world.wanted(**scenario.second)]
        self._provisioned = False
        self._turn = 0

    def prepare(self) -> Inventory:
        """Set the scene; return what the servers must hold when the case is over."""
        world, scenario = self.world, self.scenario
        if not scenario.starts_provisioned:
            world.fresh()
            world.engine.configure(**scenario.first)
        elif not self._provisioned:
            found = world.provision(**scenario.first)
            assert not found.compared_with(self._wanted[0]), "a plain `up` differs from another"
            self._turn = 0
        if scenario.takes_turns:
            self._turn = 1 - self._turn
            world.engine.configure(**(scenario.second if self._turn else scenario.first))
        return self._wanted[self._turn] if scenario.ends_provisioned else self._nothing

    def over(self, *, good: bool) -> None:
        """A good case leaves the world where the next one can begin."""
        self._provisioned = good and self.scenario.ends_provisioned
