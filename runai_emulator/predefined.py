"""Predefined roles, permission sets and resource types, read from `data/roles.json`."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from ._constants import SYSTEM_AUTHOR, fixed_uuid

ACTIONS = {"C": "create", "R": "read", "U": "update", "D": "delete"}


@cache
def _data() -> dict[str, Any]:
    return json.loads((Path(__file__).parent / "data" / "roles.json").read_text("utf-8"))


def _in(entry: dict[str, Any], version: str) -> bool:
    return entry.get("since", "0") <= version <= entry.get("until", "9")


@cache
def resource_types(version: str) -> dict[str, dict[str, str]]:
    """Resource type -> {displayName, groupId} of a control-plane version."""
    return {
        entry["resourceType"]: {
            "displayName": entry["displayName"],
            "groupId": entry["groupId"],
        }
        for entry in _data()["resourceTypes"]
        if _in(entry, version)
    }


def _permissions(letters: dict[str, str], version: str) -> list[dict[str, Any]]:
    known = resource_types(version)
    return [
        {"resourceType": name, "actions": [ACTIONS[letter] for letter in ACTIONS if letter in on]}
        for name, on in letters.items()
        if name in known
    ]


@cache
def permission_sets(version: str) -> dict[str, dict[str, Any]]:
    """Id -> permission set. Ids are the same in every emulator."""
    found = {}
    for entry in _data()["permissionSets"]:
        permissions = _permissions(entry["permissions"], version)
        if permissions:
            key = fixed_uuid("permission-set", entry["name"])
            found[key] = {
                "id": key,
                "name": entry["name"],
                "description": entry["description"],
                "permissions": permissions,
            }
    return found


@cache
def _sets_by_content(version: str) -> dict[tuple, dict[str, Any]]:
    return {
        (one["permissions"][0]["resourceType"], tuple(one["permissions"][0]["actions"])): one
        for one in permission_sets(version).values()
        if len(one["permissions"]) == 1
    }


def predefined_roles(version: str, created_at: float) -> list[dict[str, Any]]:
    """Rows of the predefined roles of a control-plane version."""
    by_content = _sets_by_content(version)
    rows = []
    for entry in _data()["roles"]:
        if not _in(entry, version):
            continue
        permissions = _permissions(entry["permissions"], version)
        sets = [by_content.get((p["resourceType"], tuple(p["actions"]))) for p in permissions]
        rows.append(
            {
                "id": str(entry["id"]),
                "name": entry["name"],
                "description": entry["description"],
                "enabled": True,
                "custom": False,
                "deprecated": entry.get("deprecatedSince", "9") <= version,
                "permissionSets": [one["id"] for one in sets if one is not None],
                "permissions": permissions,
                "kubernetesPermissions": None,
                "createdAt": created_at,
                "updatedAt": created_at,
                "deletedAt": None,
                "createdBy": SYSTEM_AUTHOR,
            }
        )
    return rows
