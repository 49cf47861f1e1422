"""The emulator's own OpenAPI 3.0 document, made from the endpoint table and the schemas."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from . import openapi_schemas as s
from . import openapi_workload_schemas as w
from ._constants import MAX_LIMIT
from .cluster.kinds import KINDS
from .cluster.queries import FIELDS as WORKLOAD_FIELDS
from .endpoints import Endpoint, endpoint_table
from .routes import data_sources
from .schema import Schema, choice, flag, text, whole

#: success statuses, request body, reply, names of query parameters
Operation = tuple[tuple[int, ...], Schema | None, Schema | None, tuple[str, ...]]

_PAGED = ("offset", "limit", "sortOrder", "sortBy", "filterBy", "search")
_COUNTED = ("filterBy", "search")
_QUERY: dict[str, Schema] = {
    "offset": whole(0),
    "limit": whole(1, MAX_LIMIT),
    "sortOrder": choice("asc", "desc"),
    "sortBy": text(),
    "filterBy": {"type": "array", "items": text()},
    "search": text(),
    "deleted": flag(),
    "includeDeleted": flag(),
    "verbosity": choice("metadata", "full"),
    "includeRequestedForDelete": flag(),
    "force": flag(),
    "name": text(),
    "scope": choice("tenant", "cluster", "department", "project"),
    "projectId": whole(0),
    "departmentId": text(),
    "clusterId": s.UUID,
    "usageInfo": flag(),
    "statusInfo": flag(),
    "complyToProject": whole(0),
    "subjectType": s.SUBJECT_TYPE,
    "subjectIds": {"type": "array", "items": text()},
    "scopeType": s.SCOPE_TYPE,
    "scopeId": text(),
    "roleId": whole(1),
    "lastUpdated": s.DATE,
    "templateName": text(low=1),
    "completed": choice("true", "false", "all"),
}
_JOINED = {"filterBy", "subjectIds"}
_INTEGER_PATHS = {"accessRuleId", "roleIdPath"}


def _accounts(path: str, parameter: str, key: str) -> dict[tuple[str, str], Operation]:
    one = f"{path}/{{{parameter}}}"
    listed: Schema = {"type": "array", "items": s.ACCOUNT}
    return {
        ("GET", path): ((200,), None, listed, ()),
        ("POST", path): ((201,), s.ACCOUNT_REQUEST, s.account_created(key), ()),
        ("GET", one): ((200,), None, s.ACCOUNT, ()),
        ("PATCH", one): ((200,), s.ACCOUNT_UPDATE, None, ()),
        ("DELETE", one): ((204,), None, None, ()),
        ("POST", f"{one}/secret"): ((200,), None, s.account_secret(key), ()),
    }


def _iam() -> dict[tuple[str, str], Operation]:
    base = "/api/v1/authorization"
    rules = f"{base}/access-rules"
    rule = f"{rules}/{{accessRuleId}}"
    roles = "/api/v2/authorization/roles"
    role = f"{roles}/{{roleIdPath}}"
    sets = f"{base}/permission-sets"
    older = ("subjectType", "subjectIds", "scopeType", "scopeId", "roleId", "clusterId")
    nested = s.thing(("accessRules",), accessRules=s.thing(("totalRecords", "accessRules")))
    return {
        ("GET", f"{base}/roles"): ((200,), None, {"type": "array", "items": s.ROLE}, ()),
        ("GET", f"{base}/roles/{{roleIdPath}}"): ((200,), None, s.ROLE, ()),
        ("GET", roles): ((200,), None, s.listed("roles", s.ROLE), _PAGED),
        ("POST", roles): ((201,), s.ROLE_REQUEST, s.ROLE, ()),
        ("GET", role): ((200,), None, s.ROLE, ()),
        ("PUT", role): ((200,), s.ROLE_REQUEST, s.ROLE, ()),
        ("DELETE", role): ((204,), None, None, ()),
        ("POST", f"{role}/enable"): ((204,), s.thing(), None, ()),
        ("POST", f"{role}/disable"): ((204,), s.thing(), None, ()),
        ("GET", sets): ((200,), None, s.listed("permissionSets", s.PERMISSION_SET), ()),
        ("GET", f"{sets}/{{permissionSetId}}"): ((200,), None, s.PERMISSION_SET, ()),
        ("GET", rules): (
            (200,),
            None,
            s.RULES,
            (*_PAGED, *older, "includeDeleted", "lastUpdated"),
        ),
        ("POST", rules): ((201,), s.RULE_REQUEST, s.RULE, ()),
        ("GET", f"{rules}/count"): ((200,), None, s.COUNT, (*_COUNTED, "includeDeleted")),
        ("POST", f"{rules}/batch"): ((200,), s.RULE_BATCH, s.BATCH, ()),
        ("POST", f"{rules}/batch-create"): (
            (200,),
            s.RULE_BATCH_CREATE,
            s.RULE_BATCH_CREATED,
            (),
        ),
        ("GET", rule): ((200,), None, s.RULE, ()),
        ("DELETE", rule): ((204,), None, None, ()),
        ("GET", f"{base}/me/access-rules"): ((200,), None, nested, ("offset", "limit", "search")),
        ("GET", f"{base}/me/access-rules/count"): ((200,), None, s.COUNT, ("search",)),
        ("GET", f"{base}/permissions"): (
            (200,),
            None,
            {"type": "array", "items": s.PERMISSION},
            (),
        ),
        ("POST", f"{base}/permitted-scopes"): ((200,), s.PERMITTED_REQUEST, s.PERMITTED, ()),
    }


def _units() -> dict[tuple[str, str], Operation]:
    clusters, pools = "/api/v1/clusters", "/api/v1/node-pools"
    cluster, pool = f"{clusters}/{{clusterUuid}}", f"{pools}/{{nodepoolId}}"
    listed: Schema = {"type": "array", "items": s.CLUSTER}
    found: dict[tuple[str, str], Operation] = {
        ("GET", clusters): ((200,), None, listed, ("verbosity", "includeRequestedForDelete")),
        ("POST", clusters): ((201,), s.CLUSTER_REQUEST, s.CLUSTER, ()),
        ("GET", cluster): ((200,), None, s.CLUSTER, ()),
        ("PUT", cluster): ((204,), s.CLUSTER_REQUEST, None, ()),
        ("DELETE", cluster): ((202, 204), None, s.ACCEPTED, ("force",)),
        ("GET", pools): ((200,), None, s.listed("nodepools", s.NODE_POOL), _PAGED[:-1]),
        ("POST", pools): ((201,), s.NODE_POOL_REQUEST, s.NODE_POOL, ()),
        ("GET", f"{pools}/count"): ((200,), None, s.COUNT, ("filterBy",)),
        ("GET", pool): ((200,), None, s.NODE_POOL, ()),
        ("PUT", pool): ((200,), s.NODE_POOL_REPLACE, s.NODE_POOL, ()),
        ("PATCH", pool): ((200,), s.NODE_POOL_PATCH, s.NODE_POOL, ()),
        ("DELETE", pool): ((202, 204), None, s.ACCEPTED, ()),
    }
    for plural, parameter in (("departments", "departmentId"), ("projects", "projectId")):
        path = f"/api/v1/org-unit/{plural}"
        one = f"{path}/{{{parameter}}}"
        found |= {
            ("GET", path): ((200,), None, s.listed(plural, s.UNIT), _PAGED),
            ("POST", path): ((201,), s.UNIT_REQUEST, s.UNIT, ()),
            ("GET", f"{path}/count"): ((200,), None, s.COUNT, _COUNTED),
            ("GET", one): ((200,), None, s.UNIT, ()),
            ("PUT", one): ((200,), s.UNIT_UPDATE, s.UNIT, ()),
            ("DELETE", one): ((202, 204), None, None, ()),
            ("PUT", f"{one}/resources"): ((200,), s.RESOURCES, s.RESOURCES, ()),
            ("PATCH", f"{one}/resources"): ((200,), s.RESOURCES, s.RESOURCES, ()),
        }
    return found


def _assets() -> dict[tuple[str, str], Operation]:
    wanted = ("name", "scope", "projectId", "departmentId", "clusterId", "usageInfo", "statusInfo")
    credentials, sources = "/api/v1/asset/credentials", "/api/v1/asset/datasource"
    found: dict[tuple[str, str], Operation] = {
        ("GET", credentials): ((200,), None, s.ASSETS, wanted),
        ("GET", sources): ((200,), None, s.ASSETS, (*wanted, "complyToProject")),
    }
    kinds = {f"{credentials}/{kind}": spec for kind, spec in s.CREDENTIAL_SPECS.items()}
    kinds |= {f"{sources}/{kind.path}": kind.schema for kind in data_sources.KINDS}
    for path, spec in kinds.items():
        one = f"{path}/{{AssetId}}"
        found |= {
            ("GET", path): ((200,), None, s.ASSETS, wanted),
            ("POST", path): ((202,), s.asset_request(spec), s.ASSET, ()),
            ("GET", one): ((200,), None, s.ASSET, ()),
            ("PUT", one): ((202,), s.ASSET_UPDATE, s.ASSET, ()),
            ("DELETE", one): ((202,), None, s.ACCEPTED, ()),
        }
    return found


def _workloads() -> dict[tuple[str, str], Operation]:
    base, templates = "/api/v1/workloads", "/api/v1/workload-templates"
    one = f"{base}/{{workloadId}}"
    pods = s.listed("pods", w.POD)
    listed = (*_PAGED, "complyToProject")
    free = ("templateName", "scopeType", "scopeId")
    found: dict[tuple[str, str], Operation] = {
        ("GET", base): ((200,), None, s.listed("workloads", w.WORKLOAD), (*_PAGED, "deleted")),
        ("GET", f"{base}/count"): ((200,), None, s.COUNT, (*_COUNTED, "deleted")),
        ("GET", f"{base}/pods"): ((200,), None, pods, (*_PAGED, "completed")),
        ("GET", f"{base}/pods/count"): ((200,), None, s.COUNT, ("filterBy",)),
        ("POST", f"{base}/batch"): ((200,), w.WORKLOAD_BATCH, s.BATCH, ()),
        ("GET", one): ((200,), None, w.WORKLOAD, ()),
        ("GET", f"{one}/events"): ((200,), None, s.listed("events", w.EVENT), _PAGED[:3]),
        ("GET", f"{one}/history"): ((200,), None, s.listed("records", w.RECORD), _PAGED[:2]),
        ("GET", f"{one}/pods"): ((200,), None, pods, ("offset", "limit", "search", "deleted")),
        ("GET", templates): ((200,), None, s.TEMPLATES, listed),
        ("GET", f"{templates}/count"): ((200,), None, s.COUNT, _COUNTED),
        ("GET", f"{templates}/name-availability"): ((204,), None, None, free),
        ("GET", f"{templates}/{{templateId}}"): ((200,), None, s.TEMPLATE, ()),
    }
    for kind in KINDS:
        path, template = f"{base}/{kind}", f"{templates}/{kind}"
        one, made = f"{path}/{{workloadId}}", f"{template}/{{templateId}}"
        reply = w.workload_reply(kind)
        found |= {
            ("POST", path): ((202,), w.workload_request(kind), reply, ()),
            ("GET", one): ((200,), None, reply, ()),
            ("DELETE", one): ((202,), None, s.ACCEPTED, ()),
            ("POST", f"{one}/suspend"): ((202,), None, s.ACCEPTED, ()),
            ("POST", f"{one}/resume"): ((202,), None, s.ACCEPTED, ()),
            ("PATCH", one): ((202,), w.INFERENCE_PATCH, reply, ()),
            ("GET", template): ((200,), None, s.TEMPLATES, listed),
            ("POST", template): ((202,), s.template_request(kind), s.TEMPLATE, ()),
            ("GET", made): ((200,), None, s.TEMPLATE, ()),
            ("PUT", made): ((200,), s.template_update(kind), s.TEMPLATE, ()),
            ("PATCH", made): ((200,), s.template_update(kind), s.TEMPLATE, ()),
            ("DELETE", made): ((204,), None, None, ()),
        }
    return found


@cache
def operations() -> dict[tuple[str, str], Operation]:
    """What every endpoint takes and gives."""
    return (
        {
            ("POST", "/api/v1/token"): ((200,), s.TOKEN_REQUEST, s.TOKEN, ()),
            ("POST", "/api/v2/token"): ((200,), s.OAUTH_REQUEST, s.OAUTH_TOKEN, ()),
        }
        | _accounts("/api/v1/service-accounts", "serviceAccountId", "clientSecret")
        | _accounts("/api/v1/apps", "appId", "secret")
        | _iam()
        | _units()
        | _assets()
        | _workloads()
    )


def _parameters(endpoint: Endpoint, names: tuple[str, ...]) -> list[dict[str, Any]]:
    found = []
    for name in re.findall(r"{(\w+)}", endpoint.path):
        schema = whole(0) if name in _INTEGER_PATHS else text(low=1)
        found.append({"name": name, "in": "path", "required": True, "schema": schema})
    for name in names:
        schema = _QUERY[name]
        if endpoint.path == "/api/v1/workloads" and name == "sortBy":
            schema = choice(*WORKLOAD_FIELDS)
        parameter: dict[str, Any] = {"name": name, "in": "query", "schema": schema}
        if name in _JOINED:
            parameter |= {"style": "form", "explode": False}
        found.append(parameter)
    return found


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    statuses, request, reply, query = operations()[endpoint.method, endpoint.path]
    responses: dict[str, Any] = {}
    for status in statuses:
        responses[str(status)] = {"description": "Success"}
        if reply is not None and status != 204:
            responses[str(status)]["content"] = {"application/json": {"schema": reply}}
    error = s.OAUTH_ERROR if endpoint.path == "/api/v2/token" else s.ERROR
    for status in (400, 401, 403, 404, 405, 409, 412, 413):
        responses[str(status)] = {
            "description": "Error",
            "content": {"application/json": {"schema": error}},
        }
    rights = " or ".join(f"{resource}:{action}" for resource, action in endpoint.needs)
    shown: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "-", f"{endpoint.method.lower()}{endpoint.path}").strip("-"),
        "description": f"Needs {rights or 'no right'} ({endpoint.right_certainty}). "
        f"The route is {endpoint.route_certainty}.",
        "parameters": _parameters(endpoint, query),
        "responses": responses,
    }
    if request is not None:
        kind = "application/json"
        if endpoint.path == "/api/v2/token":
            kind = "application/x-www-form-urlencoded"
        shown["requestBody"] = {"required": True, "content": {kind: {"schema": request}}}
    if not endpoint.token:
        shown["security"] = []
    return shown


def _referring(value: Any, components: dict[str, Any]) -> Any:
    """The same document with named schemas moved to the components and referred to."""
    if isinstance(value, list):
        return [_referring(item, components) for item in value]
    if not isinstance(value, dict):
        return value
    name = value.get("title")
    if name is None or "type" not in value:
        return {key: _referring(item, components) for key, item in value.items()}
    if value.get("nullable"):
        name += "OrNull"
    if name not in components:
        components[name] = {}
        components[name] = {key: _referring(item, components) for key, item in value.items()}
    return {"$ref": f"#/components/schemas/{name}"}


def document(version: str) -> dict[str, Any]:
    """The OpenAPI document of an emulated control-plane version."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for endpoint in endpoint_table(version):
        operation = _referring(_operation(endpoint), schemas)
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Run:ai control plane, emulated",
            "version": version,
            "description": "What the emulator serves, written from public facts about the API.",
        },
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
            "schemas": schemas,
        },
    }
