"""Service accounts, applications, roles, permission sets and access rules on the wire."""

from __future__ import annotations

import pytest

ACCOUNTS = "/api/v1/service-accounts"
ROLES = "/api/v2/authorization/roles"
RULES = "/api/v1/authorization/access-rules"


def _rule(plane, **changes):
    body = {
        "subjectId": "jo@example.com",
        "subjectType": "user",
        "roleId": 2001,
        "scopeType": "project",
        "scopeId": "1001",
    }
    return plane.admin.post(RULES, json=body | changes)


# -- accounts --------------------------------------------------------------------------------------


def test_the_secret_is_shown_once(plane):
    made = plane.admin.post(ACCOUNTS, json={"name": "zenml-sa"})
    assert made.status_code == 201
    assert set(made.json()) == {"id", "name", "clientId", "clientSecret"}
    got = plane.admin.get(f"{ACCOUNTS}/{made.json()['id']}").json()
    assert made.json()["clientSecret"] not in str(got)
    assert got["lastLogin"] is None
    assert got["tenantId"] == "1"
    assert got["createdBy"] == "emulator-admin"
    listed = plane.admin.get(ACCOUNTS).json()
    assert [row["name"] for row in listed] == ["emulator-admin", "zenml-sa"]


@pytest.mark.parametrize("name", ["A", "a", "1ab", "ab-", "a b", "x" * 256, "", None, 7])
def test_illegal_account_names(plane, name):
    assert plane.admin.post(ACCOUNTS, json={"name": name}).status_code == 400
    assert len(plane.admin.get(ACCOUNTS).json()) == 1


@pytest.mark.parametrize("name", ["ab", "zenml-runai_1", "x" * 255])
def test_legal_account_names_are_unique(plane, name):
    assert plane.admin.post(ACCOUNTS, json={"name": name}).status_code == 201
    assert plane.admin.post(ACCOUNTS, json={"name": name}).status_code == 409


def test_the_rules_of_a_deleted_account_do_not_pass_to_its_namesake(plane):
    account, _ = plane.account("same-name")
    plane.grant(account, plane.role_of("project:read"), "project", "1001")
    plane.admin.delete(f"{ACCOUNTS}/{account['id']}")
    _, namesake = plane.account("same-name")
    assert namesake.get("/api/v1/org-unit/projects").status_code == 403


@pytest.mark.parametrize("key", ["id", "name", "clientId"])
def test_a_rule_may_name_its_account_in_three_ways(plane, key):
    account, caller = plane.account()
    role = plane.role_of("project:read")
    made = _rule(plane, subjectType="service-account", subjectId=account[key], roleId=role)
    assert made.status_code == 201
    assert made.json()["subjectId"] == account[key]
    assert caller.get("/api/v1/org-unit/projects").status_code == 200


def test_applications_are_the_same_under_another_name(make_plane):
    plane = make_plane(version="2.23")
    made = plane.admin.post("/api/v1/apps", json={"name": "old-app"}).json()
    assert set(made) == {"id", "name", "clientId", "secret"}
    assert set(plane.admin.post(f"/api/v1/apps/{made['id']}/secret").json()) == {"secret"}
    account, caller = plane.account()
    researcher = next(
        role
        for role in plane.admin.get("/api/v1/authorization/roles").json()
        if role["name"] == "L1 researcher"
    )
    plane.grant(account, researcher["id"], "project", "1001")
    assert caller.get("/api/v1/org-unit/projects").status_code == 200


@pytest.mark.parametrize(
    "path", [ACCOUNTS, ROLES, "/api/v1/authorization/permission-sets", "/api/v2/token"]
)
def test_2_23_does_not_serve_what_came_later(make_plane, path):
    plane = make_plane(version="2.23")
    assert plane.admin.get(path).status_code == 404
    assert _rule(plane, subjectType="service-account", roleId=5).status_code == 400


# -- roles -----------------------------------------------------------------------------------------


