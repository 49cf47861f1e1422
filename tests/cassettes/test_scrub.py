"""What the scrubber takes out while recording."""

from __future__ import annotations

import base64
import json
from typing import Any

from vcr.request import Request

from tools.wire.scrub import PERSON, PLACEHOLDER, TOKEN, Scrubber, readable

REAL = "https://acme.run.ai"
FIXED = "https://runai.example.com"


def scrubber(**options: Any) -> Scrubber:
    return Scrubber({REAL: FIXED}, **options)


def answer(
    body: Any, found: Scrubber | None = None, path: str = "/api/v1/x", headers: Any = None
) -> Any:
    response = {
        "status": {"code": 200, "message": "OK"},
        "headers": headers or {"Content-Type": ["application/json"]},
        "body": {"string": json.dumps(body).encode()},
    }
    scrubbed = (found or scrubber()).response_to(path, response)
    return json.loads(scrubbed["body"]["string"])


def test_tokens_become_one_that_every_client_accepts() -> None:
    found = answer({"access_token": "a", "accessToken": "b", "refresh_token": "c"})
    assert set(found.values()) == {TOKEN}
    claims = TOKEN.split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(claims + "=="))["exp"] > 4_000_000_000


def test_secrets_go_from_forms_and_json_on_both_sides() -> None:
    form = Request(
        "POST",
        f"{REAL}/api/v2/token",
        b"grant_type=client_credentials&client_secret=hush&client_id=me",
        {"Content-Type": "application/x-www-form-urlencoded", "Authorization": "Bearer x"},
    )
    scrubbed = scrubber().request(form)
    assert scrubbed.body == (
        f"client_id=me&client_secret={PLACEHOLDER}&grant_type=client_credentials".encode()
    )
    assert "authorization" not in {name.lower() for name in dict(scrubbed.headers)}
    assert scrubbed.uri == f"{FIXED}/api/v2/token"

    body = {"spec": {"user": "robot", "password": "hush"}, "clientSecret": "hush"}
    sent = scrubber().request(Request("POST", REAL, json.dumps(body), {}))
    assert b"hush" not in sent.body
    assert b"robot" in sent.body
    assert "hush" not in json.dumps(answer(body))


def test_secret_variables_of_a_workload_lose_their_value_only() -> None:
    found = answer(
        {
            "environmentVariables": [
                {"name": "ZENML_STORE_API_TOKEN", "value": "hush"},
                {"name": "EPOCHS", "value": "3"},
            ],
            "keyValuePairs": [{"key": "ANY", "value": "hush"}],
            "flat": {"AWS_SECRET_ACCESS_KEY": "hush", "REGION": "here"},
        }
    )
    assert found["environmentVariables"] == [
        {"name": "ZENML_STORE_API_TOKEN", "value": PLACEHOLDER},
        {"name": "EPOCHS", "value": "3"},
    ]
    assert found["keyValuePairs"] == [{"key": "ANY", "value": PLACEHOLDER}]
    assert found["flat"] == {"AWS_SECRET_ACCESS_KEY": PLACEHOLDER, "REGION": "here"}


def test_the_tenant_and_its_people_are_not_seen() -> None:
    found = scrubber(
        replace={"recorder-id-at-acme": "recorder"},
        own=lambda name: name.startswith("wire-") or name == "recorder",
    )
    body = {
        "createdBy": "jo@acme.io",
        "updatedBy": "Jo Doe",
        "submittedBy": "recorder-id-at-acme",
        "message": "ask jo@acme.io or see https://acme.run.ai/help on acme.run.ai",
        "name": "wire-x",
    }
    assert answer(body, found, "/api/v1/service-accounts") == {
        "createdBy": PERSON,
        "updatedBy": PERSON,
        "submittedBy": "recorder",
        "message": f"ask {PERSON} or see {FIXED}/help on runai.example.com",
        "name": "wire-x",
    }


def test_names_of_others_become_pseudonyms_that_stay_the_same() -> None:
    found = scrubber(own=lambda name: name.startswith("wire-"))
    rows = [{"name": "secret-project"}, {"name": "wire-mine"}, {"name": "secret-project"}]
    seen = answer({"projects": rows}, found, "/api/v1/org-unit/projects")["projects"]
    assert seen[1]["name"] == "wire-mine"
    assert seen[0]["name"] == seen[2]["name"]
    assert seen[0]["name"].startswith("name-")
    roles = answer({"roles": [{"name": "L1 researcher"}]}, found, "/api/v2/authorization/roles")
    assert roles == {"roles": [{"name": "L1 researcher"}]}


def test_scrubbing_twice_is_scrubbing_once() -> None:
    once = answer({"clientSecret": "hush", "accessToken": "x", "url": f"{REAL}/a"})
    assert answer(once) == once


def test_only_headers_of_the_protocol_stay() -> None:
    response = {
        "status": {"code": 429, "message": "Too Many Requests"},
        "headers": {"Retry-After": ["3"], "Set-Cookie": ["a=b"], "X-Trace": ["z"]},
        "body": {"string": b""},
    }
    assert scrubber().response_to("/", response)["headers"] == {"retry-after": ["3"]}


def test_readable_json_is_the_same_json() -> None:
    value = {"a": [{"b": "c" * 60, "d": ["e" * 60, None, 1.5]}] * 3, "f": {}, "g": "ä"}
    text = readable(value)
    assert json.loads(text) == value
    assert max(map(len, text.splitlines())) <= 100
