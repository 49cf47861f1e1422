"""Permissions for Run:ai: what is needed, what is held, what is too much.

The names below are loaded on first use, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runai_perms._catalogue import (
        Catalogue,
        Certainty,
        Feature,
        Need,
        Operation,
        Profile,
        load_catalogue,
        load_profile,
    )
    from runai_perms._cover import Cover, smallest_cover
    from runai_perms._errors import (
        AuthenticationError,
        ExitCode,
        IncompleteAnswer,
        PermissionToolError,
        UnknownName,
        UsageError,
    )
    from runai_perms._evaluate import Evaluation, Grant, Holdings, Verdict, evaluate, holdings
    from runai_perms._model import (
        Permission,
        PermissionSet,
        Reach,
        Role,
        Rule,
        Scope,
        ScopePath,
        ScopeType,
    )

_HOMES = {
    "_catalogue": (
        "Catalogue",
        "Certainty",
        "Feature",
        "Need",
        "Operation",
        "Profile",
        "load_catalogue",
        "load_profile",
    ),
    "_cover": ("Cover", "smallest_cover"),
    "_errors": (
        "AuthenticationError",
        "ExitCode",
        "IncompleteAnswer",
        "PermissionToolError",
        "UnknownName",
        "UsageError",
    ),
    "_evaluate": ("Evaluation", "Grant", "Holdings", "Verdict", "evaluate", "holdings"),
    "_model": (
        "Permission",
        "PermissionSet",
        "Reach",
        "Role",
        "Rule",
        "Scope",
        "ScopePath",
        "ScopeType",
    ),
}

__all__ = [
    "AuthenticationError",
    "Catalogue",
    "Certainty",
    "Cover",
    "Evaluation",
    "ExitCode",
    "Feature",
    "Grant",
    "Holdings",
    "IncompleteAnswer",
    "Need",
    "Operation",
    "Permission",
    "PermissionSet",
    "PermissionToolError",
    "Profile",
    "Reach",
    "Role",
    "Rule",
    "Scope",
    "ScopePath",
    "ScopeType",
    "UnknownName",
    "UsageError",
    "Verdict",
    "evaluate",
    "holdings",
    "load_catalogue",
    "load_profile",
    "smallest_cover",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            value = getattr(import_module(f"{__name__}.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
