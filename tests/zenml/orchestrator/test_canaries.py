"""No secret of a stack is to be found in what a pipeline run leaves behind, or in a command line.

The components refer to secrets of ZenML, as provisioning registers them; orchestrator, step
operator and artifact store use them for real.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.chaos.support.canaries import Canaries, ProcessWatch, canary, in_command_lines, without
from tests.zenml.orchestrator.conftest import components, register_stack

pytestmark = [pytest.mark.zenml, pytest.mark.timeout(600)]

PIPELINE = """
    @step(settings={"orchestrator": RunAIOrchestratorSettings(gpu_portion_request=0.5)})
    def train() -> Annotated[int, "number"]:
        print("a line of train")
        return 20

    @step(step_operator=True)
    def check(number: int) -> None:
        print("a line of check")
        if FAILS:
            raise ValueError("a failure of check")

    @pipeline(enable_cache=False, settings={"docker": DOCKER})
    def secretive():
        check(train())

    run = secretive.with_options(run_name=RUN)()
"""


@pytest.fixture
def canaries(lab: Any, zenml_server: Any) -> Canaries:
    """A stack of the lab's parts with secrets of its own, made active; what to search for."""
    with lab.control_plane() as admin:
        account = admin.service_accounts.create("secretive")
        role, project = admin.roles.find("AI practitioner"), admin.projects.find("ml-team")
        admin.access_rules.create(
            account.client_id, "service-account", role.id, "project", project.id
        )
    secret = account.client_secret.get_secret_value()
    s3 = {"key": canary("AKIA"), "secret": canary("artifacts", after="&+=")}
    name = f"secretive-{uuid.uuid4().hex[:8]}"
    values = {
        f"{name}-runai": {"client_id": account.client_id, "client_secret": secret},
        f"{name}-s3": s3,
    }
    for key, value in values.items():
        body = {"name": key, "private": False, "values": value}
        lab.api.call("POST", "/secrets", json=body)
    parts = json.dumps(components(lab.emulator, lab._s3))
    parts = parts.replace("{{runai.", f"{{{{{name}-runai.").replace("{{s3.", f"{{{{{name}-s3.")
    lab._stack_id = register_stack(lab.api.call, name, json.loads(parts), lab.marks)
    return Canaries({
        "client secret": secret,
        "artifact store key": s3["key"],
        "artifact store secret": s3["secret"],
        "ZenML API key": zenml_server.api_key,
    })  # fmt: skip


def objects_in(s3: Any) -> Iterator[tuple[str, bytes]]:
    client = boto3.client(
        "s3", endpoint_url=s3.url, region_name="us-east-1",
        aws_access_key_id=s3.access_key, aws_secret_access_key=s3.secret_key,
    )  # fmt: skip
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=s3.bucket):
        for entry in page.get("Contents", ()):
            found = client.get_object(Bucket=s3.bucket, Key=entry["Key"])
            yield entry["Key"], found["Body"].read()


@pytest.mark.parametrize("fails", [False, pytest.param(True, marks=pytest.mark.chaos)])
def test_a_run_leaves_no_secret_behind(
    fails: bool,
    lab: Any,
    canaries: Canaries,
    zenml_server: Any,
    s3_server: Any,
    services_folder: Path,
) -> None:
    # Other tests use the same servers.
    known = set(canaries.in_database(zenml_server.database))
    others = {name for name, _ in objects_in(s3_server)}
    with ProcessWatch() as watch:
        script = lab.start(f"    FAILS = {fails}\n{PIPELINE}")
        script.fail() if fails else script.succeed()
    assert watch.saw("zenml_runai.entrypoints"), "the pods of the workloads"
    assert not in_command_lines(canaries, watch)

    run = lab.api.run(script.run_name)
    for step in ("train", "check"):
        [attempt] = lab.api.steps(run["id"])[step]
        assert attempt["metadata"]["run_metadata"]["runai_workload_id"]
        assert bool(attempt["metadata"]["config"]["step_operator"]) == (step == "check")
        assert not canaries.in_text(json.dumps(attempt), f"the step run of {step}")
    hits = canaries.in_database(zenml_server.database)
    assert any(" in secret.values" in hit for hit in hits), "the search finds what is there"
    assert not without(set(hits) - known, "secret.values")
    assert not canaries.in_files(zenml_server.log, services_folder / "emulator")

    assert not canaries.in_files(script.log)
    workloads = lab.workloads()
    assert len(workloads) == 3, "the head and two steps"
    for workload in workloads:
        text = lab.logs(workload["id"])
        assert not canaries.in_text(text, f"the log of {workload['name']}")
    stored = {name: what for name, what in objects_in(s3_server) if name not in others}
    assert any("a line of train" in content.decode(errors="replace") for content in stored.values())
    for name, content in stored.items():
        assert not canaries.in_text(content, name)
    assert not canaries.in_text(str(lab.emulator.requests()), "the record of requests")

    # The workloads themselves carry a token of ZenML, and nothing else.
    with lab.control_plane() as client:
        specs = [client.trainings.get(each["id"]).spec for each in workloads]
    for spec in specs:
        found = [
            variable["name"]
            for variable in spec["environmentVariables"]
            if canaries.in_text(str(variable.pop("value", "")), "a variable")
        ]
        assert found == ["ZENML_STORE_API_TOKEN"]
        assert not canaries.in_text(json.dumps(spec), "the rest of the workload")
