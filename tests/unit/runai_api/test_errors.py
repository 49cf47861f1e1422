"""What errors say: what happened, why, what to do next, and never a secret."""

from __future__ import annotations

import inspect
import pickle
import re
from typing import Any

import httpx
import pytest

from runai_api import (
    APIError,
    AuthenticationFailed,
    BadRequest,
    ComplianceIssue,
    Conflict,
    InvalidResponse,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    RateLimited,
    RunaiClient,
    RunaiError,
    ServerError,
    UnprocessableEntity,
    errors,
    operations,
)

from .conftest import SECRET, TOKEN, Wire

CLUSTERS = "/api/v1/clusters"
RULES = "/api/v1/authorization/access-rules"
TRAININGS = "/api/v1/workloads/trainings"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequest),
        (401, AuthenticationFailed),
        (403, PermissionDenied),
        (404, NotFound),
        (405, APIError),
        (409, Conflict),
        (412, PreconditionFailed),
        (422, UnprocessableEntity),
        (429, RateLimited),
        (451, APIError),
        (499, APIError),
        (500, ServerError),
        (503, ServerError),
        (599, ServerError),
    ],
)
def test_each_status_has_its_error(
    wire: Wire, client: RunaiClient, status: int, kind: type[APIError]
) -> None:
    wire.json("GET", CLUSTERS, {"code": status, "message": "Nope", "details": "really"}, status)
    with pytest.raises(kind) as caught:
        client.clusters.list()
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.code) == (status, status)
    assert (error.method, error.path) == ("GET", CLUSTERS)
    assert error.operation == "clusters.list"
    assert error.server_message == "Nope: really"
    assert f"GET {CLUSTERS} was answered {status}" in str(error)
    assert "Nope: really" in str(error)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"Unauthorized",
        b"<html><body>Bad Gateway</body></html>",
        b"null",
        b"[]",
        b"[{}]",
        b'"text"',
        b"12",
        b"{",
        b"\xff\xfe\x00",
        b'{"message": null, "code": null}',
        b'{"message": {"a": 1}, "code": "x", "details": [1]}',
        b'{"code": true, "complianceIssues": "no"}',
        b'{"complianceIssues": [null, 1, {}, {"field": 1, "details": 2, "rule": 3}]}',
        b'{"error": {"message": "nested"}}',
        b"[" * 100_000,
        b'{"message": "' + b"x" * 100_000 + b'"}',
        b'{"message": "\\ud800 \\u0000 \\u001b[31mred"}',
    ],
)
@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_any_error_body_leads_to_a_typed_error(
    wire: Wire, client: RunaiClient, status: int, body: bytes
) -> None:
    wire.on("GET", CLUSTERS, httpx.Response(status, content=body))
    with pytest.raises(APIError) as caught:
        client.clusters.list()
    text = str(caught.value)
    assert caught.value.code == status
    assert len(text) < 2000
    assert "<html>" not in text
    assert text.isprintable() or "\ud800" in text


def test_the_oauth_form_of_an_error_is_understood(wire: Wire, client: RunaiClient) -> None:
    wire.json("GET", CLUSTERS, {"error": "invalid_scope"}, 400)
    with pytest.raises(BadRequest, match="invalid_scope"):
        client.clusters.list()


def test_a_403_names_the_permission_the_scope_and_the_remedy(
    wire: Wire, client: RunaiClient
) -> None:
    wire.json("POST", TRAININGS, {"code": 403, "message": "No."}, 403)
    with pytest.raises(PermissionDenied) as caught:
        client.trainings.create({"name": "a", "projectId": "4500001", "clusterId": "c"})
    error = caught.value
    assert error.permission == "trainings:create"
    assert error.scope == "project 4500001"
    assert "The permission trainings:create at project 4500001 is probably missing." in str(error)
    assert "Give me a role that holds trainings:create" in str(error)


def test_a_403_on_an_older_control_plane_uses_its_words(wire: Wire, client: RunaiClient) -> None:
    wire.on("POST", "/api/v2/token", httpx.Response(404))
    wire.json("POST", "/api/v1/token", {"accessToken": "t"})
    wire.on("GET", CLUSTERS, httpx.Response(403))
    with pytest.raises(PermissionDenied) as caught:
        client.clusters.list()
    assert caught.value.permission == "cluster:read"


def test_a_403_on_a_call_that_needs_nothing_claims_nothing(wire: Wire, client: RunaiClient) -> None:
    wire.on("GET", "/api/v1/authorization/permissions", httpx.Response(403))
    with pytest.raises(PermissionDenied) as caught:
        client.permissions.mine()
    assert caught.value.permission is None
    assert "probably missing" not in str(caught.value)


