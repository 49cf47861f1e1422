"""Where a client may connect to."""

from __future__ import annotations

import httpx
import pytest

from runai_api import ConfigurationError, RunaiClient
from runai_api._config import normalise_base_url


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://acme.run.ai", "https://acme.run.ai"),
        ("https://acme.run.ai/", "https://acme.run.ai"),
        ("  https://acme.run.ai//\n", "https://acme.run.ai"),
        ("https://acme.run.ai:8443/runai/", "https://acme.run.ai:8443/runai"),
        ("HTTPS://ACME.run.ai/Path", "https://acme.run.ai/Path"),
        ("http://127.0.0.1:8780", "http://127.0.0.1:8780"),
        ("http://localhost:8780/", "http://localhost:8780"),
        ("http://emulator.localhost", "http://emulator.localhost"),
        ("http://[::1]:8780", "http://[::1]:8780"),
        ("http://127.8.9.10", "http://127.8.9.10"),
    ],
)
def test_good_urls_are_normalised(given: str, kept: str) -> None:
    assert normalise_base_url(given) == kept


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "empty"),
        ("acme.run.ai", "not an http"),
        ("ftp://acme.run.ai", "not an http"),
        ("https://", "not an http"),
        ("http://acme.run.ai", "unencrypted"),
        ("http://10.0.0.1", "unencrypted"),
        ("http://localhost.evil.example", "unencrypted"),
        ("http://127.0.0.1.evil.example", "unencrypted"),
        ("https://user:pa55@acme.run.ai", "user name"),
        ("https://user@acme.run.ai", "user name"),
        ("https://acme.run.ai?x=1", "query"),
        ("https://acme.run.ai/?", "query"),
        ("https://acme.run.ai/#here", "fragment"),
        ("https://acme.run.ai/a b", "blank"),
        ("https://acme.run.ai\x00", "control"),
        ("https://acme.run.ai:port", "cannot be read"),
        ("https://[::1", "cannot be read"),
    ],
)
def test_bad_urls_are_refused_with_the_reason(url: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        RunaiClient(url, client_id="me", client_secret="secret")
    assert "pa55" not in str(caught.value)


def test_a_path_is_kept_in_front_of_every_call() -> None:
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path)
        if request.url.path == "/runai/api/v2/token":
            return httpx.Response(200, json={"access_token": "t", "token_type": "Bearer"})
        return httpx.Response(200, json=[])

    with RunaiClient(
        "https://acme.example/runai/",
        client_id="me",
        client_secret="secret",
        transport=httpx.MockTransport(answer),
    ) as client:
        assert client.clusters.list() == []
    assert seen == ["/runai/api/v2/token", "/runai/api/v1/clusters"]


@pytest.mark.parametrize("name", ["RUNAI_BASE_URL", "RUNAI_CLIENT_ID", "RUNAI_CLIENT_SECRET"])
def test_a_missing_variable_is_named(name: str) -> None:
    environ = {
        "RUNAI_BASE_URL": "https://acme.example",
        "RUNAI_CLIENT_ID": "me",
        "RUNAI_CLIENT_SECRET": "hidden",
    }
    RunaiClient.from_environment(environ).close()
    with pytest.raises(ConfigurationError, match=name) as caught:
        RunaiClient.from_environment({**environ, name: ""})
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("arguments", [{"client_id": " "}, {"client_secret": ""}])
def test_empty_credentials_are_refused(arguments: dict[str, str]) -> None:
    given = {"client_id": "me", "client_secret": "secret", **arguments}
    with pytest.raises(ConfigurationError, match=next(iter(arguments))):
        RunaiClient("https://acme.example", **given)


def test_the_client_shows_no_secret() -> None:
    client = RunaiClient("https://acme.example", client_id="me", client_secret="hidden-one")
    with client:
        assert "hidden-one" not in repr(client) + repr(vars(client)) + repr(vars(client._tokens))
