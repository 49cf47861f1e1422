"""The report as one self-contained HTML page: no script, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from html import escape
from importlib import resources

from runai_perms._check import Finding, FindingKind, Report
from runai_perms._errors import ExitCode
from runai_perms._evaluate import Grant, Verdict
from runai_perms._model import Rule, Scope, ScopeType
from runai_perms.render._matrix import needs_by_grants, rights_by_action

_WORDS = {
    ExitCode.OK: ("good", "All rights held"),
    ExitCode.MISSING: ("bad", "Rights missing"),
    ExitCode.INCOMPLETE: ("bad", "Partial answer"),
}
_LEVELS = {"error": "bad", "warning": "much", "note": ""}


def render(report: Report, fail_on: str = "missing") -> str:
    """The whole page."""
    title = f"{report.reading.subject}: {report.profile} in {report.place}"
    css = resources.files("runai_perms").joinpath("data/report.css").read_text("utf-8")
    body = "\n".join(
        [
            *_head(report, fail_on),
            *_section("What is needed, and what grants it", needs_by_grants(report)),
            *_section("Findings", _findings(report)),
            *_section("Where the rules apply", _tree(report)),
            *_section("All rights, needed or held", rights_by_action(report)),
            *_section("The chain of each grant", _needs(report)),
            _foot(report),
        ]
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{css}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>"
    )


def _head(report: Report, fail_on: str) -> Iterator[str]:
    evaluation, reading = report.evaluation, report.reading
    style, words = _WORDS.get(report.exit_code(fail_on), ("much", "More than needed"))
    if report.exit_code(fail_on) is ExitCode.OK and evaluation.has_excess:
        style, words = "much", "All rights held, and more than needed"
    features = f" with {', '.join(report.features)}" if report.features else ""
    yield f"<h1>{escape(reading.subject)}</h1>"
    yield (
        f'<p class="soft">{escape(report.profile + features)} in'
        f" {escape(report.place)} · {escape(report.control_plane)}"
        f" (Run:ai {escape(reading.version)})</p>"
    )
    yield f'<p><span class="verdict {style}">{words}</span></p>'
    numbers = (
        ("needed", len(evaluation.verdicts)),
        ("held", sum(v.granted for v in evaluation.verdicts)),
        ("missing", len(evaluation.missing)),
        ("not needed", len(evaluation.excess)),
        ("scopes too wide", len(evaluation.too_wide)),
        ("rules elsewhere", len(evaluation.elsewhere)),
    )
    facts = "".join(f'<div class="fact"><b>{n}</b>{word}</div>' for word, n in numbers)
    yield f'<div class="facts">{facts}</div>'


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    content = "\n".join(lines)
    if content:
        yield f"<section>\n<h2>{title}</h2>\n{content}\n</section>"


def _findings(report: Report) -> Iterator[str]:
    told_above = (FindingKind.EXCESS,)
    for finding in report.findings:
        if finding.kind not in told_above:
            yield _finding(finding)
    count = len(report.evaluation.excess)
    if count:
        rights = "right is" if count == 1 else "rights are"
        message = f"{count} {rights} held but not needed (marked + below)"
        advice = "take a narrower role: see runai-perms role"
        yield _finding(Finding(FindingKind.EXCESS, "", message, advice))


def _finding(finding: Finding) -> str:
    advice = f'<br><span class="soft">{escape(finding.advice)}</span>' if finding.advice else ""
    return (
        f'<div class="finding"><span class="mark {_LEVELS[finding.level]}">{finding.level}</span>'
        f"<div>{escape(finding.message)}{advice}</div></div>"
    )


def _tree(report: Report) -> Iterator[str]:
    """The way from the account down to the project, and beside it where other rules sit."""
    path, rules = report.reading.path, report.reading.held.rules
    names = {**{r.scope.id: r.scope.name for r in rules if r.scope.name}, **dict(path.names)}
    way = [Scope(ScopeType.TENANT, path.tenant, "Account")]
    if path.cluster:
        way.append(Scope(ScopeType.CLUSTER, path.cluster))
    way += [Scope(ScopeType.DEPARTMENT, d) for d in reversed(path.departments)]
    if path.project:
        way.append(Scope(ScopeType.PROJECT, path.project, path.project_name))
    at: dict[Scope, list[Rule]] = {}
    beneath: dict[Scope, list[Scope]] = {}
    for rule in rules:
        everywhere = rule.scope.type in (ScopeType.SYSTEM, ScopeType.TENANT)
        scope = way[0] if everywhere else rule.scope
        at.setdefault(scope, []).append(rule)
        if scope not in way:
            inside = path.cluster and scope.cluster == path.cluster
            siblings = beneath.setdefault(way[1] if inside else way[0], [])
            if scope not in siblings:
                siblings.append(scope)

    def branch(index: int) -> str:
        scope = way[index]
        name = scope.name or names.get(scope.id) or scope.id
        target = scope.type is ScopeType.PROJECT
        children = "".join(
            f"<li>{_node(s, names.get(s.id, s.id), False)}{_rules(at, s, report)}</li>"
            for s in beneath.get(scope, ())
        )
        if index + 1 < len(way):
            children = branch(index + 1) + children
        inner = f"<ul>{children}</ul>" if children else ""
        return f"<li>{_node(scope, name, target)}{_rules(at, scope, report)}{inner}</li>"

    yield f'<ul class="tree">{branch(0)}</ul>'


def _node(scope: Scope, name: str, target: bool) -> str:
    style = "node target" if target else "node"
    label = "" if scope.type is ScopeType.TENANT else f" {escape(name)}"
    return f'<span class="{style}">{scope.type.label}{label}</span>'


def _rules(at: dict[Scope, list[Rule]], scope: Scope, report: Report) -> str:
    wide, elsewhere = report.evaluation.too_wide, report.evaluation.elsewhere
    parts = []
    for rule in at.get(scope, ()):
        style = "much" if rule in wide or rule in elsewhere else "good"
        number = f"rule {rule.id}: " if rule.id is not None else ""
        parts.append(f'<span class="rule {style}">{number}{escape(rule.role_name)}</span>')
    return "".join(parts)


def _needs(report: Report) -> Iterator[str]:
    for verdict in report.evaluation.verdicts:
        yield f'<div class="need">{_need(verdict)}</div>'


def _need(verdict: Verdict) -> str:
    need = verdict.need
    if verdict.granted:
        style, word = "good", "held"
    else:
        style, word = ("", "not known") if verdict.unknown else ("bad", "missing")
    why = escape(", ".join(need.operations) or ", ".join(need.features))
    head = (
        f'<header><span class="mark {style}">{word}</span><code>{escape(str(need.permission))}'
        f'</code><span class="soft">{why} · {need.certainty}</span></header>'
    )
    chains = "".join(_chain(grant) for grant in verdict.grants)
    if not verdict.granted and verdict.elsewhere:
        scopes = ", ".join(sorted({str(g.scope) for g in verdict.elsewhere}))
        chains = f'<p class="soft">held only at {escape(scopes)}</p>'
    return head + chains


def _chain(grant: Grant) -> str:
    links = []
    if grant.rule is None:
        links.append(("told by", "the control plane"))
    else:
        number = f"{grant.rule.id}, " if grant.rule.id is not None else ""
        links.append(("rule", f"{number}{grant.rule.subject_id}"))
        links.append(("role", grant.rule.role_name))
    if grant.permission_sets:
        links.append(("permission set", " or ".join(grant.permission_sets)))
    links.append(("permission", str(grant.permission)))
    links.append((grant.scope.type.label.lower(), grant.scope.name or grant.scope.id))
    chips = "<b>→</b>".join(
        f"<span><small>{escape(kind)}</small>{escape(text)}</span>" for kind, text in links
    )
    return f'<p class="chain">{chips}</p>'


def _foot(report: Report) -> str:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f'<footer class="soft"><p>Made by runai-perms on {now}. documented: a public document says'
        " that the operation needs the right; observed: seen on a control plane; inferred: read"
        " from the names, because no public document says it.</p></footer>"
    )
