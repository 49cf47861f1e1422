"""Service account (2.24 and newer) or application (up to 2.23), whichever the server has.

One resource for both: a program cannot know the server's version before it runs, and after the
server's upgrade an application lives on under its old routes. The output `subject_type` says which
one it is.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

from provision import _constants as constants
from provision.errors import InvalidSetting, NotOurs
from provision.naming import SERVICE_ACCOUNT_NAME
from provision.providers._client_secrets import (
    APPLICATION,
    SERVICE_ACCOUNT,
    family,
    is_accepted,
    new_client_secret,
)
from provision.providers._ownership import check_adopt, nothing_to_adopt
from provision.providers.base import Input, Problems, Properties, Provider, undo
from runai_api import AmbiguousOutcome, Conflict, NotFound, RunaiError

if TYPE_CHECKING:
    from pydantic import SecretStr

    from runai_api import ServiceAccount
    from runai_api.applications import Applications
    from runai_api.service_accounts import ServiceAccounts


class ServiceAccountProvider(Provider):
    """A machine identity and its secret, which is shown once and can only be regenerated.

    With `discard_secret` no client secret gets into the outputs: whoever needs one makes one.
    """

    kind = "Run:ai service account"
    inputs: ClassVar = {
        "name": Input(on_change="replace"),
        "name_is_ours": Input(True, on_change="nothing"),
        "enabled": Input(True),
        "rotation": Input({}),
        "adopt": Input("never", on_change="nothing"),
        "adopt_secret": Input(on_change="nothing"),
        "rotate_on_adopt": Input(False, on_change="nothing"),
        # Without a default: states of 0.1.0 do not have it.
        "discard_secret": Input(),
    }
    natural_key = ("name",)

    def validate(self, inputs: Properties, problems: Problems) -> None:
        name = inputs.get("name")
        if isinstance(name, str) and not SERVICE_ACCOUNT_NAME.fullmatch(name):
            problems.add(
                f"{name!r} is not a legal name: 2 to 255 lower-case letters, digits, '-' and '_', "
                "beginning with a letter, ending with a letter or digit.",
                "name",
            )
        if inputs.get("discard_secret") and inputs.get("adopt_secret"):
            problems.add(
                "adopt_secret would stand in the state, where discard_secret wants no secret; "
                "leave it out: an adopted account keeps its secret, whatever it is.",
                "adopt_secret",
            )
        with problems.catch("adopt"):
            check_adopt(inputs["adopt"])

    def make(self, props: Properties) -> tuple[str, Properties]:
        runai = self.session.runai
        subject_type = SERVICE_ACCOUNT if runai.version.has_service_accounts else APPLICATION
        accounts = family(runai, subject_type)
        name = props["name"]
        if props["adopt"] == "required":
            account = accounts.find(name)
            if account is None:
                raise nothing_to_adopt(f"The service account {name!r}")
            return self._take_over(accounts, account, subject_type, props)
        try:
            made = accounts.create(name)
        except (Conflict, AmbiguousOutcome) as error:
            account = accounts.find(name)
            if account is None and isinstance(error, AmbiguousOutcome):
                made = accounts.create(name)
            elif account is None:
                raise
            else:
                return self._take_over(accounts, account, subject_type, props)
        if props["enabled"] is False:
            try:
                accounts.set_enabled(made.id, False)
            except RunaiError as error:
                what = f"The service account {name!r}"
                raise undo(what, error, lambda: accounts.delete(made.id)) from None
        secret = None if props.get("discard_secret") else made.client_secret
        return made.id, _outputs(made.client_id, secret, subject_type, adopted=False)

    def look(self, id: str, props: Properties) -> Properties | None:
        try:
            account = family(self.session.runai, props["subject_type"]).get(id)
        except NotFound:
            return None
        live: Properties = {"name": account.name, "enabled": account.enabled}
        secret = props.get("client_secret")
        if account.enabled and secret and not is_accepted(self.session, account.client_id, secret):
            live["rotation"] = {**props["rotation"], "found": "secret no longer accepted"}
        return live

    def change(self, id: str, olds: Properties, news: Properties) -> Properties:
        accounts = family(self.session.runai, olds["subject_type"])
        outs: Properties = {}
        if olds.get("enabled") != news["enabled"]:
            accounts.set_enabled(id, news["enabled"])
        if news.get("discard_secret"):
            outs["client_secret"] = None
        elif olds.get("discard_secret") or olds.get("rotation", {}) != news["rotation"]:
            outs["client_secret"] = new_client_secret(accounts, id).get_secret_value()
        return outs

    def remove(self, id: str, props: Properties) -> None:
        try:
            family(self.session.runai, props["subject_type"]).delete(id)
        except NotFound:
            return

    def _take_over(
        self,
        accounts: ServiceAccounts | Applications,
        account: ServiceAccount,
        subject_type: str,
        props: Properties,
    ) -> tuple[str, Properties]:
        """Continue with an account that exists: its secret cannot be read, only renewed."""
        from pydantic import SecretStr

        given = props.get("adopt_secret")
        ours = props["name_is_ours"] or (
            props["adopt"] != "required" and not given and self._is_left_over(account, subject_type)
        )
        what = f"The service account {account.name!r}"
        if not ours and props["adopt"] == "never":
            raise NotOurs(
                f"{what} exists already and was not made under a name of this Pulumi stack. Choose "
                "another name, delete it, or take it over with adopt='if_exists' (configuration "
                "key: adopt)."
            )
        if account.enabled != props["enabled"]:
            accounts.set_enabled(account.id, props["enabled"])
        secret: SecretStr | None
        if props.get("discard_secret"):
            secret = None
        elif given:
            if props["enabled"] and not is_accepted(self.session, account.client_id, given):
                raise InvalidSetting(f"The secret that was given for {account.name!r} is wrong.")
            secret = SecretStr(given)
        elif ours or props["rotate_on_adopt"]:
            secret = new_client_secret(accounts, account.id)
        else:
            raise InvalidSetting(
                f"{what} can be taken over only with its secret (adopt_secret), or by making a new "
                "one, which stops whoever uses the old one (rotate_on_adopt)."
            )
        return account.id, _outputs(account.client_id, secret, subject_type, adopted=not ours)

    def _is_left_over(self, account: ServiceAccount, subject_type: str) -> bool:
        """Whether an account of an exact name is what an interrupted run left: made by our own
        client and without any rights. If another stack is just about to give it some, that shows
        after a moment."""
        runai = self.session.runai
        if account.created_by != runai.client_id:
            return False
        for pause in (0.0, constants.HALF_MADE_SECONDS):
            time.sleep(pause)
            rules = runai.access_rules.list(subject_ids=[account.client_id])
            if any(rule.subject_type == subject_type for rule in rules):
                return False
        return True


def _outputs(
    client_id: str, secret: SecretStr | None, subject_type: str, *, adopted: bool
) -> Properties:
    return {
        "client_id": client_id,
        **({"client_secret": secret.get_secret_value()} if secret else {}),
        "subject_type": subject_type,
        "subject_id": client_id,
        "adopted": adopted,
    }
