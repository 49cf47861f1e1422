"""Service accounts and, on the older control plane, applications."""

from __future__ import annotations

from runai_api import Conflict, NotFound, RunaiClient
from tools.wire.scenario import CURRENT, LEGACY, World, raises, scenario


def _life_cycle(world: World, client: RunaiClient, family_name: str) -> None:
    family = getattr(client, family_name)
    made = family.create(world.name("account"))
    world.undo(lambda admin: getattr(admin, family_name).delete(made.id))
    assert made.name == world.name("account")

    found = family.find(made.name)
    assert found is not None
    assert found.id == made.id
    assert found.client_id == made.client_id
    assert found.id in {account.id for account in family.list()}

    family.set_enabled(made.id, False)
    assert family.get(made.id).enabled is False
    family.set_enabled(made.id, True)
    assert family.get(made.id).enabled is True

    assert family.regenerate_secret(made.id).get_secret_value()
    family.delete(made.id)
    with raises(NotFound):
        family.get(made.id)


@scenario("service_accounts/life_cycle")
def service_account(world: World) -> None:
    with world.connect() as client:
        _life_cycle(world, client, "service_accounts")


@scenario("service_accounts/name_taken")
def name_taken(world: World) -> None:
    with world.connect() as client:
        made = client.service_accounts.create(world.name("twice"))
        world.undo(lambda admin: admin.service_accounts.delete(made.id))
        with raises(Conflict) as caught:
            client.service_accounts.create(world.name("twice"))
        assert caught[0].status == 409
        client.service_accounts.delete(made.id)


@scenario("service_accounts/rotated_secret")
def rotated_secret(world: World) -> None:
    """The account itself logs in, with the secret of its creation and with a new one."""
    with world.connect() as client:
        made = client.service_accounts.create(world.name("rotated"))
        world.undo(lambda admin: admin.service_accounts.delete(made.id))
        with world.connect(made.client_id, made.client_secret) as account:
            assert account.access_rules.mine() == []
        renewed = client.service_accounts.regenerate_secret(made.id)
        with world.connect(made.client_id, renewed) as account:
            assert account.permissions.mine() == []
        client.service_accounts.delete(made.id)


@scenario("applications/life_cycle", LEGACY, CURRENT)
def application(world: World) -> None:
    with world.connect() as client:
        _life_cycle(world, client, "applications")
