"""Look-up of the Run:ai project, with the checks that need no writing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from provision.errors import InvalidSetting
from provision.naming import near_misses
from provision.providers._client_secrets import APPLICATION, SERVICE_ACCOUNT
from provision.providers._journal import (
    ACCOUNT,
    ASLEEP,
    REGISTRY_CREDENTIAL,
    ROLE,
    Entry,
    JournalProvider,
    LeftOver,
)
from provision.providers._ownership import owner_in_description
from provision.providers.base import Input, Problems, Properties, say
from provision.providers.registry_credential import RegistryCredentialProvider
from provision.providers.role import CustomRoleProvider
from provision.providers.service_account import ServiceAccountProvider
from runai_api import NotFound
from runai_perms import load_catalogue

if TYPE_CHECKING:
    from runai_api import Project, RunaiClient, ServiceAccount

SCOPES = ("project", "department", "cluster", "tenant")


class RunaiProjectProvider(JournalProvider):
    """Reads a project; deletes nothing but what an interrupted run has left of `planned`: service
    accounts, custom roles and registry credentials."""

    kind = "Run:ai project"
    inputs: ClassVar = {
        "base_url": Input(),
        "name": Input(),
        "cluster": Input(),
        "scope_type": Input("project"),
        "allow_broader_scope": Input(False),
        "require_gpu_quota": Input(True),
        "provisioning_features": Input([]),
        "planned": Input(noted=True),
        ASLEEP: Input(on_change="nothing", noted=True),
        "project_id": Input(resolved=True),
        "cluster_id": Input(resolved=True),
        "namespace": Input(resolved=True),
        "scope_id": Input(resolved=True),
        "gpu_quota": Input(resolved=True),
        "control_plane_version": Input(resolved=True),
    }
    journal = ("planned",)

    def validate(self, inputs: Properties, problems: Problems) -> None:
        if not inputs.get("name"):
            problems.add("Name the Run:ai project that workloads are submitted to.", "name")
        with problems.catch("scope_type"):
            check_scope(inputs.get("scope_type"), inputs.get("allow_broader_scope"))

    def resolve(self, olds: Properties, inputs: Properties, problems: Problems) -> None:
        runai = self.session.runai
        configured = runai.base_url
        if str(inputs.get("base_url") or configured).rstrip("/") != configured:
            problems.add(f"The providers are configured for {configured}.", "base_url")
            return
        version = runai.version
        cluster_id = self._cluster_id(runai, inputs, problems)
        if problems:
            return
        project = runai.projects.find(inputs["name"], cluster_id=cluster_id)
        if project is None:
            known = [found.name for found in runai.projects.list(cluster_id=cluster_id)]
            problems.add(
                f"There is no Run:ai project {inputs['name']!r} at {configured} that the "
                f"administrator's credentials may see. {near_misses(inputs['name'], known)}",
                "name",
            )
            return
        if olds.get("project_id") not in (None, project.id) and (
            olds.get("base_url") != inputs.get("base_url")
        ):
            problems.add(
                f"{configured} is another control plane than {olds.get('base_url')}: its project "
                f"{project.name!r} is a different one. What this stack made stays there. Run "
                "`pulumi destroy` with the old URL first, or use a new stack for the new one.",
                "base_url",
            )
            return
        _check_state(project, inputs["require_gpu_quota"], problems)
        self._warn_of_missing_rights(runai, inputs["provisioning_features"], version.value)
        inputs.update(_found(project))
        inputs["control_plane_version"] = version.value
        inputs["scope_id"] = self._scope_id(runai, project, inputs["scope_type"])

    def make(self, props: Properties) -> tuple[str, Properties]:
        return str(props["project_id"]), {}

    def look(self, id: str, props: Properties) -> Properties | None:
        try:
            project = self.session.runai.projects.get(id)
        except NotFound:
            return None
        return {"name": project.name, **_found(project)}

    def find_left_over(self, entries: Sequence[Entry]) -> Iterator[LeftOver]:
        runai = self.session.runai
        accounts = {entry["name"]: entry for entry in entries if entry["type"] == ACCOUNT}
        if accounts:
            current = runai.version.has_service_accounts
            for account in (runai.service_accounts if current else runai.applications).list():
                if account.name in accounts:
                    yield LeftOver(
                        accounts[account.name],
                        f"The service account {account.name!r}",
                        partial(self._delete_account, account, current),
                    )
        roles = {entry["owner"]: entry for entry in entries if entry["type"] == ROLE}
        for role in runai.roles.list() if roles else ():
            owner = owner_in_description(role.description)
            if owner in roles and role.deleted_at is None:
                delete = partial(self.acting_as(CustomRoleProvider).remove, str(role.id), {})
                yield LeftOver(roles[owner], f"The role {role.name!r}", delete)
        credentials = {e["owner"]: e for e in entries if e["type"] == REGISTRY_CREDENTIAL}
        # In all projects: the stack may have been made for another one first.
        for found in runai.registry_credentials.list(status=False) if credentials else ():
            owner = owner_in_description(found.meta.description)
            if owner in credentials:
                delete = partial(self.acting_as(RegistryCredentialProvider).remove, found.id, {})
                what = f"The registry credential {found.name!r}"
                yield LeftOver(credentials[owner], what, delete)

    def _delete_account(self, account: ServiceAccount, current: bool) -> None:
        """With its access rules: whether those go with an account is not documented."""
        subject_type = SERVICE_ACCOUNT if current else APPLICATION
        rules = self.session.runai.access_rules
        for rule in rules.list(subject_ids=[account.client_id]):
            if rule.subject_type == subject_type:
                with contextlib.suppress(NotFound):
                    rules.delete(rule.id)
        remover = self.acting_as(ServiceAccountProvider)
        remover.remove(account.id, {"subject_type": subject_type})

    def _cluster_id(self, runai: RunaiClient, inputs: Properties, problems: Problems) -> str | None:
        name = inputs.get("cluster")
        if not name:
            return None
        clusters = {cluster.name: cluster for cluster in runai.clusters.list()}
        if name not in clusters:
            problems.add(
                f"There is no Run:ai cluster {name!r}. {near_misses(name, clusters)}", "cluster"
            )
            return None
        return clusters[name].uuid

    def _scope_id(self, runai: RunaiClient, project: Project, scope_type: str) -> str:
        if scope_type == "project":
            return project.id
        if scope_type == "department":
            return project.parent_id or ""
        if scope_type == "cluster":
            return project.cluster_id
        cluster = runai.clusters.get(project.cluster_id)
        return str(cluster.tenant_id)

    def _warn_of_missing_rights(
        self, runai: RunaiClient, features: list[str], version: str
    ) -> None:
        """Warn only: which right a call needs is known for few calls, and the answer to the call
        itself decides."""
        held = {name for permission in runai.permissions.mine() for name in permission.names}
        needs = load_catalogue().needs("provisioner", features, version=version)
        missing = [
            str(need.permission)
            for need in needs
            if not any(str(permission) in held for permission in need.accepted)
        ]
        if missing:
            say(
                f"warning: the administrator's client {runai.client_id!r} seems to lack "
                f"{', '.join(sorted(missing))}; making what needs it will be refused. Give it a "
                "role with these permissions, or use another client."
            )


def check_scope(scope_type: object, allowed: object) -> None:
    """Refuse unknown scopes, and those above the project unless explicitly allowed."""
    if not isinstance(scope_type, str):
        return
    if scope_type not in SCOPES:
        raise InvalidSetting(f"{scope_type!r} is no scope. Use one of {', '.join(SCOPES)}.")
    if scope_type != "project" and allowed is not True:
        raise InvalidSetting(
            f"At {scope_type} scope the same credentials could submit into projects that ZenML was "
            "never set up for. Use 'project', or set allowBroaderScope to true if that is meant."
        )


def _check_state(project: Project, require_gpu_quota: bool, problems: Problems) -> None:
    if not project.is_ready:
        phase = project.status.phase if project.status else "unknown"
        said = f" ({project.status.phase_message})" if _message(project) and project.status else ""
        problems.add(
            f"The Run:ai project {project.name!r} is not Ready but {phase}{said}. Wait until it is,"
            " or look at it in the Run:ai console.",
            "name",
        )
    if require_gpu_quota and _gpu_quota(project) == 0:
        problems.add(
            f"The Run:ai project {project.name!r} has no GPU quota: workloads would stay Pending "
            "until they time out. Give it quota, or set requireGpuQuota to false if it is meant "
            "for CPU or over-quota work only.",
            "name",
        )


def _message(project: Project) -> str | None:
    return project.status.phase_message if project.status else None


def _found(project: Project) -> dict[str, Any]:
    quota = _gpu_quota(project)
    return {
        "project_id": project.id,
        "cluster_id": project.cluster_id,
        "namespace": project.namespace or "",
        **({} if quota is None else {"gpu_quota": quota}),
    }


def _gpu_quota(project: Project) -> float | None:
    """GPUs over all node pools; None if the control plane does not tell."""
    total = (project.total_resources or {}).get("gpuQuota")
    if isinstance(total, int | float):
        return total
    pools = [pool.gpu.deserved for pool in project.resources if pool.gpu]
    return sum(value or 0 for value in pools) if pools else None
