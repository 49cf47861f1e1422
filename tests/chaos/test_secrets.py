"""A canary in every secret, and a search wherever a provisioning leaves anything.

The engine is asked to say all that it can (`-v=9`). What it says in clear by itself, and nobody
can keep it from, is pinned: one kind of line, and nothing else.
"""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from pydantic import SecretStr

from provision.zenml_rest import ZenMLClient
from runai_api import RunaiClient
from tests.chaos.support.canaries import Canaries, ProcessWatch, canary, in_command_lines, without
from tests.chaos.support.parrot import Parrot
from tests.chaos.support.world import PROJECT, UP, World, new_world
from tests.conftest import EmulatorProcess
from tests.engine.harness import PASSPHRASE, Outcome
from tools import services

pytestmark = pytest.mark.engine

#: What JSON, forms and the shell write differently.
AROUND = ("q\"'", "&+ö<%\\")
#: How the engine logs the properties of a call to a provider host or from a program, and whose
#: call it is.
ENGINE_LINE = re.compile(
    r'\{"time":"[^"]+","level":"INFO","msg":"(?:Unm|M)arshaling property for RPC\['
    r"(?P<call>Provider\[\w+\]\.\w+|ResourceMonitor\.\w+)\(.*\"v\":9\}"
)
#: The calls that carry the administrator's credentials: the engine hands over the configuration.
CONFIGURE = re.compile(r"Provider\[\w+\]\.Configure")


@dataclasses.dataclass
class Provisioned:
    """A stack after its first `up`, with all that was to be seen of it."""

    world: World
    canaries: Canaries
    emulator: Parrot
    zenml: Parrot
    #: Secrets that only the provider host needs, by name.
    administrators: dict[str, str]
    watch: ProcessWatch
    outcome: Outcome
    zenml_server: Any
    emulator_log: Path

    def learn(self) -> None:
        """Look for what has been issued since, too."""
        assert self.emulator.tokens | self.zenml.tokens
        for secret in self.emulator.secrets:
            self.canaries.add("provisioned client secret", secret)
        for token in self.emulator.tokens | self.zenml.tokens:
            self.canaries.add("bearer token", token)

    def hits(self, *places: Path) -> list[str]:
        self.learn()
        return self.canaries.in_files(*places)


@pytest.fixture(scope="module")
def own_emulator(services_folder: Path) -> Iterator[tuple[EmulatorProcess, Path]]:
    """With an administrator's secret that nobody else knows."""
    secret, port = canary("admin", *AROUND), services.free_port()
    service = services.start(
        "emulator",
        [sys.executable, "-m", "runai_emulator", "serve", "--port", str(port),
         "--async-delay", "0", "--state", str(services_folder / "secrets.db")],
        services_folder / "emulator-secrets",
        f"http://127.0.0.1:{port}",
        "/_emulator/health",
        {"RUNAI_EMULATOR_ADMIN_SECRET": secret},
    )  # fmt: skip
    yield EmulatorProcess(service.url, "emulator-admin", secret, service.pid), service.log
    service.stop()


@pytest.fixture(scope="module")
def provisioned(
    own_emulator: tuple[EmulatorProcess, Path],
    zenml_server: Any,
    zenml: ZenMLClient,
    tmp_path_factory: pytest.TempPathFactory,
    pulumi_engine_folder: Path,
) -> Iterator[Provisioned]:
    real, log = own_emulator
    settings: dict[str, Any] = {
        "registryPassword": canary("registry", *AROUND),
        "artifactStoreCredentials": {
            "key": canary("AKIA"), "secret": canary("artifacts", *AROUND),
        },
    }  # fmt: skip
    administrators = {"admin secret": real.admin_secret, "ZenML API key": zenml_server.api_key}
    canaries = Canaries({
        **administrators,
        "registry password": settings["registryPassword"],
        "artifact store key": settings["artifactStoreCredentials"]["key"],
        "artifact store secret": settings["artifactStoreCredentials"]["secret"],
        "passphrase": PASSPHRASE,
    })  # fmt: skip
    with ExitStack() as stack:
        runai = stack.enter_context(
            RunaiClient(real.base_url, client_id=real.admin_id, client_secret=real.admin_secret)
        )
        before_runai = stack.enter_context(Parrot(real.base_url))
        before_zenml = stack.enter_context(Parrot(zenml_server.url))
        world = stack.enter_context(
            new_world(
                tmp_path_factory.mktemp("secrets"), pulumi_engine_folder,
                dataclasses.replace(real, base_url=before_runai.url),
                dataclasses.replace(zenml_server, url=before_zenml.url),
                runai, zenml, stack="canaries", fronted=(), **settings,
            )
        )  # fmt: skip
        watch = stack.enter_context(ProcessWatch())
        outcome = world.engine.run("up", "--yes", "--logtostderr", "-v=9").succeeded()
        live = Provisioned(
            world, canaries, before_runai, before_zenml, administrators, watch, outcome,
            zenml_server, log,
        )  # fmt: skip
        live.learn()
        [stored] = [
            each["outputs"]["name"]
            for name, each in world.engine.resources().items()
            if name == "runai-credentials"
        ]
        found = zenml.secrets.find(stored, private="false")
        assert found
        assert {zenml.secrets.get(found.id).body["values"]["client_secret"]} == before_runai.secrets
        yield live
        world.fresh()


