"""Settings that change between the last `up` and a `destroy`.

The engine keeps the settings of the last `up` with the state, and without ``--run-program`` a
refresh or a destroy uses those.
"""

from __future__ import annotations

import pytest

from tests.chaos.support.world import DESTROY, World
from tests.engine.test_life_cycle import start_a_run

pytestmark = [pytest.mark.engine, pytest.mark.chaos]


def test_new_admin_credentials_reach_a_destroy(world: World) -> None:
    nothing = world.inventory()
    admin = world.runai.service_accounts.create("second-admin")
    role = world.runai.roles.find("System administrator")
    assert role
    world.runai.access_rules.create("second-admin", "service-account", role.id, "tenant", "1")
    world.engine.configure(
        runaiClientId="second-admin", runaiClientSecret=admin.client_secret.get_secret_value()
    )
    world.engine.run("up", "--yes", "--skip-preview").succeeded()
    world.runai.service_accounts.delete(admin.id)
    world.engine.configure(
        runaiClientId=world.emulator.admin_id, runaiClientSecret=world.emulator.admin_secret
    )

    refused = world.engine.run(*DESTROY).failed()
    assert "--run-program" in refused.errors

    world.engine.run(*DESTROY, "--run-program").succeeded()
    assert not world.inventory().compared_with(nothing)


def test_a_stack_in_use_is_destroyed_when_told_so(world: World) -> None:
    nothing = world.inventory()
    world.provision()
    start_a_run(world.zenml, world.engine.outputs()["zenmlStackId"], "unfinished")
    assert "--run-program" in world.engine.run(*DESTROY).failed().errors

    world.engine.configure(destroyInUse=True)
    world.engine.run(*DESTROY, "--run-program").succeeded()

    assert not world.inventory().compared_with(nothing)
