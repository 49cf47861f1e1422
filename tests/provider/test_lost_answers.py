"""A creation whose answer is lost, late or wrong: never two objects, and the next run goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from provision.providers.access_rule import AccessRuleProvider
from provision.providers.base import Provider
from provision.providers.registry_credential import RegistryCredentialProvider
from provision.providers.role import CustomRoleProvider
from provision.providers.service_account import ServiceAccountProvider
from runai_api import RunaiClient
from tests.provider.host import Host, HostError

OWNER = "organization/zenml-runai/test/thing"
FAULTS: dict[str, dict[str, Any]] = {
    "cut before": {"kind": "reset-before"},
    "cut after": {"kind": "reset-after"},
    "500, not done": {"kind": "status", "status": 500},
    "502, done": {"kind": "status", "status": 502, "committed": True},
    "503, retry": {"kind": "status", "status": 503, "retry_after": 0},
    "429": {"kind": "status", "status": 429, "retry_after": 0},
    "half an answer": {"kind": "truncate"},
    "a web page": {"kind": "content-type"},
    "409 after a lost answer": {"kind": "conflict-after-lost-answer"},
    "token expired": {"kind": "expire-tokens"},
}


@dataclass(frozen=True)
class Case:
    """How to make one kind of object, and how many there are."""

    provider: Provider
    path: str
    inputs: Callable[[RunaiClient], dict[str, Any]]
    count: Callable[[RunaiClient], int]


def project_id(client: RunaiClient) -> str:
    project = client.projects.find("ml-team")
    assert project
    return project.id


def rule_inputs(client: RunaiClient) -> dict[str, Any]:
    role = client.roles.find("AI practitioner")
    assert role
    if client.service_accounts.find("zen-subject") is None:
        client.service_accounts.create("zen-subject")
    return {
        "subject_id": "zen-subject",
        "subject_type": "service-account",
        "role_id": str(role.id),
        "scope_id": project_id(client),
    }


CASES = {
    "service account": Case(
        ServiceAccountProvider(),
        "/api/v1/service-accounts",
        lambda client: {"name": "zen-one"},
        lambda client: [a.name for a in client.service_accounts.list()].count("zen-one"),
    ),
    "custom role": Case(
        CustomRoleProvider(),
        "/api/v2/authorization/roles",
        lambda client: {"name": "zen-role", "owner": OWNER},
        lambda client: [r.name for r in client.roles.list()].count("zen-role"),
    ),
    "access rule": Case(
        AccessRuleProvider(),
        "/api/v1/authorization/access-rules",
        rule_inputs,
        lambda client: len(client.access_rules.list(subject_ids=["zen-subject"])),
    ),
    "registry credential": Case(
        RegistryCredentialProvider(),
        "/api/v1/asset/credentials/docker-registry",
        lambda client: {
            "name": "zen-reg", "owner": OWNER, "project_id": project_id(client),
            "user": "robot", "password": "p", "url": "https://r.example.com",
        },
        lambda client: len(client.registry_credentials.list(project_id=project_id(client))),
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", CASES)
def test_there_is_one_object_after_the_next_run(
    kind: str, fault: str, host: Host, emulator: Any, admin_client: RunaiClient
) -> None:
    case = CASES[kind]
    inputs = case.inputs(admin_client)
    emulator.add_fault(method="POST", path=case.path, times=1, **FAULTS[fault])
    refusal = ""
    try:
        id, outs = host.create(case.provider, inputs)
    except HostError as error:
        refusal = str(error)
        id, outs = host.create(case.provider, inputs)
    emulator.clear_faults()

    assert "Traceback" not in refusal
    assert "InternalError" not in refusal
    assert case.count(admin_client) == 1
    assert host.read(case.provider, id, outs)
    host.delete(case.provider, id, outs)
    assert case.count(admin_client) == 0


def test_an_account_that_cannot_be_disabled_is_not_left_enabled(
    host: Host, emulator: Any, admin_client: RunaiClient
) -> None:
    emulator.add_fault(method="PATCH", path="/api/v1/service-accounts/*", kind="status", status=403)
    with pytest.raises(HostError, match=r"'zen-one' was deleted again"):
        host.create(ServiceAccountProvider(), {"name": "zen-one", "enabled": False})
    emulator.clear_faults()
    assert admin_client.service_accounts.find("zen-one") is None


def test_a_new_secret_whose_answer_is_lost_is_made_again(
    host: Host, emulator: Any, admin_client: RunaiClient
) -> None:
    provider = ServiceAccountProvider()
    id, outs = host.create(provider, {"name": "zen-one"})
    inputs, _ = host.check(provider, {"name": "zen-one", "rotation": {"n": "1"}})
    path = f"/api/v1/service-accounts/{id}/secret"
    emulator.add_fault(method="POST", path=path, kind="reset-after", times=2)
    rotated = host.update(provider, id, outs, inputs)
    with RunaiClient(
        emulator.base_url, client_id="zen-one", client_secret=rotated["client_secret"]
    ) as client:
        assert client.version