def test_the_search_finds_what_is_planted(tmp_path: Path, provisioned: Provisioned) -> None:
    import base64
    import gzip
    import json
    from urllib.parse import quote_plus

    secret = canary("planted", *AROUND)
    canaries = Canaries({"planted": secret})
    for shift in range(3):
        assert canaries.in_text(base64.b64encode(b"x" * shift + secret.encode()), "base64")
    for text in (secret, quote_plus(secret), json.dumps(json.dumps(secret)), repr(secret)):
        assert canaries.in_text(text, "text")
        assert secret not in str(canaries.in_text(text, "text"))
    assert canaries.in_text(gzip.compress(secret.encode()), "gzip")
    for tokens in (provisioned.emulator.tokens, provisioned.zenml.tokens):
        assert all(canaries.in_text(token, "of any token") for token in tokens)
    (tmp_path / "file").write_text("nothing")
    assert not canaries.in_files(tmp_path)
    with ProcessWatch() as watch:
        subprocess.run(["sh", "-c", "sleep 0.3", secret], check=True)
    assert in_command_lines(canaries, watch)


def test_state_its_history_and_the_settings_hold_no_secret(provisioned: Provisioned) -> None:
    folder = provisioned.world.engine.folder
    names = {file.name for file in (folder / "state").rglob("*") if file.is_file()}
    assert {"canaries.json", "canaries.json.bak"} <= names
    assert any(name.endswith(".history.json") for name in names)
    assert any(name.endswith(".checkpoint.json") for name in names)
    assert list((folder / "home").rglob("*.log")), "the engine's own log files"
    # All: state, home, settings, programs.
    assert not provisioned.hits(folder)
    engine = provisioned.world.engine
    for command in (("stack", "export"), ("stack", "output", "--json"), ("config", "--json")):
        shown = engine.run(*command).succeeded().output
        assert not provisioned.canaries.in_text(shown, " ".join(command))
    assert provisioned.canaries.in_text(
        engine.run("stack", "export", "--show-secrets").succeeded().output, "on demand"
    ), "the search would have found them"


def test_the_log_at_v9_holds_secrets_only_in_lines_of_the_engine(provisioned: Provisioned) -> None:
    hits, kinds = judged(provisioned, provisioned.outcome.output)
    assert not hits
    assert "runai-account" in provisioned.outcome.output
    # What docs/never-lose.md warns of; if the engine ever stops this, the warning can go.
    assert any(CONFIGURE.fullmatch(kind) for kind in kinds)


def judged(provisioned: Provisioned, log: str) -> tuple[list[str], set[str]]:
    """What is found beyond the lines of the engine, and the calls that those tell of."""
    hits, kinds = [], set()
    only_configure = Canaries(provisioned.administrators, tokens=False)
    never = Canaries({"passphrase": PASSPHRASE})
    for line in log.splitlines():
        found = provisioned.canaries.in_text(line, "the log")
        if not found:
            continue
        match = ENGINE_LINE.fullmatch(line.strip())
        if match is None or never.in_text(line, "the log"):
            hits += found
            continue
        kinds.add(match["call"])
        if not CONFIGURE.fullmatch(match["call"]):
            hits += only_configure.in_text(line, "a call that is none of its business")
    return hits, kinds


def test_no_command_line_holds_a_secret(provisioned: Provisioned) -> None:
    watch = provisioned.watch
    for parts in (("pulumi", "up"), ("pulumi-language-python",), ("dynamic",)):
        assert watch.saw(*parts), f"the watch has missed {parts}"
    assert not in_command_lines(provisioned.canaries, watch)


