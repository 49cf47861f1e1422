"""Explanations: one permission, one question, one list of needs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import click

from runai_perms._catalogue import Catalogue, Certainty, Need, Operation, Profile, load_catalogue
from runai_perms._errors import ExitCode
from runai_perms._evaluate import Grant
from runai_perms._model import Permission
from runai_perms._reading import Reading, read_own, read_subject
from runai_perms._target import find_target, require_project
from runai_perms.render._json import grant_data


@dataclass(frozen=True, slots=True)
class Answer:
    """Yes, no, or not known, with what decides it.

    ``relevant`` are the subject's rules with the reason why each does not grant the right.
    """

    permission: Permission
    project: str
    reading: Reading
    grants: tuple[Grant, ...]
    elsewhere: tuple[Grant, ...]
    relevant: tuple[tuple[str, str], ...]

    @property
    def known(self) -> bool:
        """Whether a no is sure."""
        held, path = self.reading.held, self.reading.path
        hidden = held.gaps or self.permission in held.unknown
        return bool(self.grants) or not (
            hidden or any(path.may_cover(g.scope) for g in self.elsewhere)
        )

    @property
    def exit_code(self) -> ExitCode:
        """0 yes, 1 no, 4 not known."""
        if not self.known:
            return ExitCode.INCOMPLETE
        usable = self.grants and self.reading.enabled is not False
        return ExitCode.OK if usable else ExitCode.MISSING

    def lines(self) -> Iterator[str]:
        """The answer for people."""
        word = {0: "yes", 1: "no", 4: "not known"}[int(self.exit_code)]
        colour = {0: "green", 1: "red", 4: "yellow"}[int(self.exit_code)]
        where = f"project {self.project}"
        yield click.style(word, fg=colour, bold=True) + (
            f": {self.reading.subject}, {self.permission} in {where}"
        )
        if self.reading.enabled is False:
            yield f"  {self.reading.subject} is disabled and gets no token"
        for grant in self.grants:
            yield f"  {grant.chain}"
        if not self.grants:
            for rule, reason in self.relevant:
                yield f"  rule {rule}: {reason}"
            if not self.relevant and self.known:
                yield "  there is no access rule for this account"
        for gap in self.reading.held.gaps:
            yield f"  hidden: {gap}"

    def data(self) -> dict[str, Any]:
        """The answer for programs."""
        return {
            "schema_version": 1,
            "permission": str(self.permission),
            "subject": self.reading.subject,
            "project": self.project,
            "allowed": None if not self.known else self.exit_code is ExitCode.OK,
            "granted_by": [grant_data(g) for g in self.grants],
            "held_elsewhere": [grant_data(g) for g in self.elsewhere],
            "rules": [{"rule": rule, "reason": reason} for rule, reason in self.relevant],
            "gaps": list(self.reading.held.gaps),
        }

    def render(self, form: str) -> str:
        """Text or JSON."""
        return json.dumps(self.data(), indent=2) if form == "json" else "\n".join(self.lines())


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a permission is for, and the answer about it if one was asked for."""

    permission: Permission
    title: str
    operations: tuple[Operation, ...]
    profiles: tuple[str, ...]
    answer: Answer | None
    sources: dict[str, str]

    def render(self, form: str) -> str:
        """Text or JSON."""
        if form == "json":
            return json.dumps(self._data(), indent=2)
        return "\n".join(self._lines())

    def _data(self) -> dict[str, Any]:
        return {
            "schema_version": 1,
            "permission": str(self.permission),
            "title": self.title,
            "operations": [
                {
                    "name": o.name,
                    "summary": o.summary,
                    "routes": list(o.routes),
                    "certainty": o.certainty.value,
                    "source": self.sources[o.source],
                }
                for o in self.operations
            ],
            "needed_by": list(self.profiles),
            "answer": self.answer.data() if self.answer else None,
        }

    def _lines(self) -> Iterator[str]:
        yield click.style(str(self.permission), bold=True) + f" ({self.title})"
        for operation in self.operations:
            yield f"  {operation.name}: {operation.summary} [{operation.certainty}]"
            yield f"      {', '.join(operation.routes)}"
            yield f"      source: {self.sources[operation.source]}"
        if not self.operations:
            yield "  no operation of these tools needs it"
        if self.profiles:
            yield f"  needed by: {'; '.join(self.profiles)}"
        if self.answer:
            yield ""
            yield from self.answer.lines()


