"""The check: needs against holdings, as a report with findings and an exit code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from runai_perms._catalogue import Catalogue, Need, Profile, load_catalogue
from runai_perms._errors import ExitCode
from runai_perms._evaluate import Evaluation, Verdict, evaluate
from runai_perms._model import Permission, Reach
from runai_perms._reading import MAX_REQUESTS, Reading, read_own, read_subject

if TYPE_CHECKING:
    from runai_api import RunaiClient

FAIL_ON = ("missing", "excess", "any")


class FindingKind(StrEnum):
    """What a finding is about; also the rule id in SARIF."""

    MISSING = "missing-permission"
    UNKNOWN = "undecided-permission"
    HIDDEN = "hidden-information"
    DISABLED = "disabled-account"
    NO_RULE = "no-access-rule"
    REFUSED = "refused-by-probe"
    EXCESS = "excess-permission"
    TOO_WIDE = "scope-too-wide"
    ELSEWHERE = "rule-elsewhere"
    DEPRECATED = "deprecated-role"
    INEFFECTIVE = "ineffective-rule"
    PROPAGATING = "rule-not-ready"


LEVELS = {
    FindingKind.MISSING: "error",
    FindingKind.UNKNOWN: "error",
    FindingKind.HIDDEN: "error",
    FindingKind.DISABLED: "error",
    FindingKind.NO_RULE: "error",
    FindingKind.REFUSED: "error",
    FindingKind.EXCESS: "warning",
    FindingKind.TOO_WIDE: "warning",
    FindingKind.ELSEWHERE: "warning",
    FindingKind.DEPRECATED: "warning",
    FindingKind.INEFFECTIVE: "note",
    FindingKind.PROPAGATING: "note",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing worth saying: what, and what to do about it."""

    kind: FindingKind
    subject: str
    message: str
    advice: str = ""

    @property
    def level(self) -> str:
        """error, warning or note."""
        return LEVELS[self.kind]


@dataclass(frozen=True, slots=True)
class Probe:
    """What the control plane itself answered about one need."""

    permission: Permission
    how: str
    allowed: bool | None