def test_zenml_keeps_secrets_in_its_secret_store_only(provisioned: Provisioned) -> None:
    server = provisioned.zenml_server
    hits = provisioned.canaries.in_database(server.database)
    # ZenML's own doing, for a server without an encryption key; docs/never-lose.md tells.
    assert {hit.split(" in ")[0] for hit in hits} >= {"provisioned client secret"}
    assert not without(hits, "secret.values")
    assert not [hit for hit in hits if " in base64 " not in hit], "none in clear"
    assert not provisioned.hits(server.log)


def test_the_control_plane_is_told_no_more_than_it_must_keep(provisioned: Provisioned) -> None:
    """The emulator's own log and its record of requests; its database is a test double."""
    assert not provisioned.hits(provisioned.emulator_log)
    requests = str(provisioned.world.emulator.requests())
    assert "docker-registry" in requests
    assert not provisioned.canaries.in_text(requests, "the record of requests")


COMMANDS = {
    "text": ("check", "--probe"),
    "json": ("check", "--format", "json"),
    "sarif": ("check", "--format", "sarif"),
    "junit": ("check", "--format", "junit"),
    "html": ("report", "--html", "{folder}/report.html"),
    "role": ("role", "--format", "json"),
}


@pytest.mark.parametrize("name", ["sarif", "html"])
def test_reports_of_rights_hold_no_secret(
    name: str, provisioned: Provisioned, tmp_path: Path
) -> None:
    perms(name, provisioned, tmp_path)


@pytest.mark.chaos
@pytest.mark.parametrize("name", [*COMMANDS, "trace"])
def test_every_report_and_the_request_log_hold_no_secret(
    name: str, provisioned: Provisioned, tmp_path: Path
) -> None:
    perms(name, provisioned, tmp_path)


def perms(name: str, provisioned: Provisioned, folder: Path) -> None:
    """Run a command of `runai-perms` as the administrator, its request log on."""
    runai = Path(sys.executable).with_name("runai-perms")
    command = [part.format(folder=folder) for part in COMMANDS.get(name, COMMANDS["text"])]
    command = [str(runai), *command, "--project", PROJECT]
    if name == "role":
        command = command[:-2]
    if name == "trace":
        command = [str(runai), "trace", "--output", str(folder / "trace.jsonl"), "--", *command]
    emulator = provisioned.world.emulator
    environment = {
        **provisioned.world.engine.environment,
        "RUNAI_BASE_URL": emulator.base_url,
        "RUNAI_CLIENT_ID": emulator.admin_id,
        "RUNAI_CLIENT_SECRET": emulator.admin_secret,
        "RUNAI_REQUEST_LOG": str(folder / "requests.jsonl"),
    }
    with ProcessWatch() as watch:
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ran.returncode in (0, 1), ran.stderr
    assert ran.stdout + ran.stderr
    said = Canaries.in_text(provisioned.canaries, ran.stdout + ran.stderr, "the output")
    assert not said
    assert watch.saw("runai-perms")
    assert not in_command_lines(provisioned.canaries, watch)
    assert list(folder.iterdir()) or name == "role"
    if list(folder.iterdir()):
        assert not provisioned.hits(folder)


#: A refusal that quotes what was sent, and where: (server, method, path, status).
REFUSALS = {
    "admin secret, 401": ("emulator", "POST", "/api/v2/token", 401),
    "admin secret, 500": ("emulator", "POST", "/api/v2/token", 500),
    "bearer token, 403": ("emulator", "POST", "/api/v1/service-accounts", 403),
    "bearer token, 500": ("emulator", "POST", "/api/v1/authorization/access-rules", 500),
    "registry, 400": ("emulator", "POST", "/api/v1/asset/credentials/docker-registry", 400),
    "registry, 500": ("emulator", "POST", "/api/v1/asset/credentials/docker-registry", 500),
    "admin secret, no token": ("emulator", "POST", "/api/v2/token", 200),
    "account, not what was asked": ("emulator", "POST", "/api/v1/service-accounts", 201),
    "registry, not what was asked": (
        "emulator", "POST", "/api/v1/asset/credentials/docker-registry", 201,
    ),
    "API key, no token": ("zenml", "POST", "/api/v1/login", 200),
    "ZenML secrets, not what was asked": ("zenml", "POST", "/api/v1/secrets", 200),
    "API key, 401": ("zenml", "POST", "/api/v1/login", 401),
    "API key, 500": ("zenml", "POST", "/api/v1/login", 500),
    "ZenML secrets, 403": ("zenml", "POST", "/api/v1/secrets", 403),
    "ZenML secrets, 409": ("zenml", "POST", "/api/v1/secrets", 409),
    "ZenML secrets, 500": ("zenml", "POST", "/api/v1/secrets", 500),
}  # fmt: skip


