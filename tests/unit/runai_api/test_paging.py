"""Lists in all the API's ways of paging, and filters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from runai_api import AmbiguousName, InvalidArgument, InvalidResponse, RunaiClient, _constants

from .conftest import Wire

PROJECTS = "/api/v1/org-unit/projects"
RULES = "/api/v1/authorization/access-rules"
POOLS = "/api/v1/node-pools"
TEMPLATES = "/api/v1/workload-templates"
WORKLOADS = "/api/v1/workloads"
ROLES = "/api/v2/authorization/roles"


def project(number: int, **fields: Any) -> dict[str, Any]:
    return {"id": str(number), "name": f"p{number}", "clusterId": "c", **fields}


def rule(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "subjectId": "bot",
        "subjectType": "service-account",
        "roleId": 5,
        "scopeId": "1",
        "scopeType": "project",
    }


def pool(number: int) -> dict[str, Any]:
    return {"id": str(number), "name": f"n{number}", "clusterId": "c"}


def template(number: int) -> dict[str, Any]:
    return {"meta": {"id": str(number), "name": f"t{number}"}, "spec": {}}


def pages(
    total: int, item: Callable[[int], Any], wrap: Callable[[list[Any], int, int], Any], cap: int
) -> Callable[[httpx.Request], httpx.Response]:
    """A server side of paging; `cap` is its own largest page."""

    def answer(request: httpx.Request) -> httpx.Response:
        offset = int(request.url.params.get("offset", 0))
        size = min(int(request.url.params.get("limit", 50)), cap)
        rows = [item(number) for number in range(offset, min(total, offset + size))]
        return httpx.Response(200, json=wrap(rows, offset, total))

    return answer


def by_next(rows: list[Any], offset: int, total: int) -> dict[str, Any]:
    end = offset + len(rows)
    return {"projects": rows, **({"next": end} if end < total else {})}


def by_total(rows: list[Any], offset: int, total: int) -> dict[str, Any]:
    return {"accessRules": rows, "totalRecords": total, "displayRecords": len(rows)}


def by_pagination(rows: list[Any], offset: int, total: int) -> dict[str, Any]:
    end = offset + len(rows)
    following = {"nextOffset": end} if end < total else {}
    return {"entries": rows, "pagination": {"limit": 500, "offset": offset, **following}}


def unmarked(rows: list[Any], offset: int, total: int) -> dict[str, Any]:
    return {"nodepools": rows}


WAYS: dict[str, tuple[str, Any, Any, Callable[[RunaiClient], Any], Callable[[Any], int]]] = {
    "next": (PROJECTS, project, by_next, lambda c: c.projects.list(), lambda row: int(row.id)),
    "totalRecords": (RULES, rule, by_total, lambda c: c.access_rules.list(), lambda row: row.id),
    "nextOffset": (
        TEMPLATES,
        template,
        by_pagination,
        lambda c: c.workload_templates.list(),
        lambda row: int(row.id),
    ),
    "unmarked": (POOLS, pool, unmarked, lambda c: c.node_pools.list(), lambda row: int(row.id)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("total", [0, 1, 499, 500, 501, 1000, 1234])
def test_all_rows_come_once_and_in_order(
    wire: Wire, client: RunaiClient, way: str, total: int
) -> None:
    path, item, wrap, call, number = WAYS[way]
    wire.on("GET", path, pages(total, item, wrap, cap=500))
    assert [number(row) for row in call(client)] == list(range(total))
    asked = len(wire.sent("GET", path))
    full_last_page = way == "unmarked" and total % 500 == 0 and total > 0
    assert asked == max(1, -(-total // 500)) + full_last_page
    assert wire.sent("GET", path)[0].url.params["limit"] == "500"
    assert "offset" not in wire.sent("GET", path)[0].url.params


@pytest.mark.parametrize("way", ["next", "totalRecords", "nextOffset"])
def test_a_server_with_smaller_pages_is_followed(wire: Wire, client: RunaiClient, way: str) -> None:
    path, item, wrap, call, number = WAYS[way]
    wire.on("GET", path, pages(120, item, wrap, cap=50))
    assert [number(row) for row in call(client)] == list(range(120))
    assert len(wire.sent("GET", path)) == 3


@pytest.mark.parametrize("value", [None, "", 0])
def test_an_empty_next_is_the_end(wire: Wire, client: RunaiClient, value: Any) -> None:
    wire.json("GET", PROJECTS, {"projects": [project(1)], "next": value})
    assert len(client.projects.list()) == 1
    assert len(wire.sent("GET", PROJECTS)) == 1


def test_next_may_be_text(wire: Wire, client: RunaiClient) -> None:
    first = httpx.Response(200, json={"projects": [project(1)], "next": "1"})
    wire.on("GET", PROJECTS, first, httpx.Response(200, json={"projects": [project(2)]}))
    assert [unit.id for unit in client.projects.list()] == ["1", "2"]


@pytest.mark.parametrize("value", ["soon", -1, True, [], {}, 1.5])
def test_a_next_that_makes_no_sense_is_a_typed_error(
    wire: Wire, client: RunaiClient, value: Any
) -> None:
    wire.json("GET", PROJECTS, {"projects": [project(1)], "next": value})
    with pytest.raises(InvalidResponse, match="next page"):
        client.projects.list()


def test_paging_that_goes_round_is_stopped(wire: Wire, client: RunaiClient) -> None:
    wire.json("GET", PROJECTS, {"projects": [project(1)], "next": 1})
    with pytest.raises(InvalidResponse, match="further on"):
        client.projects.list()
    assert len(wire.sent("GET", PROJECTS)) == 2


def test_an_empty_page_ends_the_list(wire: Wire, client: RunaiClient) -> None:
    wire.on(
        "GET", RULES, lambda r: httpx.Response(200, json=by_total([], 0, 10)), httpx.Response(500)
    )
    assert client.access_rules.list() == []


def test_endless_lists_are_given_up(
    wire: Wire, client: RunaiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_constants, "MAX_PAGES", 3)
    wire.on("GET", PROJECTS, pages(10**9, project, by_next, cap=2))
    with pytest.raises(InvalidResponse, match="more than 3 pages"):
        client.projects.list()


@pytest.mark.parametrize(
    ("limit", "sizes"), [(1, [1]), (50, [50]), (500, [500]), (700, [500, 500])]
)
def test_a_limit_bounds_rows_and_requests(
    wire: Wire, client: RunaiClient, limit: int, sizes: list[int]
) -> None:
    def workload(number: int) -> dict[str, Any]:
        return {
            "id": str(number),
            "name": "w",
            "type": "Training",
            "phase": "Running",
            "projectId": 1,
        }

    def wrap(rows: list[Any], offset: int, total: int) -> dict[str, Any]:
        return {"workloads": rows, "next": offset + len(rows)}

    wire.on("GET", WORKLOADS, pages(5000, workload, wrap, cap=500))
    assert len(client.workloads.list(limit=limit)) == limit
    assert [int(r.url.params["limit"]) for r in wire.sent("GET", WORKLOADS)] == sizes


@pytest.mark.parametrize("limit", [0, -1])
def test_impossible_limits_are_refused(client: RunaiClient, limit: int) -> None:
    with pytest.raises(InvalidArgument):
        client.workloads.list(limit=limit)


# --- names and filters


def test_a_name_is_looked_up_in_one_request(wire: Wire, client: RunaiClient) -> None:
    rows = [project(1, name="ml-team"), project(2, name="ml-team-2"), project(3, name="ML-team")]
    wire.json("GET", PROJECTS, {"projects": rows})
    found = client.projects.find("ml-team")
    assert found is not None
    assert found.id == "1"
    assert wire.query() == {"filterBy": "name==ml-team", "limit": "500"}
    assert len(wire.sent("GET", PROJECTS)) == 1


def test_a_filter_is_not_trusted(wire: Wire, client: RunaiClient) -> None:
    wire.json("GET", PROJECTS, {"projects": [project(1, name="ml-team-2")]})
    assert client.projects.find("ml-team") is None


def test_a_shared_name_is_never_guessed(wire: Wire, client: RunaiClient) -> None:
    rows = [project(1, name="a", clusterId="c1"), project(2, name="a", clusterId="c2")]
    wire.json("GET", PROJECTS, {"projects": rows})
    with pytest.raises(AmbiguousName, match="Give cluster_id") as caught:
        client.projects.find("a")
    assert caught.value.ids == ("1", "2")
    found = client.projects.find("a", cluster_id="c2")
    assert found is not None
    assert found.id == "2"
    assert wire.query()["filterBy"] == "name==a,clusterId==c2"


def test_a_comma_in_a_name_is_searched_for_and_compared(wire: Wire, client: RunaiClient) -> None:
    name = "Data, storage and more"
    rows = [
        {"id": 1, "name": "storage and more"},
        {"id": 2, "name": name},
        {"id": 3, "name": "Data"},
    ]
    wire.json("GET", ROLES, {"roles": rows})
    found = client.roles.find(name)
    assert found is not None
    assert found.id == 2
    assert wire.query() == {"search": "storage and more", "limit": "500"}


@pytest.mark.parametrize("name", ["a=b", "a==b", "a&b", "a b", "a+b", "ü", "a%2Cb", "<=x", "a#b"])
def test_odd_names_arrive_as_they_are(wire: Wire, client: RunaiClient, name: str) -> None:
    wire.json("GET", ROLES, {"roles": [{"id": 7, "name": name}]})
    found = client.roles.find(name)
    assert found is not None
    assert wire.query()["filterBy"] == f"name=={name}"


def test_an_empty_name_is_refused(wire: Wire, client: RunaiClient) -> None:
    with pytest.raises(InvalidArgument):
        client.projects.find("")
    assert wire.requests == []


@pytest.mark.parametrize(
    "bad",
    [
        ["name==a,b"],
        ["name"],
        ["name="],
        ["name=="],
        ["name ==a"],
        ["==a"],
        ["name=a"],
        ["phase==Running", "x y==1"],
        "name==a",
    ],
)
def test_filters_that_would_mean_something_else_are_refused(
    wire: Wire, client: RunaiClient, bad: Any
) -> None:
    with pytest.raises(InvalidArgument):
        client.workloads.list(filter_by=bad)
    with pytest.raises(InvalidArgument):
        client.workloads.count(filter_by=bad)
    assert wire.requests == []


def test_filters_are_joined_by_commas(wire: Wire, client: RunaiClient) -> None:
    wire.json("GET", WORKLOADS, {"workloads": []})
    since = "phaseUpdatedAt>=2026-01-01T00:00:00+01:00"
    client.workloads.list(filter_by=["projectId==4500001", since], sort_by="name", search="x")
    assert wire.query() == {
        "filterBy": f"projectId==4500001,{since}",
        "sortBy": "name",
        "search": "x",
        "limit": "500",
    }
    assert "%2B01%3A00" in wire.requests[-1].url.query.decode()


def test_subjects_with_a_comma_are_refused(wire: Wire, client: RunaiClient) -> None:
    with pytest.raises(InvalidArgument, match="commas"):
        client.access_rules.list(subject_ids=["a,b"])
    assert wire.requests == []


def test_rules_are_compared_in_every_part(wire: Wire, client: RunaiClient) -> None:
    wanted = rule(7)
    others = [
        {**rule(1), "subjectId": "bot-2"},
        {**rule(2), "roleId": 6},
        {**rule(3), "scopeId": "2"},
        {**rule(4), "scopeType": "department"},
        {**rule(5), "deletedAt": "2026-01-01T00:00:00Z"},
    ]
    find = client.access_rules.find
    wire.json("GET", RULES, {"accessRules": others, "totalRecords": 5})
    assert find("bot", 5, "project", "1") is None
    rows = [*others, rule(8), wanted]
    wire.json("GET", RULES, {"accessRules": rows, "totalRecords": 7})
    found = find("bot", 5, "project", "1")
    assert found is not None
    assert found.id == 7
    assert wire.query() == {
        "subjectIds": "bot",
        "scopeId": "1",
        "filterBy": "scopeType==project,roleId==5",
        "limit": "500",
    }
    wire.json("GET", RULES, {"accessRules": [wanted, {**rule(9), "subjectType": "user"}]})
    with pytest.raises(AmbiguousName, match="subject_type"):
        find("bot", 5, "project", "1")
    chosen = find("bot", 5, "project", "1", subject_type="user")
    assert chosen is not None
    assert chosen.id == 9