@dataclass(frozen=True, slots=True)
class Report:
    """The whole answer of a check."""

    control_plane: str
    profile: str
    features: tuple[str, ...]
    project: str
    reading: Reading
    evaluation: Evaluation
    probes: tuple[Probe, ...] = ()

    @property
    def place(self) -> str:
        """Where the rights are needed, in words."""
        return f"project {self.project}" if self.project else "the whole account"

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything worth saying, errors first."""
        found = list(_findings(self))
        order = ("error", "warning", "note")
        return tuple(sorted(found, key=lambda f: order.index(f.level)))

    def exit_code(self, fail_on: str = "missing") -> ExitCode:
        """The exit code: ``fail_on`` says whether missing rights, excess, or both count.

        An answer from which something stayed hidden is never OK.
        """
        evaluation = self.evaluation
        refused = any(p.allowed is False for p in self.probes)
        lacking = bool(evaluation.missing) or refused or self.reading.enabled is False
        if evaluation.gaps:
            return ExitCode.INCOMPLETE
        if fail_on != "excess" and lacking:
            return ExitCode.MISSING
        if evaluation.partial:
            return ExitCode.INCOMPLETE
        if fail_on != "missing" and evaluation.has_excess:
            return ExitCode.EXCESS
        return ExitCode.OK


def check(
    client: RunaiClient,
    profile: str | Profile,
    features: Iterable[str] = (),
    project: str | None = None,
    *,
    subject: str | None = None,
    cluster: str | None = None,
    exact: bool = False,
    catalogue: Catalogue | None = None,
) -> Report:
    """Compare what ``profile`` needs with what ``subject`` (or the client itself) holds.

    Costs at most :data:`MAX_REQUESTS` requests; ``exact`` lifts that limit for the rare case in
    which a caller with several rules cannot read roles.
    """
    catalogue = catalogue or load_catalogue()
    chosen = catalogue.profile(profile)
    features = tuple(dict.fromkeys(features))
    catalogue.needs(chosen, features)
    limit = None if exact else MAX_REQUESTS
    needs = catalogue.needs(chosen, features, client.version.value)
    if subject is None:
        reading = read_own(client, project, needs, cluster=cluster, max_requests=limit)
    else:
        reading = read_subject(client, subject, project, cluster=cluster, max_requests=limit)
    return judge(client.base_url, chosen, features, needs, reading, catalogue, project or "")


def judge(
    control_plane: str,
    profile: Profile,
    features: tuple[str, ...],
    needs: Iterable[Need],
    reading: Reading,
    catalogue: Catalogue,
    project: str,
) -> Report:
    """Make the report of what was read; pure."""
    told = {g.role.name for g in reading.held.grants if g.role and g.role.deprecated}
    deprecated = dict.fromkeys(told, "a narrower role: see runai-perms role") | {
        name: entry["instead"]
        for name, entry in catalogue.deprecated_roles.items()
        if reading.version >= entry.get("since", "")
    }
    evaluation = evaluate(needs, reading.held, reading.path, deprecated)
    return Report(control_plane, profile.name, features, project, reading, evaluation)


def with_probes(report: Report, probes: Iterable[Probe]) -> Report:
    """The same report with what the control plane answered to real calls."""
    return replace(report, probes=tuple(probes))


def _findings(report: Report) -> Iterator[Finding]:
    evaluation, project = report.evaluation, report.place
    if report.reading.enabled is False:
        yield Finding(
            FindingKind.DISABLED,
            report.reading.subject,
            f"{report.reading.subject} is disabled and gets no token",
            "enable the account",
        )
    if not report.reading.held.rules and not evaluation.gaps:
        yield Finding(
            FindingKind.NO_RULE,
            report.reading.subject,
            f"there is no access rule for {report.reading.subject}",
            f"make one: a role (see runai-perms role) at {project}",
        )
    for verdict in evaluation.verdicts:
        if verdict.missing:
            yield _missing(verdict, project)
        elif verdict.unknown and not verdict.granted:
            yield Finding(
                FindingKind.UNKNOWN,
                str(verdict.need.permission),
                f"{verdict.need.permission} is held somewhere, but it could not be read"
                f" whether in {project}",
                "run again with --exact, or let an administrator check with --subject",
            )
    for gap in evaluation.gaps:
        yield Finding(
            FindingKind.HIDDEN, "reading", gap, "use credentials that may read access rules and"
            " roles in the whole account"
        )  # fmt: skip
    for probe in report.probes:
        if probe.allowed is False:
            yield Finding(
                FindingKind.REFUSED,
                str(probe.permission),
                f"the control plane refuses {probe.permission} ({probe.how})",
                "the rule may still be propagating: try --wait",
            )
    yield from _too_much(evaluation, project)
    for name, instead in evaluation.deprecated.items():
        yield Finding(
            FindingKind.DEPRECATED, name, f"role {name!r} is deprecated", f"use {instead}"
        )
    for ineffective in evaluation.ineffective:
        yield Finding(
            FindingKind.INEFFECTIVE,
            str(ineffective.rule),
            f"rule {ineffective.rule} gives nothing: {ineffective.reason}",
        )
    for rule in report.reading.held.rules:
        if rule.phase not in (None, "Ready"):
            yield Finding(
                FindingKind.PROPAGATING,
                str(rule),
                f"rule {rule} is {rule.phase} in its clusters",
                "wait for Ready (--wait)",
            )


def _missing(verdict: Verdict, project: str) -> Finding:
    need = verdict.need
    tenant_wide = need.reach is Reach.TENANT
    place = "the whole account" if tenant_wide else project
    why = ", ".join(need.operations) or ", ".join(need.features)
    message = f"{need.permission} is missing in {place}; needed for {why} [{need.certainty}]"
    if verdict.elsewhere:
        scopes = sorted({str(g.scope) for g in verdict.elsewhere})
        message += f"; held only at {', '.join(scopes)}"
    advice = f"grant a role with {need.permission} at {place}"
    return Finding(FindingKind.MISSING, str(need.permission), message, advice)


def _too_much(evaluation: Evaluation, project: str) -> Iterator[Finding]:
    for permission, grants in evaluation.excess.items():
        yield Finding(
            FindingKind.EXCESS,
            str(permission),
            f"{permission} is held but not needed ({grants[0].chain})",
            "take a narrower role: see runai-perms role",
        )
    for rule in evaluation.too_wide:
        yield Finding(
            FindingKind.TOO_WIDE,
            str(rule),
            f"rule {rule} reaches beyond {project}: its scope is a whole {rule.scope.type.label}",
            f"replace it by a rule at {project}",
        )
    for rule in evaluation.elsewhere:
        yield Finding(
            FindingKind.ELSEWHERE,
            str(rule),
            f"rule {rule} does not reach {project}",
            "delete it if nothing else uses this account",
        )
