"""Take secrets out of what a server says, also where it repeats them in another writing."""

from __future__ import annotations

import html
import json
from base64 import b64encode
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "***"


def redacted(text: str, secrets: Iterable[str]) -> str:
    """`text` with every one of `secrets` masked: as it is, and as it stands in a form, in JSON, in
    a message of Python, in HTML, in base64. Servers like to quote the request they refuse."""
    writings = {writing for secret in secrets if secret for writing in _writings(secret)}
    # The longest first: one writing may begin with another.
    for writing in sorted(writings, key=len, reverse=True):
        text = text.replace(writing, MASK)
    return text


def _writings(secret: str) -> set[str]:
    # Half a character, which cannot be written as bytes, must not hide the rest.
    raw = secret.encode(errors="replace")
    return {
        secret,
        quote(raw, safe=""),
        quote(raw),
        quote_plus(raw),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        html.escape(secret),
        b64encode(raw).decode(),
    }
