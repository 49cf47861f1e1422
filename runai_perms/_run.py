"""What the commands do with the control plane: open a client, ask, close it."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runai_perms._catalogue import Certainty, Need, load_catalogue
from runai_perms._check import Report, check, with_probes
from runai_perms._errors import ExitCode, UsageError
from runai_perms._explain import Answer, answer
from runai_perms._model import Permission
from runai_perms._reading import (
    read_own,
    read_permission_sets,
    read_roles,
    read_subject,
)
from runai_perms._role import Applied, Fit, RolePlan, apply, as_json, as_pulumi, fits, plan_role
from runai_perms._target import Target, find_target, require_project
from runai_perms._trace import Trace, read_trace, run_traced

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
"""Pauses of ``--wait``: a rule is usually ready within seconds, so the first looks come soon."""


def run_check(
    target: Target,
    *,
    probing: bool,
    wait: float | None,
    exact: bool,
    talk: Callable[[str], None],
) -> Report:
    """Check, again and again while ``wait`` seconds last and rights are still on their way."""
    if probing and target.subject:
        raise UsageError("--probe asks with the subject's own credentials: leave --subject out")
    deadline = time.monotonic() + (wait or 0)
    pause = FIRST_PAUSE_SECONDS
    with target.access.client() as client:
        while True:
            report = check(
                client,
                target.profile,
                target.features,
                target.project,
                subject=target.subject,
                cluster=target.cluster,
                exact=exact,
            )
            if probing:
                from runai_perms._probe import probe

                needs = [v.need for v in report.evaluation.verdicts]
                report = with_probes(report, probe(client, needs, report.reading.path))
            left = deadline - time.monotonic()
            if wait is None or left <= 0 or not _on_its_way(report):
                return report
            talk(f"waiting for access rules to take effect ({left:.0f} s left)")
            time.sleep(min(pause, left))
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


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


@dataclass(frozen=True, slots=True)
class RoleResult:
    """The answer of ``role``: a plan where custom roles exist, and existing roles that fit."""

    plan: RolePlan | None
    fits: tuple[Fit, ...]
    profile: str
    features: tuple[str, ...]
    applied: Applied | None = None

    @property
    def exit_code(self) -> ExitCode:
        """1 when no role can give everything that is needed."""
        if self.plan is None:
            return ExitCode.OK if self.fits else ExitCode.MISSING
        return ExitCode.MISSING if self.plan.cover.uncovered else ExitCode.OK

    @property
    def talk(self) -> list[str]:
        """What to say beside the data."""
        lines = []
        if self.plan and self.plan.cover.excess:
            lines.append(f"unavoidable excess: {', '.join(map(str, self.plan.cover.excess))}")
        if self.plan and self.plan.cover.uncovered:
            lines.append(f"no set gives: {', '.join(map(str, self.plan.cover.uncovered))}")
        if self.plan and not self.plan.cover.exact:
            lines.append("the search was cut short: a smaller role may exist")
        if self.applied:
            lines.append(f"role {self.applied.role_id} {self.applied.outcome}")
            for word, permissions in (("gained", self.applied.gained), ("lost", self.applied.lost)):
                if permissions:
                    lines.append(f"{word}: {', '.join(map(str, permissions))}")
        return lines

    def render(self, form: str) -> str:
        """text, json (the API's request body) or pulumi (code)."""
        if form != "text":
            if self.plan is None:
                raise UsageError("this control plane has no custom roles: use --format text")
            if form == "pulumi":
                return as_pulumi(self.plan, self.profile, self.features)
            return as_json(self.plan)
        lines = []
        if self.plan:
            lines.append(f"role {self.plan.name}: {len(self.plan.needs)} rights needed")
            lines += [
                f"  {s.name}: {', '.join(map(str, sorted(s.permissions)))}"
                for s in self.plan.cover.permission_sets
            ]
        if self.fits:
            lines.append("existing roles that are enough, the narrowest first:")
            lines += [
                f"  {f.role.name}: {len(f.excess)} more than needed"
                + (" (deprecated)" if f.role.deprecated else "")
                for f in self.fits[:5]
            ]
        elif self.plan is None:
            lines.append("no existing role is enough")
        return "\n".join(lines)


def run_role(target: Target, name: str, from_trace: str | None, apply_it: bool) -> RoleResult:
    """Plan a role, and make it when asked to."""
    trace = read_trace(from_trace) if from_trace else None
    with target.access.client() as client:
        needs = trace.needs if trace else target.needs(client.version.value)
        roles = read_roles(client)
        plan = applied = None
        if client.version.has_custom_roles:
            source = "a recorded run" if trace else _wish(target.profile.name, target.features)
            plan = plan_role(name, needs, read_permission_sets(client), f"for {source}")
        if apply_it:
            if plan is None:
                read_permission_sets(client)
            else:
                applied = apply(client, plan)
    enough = tuple(f for f in fits(needs, roles) if f.role.name != name)
    return RoleResult(plan, enough, target.profile.name, target.features, applied)


def run_trace(command: Sequence[str], output: str | None, form: str) -> tuple[int, str]:
    """Run a command and say what it used."""
    if output:
        status = run_traced(command, output)
        return status, _render_trace(_read_if_any(output), form)
    with tempfile.TemporaryDirectory(prefix="runai-perms-") as folder:
        log = Path(folder) / "requests.jsonl"
        status = run_traced(command, log)
        return status, _render_trace(_read_if_any(log), form)


def write_file(path: str, text: str) -> None:
    """Write a report; a path that cannot be written is a usage error."""
    try:
        Path(path).write_text(text + "\n", "utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def _on_its_way(report: Report) -> bool:
    """Whether waiting may change the answer."""
    pending = any(r.phase not in (None, "Ready") for r in report.reading.held.rules)
    refused = any(p.allowed is False for p in report.probes)
    return pending or refused or report.exit_code() is ExitCode.MISSING


def _wish(profile: str, features: Sequence[str]) -> str:
    return f"{profile} with {', '.join(features)}" if features else profile


def _read_if_any(path: str | Path) -> Trace:
    if not Path(path).exists():
        return Trace(0, (), {})
    return read_trace(path, load_catalogue())


def _render_trace(trace: Trace, form: str) -> str:
    if form == "json":
        data = {
            "schema_version": 1,
            "requests": trace.requests,
            "permissions": [
                {
                    "permission": str(u.permission),
                    "alternatives": [str(p) for p in u.alternatives],
                    "reach": u.reach.value,
                    "certainty": u.certainty.value,
                    "operations": u.operations,
                    "refused": u.refused,
                }
                for u in trace.uses
            ],
            "unknown_requests": dict(trace.unknown),
        }
        return json.dumps(data, indent=2)
    lines = [f"{trace.requests} requests, {len(trace.uses)} permissions"]
    width = max((len(str(u.permission)) for u in trace.uses), default=0)
    for use in trace.uses:
        operations = ", ".join(f"{name} x{count}" for name, count in use.operations.items())
        refused = f"  refused x{use.refused}" if use.refused else ""
        lines.append(f"  {use.permission!s:<{width}}  {operations}{refused}")
    lines += [f"  right not known: {route} x{n}" for route, n in trace.unknown.items()]
    return "\n".join(lines)
