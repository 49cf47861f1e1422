"""A control plane in this process: the real emulator application, reached through real clients.

Every operation of the catalogue can be attempted on it; an attempt is real HTTP through the
emulator's ASGI application and tells whether the operation did its work.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Generator, Iterable
from typing import Any

import httpx

from runai_api import RunaiClient
from runai_emulator import create_app
from runai_perms import Permission

BASE = "http://127.0.0.1:1"
ADMIN = ("emulator-admin", "emulator-admin-secret")
ROLES = "/api/v2/authorization/roles"
R1 = "/api/v1/authorization/roles"
RULES = "/api/v1/authorization/access-rules"
CREDENTIALS = "/api/v1/asset/credentials/generic-secret"
WORKLOADS = "/api/v1/workloads"
NEWEST = {"sortBy": "createdAt", "sortOrder": "desc", "limit": 500}


class InProcess(httpx.BaseTransport):
    """Runs an ASGI application to its end for each request, without threads or sockets."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        sent: list[dict[str, Any]] = []
        scope = {
            "type": "http",
            "method": request.method,
            "path": request.url.path,
            "raw_path": request.url.raw_path.partition(b"?")[0],
            "query_string": request.url.query,
            "headers": [(k.lower(), v) for k, v in request.headers.raw],
            "scheme": "http",
            "server": ("127.0.0.1", 1),
            "client": ("127.0.0.1", 2),
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        _drive(self._app(scope, receive, send))
        start = sent[0]
        content = b"".join(m.get("body", b"") for m in sent[1:])
        return httpx.Response(start["status"], headers=start["headers"], content=content)


def _drive(coroutine: Any) -> None:
    """Run a coroutine that never really waits."""
    step: Generator[Any, None, None] = coroutine.__await__()
    for _ in step:
        raise AssertionError("the application waited for something")


class Caller:
    """One account with a token, to send raw requests with."""

    def __init__(self, plane: Plane, client_id: str, secret: str) -> None:
        self.client_id, self.secret = client_id, secret
        self._http = httpx.Client(base_url=BASE, transport=plane.wire)
        if plane.legacy:
            body = {"grantType": "client_credentials", "clientID": client_id}
            token = self._http.post("/api/v1/token", json={**body, "clientSecret": secret}).json()
            self._http.headers["Authorization"] = f"Bearer {token['accessToken']}"
        else:
            form = {
                "grant_type": "client_credentials",
                "client_id": client_id,
                "client_secret": secret,
            }
            token = self._http.post("/api/v2/token", data=form).json()
            self._http.headers["Authorization"] = f"Bearer {token['access_token']}"

    def send(self, method: str, path: str, body: Any = None, **params: Any) -> httpx.Response:
        return self._http.request(method, path, json=body, params=params or None)

    def must(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        answer = self.send(method, path, body, **params)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None


class Plane:
    """An emulated control plane with a second department and a second cluster."""

    def __init__(self, version: str = "2.24") -> None:
        self.version = version
        self.legacy = version < "2.24"
        self.app = create_app(version=version, async_delay=0)
        self.wire = InProcess(self.app)
        self._count = itertools.count(1)
        self.admin = Caller(self, *ADMIN)
        listed = self.admin.must("GET", "/api/v1/org-unit/projects")["projects"]
        projects = {p["name"]: p for p in listed}
        self.project = projects["ml-team"]
        self.other = projects["other-team"]
        self.cluster = self.project["clusterId"]
        self.department = self.project["parentId"]
        self.tenant = "1"
        self.far_cluster = self.admin.must("POST", "/api/v1/clusters", {"name": "far"})["uuid"]
        units = "/api/v1/org-unit"
        self.far_department = self.admin.must(
            "POST",
            f"{units}/departments",
            {"name": "far-department", "clusterId": self.far_cluster, "resources": []},
        )["id"]
        self.far_project = self.admin.must(
            "POST",
            f"{units}/projects",
            {
                "name": "far-project",
                "clusterId": self.far_cluster,
                "parentId": self.far_department,
                "resources": [],
            },
        )["id"]
        self.near_department = self.admin.must(
            "POST",
            f"{units}/departments",
            {"name": "near-department", "clusterId": self.cluster, "resources": []},
        )["id"]

    @property
    def scopes(self) -> dict[str, tuple[str, str]]:
        """Scopes by a speaking name: at the project, above it, beside it, far away."""
        return {
            "project": ("project", self.project["id"]),
            "department": ("department", self.department),
            "cluster": ("cluster", self.cluster),
            "tenant": ("tenant", self.tenant),
            "other project": ("project", self.other["id"]),
            "near department": ("department", self.near_department),
            "far cluster": ("cluster", self.far_cluster),
            "far department": ("department", self.far_department),
            "far project": ("project", self.far_project),
        }

    def name(self, prefix: str) -> str:
        return f"{prefix}-{next(self._count)}"

    def client(self, caller: Caller) -> RunaiClient:
        return RunaiClient(
            BASE, client_id=caller.client_id, client_secret=caller.secret, transport=self.wire
        )

    def account(self) -> tuple[Caller, str]:
        """A fresh account without rights, and its name."""
        path = "/api/v1/apps" if self.legacy else "/api/v1/service-accounts"
        made = self.admin.must("POST", path, {"name": self.name("account")})
        secret = made.get("clientSecret") or made["secret"]
        return Caller(self, made["clientId"], secret), made["name"]

    def role(self, permissions: Iterable[Permission], enabled: bool = True) -> int:
        """A role of exactly these permissions, which no composition of sets could give."""
        template = next(r for r in self.app.emulator.store.roles.rows.values())
        grouped: dict[str, list[str]] = {}
        for permission in sorted(permissions):
            grouped.setdefault(permission.resource_type, []).append(permission.action)
        with self.app.emulator.lock:
            key = str(self.app.emulator.store.next_id("role"))
            self.app.emulator.store.roles.put(
                {
                    **template,
                    "id": key,
                    "name": f"made {key}",
                    "custom": True,
                    "enabled": enabled,
                    "deprecated": False,
                    "permissionSets": [],
                    "permissions": [
                        {"resourceType": t, "actions": actions} for t, actions in grouped.items()
                    ],
                }
            )
            self.app.emulator.store.commit()
        return int(key)

    def grant(self, subject: str, role: int, scope: tuple[str, str]) -> int:
        body = {
            "subjectId": subject,
            "subjectType": "app" if self.legacy else "service-account",
            "roleId": role,
            "scopeType": scope[0],
            "scopeId": scope[1],
        }
        return int(self.admin.must("POST", RULES, body)["id"])

    def attempt(self, operation: str, caller: Caller, **given: Any) -> bool:
        """Try an operation at the project; True when it did its work, False when refused."""
        attempt = ATTEMPTS[operation](self, **given)
        answer = caller.send(attempt.method, attempt.path, attempt.body, **attempt.params)
        if answer.status_code == 403:
            return False
        assert answer.is_success, (
            f"{operation}: {attempt.method} {attempt.path}: {answer.status_code} {answer.text}"
        )
        return attempt.seen is None or attempt.seen in json.dumps(answer.json())


class Attempt:
    """One request, and a text that must be in the answer for a list to count as readable."""

    def __init__(
        self,
        method: str,
        path: str,
        body: Any = None,
        seen: str | None = None,
        **params: Any,
    ) -> None:
        self.method, self.path, self.body = method, path, body
        self.seen, self.params = seen, params


def _account(plane: Plane) -> dict[str, Any]:
    path = "/api/v1/apps" if plane.legacy else "/api/v1/service-accounts"
    made: dict[str, Any] = plane.admin.must("POST", path, {"name": plane.name("target")})
    return made


def _accounts(base: str) -> dict[str, Callable[..., Attempt]]:
    def each(p: Plane) -> str:
        return f"{base}/{_account(p)['id']}"

    return {
        "list": lambda p: Attempt("GET", base, seen=_account(p)["id"]),
        "get": lambda p: Attempt("GET", each(p)),
        "create": lambda p: Attempt("POST", base, {"name": p.name("made")}),
        "set_enabled": lambda p: Attempt("PATCH", each(p), {"enabled": False}),
        "regenerate_secret": lambda p: Attempt("POST", f"{each(p)}/secret"),
        "delete": lambda p: Attempt("DELETE", each(p)),
    }


def _role_body(plane: Plane, sets: Iterable[str] = ()) -> dict[str, Any]:
    ids = [{"id": i} for i in sets]
    return {"name": plane.name("role"), "description": "for a test", "permissionSets": ids}


def _custom_role(plane: Plane) -> int:
    return int(plane.admin.must("POST", ROLES, _role_body(plane))["id"])


def _rule(plane: Plane, role: int | None = None) -> dict[str, Any]:
    if role is None:
        role = plane.role([])
    kind = "app" if plane.legacy else "service-account"
    return {
        "subjectId": _account(plane)["name"],
        "subjectType": kind,
        "roleId": role,
        "scopeType": "project",
        "scopeId": plane.project["id"],
    }


def _rule_path(plane: Plane) -> str:
    return f"{RULES}/{plane.admin.must('POST', RULES, _rule(plane))['id']}"


def _credential_body(plane: Plane) -> dict[str, Any]:
    meta = {
        "name": plane.name("credential"),
        "scope": "project",
        "projectId": int(plane.project["id"]),
    }
    return {"meta": meta, "spec": {"keyValuePairs": [{"key": "token", "value": "x"}]}}


def _credential(plane: Plane) -> str:
    made = plane.admin.must("POST", CREDENTIALS, _credential_body(plane))
    return str(made["meta"]["id"])


def _s3(plane: Plane) -> str:
    meta = {"name": plane.name("s3"), "scope": "project", "projectId": int(plane.project["id"])}
    spec = {"bucket": "data", "path": "/data", "url": "https://s3.example.com"}
    made = plane.admin.must("POST", "/api/v1/asset/datasource/s3", {"meta": meta, "spec": spec})
    return str(made["meta"]["id"])


def _template(plane: Plane) -> str:
    body = {
        "meta": {
            "name": plane.name("template"),
            "scopeType": "project",
            "scopeId": plane.project["id"],
        },
        "spec": {"image": "registry.example.com/train"},
    }
    made = plane.admin.must("POST", "/api/v1/workload-templates/trainings", body)
    return str(made["meta"]["id"])


def _workload_body(plane: Plane, kind: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"image": "registry.example.com/train", "command": "true"}
    if kind == "distributed":
        spec = {**spec, "distributedFramework": "PyTorch", "numWorkers": 1}
    if kind == "inferences":
        spec = {**spec, "servingPort": {"container": 8080}}
    return {
        "name": plane.name("w"),
        "projectId": plane.project["id"],
        "clusterId": plane.cluster,
        "spec": spec,
    }


def _workload(plane: Plane, kind: str) -> str:
    made = plane.admin.must("POST", f"{WORKLOADS}/{kind}", _workload_body(plane, kind))
    return str(made["workloadId"])


def _workloads(kind: str) -> dict[str, Callable[..., Attempt]]:
    def each(p: Plane) -> str:
        return f"{WORKLOADS}/{kind}/{_workload(p, kind)}"

    return {
        "create": lambda p: Attempt("POST", f"{WORKLOADS}/{kind}", _workload_body(p, kind)),
        "get": lambda p: Attempt("GET", each(p)),
        "suspend": lambda p: Attempt("POST", f"{each(p)}/suspend"),
        "delete": lambda p: Attempt("DELETE", each(p)),
    }


ATTEMPTS: dict[str, Callable[..., Attempt]] = {
    "project.list": lambda p: Attempt("GET", "/api/v1/org-unit/projects", seen='"ml-team"'),
    "cluster.list": lambda p: Attempt("GET", "/api/v1/clusters", seen=p.cluster),
    "node_pool.list": lambda p: Attempt("GET", "/api/v1/node-pools", seen='"a100"'),
    "role.list": lambda p: Attempt("GET", R1 if p.legacy else ROLES, seen="System administrator"),
    "role.get": lambda p: Attempt("GET", f"{R1 if p.legacy else ROLES}/{p.role([])}"),
    "role.create": lambda p, sets=(): Attempt("POST", ROLES, _role_body(p, sets)),
    "role.update": lambda p: Attempt("PUT", f"{ROLES}/{_custom_role(p)}", _role_body(p)),
    "role.delete": lambda p: Attempt("DELETE", f"{ROLES}/{_custom_role(p)}"),
    "permission_set.list": lambda p: Attempt("GET", "/api/v1/authorization/permission-sets"),
    "access_rule.create": lambda p, role=None: Attempt("POST", RULES, _rule(p, role)),
    "access_rule.list": lambda p: Attempt(
        "GET", RULES, seen=f'"id": {_rule_path(p)[len(RULES) + 1 :]},', **NEWEST
    ),
    "access_rule.get": lambda p: Attempt("GET", _rule_path(p)),
    "access_rule.delete": lambda p: Attempt("DELETE", _rule_path(p)),
    "credential.list": lambda p: Attempt("GET", CREDENTIALS, seen=_credential(p)),
    "credential.get": lambda p: Attempt("GET", f"{CREDENTIALS}/{_credential(p)}"),
    "credential.create": lambda p: Attempt("POST", CREDENTIALS, _credential_body(p)),
    "credential.update": lambda p: Attempt(
        "PUT", f"{CREDENTIALS}/{_credential(p)}", {"meta": {"name": p.name("renamed")}}
    ),
    "credential.delete": lambda p: Attempt("DELETE", f"{CREDENTIALS}/{_credential(p)}"),
    "data_source_s3.list": lambda p: Attempt("GET", "/api/v1/asset/datasource/s3", seen=_s3(p)),
    "template.get": lambda p: Attempt("GET", f"/api/v1/workload-templates/{_template(p)}"),
    "workload.list": lambda p: Attempt("GET", WORKLOADS, seen=_workload(p, "trainings"), **NEWEST),
    "workload.get": lambda p: Attempt("GET", f"{WORKLOADS}/{_workload(p, 'trainings')}"),
    **{
        f"{prefix}.{verb}": attempt
        for prefix, base in (
            ("service_account", "/api/v1/service-accounts"),
            ("application", "/api/v1/apps"),
        )
        for verb, attempt in _accounts(base).items()
    },
    **{
        f"{prefix}.{verb}": attempt
        for prefix, kind in (
            ("training", "trainings"),
            ("distributed", "distributed"),
            ("inference", "inferences"),
        )
        for verb, attempt in _workloads(kind).items()
        if (prefix, verb) != ("inference", "suspend")
    },
}
