"""ZenML stack component of any type and flavor."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from provision import _constants as constants
from provision._flavors import shipped_flavors, unknown_options
from provision.errors import NotOurs, NotRegistered, StillInUse
from provision.providers._ownership import (
    adopted,
    check_adopt,
    compared_labels,
    labels_for,
    mark_of,
    nothing_to_adopt,
    of_one_stack,
    owner_in_labels,
    without_mark,
)
from provision.providers.base import Input, Problems, Properties, Provider, say
from provision.providers.zenml_stack import ZenMLStackProvider
from provision.zenml_errors import (
    ZenMLAmbiguousOutcome,
    ZenMLExists,
    ZenMLNotFound,
    ZenMLRefused,
)

if TYPE_CHECKING:
    from provision.zenml_rest import Record

#: The components of a stack are deleted side by side; two deletions of the stack are a 500.
_one_at_a_time = threading.Lock()


class ZenMLComponentProvider(Provider):
    """A component whose name is unique among those of its type."""

    kind = "ZenML component"
    inputs: ClassVar = {
        "name": Input(on_change="replace"),
        "type": Input(on_change="replace"),
        "flavor": Input(on_change="replace"),
        "configuration": Input({}),
        "labels": Input({}),
        "connector": Input(),
        "connector_resource_id": Input(),
        "owner": Input(""),
        "adopt": Input("never", on_change="nothing"),
    }
    # A component of another flavor gets the old one's name (see `make`), so it can be made
    # before the old one goes, and the ZenML stack is never without it.
    natural_key = ("type", "name", "flavor")

    def validate(self, inputs: Properties, problems: Problems) -> None:
        type, flavor = inputs.get("type"), inputs.get("flavor")
        if isinstance(type, str) and type not in constants.COMPONENT_TYPES:
            known = ", ".join(constants.COMPONENT_TYPES)
            problems.add(f"{type!r} is no component type. Use one of {known}.", "type")
        name = inputs.get("name")
        if isinstance(name, str) and (not name or "{{" in name or len(name) > 255):
            problems.add(f"{name!r} is no legal name for a component.", "name")
        if type in shipped_flavors() and flavor == constants.FLAVOR_NAME:
            for problem in unknown_options(type, inputs["configuration"]):
                problems.add(problem, "configuration")
        with problems.catch("adopt"):
            check_adopt(inputs["adopt"])

    def make(self, props: Properties) -> tuple[str, Properties]:
        components = self.session.zenml.components
        what = f"The ZenML {props['type'].replace('_', ' ')} {props['name']!r}"
        if props["adopt"] != "required":
            try:
                return components.create(_body(props)).id, {"adopted": False}
            except (ZenMLExists, ZenMLAmbiguousOutcome):
                pass
            except ZenMLNotFound as error:
                raise NotRegistered(
                    f"{what} cannot be made: {error.message}. If this stack registered the flavor, "
                    "somebody has deleted it since: run `pulumi up --refresh`."
                ) from None
        found = components.find(props["name"], type=props["type"])
        if found is None:
            if props["adopt"] == "required":
                raise nothing_to_adopt(what)
            return components.create(_body(props)).id, {"adopted": False}
        taken = adopted(what, owner_in_labels(found.labels), props["owner"], props["adopt"])
        if found.body.get("flavor_name") != props["flavor"]:
            if taken:
                raise NotOurs(
                    f"{what} has the flavor {found.body.get('flavor_name')!r}, not "
                    f"{props['flavor']!r}, and cannot be taken over. Choose another name."
                )
            # Ours, of another flavor: it is about to be replaced. Give its name to the new one;
            # the engine deletes it once the ZenML stack has the new one.
            components.update(found.id, {"name": f"{props['name']}-replaced-{found.id[:8]}"})
            return components.create(_body(props)).id, {"adopted": False}
        components.update(found.id, _changes({**props, "adopted": taken}, found.labels))
        return found.id, {"adopted": taken}

    def look(self, id: str, props: Properties) -> Properties | None:
        try:
            record = self.session.zenml.components.get(id)
        except ZenMLNotFound:
            return None
        live: Properties = {
            "name": record.name,
            "configuration": dict(record.configuration),
            "labels": compared_labels(props, record.labels),
        }
        if owner_in_labels(record.labels) != mark_of(props):
            live["owner"] = owner_in_labels(record.labels) or "(none)"
        return live

    def change(self, id: str, olds: Properties, news: Properties) -> Properties:
        components = self.session.zenml.components
        found = components.get(id).labels if news.get("adopted") else None
        components.update(id, _changes(news, found))
        return {}

    def release(self, id: str, props: Properties) -> None:
        components = self.session.zenml.components
        with contextlib.suppress(ZenMLNotFound):
            components.update(id, {"labels": without_mark(components.get(id).labels)})

    def remove(self, id: str, props: Properties) -> None:
        zenml = self.session.zenml
        try:
            zenml.components.delete(id)
        except ZenMLRefused as error:
            others = self._remove_left_over(id, props["owner"])
            if not others:
                zenml.components.delete(id)
                return
            users = ", ".join(repr(stack.name) for stack in others)
            raise StillInUse(
                f"The ZenML {props['type'].replace('_', ' ')} {props['name']!r} is still part of "
                f"the ZenML stack {users}, which this Pulumi stack does not manage. Take it out of "
                f"there (zenml stack update), then run again. ({error.message})"
            ) from None

    def _remove_left_over(self, id: str, owner: str) -> list[Record]:
        """Delete the stack that an interrupted run made of this component; return other users.

        The engine deletes a component only after it has changed or deleted every stack of this
        program that it knows of. One that still has the component was never noted.
        """
        with _one_at_a_time:
            stacks = self.session.zenml.stacks.matching(component_id=id)
            others = [s for s in stacks if not of_one_stack(owner_in_labels(s.labels), owner)]
            for stack in stacks if not others else ():
                self.acting_as(ZenMLStackProvider).remove(stack.id, {"name": stack.name})
                say(f"The ZenML stack {stack.name!r} was deleted: an interrupted run had left it.")
        return others


def _body(props: Properties) -> dict[str, Any]:
    return {
        "name": props["name"],
        "type": props["type"],
        "flavor": props["flavor"],
        **_changes(props),
    }


def _changes(props: Properties, found: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {
        "configuration": props["configuration"],
        "labels": labels_for(props, found),
        "connector": props.get("connector"),
        "connector_resource_id": props.get("connector_resource_id"),
    }