def test_predefined_roles_of_both_versions(plane, make_plane):
    def named(one, path):
        rows = one.admin.get(path).json()
        return {row["name"]: row for row in (rows if isinstance(rows, list) else rows["roles"])}

    current = named(plane, f"{ROLES}?limit=500")
    assert current["AI practitioner"]["deprecated"] is False
    assert current["L1 researcher"]["deprecated"] is True
    held = {
        one["resourceType"]: one["actions"] for one in current["AI practitioner"]["permissions"]
    }
    assert held == {
        "trainings": ["create", "read", "update", "delete"],
        "workloads": ["create", "read", "update", "delete"],
        "project": ["read"],
        "clusters-minimal": ["read"],
        "nodepools-minimal": ["read"],
    }
    legacy = named(make_plane(version="2.23"), "/api/v1/authorization/roles")
    assert "AI practitioner" not in legacy
    entry = legacy["L1 researcher"]["permissions"][0]
    assert set(entry) == {"resourceType", "actions", "displayName", "groupId"}


def test_the_sets_of_predefined_roles_add_up_to_their_permissions(plane):
    sets = {
        one["id"]: one["permissions"]
        for one in plane.admin.get("/api/v1/authorization/permission-sets").json()["permissionSets"]
    }
    for role in plane.admin.get(f"{ROLES}?limit=500").json()["roles"]:
        held = {
            (permission["resourceType"], action)
            for one in role["permissionSets"]
            for permission in sets[one["id"]]
            for action in permission["actions"]
        }
        shown = {
            (permission["resourceType"], action)
            for permission in role["permissions"]
            for action in permission["actions"]
        }
        assert held == shown, role["name"]


def test_a_custom_role_is_the_union_of_its_sets(plane):
    sets = plane.admin.get("/api/v1/authorization/permission-sets").json()["permissionSets"]
    ids = {one["name"]: one["id"] for one in sets}
    body = {
        "name": "submitter",
        "description": "d",
        "permissionSets": [{"id": ids["Trainings use"]}, {"id": ids["Clusters minimal"]}],
    }
    made = plane.admin.post(ROLES, json=body)
    assert made.status_code == 201
    role = made.json()
    assert role["custom"] is True
    assert {one["resourceType"]: one["actions"] for one in role["permissions"]} == {
        "trainings": ["create", "read", "update"],
        "clusters-minimal": ["read"],
    }
    assert plane.admin.post(ROLES, json=body).status_code == 409
    changed = plane.admin.put(f"{ROLES}/{role['id']}", json=body | {"permissionSets": []})
    assert changed.json()["permissions"] == []
    assert plane.admin.delete(f"{ROLES}/{role['id']}").status_code == 204
    assert plane.admin.get(f"{ROLES}/{role['id']}").status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": None},
        {"description": None},
        {"permissionSets": [{"id": "nope"}]},
        {"permissionSets": [{}]},
        {"permissionSets": "x"},
        {"enabled": "yes"},
        {"kubernetesPermissions": {"predefinedRole": "777"}},
    ],
)
def test_bad_roles(plane, change):
    body = {"name": "r", "description": "d", "permissionSets": []} | change
    assert plane.admin.post(ROLES, json=body).status_code == 400


def test_predefined_roles_and_roles_in_use_are_protected(plane):
    body = {"name": "r", "description": "d", "permissionSets": []}
    assert plane.admin.put(f"{ROLES}/1", json=body).status_code == 400
    assert plane.admin.delete(f"{ROLES}/1").status_code == 400
    role = plane.admin.post(ROLES, json=body).json()
    rule = _rule(plane, roleId=role["id"]).json()
    assert plane.admin.delete(f"{ROLES}/{role['id']}").status_code == 400
    plane.admin.delete(f"{RULES}/{rule['id']}")
    assert plane.admin.delete(f"{ROLES}/{role['id']}").status_code == 204


def test_roles_are_found_by_name(plane):
    found = plane.admin.get(ROLES, params={"filterBy": "name==AI practitioner"}).json()
    assert [role["name"] for role in found["roles"]] == ["AI practitioner"]
    custom = plane.admin.get(ROLES, params={"filterBy": "custom==true"}).json()
    assert custom == {"roles": []}


# -- access rules ----------------------------------------------------------------------------------


def test_a_rule_becomes_ready_after_the_delay(make_plane):
    plane = make_plane(async_delay=5)
    rule = _rule(plane).json()
    assert rule["status"]["phase"] == "Creating"
    assert rule["clusterId"] == plane.cluster_id
    plane.advance(5)
    got = plane.admin.get(f"{RULES}/{rule['id']}").json()
    assert got["status"]["phase"] == "Ready"
    assert got["scopePath"].endswith("/101/1001")


