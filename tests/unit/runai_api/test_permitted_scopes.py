"""Whether a right reaches a project, from the scopes at which it was granted."""

from __future__ import annotations

from typing import Any

import pytest

from runai_api import Department, InvalidArgument, Project, RunaiClient

from .conftest import Wire

SCOPES = "/api/v1/authorization/permitted-scopes"
PROJECT = Project.model_validate(
    {
        "id": "7",
        "name": "p",
        "clusterId": "c",
        "parentId": "d",
        "parent": {"id": "d", "parent": {"id": "above", "parent": None}},
    }
)


@pytest.mark.parametrize(
    ("granted", "reaches"),
    [
        ({}, False),
        (None, False),
        ({"system": False, "tenants": [], "clusters": None, "projects": None}, False),
        ({"system": True}, True),
        ({"tenants": ["1"]}, True),
        ({"tenant": "1"}, True),
        ({"clusters": ["c"]}, True),
        ({"clusters": ["other"]}, False),
        ({"departments": ["d"]}, True),
        ({"departments": ["above"]}, True),
        ({"departments": ["7"]}, False),  # a department's 7, not the project's
        ({"departments": ["other"]}, False),
        ({"projects": ["7"]}, True),
        ({"projects": [7]}, True),
        ({"projects": ["77", "d"]}, False),
    ],
)
def test_a_right_covers_what_lies_beneath_its_scopes(
    wire: Wire, client: RunaiClient, granted: dict[str, Any] | None, reaches: bool
) -> None:
    wire.json("POST", SCOPES, {"create": granted, "read": {"system": not reaches}})
    scopes = client.permissions.permitted_scopes("trainings", "create")
    assert wire.body() == {"resourceType": "trainings", "action": "create"}
    assert scopes.permits(PROJECT) is reaches
    assert scopes.of("read").covers(PROJECT) is not reaches


def test_departments_are_covered_by_themselves_and_what_is_above(
    wire: Wire, client: RunaiClient
) -> None:
    unit = Department.model_validate({"id": "7", "name": "d", "clusterId": "c", "parentId": "8"})
    for granted, reaches in (
        ({"departments": ["7"]}, True),
        ({"departments": ["8"]}, True),
        ({"projects": ["7", "8"]}, False),
        ({"clusters": ["c"]}, True),
    ):
        wire.json("POST", SCOPES, {"read": granted})
        assert client.permissions.permitted_scopes("department", "read").permits(unit) is reaches


def test_without_an_action_all_are_asked_for(wire: Wire, client: RunaiClient) -> None:
    wire.json("POST", SCOPES, {"update": {"projects": ["7"]}, "delete": {}})
    scopes = client.permissions.permitted_scopes("trainings")
    assert wire.body() == {"resourceType": "trainings"}
    assert scopes.permits(PROJECT, "update")
    assert not scopes.permits(PROJECT, "delete")
    assert not scopes.permits(PROJECT, "create")
    with pytest.raises(InvalidArgument, match="which action"):
        scopes.permits(PROJECT)


def test_scopes_of_another_action_are_not_guessed(wire: Wire, client: RunaiClient) -> None:
    wire.json("POST", SCOPES, {"create": {"system": True}})
    scopes = client.permissions.permitted_scopes("trainings", "create")
    with pytest.raises(InvalidArgument, match="Only the scopes of 'create'"):
        scopes.permits(PROJECT, "delete")


@pytest.mark.parametrize("action", ["fly", "", "Create"])
def test_unknown_actions_are_refused(wire: Wire, client: RunaiClient, action: str) -> None:
    with pytest.raises(InvalidArgument):
        client.permissions.permitted_scopes("trainings", action)
    assert wire.requests == []
