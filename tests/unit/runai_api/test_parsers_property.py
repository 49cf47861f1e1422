"""Whatever the other side sends: a result or a typed error, never anything else."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runai_api import AccessRule, RunaiClient, RunaiError, Timeouts, _constants

from .conftest import SECRET, TOKEN, Wire

RULE = {
    "id": 1,
    "subjectId": "bot",
    "subjectType": "service-account",
    "roleId": 5,
    "roleName": "AI practitioner",
    "scopeId": "1",
    "scopeType": "project",
    "scopeName": "p",
    "clusterId": "c",
    "createdAt": "2026-01-01T00:00:00Z",
    "deletedAt": None,
    "tenantId": 1,
    "status": {"phase": "Ready", "message": "", "details": ""},
}
ACCOUNT = {
    "id": "1",
    "name": "bot",
    "clientId": "bot",
    "clientSecret": "s",
    "secret": "s",
    "enabled": True,
    "createdAt": "2026-01-01T00:00:00Z",
    "lastLogin": None,
}
ROLE = {
    "id": 5,
    "name": "r",
    "description": "d",
    "custom": True,
    "permissionSets": [{"id": "1", "name": "s"}],
    "permissions": [{"resourceType": "trainings", "actions": ["create", "fly"]}],
}
ASSET = {
    "meta": {"id": "1", "name": "reg", "scope": "project", "projectId": 1},
    "spec": {"user": "u", "url": "https://r", "keyId": 1},
    "status": {"status": "No issues found", "issues": [{"scopeId": "1"}]},
    "clusterInfo": {"resources": [{"name": "dockerregistry-reg"}, None]},
}
UNIT = {
    "id": "1",
    "name": "p",
    "clusterId": "c",
    "parentId": "2",
    "parent": {"id": "2", "name": "d", "parent": {"id": "3", "parent": None}},
    "status": {"phase": "Ready", "namespace": "runai-p"},
    "resources": [{"nodePool": {"id": "1"}, "gpu": {"deserved": 1, "limit": None}}],
    "totalResources": {"gpuQuota": 1},
}
TYPED = {
    "workloadId": "w",
    "name": "t",
    "requestedName": "t",
    "projectId": 1,
    "clusterId": "c",
    "desiredPhase": "Running",
    "actualPhase": "Teleporting",
    "spec": {"image": "i"},
}
WORKLOAD = {
    "id": "w",
    "name": "t",
    "type": "Training",
    "phase": "Running",
    "projectId": "1",
    "phaseUpdatedAt": "2026-01-01T00:00:00Z",
    "conditions": [{"type": "Ready", "lastTransitionTime": None}],
    "pendingSchedulingMessages": [{"nodePool": "a", "reason": "b"}],
}
EVENT = {"createdAt": "2026-01-01T00:00:00Z", "type": "Normal", "involvedObject": {"kind": "Pod"}}
RECORD = {
    "meta": {"creationTimestamp": "2026-01-01T00:00:00Z", "type": "PhaseUpdate"},
    "spec": {"phaseUpdate": {"phase": "Running"}},
}
SCOPES = {"create": {"system": False, "tenants": ["1"], "projects": [1]}, "read": {}}
TEMPLATE = {"meta": {"id": "1", "name": "t"}, "spec": {}, "runnable": {"isRunnable": True}}
BODY = {"name": "t", "projectId": "1", "clusterId": "c", "spec": {}}


def paged(key: str, row: Any) -> dict[str, Any]:
    return {key: [row, row], "next": None}


CALLS: dict[str, tuple[Any, Callable[[RunaiClient], Any]]] = {
    "token": (
        {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 60},
        lambda c: c.version,
    ),
    "accounts": ([ACCOUNT], lambda c: c.service_accounts.list()),
    "account": (ACCOUNT, lambda c: c.service_accounts.get("1")),
    "account created": (ACCOUNT, lambda c: c.service_accounts.create("bot")),
    "account secret": (ACCOUNT, lambda c: c.service_accounts.regenerate_secret("1")),
    "app created": (ACCOUNT, lambda c: c.applications.create("bot")),
    "roles": (paged("roles", ROLE), lambda c: c.roles.list()),
    "role by name": (paged("roles", ROLE), lambda c: c.roles.find("r")),
    "role": (ROLE, lambda c: c.roles.get(5)),
    "role created": (ROLE, lambda c: c.roles.create("r", "d", ["1"])),
    "sets": (paged("permissionSets", ROLE), lambda c: c.permission_sets.list()),
    "rules": (
        {"accessRules": [RULE], "totalRecords": 1, "displayRecords": 1},
        lambda c: c.access_rules.list(),
    ),
    "rule by key": (
        {"accessRules": [RULE], "totalRecords": 1},
        lambda c: c.access_rules.find("bot", 5, "project", "1"),
    ),
    "rule": (RULE, lambda c: c.access_rules.get(1)),
    "rule created": (
        RULE,
        lambda c: c.access_rules.create("bot", "service-account", 5, "project", "1"),
    ),
    "rule waited for": (RULE, lambda c: c.access_rules.wait_ready(1, timeout=0.001)),
    "rules counted": ({"count": 3}, lambda c: c.access_rules.count()),
    "own rules": (
        {"accessRules": {"accessRules": [RULE], "totalRecords": 1}},
        lambda c: c.access_rules.mine(),
    ),
    "permissions": (ROLE["permissions"], lambda c: c.permissions.mine()),
    "scopes": (SCOPES, lambda c: c.permissions.permitted_scopes("trainings", "create")),
    "clusters": (
        [{"uuid": "c", "name": "local", "status": {"state": "Connected"}}],
        lambda c: c.clusters.find("local"),
    ),
    "pools": (
        {"nodepools": [{"id": "1", "name": "default", "clusterId": "c"}]},
        lambda c: c.node_pools.list(),
    ),
    "departments": (paged("departments", UNIT), lambda c: c.departments.list()),
    "projects": (paged("projects", UNIT), lambda c: c.projects.list()),
    "project": (UNIT, lambda c: c.projects.get("1").ancestor_ids),
    "credentials": (paged("entries", ASSET), lambda c: c.registry_credentials.list()),
    "credential": (ASSET, lambda c: c.registry_credentials.get("1").kubernetes_secret_name),
    "credential waited for": (
        ASSET,
        lambda c: c.registry_credentials.wait_ready("1", timeout=0.001),
    ),
    "secret": (ASSET, lambda c: c.generic_secrets.create("s", "1", {"k": "v"})),
    "training": (TYPED, lambda c: c.trainings.get("w")),
    "training created": (TYPED, lambda c: c.trainings.create(BODY)),
    "inference changed": (TYPED, lambda c: c.inferences.update("w", {})),
    "training suspended": ({"code": 202, "message": "ok"}, lambda c: c.trainings.suspend("w")),
    "workloads": (paged("workloads", WORKLOAD), lambda c: c.workloads.list()),
    "workload": (WORKLOAD, lambda c: c.workloads.get("w")),
    "events": (paged("events", EVENT), lambda c: c.workloads.events("w")),
    "history": (paged("records", RECORD), lambda c: c.workloads.history("w")),
    "pods": (paged("pods", {"id": "1", "name": "p"}), lambda c: c.workloads.pods("w")),
    "batch": (
        {"succeeded": ["w"], "failed": [{"id": "x", "code": 404}]},
        lambda c: c.workloads.batch(["w"], "delete"),
    ),
    "templates": (
        {"entries": [TEMPLATE], "pagination": {"nextOffset": None}},
        lambda c: c.workload_templates.list(),
    ),
}

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["", "0001-01-01T00:00:00Z", "2026-13-45", "Infinity", 2**70, -1, 1e308])
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


@st.composite
def damaged(draw: st.DrawFn, value: Any) -> Any:
    """The good answer with one to three places changed, taken away or added to."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(value)))
        change = draw(st.sampled_from(["replace", "remove", "add"]))
        if not path:
            if change == "replace":
                value = draw(anything)
            continue
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        if change == "remove":
            del holder[path[-1]]
        elif change == "add" and isinstance(holder, dict):
            holder[draw(st.text(max_size=8))] = draw(anything)
        else:
            holder[path[-1]] = draw(anything)
    return value