@pytest.mark.chaos
def test_a_zenml_server_with_an_encryption_key_keeps_nothing_readable(
    new_zenml_server: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    neutral = services._neutral_environment()
    key = {"ZENML_SECRETS_STORE_ENCRYPTION_KEY": token_hex(32)}
    monkeypatch.setattr(services, "_neutral_environment", lambda: {**neutral, **key})
    server = new_zenml_server("zenml-encrypting")
    value = canary("value")
    with ZenMLClient(server.url, SecretStr(server.api_key)) as zenml:
        made = zenml.secrets.create({"name": "s", "private": False, "values": {"k": value}})
        assert zenml.secrets.get(made.id).body["values"] == {"k": value}
    assert not Canaries({"value": value, "API key": server.api_key}).in_database(server.database)


@pytest.mark.chaos
@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_that_quotes_secrets_shows_none(name: str, provisioned: Provisioned) -> None:
    server, method, path, status = REFUSALS[name]
    world, parrot = provisioned.world, getattr(provisioned, server)
    world.fresh()
    refusal = parrot.refuse(method, path, status)
    try:
        outcome = world.engine.run(*UP, "--logtostderr", "-v=5").failed()
    finally:
        parrot.refusals.clear()
    assert refusal.hits
    assert not provisioned.hits(world.engine.folder)
    assert not provisioned.canaries.in_text(outcome.output, "the output")


@pytest.mark.chaos
def test_update_rotation_and_destroy_at_v11(provisioned: Provisioned) -> None:
    world = provisioned.world
    world.provision()
    world.engine.configure(rotation={"date": "2027-01"})
    log = ("--logtostderr", "-v=11")
    for command in (
        ("preview", "--refresh", "--diff", *log), (*UP, *log), ("refresh", "--yes", *log),
        ("destroy", "--yes", "--skip-preview", *log),
    ):  # fmt: skip
        outcome = world.engine.run(*command).succeeded()
        provisioned.learn()
        hits, _ = judged(provisioned, outcome.output)
        assert not hits, command
        assert not provisioned.hits(world.engine.folder), command


@pytest.mark.chaos
def test_where_the_engine_records_its_calls_on_demand(
    provisioned: Provisioned, tmp_path: Path
) -> None:
    """Files that the user asks for by name record every call in clear, as the docs warn."""
    world = provisioned.world
    world.fresh()
    trace, calls = tmp_path / "trace", tmp_path / "grpc.json"
    outcome = world.engine.run(
        *UP, "--tracing", f"file:{trace}", environment={"PULUMI_DEBUG_GRPC": str(calls)}
    ).succeeded()
    assert not provisioned.canaries.in_text(outcome.output, "the output")
    assert not provisioned.hits(world.engine.folder)
    for file in (trace, calls):
        assert provisioned.hits(file), "if these are clean one day, the warning can go"
        assert not Canaries({"passphrase": PASSPHRASE}).in_files(file)


def test_a_stack_without_secrets_in_settings_and_state_logs_none_at_all(
    provisioned: Provisioned,
) -> None:
    """Not even in the lines of the engine: what it is not given it cannot tell."""
    world, engine = provisioned.world, provisioned.world.engine
    world.fresh()
    before = set(provisioned.emulator.secrets)
    engine.configure(
        clientSecretInState=False, runaiClientId=None, runaiClientSecret=None, zenmlApiKey=None,
        registryUser=None, registryPassword=None, registryUrl=None,
        registryExistingSecret="pull-secret", artifactStoreCredentials=None,
    )  # fmt: skip
    log, environment = ("--logtostderr", "-v=9"), {
        "RUNAI_CLIENT_ID": world.emulator.admin_id,
        "RUNAI_CLIENT_SECRET": world.emulator.admin_secret,
        "ZENML_STORE_API_KEY": world.zenml_key,
    }  # fmt: skip
    said = engine.run("up", "--yes", *log, environment=environment).succeeded().output
    exported = engine.run("stack", "export", "--show-secrets").succeeded().output
    said += engine.run("destroy", "--yes", *log, environment=environment).succeeded().output

    assert len(provisioned.emulator.secrets - before) == 2, "the account's first, and the stored"
    provisioned.learn()
    assert "Marshaling property for RPC" in said
    assert not provisioned.canaries.in_text(said, "the log")
    assert "client_secret_fingerprint" in exported
    assert not provisioned.canaries.in_text(exported, "the state")
