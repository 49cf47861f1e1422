"""Servers that quote what they refuse: no secret comes back in an error of either client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from provision.zenml_errors import ZenMLError
from provision.zenml_rest import ZenMLClient
from runai_api import RetryPolicy, RunaiClient, RunaiError
from tests.chaos.support.canaries import Canaries, canary
from tests.chaos.support.parrot import WRITINGS, Parrot

#: What JSON, forms, HTML and Python write differently, and what ends of messages are stripped of.
AROUND = ("p\"a'&ss  <w>", "+%/ö\\=\"'.")
STATUSES = (200, 400, 401, 403, 409, 500)
ONCE = RetryPolicy(attempts=1)


@pytest.fixture
def parrot() -> Iterator[Parrot]:
    with Parrot("http://127.0.0.1:9") as parrot:
        yield parrot


def texts_of(error: BaseException) -> Iterator[str]:
    """Everything that any handler of an error may print."""
    chain: list[BaseException] = [error]
    for seen in chain:
        yield from (str(seen), repr(seen), repr(vars(seen)), repr(seen.args))
        linked = (seen.__cause__, seen.__context__)
        chain += [each for each in linked if each is not None and each not in chain]


def refused(kind: type[Exception], call: Callable[[], Any], canaries: Canaries) -> str:
    with pytest.raises(kind) as caught:
        call()
    for text in texts_of(caught.value):
        assert not canaries.in_text(text, "an error")
    return str(caught.value)


@pytest.mark.parametrize("writing", WRITINGS)
@pytest.mark.parametrize("status", STATUSES)
def test_a_refused_login_at_the_control_plane(parrot: Parrot, status: int, writing: str) -> None:
    secret = canary("client", *AROUND)
    refusal = parrot.refuse("POST", "/api/v2/token", status, writing)
    with RunaiClient(parrot.url, client_id="me", client_secret=secret, retry=ONCE) as client:
        told = refused(RunaiError, lambda: client.version, Canaries({"client secret": secret}))
    assert "***" in told or status in (200, 401), "it was quoted indeed"
    assert refusal.hits


@pytest.mark.parametrize("writing", WRITINGS)
@pytest.mark.parametrize("status", STATUSES)
def test_a_refused_registry_credential(emulator: Any, status: int, writing: str) -> None:
    secret = canary("registry", *AROUND)
    with Parrot(emulator.base_url) as parrot:
        parrot.refuse("POST", "/api/v1/asset/credentials/docker-registry", status, writing)
        with RunaiClient(
            parrot.url, client_id=emulator.admin_id, client_secret=emulator.admin_secret,
            retry=ONCE,
        ) as client:  # fmt: skip
            project = client.projects.find("ml-team")
            assert project
            refused(
                RunaiError,
                lambda: client.registry_credentials.create(
                    "robot", project.id, user="robot", password=secret, url="https://r.example.com"
                ),
                Canaries({"password": secret, "admin secret": emulator.admin_secret}),
            )
        assert parrot.tokens


@pytest.mark.parametrize("writing", WRITINGS)
@pytest.mark.parametrize("status", STATUSES)
def test_a_refused_secret_and_a_refused_login_at_zenml(
    parrot: Parrot, status: int, writing: str
) -> None:
    secret, key = canary("zenml", *AROUND), canary("key", *AROUND)
    canaries = Canaries({"value": secret, "API key": key})
    parrot.refuse("POST", "/api/v1/secrets", status, writing)
    parrot.refuse("PUT", "/api/v1/secrets/*", status, writing)
    with ZenMLClient(parrot.url, SecretStr(key)) as zenml:
        body = {"name": "s", "values": {"client_secret": secret}}
        zenml._token = SecretStr(canary("token"))
        canaries.add("token", zenml._token.get_secret_value())
        if status != 401:
            told = refused(ZenMLError, lambda: zenml.secrets.create(body), canaries)
            assert "***" in told or status == 200, "it was quoted indeed"
            if status != 200:
                refused(ZenMLError, lambda: zenml.secrets.update("1", body), canaries)
        parrot.refuse("POST", "/api/v1/login", status, writing)
        zenml._token = None
        refused(ZenMLError, zenml.login, canaries)
