"""Credentials of all five kinds. Their secrets go in and never come out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from runai_emulator.emulator import Emulator
from runai_emulator.store import Row
from runai_emulator.wire import Answer, Body, Call, bad_request, route

from .assets import (
    asset_view,
    create_asset,
    delete_asset,
    find_asset,
    parse_meta,
    update_meta,
    visible_assets,
)

_BASE = "/api/v1/asset/credentials"
_NGC_KEY = re.compile(r"^[-._A-Za-z0-9]+$")
#: Identifies the key that secrets are encrypted with; a required number of the documented reply.
_KEY_ID = 1


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of credential: its path, its `kind` value, and the keys of its secret.

    prefix: of the Kubernetes secret; only that of `password` is documented, by an example.
    fields: keys that must come together; hidden: those never shown again.
    """

    path: str
    kind: str
    prefix: str
    fields: tuple[str, ...]
    hidden: tuple[str, ...]


KINDS = (
    Kind(
        "docker-registry",
        "dockerRegistry",
        "dockerregistry",
        ("user", "password", "url"),
        ("password",),
    ),
    Kind(
        "access-key",
        "accessKey",
        "access-key",
        ("accessKeyId", "secretAccessKey"),
        ("secretAccessKey",),
    ),
    Kind("password", "password", "password-credential", ("user", "password"), ("password",)),
    Kind("generic-secret", "genericSecret", "genericsecret", ("keyValuePairs",), ()),
    Kind("ngc-api-key", "ngcApiKey", "ngc-api-key", ("ngc_api_key",), ("ngc_api_key",)),
)
CREDENTIAL_KINDS = tuple(kind.kind for kind in KINDS)


def _parse_spec(kind: Kind, body: Body) -> dict[str, Any]:
    spec = body.child("spec")
    existing = spec.text("existingSecretName", None) if kind.kind != "ngcApiKey" else None
    given = [name for name in kind.fields if spec.data.get(name) is not None]
    if existing is not None:
        if given:
            raise bad_request(
                f"spec.existingSecretName excludes {', '.join(kind.fields)}: give one or the other."
            )
        return {"existingSecretName": existing}
    if kind.kind == "genericSecret":
        pairs = spec.children("keyValuePairs")
        if not pairs:
            raise bad_request("spec.keyValuePairs needs at least one entry.")
        return {
            "keyValuePairs": [
                {"key": pair.text("key"), "value": pair.text("value", "", low=0, high=1_000_000)}
                for pair in pairs
            ]
        }
    values = {name: spec.text(name) for name in kind.fields}
    if kind.kind == "ngcApiKey" and not _NGC_KEY.fullmatch(values["ngc_api_key"]):
        raise bad_request("spec.ngc_api_key is malformed.")
    return values


def shown_spec(kind: Kind, spec: dict[str, Any]) -> dict[str, Any]:
    """The spec as replies carry it: without secret values."""
    shown = {name: value for name, value in spec.items() if name not in kind.hidden}
    if kind.kind == "genericSecret":
        pairs = spec.get("keyValuePairs") or []
        shown = {name: value for name, value in shown.items() if name != "keyValuePairs"}
        shown["keys"] = [pair["key"] for pair in pairs]
    return {"existingSecretName": None, **shown, "keyId": _KEY_ID}


def _view(emulator: Emulator, kind: Kind, row: Row, **shown: bool) -> dict[str, Any]:
    return asset_view(emulator, row, shown_spec(kind, row["spec"]), **shown)


def _wanted(call: Call) -> dict[str, bool]:
    return {"status": call.flag("statusInfo"), "usage": call.flag("usageInfo")}


class _Credentials:
    """The five endpoints of one kind."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        path = f"{_BASE}/{kind.path}"
        one = f"{path}/{{AssetId}}"
        route("GET", path)(self.list)
        route("POST", path)(self.create)
        route("GET", one)(self.get)
        route("PUT", one)(self.update)
        route("DELETE", one)(self.delete)

    def list(self, emulator: Emulator, call: Call) -> Answer:
        rows = visible_assets(emulator, call, (self.kind.kind,))
        shown = _wanted(call)
        return 200, {"entries": [_view(emulator, self.kind, row, **shown) for row in rows]}

    def create(self, emulator: Emulator, call: Call) -> Answer:
        call.require_anywhere()
        body = call.object()
        meta = parse_meta(emulator, body)
        call.require(meta["scope"], meta["scopeId"])
        if meta["private"] and self.kind.kind not in ("dockerRegistry", "genericSecret"):
            raise bad_request("meta.private is for docker-registry and generic-secret only.")
        spec = _parse_spec(self.kind, body)
        row = create_asset(emulator, call, self.kind.kind, self.kind.prefix, meta, spec)
        return 202, _view(emulator, self.kind, row)

    def get(self, emulator: Emulator, call: Call) -> Answer:
        row = find_asset(emulator, call, self.kind.kind)
        return 200, _view(emulator, self.kind, row, status=True, usage=True)

    def update(self, emulator: Emulator, call: Call) -> Answer:
        row = find_asset(emulator, call, self.kind.kind)
        return 202, _view(emulator, self.kind, update_meta(emulator, call, row))

    def delete(self, emulator: Emulator, call: Call) -> Answer:
        return delete_asset(emulator, find_asset(emulator, call, self.kind.kind))


FAMILIES = {kind.kind: _Credentials(kind) for kind in KINDS}


@route("GET", _BASE)
def list_all(emulator: Emulator, call: Call) -> Answer:
    """All kinds at once; the spec is keyed by kind (documented)."""
    shown = _wanted(call)
    entries = []
    for row in visible_assets(emulator, call, CREDENTIAL_KINDS):
        entry = _view(emulator, FAMILIES[row["kind"]].kind, row, **shown)
        entry["spec"] = {row["kind"]: entry["spec"]}
        entries.append(entry)
    return 200, {"entries": entries}
