"""The shapes of the cases, the bodies they send, and what the vendor's models make of answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from runai import models
from runai.runai_client import RunaiClient as VendorClient

from runai_api import RunaiClient

IMAGE = "busybox:1.37"


@dataclass(frozen=True)
class World:
    """What the operations work on; made anew for each client."""

    client: RunaiClient
    ids: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        return self.ids[name]


@dataclass(frozen=True)
class Case:
    """One operation: what must exist, how both clients ask for it, the vendor's models of it."""

    ours: Callable[[RunaiClient, World], Any]
    theirs: Callable[[VendorClient, World], Any]
    reply: Callable[[Any], Any] | None = None
    request: Any = None
    needs: tuple[str, ...] = ()


# Keys that came with the release of 2.24 (documented), after the vendor's models were made, or
# that its models of departments in lists leave out although those of single ones have them.
NEWER_KEYS = {
    "Role1.deprecated",
    "DepartmentForList.childrenCount",
    "DepartmentForList.effective",
    "DepartmentForListAllOfStatus.additionalStatusData",
    "DepartmentForListAllOfStatus.lastUpdatedTime",
    "DepartmentForListAllOfStatus.nodePoolQuotaStatuses",
    "DepartmentForListAllOfStatus.phase",
    "DepartmentForListAllOfStatus.phaseMessage",
}

# Keys that only the emulator sends; nothing may be built on them.
EMULATORS_OWN_KEYS = {
    "ClusterResourceInfo.kind",
    "Container1.exitCode",
    "Container1.reason",
    "Container1.restartCount",
    "GenericSecretSpec.keys",
}


def fits(model: Any, value: Any) -> Any:
    """Parse by the vendor's strict model, which must know every key."""
    parsed = model.model_validate(value)
    assert set(unknown_keys(parsed, value)) <= NEWER_KEYS | EMULATORS_OWN_KEYS
    return parsed


def unknown_keys(parsed: Any, value: Any) -> Iterator[str]:
    if isinstance(parsed, list) and isinstance(value, list):
        for inner, raw_inner in zip(parsed, value, strict=True):
            yield from unknown_keys(inner, raw_inner)
    elif isinstance(parsed, BaseModel) and isinstance(value, dict):
        names = {field.alias or name: name for name, field in type(parsed).model_fields.items()}
        for key, inner in value.items():
            if key not in names:
                yield f"{type(parsed).__name__}.{key}"
            else:
                yield from unknown_keys(getattr(parsed, names[key]), inner)


def one(model: Any) -> Callable[[Any], Any]:
    return lambda value: fits(model, value)


def many(model: Any, key: str | None = None) -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:
        rows = value if key is None else value[key]
        assert rows, "an empty list shows nothing"
        return [fits(model, row) for row in rows]

    return parse


def iam(vendor: VendorClient) -> Any:
    return vendor.authentication_and_authorization


def training(world: World, name: str = "t-1") -> dict[str, Any]:
    return {
        "name": name,
        "projectId": world.project,
        "clusterId": world.cluster,
        "spec": {
            "image": IMAGE,
            "command": "sleep 600",
            "environmentVariables": [{"name": "A", "value": "b"}],
            "compute": {"cpuCoreRequest": 0.1, "cpuMemoryRequest": "64Mi"},
        },
    }


def distributed(world: World) -> dict[str, Any]:
    body = training(world, "d-1")
    body["spec"] |= {"numWorkers": 2, "distributedFramework": "PyTorch"}
    return {**body, "masterSpecSameAsWorker": True}


def inference(world: World) -> dict[str, Any]:
    body = training(world, "i-1")
    body["spec"] |= {"servingPort": {"container": 8080, "protocol": "http"}}
    return body


def rule_body(world: World) -> dict[str, Any]:
    return {
        "subjectId": world.client_id,
        "subjectType": "service-account",
        "roleId": world.role,
        "scopeType": "project",
        "scopeId": world.project,
    }


REGISTRY = {"user": "u", "password": "p", "url": "https://registry.example"}


def asset_body(world: World, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    project = int(world.project)
    return {"meta": {"name": name, "scope": "project", "projectId": project}, "spec": spec}


def workload_cases(
    kind: str, single: str, body: Callable[[World], Any], model: Any, request: Any, create: str
) -> dict[str, Case]:
    """The operations that all kinds of workloads share."""

    def family(client: RunaiClient) -> Any:
        return getattr(client, kind)

    def api(vendor: VendorClient) -> Any:
        return getattr(vendor.workloads, kind)

    def by_id(ours: str, theirs: str, reply: Any, before: tuple[str, ...] = ()) -> Case:
        return Case(
            lambda c, w: getattr(family(c), ours)(getattr(w, kind)),
            lambda v, w: getattr(api(v), theirs)(getattr(w, kind)),
            reply,
            needs=(kind, *before),
        )

    cases = {
        f"{kind}.create": Case(
            lambda c, w: family(c).create(body(w)),
            lambda v, w: getattr(api(v), create)(body(w)),
            one(model),
            request,
        ),
        f"{kind}.get": by_id("get", f"get_{single}", one(model)),
        f"{kind}.delete": by_id("delete", f"delete_{single}", one(models.HttpResponse)),
    }
    if kind != "inferences":
        for verb, before in (("suspend", ()), ("resume", (f"{kind}.suspended",))):
            reply = one(models.HttpResponse)
            cases[f"{kind}.{verb}"] = by_id(verb, f"{verb}_{single}", reply, before)
    return cases


UNKNOWN_TO_THE_VENDOR = {
    # It has no calls for roles' state, and its call for v2 tokens sends no body.
    "roles.disable",
    "roles.enable",
    "tokens.create",
    "tokens.create_v1",
}

ROLES = "/api/v2/authorization/roles"
SETS = "/api/v1/authorization/permission-sets"


def raw(
    vendor: VendorClient,
    method: str,
    path: str,
    query: dict[str, str] | None = None,
    body: Any = None,
) -> Any:
    """The vendor's client of December 2025 has the models of the second roles API and of
    permission sets, but no calls."""
    return vendor.api_client.call_api(
        method=method, resource_path=path, query_params=query, body=body
    )


def older(value: dict[str, Any]) -> dict[str, Any]:
    """Without the resource types that came with the release of 2.24, after those models."""
    newer = {"clusters-minimal", "nodepools-minimal", "workload-integration-metrics"}
    kept = [entry for entry in value["permissions"] if entry["resourceType"] not in newer]
    return {**value, "permissions": kept}


def role_body(world: World) -> dict[str, Any]:
    sets = [{"id": world.permission_set}]
    return {"name": "r", "description": "d", "enabled": True, "permissionSets": sets}


def legacy_roles(client: RunaiClient) -> Any:
    """The family as it works where the second roles API is missing."""
    client.roles._v2_missing = True
    return client.roles


def org_unit_parts(value: dict[str, Any]) -> None:
    """The vendor's generator lost the models of departments and projects to others of the same
    name, so their parts are checked: those that lists of departments use too."""
    assert isinstance(value["id"], str)
    assert isinstance(value["clusterId"], str)
    fits(models.TotalResources, value["totalResources"])
    assert value["resources"], "an empty list shows nothing"
    for entry in value["resources"]:
        fits(models.Resources, entry)
    if "effective" in value:
        fits(models.SchedulingRules, value["effective"]["schedulingRules"] or {})
    if value.get("status"):
        known = {"Creating", "Updating", "Deleting", "Deleted", "Initializing", "Ready"}
        assert value["status"]["phase"] in known | {"NotReady", "Unknown"}
