"""ZenML flavor: server-wide, so several Pulumi stacks share it.

Flavors carry no labels. Ours are recognised by their source, made by whoever comes first, and
deleted by whoever goes last: the server refuses to delete a flavor that a component still uses.
"""

from __future__ import annotations

from typing import Any, ClassVar

from provision._flavors import shipped_flavor
from provision.errors import NotOurs
from provision.providers.base import CHANGED, Input, Problems, Properties, Provider, say
from provision.zenml_errors import (
    ZenMLAmbiguousOutcome,
    ZenMLExists,
    ZenMLNotFound,
    ZenMLRefused,
)


class ZenMLFlavorProvider(Provider):
    """Registers a flavor of this package, or brings its schema up to date."""

    kind = "ZenML flavor"
    inputs: ClassVar = {
        "type": Input(on_change="replace"),
        "name": Input(on_change="replace"),
        "source": Input(),
        "digest": Input(),
    }
    natural_key = ("type", "name")

    def validate(self, inputs: Properties, problems: Problems) -> None:
        # What ships with this package, so that a new version of it is seen as a change.
        wanted = shipped_flavor(inputs["type"])
        inputs.update(name=wanted.name, source=wanted.source, digest=wanted.digest)

    def make(self, props: Properties) -> tuple[str, Properties]:
        flavors = self.session.zenml.flavors
        wanted = shipped_flavor(props["type"])
        try:
            return flavors.create(wanted.body).id, {"shared": False}
        except ZenMLExists:
            found = flavors.find(wanted.name, type=wanted.type)
        except ZenMLAmbiguousOutcome:
            found = flavors.find(wanted.name, type=wanted.type)
            if found is None:
                return flavors.create(wanted.body).id, {"shared": False}
        if found is None:
            raise NotOurs(f"The flavor {wanted.name!r} came and went; run `pulumi up` again.")
        source = str(found.body.get("source", ""))
        if package_of(source) != package_of(wanted.source):
            raise NotOurs(
                f"The ZenML {wanted.type} flavor {wanted.name!r} exists already with the source "
                f"{source}, not {wanted.source}. Delete it, if nobody uses it."
            )
        schema = found.metadata.get("config_schema")
        if source != wanted.source or schema != wanted.body["config_schema"]:
            flavors.update(found.id, wanted.body)
        return found.id, {"shared": True}

    def look(self, id: str, props: Properties) -> Properties | None:
        try:
            record = self.session.zenml.flavors.get(id)
        except ZenMLNotFound:
            return None
        wanted = shipped_flavor(props["type"])
        live: dict[str, Any] = {"source": str(record.body.get("source", ""))}
        if record.metadata.get("config_schema") != wanted.body["config_schema"]:
            live["digest"] = CHANGED
        return live

    def change(self, id: str, olds: Properties, news: Properties) -> Properties:
        self.session.zenml.flavors.update(id, shipped_flavor(news["type"]).body)
        return {}

    def remove(self, id: str, props: Properties) -> None:
        try:
            self.session.zenml.flavors.delete(id)
        except ZenMLRefused:
            say(f"The {props['type']} flavor {props['name']!r} stays: other components use it.")


def package_of(source: str) -> str:
    """The distribution that a source belongs to. ``zenml ... flavor register`` stores the module
    in which the class was defined, so a flavor of ours may come with a longer path."""
    return source.partition(".")[0]
