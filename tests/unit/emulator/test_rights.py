"""Rights, by table: every endpoint refuses without the right and works with it."""

from __future__ import annotations

import pytest

from runai_emulator import endpoint_table
from runai_emulator.wire import HANDLERS

RULES = "/api/v1/authorization/access-rules"
PROJECTS = "/api/v1/org-unit/projects"

# What a path parameter stands for among the seeds; others are made up and must not exist.
KNOWN = {
    "clusterUuid": "7d121425-6d47-5edc-a35c-6ce0cc2d1d56",
    "projectId": "1001",
    "departmentId": "101",
    "nodepoolId": "11",
    "roleIdPath": "1",
    "accessRuleId": "1",
}


def _path(endpoint) -> str:
    path = endpoint.path
    for name in [part[1:-1] for part in path.split("/") if part.startswith("{")]:
        path = path.replace(f"{{{name}}}", KNOWN.get(name, "00000000-0000-0000-0000-000000000000"))
    return path


GUARDED = [endpoint for endpoint in endpoint_table("2.24") if endpoint.needs]


def test_every_endpoint_has_a_handler_and_the_other_way_round(plane):
    assert {(one.method, one.path) for one in endpoint_table()} == set(HANDLERS)


@pytest.mark.parametrize("endpoint", GUARDED, ids=lambda one: f"{one.method} {one.path}")
def test_without_any_right_every_endpoint_refuses(plane, endpoint):
    _, nobody = plane.account()
    answer = nobody.request(endpoint.method, _path(endpoint), json={})
    assert answer.status_code == 403, answer.text
    assert answer.json() == {"code": 403, "message": "You do not have sufficient permissions."}


@pytest.mark.parametrize("endpoint", GUARDED, ids=lambda one: f"{one.method} {one.path}")
def test_the_right_of_the_table_is_enough_to_pass_the_guard(plane, endpoint):
    for resource, action in endpoint.needs:
        caller = plane.with_rights(f"{resource}:{action}", scope_type="tenant", scope_id="1")
        answer = caller.request(endpoint.method, _path(endpoint), json={})
        assert answer.status_code not in (401, 403, 500), answer.text


@pytest.mark.parametrize("endpoint", GUARDED, ids=lambda one: f"{one.method} {one.path}")
def test_another_right_does_not_help(plane, endpoint):
    caller = plane.with_rights("branding-settings:update", scope_type="tenant", scope_id="1")
    assert caller.request(endpoint.method, _path(endpoint), json={}).status_code == 403


# -- scopes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope_type", "scope_id", "seen"),
    [
        ("tenant", "1", {"1001", "1002"}),
        ("cluster", KNOWN["clusterUuid"], {"1001", "1002"}),
        ("department", "101", {"1001", "1002"}),
        ("project", "1001", {"1001"}),
        ("project", "1002", {"1002"}),
    ],
)
def test_a_rule_covers_what_lies_beneath_its_scope(plane, scope_type, scope_id, seen):
    caller = plane.with_rights("project:read", scope_type=scope_type, scope_id=scope_id)
    assert {row["id"] for row in caller.get(PROJECTS).json()["projects"]} == seen
    for key in ("1001", "1002"):
        expected = 200 if key in seen else 403
        assert caller.get(f"{PROJECTS}/{key}").status_code == expected


def test_a_later_project_is_covered_too(plane):
    caller = plane.with_rights("project:read", scope_type="department", scope_id="101")
    made = plane.admin.post(
        PROJECTS, json={"name": "late", "clusterId": plane.cluster_id, "resources": []}
    ).json()
    assert caller.get(f"{PROJECTS}/{made['id']}").status_code == 200


def test_rights_are_the_union_of_the_rules(plane):
    account, caller = plane.account()
    plane.grant(account, plane.role_of("project:read"), "project", "1001")
    plane.grant(account, plane.role_of("project:read"), "project", "1002")
    assert len(caller.get(PROJECTS).json()["projects"]) == 2
    rule = plane.admin.get(RULES, params={"scopeId": "1002"}).json()["accessRules"][0]
    plane.admin.delete(f"{RULES}/{rule['id']}")
    assert [row["id"] for row in caller.get(PROJECTS).json()["projects"]] == ["1001"]


def test_unknown_objects_are_404_and_hidden_ones_403(plane):
    caller = plane.with_rights("project:read")
    assert caller.get(f"{PROJECTS}/1002").status_code == 403
    assert caller.get(f"{PROJECTS}/9999").status_code == 404


def test_hidden_objects_can_be_404(make_plane):
    plane = make_plane(hide_forbidden=True)
    assert plane.with_rights("project:read").get(f"{PROJECTS}/1002").status_code == 404


