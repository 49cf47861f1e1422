"""End a provider host whose engine has died.

The engine stops its hosts when it ends. Killed, it cannot, and the host would stay for ever, with
the administrator's credentials in memory; and a call that was under way would go on, perhaps after
the next `pulumi up` has repaired everything, and take over what that has made.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time

from provision import _constants as constants

_started = threading.Lock()


def watch_engine() -> None:
    """Watch the engine from a thread of this process; do nothing outside of a provider host."""
    address = _engine_address(sys.argv)
    if address is None or not _listens(address) or not _started.acquire(blocking=False):
        return
    threading.Thread(target=_watch, args=(address,), name="engine-watch", daemon=True).start()


def _watch(address: tuple[str, int]) -> None:
    while _listens(address):
        time.sleep(constants.WATCH_SECONDS)
    # Not `sys.exit`: other threads may wait for answers.
    os._exit(1)


def _engine_address(arguments: list[str]) -> tuple[str, int] | None:
    """The engine's address, which a host gets as its argument."""
    if len(arguments) != 2 or not arguments[0].endswith(os.path.join("dynamic", "__main__.py")):
        return None
    host, _, port = arguments[1].rpartition(":")
    return (host, int(port)) if host and port.isdigit() else None


def _listens(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=constants.CONNECT_SECONDS).close()
    except ConnectionRefusedError:
        return False
    except OSError:
        # Out of file descriptors or busy: no proof of anything.
        return True
    return True
