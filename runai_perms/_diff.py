"""Differences: two roles, subjects or profiles, permission by permission."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runai_perms._catalogue import DEFAULT_VERSION, load_catalogue
from runai_perms._errors import ExitCode, IncompleteAnswer, UnknownName, UsageError
from runai_perms._model import Permission
from runai_perms._reading import read_roles, read_subject
from runai_perms._target import find_access, find_profile

if TYPE_CHECKING:
    from runai_api import RunaiClient

KINDS = ("role", "subject", "profile")


@dataclass(frozen=True, slots=True)
class Difference:
    """What only the left side holds, only the right side, and both."""

    left: str
    right: str
    only_left: tuple[Permission, ...]
    only_right: tuple[Permission, ...]
    both: tuple[Permission, ...]

    @property
    def exit_code(self) -> ExitCode:
        """0 for the same, 1 for a difference."""
        return ExitCode.MISSING if self.only_left or self.only_right else ExitCode.OK

    def render(self, form: str) -> str:
        """Text or JSON."""
        if form == "json":
            data = {
                "schema_version": 1,
                "left": self.left,
                "right": self.right,
                "only_left": [str(p) for p in self.only_left],
                "only_right": [str(p) for p in self.only_right],
                "both": [str(p) for p in self.both],
            }
            return json.dumps(data, indent=2)
        lines = [f"--- {self.left}", f"+++ {self.right}"]
        lines += [f"-{p}" for p in self.only_left]
        lines += [f"+{p}" for p in self.only_right]
        lines.append(f" {len(self.both)} in both")
        return "\n".join(lines)


def run_diff(left: str, right: str, given: Mapping[str, Any]) -> Difference:
    """Compare two sides; the control plane is asked only when one of them lives there."""
    sides = [_parse(text) for text in (left, right)]
    place = {key: given[key] for key in ("project", "cluster")}
    if all(kind == "profile" for kind, _ in sides):
        first, second = (_profile(name, DEFAULT_VERSION) for _, name in sides)
    else:
        access = {k: v for k, v in given.items() if k not in place}
        with find_access(**access).client() as client:
            first, second = (_permissions(client, kind, name, place) for kind, name in sides)
    return Difference(
        left,
        right,
        tuple(sorted(first - second)),
        tuple(sorted(second - first)),
        tuple(sorted(first & second)),
    )


def _parse(text: str) -> tuple[str, str]:
    kind, separator, name = text.partition(":")
    if not separator or kind not in KINDS or not name:
        raise UsageError(
            f"{text!r}: write role:NAME, subject:NAME or profile:NAME, for example"
            " profile:step-operator+node_pools"
        )
    return kind, name


def _permissions(
    client: RunaiClient, kind: str, name: str, place: Mapping[str, str | None]
) -> frozenset[Permission]:
    if kind == "profile":
        return _profile(name, client.version.value)
    if kind == "role":
        roles = read_roles(client)
        for role in roles:
            if role.name == name:
                return role.permissions
        raise UnknownName("role", name, [r.name for r in roles])
    reading = read_subject(
        client, name, place["project"], cluster=place["cluster"], max_requests=None
    )
    if reading.held.partial:
        raise IncompleteAnswer("; ".join(reading.held.gaps))
    grants = reading.held.grants
    if place["project"]:
        grants = tuple(g for g in grants if reading.path.covers(g.scope))
    return frozenset(g.permission for g in grants)


def _profile(name: str, version: str) -> frozenset[Permission]:
    profile, *features = name.split("+")
    needs = load_catalogue().needs(find_profile(profile), features, version)
    return frozenset(n.permission for n in needs)