def answer(permission: Permission, project: str, reading: Reading) -> Answer:
    """Decide one permission at the project that ``reading`` is about."""
    held, path = reading.held, reading.path
    grants = held.at(permission, path)
    elsewhere = tuple(
        g for g in held.grants if g.permission == permission and not path.covers(g.scope)
    )
    silent = {i.rule: i.reason for i in held.ineffective}
    giving = {g.rule for g in held.grants if g.permission == permission}
    reasons = []
    for rule in held.rules:
        if rule in silent:
            reasons.append((str(rule), silent[rule]))
        elif not path.covers(rule.scope):
            has = " has the right but" if rule in giving else ""
            reasons.append((str(rule), f"its scope{has} does not reach project {project}"))
        elif rule not in giving:
            reasons.append((str(rule), f"role {rule.role_name} does not hold {permission}"))
    return Answer(permission, project, reading, grants, elsewhere, tuple(reasons))


def run_question(permission: Permission, given: Mapping[str, Any]) -> Answer:
    """Answer one question, with as many requests as an exact answer needs."""
    target = find_target(**given)
    require_project(target)
    project = target.project or ""
    with target.access.client() as client:
        if target.subject:
            reading = read_subject(
                client, target.subject, project, cluster=target.cluster, max_requests=None
            )
        else:
            need = Need(permission, (), (), Certainty.DOCUMENTED)
            reading = read_own(client, project, [need], cluster=target.cluster, max_requests=None)
    return answer(permission, project, reading)


def explain(
    permission: Permission, found: Answer | None = None, catalogue: Catalogue | None = None
) -> Explanation:
    """What the catalogue knows of a permission."""
    catalogue = catalogue or load_catalogue()
    profiles = []
    for profile in catalogue.profiles.values():
        if any(permission in n.accepted for n in catalogue.needs(profile)):
            profiles.append(profile.name)
            continue
        profiles += [
            f"{profile.name} with {feature}"
            for feature in profile.optional
            if any(permission in n.accepted for n in catalogue.needs(profile, [feature]))
        ]
    title = catalogue.resource_types[permission.resource_type].title
    return Explanation(
        permission,
        title,
        catalogue.operations_for(permission),
        tuple(profiles),
        found,
        catalogue.sources,
    )


def list_needs(profile: Profile, needs: Iterable[Need], version: str, form: str) -> str:
    """Needs as text, JSON or a Markdown table."""
    needs = tuple(needs)
    if form == "markdown":
        rows = [
            f"| `{n.permission}` | {n.reach} | {', '.join(n.operations)} |"
            f" {', '.join(n.features)} | {n.certainty} |"
            for n in needs
        ]
        head = "| permission | held at | for | feature | certainty |"
        return "\n".join([head, "|---|---|---|---|---|", *rows])
    if form == "json":
        entries = [
            {
                "permission": str(n.permission),
                "alternatives": [str(p) for p in n.alternatives],
                "reach": n.reach.value,
                "certainty": n.certainty.value,
                "features": list(n.features),
                "operations": list(n.operations),
            }
            for n in needs
        ]
        data = {
            "schema_version": 1,
            "profile": profile.name,
            "version": version,
            "optional_features": list(profile.optional),
            "needs": entries,
        }
        return json.dumps(data, indent=2)
    width = max((len(str(n.permission)) for n in needs), default=0)
    lines = [click.style(f"{profile.name} on Run:ai {version}", bold=True)]
    lines += [
        f"  {n.permission!s:<{width}}  {n.reach.value:<8} {n.certainty.value:<11}"
        f" {', '.join(n.operations) or ', '.join(n.features)}"
        for n in needs
    ]
    if profile.optional:
        lines.append(f"optional features: {', '.join(profile.optional)}")
    return "\n".join(lines)
