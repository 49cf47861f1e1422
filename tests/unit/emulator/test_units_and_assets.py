"""Clusters, node pools, departments, projects, credentials, data sources, templates."""

from __future__ import annotations

import pytest

PROJECTS = "/api/v1/org-unit/projects"
DEPARTMENTS = "/api/v1/org-unit/departments"
CREDENTIALS = "/api/v1/asset/credentials"
REGISTRY = f"{CREDENTIALS}/docker-registry"
SOURCES = "/api/v1/asset/datasource"
TEMPLATES = "/api/v1/workload-templates"


def _project(plane, name="third", **fields):
    body = {"name": name, "clusterId": plane.cluster_id, "resources": []} | fields
    return plane.admin.post(PROJECTS, json=body)


def _registry(plane, name="registry", scope=None, **spec):
    meta = {"name": name} | (scope or {"scope": "project", "projectId": 1001})
    spec = spec or {"user": "u", "password": "canary-password", "url": "https://r.example.com"}
    return plane.admin.post(REGISTRY, json={"meta": meta, "spec": spec})


# -- projects --------------------------------------------------------------------------------------


def test_a_project_is_made_in_steps(make_plane):
    plane = make_plane(async_delay=5)
    made = _project(plane).json()
    assert made["status"]["phase"] == "Creating"
    assert made["status"]["namespace"] is None
    assert made["parentId"] == "101"
    plane.advance(5)
    ready = plane.admin.get(f"{PROJECTS}/{made['id']}").json()
    assert ready["status"]["phase"] == "Ready"
    assert ready["status"]["namespace"] == "runai-third"
    assert plane.admin.delete(f"{PROJECTS}/{made['id']}").status_code == 202
    assert plane.admin.get(f"{PROJECTS}/{made['id']}").json()["status"]["phase"] == "Deleting"
    plane.advance(5)
    assert plane.admin.get(f"{PROJECTS}/{made['id']}").status_code == 404


def test_project_ids_are_decimal_and_fit_an_int32(plane):
    ids = [row["id"] for row in plane.admin.get(PROJECTS).json()["projects"]]
    ids.append(_project(plane).json()["id"])
    assert all(key.isdigit() and int(key) < 2**31 for key in ids)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"name": "ml-team"}, 409),
        ({"name": "Upper"}, 400),
        ({"name": "x" * 58}, 400),
        ({"name": None}, 400),
        ({"clusterId": "nope"}, 400),
        ({"parentId": "9"}, 400),
        ({"resources": [{"nodePool": {"id": "99"}}]}, 400),
        ({"resources": [{"memory": {"units": "bits"}}]}, 400),
        ({"schedulingRules": {"trainingJobTimeLimitSeconds": 0}}, 400),
    ],
)
def test_bad_projects(plane, change, status):
    body = {"name": "p", "clusterId": plane.cluster_id, "resources": []} | change
    assert plane.admin.post(PROJECTS, json=body).status_code == status
    assert len(plane.admin.get(PROJECTS).json()["projects"]) == 2


def test_quota_can_be_replaced_and_patched(plane):
    path = f"{PROJECTS}/1001/resources"
    pool = {"id": "12", "name": "a100"}
    put = plane.admin.put(path, json=[{"nodePool": pool, "gpu": {"deserved": 3}}])
    assert put.json()[0]["gpu"]["deserved"] == 3
    plane.admin.patch(path, json=[{"nodePool": pool, "gpu": {"limit": 5}}])
    (quota,) = plane.admin.get(f"{PROJECTS}/1001").json()["resources"]
    assert (quota["gpu"]["deserved"], quota["gpu"]["limit"]) == (3, 5)
    assert plane.admin.get(f"{PROJECTS}/1001").json()["totalResources"]["gpuQuota"] == 3


def test_rules_credentials_and_workloads_go_with_their_project(plane):
    project = _project(plane).json()["id"]
    account, _ = plane.account()
    plane.grant(account, 2001, "project", project)
    _registry(plane, scope={"scope": "project", "projectId": int(project)})
    workload = plane.submit(projectId=project)
    plane.admin.delete(f"{PROJECTS}/{project}")
    rules = plane.admin.get("/api/v1/authorization/access-rules", params={"scopeId": project})
    assert rules.json()["totalRecords"] == 0
    assert plane.admin.get(REGISTRY).json()["entries"] == []
    assert plane.admin.get(f"/api/v1/workloads/{workload}").status_code == 404


def test_departments_with_projects_stay(plane):
    made = plane.admin.post(
        DEPARTMENTS, json={"name": "dep", "clusterId": plane.cluster_id, "resources": []}
    ).json()
    project = _project(plane, parentId=made["id"]).json()
    assert project["parent"]["name"] == "dep"
    assert plane.admin.delete(f"{DEPARTMENTS}/{made['id']}").status_code == 400
    plane.admin.delete(f"{PROJECTS}/{project['id']}")
    assert plane.admin.delete(f"{DEPARTMENTS}/{made['id']}").status_code == 204