def test_the_policys_objections_are_kept(wire: Wire, client: RunaiClient) -> None:
    issue = {"field": "compute.gpuDevicesRequest", "details": "at most 2", "rule": "max"}
    refusal = {"code": 400, "message": "Not compliant", "complianceIssues": [issue]}
    wire.json("POST", TRAININGS, refusal, 400)
    with pytest.raises(BadRequest, match=r"compute\.gpuDevicesRequest: at most 2") as caught:
        client.trainings.create({"name": "a", "projectId": "1"})
    assert caught.value.issues == (
        ComplianceIssue("compute.gpuDevicesRequest", "at most 2", "max"),
    )


@pytest.mark.parametrize("status", [400, 401, 403, 409, 422, 500, 503])
def test_secrets_that_the_server_repeats_are_masked(
    wire: Wire, client: RunaiClient, status: int
) -> None:
    password = "canary-registry-password"
    echo = {
        "code": status,
        "message": f"{SECRET} {TOKEN} {password}",
        "details": password,
        "complianceIssues": [{"field": password, "details": password}],
    }
    path = "/api/v1/asset/credentials/docker-registry"
    wire.json("POST", path, echo, status)
    with pytest.raises(RunaiError) as caught:
        client.registry_credentials.create("c", "1", user="u", password=password, url="https://r")
    shown = ""
    error: BaseException | None = caught.value
    while error is not None:
        shown += f"{error} {error!r} {vars(error)}"
        error = error.__cause__ or error.__context__
    for canary in (SECRET, TOKEN, password):
        assert canary not in shown
    assert "***" in shown


def test_environment_values_that_the_server_repeats_are_masked(
    wire: Wire, client: RunaiClient
) -> None:
    body = {
        "name": "a",
        "projectId": "1",
        "spec": {"environmentVariables": [{"name": "KEY", "value": "canary-api-key"}, None]},
    }
    wire.json("POST", TRAININGS, {"message": "bad value canary-api-key"}, 400)
    with pytest.raises(BadRequest) as caught:
        client.trainings.create(body)
    assert "canary-api-key" not in str(caught.value)


def test_an_unexpected_answer_names_the_fields_but_no_values(
    wire: Wire, client: RunaiClient
) -> None:
    wire.json("GET", CLUSTERS, [{"uuid": ["canary-value"], "version": {}, "tenantId": "canary"}])
    with pytest.raises(InvalidResponse) as caught:
        client.clusters.list()
    text = str(caught.value)
    assert "unexpected Cluster (uuid: string_type, name: missing, tenantId: int_parsing" in text
    assert "canary" not in text


def error_classes() -> list[type[RunaiError]]:
    found = inspect.getmembers(errors, inspect.isclass)
    return [kind for _, kind in found if issubclass(kind, RunaiError)]


def test_the_docstring_draws_the_whole_tree() -> None:
    drawn = re.findall(r"([├└]── |    RunaiError)(\w*)", errors.__doc__ or "")
    names = [name or "RunaiError" for _, name in drawn]
    assert sorted(names) == sorted(kind.__name__ for kind in error_classes())


@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)
def test_errors_survive_pickling(kind: type[RunaiError]) -> None:
    extra: dict[str, Any] = {"hint": "Do this."}
    if issubclass(kind, APIError):
        extra |= {"status": 403, "method": "GET", "path": "/x"}
    if kind is errors.AmbiguousOutcome:
        extra |= {"method": "POST", "path": "/x", "status": 502}
    if kind is errors.AmbiguousName:
        extra |= {"ids": ("1", "2")}
    if kind is errors.ResourceFailed:
        extra |= {"resource": "rule 1", "phase": "NotReady"}
    error = kind("It broke.", **extra)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(copy) is kind
    assert str(copy) == str(error) == "It broke. Do this."
    assert vars(copy) == vars(error)


def test_every_operation_declares_what_it_needs() -> None:
    free = {operation.name for operation in operations() if operation.needs is None}
    assert free == {
        "access_rules.mine",
        "permissions.mine",
        "permissions.permitted_scopes",
        "tokens.create",
        "tokens.create_v1",
        "workloads.batch",
    }
    for operation in operations():
        assert re.fullmatch(r"[a-z_]+\.[a-z_0-9]+", operation.name)
        assert re.fullmatch(r"/api/v[12]/[a-z0-9/{}-]+", operation.template)
        if operation.needs:
            assert re.fullmatch(r"[a-z_-]+:(create|read|update|delete)", operation.needs)
