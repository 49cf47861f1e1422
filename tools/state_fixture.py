"""Record what this version writes into a Pulumi state, as a fixture for the versions to come.

``python -m tools.state_fixture [--replace]``. Starts servers of its own, provisions each variant
once through the real engine, and writes ``tests/fixtures/state/<version>/<variant>.json``: the
exported state, with invented secrets, and the requests that made what it describes. No address, id
or path of this machine stays in it.

Run it when a version is released, and commit the files with it; the tests ask for them as soon as
CHANGELOG.md has the version. Fixtures of a released version are never recorded anew.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path

from tests.chaos.support.states import FOLDER, STACK, VARIANTS, Recorder, record
from tests.engine.harness import Engine
from tools import pulumi_engine, services

PASSWORD = "state-fixture"  # noqa: S105 - of a server that lives for a minute, on loopback


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="tools.state_fixture", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument(
        "--replace", action="store_true", help="overwrite; only before the version is released"
    )
    options = parser.parse_args(arguments)
    version = metadata.version("zenml-runai")
    target = FOLDER / version
    if target.exists() and not options.replace:
        print(
            f"{target.relative_to(pulumi_engine.ROOT)} exists. Raise the version, or use --replace "
            "if it has not been released.",
            file=sys.stderr,
        )
        return 1
    binaries = pulumi_engine.ensure()
    with ExitStack() as running, tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        zenml = services.start_zenml(folder / "zenml", services.free_port(), PASSWORD)
        running.callback(zenml.stop)
        key = services.make_api_key(zenml.url, PASSWORD, "provisioner")
        for name in VARIANTS:
            _record(version, name, folder / name, binaries, zenml.url, key)
            print(f"wrote {(target / name).relative_to(pulumi_engine.ROOT)}.json")
    return 0


def _record(
    version: str, name: str, folder: Path, binaries: Path, zenml_url: str, zenml_key: str
) -> None:
    control_plane, settings = VARIANTS[name]
    emulator = services.start_emulator(
        folder, services.free_port(), "--version", control_plane, "--async-delay", "0"
    )
    try:
        with Recorder() as recorder:
            urls = {
                "runaiBaseUrl": recorder.front("runai", emulator.url),
                "zenmlUrl": recorder.front("zenml", zenml_url),
            }
            engine = Engine(folder, binaries, STACK)
            engine.configure(
                **settings,
                **urls,
                runaiClientId=services.EMULATOR_ADMIN_ID,
                runaiClientSecret=services.EMULATOR_ADMIN_SECRET,
                zenmlApiKey=zenml_key,
            )
            engine.up("--skip-preview").succeeded()
            fixture = record(version, name, engine, recorder, {**urls, "zenmlApiKey": zenml_key})
            engine.destroy("--skip-preview").succeeded()
    finally:
        emulator.stop()
    fixture.write(FOLDER / version / f"{name}.json")


if __name__ == "__main__":
    sys.exit(main())
