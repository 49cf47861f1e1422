"""``filterBy`` items: FIELD OP VALUE without blanks around the operator, joined by commas."""

from __future__ import annotations

import re
from collections.abc import Sequence

from runai_api.errors import InvalidArgument

_ITEM = re.compile(r"[A-Za-z][A-Za-z0-9]*(==|!=|<=|>=|=@|!@|=\^|=\$).+", re.DOTALL)


def can_filter(value: str) -> bool:
    """Whether the value can stand in a filter: a comma would begin another item."""
    return bool(value) and "," not in value


def equals(**fields: object) -> list[str]:
    """``field==value`` for each field that is not None."""
    return [f"{name}=={value}" for name, value in fields.items() if value is not None]


def checked(items: Sequence[str]) -> list[str] | None:
    """The items as the wire wants them (None for none), or `InvalidArgument`."""
    if isinstance(items, str):
        raise InvalidArgument("filter_by is a list of filters, not one text.")
    for item in items:
        if not _ITEM.fullmatch(item):
            raise InvalidArgument(
                f"{item!r} is not a filter.",
                hint="It looks like name==train-1 or createdAt>=2026-01-01T00:00:00Z.",
            )
        if "," in item:
            raise InvalidArgument(
                f"The filter {item!r} holds a comma, which separates filters in the API.",
                hint="Use `search` and compare the results.",
            )
    return list(items) or None


def longest_part(name: str) -> str:
    """The longest piece of a name between commas, to search for instead of filtering."""
    return max((part.strip() for part in name.split(",")), key=len)
