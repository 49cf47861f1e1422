"""Kill the engine and everything that it started, as a power cut would."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time

import psutil


def family_of(pid: int) -> list[psutil.Process]:
    """The process and all its descendants, whatever process group they are in."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def kill_all(process: subprocess.Popen[str]) -> list[int]:
    """SIGKILL the engine, the language host, the program and the provider hosts at once."""
    with contextlib.suppress(ProcessLookupError):
        # Stopped first, so that it cannot start another child between the look and the kill.
        os.kill(process.pid, signal.SIGSTOP)
    doomed = family_of(process.pid)
    for member in doomed:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    process.communicate()
    psutil.wait_procs(doomed, timeout=10)
    return [member.pid for member in doomed]


def kill_one(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """SIGKILL the engine alone; return what it leaves behind."""
    left = family_of(process.pid)[1:]
    process.kill()
    process.wait(10)
    return left


def wait_gone(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """The processes that still run when the time is over."""
    deadline = time.monotonic() + seconds
    alive = processes
    while alive and time.monotonic() < deadline:
        _, alive = psutil.wait_procs(alive, timeout=0.2)
    return alive


def command_line(process: psutil.Process) -> str:
    """Empty if it has gone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""
