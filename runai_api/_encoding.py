"""Queries and bodies as the wire wants them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import urlencode

from runai_api.errors import InvalidArgument


def encode_query(params: Mapping[str, object] | None) -> str:
    pairs = []
    for name, value in (params or {}).items():
        if value is None:
            continue
        if isinstance(value, bool):
            pairs.append((name, "true" if value else "false"))
        elif isinstance(value, (list, tuple)):
            if value:
                pairs.append((name, ",".join(map(str, value))))
        else:
            pairs.append((name, str(value)))
    try:
        return f"?{urlencode(pairs)}" if pairs else ""
    except UnicodeEncodeError:
        raise InvalidArgument("A query parameter is not text: it holds half a character.") from None


def encode_body(
    body: object, form: Mapping[str, str] | None
) -> tuple[bytes | None, dict[str, str]]:
    if form is not None:
        try:
            encoded = urlencode(form).encode()
        except UnicodeEncodeError:
            raise InvalidArgument("A form value is not text: it holds half a character.") from None
        return encoded, {"Content-Type": "application/x-www-form-urlencoded"}
    if body is None:
        return None, {}
    try:
        text = json.dumps(body, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise InvalidArgument("The request body cannot be written as JSON.") from None
    return text.encode(), {"Content-Type": "application/json"}
