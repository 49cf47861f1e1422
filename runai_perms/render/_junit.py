"""The report as JUnit XML: one test case a need, and one for each kind of excess."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from runai_perms._check import FindingKind, Report
from runai_perms._evaluate import Verdict

_EXCESS = (FindingKind.EXCESS, FindingKind.TOO_WIDE, FindingKind.ELSEWHERE)


def render(report: Report, fail_on: str = "missing") -> str:
    """Missing rights are failures, what could not be read is an error, excess by ``fail_on``."""
    cases = [_need(report, v, fail_on) for v in report.evaluation.verdicts]
    others = [
        f for f in report.findings if f.kind not in (FindingKind.MISSING, FindingKind.UNKNOWN)
    ]
    for finding in others:
        excess = finding.kind in _EXCESS
        fails = (finding.level == "error" and fail_on != "excess") or (
            excess and fail_on != "missing"
        )
        tag = "error" if finding.kind is FindingKind.HIDDEN else "failure"
        outcome = _outcome(tag if fails or tag == "error" else "skipped", finding.message)
        cases.append((finding.kind.value, finding.subject, outcome))
    body = "".join(
        f"    <testcase classname={quoteattr(kind)} name={quoteattr(name)}>{outcome}</testcase>\n"
        for kind, name, outcome in cases
    )
    counts = {t: sum(f"<{t} " in o for _, _, o in cases) for t in ("failure", "error", "skipped")}
    name = quoteattr(f"runai-perms {report.profile} in {report.place}")
    totals = (
        f'tests="{len(cases)}" failures="{counts["failure"]}"'
        f' errors="{counts["error"]}" skipped="{counts["skipped"]}"'
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites {totals}>\n'
        f"  <testsuite name={name} {totals}>\n{body}  </testsuite>\n</testsuites>"
    )


def _need(report: Report, verdict: Verdict, fail_on: str) -> tuple[str, str, str]:
    permission = str(verdict.need.permission)
    message = next((f.message for f in report.findings if f.subject == permission), permission)
    outcome = ""
    if verdict.missing:
        outcome = _outcome("skipped" if fail_on == "excess" else "failure", message)
    elif verdict.unknown and not verdict.granted:
        outcome = _outcome("error", message)
    return "need", permission, outcome


def _outcome(tag: str, message: str) -> str:
    return f"<{tag} message={quoteattr(message)}/>"
