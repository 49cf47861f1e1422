"""The orchestrator runs a pipeline with exactly the rights that the catalogue says it needs."""

from __future__ import annotations

from typing import Any

import pytest

from runai_api import RunaiClient
from runai_perms import load_catalogue
from runai_perms._reading import read_permission_sets
from runai_perms._role import apply, plan_role
from runai_perms._trace import summarise

pytestmark = [pytest.mark.zenml, pytest.mark.timeout(600)]

FEATURES = ("node_pools", "distributed")
PIPELINE = """
    @step(settings={"orchestrator": RunAIOrchestratorSettings(
        gpu_portion_request=0.5, node_pools=["a100"])})
    def train() -> Annotated[int, "number"]:
        return 20

    @step(settings={"orchestrator": RunAIOrchestratorSettings(
        gpu_devices_request=0, workload_type="distributed", safe_in_several_pods=True,
        distributed=RunAIDistributedSettings(framework="PyTorch", num_workers=1))})
    def shards(number: int) -> Annotated[int, "sum"]:
        return number + 1

    @pipeline(settings={"docker": DOCKER})
    def exact():
        shards(train())

    run = exact.with_options(run_name=RUN)()
"""


def test_a_pipeline_runs_with_exactly_the_needed_rights(lab: Any, emulator: Any) -> None:
    needs = load_catalogue().needs("orchestrator", FEATURES)
    with RunaiClient(
        emulator.base_url, client_id=emulator.admin_id, client_secret=emulator.admin_secret
    ) as admin:
        plan = plan_role("exact orchestrator", needs, read_permission_sets(admin))
        assert plan.cover.uncovered == ()
        account = admin.service_accounts.create("exact-orchestrator")
        project = admin.projects.find("ml-team")
        assert project is not None
        admin.access_rules.create(
            account.client_id,
            "service-account",
            apply(admin, plan).role_id,
            "project",
            project.id,
        )
    call = lab.api.call
    secret = call("GET", "/secrets", params={"name": "runai"})["items"][0]["id"]
    before = call("GET", f"/secrets/{secret}")["body"]["values"]
    values = {
        "client_id": account.client_id,
        "client_secret": account.client_secret.get_secret_value(),
    }
    call("PUT", f"/secrets/{secret}", json={"values": values})
    try:
        emulator.forget_requests()
        script = lab.start(PIPELINE).succeed()
        run = lab.api.run(script.run_name)
        assert run["body"]["status"] == "completed"
    finally:
        call("PUT", f"/secrets/{secret}", json={"values": before})
    trace = summarise(r for r in emulator.requests() if r["client"] == account.client_id)
    assert trace.requests > 5
    assert trace.unknown == {}
    assert [str(u.permission) for u in trace.uses if u.refused] == []
    assert {u.permission for u in trace.uses} <= {p for n in needs for p in n.accepted}
