"""The report as SARIF 2.1.0, for code-scanning dashboards. Findings have a logical location."""

from __future__ import annotations

import json
from importlib import metadata

from runai_perms._check import LEVELS, FindingKind, Report

_DESCRIPTIONS = {
    FindingKind.MISSING: "A permission that the profile needs is not held at the project.",
    FindingKind.UNKNOWN: "It could not be read where a needed permission is held.",
    FindingKind.HIDDEN: "Part of what decides the answer could not be read.",
    FindingKind.DISABLED: "The account is disabled, so its rights cannot be used.",
    FindingKind.NO_RULE: "No access rule names the account.",
    FindingKind.REFUSED: "The control plane refused a harmless call that should be permitted.",
    FindingKind.EXCESS: "A permission is held that the profile does not need.",
    FindingKind.TOO_WIDE: "An access rule reaches further than the project.",
    FindingKind.ELSEWHERE: "An access rule of the same subject does not reach the project.",
    FindingKind.DEPRECATED: "A rule uses a role that the control plane deprecates.",
    FindingKind.INEFFECTIVE: "A rule grants nothing.",
    FindingKind.PROPAGATING: "A rule has not reached its clusters.",
}


def render(report: Report, fail_on: str = "missing") -> str:
    """One run with one result a finding."""
    kinds = list(FindingKind)
    place = f"{report.reading.subject} in {report.place}"
    run = {
        "tool": {
            "driver": {
                "name": "runai-perms",
                "version": metadata.version("zenml-runai"),
                "rules": [
                    {
                        "id": kind.value,
                        "shortDescription": {"text": _DESCRIPTIONS[kind]},
                        "defaultConfiguration": {"level": LEVELS[kind]},
                    }
                    for kind in kinds
                ],
            }
        },
        "results": [
            {
                "ruleId": finding.kind.value,
                "ruleIndex": kinds.index(finding.kind),
                "level": finding.level,
                "message": {
                    "text": ". ".join(filter(None, (finding.message, finding.advice))) + "."
                },
                "locations": [
                    {
                        "logicalLocations": [
                            {
                                "name": finding.subject,
                                "fullyQualifiedName": f"{place}: {finding.subject}",
                                "kind": "resource",
                            }
                        ]
                    }
                ],
                "partialFingerprints": {
                    "finding/v1": f"{finding.kind.value}|{place}|{finding.subject}"
                },
            }
            for finding in report.findings
        ],
        "invocations": [
            {
                "executionSuccessful": not report.evaluation.partial,
                "exitCode": int(report.exit_code(fail_on)),
            }
        ],
    }
    document = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return json.dumps(document, indent=2)
