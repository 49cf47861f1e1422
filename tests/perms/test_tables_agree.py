"""Three tables, written apart, say the same: the catalogue, the emulator's, the client's."""

from __future__ import annotations

import pytest

from runai_api import operations as client_operations
from runai_emulator.endpoints import Endpoint, endpoint_table
from runai_perms import Permission, Reach, load_catalogue
from runai_perms._catalogue import applies, parse_version

VERSIONS = ["2.23", "2.24"]

# The emulator's words for where a right is looked for.
REACH = {
    "tenant": Reach.TENANT,
    "anywhere": Reach.ANYWHERE,
    "upwards": Reach.CLUSTER,
    "project": Reach.PROJECT,
    "rule": Reach.PROJECT,
    "asset": Reach.PROJECT,
    "asset, upwards": Reach.PROJECT,
    "scope, upwards": Reach.PROJECT,
}


def known(endpoint: Endpoint):
    path = "/".join("x" if part.startswith("{") else part for part in endpoint.path.split("/"))
    return load_catalogue().operation_for(endpoint.method, path)


def rights(endpoint: Endpoint) -> set[Permission]:
    return {Permission(t, a) for t, a in endpoint.needs}


def ids(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"


CALLED = [e for e in endpoint_table() if known(e) is not None]


@pytest.mark.parametrize("endpoint", CALLED, ids=ids)
def test_the_emulator_asks_for_the_same_right(endpoint):
    operation = known(endpoint)
    assert set(operation.any_of) == rights(endpoint)
    if endpoint.needs and operation.name.partition(".")[0] != "department":
        assert REACH[endpoint.scope] is operation.reach


@pytest.mark.parametrize("version", VERSIONS)
def test_every_operation_of_the_catalogue_is_served(version):
    table = endpoint_table(version)
    served = {operation.name for e in table if (operation := known(e)) is not None}
    wanted = {
        o.name
        for o in load_catalogue().operations.values()
        if applies(o.since, o.until, parse_version(version))
    }
    assert wanted - served == set()


@pytest.mark.parametrize("version", VERSIONS)
def test_versions_agree(version):
    for endpoint in endpoint_table():
        operation = known(endpoint)
        if operation is None or len(operation.routes) > 1 or not endpoint.needs:
            continue
        types = load_catalogue().resource_types
        exists = any(
            applies(
                types[p.resource_type].since, types[p.resource_type].until, parse_version(version)
            )
            for p in operation.any_of
        )
        if endpoint.served_by(version):
            assert exists, f"{ids(endpoint)} is served by {version}, its resource type is not"


@pytest.mark.parametrize("operation", client_operations(), ids=lambda o: o.name)
def test_the_client_expects_the_same_right(operation):
    path = operation.template.format_map(_Any())
    found = load_catalogue().operation_for(operation.method, path)
    assert found is not None, f"{operation.method} {operation.template} is not in the catalogue"
    if operation.needs is None:
        assert found.any_of == ()
    else:
        assert Permission.parse(operation.needs) in found.any_of
    if operation.needs_legacy is not None:
        assert Permission.parse(operation.needs_legacy) in found.any_of


class _Any(dict):
    def __missing__(self, key: str) -> str:
        return "x"
