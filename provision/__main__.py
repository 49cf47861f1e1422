"""``python -m provision``: commands beside the Pulumi program."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys

import click

from provision.adoption import Plan, find_stacks, plan
from provision.errors import ProvisionError
from provision.zenml_errors import ZenMLError
from provision.zenml_rest import ZenMLClient
from runai_api import RunaiClient, RunaiError

EPILOG = """\b
Examples:
  python -m provision adopt                 list the ZenML stacks that can be adopted
  python -m provision adopt by-hand         show the configuration for one of them
  python -m provision adopt by-hand --apply set it on the selected Pulumi stack

\b
Exit codes: 0 done, 1 refused or failed, 2 usage.

\b
Credentials: RUNAI_BASE_URL, RUNAI_CLIENT_ID, RUNAI_CLIENT_SECRET, RUNAI_CA_BUNDLE of an
administrator; ZENML_STORE_URL, ZENML_STORE_API_KEY.
"""


@click.group(epilog=EPILOG, no_args_is_help=True)
def cli() -> None:
    """Commands beside the Pulumi program."""


@cli.command(epilog=EPILOG)
@click.argument("stack", required=False)
@click.option("--apply", is_flag=True, help="Run the commands on the selected Pulumi stack.")
def adopt(stack: str | None, apply: bool) -> None:
    """Take over what was made by hand: a ZenML stack, and what it uses on Run:ai.

    Without STACK it lists the ZenML stacks for Run:ai. With STACK it prints the `pulumi config`
    commands with which the next `pulumi up` adopts the stack and all that belongs to it, and says
    what will not stay as it is. Nothing is written to either server.
    """
    if apply and not stack:
        raise click.UsageError("--apply needs the name of a ZenML stack.")
    try:
        with _zenml() as zenml:
            if not stack:
                _list(zenml)
                return
            with RunaiClient.from_environment() as runai:
                found = plan(runai, zenml, stack)
    except (ProvisionError, RunaiError, ZenMLError) as error:
        raise click.ClickException(str(error)) from None
    _show(found)
    if apply:
        _apply(found)


def _zenml() -> ZenMLClient:
    from pydantic import SecretStr

    url, key = (os.environ.get(name) for name in ("ZENML_STORE_URL", "ZENML_STORE_API_KEY"))
    if not url or not key:
        raise click.UsageError("Set ZENML_STORE_URL and ZENML_STORE_API_KEY.")
    return ZenMLClient(url, SecretStr(key))


def _list(zenml: ZenMLClient) -> None:
    stacks = find_stacks(zenml)
    if not stacks:
        click.echo("No ZenML stack has a component for Run:ai.", err=True)
    for found in stacks:
        state = f"belongs to {found.owner}" if found.owner else "can be adopted"
        click.echo(f"{found.name}\tproject {found.project}\t{state}")


def _show(found: Plan) -> None:
    for arguments, secret in found.commands():
        suffix = "   # reads the value from standard input" if secret else ""
        click.echo(f"pulumi {shlex.join(arguments)}{suffix}")
    for note in found.notes:
        click.echo(f"note: {note}", err=True)


def _apply(found: Plan) -> None:
    pulumi = shutil.which("pulumi")
    if pulumi is None:
        raise click.ClickException("pulumi is not on PATH.")
    for arguments, secret in found.commands():
        ran = subprocess.run(
            [pulumi, *arguments, "--non-interactive"],
            input=secret.get_secret_value() if secret else "",
            text=True,
            capture_output=True,
        )
        if ran.returncode:
            raise click.ClickException(f"pulumi {shlex.join(arguments)}: {ran.stderr.strip()}")
    click.echo("Set. Look at it with `pulumi preview`; `pulumi up` adopts.", err=True)


if __name__ == "__main__":
    sys.exit(cli(prog_name="python -m provision"))
