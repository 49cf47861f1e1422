"""The vendor's client drives what the emulator serves beyond our own client's needs.

Each of its generated methods that meets an endpoint of the emulator is called with ids that exist
and a body that its own request model has taken; the reply must satisfy its strict models.
"""

from __future__ import annotations

import json
import warnings
from typing import Any

import httpx
import pytest
from runai.api_client import ApiClient
from runai.configuration import Configuration

from tests.fuzz.objects import Objects

from .vendor_methods import beyond_our_client, key_of, reply_model, vendor_methods

CASES = beyond_our_client()

#: The vendor's generator lost the models of departments and projects to others of the same name.
WITHOUT_MODEL = ("/api/v1/org-unit/",)


@pytest.fixture
def objects(emulator: Any) -> Any:
    with httpx.Client(base_url=emulator.base_url, trust_env=False) as http:
        yield Objects(http, "2.24")


@pytest.fixture
def vendor(emulator: Any, objects: Objects) -> ApiClient:
    return ApiClient(
        Configuration(
            client_id=emulator.admin_id,
            client_secret=emulator.admin_secret,
            runai_base_url=emulator.base_url,
            retry_enabled=False,
        )
    )


def renamed(body: Any) -> Any:
    """With another name than that of the object that exists already."""
    if isinstance(body, dict):
        if isinstance(body.get("meta"), dict) and "name" in body["meta"]:
            return {**body, "meta": {**body["meta"], "name": "renamed"}}
        return {**body, "name": "renamed"} if "name" in body else body
    return body


@pytest.mark.parametrize(("method", "path"), CASES, ids=[f"{m} {p}" for m, p in CASES])
def test_its_call_is_understood_and_its_models_take_the_reply(
    method: str, path: str, objects: Objects, vendor: ApiClient, emulator: Any
) -> None:
    found = vendor_methods()[key_of(method, path)]
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    arguments: dict[str, Any] = {
        theirs: objects.existing(path, ours)
        for theirs, ours in zip(found.path_parameters, names, strict=True)
    }
    if found.body_parameter:
        body = renamed(objects.example(method, path))
        for part in body if isinstance(body, list) else [body]:
            taken = found.body_model.model_validate(part)
            sent = json.loads(taken.model_dump_json(by_alias=True, exclude_unset=True))
            assert sent == part, "the vendor's request model lost something"
        arguments[found.body_parameter] = body
    if path.endswith("name-availability"):
        arguments |= {"template_name": "free", "scope_type": "tenant"}
    emulator.forget_requests()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = found.call(found.owner(vendor), **arguments)
    (request,) = emulator.requests()
    assert (request["method"], 200 <= request["status"] < 300) == (method, True)
    check(method, path, answer.data)


def check(method: str, path: str, reply: Any) -> None:
    model, key = reply_model(method, path)
    if model is None or not reply:
        assert not reply or path.startswith(WITHOUT_MODEL), "a reply, but no model for it"
        return
    if key is None:
        model.model_validate(reply)
        return
    for row in reply[key]:
        model.model_validate(row)
