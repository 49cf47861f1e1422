"""The emulator as a server process."""

from __future__ import annotations

import gc
import socket
import sys
from importlib.metadata import PackageNotFoundError, version

import uvicorn

from .app import EmulatorApp


def package_version() -> str:
    try:
        return version("zenml-runai")
    except PackageNotFoundError:
        return "0"


class _Server(uvicorn.Server):
    """Says on stdout when it takes connections, and where."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started:
            return
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        sys.stdout.write(f"runai-emulator {package_version()} ready on http://{shown}:{port}\n")
        sys.stdout.flush()


def serve(app: EmulatorApp, host: str, port: int, log_level: str = "warning") -> None:
    """Serve until SIGINT or SIGTERM. Raises OSError when the address cannot be bound."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    # Full collections over a hundred thousand workloads would stop the server for a quarter of a
    # second; next to nothing that it makes is cyclic.
    gc.freeze()
    gc.set_threshold(50_000, 50, 1_000)
    config = uvicorn.Config(
        app,
        log_level=log_level,
        access_log=False,
        ws="none",
        lifespan="on",
        server_header=False,
        # Requests that a fault rule holds must not keep the process alive.
        timeout_graceful_shutdown=1,
    )
    _Server(config).run(sockets=[listener])
