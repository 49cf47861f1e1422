"""Access rules: subject, role, scope. They are created and deleted, never changed."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from runai_emulator._constants import INT32_MAX, TENANT_ID, TENANT_NAME
from runai_emulator.access import SCOPE_TYPES, right_text, role_rights
from runai_emulator.clock import iso, parse_iso
from runai_emulator.emulator import Emulator
from runai_emulator.query import Field, date, number, page, page_bounds, select, text
from runai_emulator.store import Row
from runai_emulator.wire import (
    Answer,
    ApiError,
    Body,
    Call,
    bad_request,
    conflict,
    forbidden,
    not_found,
    route,
)

_PATH = "/api/v1/authorization/access-rules"
_SEARCHED = ("subjectId", "roleName", "scopeName")


def new_rule(emulator: Emulator, fields: dict[str, Any], author: str, now: float) -> Row:
    """A rule row; the names of role and scope are kept as they were when it was made."""
    role = emulator.store.roles.rows[str(fields["roleId"])]
    scope_type, scope_id = fields["scopeType"], fields["scopeId"]
    scope = emulator.access.scope_row(scope_type, scope_id)
    return {
        "id": str(emulator.store.next_id("rule")),
        **fields,
        "roleName": role["name"],
        "scopeName": TENANT_NAME if scope_type == "tenant" else scope["name"],
        "createdBy": author,
        "createdAt": now,
        "updatedAt": now,
        "deletedAt": None,
    }


def withdraw_rules(emulator: Emulator, affected: Callable[[Row], bool]) -> None:
    """Softly delete the rules of a subject or scope that is going away (inferred)."""
    now = emulator.clock.now()
    for rule in emulator.store.rules.values():
        if rule["deletedAt"] is None and affected(rule):
            rule.update(deletedAt=now, updatedAt=now)
            emulator.store.rules.put(rule)


def _phase(emulator: Emulator, rule: Row) -> str:
    if rule["deletedAt"] is not None:
        return "Deleting"
    return "Ready" if emulator.settled(rule) else "Creating"


def _fields(emulator: Emulator) -> dict[str, Field]:
    fields = {
        name: text(name)
        for name in ("subjectId", "subjectType", "scopeId", "scopeType", "roleName", "scopeName")
    }
    return fields | {
        "roleId": number("roleId"),
        "createdAt": date("createdAt"),
        "deletedAt": date("deletedAt"),
        "createdBy": text("createdBy"),
        "phase": Field("text", lambda rule: _phase(emulator, rule)),
    }


def _view(emulator: Emulator, rule: Row) -> dict[str, Any]:
    phase = _phase(emulator, rule)
    view = {
        "id": int(rule["id"]),
        "subjectId": rule["subjectId"],
        "subjectType": rule["subjectType"],
        "roleId": rule["roleId"],
        "roleName": rule["roleName"],
        "scopeId": rule["scopeId"],
        "scopeType": rule["scopeType"],
        "scopeName": rule["scopeName"],
        "createdAt": iso(rule["createdAt"]),
        "updatedAt": iso(rule["updatedAt"]),
        "deletedAt": iso(rule["deletedAt"]),
        "tenantId": TENANT_ID,
        "createdBy": rule["createdBy"],
        "status": {"phase": phase, "message": "", "details": ""},
    }
    if rule["clusterId"]:
        view["clusterId"] = rule["clusterId"]
    return view


def _reduced(rule: Row) -> dict[str, Any]:
    """The form in which callers see their own rules."""
    view = {
        name: rule[name]
        for name in (
            "subjectId",
            "subjectType",
            "roleId",
            "roleName",
            "scopeId",
            "scopeType",
            "scopeName",
        )
    }
    view |= {"id": int(rule["id"]), "tenantId": TENANT_ID}
    if rule["clusterId"]:
        view["clusterId"] = rule["clusterId"]
    return view


def _visible(emulator: Emulator, call: Call) -> list[Row]:
    """Rules in scopes that the caller may see, deleted ones only when asked for."""
    call.require_anywhere()
    deleted = call.flag("includeDeleted")
    rows = emulator.store.rules.listed(call.hidden_since)
    may_see: dict[tuple[str, str], bool] = {}
    found = []
    for rule in rows:
        if rule["deletedAt"] is not None and not deleted:
            continue
        scope = (rule["scopeType"], rule["scopeId"])
        allowed = may_see.get(scope)
        if allowed is None:
            allowed = may_see[scope] = call.permits(*scope)
        if allowed:
            found.append(rule)
    return found


def _filtered(call: Call, rows: list[Row]) -> list[Row]:
    """The older list parameters, which are still served beside filterBy."""
    for parameter, key in (
        ("subjectType", "subjectType"),
        ("subjectIdFilter", "subjectId"),
        ("clusterId", "clusterId"),
        ("scopeType", "scopeType"),
        ("scopeId", "scopeId"),
    ):
        wanted = call.text(parameter)
        if wanted is not None:
            rows = [rule for rule in rows if rule[key] == wanted]
    subjects = call.items("subjectIds")
    if subjects:
        rows = [rule for rule in rows if rule["subjectId"] in subjects]
    role_id = call.integer("roleId", low=1)
    if role_id is not None:
        rows = [rule for rule in rows if rule["roleId"] == role_id]
    since = call.text("lastUpdated")
    if since is not None:
        try:
            moment = parse_iso(since)
        except ValueError as error:
            raise bad_request("lastUpdated is not a date.") from error
        rows = [rule for rule in rows if rule["updatedAt"] >= moment]
    return rows


@route("GET", _PATH)
def list_rules(emulator: Emulator, call: Call) -> Answer:
    rows = _filtered(call, _visible(emulator, call))
    found = select(call, rows, _fields(emulator), _SEARCHED)
    shown, _ = page(call, found)
    return 200, {
        "totalRecords": len(found),
        "displayRecords": len(shown),
        "accessRules": [_view(emulator, rule) for rule in shown],
    }


@route("GET", f"{_PATH}/count")
def count_rules(emulator: Emulator, call: Call) -> Answer:
    found = select(call, _visible(emulator, call), _fields(emulator), _SEARCHED)
    return 200, {"count": len(found)}


def _checked(emulator: Emulator, body: Body) -> dict[str, Any]:
    """The fields of a new rule, each checked against what exists."""
    subject_types = ("user", "app", "group")
    if emulator.has_service_accounts:
        subject_types = ("user", "app", "service-account", "group")
    fields = {
        "subjectId": body.text("subjectId", high=255),
        "subjectType": body.one_of("subjectType", subject_types),
        "roleId": body.integer("roleId", low=0, high=INT32_MAX),
        "scopeId": body.text("scopeId", low=0, high=255),
        "scopeType": body.one_of("scopeType", SCOPE_TYPES),
        "clusterId": body.text("clusterId", None),
    }
    role = emulator.store.roles.get(str(fields["roleId"]))
    if role is None or role["deletedAt"] is not None:
        raise not_found("Role")
    scope = emulator.access.scope_row(fields["scopeType"], fields["scopeId"])
    if scope is None:
        raise not_found(f"Scope {fields['scopeType']} {fields['scopeId']}")
    # A cluster's own row carries its id under another name.
    cluster = scope["id"] if fields["scopeType"] == "cluster" else scope.get("clusterId")
    if fields["clusterId"] not in (None, cluster):
        raise bad_request("clusterId is not the cluster of the scope.")
    fields["clusterId"] = cluster
    kind = fields["subjectType"]
    if kind in ("app", "service-account"):
        # The identifier that the real control plane wants is not documented; all are taken.
        known = any(
            row["kind"] == kind and fields["subjectId"] in (row["id"], row["name"], row["clientId"])
            for row in emulator.store.accounts.rows.values()
        )
        if not known:
            raise not_found(f"Subject {fields['subjectId']}")
    return fields


def _grant(emulator: Emulator, call: Call, body: Body) -> Row:
    """Make one rule: the caller needs the right to, and every right that it hands out."""
    fields = _checked(emulator, body)
    scope = (fields["scopeType"], fields["scopeId"])
    call.require(*scope)
    role = emulator.store.roles.rows[str(fields["roleId"])]
    lacking = emulator.access.lacking(call.subject, role_rights(role), *scope)
    if lacking:
        raise forbidden(f"{', '.join(map(right_text, lacking))} at {scope[0]} {scope[1]}")
    same = ("subjectId", "subjectType", "roleId", "scopeType", "scopeId")
    if any(emulator.store.rules.matching(deletedAt=None, **{key: fields[key] for key in same})):
        raise conflict("Access rule already exists for this subject, role and scope")
    rule = new_rule(emulator, fields, call.subject.label, emulator.clock.now())
    return emulator.store.rules.put(rule)


@route("POST", _PATH)
def create_rule(emulator: Emulator, call: Call) -> Answer:
    call.require_anywhere()
    return 201, _view(emulator, _grant(emulator, call, call.object()))


def _one(emulator: Emulator, call: Call, key: str) -> Row:
    rule = emulator.store.rules.get(key)
    if rule is None or rule["deletedAt"] is not None:
        raise not_found("Access rule")
    call.require(rule["scopeType"], rule["scopeId"])
    return rule


@route("GET", f"{_PATH}/{{accessRuleId}}")
def get_rule(emulator: Emulator, call: Call) -> Answer:
    call.require_anywhere()
    rule = _one(emulator, call, str(call.int_param("accessRuleId")))
    chain = emulator.access.above(rule["scopeType"], rule["scopeId"])
    path = "/".join(scope_id for _, scope_id in reversed(chain) if scope_id)
    return 200, _view(emulator, rule) | {"scopePath": path}


def _withdraw(emulator: Emulator, rule: Row) -> None:
    now = emulator.clock.now()
    rule.update(deletedAt=now, updatedAt=now)
    emulator.store.rules.put(rule)


@route("DELETE", f"{_PATH}/{{accessRuleId}}")
def delete_rule(emulator: Emulator, call: Call) -> Answer:
    call.require_anywhere()
    _withdraw(emulator, _one(emulator, call, str(call.int_param("accessRuleId"))))
    return 204, None


@route("POST", f"{_PATH}/batch")
def batch_delete(emulator: Emulator, call: Call) -> Answer:
    """Delete several rules, or only check that they could be; a partial failure is still 200."""
    call.require_anywhere()
    body = call.object()
    ids = body.texts("ids")
    action = body.one_of("action", ("delete", "validate_delete"))
    succeeded, failed = [], []
    for key in ids:
        try:
            rule = _one(emulator, call, key)
        except ApiError as error:
            failed.append({"id": key, "code": error.status, "message": error.message})
            continue
        if action == "delete":
            _withdraw(emulator, rule)
        succeeded.append(key)
    return 200, {"id": str(uuid.uuid4()), "succeeded": succeeded, "failed": failed}


@route("POST", f"{_PATH}/batch-create")
def batch_create(emulator: Emulator, call: Call) -> Answer:
    """One role for every pair of the given subjects and scopes; a partial failure is still 200."""
    call.require_anywhere()
    payload = call.object().child("payload")
    role_id = payload.integer("roleId", low=0)
    subjects, scopes = payload.children("subjects"), payload.children("scopes")
    if not subjects or not scopes:
        raise bad_request("payload.subjects and payload.scopes need at least one entry each.")
    wanted = []
    for subject in subjects:
        for scope in scopes:
            fields = {
                "subjectId": subject.text("subjectId"),
                "subjectType": subject.text("subjectType"),
                "roleId": role_id,
                "scopeId": scope.text("scopeId"),
                "scopeType": scope.text("scopeType"),
            }
            if payload.data.get("clusterId") is not None:
                fields["clusterId"] = payload.data["clusterId"]
            wanted.append(fields)
    succeeded, failed = [], []
    for fields in wanted:
        try:
            succeeded.append(_view(emulator, _grant(emulator, call, Body(fields, "payload"))))
        except ApiError as error:
            failed.append({"payload": fields, "code": error.status, "message": error.message})
    return 200, {"succeeded": succeeded, "failed": failed}


def _mine(emulator: Emulator, call: Call) -> list[Row]:
    rules = emulator.access.rules_of(call.subject)
    wanted = (call.text("search") or "").lower()
    return [rule for rule in rules if any(wanted in str(rule[key]).lower() for key in _SEARCHED)]


@route("GET", "/api/v1/authorization/me/access-rules")
def my_rules(emulator: Emulator, call: Call) -> Answer:
    found = _mine(emulator, call)
    offset, limit = page_bounds(call)
    shown = found[offset : offset + limit]
    return 200, {
        "accessRules": {
            "totalRecords": len(found),
            "displayRecords": len(shown),
            "accessRules": [_reduced(rule) for rule in shown],
        }
    }


@route("GET", "/api/v1/authorization/me/access-rules/count")
def count_my_rules(emulator: Emulator, call: Call) -> Answer:
    return 200, {"count": len(_mine(emulator, call))}