# -- the list grammar ------------------------------------------------------------------------------


@pytest.fixture
def many(plane):
    for number in range(60):
        _project(plane, f"p-{number:02}")
    return plane


def test_paging_goes_by_next(many):
    seen, offset = [], 0
    while offset is not None:
        page = many.admin.get(PROJECTS, params={"limit": 25, "offset": offset}).json()
        seen += [row["name"] for row in page["projects"]]
        offset = page.get("next")
    assert len(seen) == len(set(seen)) == 62


def test_the_default_page_has_fifty(many):
    page = many.admin.get(PROJECTS).json()
    assert (len(page["projects"]), page["next"]) == (50, 50)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("filterBy=name==p-07", ["p-07"]),
        ("filterBy=name%3D%3Dp-07", ["p-07"]),
        ("filterBy=name=^p-0,name=$7", ["p-07"]),
        ("filterBy=name%3D%5Ep-0%2Cname%3D%247", ["p-07"]),
        ("filterBy=name=^p-0&filterBy=name=$7", ["p-07"]),
        ("filterBy=name=@team&sortBy=name&sortOrder=desc", ["other-team", "ml-team"]),
        ("filterBy=name=@team,name!@other", ["ml-team"]),
        ("filterBy=totalGpuQuota>=5", ["ml-team"]),
        ("filterBy=createdAt<=2001-01-01T00:00:00Z", []),
        ("search=TEAM&sortBy=name", ["ml-team", "other-team"]),
        ("filterBy=name==P-07", []),
    ],
)
def test_filters(many, query, names):
    found = many.admin.get(f"{PROJECTS}?{query}")
    assert found.status_code == 200, found.text
    assert [row["name"] for row in found.json()["projects"]] == names


@pytest.mark.parametrize(
    "query",
    [
        "filterBy=name",
        "filterBy=nonsense==x",
        "filterBy=createdAt==yesterday",
        "filterBy=createdAt=@2024-01-01",
        "filterBy=totalGpuQuota==many",
        "sortBy=nonsense",
        "sortOrder=up",
        "limit=0",
        "limit=501",
        "limit=x",
        "offset=-1",
    ],
)
def test_bad_list_parameters(plane, query):
    assert plane.admin.get(f"{PROJECTS}?{query}").status_code == 400


# -- clusters and node pools -----------------------------------------------------------------------


def test_clusters_are_a_bare_array(plane):
    (cluster,) = plane.admin.get("/api/v1/clusters").json()
    assert (cluster["name"], cluster["version"]) == ("local", "2.24.1")
    assert cluster["status"]["state"] == "Connected"
    (brief,) = plane.admin.get("/api/v1/clusters?verbosity=metadata").json()
    assert "status" not in brief


def test_node_pools(make_plane):
    plane = make_plane(async_delay=5)
    pools = plane.admin.get("/api/v1/node-pools").json()["nodepools"]
    assert [(pool["name"], pool["phase"]) for pool in pools] == [
        ("default", "Ready"),
        ("a100", "Ready"),
    ]
    body = {
        "name": "h100",
        "clusterId": plane.cluster_id,
        "labelKey": "gpu",
        "labelValue": "h100",
    }
    made = plane.admin.post("/api/v1/node-pools", json=body)
    assert (made.status_code, made.json()["phase"]) == (201, "Creating")
    assert plane.admin.post("/api/v1/node-pools", json=body).status_code == 409
    plane.advance(5)
    path = f"/api/v1/node-pools/{made.json()['id']}"
    assert plane.admin.get(path).json()["phase"] == "Empty"
    assert plane.admin.patch(path, json={"labelValue": "x"}).json()["labelValue"] == "x"
    assert plane.admin.delete(path).status_code == 202
    assert plane.admin.delete("/api/v1/node-pools/11").status_code == 400


# -- credentials -----------------------------------------------------------------------------------


def test_a_registry_credential_gets_its_kubernetes_name_when_it_is_there(make_plane):
    plane = make_plane(async_delay=5)
    made = _registry(plane)
    assert made.status_code == 202
    assert made.json()["status"]["status"] == "Creating"
    assert "clusterInfo" not in made.json()
    plane.advance(5)
    path = f"{REGISTRY}/{made.json()['meta']['id']}"
    got = plane.admin.get(path).json()
    assert got["status"]["status"] == "No issues found"
    assert got["clusterInfo"]["resources"][0]["name"] == "dockerregistry-registry"
    assert got["meta"]["projectId"] == 1001
    changed = plane.admin.put(path, json={"meta": {"description": "new"}})
    assert changed.status_code == 202
    assert changed.json()["status"]["status"] == "Updating"
    assert plane.admin.delete(path).status_code == 202
    assert plane.admin.get(path).json()["status"]["status"] == "Deleting"
    plane.advance(5)
    assert plane.admin.get(path).status_code == 404


