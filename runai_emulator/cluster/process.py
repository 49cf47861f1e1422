"""Runs pods as local processes, and makes sure that none outlives the emulator.

Every pod is a process group of its own, with its own home and working folder and none of the
emulator's environment except what was allowed by name. A small watchdog holds the other end of
a pipe: when the emulator dies, even by SIGKILL, it kills what is left.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from .workload import Pod

_WATCHDOG = """
import os, shutil, signal, sys
groups = set()
for line in sys.stdin:
    sign, group = line[0], int(line[1:])
    groups.add(group) if sign == "+" else groups.discard(group)
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
if len(sys.argv) > 1:
    shutil.rmtree(sys.argv[1], ignore_errors=True)
"""
#: Inherited without being asked for: where programs find the language of messages and time zones.
_HARMLESS = ("LANG", "LC_ALL", "TZ")
_READY_POLL_SECONDS = 0.05


class StartFailed(Exception):
    """The operating system refused to start a pod's command."""


class _Running:
    __slots__ = ("log", "pod_id", "process", "reason", "workload_id")

    def __init__(self, workload_id: str, pod_id: str, process: subprocess.Popen) -> None:
        self.workload_id = workload_id
        self.pod_id = pod_id
        self.process = process
        #: Why we killed it, when we did: shown instead of the bare exit code.
        self.reason: str | None = None


class ProcessExecutor:
    """Starts, signals and watches the processes of pods. Thread-safe under the caller's lock."""

    def __init__(
        self,
        root: Path | None,
        allow_env: tuple[str, ...],
        on_exit: Callable[[str, str, int, str | None], None],
    ) -> None:
        self._temporary = root is None
        self.root = Path(tempfile.mkdtemp(prefix="runai-emulator-")) if root is None else root
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._allow_env = allow_env
        self._on_exit = on_exit
        self._running: dict[str, _Running] = {}
        self._watchdog: subprocess.Popen | None = None
        self._closing = False

    # -- starting ------------------------------------------------------------------------------

    def start(
        self,
        workload_id: str,
        pod: Pod,
        argv: list[str],
        variables: dict[str, str],
        working_dir: str | None,
    ) -> None:
        """Start a pod's command; raises StartFailed."""
        home = self.folder(workload_id) / pod.name
        work = home / "work"
        (home / "tmp").mkdir(parents=True, exist_ok=True)
        work.mkdir(exist_ok=True)
        # A working folder of the image is used where this machine has it as well.
        usable = working_dir is not None and Path(working_dir).is_absolute()
        cwd = Path(working_dir) if usable and Path(working_dir).is_dir() else work
        env = self._base_environment(home, pod) | variables
        with (home / "log").open("ab") as log:
            try:
                process = subprocess.Popen(
                    argv,
                    cwd=cwd,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                log.write(f"{argv[0]}: {reason}\n".encode())
                raise StartFailed(f'exec: "{argv[0]}": {reason}') from error
        self._tell_watchdog("+", process.pid)
        running = _Running(workload_id, pod.id, process)
        self._running[pod.id] = running
        threading.Thread(target=self._watch, args=(running,), daemon=True).start()

    def _base_environment(self, home: Path, pod: Pod) -> dict[str, str]:
        # The folder of the interpreter comes first, so that `python` is the emulator's own.
        path = os.pathsep.join(
            [str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]
        )
        env = {
            "PATH": path,
            "HOME": str(home),
            "TMPDIR": str(home / "tmp"),
            "HOSTNAME": pod.name,
            "PYTHONUNBUFFERED": "1",
        }
        for name in (*_HARMLESS, *self._allow_env):
            if name in os.environ:
                env[name] = os.environ[name]
        return env

    def _watch(self, running: _Running) -> None:
        code = running.process.wait()
        # What the command left running in its group dies with the container.
        with contextlib.suppress(OSError):
            os.killpg(running.process.pid, signal.SIGKILL)
        self._on_exit(running.workload_id, running.pod_id, code, running.reason)

    def forget(self, pod_id: str) -> None:
        """Called under the lock once an exit has been taken note of."""
        running = self._running.pop(pod_id, None)
        if running is not None and not self._closing:
            self._tell_watchdog("-", running.process.pid)

    # -- stopping ------------------------------------------------------------------------------

    def alive(self, workload_id: str) -> list[str]:
        """Ids of the pods of a workload whose exit has not been taken note of."""
        return [
            running.pod_id
            for running in self._running.values()
            if running.workload_id == workload_id
        ]

    def signal(self, pod_id: str, number: int, reason: str | None = None) -> None:
        running = self._running.get(pod_id)
        if running is None:
            return
        if reason is not None:
            running.reason = reason
        with contextlib.suppress(OSError):
            os.killpg(running.process.pid, number)

    def close(self) -> None:
        """Kill everything and remove temporary folders."""
        self._closing = True
        for running in list(self._running.values()):
            with contextlib.suppress(OSError):
                os.killpg(running.process.pid, signal.SIGKILL)
        for running in list(self._running.values()):
            running.process.wait()
        if self._watchdog is not None:
            self._watchdog.stdin.close()
            self._watchdog.wait()
        for folder in self._to_remove():
            shutil.rmtree(folder, ignore_errors=True)

    def _to_remove(self) -> list[str]:
        """The folder of homes and logs, unless it was chosen by the user."""
        return [str(self.root)] if self._temporary else []

    def _tell_watchdog(self, sign: str, group: int) -> None:
        if self._watchdog is None:
            self._watchdog = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _WATCHDOG, *self._to_remove()],
                stdin=subprocess.PIPE,
                text=True,
                start_new_session=True,
                env={},
            )
        with contextlib.suppress(OSError):
            self._watchdog.stdin.write(f"{sign}{group}\n")
            self._watchdog.stdin.flush()

    # -- logs and readiness --------------------------------------------------------------------

    def folder(self, workload_id: str) -> Path:
        return self.root / workload_id

    def logs(self, workload_id: str) -> dict[str, str]:
        """Pod name -> everything it wrote, of all its runs."""
        folder = self.folder(workload_id)
        if not folder.is_dir():
            return {}
        return {
            pod.name: (pod / "log").read_text("utf-8", "replace")
            for pod in sorted(folder.iterdir())
            if (pod / "log").is_file()
        }

    def when_listening(self, pod_id: str, port: int, ready: Callable[[], None]) -> None:
        """Call `ready` once something accepts connections on the port while the pod lives."""

        def probe() -> None:
            while pod_id in self._running and not self._closing:
                with socket.socket() as probe_socket:
                    probe_socket.settimeout(1.0)
                    if probe_socket.connect_ex(("127.0.0.1", port)) == 0:
                        ready()
                        return
                time.sleep(_READY_POLL_SECONDS)

        threading.Thread(target=probe, daemon=True).start()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
