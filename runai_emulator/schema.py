"""A small subset of JSON Schema: builders, and a check that answers 400 with the field's path.

The same schemas describe request bodies in the OpenAPI document.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from .wire import bad_request

Schema = dict[str, Any]


def text(pattern: str | None = None, low: int | None = None, high: int | None = None) -> Schema:
    schema: Schema = {"type": "string"}
    if pattern is not None:
        schema["pattern"] = pattern
    if low is not None:
        schema["minLength"] = low
    if high is not None:
        schema["maxLength"] = high
    return schema


def choice(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


def whole(low: int | None = None, high: int | None = None, bits: int = 32) -> Schema:
    schema: Schema = {"type": "integer", "format": f"int{bits}"}
    limit = 2 ** (bits - 1)
    schema["minimum"] = -limit if low is None else low
    schema["maximum"] = limit - 1 if high is None else high
    return schema


def real(low: float | None = None, high: float | None = None) -> Schema:
    schema: Schema = {"type": "number"}
    if low is not None:
        schema["minimum"] = low
    if high is not None:
        schema["maximum"] = high
    return schema


def flag() -> Schema:
    return {"type": "boolean"}


def items(schema: Schema, low: int | None = None) -> Schema:
    found: Schema = {"type": "array", "items": schema}
    if low is not None:
        found["minItems"] = low
    return found


def thing(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    """An object; properties that are not required may also be null."""
    shown = {
        name: schema if name in required else schema | {"nullable": True}
        for name, schema in properties.items()
    }
    found: Schema = {"type": "object", "properties": shown}
    if required:
        found["required"] = list(required)
    return found


def named(name: str, schema: Schema) -> Schema:
    """Give a schema a name of its own in the OpenAPI document."""
    return schema | {"title": name}


_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


@cache
def _compiled(pattern: str) -> re.Pattern:
    return re.compile(pattern)


def check(value: Any, schema: Schema, where: str) -> None:
    """Raise a 400 that names the first field that does not fit. Unknown keys are let through."""
    if value is None:
        if schema.get("nullable"):
            return
        raise bad_request(f"{where} must not be null.")
    kind = schema.get("type")
    if kind is None:
        return
    is_bool = isinstance(value, bool)
    if not isinstance(value, _TYPES[kind]) or (is_bool and kind != "boolean"):
        raise bad_request(f"{where} must be of type {kind}.")
    if kind == "string":
        _check_text(value, schema, where)
    elif kind in ("integer", "number"):
        if value < schema.get("minimum", value) or value > schema.get("maximum", value):
            raise bad_request(f"{where} is out of range: {value}.")
    elif kind == "array":
        if len(value) < schema.get("minItems", 0):
            raise bad_request(f"{where} needs at least {schema['minItems']} entries.")
        for number, item in enumerate(value):
            check(item, schema["items"], f"{where}[{number}]")
    elif kind == "object":
        for name in schema.get("required", ()):
            if name not in value:
                raise bad_request(f"Required parameter is missing: {where}.{name}.")
        for name, inner in schema.get("properties", {}).items():
            if name in value:
                check(value[name], inner, f"{where}.{name}" if where else name)


def _check_text(value: str, schema: Schema, where: str) -> None:
    if "enum" in schema and value not in schema["enum"]:
        raise bad_request(f"{where} must be one of: {', '.join(schema['enum'])}.")
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        raise bad_request(f"{where} has a wrong length ({len(value)} characters).")
    if "pattern" in schema and _compiled(schema["pattern"]).search(value) is None:
        raise bad_request(f"{where} does not match {schema['pattern']}.")
