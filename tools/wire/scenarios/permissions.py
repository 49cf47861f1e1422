"""`runai-perms check`, the command itself."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner

from runai_perms.cli import cli
from tools.wire.scenario import CURRENT, LEGACY, World, sandbox, scenario
from tools.wire.scenarios.authorization import account, grant

FEATURES = "delete_on_failure,node_pools"


def _with_role(world: World) -> None:
    """An account that holds the predefined role at the sandbox project."""
    sandbox(world)
    with world.connect() as client:
        made = account(world, client, "checked")
        grant(world, client, made.client_id)
    world.keep("checked", made.client_id, made.client_secret)


def _without(world: World) -> None:
    sandbox(world)
    with world.connect() as client:
        made = account(world, client, "unchecked")
    world.keep("checked", made.client_id, made.client_secret)


def _check(world: World, *arguments: str, admin: bool = False) -> tuple[int, dict[str, Any]]:
    """Run the command; its exit code and its JSON."""
    client_id, secret = (world.client_id, world.client_secret) if admin else world.kept("checked")
    environment = {
        "RUNAI_BASE_URL": world.base_url,
        "RUNAI_CLIENT_ID": client_id,
        "RUNAI_CLIENT_SECRET": secret,
        "RUNAI_CA_BUNDLE": None,
        "RUNAI_REQUEST_LOG": None,
    }
    command = ["check", "--project", world.project, "--features", FEATURES, "--format", "json"]
    result = CliRunner().invoke(cli, [*command, *arguments], env=environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, json.loads(result.stdout) if result.stdout else {}


@scenario("perms/check_own", CURRENT, LEGACY, prepare=_with_role, client_only=False)
def own_rights(world: World) -> None:
    """Just right: exit code 0."""
    code, _ = _check(world)
    assert code == 0


@scenario("perms/check_missing", prepare=_without, client_only=False)
def missing_rights(world: World) -> None:
    """An account without any rule: exit code 1, and each right is named."""
    code, report = _check(world)
    assert code == 1
    assert "trainings:create" in json.dumps(report)


@scenario("perms/check_subject", prepare=_with_role, client_only=False)
def of_another(world: World) -> None:
    """About another account, with the administrator's credentials."""
    client_id, _ = world.kept("checked")
    code, _ = _check(world, "--subject", client_id, admin=True)
    assert code == 0


@scenario("perms/check_probe", prepare=_with_role, client_only=False)
def probed(world: World) -> None:
    """Confirmed by harmless calls."""
    code, report = _check(world, "--probe")
    assert code == 0
    assert "probes" in json.dumps(report)