def outcome(call: Callable[[RunaiClient], Any], answer: httpx.Response, *, token: bool) -> Any:
    """What the call gives, and that nothing else than a typed error comes out of it."""

    def reply(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v2/token" and not token:
            return httpx.Response(200, json={"access_token": TOKEN, "token_type": "Bearer"})
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    client = RunaiClient(
        "https://acme.example",
        client_id="me",
        client_secret=SECRET,
        timeouts=Timeouts(total=5),
        transport=httpx.MockTransport(reply),
    )
    client._session.sleep = lambda _: None
    with client:
        try:
            return call(client)
        except RunaiError as error:
            shown = f"{error} {error!r}"
            assert SECRET not in shown
            assert TOKEN not in shown
            return error


thorough = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


@pytest.mark.parametrize("name", CALLS)
def test_the_good_answers_are_understood(name: str) -> None:
    answer, call = CALLS[name]
    result = outcome(call, httpx.Response(200, json=answer), token=name == "token")
    assert not isinstance(result, Exception)


@pytest.mark.parametrize("name", CALLS)
@thorough
@given(data=st.data())
def test_damaged_answers_lead_to_results_or_typed_errors(name: str, data: st.DataObject) -> None:
    answer, call = CALLS[name]
    value = data.draw(damaged(answer))
    content = json.dumps(value).encode()
    outcome(call, httpx.Response(200, content=content), token=name == "token")


@pytest.mark.parametrize("name", CALLS)
@thorough
@given(
    content=st.binary(max_size=60) | anything.map(lambda value: json.dumps(value).encode()),
    status=st.integers(200, 599),
    kind=st.sampled_from(["application/json", "text/html", "text/plain; charset=x", "", "\xff"]),
)
def test_any_bytes_with_any_status_lead_to_results_or_typed_errors(
    name: str, content: bytes, status: int, kind: str
) -> None:
    headers = {"Content-Type": kind.encode("latin-1")}
    answer = httpx.Response(status, headers=headers, content=content)
    outcome(CALLS[name][1], answer, token=name == "token")


@given(value=st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_any_filter_is_sent_whole_or_refused(value: str) -> None:
    wire = Wire()
    wire.json("POST", "/api/v2/token", {"access_token": "t", "token_type": "Bearer"})
    wire.json("GET", "/api/v1/workloads", {"workloads": []})
    with wire.client() as client:
        try:
            client.workloads.list(filter_by=[f"name=={value}"])
        except RunaiError:
            assert not value or "," in value or not value.isprintable()
        else:
            assert wire.query()["filterBy"] == f"name=={value}"


@given(identifier=st.text(min_size=1))
def test_any_id_stays_one_segment_or_is_refused(identifier: str) -> None:
    wire = Wire()
    wire.json("POST", "/api/v2/token", {"access_token": "t", "token_type": "Bearer"})
    with wire.client() as client:
        with contextlib.suppress(RunaiError):
            client.projects.get(identifier)
        for request in wire.requests[1:]:
            assert request.url.path == f"/api/v1/org-unit/projects/{identifier}"
            assert request.url.raw_path.count(b"/") == 5


def test_a_huge_page_is_read(wire: Wire, client: RunaiClient) -> None:
    rows = [{**RULE, "id": number, "roleName": "x" * 500} for number in range(20_000)]
    wire.json(
        "GET", "/api/v1/authorization/access-rules", {"accessRules": rows, "totalRecords": 20_000}
    )
    found = client.access_rules.list()
    assert [rule.id for rule in found] == list(range(20_000))
    assert isinstance(found[0], AccessRule)
    assert len(json.dumps(rows)) < _constants.MAX_RESPONSE_BYTES
