"""ZenML secret: the hand-over of credentials to run time."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, ClassVar

from provision import _constants as constants
from provision.providers._ownership import adopted, check_adopt, mark_of, nothing_to_adopt
from provision.providers.base import CHANGED, Input, Problems, Properties, Provider
from provision.zenml_errors import ZenMLAmbiguousOutcome, ZenMLExists, ZenMLNotFound


class ZenMLSecretProvider(Provider):
    """Key-value pairs that components refer to as ``{{name.key}}``."""

    kind = "ZenML secret"
    inputs: ClassVar = {
        "name": Input(on_change="replace"),
        "values": Input({}),
        # Never set: what a refresh finds wrong with the values, by key, since they are not shown.
        "found": Input({}),
        "owner": Input("", on_change="nothing"),
        "adopt": Input("never", on_change="nothing"),
    }
    natural_key = ("name",)

    def validate(self, inputs: Properties, problems: Problems) -> None:
        name = inputs.get("name")
        if isinstance(name, str) and (not name or any(c in name for c in "{}. ")):
            problems.add(
                f"{name!r} cannot be referred to as {{{{name.key}}}}: leave out braces, dots and "
                "blanks.",
                "name",
            )
        with problems.catch("adopt"):
            check_adopt(inputs["adopt"])

    def make(self, props: Properties) -> tuple[str, Properties]:
        secrets = self.session.zenml.secrets
        what = f"The ZenML secret {props['name']!r}"
        if props["adopt"] != "required":
            body = {"name": props["name"], "private": False, "values": _marked(props)}
            try:
                return secrets.create(body).id, {"adopted": False}
            except ZenMLExists:
                pass
            except ZenMLAmbiguousOutcome:
                if secrets.find(props["name"], private="false") is None:
                    return secrets.create(body).id, {"adopted": False}
        found = secrets.find(props["name"], private="false")
        if found is None:
            raise nothing_to_adopt(what)
        # A list leaves the values out, and with them the mark.
        owner = _values(secrets.get(found.id).body).get(constants.SECRET_OWNER_KEY)
        taken = adopted(what, owner, props["owner"], props["adopt"])
        self.change(found.id, {}, {**props, "adopted": taken})
        return found.id, {"adopted": taken}

    def look(self, id: str, props: Properties) -> Properties | None:
        try:
            record = self.session.zenml.secrets.get(id)
        except ZenMLNotFound:
            return None
        live, known = _values(record.body), _marked(props)
        if props.get("adopted"):
            # Keys that the program says nothing about are not its business.
            live = {key: value for key, value in live.items() if key in known}
        found = {
            **dict.fromkeys(known.keys() - live.keys(), "(removed outside Pulumi)"),
            **dict.fromkeys(live.keys() - known.keys(), "(added outside Pulumi)"),
            **{key: CHANGED for key in live.keys() & known.keys() if live[key] != known[key]},
        }
        # The values of the state stay there: what stands in ZenML may be a secret of someone else.
        return {"name": record.name, "found": found}

    def change(self, id: str, olds: Properties, news: Properties) -> Properties:
        # The other keys of an adopted secret stay.
        how = {"patch_values": "true"} if news.get("adopted") else {}
        self.session.zenml.secrets.update(id, {"values": _marked(news)}, **how)
        return {}

    def release(self, id: str, props: Properties) -> None:
        with contextlib.suppress(ZenMLNotFound):
            self.session.zenml.secrets.update(
                id, {"values": {constants.SECRET_OWNER_KEY: None}}, patch_values="true"
            )

    def remove(self, id: str, props: Properties) -> None:
        self.session.zenml.secrets.delete(id)


def _marked(props: Properties) -> dict[str, str]:
    return {**props["values"], constants.SECRET_OWNER_KEY: mark_of(props)}


def _values(body: Mapping[str, Any]) -> dict[str, str]:
    return dict(body.get("values") or {})
