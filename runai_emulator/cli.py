"""``runai-emulator``: start the emulator."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import click

from ._constants import (
    DEFAULT_ADMIN_ID,
    DEFAULT_ADMIN_SECRET,
    DEFAULT_ASYNC_DELAY,
    DEFAULT_HOST,
    DEFAULT_PORT,
    DEFAULT_SCRIPT,
    DEFAULT_TOKEN_LIFETIME,
    DEFAULT_VERSION,
    VERSIONS,
)


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """A local NVIDIA Run:ai control plane for development and tests."""


@main.command()
@click.option("--host", default=DEFAULT_HOST, show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=DEFAULT_PORT,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port; 0 takes a free one, which the ready line names.",
)
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    help="SQLite file that keeps everything across restarts.  [default: in memory]",
)
@click.option(
    "--version",
    default=DEFAULT_VERSION,
    show_default=True,
    type=click.Choice(VERSIONS),
    help="Version of the control plane to be.",
)
@click.option(
    "--admin-id",
    default=DEFAULT_ADMIN_ID,
    show_default=True,
    envvar="RUNAI_EMULATOR_ADMIN_ID",
    help="Client id of the administrator.",
)
@click.option(
    "--admin-secret",
    default=DEFAULT_ADMIN_SECRET,
    envvar="RUNAI_EMULATOR_ADMIN_SECRET",
    help="Client secret of the administrator; better given by RUNAI_EMULATOR_ADMIN_SECRET, "
    f"because arguments can be read in process lists.  [default: {DEFAULT_ADMIN_SECRET}]",
)
@click.option(
    "--async-delay",
    default=DEFAULT_ASYNC_DELAY,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds until asynchronous states settle (Creating to Ready); 0: at once.",
)
@click.option(
    "--token-lifetime",
    default=float(DEFAULT_TOKEN_LIFETIME),
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds until access tokens expire.",
)
@click.option(
    "--hide-forbidden",
    is_flag=True,
    help="Answer 404 instead of 403 for existing objects out of reach.",
)
@click.option(
    "--executor",
    type=click.Choice(["simulate", "process"]),
    help="How workloads run: by script, or as local processes of their command and args. "
    "Processes run with your rights.  [default: process on loopback, else simulate]",
)
@click.option(
    "--script",
    default=DEFAULT_SCRIPT,
    show_default=True,
    help="What a simulated workload does, e.g. Pending=2,Running=10,Failed:OOMKilled.",
)
@click.option(
    "--allow-env",
    multiple=True,
    metavar="NAME",
    help="Variable of this environment that processes inherit; may be repeated. They get PATH, "
    "HOME and nothing else by themselves.",
)
@click.option(
    "--work-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for homes and logs of processes.  [default: temporary, removed at the end]",
)
@click.option("--log-level", default="warning", show_default=True, help="Level of server logs.")
def serve(
    host: str,
    port: int,
    state: Path | None,
    version: str,
    admin_id: str,
    admin_secret: str,
    async_delay: float,
    token_lifetime: float,
    hide_forbidden: bool,
    executor: str | None,
    script: str,
    allow_env: tuple[str, ...],
    work_dir: Path | None,
    log_level: str,
) -> None:
    """Serve the control plane until interrupted.

    The first line on stdout says when it is ready and where.
    """
    from .app import create_app
    from .cluster.engine import ClusterSettings
    from .server import serve as run

    if executor is None:
        executor = "process" if is_loopback(host) else "simulate"
    if not is_loopback(host):
        click.echo(
            f"Warning: {host} is not a loopback address. The admin routes need no token, and "
            "whoever reaches this port controls the emulator"
            + (" and runs commands on this machine." if executor == "process" else "."),
            err=True,
        )
    try:
        app = create_app(
            version=version,
            state=state,
            admin_id=admin_id,
            admin_secret=admin_secret,
            async_delay=async_delay,
            token_lifetime=token_lifetime,
            hide_forbidden=hide_forbidden,
            cluster=ClusterSettings(executor, script, allow_env, work_dir),
        )
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    try:
        run(app, host, port, log_level)
    except OSError as error:
        app.emulator.close()
        raise click.ClickException(
            f"Cannot listen on {host}:{port}: {error.strerror or error}. Choose another --port, "
            "or --port 0 for a free one."
        ) from error


@main.command()
@click.option(
    "--version",
    type=click.Choice(VERSIONS),
    help="Only what this version of the control plane serves.  [default: every version]",
)
@click.option(
    "--format",
    "form",
    default="markdown",
    show_default=True,
    type=click.Choice(["markdown", "json"]),
)
def routes(version: str | None, form: str) -> None:
    """List every route: the right it needs, and how sure that is.

    The certainty is `documented` (public documentation says so), `observed` (seen in a public
    client or capture) or `inferred` (our reading).
    """
    from .endpoints import endpoint_table, route_table

    table = endpoint_table(version)
    if form == "markdown":
        click.echo(route_table(table))
        return
    import json
    from dataclasses import asdict

    click.echo(json.dumps([asdict(endpoint) for endpoint in table], indent=2))
