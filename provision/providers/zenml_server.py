"""Look-up of the ZenML server and of the components that exist there, without writing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import ClassVar

from provision import _constants as constants
from provision._flavors import shipped_flavors
from provision.errors import NotOurs
from provision.naming import near_misses
from provision.providers._journal import (
    ASLEEP,
    SECRET,
    STACK,
    Entry,
    JournalProvider,
    LeftOver,
)
from provision.providers._ownership import adopted, owner_in_labels
from provision.providers.base import Input, Problems, Properties, say
from provision.providers.zenml_component import ZenMLComponentProvider
from provision.providers.zenml_flavor import package_of
from provision.providers.zenml_secret import ZenMLSecretProvider
from provision.providers.zenml_stack import ZenMLStackProvider
from provision.zenml_errors import ZenMLError, ZenMLRefused


class ZenMLServerProvider(JournalProvider):
    """Reads the server's version, proves the key, finds components by name; deletes nothing but
    what an interrupted run has left.

    `existing` maps component types to the names of components that must exist; `planned` lists
    ``{type, name, owner}`` of components and stacks (type ``stack``) that other resources of the
    program are going to make, so that a taken name is found before anything is made;
    `planned_secrets` lists secrets in the same way.
    """

    kind = "ZenML server"
    inputs: ClassVar = {
        "url": Input(),
        "existing": Input({}),
        "planned": Input([]),
        "planned_secrets": Input(noted=True),
        ASLEEP: Input(on_change="nothing", noted=True),
        "adopt": Input("never"),
        "server_id": Input(resolved=True),
        "version": Input(resolved=True),
        "dashboard_url": Input(resolved=True),
        "component_ids": Input(resolved=True),
        "component_flavors": Input(resolved=True),
    }
    journal = ("planned", "planned_secrets")

    def resolve(self, olds: Properties, inputs: Properties, problems: Problems) -> None:
        zenml = self.session.zenml
        if str(inputs.get("url") or zenml.url).rstrip("/") != zenml.url:
            problems.add(f"The providers are configured for {zenml.url}.", "url")
            return
        info = zenml.info()
        if info.version_numbers < constants.MINIMUM_ZENML:
            oldest = ".".join(map(str, constants.MINIMUM_ZENML))
            problems.add(
                f"The ZenML server at {zenml.url} is {info.version}; {oldest} or newer is needed. "
                "Upgrade the server.",
                "url",
            )
            return
        if olds.get("server_id") not in (None, info.id):
            problems.add(
                f"{zenml.url} is another ZenML server than {olds.get('url')}. What this stack "
                "registered stays there. Run `pulumi destroy` with the old URL first, or use a new "
                "stack for the new server.",
                "url",
            )
            return
        zenml.login()
        inputs["component_ids"], inputs["component_flavors"] = {}, {}
        self._find(inputs, problems)
        inputs["server_id"] = info.id
        inputs["version"] = info.version
        inputs["dashboard_url"] = info.dashboard_url

    def _find(self, inputs: Properties, problems: Problems) -> None:
        zenml = self.session.zenml
        existing: dict[str, str] = inputs["existing"]
        planned = [entry for entry in inputs["planned"] if entry["type"] != STACK]
        names = [*existing.values(), *(entry["name"] for entry in planned)]
        found = zenml.components.find_all(names) if names else []
        by_key = {(record.type, record.name): record for record in found}
        for type, name in existing.items():
            record = by_key.get((type, name))
            if record is None:
                known = [r.name for r in zenml.components.matching(type=type)]
                words = type.replace("_", " ")
                problems.add(
                    f"There is no {words} {name!r} on the ZenML server. {near_misses(name, known)}",
                    "existing",
                )
                continue
            inputs["component_ids"][type] = record.id
            inputs["component_flavors"][type] = flavor = str(record.body.get("flavor_name", ""))
            if (type, flavor) == ("artifact_store", "local"):
                say(
                    f"warning: the artifact store {name!r} keeps its files on one machine; steps "
                    "that run on Run:ai cannot reach them."
                )
        for entry in inputs["planned"]:
            if entry["type"] == STACK:
                record = zenml.stacks.find(entry["name"])
            else:
                record = by_key.get((entry["type"], entry["name"]))
            if record is not None:
                what = f"The ZenML {entry['type'].replace('_', ' ')} {record.name!r}"
                try:
                    adopted(what, owner_in_labels(record.labels), entry["owner"], inputs["adopt"])
                except NotOurs as error:
                    problems.add(str(error), "planned")

    def make(self, props: Properties) -> tuple[str, Properties]:
        return str(props["server_id"]), {}

    def look(self, id: str, props: Properties) -> Properties | None:
        info = self.session.zenml.info()
        if info.id != id:
            raise ZenMLError(f"{self.session.zenml.url} is not the server that this stack is on.")
        live: Properties = {"version": info.version, "dashboard_url": info.dashboard_url}
        existing: dict[str, str] = props["existing"]
        if existing:
            found = self.session.zenml.components.find_all(list(existing.values()))
            ids = {(record.type, record.name): record.id for record in found}
            live["component_ids"] = {
                type: ids[type, name] for type, name in existing.items() if (type, name) in ids
            }
            if live["component_ids"] != props["component_ids"]:
                # Asked anew by the next check, which names what is missing.
                live["existing"] = {type: existing[type] for type in live["component_ids"]}
        return live

    def find_left_over(self, entries: Sequence[Entry]) -> Iterator[LeftOver]:
        zenml = self.session.zenml
        by_type: dict[str, dict[str, Entry]] = {}
        for entry in entries:
            if entry["type"] != SECRET:
                by_type.setdefault(entry["type"], {})[entry["owner"]] = entry
        stacks = by_type.pop(STACK, {})
        for record in zenml.stacks.matching() if stacks else ():
            owner = owner_in_labels(record.labels)
            if owner in stacks:
                props = {"name": record.name}
                delete = partial(self.acting_as(ZenMLStackProvider).remove, record.id, props)
                yield LeftOver(stacks[owner], f"The ZenML stack {record.name!r}", delete)
        for record in zenml.components.matching() if by_type else ():
            owner = owner_in_labels(record.labels)
            if owner in by_type.get(record.type, {}):
                props = {"name": record.name, "type": record.type, "owner": owner}
                delete = partial(self.acting_as(ZenMLComponentProvider).remove, record.id, props)
                what = f"The ZenML {record.type.replace('_', ' ')} {record.name!r}"
                yield LeftOver(by_type[record.type][owner], what, delete)
        secrets = {entry["name"]: entry for entry in entries if entry["type"] == SECRET}
        found = zenml.secrets.find_all([*secrets], private="false") if secrets else []
        for record in found:
            # A list leaves the values out, and with them the mark.
            values = zenml.secrets.get(record.id).body.get("values") or {}
            if values.get(constants.SECRET_OWNER_KEY) == secrets[record.name]["owner"]:
                delete = partial(self.acting_as(ZenMLSecretProvider).remove, record.id, {})
                yield LeftOver(secrets[record.name], f"The ZenML secret {record.name!r}", delete)

    def remove(self, id: str, props: Properties) -> None:
        super().remove(id, props)
        # Flavors bear no mark. What used those of an interrupted run is gone only now.
        if not any(entry["type"] in shipped_flavors() for entry in self.entries(props)):
            return
        flavors = self.session.zenml.flavors
        for record in flavors.matching(name=f"equals:{constants.FLAVOR_NAME}"):
            ours = shipped_flavors().get(record.type)
            if ours and package_of(str(record.body.get("source"))) == package_of(ours.source):
                with contextlib.suppress(ZenMLRefused):
                    flavors.delete(record.id)
