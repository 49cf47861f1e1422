"""Everything that stands on both servers, in words that do not depend on ids and dates."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from provision.zenml_rest import Record, ZenMLClient
from runai_api import AuthenticationFailed, RunaiClient


@dataclass(frozen=True)
class Inventory:
    """Descriptions by kind; the same description twice is a duplicate."""

    objects: Counter[tuple[str, str]]

    @classmethod
    def of(cls, things: Iterable[tuple[str, Any]]) -> Inventory:
        return cls(Counter((kind, json.dumps(what, sort_keys=True)) for kind, what in things))

    def without_labels(self, *names: str) -> Inventory:
        return self._edited(lambda what: _without(what, "labels", names))

    def without_keys(self, *names: str) -> Inventory:
        """Without some keys of secrets."""
        return self._edited(
            lambda what: {k: [n for n in v if n not in names] if k == "keys" else v
                          for k, v in what.items()}
        )  # fmt: skip

    def _edited(self, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> Inventory:
        return Inventory.of((k, edit(json.loads(what))) for k, what in self.objects.elements())

    def compared_with(self, wanted: Inventory) -> Difference:
        surplus, missing = self.objects - wanted.objects, wanted.objects - self.objects
        duplicates = Counter({o: n for o, n in surplus.items() if wanted.objects[o]})
        return Difference(
            duplicates=_words(duplicates), orphans=_words(surplus - duplicates),
            missing=_words(missing),
        )  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """duplicates: twice what should be there once; orphans: what should not be there at all."""

    duplicates: list[str]
    orphans: list[str]
    missing: list[str]

    def __bool__(self) -> bool:
        return bool(self.duplicates or self.orphans or self.missing)


def _without(what: dict[str, Any], part: str, names: Collection[str]) -> dict[str, Any]:
    if part not in what:
        return what
    return {**what, part: {k: v for k, v in what[part].items() if k not in names}}


def _words(objects: Counter[tuple[str, str]]) -> list[str]:
    return sorted(f"{kind} {what}" for kind, what in objects.elements())


def take(runai: RunaiClient, zenml: ZenMLClient, others: frozenset[str] = frozenset()) -> Inventory:
    """`others` are ids of ZenML objects that have nothing to do with it."""
    return Inventory.of([*_control_plane(runai), *_zenml(zenml, others)])


def _control_plane(runai: RunaiClient) -> Iterator[tuple[str, Any]]:
    current = runai.version.has_service_accounts
    accounts = (runai.service_accounts if current else runai.applications).list()
    names = {account.client_id: account.name for account in accounts}
    for account in accounts:
        yield "account", {"name": account.name, "enabled": account.enabled}
    roles = runai.roles.list()
    for role in roles:
        if role.custom:
            yield (
                "role",
                {
                    "name": role.name,
                    "enabled": role.enabled,
                    "description": role.description,
                    "sets": sorted(found.id for found in role.permission_sets),
                },
            )
    # A rule tells the name that its role had when the rule was made.
    names_of_roles = {role.id: role.name for role in roles}
    for rule in runai.access_rules.list():
        yield (
            "rule",
            {
                "subject": names.get(rule.subject_id, "(gone)"),
                "role": names_of_roles.get(rule.role_id, "(gone)"),
                "scope": f"{rule.scope_type} {rule.scope_name}",
            },
        )
    for credential in runai.registry_credentials.list():
        yield (
            "credential",
            {
                "name": credential.name,
                "user": credential.spec.user,
                "url": credential.spec.url,
                "description": credential.meta.description,
                "project": credential.meta.project_id,
            },
        )


def _zenml(zenml: ZenMLClient, others: frozenset[str]) -> Iterator[tuple[str, Any]]:
    for kind, record in _records(zenml):
        if record.id not in others:
            yield kind, {"name": record.name, **_described(zenml, kind, record)}


def _records(zenml: ZenMLClient) -> Iterator[tuple[str, Record]]:
    """In an order in which they can be deleted."""
    for kind, collection, filters in (
        ("stack", zenml.stacks, {}),
        ("component", zenml.components, {}),
        ("flavor", zenml.flavors, {"name": "contains:nvidia_runai"}),
        ("secret", zenml.secrets, {}),
    ):
        for record in collection.matching(**filters):
            yield kind, record


def _described(zenml: ZenMLClient, kind: str, record: Record) -> dict[str, Any]:
    if kind == "stack":
        entries = record.metadata.get("components") or {}
        parts = {type: [part["name"] for part in found] for type, found in entries.items()}
        return {"labels": dict(record.labels), "components": parts}
    if kind == "component":
        return {
            "type": record.type,
            "labels": dict(record.labels),
            "flavor": record.body.get("flavor_name"),
            "configuration": dict(record.configuration),
        }
    if kind == "flavor":
        return {"type": record.type, "source": record.body.get("source")}
    # Client ids and secrets differ from run to run; that they work is tried elsewhere.
    return {"keys": sorted(zenml.secrets.get(record.id).body.get("values") or {})}


def ids_in_zenml(zenml: ZenMLClient) -> frozenset[str]:
    return frozenset(record.id for _, record in _records(zenml))


def wipe_zenml(zenml: ZenMLClient, others: frozenset[str]) -> None:
    """Delete everything but `others`."""
    homes = {
        "stack": zenml.stacks,
        "component": zenml.components,
        "flavor": zenml.flavors,
        "secret": zenml.secrets,
    }
    for kind, record in _records(zenml):
        if record.id not in others:
            homes[kind].delete(record.id)


def credential_works(zenml: ZenMLClient, runai_url: str, secret_name: str, project: str) -> str:
    """Empty if the credential in a ZenML secret gets a token and may submit; else what is wrong."""
    found = zenml.secrets.find(secret_name, private="false")
    if found is None:
        return f"there is no ZenML secret {secret_name!r}"
    values = zenml.secrets.get(found.id).body["values"]
    with RunaiClient(
        runai_url, client_id=values["client_id"], client_secret=values["client_secret"]
    ) as client:
        try:
            client.version  # noqa: B018 - asks for a token
        except AuthenticationFailed as error:
            return f"the control plane refuses the credential: {error}"
        found_project = client.projects.find(project)
        if found_project is None:
            return f"the credential does not see {project}"
        if not client.permissions.permitted_scopes("trainings", "create").permits(found_project):
            return f"the credential may not create trainings in {project}"
    return ""
