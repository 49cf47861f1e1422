"""What cannot work is refused before anything is submitted, with a reason and a remedy."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = [pytest.mark.zenml, pytest.mark.timeout(600)]

SETTINGS = """
    from zenml.config.schedule import Schedule
    found = {}

    def attempt(name, pipeline, **options):
        try:
            pipeline.with_options(**options)()
            found[name] = "ran"
        except BaseException as error:
            found[name] = f"{type(error).__name__}: {error}"

    def one_step(outputs=False, mode="per_step", **settings):
        on = {"orchestrator": RunAIOrchestratorSettings(**settings)}
        if outputs:
            @step(settings=on)
            def trainer() -> int:
                return 1
        else:
            @step(settings=on)
            def trainer() -> None:
                pass

        @pipeline(enable_cache=False, settings={
            "docker": DOCKER, "orchestrator": RunAIOrchestratorSettings(mode=mode)})
        def refused():
            trainer()
        return refused

    attempt("quota", one_step(gpu_devices_request=900, gpu_request_type="device",
                              preemptibility="non-preemptible"))
    attempt("pool", one_step(gpu_portion_request=0.5, node_pools=["a10"]))
    attempt("inference", one_step(workload_type="inference", outputs=True))
    attempt("single inference", one_step(workload_type="inference", mode="single"))
    attempt("pods", one_step(workload_type="distributed"))
    attempt("schedule", one_step(), schedule=Schedule(cron_expression="0 3 * * *"))
    import json
    print("FOUND" + json.dumps(found))
"""


def found_in(output: str) -> dict[str, str]:
    line = next(line for line in output.splitlines() if line.startswith("FOUND"))
    return dict(json.loads(line.removeprefix("FOUND")))


def test_settings_that_can_never_run(lab: Any) -> None:
    found = found_in(lab.start(SETTINGS).succeed().output)
    assert found["quota"].startswith("RunAIQuotaExceeded: Step `trainer` can never start in")
    assert "900 GPU asked for, the quota for non-preemptible workloads is" in found["quota"]
    assert "Raise the project's quota" in found["quota"]
    assert "'a10'" in found["pool"]
    assert "Did you mean 'a100'?" in found["pool"]
    assert "can never store its output(s) 'output'" in found["inference"]
    assert "mode='single' runs all steps in one training workload" in found["single inference"]
    assert "safe_in_several_pods=True" in found["pods"]
    assert "does not support scheduling" in found["schedule"]
    assert lab.workloads() == []


def test_stacks_and_configurations_that_cannot_work(lab: Any) -> None:
    variants = {
        "no such project": lab.stack(orchestrator={"project_name": "ml-taem"}),
        "wrong cluster": lab.stack(orchestrator={"cluster_name": "elsewhere"}),
        "wrong secret": lab.stack(orchestrator={"client_secret": "wrong-secret"}),
        "missing secret": lab.stack(orchestrator={"client_secret": "{{nowhere.client_secret}}"}),
        "wrong url": lab.stack(orchestrator={"runai_base_url": "http://127.0.0.1:9"}),
        "no registry": lab.stack(without=["container_registry"]),
        "local artifacts": lab.stack(artifact_store=("local", {})),
    }
    script = lab.start(f"""
        import json
        from zenml.client import Client
        del os.environ["ZENML_ACTIVE_STACK_ID"]
        found = {{}}

        @step
        def trainer() -> None:
            pass

        @pipeline(enable_cache=False, settings={{"docker": DOCKER}})
        def refused():
            trainer()

        for name, stack in json.loads({json.dumps(json.dumps(variants))}).items():
            try:
                Client().activate_stack(stack)
                refused()
                found[name] = "ran"
            except BaseException as error:
                found[name] = f"{{type(error).__name__}}: {{error}}"
        print("FOUND" + json.dumps(found))
    """)
    found = found_in(script.succeed().output)
    expected = {
        "no such project": ("RunAIProjectNotFound", "ml-taem", "Did you mean ml-team?"),
        "wrong cluster": ("RunAIClusterNotFound", "elsewhere", "Correct cluster_name"),
        "wrong secret": ("RunAIAuthenticationError", "Check client_id and client_secret"),
        "missing secret": ("nowhere",),
        "wrong url": ("RunAIControlPlaneError", "runai_base_url"),
        "no registry": ("StackValidationError", "CONTAINER_REGISTRY"),
        "local artifacts": ("StackValidationError", "Use a remote artifact store"),
    }
    for name, parts in expected.items():
        for part in parts:
            assert part.lower() in found[name].lower(), (name, found[name])
    assert lab.workloads() == []


def test_a_service_connector_replaces_the_configured_credentials(lab: Any) -> None:
    stack = lab.stack(orchestrator={"client_id": "unused", "client_secret": "unused"})
    script = lab.start(
        f"""
        from zenml.client import Client
        from zenml.models import ServiceConnectorResponse
        import zenml_runai.service_connector
        client = Client()
        connector, resources = client.create_service_connector(
            name="runai-" + RUN, connector_type="nvidia_runai", auth_method="client-credentials",
            resource_type="nvidia-runai", verify=True, configuration={{
                "runai_base_url": "{lab.emulator.base_url}",
                "client_id": "{lab.emulator.admin_id}",
                "client_secret": "{lab.emulator.admin_secret}"}})
        assert resources.resources[0].resource_ids == ["{lab.emulator.base_url}"]
        orchestrator = client.active_stack_model.components["orchestrator"][0]
        client.update_stack_component(
            name_id_or_prefix=orchestrator.id, component_type="orchestrator",
            connector_id=connector.id)
        session = client.active_stack.orchestrator.session
        assert session.control_plane.target().project_id
        try:
            client.create_service_connector(
                name="wrong-" + RUN, connector_type="nvidia_runai",
                auth_method="client-credentials", resource_type="nvidia-runai", verify=True,
                configuration={{"runai_base_url": "{lab.emulator.base_url}",
                               "client_id": "nobody", "client_secret": "nothing-at-all"}})
        except Exception as error:
            print("REFUSED", type(error).__name__, error)
    """,
        ZENML_ACTIVE_STACK_ID=stack,
    )
    output = script.succeed().output
    assert "REFUSED" in output
    assert "nothing-at-all" not in output
