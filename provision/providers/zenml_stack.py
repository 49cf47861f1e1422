"""ZenML stack: one component of each type, under the name that users set active."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, ClassVar

from provision import _constants as constants
from provision.errors import StillInUse
from provision.providers._ownership import (
    adopted,
    check_adopt,
    compared_labels,
    labels_for,
    mark_of,
    nothing_to_adopt,
    owner_in_labels,
    without_mark,
)
from provision.providers.base import Input, Problems, Properties, Provider
from provision.zenml_errors import ZenMLAmbiguousOutcome, ZenMLExists, ZenMLNotFound

if TYPE_CHECKING:
    from provision.zenml_rest import Record

#: A stack of this name is ZenML's own and cannot be deleted.
DEFAULT_STACK = "default"


class ZenMLStackProvider(Provider):
    """`components` maps component types to ids. Changes keep the id of the stack."""

    kind = "ZenML stack"
    inputs: ClassVar = {
        "name": Input(),
        "components": Input({}),
        "description": Input(""),
        "labels": Input({}),
        "owner": Input(""),
        "adopt": Input("never", on_change="nothing"),
    }
    natural_key = ("name",)

    def validate(self, inputs: Properties, problems: Problems) -> None:
        name = inputs.get("name")
        if name == DEFAULT_STACK:
            problems.add("The default stack is ZenML's own. Choose another name.", "name")
        elif isinstance(name, str) and not 0 < len(name) <= 255:
            problems.add("The name of a ZenML stack has 1 to 255 characters.", "name")
        if isinstance(inputs["components"], dict):
            for type in inputs["components"]:
                if type not in constants.COMPONENT_TYPES:
                    problems.add(f"{type!r} is no component type.", "components")
            for type in ("orchestrator", "artifact_store"):
                if type not in inputs["components"]:
                    words = type.replace("_", " ")
                    problems.add(f"A ZenML stack needs an {words}.", "components")
        with problems.catch("adopt"):
            check_adopt(inputs["adopt"])

    def make(self, props: Properties) -> tuple[str, Properties]:
        stacks = self.session.zenml.stacks
        what = f"The ZenML stack {props['name']!r}"
        if props["adopt"] != "required":
            try:
                return stacks.create(_body(props)).id, {"adopted": False}
            except (ZenMLExists, ZenMLAmbiguousOutcome):
                pass
        found = stacks.find(props["name"])
        if found is None:
            if props["adopt"] == "required":
                raise nothing_to_adopt(what)
            return stacks.create(_body(props)).id, {"adopted": False}
        taken = adopted(what, owner_in_labels(found.labels), props["owner"], props["adopt"])
        stacks.update(found.id, _body({**props, "adopted": taken}, found))
        return found.id, {"adopted": taken}

    def look(self, id: str, props: Properties) -> Properties | None:
        try:
            record = self.session.zenml.stacks.get(id)
        except ZenMLNotFound:
            return None
        live: Properties = {
            "name": record.name,
            "components": _component_ids(record),
            "description": str(record.metadata.get("description") or ""),
            "labels": compared_labels(props, record.labels),
        }
        if props.get("adopted"):
            # What the program says nothing about is not its business.
            parts = live["components"].items()
            live["components"] = {t: id for t, id in parts if t in props["components"]}
        if owner_in_labels(record.labels) != mark_of(props):
            live["owner"] = owner_in_labels(record.labels) or "(none)"
        return live

    def change(self, id: str, olds: Properties, news: Properties) -> Properties:
        stacks = self.session.zenml.stacks
        stacks.update(id, _body(news, stacks.get(id) if news.get("adopted") else None))
        return {}

    def release(self, id: str, props: Properties) -> None:
        stacks = self.session.zenml.stacks
        with contextlib.suppress(ZenMLNotFound):
            stacks.update(id, {"labels": without_mark(stacks.get(id).labels)})

    def remove(self, id: str, props: Properties) -> None:
        zenml = self.session.zenml
        if not self.session.settings.destroy_in_use:
            runs = zenml.unfinished_runs(id)
            if runs:
                names = ", ".join(repr(run.name) for run in runs[:5])
                raise StillInUse(
                    f"{len(runs)} pipeline run(s) on the ZenML stack {props['name']!r} have not "
                    f"ended: {names}. Without the stack and its credentials they could not be "
                    "followed or stopped. Wait, stop them (zenml pipeline runs stop), or destroy "
                    "all the same: pulumi config set destroyInUse true; "
                    "pulumi destroy --run-program"
                )
        zenml.stacks.delete(id)


def _body(props: Properties, found: Record | None = None) -> dict[str, Any]:
    """An adopted stack keeps the components and labels that the program says nothing about."""
    kept = _component_ids(found) if found and props.get("adopted") else {}
    return {
        "name": props["name"],
        "description": props["description"],
        "components": {type: [id] for type, id in {**kept, **props["components"]}.items()},
        "labels": labels_for(props, found.labels if found else None),
    }


def _component_ids(record: Record) -> dict[str, str]:
    components = record.metadata.get("components") or {}
    return {
        type: str(entries[0]["id"])
        for type, entries in components.items()
        if entries and isinstance(entries[0], dict)
    }