def test_the_minimal_rights_resolve_clusters_and_node_pools_from_a_project(plane):
    caller = plane.with_rights("clusters-minimal:read", "nodepools-minimal:read")
    assert len(caller.get("/api/v1/clusters").json()) == 1
    assert len(caller.get("/api/v1/node-pools").json()["nodepools"]) == 2
    assert caller.get("/api/v1/org-unit/departments").status_code == 403


def test_the_missing_right_is_in_a_header_for_whoever_debugs(plane):
    answer = plane.with_rights("project:read").delete(f"{PROJECTS}/1001")
    assert answer.headers["x-emulator-missing"] == "project:delete anywhere"


@pytest.mark.parametrize("switch", ["disable", "enable"])
def test_a_disabled_role_grants_nothing(plane, switch):
    account, caller = plane.account()
    role = plane.role_of("project:read")
    plane.grant(account, role, "project", "1001")
    plane.admin.post(f"/api/v2/authorization/roles/{role}/disable", json={})
    if switch == "enable":
        plane.admin.post(f"/api/v2/authorization/roles/{role}/enable", json={})
    assert caller.get(PROJECTS).status_code == (403 if switch == "disable" else 200)


# -- no privilege escalation -----------------------------------------------------------------------

GRANTER = ("access_rules:create", "access_rules:read", "project:read", "trainings:create")


@pytest.mark.parametrize(
    ("granted", "scope", "status"),
    [
        (("project:read",), ("project", "1001"), 201),
        (("project:read", "trainings:create"), ("project", "1001"), 201),
        (("trainings:delete",), ("project", "1001"), 403),
        (("project:read",), ("project", "1002"), 403),
        (("project:read",), ("department", "101"), 403),
        (("project:read",), ("tenant", "1"), 403),
    ],
)
def test_nobody_grants_what_is_not_held(plane, granted, scope, status):
    caller = plane.with_rights(*GRANTER)
    answer = caller.post(
        RULES,
        json={
            "subjectId": "someone@example.com",
            "subjectType": "user",
            "roleId": plane.role_of(*granted),
            "scopeType": scope[0],
            "scopeId": scope[1],
        },
    )
    assert answer.status_code == status, answer.text


def test_full_cluster_rights_cover_the_minimal_ones_when_granting(plane):
    caller = plane.with_rights("access_rules:create", "cluster:read", "nodepools:read")
    body = {
        "subjectId": "x",
        "subjectType": "user",
        "roleId": plane.role_of("clusters-minimal:read", "nodepools-minimal:read"),
        "scopeType": "project",
        "scopeId": "1001",
    }
    assert caller.post(RULES, json=body).status_code == 201


def test_nobody_makes_or_widens_a_role_beyond_the_own_rights(plane):
    sets = plane.admin.get("/api/v1/authorization/permission-sets").json()["permissionSets"]
    by_name = {one["name"]: one["id"] for one in sets}
    caller = plane.with_rights(
        "roles:create", "roles:update", "trainings:read", scope_type="tenant", scope_id="1"
    )
    body = {"name": "mine", "description": ""}
    path = "/api/v2/authorization/roles"
    narrow = {"permissionSets": [{"id": by_name["Trainings view"]}]}
    wide = {"permissionSets": [{"id": by_name["Trainings manage"]}]}
    assert caller.post(path, json=body | wide).status_code == 403
    made = caller.post(path, json=body | narrow)
    assert made.status_code == 201
    assert caller.put(f"{path}/{made.json()['id']}", json=body | wide).status_code == 403


# -- self-inspection -------------------------------------------------------------------------------


def test_permissions_and_permitted_scopes_tell_what_rules_grant(plane):
    account, caller = plane.account()
    assert caller.get("/api/v1/authorization/permissions").json() == []
    plane.grant(account, plane.role_of("trainings:create"), "project", "1001")
    plane.grant(account, plane.role_of("trainings:read"), "department", "101")
    (entry,) = caller.get("/api/v1/authorization/permissions").json()
    assert entry["resourceType"] == "trainings"
    assert entry["actions"] == ["create", "read"]
    scopes = caller.post(
        "/api/v1/authorization/permitted-scopes", json={"resourceType": "trainings"}
    ).json()
    assert scopes["create"]["projects"] == ["1001"]
    assert scopes["create"]["departments"] == []
    assert scopes["read"]["departments"] == ["101"]
    one = caller.post(
        "/api/v1/authorization/permitted-scopes",
        json={"resourceType": "trainings", "action": "create"},
    ).json()
    assert one["create"]["projects"] == ["1001"]
    assert one["read"] == {}
    unknown = caller.post("/api/v1/authorization/permitted-scopes", json={"resourceType": "x"})
    assert unknown.status_code == 400
