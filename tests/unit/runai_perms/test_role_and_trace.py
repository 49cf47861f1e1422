"""Roles as code, traces as needs, request budgets."""

from __future__ import annotations

import inspect
import json

import pytest

from runai_perms import PermissionSet, UsageError, load_catalogue
from runai_perms._model import Permission
from runai_perms._role import as_json, as_pulumi, plan_role
from runai_perms._trace import read_trace, summarise


def all_sets() -> list[PermissionSet]:
    needs = load_catalogue().needs("step-operator")
    return [
        PermissionSet(f"id {n.permission}", f"{n.permission}", frozenset({n.permission}))
        for n in needs
    ]


def test_pulumi_code_fits_the_resource():
    from provision.resources import CustomRole

    plan = plan_role("narrow", load_catalogue().needs("step-operator"), all_sets())
    code = as_pulumi(plan, "step-operator", ["node_pools"])
    seen = {}

    def record(*arguments, **named):
        inspect.signature(CustomRole.__init__).bind(None, *arguments, **named)
        seen.update(named)

    body = code.partition("\n")[2]
    exec(body, {"CustomRole": record})  # noqa: S102
    assert code.startswith("from provision.resources import CustomRole\n")
    assert seen["profiles"] == ["step-operator"]
    assert seen["features"] == ["node_pools"]


def test_pulumi_code_only_for_profiles_that_the_resource_knows():
    plan = plan_role("narrow", load_catalogue().needs("step-operator"), all_sets())
    with pytest.raises(UsageError, match="--format json"):
        as_pulumi(plan, "a recorded run", [])


def test_json_is_the_body_of_the_api():
    plan = plan_role("narrow", load_catalogue().needs("step-operator"), all_sets())
    body = json.loads(as_json(plan))
    assert body.keys() == {"name", "description", "permissionSets"}
    assert len(body["permissionSets"]) == 6


def test_nothing_needed_is_no_role():
    with pytest.raises(UsageError, match="no role"):
        plan_role("empty", [], [])


def entry(method: str, path: str, status: int | None = 200) -> dict[str, object]:
    return {"method": method, "path": path, "status": status}


def test_a_trace_maps_requests_to_permissions():
    trace = summarise(
        [
            entry("POST", "/api/v2/token"),
            entry("GET", "/api/v1/org-unit/projects"),
            entry("GET", "/api/v1/workloads"),
            entry("GET", "/api/v1/workloads/0f1c"),
            entry("DELETE", "/api/v1/workloads/trainings/0f1c", 403),
            entry("GET", "/api/v9/unheard-of"),
            entry("POST", "/api/v1/workloads/batch"),
        ]
    )
    assert trace.requests == 7
    assert {str(u.permission): u.refused for u in trace.uses} == {
        "project:read": 0,
        "workloads:read": 0,
        "trainings:delete": 1,
    }
    assert trace.unknown == {"GET /api/v9/unheard-of": 1, "POST /api/v1/workloads/batch": 1}
    assert {n.permission for n in trace.needs} == {u.permission for u in trace.uses}
    assert Permission.parse("project:read") in {n.permission for n in trace.needs}


@pytest.mark.parametrize("line", ["not json", "[]", '{"method": "GET"}', "3"])
def test_a_file_that_is_no_log_is_refused_with_its_line(tmp_path, line):
    path = tmp_path / "log.jsonl"
    path.write_text('{"method": "GET", "path": "/x"}\n\n' + line + "\n")
    with pytest.raises(UsageError, match="line 3"):
        read_trace(path)


def test_an_empty_log_is_an_empty_trace(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("")
    assert read_trace(path).requests == 0
