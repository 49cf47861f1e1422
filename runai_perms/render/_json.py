"""The report for programs. Keys are stable within one ``schema_version``."""

from __future__ import annotations

import json
from typing import Any

from runai_perms._check import Report
from runai_perms._errors import ExitCode
from runai_perms._evaluate import Grant
from runai_perms._model import Rule

SCHEMA_VERSION = 1

_VERDICTS = {
    ExitCode.OK: "ok",
    ExitCode.MISSING: "missing",
    ExitCode.INCOMPLETE: "partial",
    ExitCode.EXCESS: "excess",
}


def render(report: Report, fail_on: str = "missing") -> str:
    """The report as JSON text."""
    return json.dumps(as_data(report, fail_on), indent=2)


def as_data(report: Report, fail_on: str = "missing") -> dict[str, Any]:
    """The report as plain data."""
    code = report.exit_code(fail_on)
    evaluation, reading = report.evaluation, report.reading
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": _VERDICTS[code],
        "exit_code": int(code),
        "control_plane": report.control_plane,
        "version": reading.version,
        "subject": reading.subject,
        "enabled": reading.enabled,
        "project": report.project or None,
        "profile": report.profile,
        "features": list(report.features),
        "needs": [
            {
                "permission": str(v.need.permission),
                "alternatives": [str(p) for p in v.need.alternatives],
                "reach": v.need.reach.value,
                "certainty": v.need.certainty.value,
                "features": list(v.need.features),
                "operations": list(v.need.operations),
                "held": None if v.unknown and not v.granted else v.granted,
                "granted_by": [grant_data(g) for g in v.grants],
                "held_elsewhere": [grant_data(g) for g in v.elsewhere],
            }
            for v in evaluation.verdicts
        ],
        "missing": [str(p) for p in evaluation.missing],
        "excess": [
            {"permission": str(p), "granted_by": [grant_data(g) for g in grants]}
            for p, grants in evaluation.excess.items()
        ],
        "scope_too_wide": [rule_data(r) for r in evaluation.too_wide],
        "elsewhere": [rule_data(r) for r in evaluation.elsewhere],
        "deprecated_roles": dict(evaluation.deprecated),
        "gaps": list(evaluation.gaps),
        "probes": [
            {"permission": str(p.permission), "how": p.how, "allowed": p.allowed}
            for p in report.probes
        ],
        "findings": [
            {
                "kind": f.kind.value,
                "level": f.level,
                "subject": f.subject,
                "message": f.message,
                "advice": f.advice,
            }
            for f in report.findings
        ],
        "notes": list(reading.notes),
    }


def grant_data(grant: Grant) -> dict[str, Any]:
    """One grant as plain data; ``rule`` is null when the control plane did not name it."""
    return {
        "permission": str(grant.permission),
        "scope": {"type": grant.scope.type.value, "id": grant.scope.id, "name": grant.scope.name},
        "rule": rule_data(grant.rule) if grant.rule else None,
        "role": grant.rule.role_name if grant.rule else None,
        "permission_sets": list(grant.permission_sets),
    }


def rule_data(rule: Rule) -> dict[str, Any]:
    """One access rule as plain data."""
    return {
        "id": rule.id,
        "subject": rule.subject_id,
        "subject_type": rule.subject_type,
        "role_id": rule.role_id,
        "role": rule.role_name,
        "scope": {"type": rule.scope.type.value, "id": rule.scope.id, "name": rule.scope.name},
        "phase": rule.phase,
    }
