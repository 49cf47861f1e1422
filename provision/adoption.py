"""What stands on both servers already, and the configuration that takes it over.

A ZenML stack leads to everything else: its step operator or orchestrator names the control plane,
the project and, through a ZenML secret, the account; the account leads to its access rules. Nothing
is written here; `pulumi up` with the configuration adopts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from provision import _constants as constants
from provision.errors import InvalidSetting
from provision.naming import near_misses
from provision.providers._ownership import ADOPTED, owner_in_labels
from provision.zenml_rest import Record, ZenMLClient
from runai_api import Project, RunaiClient, ServiceAccount

#: Flavors whose components tell how to reach Run:ai: ours, and ZenML's builtin step operator, which
#: uses the same names.
FLAVORS = (constants.FLAVOR_NAME, "runai")
#: Options that provisioning sets itself.
CONNECTION = (
    "client_id",
    "client_secret",
    "runai_base_url",
    "project_name",
    "cluster_name",
    "image_pull_secret_name",
)
_REFERENCE = re.compile(r"\{\{\s*([^.{}]+)\.([^{}]+?)\s*\}\}")


@dataclass(frozen=True)
class Found:
    """A ZenML stack on Run:ai; `owner` is the Pulumi resource that it belongs to, if any."""

    name: str
    project: str
    owner: str | None


@dataclass
class Plan:
    """The configuration that takes a ZenML stack over, and what it does not cover.

    `settings` are values of Pulumi.yaml's keys, `secret_settings` those that must be encrypted,
    `notes` sentences about what will not stay as it is.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    secret_settings: dict[str, SecretStr] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def commands(self) -> Iterator[tuple[list[str], SecretStr | None]]:
        """Arguments of ``pulumi``, each with what goes to its standard input."""
        for key, value in self.settings.items():
            for path, text in _leaves(key, value):
                yield ["config", "set", "--path", path, text], None
        for key, secret in self.secret_settings.items():
            yield ["config", "set", "--secret", key], secret


def find_stacks(zenml: ZenMLClient) -> list[Found]:
    """The ZenML stacks that have a component for Run:ai, by name."""
    found = []
    components = {record.id: record for record in zenml.components.matching()}
    for stack in zenml.stacks.matching():
        parts = [components[id] for id in _ids(stack).values() if id in components]
        configuration = next((part.configuration for part in parts if _is_runai(part)), None)
        if configuration is not None:
            project = str(configuration.get("project_name", ""))
            found.append(Found(stack.name, project, _owner(stack)))
    return sorted(found, key=lambda entry: entry.name)


def plan(runai: RunaiClient, zenml: ZenMLClient, stack_name: str) -> Plan:
    """How to take a ZenML stack over.

    Raises:
        InvalidSetting: there is no such stack, it is not for Run:ai, or not for this control plane.
    """
    stack = zenml.stacks.find(stack_name)
    if stack is None:
        names = near_misses(stack_name, (entry.name for entry in find_stacks(zenml)))
        raise InvalidSetting(f"There is no ZenML stack {stack_name!r}. {names}")
    if owner := _owner(stack):
        raise InvalidSetting(f"The ZenML stack {stack_name!r} belongs to {owner} already.")
    parts = {type: zenml.components.get(id) for type, id in _ids(stack).items()}
    reader = _Reader(runai, zenml, parts)
    return reader.read(stack)