def test_passwords_never_come_out(plane):
    made = _registry(plane)
    texts = [
        made.text,
        plane.admin.get(f"{REGISTRY}/{made.json()['meta']['id']}").text,
        plane.admin.get(f"{REGISTRY}?statusInfo=true&usageInfo=true").text,
        plane.admin.get(CREDENTIALS).text,
    ]
    assert all("canary-password" not in text for text in texts)


def test_lists_show_status_and_usage_only_when_asked(plane):
    _registry(plane)
    (bare,) = plane.admin.get(REGISTRY).json()["entries"]
    (full,) = plane.admin.get(f"{REGISTRY}?statusInfo=true&usageInfo=true").json()["entries"]
    assert {"status", "usedBy"} & set(bare) == set()
    assert {"status", "usedBy"} <= set(full)


@pytest.mark.parametrize(
    ("scope", "spec"),
    [
        ({"scope": "project"}, {}),
        ({"scope": "project", "projectId": "1001"}, {}),
        ({"scope": "project", "projectId": 9}, {}),
        ({"scope": "village", "projectId": 1001}, {}),
        ({"scope": "department"}, {}),
        (None, {"user": "u"}),
        (None, {"user": "u", "password": "p", "url": "x", "existingSecretName": "s"}),
        (None, {"user": "", "password": "p", "url": "x"}),
    ],
)
def test_bad_credentials(plane, scope, spec):
    assert _registry(plane, scope=scope, **spec).status_code == 400
    assert plane.admin.get(REGISTRY).json()["entries"] == []


def test_names_are_unique_for_a_scope(plane):
    assert _registry(plane).status_code == 202
    assert _registry(plane).status_code == 409
    assert _registry(plane, scope={"scope": "project", "projectId": 1002}).status_code == 202


def test_a_project_can_use_what_lies_above_it(plane):
    _registry(plane, "own")
    _registry(plane, "other", scope={"scope": "project", "projectId": 1002})
    _registry(plane, "dep", scope={"scope": "department", "departmentId": "101"})
    _registry(plane, "all", scope={"scope": "tenant"})

    def names(caller, **query):
        return {row["meta"]["name"] for row in caller.get(REGISTRY, params=query).json()["entries"]}

    assert names(plane.admin, projectId=1001) == {"own", "dep", "all"}
    assert names(plane.admin, scope="project") == {"own", "other"}
    assert names(plane.admin, scope="tenant") == {"all"}
    assert names(plane.admin, name="own") == {"own"}
    reader = plane.with_rights("credentials:read", "credentials:delete")
    assert names(reader) == {"own", "dep", "all"}
    shared = plane.admin.get(REGISTRY, params={"name": "dep"}).json()["entries"][0]["meta"]["id"]
    assert reader.get(f"{REGISTRY}/{shared}").status_code == 200
    assert reader.delete(f"{REGISTRY}/{shared}").status_code == 403


def test_a_credential_in_use_cannot_be_deleted(plane):
    made = _registry(plane).json()
    spec = {"imagePullSecrets": [{"name": "dockerregistry-registry"}]}
    workload = plane.submit(spec=spec)
    path = f"{REGISTRY}/{made['meta']['id']}"
    refused = plane.admin.delete(path)
    assert refused.status_code == 412
    assert "trainings" in refused.json()["message"]
    assert plane.admin.get(path).json()["usedBy"]["trainings"][0]["id"] == workload
    plane.admin.delete(f"/api/v1/workloads/trainings/{workload}")
    assert plane.admin.delete(path).status_code == 202


@pytest.mark.parametrize(
    ("kind", "spec", "secret"),
    [
        ("access-key", {"accessKeyId": "id", "secretAccessKey": "canary"}, "canary"),
        ("password", {"user": "u", "password": "canary"}, "canary"),
        ("generic-secret", {"keyValuePairs": [{"key": "k", "value": "canary"}]}, "canary"),
        ("ngc-api-key", {"ngc_api_key": "canary"}, "canary"),
    ],
)
def test_other_kinds(plane, kind, spec, secret):
    meta = {"name": "n", "scope": "project", "projectId": 1001}
    made = plane.admin.post(f"{CREDENTIALS}/{kind}", json={"meta": meta, "spec": spec})
    assert made.status_code == 202, made.text
    got = plane.admin.get(f"{CREDENTIALS}/{kind}/{made.json()['meta']['id']}")
    assert secret not in made.text + got.text
    (entry,) = plane.admin.get(CREDENTIALS).json()["entries"]
    assert list(entry["spec"]) == [entry["meta"]["kind"]]
    bad = plane.admin.post(f"{CREDENTIALS}/{kind}", json={"meta": meta, "spec": {}})
    assert bad.status_code == 400


