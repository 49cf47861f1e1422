"""Record the cassettes anew: ``make record``.

Without further words from an emulator that this starts. With ``RUNAI_BASE_URL`` from that tenant,
as the service account ``RUNAI_CLIENT_ID`` / ``RUNAI_CLIENT_SECRET``, in the sandbox project
``RUNAI_PROJECT``; everything made there is removed again, also after a failure.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path

import httpx
from pydantic import SecretStr

from runai_api import RunaiClient, RunaiError
from tools import services
from tools.wire import cassette, play
from tools.wire.scenario import RUNAI_URL, ZENML_URL, Scenario, World, recordings
from tools.wire.scrub import PLACEHOLDER, Scrubber

PREFIX = "wire"
#: What scenarios write into descriptions.
RECORDING, OWNER = "by a recording", "organization/project/wire/thing"
EMULATOR_PROJECT = "ml-team"
#: Long enough for cassettes to show states that settle later, as a real control plane does.
EMULATOR_DELAY_SECONDS = 0.2


class ZenMLServer:
    """A ZenML server for the scenarios that need one, started when the first of them comes."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="record-zenml-")
        self._service: services.Service | None = None
        self._key = ""

    def address(self) -> tuple[str, SecretStr]:
        """Its URL and an API key."""
        if self._service is None:
            print("  starting a ZenML server (15 s or more)")
            password = secrets.token_urlsafe(16)
            self._service = services.start_zenml(
                Path(self._folder.name), services.free_port(), password
            )
            self._key = services.make_api_key(self._service.url, password, "recorder")
        return self._service.url, SecretStr(self._key)

    def stop(self) -> None:
        if self._service is not None:
            self._service.stop()
        self._folder.cleanup()


@dataclass(frozen=True)
class Target:
    """A control plane to record from."""

    base_url: str
    client_id: str
    client_secret: str
    project: str
    version: str
    described: str
    run: str
    emulator: bool

    def world(self) -> World:
        return World(
            self.base_url,
            self.client_id,
            self.client_secret,
            self.run,
            self.project,
            self.version,
            emulator=self.emulator,
        )

    def scrubber(self, world: World) -> Scrubber:
        replace = {
            **{secret.get_secret_value(): PLACEHOLDER for secret in world.secrets.values()},
            self.client_secret: PLACEHOLDER,
            **({} if self.emulator else {self.client_id: play.CLIENT_ID}),
        }
        own = None if self.emulator else self._own
        return Scrubber({self.base_url: RUNAI_URL, world.zenml_url: ZENML_URL}, replace, own)

    def _own(self, text: str) -> bool:
        """Names and descriptions that may be seen: ours, the sandbox's, those of the product."""
        ours = (self.run, RECORDING, OWNER)
        return text in (self.project, play.CLIENT_ID, "default") or any(m in text for m in ours)


def main() -> int:
    options = _options()
    if options.into:
        cassette.FOLDER = options.into.resolve()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wanted = [
        (found, version)
        for found, version in recordings()
        if not options.cases or any(found.case.startswith(case) for case in options.cases)
    ]
    if not wanted:
        print(f"No scenario begins with {' or '.join(options.cases)}.", file=sys.stderr)
        return 2
    zenml = ZenMLServer()
    try:
        if os.environ.get("RUNAI_BASE_URL"):
            return _from_tenant(wanted, zenml, sweep=options.sweep)
        failed = 0
        for version in sorted({version for _, version in wanted}):
            with _emulator(version) as target:
                failed += _record_all([one for one in wanted if one[1] == version], target, zenml)
        return 1 if failed else 0
    finally:
        zenml.stop()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make record", description=__doc__)
    parser.add_argument(
        "cases", nargs="*", help="only scenarios that begin so, such as roles or roles/custom"
    )
    parser.add_argument(
        "--sweep",
        action="store_true",
        help=f"first remove what an interrupted recording left behind (names with {PREFIX}-)",
    )
    parser.add_argument(
        "--into", type=Path, metavar="FOLDER", help="write here instead of cassettes/, to compare"
    )
    return parser.parse_args()


