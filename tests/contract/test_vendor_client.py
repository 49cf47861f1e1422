"""The vendor's own Python client as a witness, for this client and for the emulator.

Each operation is carried out twice on the emulator: by our client and by the vendor's. Both must
ask for the same thing (verb, path, query), our body must be one that the vendor's request model
takes and knows every key of, and the emulator's answer must satisfy the vendor's strict models.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qsl

import pytest
from runai import models
from runai.api_client import ApiClient
from runai.configuration import Configuration
from runai.runai_client import RunaiClient as VendorClient

from runai_api import RunaiClient, operations

from .vendor_cases import CASES
from .vendor_models import (
    IMAGE,
    REGISTRY,
    UNKNOWN_TO_THE_VENDOR,
    World,
    distributed,
    iam,
    inference,
    training,
)


def make_world(client: RunaiClient, vendor: VendorClient, needs: tuple[str, ...]) -> World:
    project = client.projects.find("ml-team")
    role = client.roles.find("AI practitioner")
    assert project
    assert role
    pool = client.node_pools.find("default", project.cluster_id)
    assert pool
    sets = client.permission_sets.list()
    ids: dict[str, Any] = {
        "project": project.id,
        "cluster": project.cluster_id,
        "department": project.parent_id,
        "role": role.id,
        "pool": pool.id,
        "permission_set": sets[0].id,
    }
    world = World(client, ids)
    account = client.service_accounts.create("bot")
    ids |= {"account": account.id, "client_id": account.client_id}
    for need in needs:
        match need:
            case "application":
                ids["application"] = client.applications.create("app").id
            case "rule":
                ids["rule"] = client.access_rules.create(
                    ids["client_id"], "service-account", role.id, "project", project.id
                ).id
            case "registry":
                ids["registry"] = client.registry_credentials.create(
                    "reg", project.id, **REGISTRY
                ).id
            case "secret":
                ids["secret"] = client.generic_secrets.create("tokens", project.id, {"K": "v"}).id
            case "trainings" | "workspaces":
                ids[need] = getattr(client, need).create(training(world)).workload_id
            case "distributed":
                ids[need] = client.distributed.create(distributed(world)).workload_id
            case "inferences":
                ids[need] = client.inferences.create(inference(world)).workload_id
            case "custom role":
                ids["custom_role"] = client.roles.create("r-1", "d", [sets[0].id]).id
            case "template":
                ids["template"] = make_template(vendor, project.id)
            case _ if need.endswith(".suspended"):
                kind = need.removesuffix(".suspended")
                getattr(client, kind).suspend(ids[kind])
            case _:
                assert need == "account"
    return world


def make_template(vendor: VendorClient, project_id: str) -> str:
    body = {
        "meta": {"name": "template-1", "scopeType": "project", "scopeId": project_id},
        "spec": {"image": IMAGE, "command": "true"},
    }
    models.TrainingTemplateCreationRequest.model_validate(body)
    answer = vendor.workloads.workload_templates.create_training_template(body)
    return str(models.TrainingTemplate.model_validate(answer.data).meta.id)


def log_in(emulator: Any) -> VendorClient:
    """The vendor's client; it asks for its only token here."""
    settings = Configuration(
        client_id=emulator.admin_id,
        client_secret=emulator.admin_secret,
        runai_base_url=emulator.base_url,
        retry_enabled=False,
    )
    return VendorClient(ApiClient(settings))


def asked(emulator: Any, world: World) -> tuple[str, str, dict[str, str]]:
    """The last request, with the ids of the world written as names."""
    entry = emulator.requests()[-1]
    path = entry["path"]
    for name, value in sorted(world.ids.items(), key=lambda item: -len(str(item[1]))):
        path = re.sub(rf"/{re.escape(str(value))}(?=/|$)", f"/<{name}>", path)
    query = entry["query"]
    query = dict(parse_qsl(query)) if isinstance(query, str) else dict(query)
    return entry["method"], path, query


@pytest.mark.parametrize("name", CASES)
def test_both_clients_ask_for_the_same(name: str, emulator: Any, admin_client: RunaiClient) -> None:
    case = CASES[name]
    bodies: list[bytes | None] = []
    send = admin_client._session._send

    def recording(method: str, url: str, headers: Any, content: bytes | None, deadline: Any) -> Any:
        bodies.append(content)
        return send(method, url, headers, content, deadline)

    world = make_world(admin_client, log_in(emulator), case.needs)
    admin_client._session._send = recording  # type: ignore[method-assign]
    emulator.forget_requests()
    case.ours(admin_client, world)
    assert len(emulator.requests()) == 1
    ours = asked(emulator, world)
    admin_client._session._send = send  # type: ignore[method-assign]

    emulator.reset()
    vendor = log_in(emulator)
    with RunaiClient(
        emulator.base_url, client_id=emulator.admin_id, client_secret=emulator.admin_secret
    ) as fresh:
        world = make_world(fresh, vendor, case.needs)
    emulator.forget_requests()
    answer = case.theirs(vendor, world)
    theirs = asked(emulator, world)

    ours[2].pop("limit", None)  # we ask for the largest page on purpose
    assert ours == theirs
    (body,) = bodies
    if case.request is None:
        assert body is None
    else:
        check_body(case.request, json.loads(body or b"null"))
    if case.reply is None:
        assert answer.data in (None, "", {}), "there is a body, but no model for it"
    else:
        case.reply(answer.data)


def check_body(model: Any, body: Any) -> None:
    """The vendor's request model takes the body, and knows every key of it."""
    parsed = model.model_validate(body)
    kept = json.loads(parsed.model_dump_json(by_alias=True, exclude_unset=True))
    assert kept == body


def test_every_operation_has_its_case() -> None:
    ours = {operation.name for operation in operations()}
    assert set(CASES) | UNKNOWN_TO_THE_VENDOR == ours
    assert not set(CASES) & UNKNOWN_TO_THE_VENDOR


def test_the_vendors_token_request_is_understood(emulator: Any) -> None:
    body = {
        "grantType": "client_credentials",
        "clientID": emulator.admin_id,
        "clientSecret": emulator.admin_secret,
    }
    models.TokenRequest.model_validate(body)
    answer = iam(log_in(emulator)).tokens.grant_token(body)
    assert models.TokenResponse.model_validate(answer.data).access_token