def test_private_credentials_belong_to_their_maker(plane):
    owner = plane.with_rights("credentials:create", "credentials:read")
    meta = {"name": "mine", "scope": "project", "projectId": 1001, "private": True}
    spec = {"keyValuePairs": [{"key": "k", "value": "v"}]}
    path = f"{CREDENTIALS}/generic-secret"
    assert owner.post(path, json={"meta": meta, "spec": spec}).status_code == 202
    assert len(owner.get(path).json()["entries"]) == 1
    assert plane.admin.get(path).json()["entries"] == []


# -- data sources and templates --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("pvc", {"path": "/data", "existingPvc": True, "claimName": "c"}),
        ("s3", {"bucket": "b", "path": "/s3"}),
        ("nfs", {"path": "/x", "server": "n", "mountPath": "/nfs"}),
        ("host-path", {"path": "/x", "mountPath": "/host"}),
        ("git", {"repository": "https://g.example.com/r", "path": "/code"}),
        ("config-map", {"configMap": "cm", "mountPath": "/cm", "defaultMode": "0644"}),
    ],
)
def test_data_sources(plane, kind, spec):
    meta = {"name": "src", "scope": "project", "projectId": 1001}
    made = plane.admin.post(f"{SOURCES}/{kind}", json={"meta": meta, "spec": spec})
    assert made.status_code == 202, made.text
    assert made.json()["spec"] == spec
    assert len(plane.admin.get(SOURCES).json()["entries"]) == 1
    incomplete = plane.admin.post(f"{SOURCES}/{kind}", json={"meta": meta, "spec": {}})
    assert incomplete.status_code == 400
    path = f"{SOURCES}/{kind}/{made.json()['meta']['id']}"
    assert plane.admin.delete(path).status_code == 202
    assert plane.admin.get(path).status_code == 404


def test_a_template_fills_in_what_a_workload_leaves_out(plane):
    body = {
        "meta": {"name": "base", "scopeType": "project", "scopeId": "1001"},
        "spec": {
            "image": "registry.example.com/base:1",
            "command": "sleep 1",
            "environmentVariables": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "compute": {"cpuCoreRequest": 1, "cpuMemoryRequest": "1Gi"},
        },
    }
    made = plane.admin.post(f"{TEMPLATES}/trainings", json=body)
    assert made.status_code == 202, made.text
    template = made.json()["meta"]["id"]
    assert made.json()["runnable"]["isRunnable"] is True
    submit = {
        "name": "from-template",
        "projectId": "1001",
        "clusterId": plane.cluster_id,
        "templateId": template,
        "spec": {
            "environmentVariables": [{"name": "A", "value": "9"}],
            "compute": {"cpuCoreRequest": 2},
        },
    }
    answer = plane.admin.post("/api/v1/workloads/trainings", json=submit)
    assert answer.status_code == 202, answer.text
    spec = answer.json()["spec"]
    assert spec["image"] == "registry.example.com/base:1"
    assert {one["name"]: one["value"] for one in spec["environmentVariables"]} == {
        "A": "9",
        "B": "2",
    }
    assert spec["compute"] == {"cpuCoreRequest": 2, "cpuMemoryRequest": "1Gi"}
    other = submit | {"projectId": "1002", "name": "elsewhere"}
    assert plane.admin.post("/api/v1/workloads/trainings", json=other).status_code == 400
    blind = plane.with_rights("trainings:create")
    assert blind.post("/api/v1/workloads/trainings", json=submit).status_code == 403
    seeing = plane.with_rights("trainings:create", "templates:read")
    again = submit | {"name": "again"}
    assert seeing.post("/api/v1/workloads/trainings", json=again).status_code == 202


def test_template_names(plane):
    body = {"meta": {"name": "t", "scopeType": "project", "scopeId": "1001"}, "spec": {}}
    query = {"templateName": "t", "scopeType": "project", "scopeId": "1001"}
    available = f"{TEMPLATES}/name-availability"
    assert plane.admin.get(available, params=query).status_code == 204
    assert plane.admin.post(f"{TEMPLATES}/trainings", json=body).status_code == 202
    assert plane.admin.get(available, params=query).status_code == 409
    assert plane.admin.post(f"{TEMPLATES}/trainings", json=body).status_code == 409
    listed = plane.admin.get(TEMPLATES, params={"filterBy": "name==t"}).json()
    assert listed["pagination"] == {"limit": 50, "offset": 0, "nextOffset": None}
    assert listed["entries"][0]["meta"]["projectId"] == 1001
