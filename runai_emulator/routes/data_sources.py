"""Data sources of seven kinds. Workload bodies carry raw volumes; these records serve templates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runai_emulator._constants import K8S_NAME, QUANTITY
from runai_emulator.emulator import Emulator
from runai_emulator.schema import Schema, check, choice, flag, text, thing
from runai_emulator.store import Row
from runai_emulator.wire import Answer, Body, Call, bad_request, route

from .assets import (
    REFERENCES,
    asset_view,
    create_asset,
    delete_asset,
    find_asset,
    parse_meta,
    update_meta,
    visible_assets,
)

_BASE = "/api/v1/asset/datasource"
_LINE = text(low=1)
_MODE = text(r"^0[0-7]{3}$", 4, 4)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of data source. mandatory: keys that a create body must give (inferred)."""

    path: str
    kind: str
    key: str
    mandatory: tuple[str, ...]
    schema: Schema


KINDS = (
    Kind(
        "pvc",
        "pvc",
        "pvc",
        ("path",),
        thing(
            path=_LINE,
            existingPvc=flag(),
            claimName=text(low=1, high=63),
            readOnly=flag(),
            ephemeral=flag(),
            claimInfo=thing(
                size=text(QUANTITY),
                storageClass=text(K8S_NAME, 1),
                accessModes=thing(readWriteOnce=flag(), readOnlyMany=flag(), readWriteMany=flag()),
                volumeMode=choice("Filesystem", "Block"),
            ),
            dataSharing=flag(),
        ),
    ),
    Kind(
        "s3",
        "s3",
        "s3",
        ("bucket", "path"),
        thing(bucket=_LINE, path=_LINE, url=_LINE, accessKeyAssetId=text(low=1)),
    ),
    Kind(
        "nfs",
        "nfs",
        "nfs",
        ("path", "server", "mountPath"),
        thing(path=_LINE, readOnly=flag(), server=_LINE, mountPath=_LINE),
    ),
    Kind(
        "host-path",
        "hostPath",
        "hostPath",
        ("path", "mountPath"),
        thing(
            path=_LINE,
            readOnly=flag(),
            mountPath=_LINE,
            mountPropagation=choice("None", "HostToContainer"),
        ),
    ),
    Kind(
        "git",
        "git",
        "git",
        ("repository", "path"),
        thing(
            repository=_LINE,
            branch=_LINE,
            revision=_LINE,
            path=_LINE,
            passwordAssetId=text(low=1),
        ),
    ),
    Kind(
        "config-map",
        "config-map",
        "configMap",
        ("configMap", "mountPath"),
        thing(configMap=text(K8S_NAME, 1), mountPath=_LINE, subPath=_LINE, defaultMode=_MODE),
    ),
    Kind(
        "secrets",
        "secret-volume",
        "secret",
        ("credentialAssetId", "mountPath"),
        thing(credentialAssetId=text(low=1), mountPath=_LINE, defaultMode=_MODE),
    ),
)
DATA_SOURCE_KINDS = tuple(kind.kind for kind in KINDS)


def _parse_spec(emulator: Emulator, kind: Kind, body: Body) -> dict[str, Any]:
    spec = body.child("spec").data
    check(spec, kind.schema, "spec")
    for key in kind.mandatory:
        if spec.get(key) is None:
            raise bad_request(f"Required parameter is missing: spec.{key}.")
    for key in REFERENCES:
        if spec.get(key) is not None and emulator.store.assets.get(spec[key]) is None:
            raise bad_request(f"Credential not found: {spec[key]}.")
    return spec


def _view(emulator: Emulator, row: Row, **shown: bool) -> dict[str, Any]:
    return asset_view(emulator, row, row["spec"], resource_kind="PersistentVolumeClaim", **shown)


def _wanted(call: Call) -> dict[str, bool]:
    return {"status": call.flag("statusInfo"), "usage": call.flag("usageInfo")}


def _filtered(emulator: Emulator, call: Call, kinds: tuple[str, ...]) -> list[Row]:
    rows = visible_assets(emulator, call, kinds)
    wanted = call.items("assetIds")
    if wanted:
        rows = [row for row in rows if row["id"] in wanted]
    project = call.integer("complyToProject")
    if project is not None:
        usable = set(emulator.access.above("project", str(project)))
        rows = [row for row in rows if (row["scope"], row["scopeId"]) in usable]
    return rows


class _DataSources:
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
        rows = _filtered(emulator, call, (self.kind.kind,))
        return 200, {"entries": [_view(emulator, row, **_wanted(call)) for row in rows]}

    def create(self, emulator: Emulator, call: Call) -> Answer:
        call.require_anywhere()
        body = call.object()
        meta = parse_meta(emulator, body)
        call.require(meta["scope"], meta["scopeId"])
        spec = _parse_spec(emulator, self.kind, body)
        row = create_asset(emulator, call, self.kind.kind, self.kind.path, meta, spec)
        return 202, _view(emulator, row)

    def get(self, emulator: Emulator, call: Call) -> Answer:
        row = find_asset(emulator, call, self.kind.kind)
        return 200, _view(emulator, row, status=True, usage=True)

    def update(self, emulator: Emulator, call: Call) -> Answer:
        row = find_asset(emulator, call, self.kind.kind)
        return 202, _view(emulator, update_meta(emulator, call, row))

    def delete(self, emulator: Emulator, call: Call) -> Answer:
        return delete_asset(emulator, find_asset(emulator, call, self.kind.kind))


FAMILIES = {kind.kind: _DataSources(kind) for kind in KINDS}


@route("GET", _BASE)
def list_all(emulator: Emulator, call: Call) -> Answer:
    """All kinds at once; the spec is keyed by kind."""
    entries = []
    for row in _filtered(emulator, call, DATA_SOURCE_KINDS):
        entry = _view(emulator, row, **_wanted(call))
        entry["spec"] = {FAMILIES[row["kind"]].kind.key: entry["spec"]}
        entries.append(entry)
    return 200, {"entries": entries}
