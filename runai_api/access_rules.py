"""Access rules: who holds which role where. They cannot be changed, only made and deleted."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

from runai_api import _constants as constants
from runai_api._family import Family, wait_until
from runai_api._filters import can_filter, equals
from runai_api._models import Model, Timestamp
from runai_api._operation import Operation
from runai_api.errors import AmbiguousName, InvalidArgument, ResourceFailed

_ALL = "/api/v1/authorization/access-rules"
_EACH = f"{_ALL}/{{id}}"

_LIST = Operation("access_rules.list", "GET", _ALL, "access_rules:read")
_GET = Operation("access_rules.get", "GET", _EACH, "access_rules:read")
_CREATE = Operation("access_rules.create", "POST", _ALL, "access_rules:create")
_DELETE = Operation("access_rules.delete", "DELETE", _EACH, "access_rules:delete")
_COUNT = Operation("access_rules.count", "GET", f"{_ALL}/count", "access_rules:read")
_MINE = Operation("access_rules.mine", "GET", "/api/v1/authorization/me/access-rules")


class AccessRuleStatus(Model):
    """How far the clusters have taken a rule over: Creating, Ready, NotReady or Deleting."""

    phase: str | None = None
    message: str | None = None
    details: str | None = None


class AccessRule(Model):
    """One rule. `deleted_at` is set on deleted ones; clusters before 2.22 give no `status`."""

    id: int
    subject_id: str
    subject_type: str
    role_id: int
    role_name: str | None = None
    scope_id: str
    scope_type: str
    scope_name: str | None = None
    scope_path: str | None = None
    cluster_id: str | None = None
    tenant_id: int | None = None
    created_by: str | None = None
    created_at: Timestamp = None
    updated_at: Timestamp = None
    deleted_at: Timestamp = None
    status: AccessRuleStatus | None = None


class OwnAccessRule(AccessRule):
    """A rule as its subject sees it: without dates and status, and sometimes without an id."""

    id: int | None = None  # type: ignore[assignment]


class _Count(Model):
    count: int


class AccessRules(Family):
    """``client.access_rules``"""

    def list(
        self,
        *,
        subject_ids: Sequence[str] | None = None,
        subject_type: str | None = None,
        scope_type: str | None = None,
        scope_id: str | None = None,
        role_id: int | None = None,
        include_deleted: bool = False,
    ) -> builtins.list[AccessRule]:
        """All rules that the caller may see and that match everything given."""
        if isinstance(subject_ids, str):
            raise InvalidArgument("subject_ids is a list, not one text.")
        for subject in subject_ids or ():
            if not can_filter(subject):
                raise InvalidArgument(
                    f"{subject!r} cannot be asked for: the API separates subjects with commas.",
                    hint="List all rules and compare.",
                )
        params = {
            "subjectIds": list(subject_ids) if subject_ids else None,
            "subjectType": subject_type,
            "scopeId": scope_id,
            "includeDeleted": True if include_deleted else None,
        }
        filters = equals(scopeType=scope_type, roleId=role_id)
        return self._list(_LIST, AccessRule, "accessRules", params=params, filters=filters)

    def get(self, rule_id: int) -> AccessRule:
        return self._one(_GET, AccessRule, path={"id": rule_id})

    def find(
        self,
        subject_id: str,
        role_id: int,
        scope_type: str,
        scope_id: str,
        *,
        subject_type: str | None = None,
    ) -> AccessRule | None:
        """The living rule with exactly this subject, role and scope, asked for in one request."""
        found = self.list(
            subject_ids=[subject_id],
            subject_type=subject_type,
            scope_type=scope_type,
            scope_id=scope_id,
            role_id=role_id,
        )
        matches = [
            rule
            for rule in found
            if (rule.subject_id, rule.role_id) == (subject_id, role_id)
            and (rule.scope_type, rule.scope_id) == (scope_type, str(scope_id))
            and subject_type in (None, rule.subject_type)
            and rule.deleted_at is None
        ]
        if len({rule.subject_type for rule in matches}) > 1:
            raise AmbiguousName(
                f"{len(matches)} access rules are for subjects with the id {subject_id!r}.",
                ids=tuple(str(rule.id) for rule in matches),
                hint="Give subject_type.",
            )
        return min(matches, key=lambda rule: rule.id) if matches else None

    def create(
        self,
        subject_id: str,
        subject_type: str,
        role_id: int,
        scope_type: str,
        scope_id: str,
        cluster_id: str | None = None,
    ) -> AccessRule:
        """Grant a role at a scope. A tenant's id, too, is given as text.

        Raises `NotFound` for an unknown role or scope, `PermissionDenied` where the caller holds
        less than it wants to give, and on some versions `Conflict` for a rule that exists
        (both inferred).
        """
        body: dict[str, Any] = {
            "subjectId": subject_id,
            "subjectType": str(subject_type),
            "roleId": role_id,
            "scopeType": str(scope_type),
            "scopeId": str(scope_id),
        }
        if cluster_id is not None:
            body["clusterId"] = cluster_id
        where = f"{scope_type} {scope_id}"
        return self._one(_CREATE, AccessRule, body=body, scope=where)

    def delete(self, rule_id: int) -> None:
        self._session.call(_DELETE, path={"id": rule_id})

    def count(self, *, include_deleted: bool = False) -> int:
        params = {"includeDeleted": True if include_deleted else None}
        return self._one(_COUNT, _Count, params=params).count

    def mine(self) -> builtins.list[OwnAccessRule]:
        """The rules of the caller; needs no permission."""
        return self._list(
            _MINE,
            OwnAccessRule,
            "accessRules",
            unwrap=lambda body: body.get("accessRules") or {"accessRules": []},
        )

    def wait_ready(
        self, rule: AccessRule | int, timeout: float = constants.READY_SECONDS
    ) -> AccessRule:
        """Wait until the clusters have taken the rule over.

        Give the rule that `create` returned: if it is ready already, nothing is asked. A rule
        without a status counts as ready (clusters before 2.22 report none). Raises `ResourceFailed`
        for NotReady and Deleting, `DeadlineExceeded` after `timeout` seconds.
        """
        known = rule if isinstance(rule, AccessRule) else None
        rule_id = known.id if known else rule
        assert isinstance(rule_id, int)  # noqa: S101
        return wait_until(
            lambda: self.get(rule_id),
            _is_ready,
            first=known,
            timeout=timeout,
            what=f"Access rule {rule_id}",
            describe=lambda state: (state.status and state.status.phase) or "without status",
            sleep=self._session.sleep,
        )


def _is_ready(rule: AccessRule) -> bool:
    phase = rule.status.phase if rule.status else None
    if rule.deleted_at is not None:
        phase = "Deleting"
    if phase in ("NotReady", "Deleting"):
        said = (rule.status and rule.status.message) or ""
        raise ResourceFailed(
            f"Access rule {rule.id} is {phase}{f' ({said})' if said else ''}.",
            resource=f"access rule {rule.id}",
            phase=phase,
            details=(rule.status and rule.status.details) or "",
            hint="Check that the cluster is connected; the rule can be deleted and made again.",
        )
    return phase in (None, "Ready")


__all__ = ["AccessRule", "AccessRuleStatus", "AccessRules", "OwnAccessRule"]
