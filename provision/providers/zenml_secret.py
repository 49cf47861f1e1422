"""ZenML secret: the hand-over of credentials to run time."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, ClassVar

from provision import _constants as constants
from provision.providers._client_secrets import (
    family,
    fingerprint,
    has_fingerprint,
    is_accepted,
    new_client_secret,
)
from provision.providers._ownership import adopted, check_adopt, mark_of, nothing_to_adopt
from provision.providers.base import CHANGED, Input, Problems, Properties, Provider
from provision.zenml_errors import ZenMLAmbiguousOutcome, ZenMLExists, ZenMLNotFound
from runai_api import NotFound

Values = dict[str, str]


class ZenMLSecretProvider(Provider):
    """Key-value pairs that components refer to as ``{{name.key}}``.

    With `client_secret_of`, a service account (`account_id`, `client_id`, `subject_type`,
    `rotation`), the key ``client_secret`` is added: this provider makes a new client secret for it
    and stores it here, and the state gets a keyed fingerprint of it only.
    """

    kind = "ZenML secret"
    inputs: ClassVar = {
        "name": Input(on_change="replace"),
        "values": Input({}),
        # Never set: what a refresh finds wrong with the values, by key, since they are not shown.
        "found": Input({}),
        # Without a default: states of 0.1.0 do not have it.
        "client_secret_of": Input(),
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
        found = None
        # A new client secret ends the one before: look first whether one that works is there.
        if props["adopt"] == "required" or props.get("client_secret_of"):
            found = secrets.find(props["name"], private="false")
        if found is None and props["adopt"] != "required":
            values = self._wanted(props)
            body = {"name": props["name"], "private": False, "values": values}
            outs = {"adopted": False, **_fingerprints(props, values)}
            try:
                return secrets.create(body).id, outs
            except ZenMLExists:
                pass
            except ZenMLAmbiguousOutcome:
                if secrets.find(props["name"], private="false") is None:
                    return secrets.create(body).id, outs
            found = secrets.find(props["name"], private="false")
        if found is None:
            raise nothing_to_adopt(what)
        # A list leaves the values out, and with them the mark.
        live = _values(secrets.get(found.id).body)
        owner = live.get(constants.SECRET_OWNER_KEY)
        taken = {"adopted": adopted(what, owner, props["owner"], props["adopt"])}
        return found.id, {**taken, **self._store(found.id, {**props, **taken}, live)}

    def look(self, id: str, props: Properties) -> Properties | None:
        try:
            record = self.session.zenml.secrets.get(id)
        except ZenMLNotFound:
            return None
        live, known = _values(record.body), _marked(props)
        client_secret = live.pop("client_secret", None) if props.get("client_secret_of") else None
        if props.get("adopted"):
            # Keys that the program says nothing about are not its business.
            live = {key: value for key, value in live.items() if key in known}
        found = {
            **dict.fromkeys(known.keys() - live.keys(), "(removed outside Pulumi)"),
            **dict.fromkeys(live.keys() - known.keys(), "(added outside Pulumi)"),
            **{key: CHANGED for key in live.keys() & known.keys() if live[key] != known[key]},
        }
        if props.get("client_secret_of"):
            found |= self._wrong_with(client_secret, props)
        # The values of the state stay there: what stands in ZenML may be a secret of someone else.
        return {"name": record.name, "found": found}

    def change(self, id: str, olds: Properties, news: Properties) -> Properties:
        same_account = olds.get("client_secret_of") == news.get("client_secret_of")
        keeps = same_account and "client_secret" not in olds["found"]
        live = {}
        if keeps and news.get("client_secret_of"):
            live = _values(self.session.zenml.secrets.get(id).body)
        return self._store(id, news, live)

    def release(self, id: str, props: Properties) -> None:
        with contextlib.suppress(ZenMLNotFound):
            self.session.zenml.secrets.update(
                id, {"values": {constants.SECRET_OWNER_KEY: None}}, patch_values="true"
            )

    def remove(self, id: str, props: Properties) -> None:
        self.session.zenml.secrets.delete(id)

    def _store(self, id: str, props: Properties, live: Values) -> Properties:
        """Make the secret as `props` says; `live` may hold a client secret that can be kept."""
        values = self._wanted(props, live)
        # The other keys of an adopted secret stay.
        how = {"patch_values": "true"} if props.get("adopted") else {}
        self.session.zenml.secrets.update(id, {"values": values}, **how)
        return _fingerprints(props, values)

    def _wanted(self, props: Properties, live: Values | None = None) -> Values:
        account = props.get("client_secret_of")
        if not account:
            return _marked(props)
        kept = (live or {}).get("client_secret")
        if not kept or not is_accepted(self.session, account["client_id"], kept):
            accounts = family(self.session.runai, account["subject_type"])
            kept = new_client_secret(accounts, account["account_id"]).get_secret_value()
        return {**_marked(props), "client_secret": kept}

    def _wrong_with(self, client_secret: str | None, props: Properties) -> Values:
        """What is wrong with the client secret in ZenML, under its key."""
        account = props["client_secret_of"]
        if client_secret is None:
            wrong = "(removed outside Pulumi)"
        elif not has_fingerprint(client_secret, props["client_secret_fingerprint"]):
            wrong = CHANGED
        elif self._is_refused(account, client_secret):
            wrong = "(no longer accepted)"
        else:
            return {}
        return {"client_secret": wrong}

    def _is_refused(self, account: Mapping[str, str], client_secret: str) -> bool:
        if is_accepted(self.session, account["client_id"], client_secret):
            return False
        try:
            accounts = family(self.session.runai, account["subject_type"])
            # A disabled account is the business of its own resource.
            return accounts.get(account["account_id"]).enabled is not False
        except NotFound:
            return False


def _marked(props: Properties) -> Values:
    return {**props["values"], constants.SECRET_OWNER_KEY: mark_of(props)}


def _values(body: Mapping[str, Any]) -> Values:
    return dict(body.get("values") or {})


def _fingerprints(props: Properties, values: Values) -> Properties:
    if not props.get("client_secret_of"):
        return {"client_secret_fingerprint": None}
    return {"client_secret_fingerprint": fingerprint(values["client_secret"])}
