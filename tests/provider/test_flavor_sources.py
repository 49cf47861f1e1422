"""Flavors that others have registered under our name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from provision._flavors import shipped_flavor
from provision.providers.zenml_flavor import ZenMLFlavorProvider
from provision.zenml_rest import Record, ZenMLClient
from tests.provider.host import Host

WANTED = shipped_flavor("orchestrator")
FLAVOR = ZenMLFlavorProvider()


@pytest.fixture
def registered(zenml: ZenMLClient) -> Iterator[Record]:
    """The flavor as it is now, put back when the test is over."""
    found = zenml.flavors.find(WANTED.name, type=WANTED.type)
    record = found or zenml.flavors.create(WANTED.body)
    yield record
    zenml.flavors.update(record.id, WANTED.body)
    if found is None:
        zenml.flavors.delete(record.id)


def test_one_that_zenml_registered_from_our_package_is_taken_over(
    zenml_host: Host, zenml: ZenMLClient, registered: Record
) -> None:
    source = "zenml_runai.flavors.orchestrator_flavor.RunAIOrchestratorFlavor"
    zenml.flavors.update(registered.id, {**WANTED.body, "source": source})
    id, outs = zenml_host.create(FLAVOR, {"type": "orchestrator"})
    assert (id, outs["shared"]) == (registered.id, True)
    assert zenml.flavors.get(id).body["source"] == WANTED.source


def test_one_of_another_package_is_left_alone(
    zenml_host: Host, zenml: ZenMLClient, registered: Record
) -> None:
    zenml.flavors.update(registered.id, {**WANTED.body, "source": "acme.flavors.Orchestrator"})
    with pytest.raises(Exception, match="exists already with the source acme"):
        zenml_host.create(FLAVOR, {"type": "orchestrator"})
    assert zenml.flavors.get(registered.id).body["source"] == "acme.flavors.Orchestrator"
