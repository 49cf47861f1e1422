"""`pulumi up` and `destroy` by an account with exactly the rights of the profile `provisioner`."""

from __future__ import annotations

from typing import Any

import pytest

from runai_api import RunaiClient
from runai_perms import Need, Reach, load_catalogue
from runai_perms._reading import read_permission_sets
from runai_perms._role import apply, plan_role
from runai_perms._trace import summarise
from tests.engine.conftest import NewEngine

pytestmark = pytest.mark.engine

FEATURES = ("custom_role", "credentials", "delete_on_failure", "node_pools")


@pytest.fixture
def provisioner(emulator: Any) -> tuple[str, str]:
    """Two synthesised roles: account-wide what must be, the rest at the project."""
    needs = load_catalogue().needs("provisioner", FEATURES)
    with RunaiClient(
        emulator.base_url, client_id=emulator.admin_id, client_secret=emulator.admin_secret
    ) as admin:
        made = admin.service_accounts.create("provisioner")
        project = admin.projects.find("ml-team")
        assert project is not None
        for scope_type, scope_id, wide in (("tenant", "1", True), ("project", project.id, False)):
            wanted: list[Need] = [n for n in needs if (n.reach is Reach.TENANT) is wide]
            plan = plan_role(f"provisioner {scope_type}", wanted, read_permission_sets(admin))
            assert plan.cover.uncovered == ()
            role = apply(admin, plan)
            admin.access_rules.create(
                made.client_id, "service-account", role.role_id, scope_type, scope_id
            )
    return made.client_id, made.client_secret.get_secret_value()


def test_a_whole_stack_comes_and_goes(
    new_engine: NewEngine, emulator: Any, provisioner: tuple[str, str]
) -> None:
    client_id, client_secret = provisioner
    engine = new_engine(
        runaiClientId=client_id,
        runaiClientSecret=client_secret,
        role="custom",
        features=["delete_on_failure", "node_pools"],
        registryUrl="https://registry.example.com",
        registryUser="robot",
        registryPassword="registry-password",
    )
    emulator.forget_requests()
    engine.up().succeeded()
    engine.destroy().succeeded()
    trace = summarise(r for r in emulator.requests() if r["client"] == client_id)
    assert trace.requests > 10
    assert trace.unknown == {}
    assert [str(u.permission) for u in trace.uses if u.refused] == []
    needed = {p for n in load_catalogue().needs("provisioner", FEATURES) for p in n.accepted}
    assert {u.permission for u in trace.uses} <= needed
