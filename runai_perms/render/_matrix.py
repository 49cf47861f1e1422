"""The two tables of the page: each need against each grant, and all rights by resource type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from html import escape

from runai_perms._catalogue import load_catalogue
from runai_perms._check import Report
from runai_perms._evaluate import Grant, Verdict
from runai_perms._model import ACTIONS, Permission, Rule, ScopeType

#: A narrow window has room for so many; the chains below the table name all the others.
MOST_GRANTS = 8

_CELLS = {
    "held": ("good", "✓", "needed and held"),
    "missing": ("bad", "✗", "needed and missing"),
    "excess": ("much", "+", "held, not needed"),
    "unknown": ("unknown", "?", "needed, not known"),
    "none": ("", "", "neither"),
}
_GRANT_CELLS = {
    "grants": ("good", "✓", "grants it here"),
    "elsewhere": ("much", "○", "grants it, but not here"),
    "none": ("", "", "does not grant it"),
}


def needs_by_grants(report: Report) -> Iterator[str]:
    """A row for each need, a column for each rule that grants something."""
    evaluation = report.evaluation
    columns = _columns(report)
    shown, more = columns[:MOST_GRANTS], columns[MOST_GRANTS:]
    heads = '<th scope="col" class="grant"><span>in all</span></th>'
    heads += "".join(_grant_head(rule, dict(report.reading.path.names)) for rule in shown)
    if more:
        heads += f'<th scope="col" class="grant"><span>{len(more)} more rules</span></th>'
    yield f'<table class="grants"><thead><tr><td></td>{heads}</tr></thead><tbody>'
    for verdict in evaluation.verdicts:
        state = "held" if verdict.granted else "unknown" if verdict.unknown else "missing"
        cells = _cell("state", *_CELLS[state])
        cells += "".join(_grant_cell(report, verdict, [rule]) for rule in shown)
        if more:
            cells += _grant_cell(report, verdict, more)
        yield _row(str(verdict.need.permission), ", ".join(verdict.need.features), cells)
    if evaluation.excess:
        yield _row(
            "held, not needed", "", _excess_cells(evaluation.excess, shown, more), kind="sum"
        )
    yield "</tbody></table>"
    yield _legend([*_GRANT_CELLS.values(), _CELLS["missing"], _CELLS["unknown"]])


def rights_by_action(report: Report) -> Iterator[str]:
    """All rights that are needed or held: a row for each resource type, a column an action."""
    states = _states(report)
    needed = {v.need.permission.resource_type for v in report.evaluation.verdicts}
    types = sorted({p.resource_type for p in states}, key=lambda t: (t not in needed, t))
    titles = {t.name: t.title for t in load_catalogue().resource_types.values()}
    actions = [*ACTIONS, *sorted({p.action for p in states} - set(ACTIONS))]
    heads = "".join(f'<th scope="col">{escape(a)}</th>' for a in actions)
    yield f"<table><thead><tr><td></td>{heads}</tr></thead><tbody>"
    for name in types:
        cells = "".join(
            _cell("cell", *_CELLS[states.get(Permission(name, a), "none")]) for a in actions
        )
        yield _row(titles.get(name, name), name, cells)
    yield "</tbody></table>"
    yield _legend(_CELLS.values())


def _columns(report: Report) -> list[Rule | None]:
    """The rules that grant anything, the most useful first; None stands for grants whose rule the
    control plane did not tell."""
    useful = Counter(g.rule for v in report.evaluation.verdicts for g in v.grants)
    held = Counter(grant.rule for grant in report.reading.held.grants)

    def rank(rule: Rule | None) -> tuple[int, int, str]:
        return (-useful[rule], -held[rule], str(rule))

    return sorted({*useful, *held}, key=rank)


def _grant_head(rule: Rule | None, names: Mapping[str, str]) -> str:
    if rule is None:
        return '<th scope="col" class="grant"><span>told by the control plane</span></th>'
    scope = rule.scope
    number = f"rule {rule.id}: " if rule.id is not None else ""
    place = scope.type.label
    if scope.type is not ScopeType.TENANT:
        place = f"{place} {scope.name or names.get(scope.id, scope.id)}"
    words = f"{escape(number + rule.role_name)}<br>{escape(place)}"
    return f'<th scope="col" class="grant"><span>{words}</span></th>'


def _grant_cell(report: Report, verdict: Verdict, rules: Iterable[Rule | None]) -> str:
    rules = set(rules)
    if any(grant.rule in rules for grant in verdict.grants):
        return _cell("by", *_GRANT_CELLS["grants"])
    accepted = verdict.need.accepted
    held = report.reading.held.grants
    if any(grant.rule in rules and grant.permission in accepted for grant in held):
        return _cell("by", *_GRANT_CELLS["elsewhere"])
    return _cell("by", *_GRANT_CELLS["none"])


def _excess_cells(
    excess: Mapping[Permission, tuple[Grant, ...]],
    shown: Iterable[Rule | None],
    more: Iterable[Rule | None],
) -> str:
    of_rule = Counter(rule for grants in excess.values() for rule in {g.rule for g in grants})
    numbers = [len(excess), *(of_rule[rule] for rule in shown)]
    rest = set(more)
    if rest:
        numbers.append(sum(any(g.rule in rest for g in grants) for grants in excess.values()))
    return "".join(
        _cell("by", "much" if number else "", f"+{number}" if number else "", "held, not needed")
        for number in numbers
    )


def _states(report: Report) -> dict[Permission, str]:
    states = dict.fromkeys(report.evaluation.excess, "excess")
    for verdict in report.evaluation.verdicts:
        for grant in verdict.grants:
            states[grant.permission] = "held"
        if not verdict.granted:
            states[verdict.need.permission] = "unknown" if verdict.unknown else "missing"
    return states


def _row(title: str, code: str, cells: str, kind: str = "") -> str:
    attribute = f' class="{kind}"' if kind else ""
    detail = f"<code>{escape(code)}</code>" if code else ""
    return f'<tr{attribute}><th scope="row">{escape(title)}{detail}</th>{cells}</tr>'


def _cell(kind: str, style: str, sign: str, words: str) -> str:
    return f'<td class="{f"{kind} {style}".strip()}" title="{words}">{sign}</td>'


def _legend(cells: Iterable[tuple[str, str, str]]) -> str:
    entries = "".join(
        f'<span><i class="{style}">{sign}</i>{words}</span>' for style, sign, words in cells
    )
    return f'<div class="legend">{entries}</div>'
