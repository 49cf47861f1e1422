"""Roles (v1 read, v2 with custom roles from 2.24) and permission sets."""

from __future__ import annotations

from typing import Any

from runai_emulator._constants import TENANT_ID
from runai_emulator.access import merge_permissions, right_text, role_rights
from runai_emulator.clock import iso
from runai_emulator.emulator import Emulator
from runai_emulator.predefined import permission_sets, resource_types
from runai_emulator.query import Field as QueryField
from runai_emulator.query import date, flag, page, paged, select, text
from runai_emulator.store import Row
from runai_emulator.wire import (
    Answer,
    Body,
    Call,
    bad_request,
    conflict,
    forbidden,
    not_found,
    route,
)

_TENANT = ("tenant", str(TENANT_ID))
_FIELDS = {
    "name": text("name"),
    "createdAt": date("createdAt"),
    "createdBy": text("createdBy"),
    "custom": flag("custom"),
    "scopeType": QueryField("text", lambda row: "tenant"),
    "enabled": flag("enabled"),
}


def role_view(role: Row, version: str) -> dict[str, Any]:
    """A role as v2 shows it."""
    sets = permission_sets(version)
    return {
        "id": int(role["id"]),
        "name": role["name"],
        "description": role["description"],
        "enabled": role["enabled"],
        "effectiveEnabled": role["enabled"],
        "custom": role["custom"],
        "deprecated": role["deprecated"],
        "permissionSets": [
            {"id": key, "name": sets[key]["name"]} for key in role["permissionSets"]
        ],
        "permissions": role["permissions"],
        "kubernetesPermissions": role["kubernetesPermissions"] or {"predefinedRole": None},
        "createdAt": iso(role["createdAt"]),
        "updatedAt": iso(role["updatedAt"]),
        "deletedAt": iso(role["deletedAt"]),
        "createdBy": role["createdBy"],
    }


def role_view_v1(role: Row, version: str) -> dict[str, Any]:
    """A role as v1 shows it: permissions carry display name and group, sets are not shown."""
    types = resource_types(version)
    view = role_view(role, version)
    del view["permissionSets"], view["deprecated"]
    view["permissions"] = [
        permission | types[permission["resourceType"]] for permission in role["permissions"]
    ]
    return view


def _alive(emulator: Emulator, call: Call) -> list[Row]:
    rows = emulator.store.roles.listed(call.hidden_since)
    return [role for role in rows if role["deletedAt"] is None]


def _one(emulator: Emulator, call: Call) -> Row:
    role = emulator.store.roles.get(str(call.int_param("roleIdPath")))
    if role is None or role["deletedAt"] is not None:
        raise not_found("Role")
    return role


@route("GET", "/api/v1/authorization/roles")
def list_v1(emulator: Emulator, call: Call) -> Answer:
    call.require_anywhere()
    return 200, [role_view_v1(role, emulator.version) for role in _alive(emulator, call)]


@route("GET", "/api/v1/authorization/roles/{roleIdPath}")
def get_v1(emulator: Emulator, call: Call) -> Answer:
    call.require_anywhere()
    return 200, role_view_v1(_one(emulator, call), emulator.version)


@route("GET", "/api/v2/authorization/roles")
def list_v2(emulator: Emulator, call: Call) -> Answer:
    call.require_anywhere()
    rows, following = page(call, select(call, _alive(emulator, call), _FIELDS))
    return 200, paged("roles", [role_view(role, emulator.version) for role in rows], following)


@route("GET", "/api/v2/authorization/roles/{roleIdPath}")
def get_v2(emulator: Emulator, call: Call) -> Answer:
    call.require_anywhere()
    return 200, role_view(_one(emulator, call), emulator.version)


