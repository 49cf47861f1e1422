"""Service accounts (2.24) and the older applications: the same thing under two names."""

from __future__ import annotations

import re
import uuid
from typing import Any

from runai_emulator._constants import ACCOUNT_NAME, TENANT_ID
from runai_emulator.clock import iso
from runai_emulator.emulator import Emulator
from runai_emulator.store import Row
from runai_emulator.tokens import hash_secret, new_secret
from runai_emulator.wire import Answer, Call, bad_request, conflict, not_found, route

from .access_rules import withdraw_rules

_NAME = re.compile(ACCOUNT_NAME)
_TENANT = ("tenant", str(TENANT_ID))


def account_view(account: Row) -> dict[str, Any]:
    return {
        "id": account["id"],
        "name": account["name"],
        "clientId": account["clientId"],
        "enabled": account["enabled"],
        "tenantId": str(TENANT_ID),
        "createdBy": account["createdBy"],
        "createdAt": iso(account["createdAt"]),
        "updatedAt": iso(account["updatedAt"]),
        "lastLogin": iso(account["lastLogin"]),
    }


def checked_name(call: Call) -> str:
    name = call.object().text("name", low=2, high=255)
    if not _NAME.fullmatch(name):
        raise bad_request(
            "Validation failed - name must begin with a lower-case letter, hold only lower-case "
            "letters, digits, - and _, and end with a letter or digit."
        )
    return name


class _Family:
    """The six endpoints of one kind of account."""

    def __init__(self, kind: str, path: str, parameter: str, secret_key: str, label: str) -> None:
        self.kind = kind
        self.parameter = parameter
        self.secret_key = secret_key
        self.label = label
        one = f"{path}/{{{parameter}}}"
        route("GET", path)(self.list)
        route("POST", path)(self.create)
        route("GET", one)(self.get)
        route("PATCH", one)(self.update)
        route("DELETE", one)(self.delete)
        route("POST", f"{one}/secret")(self.regenerate)

    def _one(self, emulator: Emulator, call: Call) -> Row:
        call.require(*_TENANT)
        account = emulator.store.accounts.get(call.param(self.parameter))
        if account is None or account["kind"] != self.kind:
            raise not_found(self.label)
        return account

    def list(self, emulator: Emulator, call: Call) -> Answer:
        call.require(*_TENANT)
        rows = emulator.store.accounts.listed(call.hidden_since)
        return 200, [account_view(row) for row in rows if row["kind"] == self.kind]

    def create(self, emulator: Emulator, call: Call) -> Answer:
        call.require(*_TENANT)
        name = checked_name(call)
        taken = any(
            name in (row["name"], row["clientId"]) for row in emulator.store.accounts.rows.values()
        )
        if taken:
            raise conflict(f"{self.label} with this name already exists: {name}")
        secret = new_secret()
        now = emulator.clock.now()
        account = emulator.store.accounts.put(
            {
                "id": str(uuid.uuid4()),
                "kind": self.kind,
                "name": name,
                "clientId": name,
                "secret": hash_secret(secret),
                "enabled": True,
                "createdBy": call.subject.label,
                "createdAt": now,
                "updatedAt": now,
                "lastLogin": None,
            }
        )
        return 201, {
            "id": account["id"],
            "name": name,
            "clientId": account["clientId"],
            self.secret_key: secret,
        }

    def get(self, emulator: Emulator, call: Call) -> Answer:
        return 200, account_view(self._one(emulator, call))

    def update(self, emulator: Emulator, call: Call) -> Answer:
        account = self._one(emulator, call)
        account["enabled"] = call.object().flag("enabled")
        account["updatedAt"] = emulator.clock.now()
        emulator.store.accounts.put(account)
        return 200, None

    def delete(self, emulator: Emulator, call: Call) -> Answer:
        account = self._one(emulator, call)
        emulator.store.accounts.delete(account["id"])
        # Otherwise a later account of the same name would inherit the rights.
        withdraw_rules(
            emulator,
            lambda rule: (
                rule["subjectType"] == self.kind
                and rule["subjectId"] in (account["id"], account["name"], account["clientId"])
            ),
        )
        return 204, None

    def regenerate(self, emulator: Emulator, call: Call) -> Answer:
        account = self._one(emulator, call)
        secret = new_secret()
        account["secret"] = hash_secret(secret)
        account["updatedAt"] = emulator.clock.now()
        emulator.store.accounts.put(account)
        return 200, {self.secret_key: secret}


SERVICE_ACCOUNTS = _Family(
    "service-account",
    "/api/v1/service-accounts",
    "serviceAccountId",
    "clientSecret",
    "Service account",
)
APPLICATIONS = _Family("app", "/api/v1/apps", "appId", "secret", "Application")