def _from_tenant(wanted: list[tuple[Scenario, str]], zenml: ZenMLServer, *, sweep: bool) -> int:
    names = ("RUNAI_BASE_URL", "RUNAI_CLIENT_ID", "RUNAI_CLIENT_SECRET", "RUNAI_PROJECT")
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        print(f"To record from a tenant set also {', '.join(missing)}.", file=sys.stderr)
        return 2
    url, client_id, client_secret, project = (os.environ[name] for name in names)
    try:
        with RunaiClient(url, client_id=client_id, client_secret=client_secret) as client:
            version = client.version.value
            if client.projects.find(project) is None:
                print(f"There is no project {project!r}: name a sandbox project.", file=sys.stderr)
                return 2
            if sweep:
                _sweep(client, project)
            clusters = [found.version for found in client.clusters.list() if found.version]
    except RunaiError as error:
        print(error, file=sys.stderr)
        return 2
    target = Target(
        base_url=url.rstrip("/"),
        client_id=client_id,
        client_secret=client_secret,
        project=project,
        version=version,
        described=f"tenant, cluster version {', '.join(sorted(set(clusters))) or 'unknown'}",
        run=f"{PREFIX}-{secrets.token_hex(3)}",
        emulator=False,
    )
    usable = [one for one in wanted if one[1] == version and not one[0].emulator_only]
    for found, other in wanted:
        if (found, other) not in usable:
            why = "needs the emulator" if found.emulator_only else f"is for {other}"
            print(f"  kept     {found.cassette(other)} ({why})")
    return 1 if _record_all(usable, target, zenml) else 0


def _sweep(client: RunaiClient, project_name: str) -> None:
    """Remove what bears the prefix of recordings in the sandbox project, and such accounts."""
    project = client.projects.find(project_name)
    if project is None:
        return
    mark = f"{PREFIX}-"
    for start in (mark, f"zenml-{mark}"):
        filters = [f"projectId=={project.id}", f"name=^{start}"]
        if ours := client.workloads.list(filter_by=filters):
            client.workloads.batch([found.id for found in ours], "delete")
    for family in (client.registry_credentials, client.generic_secrets):
        for credential in family.list(project_id=project.id):
            if credential.name.startswith(mark):
                family.delete(credential.id)
    current = client.version.has_service_accounts
    accounts = client.service_accounts if current else client.applications
    for account in accounts.list():
        if account.name.startswith(mark):
            for rule in client.access_rules.list(subject_ids=[account.client_id]):
                client.access_rules.delete(rule.id)
            accounts.delete(account.id)
    if client.version.has_custom_roles:
        for role in client.roles.list(filter_by=[f"name=^{mark}"]):
            client.roles.delete(role.id)


@contextmanager
def _emulator(version: str) -> Iterator[Target]:
    with tempfile.TemporaryDirectory(prefix="record-") as folder:
        service = services.start_emulator(
            Path(folder),
            services.free_port(),
            "--version",
            version,
            "--async-delay",
            str(EMULATOR_DELAY_SECONDS),
        )
        try:
            yield Target(
                base_url=service.url,
                client_id=services.EMULATOR_ADMIN_ID,
                client_secret=services.EMULATOR_ADMIN_SECRET,
                project=EMULATOR_PROJECT,
                version=version,
                described=f"runai-emulator {installed_version('zenml-runai')}",
                run=PREFIX,
                emulator=True,
            )
        finally:
            service.stop()


def _record_all(wanted: list[tuple[Scenario, str]], target: Target, zenml: ZenMLServer) -> int:
    failed = 0
    for found, version in wanted:
        if target.emulator:
            httpx.post(f"{target.base_url}/_emulator/reset", timeout=30).raise_for_status()
        name = found.cassette(version)
        try:
            count = _record(found, cassette.path_of(name), target, zenml)
        except Exception as error:
            failed += 1
            print(f"  FAILED   {name}: {type(error).__name__}: {error}")
        else:
            print(f"  recorded {name} ({count} requests)")
    return failed


def _record(found: Scenario, path: Path, target: Target, zenml: ZenMLServer | None = None) -> int:
    world = target.world()
    try:
        if found.needs_zenml and zenml is not None:
            world.zenml_url, world.secrets["zenml"] = zenml.address()
        if found.prepare:
            found.prepare(world)
        header = {
            "recorded_from": target.described,
            "control_plane": target.version,
            "recorded_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "recorded_with": f"zenml-runai {installed_version('zenml-runai')}, "
            f"vcrpy {installed_version('vcrpy')}",
            "client_id": target.client_id if target.emulator else play.CLIENT_ID,
            "run": target.run,
            "project": target.project,
            **({"prepared": dict(world.prepared)} if world.prepared else {}),
        }
        with cassette.recording(path, target.scrubber(world), header) as tape:
            found.run(world)
        count = len(tape)
    finally:
        for trouble in world.clean_up():
            print(f"  left behind by {found.case}: {trouble}", file=sys.stderr)
    play.play(found, target.version)
    return count


if __name__ == "__main__":
    sys.exit(main())