class _Reader:
    def __init__(self, runai: RunaiClient, zenml: ZenMLClient, parts: Mapping[str, Record]) -> None:
        self._runai = runai
        self._zenml = zenml
        self._parts = parts
        self._plan = Plan()

    def read(self, stack: Record) -> Plan:
        ours = [part for part in self._parts.values() if _is_runai(part)]
        if not ours:
            raise InvalidSetting(f"No component of the ZenML stack {stack.name!r} is for Run:ai.")
        connection = dict(ours[0].configuration)
        base_url = str(connection.get("runai_base_url", "")).rstrip("/")
        if base_url and base_url != self._runai.base_url:
            raise InvalidSetting(
                f"The ZenML stack {stack.name!r} is for {base_url}, and the credentials that were "
                f"given are for {self._runai.base_url}."
            )
        project = self._project(connection)
        settings = self._plan.settings
        settings |= {
            "runaiBaseUrl": self._runai.base_url,
            "runaiProject": project.name,
            "zenmlUrl": self._zenml.url,
            "zenmlStack": stack.name,
        }
        if connection.get("cluster_name"):
            settings["runaiCluster"] = connection["cluster_name"]
        self._components()
        values = self._secret(connection)
        account = self._account(values.get("client_id", ""), values.get("client_secret", ""))
        if account is not None:
            self._rights(account, project)
        self._registry(connection, project)
        # `required` would refuse what the notes say is going to be made.
        settings["adopt"] = "if_exists" if self._plan.notes else "required"
        return self._plan

    def _note(self, text: str) -> None:
        self._plan.notes.append(text)

    def _project(self, connection: Mapping[str, Any]) -> Project:
        name = str(connection.get("project_name", ""))
        cluster_name = connection.get("cluster_name")
        clusters = self._runai.clusters.list() if cluster_name else []
        cluster_id = next((c.uuid for c in clusters if c.name == cluster_name), None)
        project = self._runai.projects.find(name, cluster_id=cluster_id)
        if project is None:
            raise InvalidSetting(f"The components are for the Run:ai project {name!r}: not found.")
        return project

    def _components(self) -> None:
        settings = self._plan.settings
        for type, key in (("step_operator", "stepOperator"), ("orchestrator", "orchestrator")):
            part = self._parts.get(type)
            words = type.replace("_", " ")
            if part is None:
                self._note(f"The stack has no {words}; one is made.")
                continue
            if part.body.get("flavor_name") != constants.FLAVOR_NAME:
                self._note(
                    f"The {words} {part.name!r} has the flavor {part.body.get('flavor_name')!r}; "
                    f"a new one takes its place in the stack, and it is left alone."
                )
                settings[f"{key}Name"] = f"{part.name}-{constants.FLAVOR_NAME.replace('_', '-')}"
                continue
            settings[f"{key}Name"] = part.name
            options = {k: v for k, v in part.configuration.items() if k not in CONNECTION}
            if options:
                settings[f"{key}Configuration"] = options
        for type, key in (
            ("artifact_store", "artifactStore"),
            ("container_registry", "containerRegistry"),
            ("image_builder", "imageBuilder"),
        ):
            part = self._parts.get(type)
            if part is not None:
                settings[key] = part.name
            elif type == "container_registry":
                self._note("The stack has no container registry: set containerRegistry.")
            elif type == "image_builder":
                self._note("The stack has no image builder; one of the flavor local is made.")

    def _secret(self, connection: Mapping[str, Any]) -> dict[str, str]:
        """The credentials that the components use."""
        values = {key: str(connection.get(key, "")) for key in ("client_id", "client_secret")}
        references = {key: _REFERENCE.fullmatch(value) for key, value in values.items()}
        names = {match[1] for match in references.values() if match}
        if len(names) != 1 or not all(references.values()):
            self._note(
                "The components hold credentials in plain text, or in several ZenML secrets; one "
                "ZenML secret is made for them. Give them a new client secret afterwards: change "
                "rotation."
            )
            return values
        [name] = names
        found = self._zenml.secrets.find(name, private="false")
        if found is None:
            self._note(f"There is no public ZenML secret {name!r}; one is made.")
            return {}
        self._plan.settings["zenmlSecretName"] = name
        kept = self._zenml.secrets.get(found.id).body.get("values") or {}
        return {key: str(kept.get(match[2], "")) for key, match in references.items() if match}

    def _account(self, client_id: str, client_secret: str) -> ServiceAccount | None:
        if not self._runai.version.has_service_accounts:
            accounts = self._runai.applications.list()
        else:
            accounts = self._runai.service_accounts.list()
        account = next((found for found in accounts if found.client_id == client_id), None)
        if account is None:
            self._note(
                f"The client {client_id!r} is no service account of this tenant; one is made."
            )
            return None
        self._plan.settings["serviceAccountName"] = account.name
        if client_secret:
            self._plan.secret_settings["serviceAccountSecret"] = SecretStr(client_secret)
        return account

    def _rights(self, account: ServiceAccount, project: Project) -> None:
        rules = self._runai.access_rules.list(subject_ids=[account.client_id])
        here = [
            rule for rule in rules if rule.scope_type == "project" and rule.scope_id == project.id
        ]
        if here:
            # Looked up by name, it is not touched, whatever permission sets it has.
            self._plan.settings |= {"role": "predefined", "roleName": here[0].role_name or ""}
        else:
            self._note(f"The account holds no role at the project {project.name!r}; one is given.")
        for rule in rules:
            if rule not in here[:1]:
                self._note(
                    f"The account also holds {rule.role_name} at {rule.scope_type} "
                    f"{rule.scope_name or rule.scope_id} (access rule {rule.id}): it stays, and is "
                    "reported as excess by every refresh. Delete it if it is not needed."
                )

    def _registry(self, connection: Mapping[str, Any], project: Project) -> None:
        wanted = connection.get("image_pull_secret_name")
        if not wanted:
            return
        credentials = self._runai.registry_credentials.list(project_id=project.id)
        found = next((c for c in credentials if c.kubernetes_secret_name == wanted), None)
        if found is not None and found.meta.scope == "project":
            self._plan.settings["registryName"] = found.name
        else:
            self._plan.settings["registryExistingSecret"] = wanted
            self._note(
                f"The image pull secret {wanted!r} is no credential of the project; a credential "
                "is made that refers to it."
            )


def _is_runai(part: Record) -> bool:
    return part.type in ("step_operator", "orchestrator") and (
        part.body.get("flavor_name") in FLAVORS
    )


def _ids(stack: Record) -> dict[str, str]:
    entries = stack.metadata.get("components") or {}
    return {type: str(found[0]["id"]) for type, found in entries.items() if found}


def _owner(stack: Record) -> str | None:
    owner = owner_in_labels(stack.labels)
    return owner.removeprefix(ADOPTED) if owner else None


def _leaves(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _leaves(f"{path}.{key}", part)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _leaves(f"{path}[{index}]", part)
    elif value is not None:
        yield path, str(value).lower() if isinstance(value, bool) else str(value)
