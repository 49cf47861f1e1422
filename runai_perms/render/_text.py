"""The report for people. Colours are stripped by click where there is no terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import click

from runai_perms._check import FindingKind, Report
from runai_perms._errors import ExitCode
from runai_perms._evaluate import Verdict

_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def render(report: Report, fail_on: str = "missing") -> str:
    """Needs with the chain that grants each, then what is wrong or too much, then the verdict."""
    return "\n".join(_lines(report, fail_on))


def verdict_line(report: Report, fail_on: str) -> str:
    """The answer in one sentence."""
    code = report.exit_code(fail_on)
    total = len(report.evaluation.verdicts)
    missing = len(report.evaluation.missing)
    excess = len(report.evaluation.excess)
    if code is ExitCode.OK:
        more = _and_more(report, excess)
        return click.style("OK", fg="green", bold=True) + f": all {total} rights are held{more}"
    if code is ExitCode.EXCESS:
        more = _and_more(report, excess)
        return click.style("EXCESS", fg="yellow", bold=True) + f": all {total} are held{more}"
    if code is ExitCode.INCOMPLETE:
        return click.style("PARTIAL", fg="red", bold=True) + ": not everything could be read"
    if missing:
        return click.style("MISSING", fg="red", bold=True) + f": {missing} of {total} rights"
    return click.style("MISSING", fg="red", bold=True) + ": the rights cannot be used"


def _and_more(report: Report, excess: int) -> str:
    evaluation = report.evaluation
    parts = []
    if excess:
        parts.append(f"{excess} more than needed")
    if evaluation.too_wide:
        parts.append(f"{len(evaluation.too_wide)} rule(s) with too wide a scope")
    if evaluation.elsewhere:
        parts.append(f"{len(evaluation.elsewhere)} rule(s) elsewhere")
    return ", " + ", ".join(parts) if parts else ", and nothing more"


def _lines(report: Report, fail_on: str) -> Iterator[str]:
    reading = report.reading
    where = f" in {report.place}"
    features = f" with {', '.join(report.features)}" if report.features else ""
    yield click.style(f"{reading.subject}: {report.profile}{features}{where}", bold=True)
    yield f"{report.control_plane} (Run:ai {reading.version})"
    yield ""
    width = max((len(str(v.need.permission)) for v in report.evaluation.verdicts), default=0)
    for verdict in report.evaluation.verdicts:
        yield from _need(verdict, width)
    for probe in report.probes:
        word = {True: "allowed", False: "refused", None: "not told"}[probe.allowed]
        yield f"  probe    {probe.permission!s:<{width}}  {word}: {probe.how}"
    told = (FindingKind.MISSING, FindingKind.EXCESS)
    findings = [f for f in report.findings if f.kind not in told]
    if findings or report.evaluation.excess or reading.notes:
        yield ""
    for finding in findings:
        yield click.style(f"  {finding.level:<8} ", fg=_COLOURS[finding.level]) + finding.message
        if finding.advice:
            yield f"           -> {finding.advice}"
    yield from _excess(report)
    for note in reading.notes:
        yield f"  note     {note}"
    yield ""
    yield verdict_line(report, fail_on)


def _excess(report: Report) -> Iterator[str]:
    """Excess in few lines: grouped by where it comes from, actions by resource type."""
    sources: dict[str, dict[str, list[str]]] = {}
    for permission, grants in report.evaluation.excess.items():
        for grant in grants[:1]:
            source = f"rule {grant.rule}" if grant.rule else f"held at {grant.scope}"
            actions = sources.setdefault(source, {}).setdefault(permission.resource_type, [])
            actions.append(permission.action)
    for source, types in sources.items():
        count = sum(map(len, types.values()))
        yield click.style("  excess   ", fg="yellow") + f"{count} more than needed, by {source}"
        text = ", ".join(f"{t} ({' '.join(actions)})" for t, actions in types.items())
        yield from textwrap.wrap(
            text, 98, initial_indent=" " * 11, subsequent_indent=" " * 11, break_on_hyphens=False
        )


def _need(verdict: Verdict, width: int) -> Iterator[str]:
    need = verdict.need
    why = ", ".join(need.operations) or ", ".join(need.features)
    line = f"{need.permission!s:<{width}}  {why} [{need.certainty}]"
    if verdict.granted:
        yield click.style("  held     ", fg="green") + line
        for grant in verdict.grants:
            yield f"           {grant.chain}"
    elif verdict.unknown:
        yield click.style("  unknown  ", fg="red") + line
    else:
        yield click.style("  missing  ", fg="red") + line
        scopes = sorted({str(g.scope) for g in verdict.elsewhere})
        if scopes:
            yield f"           held only at {', '.join(scopes)}"
