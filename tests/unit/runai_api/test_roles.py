"""Which of the two roles APIs answers, and what counts as the role of a name."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from runai_api import ConfigurationError, InvalidArgument, NotFound, RunaiClient, ServerError

from .conftest import Wire

V2 = "/api/v2/authorization/roles"
V1 = "/api/v1/authorization/roles"


def role(number: int, name: str = "r", **fields: Any) -> dict[str, Any]:
    return {"id": number, "name": name, **fields}


def test_deleted_roles_do_not_count(wire: Wire, client: RunaiClient) -> None:
    gone = role(1, deletedAt="2026-01-01T00:00:00Z")
    wire.json("GET", V2, {"roles": [gone, role(2, deletedAt=None)]})
    found = client.roles.find("r")
    assert found is not None
    assert found.id == 2
    wire.json("GET", V2, {"roles": [gone]})
    assert client.roles.find("r") is None


@pytest.mark.parametrize("status", [404, 405])
@pytest.mark.parametrize("call", ["find", "list"])
def test_a_control_plane_between_the_two_is_read_by_v1(
    wire: Wire, client: RunaiClient, status: int, call: str
) -> None:
    wire.on("GET", V2, httpx.Response(status))
    wire.json("GET", V1, [role(1), role(2, "other")])
    wire.json("GET", f"{V1}/1", role(1))
    for _ in range(2):
        if call == "find":
            found = client.roles.find("r")
            assert found is not None
            assert found.id == 1
        else:
            assert [entry.id for entry in client.roles.list()] == [1, 2]
    assert len(wire.sent("GET", V2)) == 1  # asked once, then remembered
    assert client.roles.get(1).name == "r"
    with pytest.raises(ConfigurationError, match=r"2\.24"):
        client.roles.create("r", "d", ["1"])


def test_other_failures_do_not_lead_to_v1(wire: Wire, client: RunaiClient) -> None:
    wire.on("GET", V2, httpx.Response(500))
    for call in (client.roles.list, lambda: client.roles.find("r")):
        with pytest.raises(ServerError):
            call()
    assert wire.sent("GET", V1) == []


def test_a_role_that_v1_knows_is_not_taken_for_deleted(wire: Wire, client: RunaiClient) -> None:
    wire.json("GET", f"{V1}/9", role(9))
    assert client.roles.get(9).id == 9
    assert client.roles.get(9).id == 9
    assert len(wire.sent("GET", f"{V2}/9")) == 1


@pytest.mark.parametrize("status", [403, 404, 405, 410])
def test_a_missing_role_is_missing_whatever_v1_says(
    wire: Wire, client: RunaiClient, status: int
) -> None:
    wire.on("GET", f"{V1}/9", httpx.Response(status))
    with pytest.raises(NotFound) as caught:
        client.roles.get(9)
    assert caught.value.path == f"{V2}/9"
    assert len(wire.sent("GET", f"{V1}/9")) == 1
    wire.json("GET", f"{V2}/8", role(8))
    assert client.roles.get(8).id == 8


def test_filters_are_never_dropped_silently(wire: Wire, client: RunaiClient) -> None:
    wire.on("GET", V2, httpx.Response(404))
    wire.json("GET", V1, [role(1)])
    with pytest.raises(NotFound):
        client.roles.list(filter_by=["custom==true"])
    client.roles.list()
    with pytest.raises(InvalidArgument, match=r"2\.24"):
        client.roles.list(search="r")
