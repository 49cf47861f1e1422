"""Flavors, which a server shares among all, through the real provider host and server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from provision import _constants as constants
from provision._flavors import shipped_flavor
from provision.providers.zenml_flavor import ZenMLFlavorProvider
from provision.zenml_rest import ZenMLClient
from tests.provider.host import Host, HostError

FLAVOR = ZenMLFlavorProvider()
ORCHESTRATOR = shipped_flavor("orchestrator")
STEP_OPERATOR = shipped_flavor("step_operator")


@pytest.fixture(scope="module")
def zenml_server(new_zenml_server: Callable[[str], Any]) -> Any:
    """A server of their own: ZenML keeps every flavor of a name while a component of any type
    uses that name, and other tests leave such components on the server that they share."""
    return new_zenml_server("zenml-flavors")


@pytest.fixture(autouse=True)
def none_registered(zenml: ZenMLClient) -> Iterator[None]:
    yield
    for record in zenml.flavors.matching(name=constants.FLAVOR_NAME):
        zenml.flavors.delete(record.id)


def test_is_shared_updated_and_deleted_by_the_last(
    zenml_host: Host, zenml: ZenMLClient, connection: dict[str, str]
) -> None:
    id, outs = zenml_host.create(FLAVOR, {"type": "step_operator"})
    again, shared = zenml_host.create(FLAVOR, {"type": "step_operator"})
    assert (again, outs["shared"], shared["shared"]) == (id, False, True)

    zenml.flavors.update(id, {**STEP_OPERATOR.body, "config_schema": {"properties": {}}})
    found = zenml_host.read(FLAVOR, id, outs)
    assert found
    checked, _ = zenml_host.check(FLAVOR, {"type": "step_operator"}, found[1])
    assert zenml_host.diff(FLAVOR, id, found[0], checked).changes is None
    zenml_host.update(FLAVOR, id, found[0], checked)
    assert zenml.flavors.get(id).metadata["config_schema"] == STEP_OPERATOR.body["config_schema"]

    user = zenml.components.create(
        {
            "name": "user",
            "type": "step_operator",
            "flavor": STEP_OPERATOR.name,
            "configuration": connection,
        }
    )
    zenml_host.delete(FLAVOR, id, outs)
    assert zenml.flavors.get(id), "a component uses it"
    zenml.components.delete(user.id)
    zenml_host.delete(FLAVOR, id, outs)
    assert zenml_host.read(FLAVOR, id, outs) is None


def test_is_registered_once_by_many_at_once(zenml_host: Host, zenml: ZenMLClient) -> None:
    for _ in range(5):
        with ThreadPoolExecutor(6) as pool:
            made = list(
                pool.map(lambda _: zenml_host.create(FLAVOR, {"type": "orchestrator"}), range(6))
            )
        [id] = {id for id, _ in made}
        assert sorted(outs["shared"] for _, outs in made) == [False, *[True] * 5]
        zenml.flavors.delete(id)


def test_there_are_two_flavors_only(zenml_host: Host) -> None:
    _, failures = zenml_host.check(FLAVOR, {"type": "stepoperator"})
    assert "Did you mean 'step_operator'" in failures[""]


def test_one_that_zenml_registered_from_our_package_is_taken_over(
    zenml_host: Host, zenml: ZenMLClient
) -> None:
    source = "zenml_runai.flavors.orchestrator_flavor.RunAIOrchestratorFlavor"
    registered = zenml.flavors.create({**ORCHESTRATOR.body, "source": source})
    id, outs = zenml_host.create(FLAVOR, {"type": "orchestrator"})
    assert (id, outs["shared"]) == (registered.id, True)
    assert zenml.flavors.get(id).body["source"] == ORCHESTRATOR.source


def test_one_of_another_package_is_left_alone(zenml_host: Host, zenml: ZenMLClient) -> None:
    body = {**ORCHESTRATOR.body, "source": "acme.flavors.Orchestrator"}
    registered = zenml.flavors.create(body)
    with pytest.raises(HostError, match="exists already with the source acme"):
        zenml_host.create(FLAVOR, {"type": "orchestrator"})
    assert zenml.flavors.get(registered.id).body["source"] == "acme.flavors.Orchestrator"
