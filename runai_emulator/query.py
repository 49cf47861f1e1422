"""The list grammar that all families share: filterBy, sortBy, search and paging.

One filter is `FIELD OP VALUE` without spaces, several are joined by commas and all must hold
(documented grammar; that they are ANDed is inferred). Commas are split after decoding, because
clients send them percent-encoded; a literal comma in a value can therefore not be expressed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ._constants import DEFAULT_LIMIT, INT32_MAX, MAX_LIMIT
from .clock import parse_iso
from .wire import Call, bad_request

_ITEM = re.compile(r"^([A-Za-z0-9]+)(==|!=|<=|>=|=@|!@|=\^|=\$)(.+)$", re.DOTALL)
_DATE_OPERATORS = {"==", "!=", "<=", ">="}

_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda have, want: have == want,
    "!=": lambda have, want: have != want,
    "<=": lambda have, want: have is not None and have <= want,
    ">=": lambda have, want: have is not None and have >= want,
    "=@": lambda have, want: have is not None and want in have,
    "!@": lambda have, want: have is None or want not in have,
    "=^": lambda have, want: have is not None and have.startswith(want),
    "=$": lambda have, want: have is not None and have.endswith(want),
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field that lists can be filtered and sorted by: kind is text, number, date or flag."""

    kind: str
    get: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Condition:
    """One parsed filter item."""

    name: str
    operator: str
    value: Any
    get: Callable[[Any], Any]

    def holds(self, row: Any) -> bool:
        have = self.get(row)
        if isinstance(have, list):
            return any(_TESTS[self.operator](item, self.value) for item in have)
        return _TESTS[self.operator](have, self.value)


def text(name: str) -> Field:
    return Field("text", lambda row: row.get(name))


def number(name: str) -> Field:
    return Field("number", lambda row: row.get(name))


def date(name: str) -> Field:
    return Field("date", lambda row: row.get(name))


def flag(name: str) -> Field:
    return Field("flag", lambda row: row.get(name))


def _value(field: Field, name: str, operator: str, raw: str) -> Any:
    if field.kind == "date" and operator not in _DATE_OPERATORS:
        raise bad_request(f"filterBy: {operator} cannot be used with the date {name}.")
    if field.kind == "text" or operator in ("=@", "!@", "=^", "=$"):
        return raw
    try:
        if field.kind == "date":
            return parse_iso(raw)
        if field.kind == "flag":
            return {"true": True, "false": False}[raw.lower()]
        return float(raw)
    except (ValueError, KeyError, OverflowError) as error:
        raise bad_request(f"filterBy: {raw!r} is not a {field.kind} ({name}).") from error


def parse_filters(call: Call, fields: dict[str, Field]) -> list[Condition]:
    conditions = []
    for item in call.items("filterBy"):
        match = _ITEM.match(item)
        if match is None:
            raise bad_request(f"filterBy: {item!r} is not FIELD OPERATOR VALUE.")
        name, operator, raw = match.groups()
        field = fields.get(name)
        if field is None:
            raise bad_request(f"filterBy: unknown field {name!r}.")
        get = field.get
        if field.kind != "text" and operator in ("=@", "!@", "=^", "=$"):
            get = _as_text(get)
        conditions.append(Condition(name, operator, _value(field, name, operator, raw), get))
    return conditions


def _as_text(get: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def read(row: Any) -> str | None:
        value = get(row)
        return None if value is None else str(value)

    return read


def sort_order(call: Call, fields: dict[str, Field]) -> tuple[str | None, bool]:
    """The field to sort by (None: order of creation) and whether the order is descending."""
    name = call.text("sortBy")
    if name is not None and name not in fields:
        raise bad_request(f"sortBy: unknown field {name!r}.")
    order = call.text("sortOrder") or "asc"
    if order not in ("asc", "desc"):
        raise bad_request("sortOrder must be asc or desc.")
    return name, order == "desc"


def sort_key(field: Field) -> Callable[[Any], tuple]:
    """Missing values come first, as in an ascending sort of nulls."""

    def key(row: Any) -> tuple:
        value = field.get(row)
        if isinstance(value, list):
            value = value[0] if value else None
        return (value is not None, value if value is not None else 0)

    return key


def select(
    call: Call,
    rows: Iterable[Any],
    fields: dict[str, Field],
    searched: Iterable[str] = ("name",),
) -> list[Any]:
    """Rows after filterBy, search and sortBy; the search is a case-insensitive substring."""
    conditions = parse_filters(call, fields)
    name, descending = sort_order(call, fields)
    found = [row for row in rows if all(condition.holds(row) for condition in conditions)]
    wanted = call.text("search")
    if wanted:
        needle = wanted.lower()
        getters = [fields[field].get for field in searched]
        found = [
            row for row in found if any(needle in str(get(row) or "").lower() for get in getters)
        ]
    if name is not None:
        found.sort(key=sort_key(fields[name]), reverse=descending)
    elif descending:
        found.reverse()
    return found


def page_bounds(call: Call) -> tuple[int, int]:
    offset = call.integer("offset", 0, low=0, high=INT32_MAX)
    limit = call.integer("limit", DEFAULT_LIMIT, low=1, high=MAX_LIMIT)
    return offset or 0, limit or DEFAULT_LIMIT


def page(call: Call, found: list[Any]) -> tuple[list[Any], int | None]:
    """The rows of the page asked for, and the offset of the next one (None on the last page)."""
    offset, limit = page_bounds(call)
    end = offset + limit
    return found[offset:end], end if end < len(found) else None


def paged(key: str, rows: list[Any], following: int | None) -> dict[str, Any]:
    """`{key: rows, next: offset}`; `next` is left out on the last page (documented: pagination)."""
    body: dict[str, Any] = {key: rows}
    if following is not None:
        body["next"] = following
    return body
