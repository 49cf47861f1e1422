"""Property values as the engine delivers them: unknowns in a preview, numbers as floats."""

from __future__ import annotations

from typing import Any

from pulumi.output import Unknown


def is_known(value: Any) -> bool:
    """Whether a value holds no part that is unknown until the update."""
    if isinstance(value, Unknown):
        return False
    if isinstance(value, dict):
        return all(is_known(part) for part in value.values())
    if isinstance(value, list):
        return all(is_known(part) for part in value)
    return True


def plain(value: Any) -> Any:
    """The value with whole numbers as int: the engine's wire knows only floats."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    return value
