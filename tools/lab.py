"""The lab: the emulator, a ZenML server and an S3 server, kept running between commands.

``python -m tools.lab up | down | status | env``. State (pid files, logs, databases, keys) lives in
``.lab``, which git ignores. Ports: ``LAB_EMULATOR_PORT`` (8780), ``LAB_ZENML_PORT`` (8781) and
``LAB_S3_PORT`` (8782).
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import sys
import time
from pathlib import Path

from tools import pulumi_engine, services
from tools.services import Service, ServiceError

LAB = pulumi_engine.ROOT / ".lab"
PORTS = {"emulator": 8780, "zenml": 8781, "s3": 8782}


def port_of(name: str) -> int:
    setting = f"LAB_{name.upper()}_PORT"
    value = os.environ.get(setting, "") or str(PORTS[name])
    if not value.isdigit() or not 0 < int(value) < 65536:
        raise ServiceError(f"{setting} must be a port number, not {value!r}")
    return int(value)


def up() -> dict[str, Service]:
    """Start what does not run yet; return all services by name."""
    LAB.mkdir(exist_ok=True)
    running = status()
    for name in PORTS:
        if name in running:
            continue
        port = port_of(name)
        services.check_port(name, port, f"LAB_{name.upper()}_PORT")
        started = time.monotonic()
        hint = " (its first start makes a database: about 15 s)" if name == "zenml" else ""
        print(f"[lab] starting {name} on port {port}{hint}", file=sys.stderr, flush=True)
        if name == "emulator":
            service = services.start_emulator(LAB, port, "--state", str(LAB / "emulator.sqlite"))
        elif name == "zenml":
            service = services.start_zenml(LAB, port, kept_secret("zenml-password"))
        else:
            service = services.start_s3(LAB, port)
        record = {"pid": service.pid, "url": service.url, "started": process_start(service.pid)}
        (LAB / f"{name}.pid").write_text(json.dumps(record))
        running[name] = service
        print(f"[lab] {name}: {service.url} ({time.monotonic() - started:.1f} s)", file=sys.stderr)
    if not (LAB / "zenml-api-key").exists():
        key = services.make_api_key(
            running["zenml"].url, kept_secret("zenml-password"), "provisioner"
        )
        write_private(LAB / "zenml-api-key", key)
    return running


def status() -> dict[str, Service]:
    """The services that run now, by name; records of dead ones are removed."""
    running = {}
    for name in PORTS:
        record = LAB / f"{name}.pid"
        if not record.exists():
            continue
        kept = json.loads(record.read_text())
        # A process id may have been given to another process since: compare its start time.
        if services.alive(kept["pid"]) and process_start(kept["pid"]) == kept["started"]:
            running[name] = Service(name, kept["url"], kept["pid"], LAB / f"{name}.log")
        else:
            record.unlink()
    return running


def down(*, forget: bool = False) -> None:
    """Stop all services; with `forget`, also remove their data."""
    for name, service in status().items():
        service.stop()
        (LAB / f"{name}.pid").unlink(missing_ok=True)
        print(f"[lab] stopped {name}", file=sys.stderr)
    if forget:
        shutil.rmtree(LAB, ignore_errors=True)


def environment() -> dict[str, str]:
    """What a shell needs to talk to the lab: Pulumi's, ZenML's and runai-perms' variables."""
    running = status()
    missing = [name for name in PORTS if name not in running]
    if missing:
        raise ServiceError(f"not running: {', '.join(missing)}. Start them with `make lab`")
    kept_secret("pulumi-passphrase")
    (LAB / "pulumi-state").mkdir(exist_ok=True)
    return {
        "PATH": pulumi_engine.path_with(pulumi_engine.ensure()),
        "PULUMI_BACKEND_URL": f"file://{LAB / 'pulumi-state'}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(LAB / "pulumi-passphrase"),
        "PULUMI_HOME": str(LAB / "pulumi-home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "ZENML_CONFIG_PATH": str(LAB / "zenml-client"),
        "ZENML_STORE_URL": running["zenml"].url,
        "ZENML_STORE_API_KEY": (LAB / "zenml-api-key").read_text(),
        "ZENML_ANALYTICS_OPT_IN": "false",
        "DISABLE_CREDENTIALS_DISK_CACHING": "true",
        "RUNAI_BASE_URL": running["emulator"].url,
    }


def kept_secret(name: str) -> str:
    """The secret of that name in the lab folder, made at first use."""
    path = LAB / name
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24))
    return path.read_text()


def write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text)


def process_start(pid: int) -> float:
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return 0.0


def main(arguments: list[str]) -> int:
    match arguments:
        case ["up"]:
            up()
        case ["down"]:
            down()
        case ["down", "--forget"]:
            down(forget=True)
        case ["status"]:
            running = status()
            for name in PORTS:
                service = running.get(name)
                print(f"{name:9} {service.url if service else 'stopped'}")
        case ["env"]:
            for key, value in environment().items():
                print(f"export {key}={shlex.quote(value)}")
        case _:
            print("usage: python -m tools.lab up | down [--forget] | status | env", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (ServiceError, pulumi_engine.EngineError) as error:
        sys.exit(f"[lab] {error}")
