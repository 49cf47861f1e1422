"""Both servers behind TLS with a certificate of a private authority."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import server_context, write_authority
from tests.engine.conftest import NewEngine

pytestmark = pytest.mark.engine


@pytest.fixture
def behind_tls(tmp_path: Path) -> Iterator[tuple[Callable[[str], str], Path]]:
    """Gives the https address of a relay to an http server, and the authority to trust."""
    signer, authority = write_authority(tmp_path)
    context = server_context(tmp_path, signer)
    with contextlib.ExitStack() as relays:
        yield lambda url: relays.enter_context(relay(context, url)), authority


@contextlib.contextmanager
def relay(context: ssl.SSLContext, url: str) -> Iterator[str]:
    host, port = url.removeprefix("http://").split(":")
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(65536):
                sink.sendall(block)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def serve(plain: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            context.wrap_socket(plain, server_side=True) as caller,
            socket.create_connection((host, int(port))) as server,
        ):
            back = threading.Thread(target=pump, args=(server, caller), daemon=True)
            back.start()
            pump(caller, server)
            back.join()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    acceptor.join(10)


def test_a_private_authority_is_refused_until_it_is_given(
    new_engine: NewEngine, emulator: Any, zenml_server: Any, behind_tls: Any
) -> None:
    address, authority = behind_tls
    runai, zenml = address(emulator.base_url), address(zenml_server.url)
    # One at a time: both servers are asked at once, and the first failure ends the preview.
    stack = new_engine(runaiBaseUrl=runai)

    refused = stack.up().failed()
    assert "certificate" in refused.errors
    assert "runaiCaBundle" in refused.errors
    assert not stack.resources()

    stack.configure(runaiCaBundle=str(authority), zenmlUrl=zenml)
    refused = stack.up().failed()
    assert "certificate" in refused.errors
    assert "zenmlCaBundle" in refused.errors
    assert not stack.resources()

    stack.configure(zenmlCaBundle=str(authority))
    stack.up().succeeded()
    stack.preview("--expect-no-changes", "--refresh").succeeded()
    assert stack.outputs()["serviceAccount"]
    stack.destroy().succeeded()
