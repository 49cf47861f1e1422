"""Registry credentials."""

from __future__ import annotations

from runai_api import Conflict, NotFound, RunaiClient
from tools.wire.scenario import World, raises, sandbox, scenario


@scenario("credentials/life_cycle", prepare=sandbox)
def credential(world: World) -> None:
    with world.connect() as client:
        arguments = {
            "user": "robot",
            "password": "a-password-nobody-has",
            "url": "https://registry.example.com",
            "description": "Made by a recording.",
        }
        made = client.registry_credentials.create(world.name("pull"), world.project_id, **arguments)
        world.undo(lambda admin: admin.registry_credentials.delete(made.id))
        ready = client.registry_credentials.wait_ready(made)
        assert ready.kubernetes_secret_name

        found = client.registry_credentials.find(made.name, world.project_id)
        assert found is not None
        assert found.id == made.id
        assert found.spec.user == "robot"
        with raises(Conflict):
            client.registry_credentials.create(world.name("pull"), world.project_id, **arguments)

        client.registry_credentials.update(made.id, description="Changed by a recording.")
        changed = client.registry_credentials.get(made.id)
        assert changed.meta.description == "Changed by a recording."

        client.registry_credentials.delete(made.id)
        world.until(lambda: _exists(client, made.id), lambda there: not there)


@scenario("credentials/generic_secret", prepare=sandbox)
def generic_secret(world: World) -> None:
    with world.connect() as client:
        made = client.generic_secrets.create(
            world.name("tokens"), world.project_id, {"KEY": "a-value-nobody-has"}
        )
        world.undo(lambda admin: admin.generic_secrets.delete(made.id))
        assert client.generic_secrets.wait_ready(made).kubernetes_secret_name
        found = client.generic_secrets.find(made.name, world.project_id)
        assert found is not None
        assert found.id == made.id
        client.generic_secrets.delete(made.id)


def _exists(client: RunaiClient, credential_id: str) -> bool:
    try:
        client.registry_credentials.get(credential_id)
    except NotFound:
        return False
    return True
