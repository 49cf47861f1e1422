"""Certificates and proxies, on real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runai_api import ConfigurationError, ConnectionFailed, RetryPolicy, RunaiClient, Timeouts
from tests.certificates import issue, pem, server_context, write_authority

from .conftest import AT_ONCE, SECRET, give_token, read_request, write_json


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    return write_authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def tls_server(
    request: pytest.FixtureRequest, authority: tuple[Any, Path], tmp_path: Path
) -> Iterator[str]:
    signer, _ = authority
    context = server_context(tmp_path, signer, **getattr(request, "param", {}))
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(plain: socket.socket) -> None:
        try:
            with context.wrap_socket(plain, server_side=True) as connection:
                while (asked := read_request(connection)) is not None:
                    _ = give_token(asked, connection) or write_json(connection, [])
        except OSError:
            plain.close()

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(timeout=10)


def connect(url: str, **arguments: Any) -> RunaiClient:
    settings: dict[str, Any] = {"client_id": "me", "client_secret": SECRET, "retry": AT_ONCE}
    return RunaiClient(url, **{**settings, **arguments})


def test_a_private_authority_is_trusted_if_given(
    tls_server: str, authority: tuple[Any, Path]
) -> None:
    with connect(tls_server, ca_bundle=authority[1]) as client:
        assert client.clusters.list() == []


def test_the_environment_may_name_the_authority(
    tls_server: str, authority: tuple[Any, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[1]))
    with connect(tls_server) as client:
        assert client.clusters.list() == []


def test_an_unknown_authority_is_refused_at_once(tls_server: str) -> None:
    slept: list[float] = []
    with connect(tls_server, retry=RetryPolicy(attempts=3)) as client:
        client._session.sleep = slept.append
        with pytest.raises(ConnectionFailed, match="ca_bundle") as caught:
            client.clusters.list()
    assert "RUNAI_CA_BUNDLE" in str(caught.value)
    assert slept == []


@pytest.mark.parametrize(
    ("tls_server", "says"),
    [({"loopback": False}, "IP address mismatch"), ({"old": True}, "expired")],
    indirect=["tls_server"],
)
def test_a_bad_certificate_of_a_trusted_authority_is_refused(
    tls_server: str, authority: tuple[Any, Path], says: str
) -> None:
    with (
        connect(tls_server, ca_bundle=authority[1]) as client,
        pytest.raises(ConnectionFailed, match=says),
    ):
        client.clusters.list()


def test_a_given_authority_replaces_the_public_ones(tls_server: str, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(pem(issue("Another authority")[1]))
    with connect(tls_server, ca_bundle=other) as client, pytest.raises(ConnectionFailed):
        client.clusters.list()


def test_a_server_without_tls_is_explained(serve: Any) -> None:
    url = serve(lambda request, connection: False).url.replace("http:", "https:")
    once = {"timeouts": Timeouts(connect=0.3), "retry": RetryPolicy(attempts=1)}
    with connect(url, **once) as client, pytest.raises(ConnectionFailed, match="accept"):
        client.clusters.list()


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_an_unusable_bundle_is_a_clear_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"ca\.pem cannot be used"):
        connect("https://acme.example", ca_bundle=path)


def test_unusable_authorities_of_the_environment_are_a_clear_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "authorities.pem"
    path.write_bytes(b"no certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
        connect("https://acme.example")


@pytest.fixture
def proxy(serve: Any) -> Any:
    """A forward proxy that answers everything itself."""

    def script(request: bytes, connection: socket.socket) -> bool:
        if request.startswith(b"CONNECT"):
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return False
        return give_token(request, connection) or write_json(connection, [])

    return serve(script)


def test_an_explicit_proxy_is_used(proxy: Any) -> None:
    with connect("http://127.0.0.1:9", proxy=proxy.url) as client:
        assert client.clusters.list() == []
    assert proxy.requests[-1].startswith(b"GET http://127.0.0.1:9/api/v1/clusters HTTP/1.1")


def test_the_environments_proxy_is_used_and_its_refusal_explained(
    proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    client = connect("https://acme.example")
    with client, pytest.raises(ConnectionFailed, match="proxy refused"):
        client.clusters.list()
    assert proxy.requests[0].startswith(b"CONNECT acme.example:443")
    assert SECRET.encode() not in b"".join(proxy.requests)


def test_the_environments_proxy_is_not_for_loopback(
    serve: Any, proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("ALL_PROXY", proxy.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    server = serve(lambda r, c: give_token(r, c) or write_json(c, []))
    with connect(server.url) as client:
        assert client.clusters.list() == []
    assert proxy.requests == []


@pytest.mark.parametrize("address", ["proxy", "ftp://proxy", "http://[::1"])
def test_an_unusable_proxy_is_a_clear_error(address: str) -> None:
    with pytest.raises(ConfigurationError, match="proxy"):
        connect("https://acme.example", proxy=address)
