"""Errors of the permission tools, and the exit codes that stand for them.

::

    PermissionToolError        exit code
    |-- UsageError             2  the question cannot be asked like this
    |-- AuthenticationError    3  the control plane or ZenML refuses the credentials
    |-- IncompleteAnswer       4  unreachable, or only part of the answer could be read
    `-- UnknownName            6  no such stack, profile, feature, permission, project, role...

Each says what happened, why, and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """What the exit status of ``runai-perms`` means; never OK on a partial read."""

    OK = 0
    MISSING = 1
    USAGE = 2
    AUTHENTICATION = 3
    INCOMPLETE = 4
    EXCESS = 5
    UNKNOWN_NAME = 6


class PermissionToolError(Exception):
    """Base of all errors that the permission tools raise on purpose."""

    exit_code = ExitCode.USAGE


class UsageError(PermissionToolError, ValueError):
    """A question that cannot be asked, or a control plane that cannot answer it."""

    exit_code = ExitCode.USAGE


class AuthenticationError(PermissionToolError):
    """Credentials that are missing, wrong, expired or disabled."""

    exit_code = ExitCode.AUTHENTICATION


class IncompleteAnswer(PermissionToolError):
    """The control plane is unreachable or did not let us read enough to judge."""

    exit_code = ExitCode.INCOMPLETE


class UnknownName(PermissionToolError, LookupError):
    """A name that nothing answers to; carries the nearest names that exist."""

    exit_code = ExitCode.UNKNOWN_NAME

    def __init__(self, kind: str, name: str, known: Iterable[str] = (), hint: str = "") -> None:
        self.kind, self.name = kind, name
        self.near = difflib.get_close_matches(name, sorted(set(known)), n=3, cutoff=0.5)
        parts = [f"unknown {kind} {name!r}"]
        if self.near:
            parts.append("did you mean " + " or ".join(repr(n) for n in self.near) + "?")
        if hint:
            parts.append(hint)
        super().__init__("; ".join(parts))

    def __str__(self) -> str:
        return str(self.args[0])
