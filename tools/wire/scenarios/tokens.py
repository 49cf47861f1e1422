"""Logging in."""

from __future__ import annotations

from runai_api import AuthenticationFailed, ControlPlaneVersion
from tools.wire.scenario import CURRENT, LEGACY, World, raises, scenario


@scenario("tokens/login", CURRENT, LEGACY)
def login(world: World) -> None:
    with world.connect() as client:
        assert client.version is ControlPlaneVersion(world.version)


@scenario("tokens/wrong_secret", CURRENT, LEGACY)
def wrong_secret(world: World) -> None:
    with world.connect(client_secret="not-the-secret") as client:
        with raises(AuthenticationFailed) as caught:
            client.permissions.mine()
        assert "client_secret" in str(caught[0].hint)


@scenario("tokens/disabled_account")
def disabled_account(world: World) -> None:
    """A disabled account gets no token."""
    with world.connect() as client:
        made = client.service_accounts.create(world.name("off"))
        world.undo(lambda admin: admin.service_accounts.delete(made.id))
        client.service_accounts.set_enabled(made.id, False)
        disabled = world.connect(made.client_id, made.client_secret)
        with disabled, raises(AuthenticationFailed):
            disabled.permissions.mine()
        client.service_accounts.delete(made.id)
