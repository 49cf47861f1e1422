"""One component for the whole way: from a Run:ai project to a ZenML stack that runs on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pulumi
from pulumi import Input, Output, ResourceOptions

from provision.errors import InvalidSetting
from provision.naming import default_name, readable_name
from provision.resources import (
    AccessRule,
    CustomRole,
    PredefinedRole,
    RegistryCredential,
    RunaiProject,
    ServiceAccount,
    ZenMLComponent,
    ZenMLFlavor,
    ZenMLSecret,
    ZenMLServer,
    ZenMLStack,
)
from provision.resources._base import owner_of
from provision.resources.runai import Adopt

#: The key of `rotation` that is for the registry credential alone: while a workload uses the old
#: credential it cannot be deleted, and a new client secret is no reason to make another.
REGISTRY = "registry"


@dataclass(frozen=True)
class ComponentDefinition:
    """A ZenML component to make.

    `credentials` go into a ZenML secret; the configuration gets a reference to each of them under
    its key.
    """

    flavor: str
    configuration: Mapping[str, Any] = field(default_factory=dict)
    credentials: Mapping[str, Input[str]] = field(default_factory=dict)
    name: str | None = None


@dataclass(frozen=True)
class RegistryCredentials:
    """Credentials of a private registry: user, password and URL, or an existing secret.

    `name` is exact; with it alone an existing credential of the project is adopted.
    """

    user: Input[str] | None = None
    password: Input[str] | None = None
    url: Input[str] | None = None
    existing_secret_name: Input[str] | None = None
    name: str | None = None


@dataclass(frozen=True)
class RunaiZenMLStackArgs:
    """What `RunaiZenMLStack` is made of; see Pulumi.yaml for the meaning of each setting."""

    project: str
    artifact_store: str | ComponentDefinition
    container_registry: str | ComponentDefinition
    image_builder: str | ComponentDefinition = ComponentDefinition("local")
    cluster: str | None = None
    role: Literal["predefined", "custom"] = "predefined"
    role_name: str | None = None
    features: Sequence[str] = ()
    scope: str = "project"
    allow_broader_scope: bool = False
    require_gpu_quota: bool = True
    service_account_name: str | None = None
    service_account_secret: Input[str] | None = None
    client_secret_in_state: bool = True
    rotation: Mapping[str, str] = field(default_factory=dict)
    registry: RegistryCredentials | None = None
    zenml_stack_name: str | None = None
    zenml_secret_name: str | None = None
    step_operator_name: str | None = None
    orchestrator_name: str | None = None
    step_operator_configuration: Mapping[str, Any] = field(default_factory=dict)
    orchestrator_configuration: Mapping[str, Any] = field(default_factory=dict)
    adopt: Adopt = "never"


class RunaiZenMLStack(pulumi.ComponentResource):
    """Service account, role, access rule, registry credential; secret, flavors, components, stack.

    The addresses and the administrator's credentials of both servers come from the stack's
    configuration (runaiBaseUrl, runaiClientId, runaiClientSecret, zenmlUrl, zenmlApiKey). Both
    servers are checked in the preview; and in the update nothing is made before the project has
    passed its checks, nor anything in ZenML before its server has.
    """

    project_id: Output[str]
    service_account_name: Output[str]
    client_id: Output[str]
    role_name: Output[str]
    access_rule_id: Output[str]
    image_pull_secret_name: Output[str] | None
    zenml_secret_name: Output[str]
    step_operator_name: Output[str]
    orchestrator_name: Output[str]
    zenml_stack_id: Output[str]
    zenml_stack_name: Output[str]
    zenml_dashboard_url: Output[str]

    def __init__(
        self, name: str, args: RunaiZenMLStackArgs, opts: ResourceOptions | None = None
    ) -> None:
        super().__init__("zenml-runai:index:RunaiZenMLStack", name, {}, opts)
        self._name = name
        self._args = args
        config = pulumi.Config()
        self._base_url = config.require("runaiBaseUrl").rstrip("/")
        self._zenml_url = config.require("zenmlUrl").rstrip("/")
        if args.allow_broader_scope and args.scope != "project":
            pulumi.log.warn(
                f"The access rule is made at {args.scope} scope: the credentials that ZenML gets "
                "can submit into other projects as well.",
                self,
            )
        # The login at ZenML takes longest (it hashes the key): begin with it.
        server = self._look_up_server()
        project = self._look_up_project()
        self._provision_access(project)
        self._register(server, [project, server])
        self.register_outputs(self.summary())

    def summary(self) -> dict[str, Any]:
        """The outputs that are worth showing; none of them is a secret."""
        return {
            "runaiProjectId": self.project_id,
            "runaiConsole": self._base_url,
            "serviceAccount": self.service_account_name,
            "role": self.role_name,
            "accessRuleId": self.access_rule_id,
            "imagePullSecret": self.image_pull_secret_name,
            "zenmlSecret": self.zenml_secret_name,
            "stepOperator": self.step_operator_name,
            "orchestrator": self.orchestrator_name,
            "zenmlStack": self.zenml_stack_name,
            "zenmlStackId": self.zenml_stack_id,
            "zenmlDashboard": self.zenml_dashboard_url,
        }

    def _look_up_project(self) -> RunaiProject:
        args = self._args
        features = [*args.features]
        if args.role == "custom":
            features.append("custom_role")
        if args.registry is not None and "credentials" not in features:
            features.append("credentials")
        project = RunaiProject(
            f"{self._name}-project",
            args.project,
            base_url=self._base_url,
            cluster=args.cluster,
            scope_type=args.scope,
            allow_broader_scope=args.allow_broader_scope,
            require_gpu_quota=args.require_gpu_quota,
            provisioning_features=sorted(set(features)),
            planned=self._planned_access(),
            opts=ResourceOptions(parent=self),
        )
        self.project_id = project.project_id
        return project

    def _planned_access(self) -> list[dict[str, str]]:
        """What `_provision_access` makes that can be told from what others make."""
        args, planned = self._args, []
        if not args.service_account_name:
            name = default_name(owner_of(f"{self._name}-account"), self._rotation())
            planned.append({"type": "service_account", "name": name})
        if args.role == "custom":
            planned.append({"type": "role", "owner": self._owner("role")})
        if args.registry is not None:
            planned.append({"type": "registry_credential", "owner": self._owner("registry")})
        return planned

    def _look_up_server(self) -> ZenMLServer:
        planned = [
            {"type": type, "name": self._zenml_name(type), "owner": self._owner(type)}
            for type in ("step_operator", "orchestrator", "stack", *self._definitions())
        ]
        secrets = {"credentials": self._args.zenml_secret_name}
        for type, definition in self._definitions().items():
            if definition.credentials:
                secrets[f"{type}-credentials"] = None
        for what, exact in secrets.items():
            name = exact or default_name(owner_of(self._logical_name(what)))
            planned.append({"type": "secret", "name": name, "owner": self._owner(what)})
        server = ZenMLServer(
            f"{self._name}-zenml",
            url=self._zenml_url,
            existing={type: ref for type, ref in self._parts() if isinstance(ref, str)},
            planned=planned,
            adopt=self._args.adopt,
            opts=ResourceOptions(parent=self),
        )
        self.zenml_dashboard_url = server.dashboard_url
        return server

    def _provision_access(self, project: RunaiProject) -> None:
        args = self._args
        after_checks = ResourceOptions(parent=self, depends_on=[project])
        role: PredefinedRole | CustomRole
        if args.role == "custom":
            role = CustomRole(
                f"{self._name}-role", args.role_name,
                features=args.features, adopt=args.adopt, opts=after_checks,
            )  # fmt: skip
        elif args.role == "predefined":
            role = PredefinedRole(f"{self._name}-role", args.role_name, opts=after_checks)
        else:
            raise InvalidSetting(f"role must be 'predefined' or 'custom', not {args.role!r}.")
        if args.service_account_secret is not None and not args.client_secret_in_state:
            raise InvalidSetting(
                "serviceAccountSecret would stand in the state, where clientSecretInState: false "
                "wants no client secret. Leave it out: a ZenML secret that is adopted "
                "(zenmlSecretName) keeps its client secret if that works."
            )
        account = ServiceAccount(
            f"{self._name}-account",
            args.service_account_name,
            rotation=self._rotation(),
            adopt=args.adopt,
            adopt_secret=args.service_account_secret,
            rotate_on_adopt=args.adopt != "never",
            secret_in_state=args.client_secret_in_state,
            opts=ResourceOptions(parent=self, depends_on=[project, role]),
        )
        self._rule = AccessRule(
            f"{self._name}-rule",
            subject_id=account.subject_id,
            subject_type=account.subject_type,
            role_id=role.id,
            scope_type=project.scope_type,
            scope_id=project.scope_id,
            cluster_id=project.cluster_id,
            allow_broader_scope=args.allow_broader_scope,
            adopt=args.adopt,
            opts=ResourceOptions(parent=self),
        )
        self.image_pull_secret_name = None
        if args.registry is not None:
            credential = RegistryCredential(
                f"{self._name}-registry",
                args.registry.name,
                project_id=project.project_id,
                user=args.registry.user,
                password=args.registry.password,
                url=args.registry.url,
                existing_secret_name=args.registry.existing_secret_name,
                rotation={key: value for key, value in args.rotation.items() if key == REGISTRY},
                adopt=args.adopt if args.registry.name else "never",
                opts=after_checks,
            )
            self.image_pull_secret_name = credential.kubernetes_secret_name
        self._account = account
        self.service_account_name = account.name
        self.client_id = account.client_id
        self.role_name = role.role_name
        self.access_rule_id = self._rule.id

    def _register(self, server: ZenMLServer, checked: Sequence[pulumi.Resource]) -> None:
        if pulumi.runtime.is_dry_run():
            # A preview makes nothing, so there the rest need not wait for the login.
            checked = []
        values: dict[str, Input[str]] = {"client_id": self._account.client_id}
        if self._args.client_secret_in_state:
            values["client_secret"] = self._account.client_secret
        secret = ZenMLSecret(
            f"{self._name}-credentials",
            self._args.zenml_secret_name,
            values=values,
            client_secret_of=None if self._args.client_secret_in_state else self._account,
            rotation=self._rotation(),
            adopt=self._args.adopt if self._args.zenml_secret_name else "never",
            # New credentials are handed over only once they have their rights.
            opts=ResourceOptions(parent=self, depends_on=[*checked, self._rule]),
        )
        flavors = [
            ZenMLFlavor(
                f"{self._name}-{type.replace('_', '-')}-flavor", type,
                opts=ResourceOptions(parent=self, depends_on=checked),
            )
            for type in ("step_operator", "orchestrator")
        ]  # fmt: skip
        connection = self._connection(secret)
        configurations = {
            "step_operator": self._args.step_operator_configuration,
            "orchestrator": self._args.orchestrator_configuration,
        }
        made = {
            type: ZenMLComponent(
                self._logical_name(type),
                self._zenml_name(type),
                type=type,
                configuration={**options, **connection},
                adopt=self._args.adopt,
                # Both on both: the server refuses to delete a flavor while any component of
                # whatever type has a flavor of that name.
                opts=ResourceOptions(parent=self, depends_on=[secret, *flavors]),
            )
            for type, options in configurations.items()
        }
        components: dict[str, Input[str]] = {type: part.id for type, part in made.items()}
        for type, definition in self._definitions().items():
            components[type] = self._define(type, definition, checked).id
        for type, reference in self._parts():
            if isinstance(reference, str):
                components[type] = server.component_ids[type]
        stack = ZenMLStack(
            self._logical_name("stack"),
            self._zenml_name("stack"),
            components=components,
            description=f"Runs on the NVIDIA Run:ai project {self._args.project}.",
            adopt=self._args.adopt,
            opts=ResourceOptions(parent=self),
        )
        self.zenml_secret_name = secret.name
        self.step_operator_name = made["step_operator"].name
        self.orchestrator_name = made["orchestrator"].name
        self.zenml_stack_id = stack.id
        self.zenml_stack_name = stack.name

    def _rotation(self) -> dict[str, str]:
        """The triggers for the client secret."""
        return {key: value for key, value in self._args.rotation.items() if key != REGISTRY}

    def _connection(self, secret: ZenMLSecret) -> dict[str, Input[str]]:
        """What both flavors need to reach the control plane."""
        options: dict[str, Input[str]] = {
            "client_id": _reference(secret, "client_id"),
            "client_secret": _reference(secret, "client_secret"),
            "runai_base_url": self._base_url,
            "project_name": self._args.project,
        }
        if self._args.cluster:
            options["cluster_name"] = self._args.cluster
        if self.image_pull_secret_name is not None:
            options["image_pull_secret_name"] = self.image_pull_secret_name
        return options

    def _define(
        self, type: str, definition: ComponentDefinition, checked: Sequence[pulumi.Resource]
    ) -> ZenMLComponent:
        configuration: dict[str, Any] = dict(definition.configuration)
        depends_on = [*checked]
        if definition.credentials:
            secret = ZenMLSecret(
                f"{self._logical_name(type)}-credentials",
                values=definition.credentials,
                opts=ResourceOptions(parent=self, depends_on=checked),
            )
            for key in definition.credentials:
                configuration[key] = _reference(secret, key)
            depends_on.append(secret)
        return ZenMLComponent(
            self._logical_name(type),
            self._zenml_name(type),
            type=type,
            flavor=definition.flavor,
            configuration=configuration,
            adopt=self._args.adopt,
            opts=ResourceOptions(parent=self, depends_on=depends_on),
        )

    def _parts(self) -> list[tuple[str, str | ComponentDefinition]]:
        args = self._args
        return [
            ("artifact_store", args.artifact_store),
            ("container_registry", args.container_registry),
            ("image_builder", args.image_builder),
        ]

    def _definitions(self) -> dict[str, ComponentDefinition]:
        return {type: part for type, part in self._parts() if isinstance(part, ComponentDefinition)}

    def _logical_name(self, type: str) -> str:
        return f"{self._name}-{type.replace('_', '-')}"

    def _owner(self, type: str) -> str:
        return str(owner_of(self._logical_name(type)))

    def _zenml_name(self, type: str) -> str:
        """The name in ZenML: as given, or ``<component>-<Pulumi stack>`` for all of them."""
        exact = {
            "stack": self._args.zenml_stack_name,
            "step_operator": self._args.step_operator_name,
            "orchestrator": self._args.orchestrator_name,
        }.get(type)
        if exact:
            return exact
        definition = self._definitions().get(type)
        if definition is not None and definition.name:
            return definition.name
        return self._args.zenml_stack_name or readable_name(owner_of(self._name))


def _reference(secret: ZenMLSecret, key: str) -> Output[str]:
    """How ZenML configurations refer to a value of a secret."""
    return Output.format("{{{{{0}.{1}}}}}", secret.name, key)
