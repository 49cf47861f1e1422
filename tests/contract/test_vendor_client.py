"""The vendor's own Python client as a witness, for this client and for the emulator.

Each operation is carried out twice on the emulator: by our client and by the vendor's. Both must
ask for the same thing (verb, path, query), our body must be one that the vendor's request model
takes and knows every key of, and the emulator's answer must satisfy the vendor's strict models.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import pytest
from pydantic import BaseModel
from runai import models
from runai.api_client import ApiClient
from runai.configuration import Configuration
from runai.runai_client import RunaiClient as VendorClient

from runai_api import RunaiClient, operations

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


CASES: dict[str, Case] = {
    "service_accounts.list": Case(
        lambda c, w: c.service_accounts.list(),
        lambda v, w: iam(v).service_accounts.get_service_accounts(),
        many(models.ServiceAccount),
        needs=("account",),
    ),
    "service_accounts.get": Case(
        lambda c, w: c.service_accounts.get(w.account),
        lambda v, w: iam(v).service_accounts.get_service_account_by_id(w.account),
        one(models.ServiceAccount),
        needs=("account",),
    ),
    "service_accounts.create": Case(
        lambda c, w: c.service_accounts.create("new-bot"),
        lambda v, w: iam(v).service_accounts.create_service_account({"name": "new-bot"}),
        one(models.ServiceAccountPostResponse),
        models.ServiceAccountCreationRequest,
    ),
    "service_accounts.set_enabled": Case(
        lambda c, w: c.service_accounts.set_enabled(w.account, False),
        lambda v, w: iam(v).service_accounts.update_service_account_by_id(
            w.account, {"enabled": False}
        ),
        None,
        models.ServiceAccountPatchRequest,
        needs=("account",),
    ),
    "service_accounts.regenerate_secret": Case(
        lambda c, w: c.service_accounts.regenerate_secret(w.account),
        lambda v, w: iam(v).service_accounts.regenerate_service_account_secret(w.account),
        one(models.RegenerateServiceAccountSecretResponse),
        needs=("account",),
    ),
    "service_accounts.delete": Case(
        lambda c, w: c.service_accounts.delete(w.account),
        lambda v, w: iam(v).service_accounts.delete_service_account_by_id(w.account),
        needs=("account",),
    ),
    "applications.list": Case(
        lambda c, w: c.applications.list(),
        lambda v, w: iam(v).applications.get_applications(),
        many(models.Application),
        needs=("application",),
    ),
    "applications.get": Case(
        lambda c, w: c.applications.get(w.application),
        lambda v, w: iam(v).applications.get_application_by_id(w.application),
        one(models.Application),
        needs=("application",),
    ),
    "applications.create": Case(
        lambda c, w: c.applications.create("new-app"),
        lambda v, w: iam(v).applications.create_application({"name": "new-app"}),
        one(models.ApplicationPostResponse),
        models.ApplicationCreationRequest,
    ),
    "applications.set_enabled": Case(
        lambda c, w: c.applications.set_enabled(w.application, False),
        lambda v, w: iam(v).applications.update_application_by_id(
            w.application, {"enabled": False}
        ),
        None,
        models.ApplicationPatchRequest,
        needs=("application",),
    ),
    "applications.regenerate_secret": Case(
        lambda c, w: c.applications.regenerate_secret(w.application),
        lambda v, w: iam(v).applications.regenerate_application_secret(w.application),
        one(models.RegenerateApplicationSecret200Response),
        needs=("application",),
    ),
    "applications.delete": Case(
        lambda c, w: c.applications.delete(w.application),
        lambda v, w: iam(v).applications.delete_application_by_id(w.application),
        needs=("application",),
    ),
    "access_rules.list": Case(
        lambda c, w: c.access_rules.list(
            subject_ids=[w.client_id], subject_type="service-account", scope_id=w.project
        ),
        lambda v, w: iam(v).access_rules.get_access_rules(
            subject_ids=[w.client_id], subject_type="service-account", scope_id=w.project
        ),
        one(models.GetAccessRules200Response),
        needs=("rule",),
    ),
    "access_rules.get": Case(
        lambda c, w: c.access_rules.get(w.rule),
        lambda v, w: iam(v).access_rules.get_access_rule(w.rule),
        one(models.AccessRuleById),
        needs=("rule",),
    ),
    "access_rules.create": Case(
        lambda c, w: c.access_rules.create(
            w.client_id, "service-account", w.role, "project", w.project
        ),
        lambda v, w: iam(v).access_rules.create_access_rule(rule_body(w)),
        one(models.AccessRule),
        models.AccessRuleCreationFields,
        needs=("account",),
    ),
    "access_rules.delete": Case(
        lambda c, w: c.access_rules.delete(w.rule),
        lambda v, w: iam(v).access_rules.delete_access_rule(w.rule),
        needs=("rule",),
    ),
    "access_rules.count": Case(
        lambda c, w: c.access_rules.count(include_deleted=True),
        lambda v, w: iam(v).access_rules.count_access_rules(include_deleted=True),
        one(models.CountAccessRules200Response),
    ),
    "access_rules.mine": Case(
        lambda c, w: c.access_rules.mine(),
        lambda v, w: iam(v).me.get_me_access_rules(),
        one(models.MeAccessRulesResponse),
    ),
    "roles.list_v1": Case(
        lambda c, w: legacy_roles(c).list(),
        lambda v, w: iam(v).roles.get_roles_v1(),
        lambda value: [fits(models.RoleV1, older(role)) for role in value],
    ),
    "roles.get_v1": Case(
        lambda c, w: legacy_roles(c).get(w.role),
        lambda v, w: iam(v).roles.get_role_v1(w.role),
        lambda value: fits(models.RoleV1, older(value)),
    ),
    "roles.list": Case(
        lambda c, w: c.roles.find("AI practitioner"),
        lambda v, w: raw(v, "GET", ROLES, {"filterBy": "name==AI practitioner"}),
        lambda value: [fits(models.Role1, older(role)) for role in value["roles"]],
    ),
    "roles.get": Case(
        lambda c, w: c.roles.get(w.role),
        lambda v, w: raw(v, "GET", f"{ROLES}/{w.role}"),
        lambda value: fits(models.Role1, older(value)),
    ),
    "roles.create": Case(
        lambda c, w: c.roles.create("r", "d", [w.permission_set]),
        lambda v, w: raw(v, "POST", ROLES, body=role_body(w)),
        one(models.Role1),
        models.RoleCreationFieldsInternal,
    ),
    "roles.update": Case(
        lambda c, w: c.roles.update(
            w.custom_role, name="s", description="d", permission_set_ids=[w.permission_set]
        ),
        lambda v, w: raw(v, "PUT", f"{ROLES}/{w.custom_role}", body=role_body(w)),
        one(models.Role1),
        models.RoleCreationFieldsInternal,
        needs=("custom role",),
    ),
    "roles.delete": Case(
        lambda c, w: c.roles.delete(w.custom_role),
        lambda v, w: raw(v, "DELETE", f"{ROLES}/{w.custom_role}"),
        needs=("custom role",),
    ),
    "permission_sets.list": Case(
        lambda c, w: c.permission_sets.list(),
        lambda v, w: raw(v, "GET", SETS),
        lambda value: [fits(models.PermissionSet, older(row)) for row in value["permissionSets"]],
    ),
    "permission_sets.get": Case(
        lambda c, w: c.permission_sets.get(w.permission_set),
        lambda v, w: raw(v, "GET", f"{SETS}/{w.permission_set}"),
        one(models.PermissionSet),
    ),
    "permissions.mine": Case(
        lambda c, w: c.permissions.mine(),
        lambda v, w: iam(v).permissions.get_permissions(),
        lambda value: [
            fits(models.Permission, row) for row in older({"permissions": value})["permissions"]
        ],
    ),
    "permissions.permitted_scopes": Case(
        lambda c, w: c.permissions.permitted_scopes("trainings", "create"),
        lambda v, w: iam(v).permissions.get_permitted_scopes(
            {"resourceType": "trainings", "action": "create"}
        ),
        one(models.PermittedScopesActions),
        models.GetPermittedScopesRequest,
    ),
    "clusters.list": Case(
        lambda c, w: c.clusters.list(verbosity="metadata"),
        lambda v, w: v.organizations.clusters.get_clusters(verbosity="metadata"),
        many(models.DisplayedCluster),
    ),
    "clusters.get": Case(
        lambda c, w: c.clusters.get(w.cluster),
        lambda v, w: v.organizations.clusters.get_cluster_by_uuid(w.cluster),
        one(models.DisplayedCluster),
    ),
    "node_pools.list": Case(
        lambda c, w: c.node_pools.list(cluster_id=w.cluster),
        lambda v, w: v.organizations.node_pools.get_nodepools(
            filter_by=[f"clusterId=={w.cluster}"]
        ),
        many(models.Nodepool, "nodepools"),
    ),
    "node_pools.get": Case(
        lambda c, w: c.node_pools.get(w.pool),
        lambda v, w: v.organizations.node_pools.get_nodepool(w.pool),
        one(models.Nodepool),
    ),
    "departments.list": Case(
        lambda c, w: c.departments.find("default"),
        lambda v, w: v.organizations.departments.get_departments(filter_by=["name==default"]),
        many(models.DepartmentForList, "departments"),
    ),
    "departments.get": Case(
        lambda c, w: c.departments.get(w.department),
        lambda v, w: v.organizations.departments.get_department(w.department),
        lambda value: org_unit_parts(value),
    ),
    "projects.list": Case(
        lambda c, w: c.projects.find("ml-team", w.cluster),
        lambda v, w: v.organizations.projects.get_projects(
            filter_by=["name==ml-team", f"clusterId=={w.cluster}"]
        ),
        lambda value: [org_unit_parts(row) for row in value["projects"]],
    ),
    "projects.get": Case(
        lambda c, w: c.projects.get(w.project),
        lambda v, w: v.organizations.projects.get_project(w.project),
        lambda value: org_unit_parts(value),
    ),
    "registry_credentials.list": Case(
        lambda c, w: c.registry_credentials.find("reg", w.project),
        lambda v, w: v.workload_assets.credentials.list_docker_registries(
            name="reg", project_id=int(w.project), status_info=True
        ),
        one(models.DockerRegistryListResponse),
        needs=("registry",),
    ),
    "registry_credentials.get": Case(
        lambda c, w: c.registry_credentials.get(w.registry),
        lambda v, w: v.workload_assets.credentials.get_docker_registry_by_id(
            w.registry, status_info=True
        ),
        one(models.DockerRegistry),
        needs=("registry",),
    ),
    "registry_credentials.create": Case(
        lambda c, w: c.registry_credentials.create("reg", w.project, **REGISTRY),
        lambda v, w: v.workload_assets.credentials.create_docker_registry(
            asset_body(w, "reg", REGISTRY)
        ),
        one(models.DockerRegistry),
        models.DockerRegistryCreationRequest,
    ),
    "registry_credentials.update": Case(
        lambda c, w: c.registry_credentials.update(w.registry, description="new"),
        lambda v, w: v.workload_assets.credentials.update_docker_registry(
            w.registry, {"meta": {"description": "new"}}
        ),
        one(models.DockerRegistry),
        models.DockerRegistryUpdateRequest,
        needs=("registry",),
    ),
    "registry_credentials.delete": Case(
        lambda c, w: c.registry_credentials.delete(w.registry),
        lambda v, w: v.workload_assets.credentials.delete_docker_registry(w.registry),
        one(models.HttpResponse),
        needs=("registry",),
    ),
    "generic_secrets.list": Case(
        lambda c, w: c.generic_secrets.find("tokens", w.project),
        lambda v, w: v.workload_assets.credentials.list_generic_secret(
            name="tokens", project_id=int(w.project), status_info=True
        ),
        one(models.GenericSecretListResponse),
        needs=("secret",),
    ),
    "generic_secrets.get": Case(
        lambda c, w: c.generic_secrets.get(w.secret),
        lambda v, w: v.workload_assets.credentials.get_generic_secret_by_id(
            w.secret, status_info=True
        ),
        one(models.GenericSecret),
        needs=("secret",),
    ),
    "generic_secrets.create": Case(
        lambda c, w: c.generic_secrets.create("tokens", w.project, {"KEY": "v"}),
        lambda v, w: v.workload_assets.credentials.create_generic_secret(
            asset_body(w, "tokens", {"keyValuePairs": [{"key": "KEY", "value": "v"}]})
        ),
        one(models.GenericSecret),
        models.GenericSecretCreationRequest,
    ),
    "generic_secrets.delete": Case(
        lambda c, w: c.generic_secrets.delete(w.secret),
        lambda v, w: v.workload_assets.credentials.delete_generic_secret(w.secret),
        one(models.HttpResponse),
        needs=("secret",),
    ),
    **workload_cases(
        "trainings",
        "training",
        training,
        models.Training1,
        models.TrainingCreationRequest,
        "create_training1",
    ),
    **workload_cases(
        "distributed",
        "distributed",
        distributed,
        models.DistributedWorkload,
        models.DistributedCreationRequest,
        "create_distributed",
    ),
    **workload_cases(
        "workspaces",
        "workspace",
        lambda w: training(w, "w-1"),
        models.Workspace1,
        models.WorkspaceCreationRequest,
        "create_workspace1",
    ),
    **workload_cases(
        "inferences",
        "inference",
        inference,
        models.Inference1,
        models.InferenceCreationRequest,
        "create_inference1",
    ),
    "inferences.update": Case(
        lambda c, w: c.inferences.update(w.inferences, {"image": IMAGE}),
        lambda v, w: v.workloads.inferences.update_inference_spec(
            w.inferences, {"spec": {"image": IMAGE}}
        ),
        one(models.Inference1),
        models.InferenceUpdateRequest,
        needs=("inferences",),
    ),
    "workloads.list": Case(
        lambda c, w: c.workloads.list(
            filter_by=[f"projectId=={w.project}", "phaseUpdatedAt>=2020-01-01T00:00:00Z"],
            sort_by="name",
            descending=True,
        ),
        lambda v, w: v.workloads.workloads.get_workloads(
            filter_by=[f"projectId=={w.project}", "phaseUpdatedAt>=2020-01-01T00:00:00Z"],
            sort_by="name",
            sort_order="desc",
        ),
        one(models.GetWorkloads200Response),
        needs=("trainings",),
    ),
    "workloads.count": Case(
        lambda c, w: c.workloads.count(filter_by=[f"projectId=={w.project}"], deleted=True),
        lambda v, w: v.workloads.workloads.count_workloads(
            filter_by=[f"projectId=={w.project}"], deleted=True
        ),
        one(models.CountAccessRules200Response),
    ),
    "workloads.get": Case(
        lambda c, w: c.workloads.get(w.trainings),
        lambda v, w: v.workloads.workloads.get_workload(w.trainings),
        one(models.WorkloadDetailed),
        needs=("trainings",),
    ),
    "workloads.events": Case(
        lambda c, w: c.workloads.events(w.trainings),
        lambda v, w: v.workloads.events.get_workload_events(w.trainings),
        one(models.GetWorkloadEvents200Response),
        needs=("trainings",),
    ),
    "workloads.history": Case(
        lambda c, w: c.workloads.history(w.trainings),
        lambda v, w: v.workloads.events.get_workload_history(w.trainings),
        one(models.GetWorkloadHistory200Response),
        needs=("trainings",),
    ),
    "workloads.pods": Case(
        lambda c, w: c.workloads.pods(w.trainings),
        lambda v, w: v.workloads.pods.get_workload_pods(w.trainings),
        one(models.ListPods200Response),
        needs=("trainings",),
    ),
    "workloads.batch": Case(
        lambda c, w: c.workloads.batch([w.trainings], "suspend"),
        lambda v, w: v.workloads.workloads_batch.batch_workloads(
            {"ids": [w.trainings], "action": "suspend"}
        ),
        one(models.BatchResponse),
        models.WorkloadBatch,
        needs=("trainings",),
    ),
    "workload_templates.list": Case(
        lambda c, w: c.workload_templates.find("template-1"),
        lambda v, w: v.workloads.workload_templates.list_templates1(filter_by=["name==template-1"]),
        one(models.TemplatesListResponse),
        needs=("template",),
    ),
    "workload_templates.get": Case(
        lambda c, w: c.workload_templates.get(w.template),
        lambda v, w: v.workloads.workload_templates.get_template_by_id1(w.template),
        one(models.SupersetTemplate),
        needs=("template",),
    ),
}

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


# --- how the cases run


def make_world(client: RunaiClient, vendor: VendorClient, needs: tuple[str, ...]) -> World:
    project = client.projects.find("ml-team")
    role = client.roles.find("AI practitioner")
    assert project
    assert role
    pool = client.node_pools.find("default", project.cluster_id)
    assert pool
    sets = client.permission_sets.list()
    ids: dict[str, Any] = {
        "project": project.id,
        "cluster": project.cluster_id,
        "department": project.parent_id,
        "role": role.id,
        "pool": pool.id,
        "permission_set": sets[0].id,
    }
    world = World(client, ids)
    account = client.service_accounts.create("bot")
    ids |= {"account": account.id, "client_id": account.client_id}
    for need in needs:
        match need:
            case "application":
                ids["application"] = client.applications.create("app").id
            case "rule":
                ids["rule"] = client.access_rules.create(
                    ids["client_id"], "service-account", role.id, "project", project.id
                ).id
            case "registry":
                ids["registry"] = client.registry_credentials.create(
                    "reg", project.id, **REGISTRY
                ).id
            case "secret":
                ids["secret"] = client.generic_secrets.create("tokens", project.id, {"K": "v"}).id
            case "trainings" | "workspaces":
                ids[need] = getattr(client, need).create(training(world)).workload_id
            case "distributed":
                ids[need] = client.distributed.create(distributed(world)).workload_id
            case "inferences":
                ids[need] = client.inferences.create(inference(world)).workload_id
            case "custom role":
                ids["custom_role"] = client.roles.create("r-1", "d", [sets[0].id]).id
            case "template":
                ids["template"] = make_template(vendor, project.id)
            case _ if need.endswith(".suspended"):
                kind = need.removesuffix(".suspended")
                getattr(client, kind).suspend(ids[kind])
            case _:
                assert need == "account"
    return world


def make_template(vendor: VendorClient, project_id: str) -> str:
    body = {
        "meta": {"name": "template-1", "scopeType": "project", "scopeId": project_id},
        "spec": {"image": IMAGE, "command": "true"},
    }
    models.TrainingTemplateCreationRequest.model_validate(body)
    answer = vendor.workloads.workload_templates.create_training_template(body)
    return str(models.TrainingTemplate.model_validate(answer.data).meta.id)


def log_in(emulator: Any) -> VendorClient:
    """The vendor's client; it asks for its only token here."""
    settings = Configuration(
        client_id=emulator.admin_id,
        client_secret=emulator.admin_secret,
        runai_base_url=emulator.base_url,
        retry_enabled=False,
    )
    return VendorClient(ApiClient(settings))


