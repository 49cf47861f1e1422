"""Every operation that both clients know: how each asks for it, and the vendor's models of it."""

from __future__ import annotations

from runai import models

from .vendor_models import (
    IMAGE,
    REGISTRY,
    ROLES,
    SETS,
    Case,
    asset_body,
    distributed,
    fits,
    iam,
    inference,
    legacy_roles,
    many,
    older,
    one,
    org_unit_parts,
    raw,
    role_body,
    rule_body,
    training,
    workload_cases,
)

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
