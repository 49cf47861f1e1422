"""Synthesis: the smallest custom role for some needs, and the narrowest predefined ones."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runai_perms._catalogue import Need
from runai_perms._cover import Cover, smallest_cover
from runai_perms._errors import ExitCode, UsageError
from runai_perms._model import Permission, PermissionSet, Role, permissions_of
from runai_perms._reading import read_permission_sets, read_roles
from runai_perms._target import Target
from runai_perms._trace import read_trace

if TYPE_CHECKING:
    from runai_api import RunaiClient

PULUMI_PROFILES = ("step-operator", "orchestrator")
"""Profiles that the Pulumi resource knows by name."""

MARKER = "managed by runai-perms"
"""Ends the description of roles that ``role --apply`` made, so that it changes no others."""


@dataclass(frozen=True, slots=True)
class RolePlan:
    """A custom role to be: name, description and the cover that it is made of."""

    name: str
    description: str
    needs: tuple[Need, ...]
    cover: Cover[PermissionSet]

    @property
    def body(self) -> dict[str, Any]:
        """The request body of ``POST /api/v2/authorization/roles``."""
        return {
            "name": self.name,
            "description": self.description,
            "permissionSets": [{"id": s.id, "name": s.name} for s in self.cover.permission_sets],
        }


@dataclass(frozen=True, slots=True)
class Fit:
    """A role that exists and is enough, and what it holds beyond the needs."""

    role: Role
    excess: tuple[Permission, ...]


@dataclass(frozen=True, slots=True)
class Applied:
    """What ``apply`` did: created, updated or left alone."""

    role_id: int
    outcome: str
    gained: tuple[Permission, ...]
    lost: tuple[Permission, ...]


def plan_role(
    name: str,
    needs: Iterable[Need],
    permission_sets: Iterable[PermissionSet],
    description: str = "",
) -> RolePlan:
    """Plan the smallest role for ``needs``."""
    needs = tuple(needs)
    if not needs:
        raise UsageError("nothing is needed, so there is no role to make")
    text = f"{description or f'{len(needs)} rights, no more than needed'}; {MARKER}"
    return RolePlan(name, text, needs, smallest_cover(needs, permission_sets))


def fits(needs: Sequence[Need], roles: Iterable[Role]) -> tuple[Fit, ...]:
    """Existing roles that meet all needs, the least excess first."""
    found = []
    for role in roles:
        if not role.enabled:
            continue
        if any(role.permissions.isdisjoint(n.accepted) for n in needs):
            continue
        used = {next(p for p in n.accepted if p in role.permissions) for n in needs}
        found.append(Fit(role, tuple(sorted(role.permissions - used))))
    return tuple(sorted(found, key=lambda f: (f.role.deprecated, len(f.excess), f.role.name)))


def as_json(plan: RolePlan) -> str:
    """The plan as the API's request body."""
    return json.dumps(plan.body, indent=2)


def as_pulumi(plan: RolePlan, profile: str, features: Sequence[str]) -> str:
    """The plan as Pulumi code with this project's ``CustomRole``, which finds the same cover."""
    if profile not in PULUMI_PROFILES:
        raise UsageError(
            f"CustomRole knows the profiles {' and '.join(PULUMI_PROFILES)}, not {profile!r}:"
            " use --format json"
        )
    names = ", ".join(s.name for s in plan.cover.permission_sets)
    return "\n".join(
        [
            "from provision.resources import CustomRole",
            "",
            f"# permission sets: {names}",
            "role = CustomRole(",
            f"    {json.dumps(plan.name)},",
            f"    name={json.dumps(plan.name)},",
            f"    profiles={json.dumps([profile])},",
            f"    features={json.dumps(list(features))},",
            ")",
        ]
    )


def apply(client: RunaiClient, plan: RolePlan) -> Applied:
    """Make the role, or bring the one that an earlier ``apply`` made up to date.

    A role of that name which is predefined or somebody else's is refused. Safe to repeat.
    """
    if plan.cover.uncovered:
        names = ", ".join(map(str, plan.cover.uncovered))
        raise UsageError(f"no permission set gives {names}: the role would not be enough")
    wanted = plan.cover.permissions
    ids = [s.id for s in plan.cover.permission_sets]
    existing = client.roles.find(plan.name)
    if existing is None:
        made = client.roles.create(plan.name, plan.description, ids)
        return Applied(made.id, "created", tuple(sorted(wanted)), ())
    if not existing.custom or MARKER not in (existing.description or ""):
        raise UsageError(
            f"role {plan.name!r} exists and was not made by runai-perms: choose another --name"
        )
    held = permissions_of(existing.permissions)
    if {s.id for s in existing.permission_sets} == set(ids) and held == wanted:
        return Applied(existing.id, "unchanged", (), ())
    client.roles.update(
        existing.id, name=plan.name, description=plan.description, permission_set_ids=ids
    )
    gained, lost = tuple(sorted(wanted - held)), tuple(sorted(held - wanted))
    return Applied(existing.id, "updated", gained, lost)


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
        if client.version.has_custom_roles or apply_it:
            source = "a recorded run" if trace else _wish(target.profile.name, target.features)
            plan = plan_role(name, needs, read_permission_sets(client), f"for {source}")
        if apply_it and plan is not None:
            applied = apply(client, plan)
    enough = tuple(f for f in fits(needs, roles) if f.role.name != name)
    profile = "a recorded run" if trace else target.profile.name
    return RoleResult(plan, enough, profile, target.features, applied)


def _wish(profile: str, features: Sequence[str]) -> str:
    return f"{profile} with {', '.join(features)}" if features else profile
