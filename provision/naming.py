"""Deterministic names and the marks by which objects are recognised as ours.

An object that this package makes must be recognisable after a crash between "made" and "saved".
Its default name therefore ends in a suffix derived from (organization, project, stack, logical
name): the same program finds its own object again, and two stacks never meet.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from provision._constants import NAME_LENGTH, SUFFIX_DIGITS

#: Names of service accounts and applications (documented: 2.24 API), 2 to 255 characters.
SERVICE_ACCOUNT_NAME = re.compile(r"[a-z][-_a-z0-9]{0,253}[a-z0-9]")
#: Names of credentials become part of a Kubernetes object name (inferred from the reply's example).
KUBERNETES_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,48}[a-z0-9])?")


@dataclass(frozen=True)
class Owner:
    """Which resource of which Pulumi stack an object belongs to."""

    organization: str
    project: str
    stack: str
    logical_name: str

    def __str__(self) -> str:
        return f"{self.organization}/{self.project}/{self.stack}/{self.logical_name}"

    @property
    def stack_path(self) -> str:
        """The part that all objects of one Pulumi stack share."""
        return f"{self.organization}/{self.project}/{self.stack}"


def suffix(owner: Owner, rotation: Mapping[str, str] | None = None) -> str:
    """Hexadecimal digits that depend on nothing but the owner and the rotation triggers."""
    parts = [owner.organization, owner.project, owner.stack, owner.logical_name]
    if rotation:
        parts.append(json.dumps(rotation, sort_keys=True))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:SUFFIX_DIGITS]


def default_name(owner: Owner, rotation: Mapping[str, str] | None = None) -> str:
    """A legal name for every kind of object: ``<slug of stack and logical name>-<suffix>``."""
    slug = slugify(f"{owner.logical_name}-{owner.stack}")
    tail = suffix(owner, rotation)
    return f"{slug[: NAME_LENGTH - len(tail) - 1].rstrip('-')}-{tail}"


def readable_name(owner: Owner) -> str:
    """``<logical name>-<stack>``, for objects whose labels tell whose they are."""
    return slugify(f"{owner.logical_name}-{owner.stack}")


def slugify(text: str) -> str:
    """Lower-case letters, digits and single hyphens, starting with a letter."""
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return slug if slug[:1].isalpha() else f"x-{slug}".rstrip("-")


def near_misses(wanted: str, known: Iterable[str]) -> str:
    """``Did you mean ...?`` or the names there are, ready to be put behind an error."""
    names = sorted(set(known))
    if not names:
        return "There are none that these credentials may see."
    by_lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(wanted.lower(), by_lower, n=3, cutoff=0.6)
    if close:
        return f"Did you mean {' or '.join(repr(by_lower[name]) for name in close)}?"
    shown = ", ".join(repr(name) for name in names[:10])
    return f"There are: {shown}{' and others' if len(names) > 10 else ''}."