def _fields(emulator: Emulator, call: Call, current: Row | None) -> dict[str, Any]:
    """Checked fields of a create or update body (documented: RoleCreationFields)."""
    body = call.object()
    name = body.text("name", high=255)
    description = body.text("description", low=0)
    enabled = body.flag("enabled", True)
    known = permission_sets(emulator.version)
    chosen: list[str] = []
    for item in body.children("permissionSets", []):
        key = item.text("id")
        if key not in known:
            raise bad_request(f"Permission set not found: {key}.")
        if key not in chosen:
            chosen.append(key)
    kubernetes = _kubernetes(emulator, body)
    for role in _alive(emulator, call):
        if role["name"] == name and (current is None or role["id"] != current["id"]):
            raise conflict(f"Role with this name already exists: {name}")
    permissions = merge_permissions(known[key]["permissions"] for key in chosen)
    wanted = role_rights({"permissions": permissions})
    lacking = emulator.access.lacking(call.subject, wanted, *_TENANT)
    if lacking:
        # Nobody hands out, by way of a role, what is not held (inferred).
        raise forbidden(f"{', '.join(map(right_text, lacking))} at tenant {TENANT_ID}")
    return {
        "name": name,
        "description": description,
        "enabled": enabled,
        "permissionSets": chosen,
        "permissions": permissions,
        "kubernetesPermissions": kubernetes,
    }


def _kubernetes(emulator: Emulator, body: Body) -> dict[str, Any] | None:
    given = body.child("kubernetesPermissions", None)
    if given is None:
        return None
    role_id = given.text("predefinedRole", None)
    if role_id is not None:
        role = emulator.store.roles.get(role_id)
        if role is None or role["custom"]:
            raise bad_request(f"Predefined role not found: {role_id}.")
    return {"predefinedRole": role_id}


@route("POST", "/api/v2/authorization/roles")
def create(emulator: Emulator, call: Call) -> Answer:
    call.require(*_TENANT)
    fields = _fields(emulator, call, None)
    now = emulator.clock.now()
    role = emulator.store.roles.put(
        {
            "id": str(emulator.store.next_id("role")),
            **fields,
            "custom": True,
            "deprecated": False,
            "createdAt": now,
            "updatedAt": now,
            "deletedAt": None,
            "createdBy": call.subject.label,
        }
    )
    return 201, role_view(role, emulator.version)


def _custom(emulator: Emulator, call: Call) -> Row:
    call.require(*_TENANT)
    role = _one(emulator, call)
    if not role["custom"]:
        raise bad_request("Predefined roles cannot be changed.")
    return role


@route("PUT", "/api/v2/authorization/roles/{roleIdPath}")
def update(emulator: Emulator, call: Call) -> Answer:
    role = _custom(emulator, call)
    role.update(_fields(emulator, call, role), updatedAt=emulator.clock.now())
    emulator.store.roles.put(role)
    return 200, role_view(role, emulator.version)


@route("DELETE", "/api/v2/authorization/roles/{roleIdPath}")
def delete(emulator: Emulator, call: Call) -> Answer:
    role = _custom(emulator, call)
    if any(emulator.store.rules.matching(roleId=int(role["id"]), deletedAt=None)):
        raise bad_request("The role is used by access rules; delete them first.")
    role["deletedAt"] = emulator.clock.now()
    emulator.store.roles.put(role)
    return 204, None


def _switch(emulator: Emulator, call: Call, enabled: bool) -> Answer:
    role = _custom(emulator, call)
    if enabled:
        lacking = emulator.access.lacking(call.subject, role_rights(role), *_TENANT)
        if lacking:
            raise forbidden(f"{', '.join(map(right_text, lacking))} at tenant {TENANT_ID}")
    role["enabled"] = enabled
    role["updatedAt"] = emulator.clock.now()
    emulator.store.roles.put(role)
    return 204, None


@route("POST", "/api/v2/authorization/roles/{roleIdPath}/enable")
def enable(emulator: Emulator, call: Call) -> Answer:
    return _switch(emulator, call, True)


@route("POST", "/api/v2/authorization/roles/{roleIdPath}/disable")
def disable(emulator: Emulator, call: Call) -> Answer:
    return _switch(emulator, call, False)


@route("GET", "/api/v1/authorization/permission-sets")
def list_sets(emulator: Emulator, call: Call) -> Answer:
    call.require_anywhere()
    return 200, {"permissionSets": list(permission_sets(emulator.version).values())}


@route("GET", "/api/v1/authorization/permission-sets/{permissionSetId}")
def get_set(emulator: Emulator, call: Call) -> Answer:
    call.require_anywhere()
    found = permission_sets(emulator.version).get(call.param("permissionSetId"))
    if found is None:
        raise not_found("Permission set")
    return 200, found