def test_deleted_rules_are_kept_aside(plane):
    rule = _rule(plane).json()
    assert plane.admin.delete(f"{RULES}/{rule['id']}").status_code == 204
    assert plane.admin.delete(f"{RULES}/{rule['id']}").status_code == 404
    assert plane.admin.get(f"{RULES}/{rule['id']}").status_code == 404
    assert plane.admin.get(RULES).json()["totalRecords"] == 1
    everything = plane.admin.get(RULES, params={"includeDeleted": "true"}).json()
    assert [one["deletedAt"] is None for one in everything["accessRules"]] == [True, False]
    assert _rule(plane).status_code == 201


def test_a_duplicate_rule_conflicts(plane):
    assert _rule(plane).status_code == 201
    assert _rule(plane).status_code == 409
    assert _rule(plane, scopeId="1002").status_code == 201


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"roleId": 99999}, 404),
        ({"roleId": "5"}, 400),
        ({"roleId": True}, 400),
        ({"scopeId": "4"}, 404),
        ({"scopeId": 1001}, 400),
        ({"scopeType": "galaxy"}, 400),
        ({"subjectType": "robot"}, 400),
        ({"subjectId": ""}, 400),
        ({"subjectType": "service-account", "subjectId": "ghost"}, 404),
        ({"clusterId": "00000000-0000-0000-0000-000000000000"}, 400),
    ],
)
def test_bad_rules(plane, change, status):
    assert _rule(plane, **change).status_code == status
    assert plane.admin.get(RULES).json()["totalRecords"] == 1


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"subjectIds": "a@x,b@x"}, 2),
        ({"filterBy": "subjectId==a@x"}, 1),
        ({"filterBy": "subjectId=^a,scopeId==1001"}, 1),
        ({"filterBy": "subjectId=^a,scopeId==1002"}, 0),
        ({"filterBy": "roleName=@practitioner"}, 3),
        ({"filterBy": "phase!=Ready"}, 0),
        ({"search": "B@X"}, 1),
        ({"scopeId": "1001", "subjectType": "user"}, 3),
        ({"roleId": "1"}, 1),
    ],
)
def test_lists_of_rules_can_be_narrowed(plane, query, count):
    for name in ("a@x", "b@x", "c@x"):
        _rule(plane, subjectId=name)
    answer = plane.admin.get(RULES, params=query).json()
    assert answer["totalRecords"] == answer["displayRecords"] == count
    if not set(query) - {"filterBy", "search"}:
        assert plane.admin.get(f"{RULES}/count", params=query).json() == {"count": count}


def test_batches_report_each_failure(plane):
    payload = {
        "roleId": 2001,
        "subjects": [
            {"subjectId": "a@x", "subjectType": "user"},
            {"subjectId": "b@x", "subjectType": "user"},
        ],
        "scopes": [
            {"scopeId": "1001", "scopeType": "project"},
            {"scopeId": "9", "scopeType": "project"},
        ],
    }
    made = plane.admin.post(f"{RULES}/batch-create", json={"payload": payload})
    assert made.status_code == 200
    assert len(made.json()["succeeded"]) == 2
    assert {one["code"] for one in made.json()["failed"]} == {404}
    ids = [str(one["id"]) for one in made.json()["succeeded"]]
    dry = plane.admin.post(
        f"{RULES}/batch", json={"ids": [*ids, "77"], "action": "validate_delete"}
    ).json()
    assert (dry["succeeded"], [one["id"] for one in dry["failed"]]) == (ids, ["77"])
    assert plane.admin.get(RULES).json()["totalRecords"] == 3
    plane.admin.post(f"{RULES}/batch", json={"ids": ids, "action": "delete"})
    assert plane.admin.get(RULES).json()["totalRecords"] == 1


def test_callers_see_their_own_rules(plane):
    account, caller = plane.account()
    plane.grant(account, 2001, "project", "1001")
    nested = caller.get("/api/v1/authorization/me/access-rules").json()["accessRules"]
    assert nested["totalRecords"] == 1
    assert nested["accessRules"][0]["roleName"] == "AI practitioner"
    assert caller.get("/api/v1/authorization/me/access-rules/count").json() == {"count": 1}