def asked(emulator: Any, world: World) -> tuple[str, str, dict[str, str]]:
    """The last request, with the ids of the world written as names."""
    entry = emulator.requests()[-1]
    path = entry["path"]
    for name, value in sorted(world.ids.items(), key=lambda item: -len(str(item[1]))):
        path = re.sub(rf"/{re.escape(str(value))}(?=/|$)", f"/<{name}>", path)
    query = entry["query"]
    query = dict(parse_qsl(query)) if isinstance(query, str) else dict(query)
    return entry["method"], path, query


@pytest.mark.parametrize("name", CASES)
def test_both_clients_ask_for_the_same(name: str, emulator: Any, admin_client: RunaiClient) -> None:
    case = CASES[name]
    bodies: list[bytes | None] = []
    send = admin_client._session._send

    def recording(method: str, url: str, headers: Any, content: bytes | None, deadline: Any) -> Any:
        bodies.append(content)
        return send(method, url, headers, content, deadline)

    world = make_world(admin_client, log_in(emulator), case.needs)
    admin_client._session._send = recording  # type: ignore[method-assign]
    emulator.forget_requests()
    case.ours(admin_client, world)
    assert len(emulator.requests()) == 1
    ours = asked(emulator, world)
    admin_client._session._send = send  # type: ignore[method-assign]

    emulator.reset()
    vendor = log_in(emulator)
    with RunaiClient(
        emulator.base_url, client_id=emulator.admin_id, client_secret=emulator.admin_secret
    ) as fresh:
        world = make_world(fresh, vendor, case.needs)
    emulator.forget_requests()
    answer = case.theirs(vendor, world)
    theirs = asked(emulator, world)

    ours[2].pop("limit", None)  # we ask for the largest page on purpose
    assert ours == theirs
    (body,) = bodies
    if case.request is None:
        assert body is None
    else:
        check_body(case.request, json.loads(body or b"null"))
    if case.reply is None:
        assert answer.data in (None, "", {}), "there is a body, but no model for it"
    else:
        case.reply(answer.data)


def check_body(model: Any, body: Any) -> None:
    """The vendor's request model takes the body, and knows every key of it."""
    parsed = model.model_validate(body)
    kept = json.loads(parsed.model_dump_json(by_alias=True, exclude_unset=True))
    assert kept == body


def test_every_operation_has_its_case() -> None:
    ours = {operation.name for operation in operations()}
    assert set(CASES) | UNKNOWN_TO_THE_VENDOR == ours
    assert not set(CASES) & UNKNOWN_TO_THE_VENDOR


def test_the_vendors_token_request_is_understood(emulator: Any) -> None:
    body = {
        "grantType": "client_credentials",
        "clientID": emulator.admin_id,
        "clientSecret": emulator.admin_secret,
    }
    models.TokenRequest.model_validate(body)
    answer = iam(log_in(emulator)).tokens.grant_token(body)
    assert models.TokenResponse.model_validate(answer.data).access_token
