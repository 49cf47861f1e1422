"""No cassette holds a secret, a person or a real host; and the search would find one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml

from tools import services
from tools.wire import cassette
from tools.wire.scrub import EMAIL, JWT, KEPT_HEADERS, PLACEHOLDER, SECRET_KEYS, TOKEN, flat

CASSETTES = sorted(cassette.FOLDER.rglob("*.yaml"))
#: Shapes of credentials that do not depend on where they stand.
SHAPES = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|\bZEN(?:PRO)?KEY_|\bAKIA[0-9A-Z]{12}|\bgh[pousr]_\w{20}"
    r"|nobody-has|\bglpat-|\bxox[abp]-|\bhf_\w{20}|\bnvapi-|[Bb]earer\s+\S{8}|[Bb]asic\s+[\w+/=]{12}"
)
#: Names that belong to nobody, and the public pages that flavors refer to.
HOSTS_ALLOWED = re.compile(
    r"([\w-]+\.)*(example\.com|example\.org|invalid|svc|zenml\.io)|run-ai-docs\.nvidia\.com"
    r"|public-flavor-logos\.s3\.eu-central-1\.amazonaws\.com"
)
URL = re.compile(r"https?://([^\s/\"'\\?#:]+)")


def findings(document: dict[str, Any]) -> Iterator[str]:
    """What must not be in a cassette, in words; nothing for a clean one."""
    for item in document["interactions"]:
        where = f"{item['request']['method']} {urlsplit(item['request']['uri']).path}"
        for side in ("request", "response"):
            part = item[side]
            for name in part["headers"]:
                if name.lower() not in KEPT_HEADERS:
                    yield f"{where}: {side} header {name}"
        body = item["request"]["body"] or ""
        answer = item["response"]["body"].get("string") or ""
        kind = "".join(item["request"]["headers"].get("content-type", []))
        if "form-urlencoded" in kind:
            pairs: Any = dict(parse_qsl(body))
            yield from (f"{where}: request {found}" for found in _in_json(pairs))
        for side, text in (("request", body), ("response", answer)):
            assert isinstance(text, str), f"{where}: {side} is compressed or binary"
            try:
                value = json.loads(text)
            except ValueError:
                continue
            yield from (f"{where}: {side} {found}" for found in _in_json(value))
    yield from _in_text(json.dumps(document))


def _in_json(value: Any, key: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        name = str(value.get("name", ""))
        if re.search("TOKEN|SECRET|PASSW|API_?KEY", name) and value.get("value") not in (
            None,
            PLACEHOLDER,
        ):
            yield f"variable {name}"
        if any(pair.get("value") != PLACEHOLDER for pair in value.get("keyValuePairs") or ()):
            yield "a pair of a generic secret"
        for inner, item in value.items():
            yield from _in_json(item, inner)
    elif isinstance(value, list):
        for item in value:
            yield from _in_json(item, key)
    elif isinstance(value, str) and value:
        plain = flat(key)
        if plain in SECRET_KEYS and value != PLACEHOLDER:
            yield f"field {key}"
        if plain.endswith("token") and value not in (PLACEHOLDER, TOKEN):
            yield f"field {key}"


def _in_text(text: str) -> Iterator[str]:
    text = text.replace(TOKEN, "")
    if services.EMULATOR_ADMIN_SECRET in text:
        yield "the emulator's admin secret"
    if JWT.search(text):
        yield "a token"
    if found := SHAPES.search(text):
        yield f"something like {found.group()[:12]}"
    for address in EMAIL.findall(text):
        if not address.endswith("example.com"):
            yield f"the address {address}"
    for host in URL.findall(text):
        if not HOSTS_ALLOWED.fullmatch(host):
            yield f"the host {host}"


@pytest.mark.parametrize(
    "path", CASSETTES, ids=[str(path.relative_to(cassette.FOLDER)) for path in CASSETTES]
)
def test_a_cassette_holds_no_secret(path: Path) -> None:
    assert list(findings(yaml.safe_load(path.read_text("utf-8")))) == []


def _document(**changes: Any) -> dict[str, Any]:
    item: dict[str, Any] = {
        "request": {
            "method": "POST",
            "uri": "https://runai.example.com/api/v1/x",
            "headers": {},
            "body": None,
        },
        "response": {"status": {"code": 200}, "headers": {}, "body": {"string": ""}},
    }
    item["request"].update(changes.get("request", {}))
    item["response"].update(changes.get("response", {}))
    return {"interactions": [item]}


PLANTED = {
    "authorization header": {"request": {"headers": {"authorization": ["Bearer abcdefgh1234"]}}},
    "cookie": {"response": {"headers": {"set-cookie": ["session=1"]}}},
    "form secret": {
        "request": {
            "headers": {"content-type": ["application/x-www-form-urlencoded"]},
            "body": "client_id=a&client_secret=hush",
        }
    },
    "request password": {"request": {"body": '{"spec": {"password": "hush"}}'}},
    "response secret": {"response": {"body": {"string": '{"clientSecret": "hush"}'}}},
    "token": {"response": {"body": {"string": '{"access_token": "opaque"}'}}},
    "jwt in a message": {
        "response": {"body": {"string": "bad token eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.c2ln"}}
    },
    "generic secret": {"request": {"body": '{"keyValuePairs": [{"key": "K", "value": "hush"}]}'}},
    "variable": {"request": {"body": '{"e": [{"name": "MY_TOKEN", "value": "hush"}]}'}},
    "host": {"response": {"body": {"string": '{"url": "https://acme.run.ai/x"}'}}},
    "person": {"response": {"body": {"string": '{"createdBy": "jo@acme.io"}'}}},
    "admin secret": {"response": {"body": {"string": services.EMULATOR_ADMIN_SECRET}}},
}


@pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED.keys())
def test_the_search_finds_what_is_planted(planted: dict[str, Any]) -> None:
    assert list(findings(_document())) == []
    assert list(findings(_document(**planted)))
