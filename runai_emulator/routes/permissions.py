"""What the caller itself may do: summary and permitted scopes. Any valid token suffices."""

from __future__ import annotations

from typing import Any

from runai_emulator.access import Scope, merge_permissions
from runai_emulator.emulator import Emulator
from runai_emulator.predefined import resource_types
from runai_emulator.wire import Answer, Call, bad_request, route

_ACTIONS = ("create", "read", "update", "delete")


@route("GET", "/api/v1/authorization/permissions")
def summary(emulator: Emulator, call: Call) -> Answer:
    """One entry for each resource type on which the caller has a right in any scope."""
    types = resource_types(emulator.version)
    held = emulator.access.rights(call.subject).scopes
    merged = merge_permissions(
        [{"resourceType": resource_type, "actions": [action]}]
        for resource_type, action in sorted(held)
    )
    return 200, [entry | types[entry["resourceType"]] for entry in merged]


@route("POST", "/api/v1/authorization/permitted-scopes")
def permitted_scopes(emulator: Emulator, call: Call) -> Answer:
    """The scopes at which rules grant a right, not expanded to what lies beneath (inferred)."""
    body = call.object()
    resource_type = body.text("resourceType")
    if resource_type not in resource_types(emulator.version):
        raise bad_request(f"Unknown resourceType: {resource_type}.")
    action = body.one_of("action", _ACTIONS, None)
    held = emulator.access.rights(call.subject).scopes
    return 200, {
        name: _scopes(held.get((resource_type, name), set())) if action in (None, name) else {}
        for name in _ACTIONS
    }


def _scopes(granted: set[Scope]) -> dict[str, Any]:
    by_type: dict[str, list[str]] = {}
    for scope_type, scope_id in sorted(granted):
        by_type.setdefault(scope_type, []).append(scope_id)
    tenants = by_type.get("tenant", [])
    view: dict[str, Any] = {
        "system": "system" in by_type,
        "tenants": tenants,
        "clusters": by_type.get("cluster", []),
        "departments": by_type.get("department", []),
        "projects": by_type.get("project", []),
    }
    if tenants:
        view["tenant"] = tenants[0]
    return view
