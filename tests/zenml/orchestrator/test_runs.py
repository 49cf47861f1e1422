"""Whole pipelines through a real ZenML server, S3 artifacts and the emulator's processes."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.zenml, pytest.mark.timeout(600)]

MANY_KINDS = """
    def on(**settings):
        return {"orchestrator": RunAIOrchestratorSettings(**settings)}

    @step(settings=on(gpu_devices_request=0, cpu_core_request=0.5, cpu_memory_request="512Mi"))
    def load() -> Annotated[int, "number"]:
        mark("load")
        return 2

    @step(settings=on(gpu_portion_request=0.5))
    def half(number: int) -> Annotated[int, "half"]:
        mark("half")
        print("a line of half")
        return number + 1

    @step(settings={
        "orchestrator": RunAIOrchestratorSettings(
            gpu_devices_request=0, workload_type="distributed", safe_in_several_pods=True,
            distributed=RunAIDistributedSettings(framework="PyTorch", num_workers=1))})
    def shards(number: int) -> Annotated[int, "shards"]:
        mark(f"shards-{os.environ['RANK']}-of-{os.environ['WORLD_SIZE']}")
        return number * 10

    @step(settings=on(gpu_devices_request=0))
    def join(half: int, shards: int) -> Annotated[int, "sum"]:
        mark("join")
        return half + shards

    @step(step_operator="lab-step_operator",
          settings={"step_operator": RunAIStepOperatorSettings(
              gpu_request_type="portion", gpu_portion_request=0.25)})
    def report(total: int) -> None:
        mark(f"report-{total}")

    @pipeline(settings={"docker": DOCKER})
    def kinds():
        number = load()
        report(join(half(number), shards(number)))

    run = kinds.with_options(run_name=RUN)()
"""


def test_a_pipeline_of_every_kind_of_step_and_its_cached_repetition(lab: Any) -> None:
    script = lab.start(MANY_KINDS).succeed()
    run = lab.api.run(script.run_name)
    assert run["body"]["status"] == "completed"
    assert lab.api.statuses(run["id"]) == {
        name: ["completed"] for name in ("load", "half", "shards", "join", "report")
    }
    assert lab.marked("report-23") == 1
    assert lab.marked("shards-0-of-2") == 1
    assert lab.marked("shards-1-of-2") == 1, "every pod of the distributed step has run it"

    workloads = {each["name"].split("-")[1]: each for each in lab.workloads()}
    assert set(workloads) == {"kinds", "load", "half", "shards", "join", "report"}
    lab.until(
        lambda: {each["phase"] for each in lab.workloads()} == {"Completed"}, "all have ended"
    )
    assert workloads["shards"]["type"] == "Distributed"
    with lab.control_plane() as client:
        specs = {
            name: client.trainings.get(workloads[name]["id"]).spec
            for name in ("kinds", "load", "half")
        }
    assert specs["kinds"]["compute"]["gpuDevicesRequest"] == 0
    assert specs["load"]["compute"] == {
        "gpuDevicesRequest": 0, "cpuCoreRequest": 0.5, "cpuMemoryRequest": "512Mi",
    }  # fmt: skip
    assert specs["half"]["compute"]["gpuPortionRequest"] == 0.5

    half = lab.api.steps(run["id"])["half"][0]
    metadata = half["metadata"]["run_metadata"]
    assert metadata["runai_workload_id"] == workloads["half"]["id"]
    assert workloads["half"]["id"] in metadata["runai_workload_url"]
    assert metadata["runai_gpus"] == 0.5
    assert metadata["runai_gpu_type"] == "portion"
    assert metadata["runai_node_pool"] in ("default", "a100")
    assert metadata["runai_pending_seconds"] >= 0
    assert metadata["runai_running_seconds"] > 0
    assert metadata["runai_gpu_seconds"] == pytest.approx(
        0.5 * metadata["runai_running_seconds"], abs=0.1
    )
    on_operator = lab.api.steps(run["id"])["report"][0]["metadata"]["run_metadata"]
    assert on_operator["runai_gpus"] == 0.25
    assert on_operator["runai_gpu_seconds"] > 0
    of_run = lab.api.run(run["id"])["metadata"]["run_metadata"]
    assert of_run["runai_gpu_seconds"] == pytest.approx(
        metadata["runai_gpu_seconds"] + on_operator["runai_gpu_seconds"], abs=0.11
    )
    assert of_run["runai_head_id"] == workloads["kinds"]["id"]
    assert workloads["kinds"]["id"] in of_run["orchestrator_url"]
    logs = lab.api.call("GET", f"/steps/{half['id']}/logs", params={"source": "step"})
    assert any("a line of half" in str(line) for line in logs)

    lab.emulator.forget_requests()
    again = lab.start(MANY_KINDS).succeed()
    run = lab.api.run(again.run_name)
    statuses = lab.api.statuses(run["id"])
    assert run["body"]["status"] == "completed"
    assert {status for attempts in statuses.values() for status in attempts} == {"cached"}
    submissions = [r for r in lab.emulator.requests() if r["method"] == "POST"]
    assert not [r for r in submissions if "workloads" in r["path"]], "nothing ran"


def test_failures_retries_and_what_depends_on_them(lab: Any) -> None:
    script = lab.start("""
        settings = {"orchestrator": RunAIOrchestratorSettings(gpu_devices_request=0)}

        @step(retry=StepRetryConfig(max_retries=2, delay=1, backoff=2))
        def flaky() -> int:
            if mark("flaky") < 2:
                raise ConnectionError("not yet")
            return 1

        @step
        def after_flaky(number: int) -> None:
            mark("after_flaky")

        @step
        def broken() -> int:
            mark("broken")
            raise KeyError("the key that is not there")

        @step
        def after_broken(number: int) -> None:
            mark("after_broken")

        @pipeline(enable_cache=False, settings={"docker": DOCKER, **settings})
        def failing():
            after_flaky(flaky())
            after_broken(broken())

        failing.with_options(run_name=RUN)()
    """).fail()
    assert "step `broken` failed: KeyError: 'the key that is not there'" in script.words
    run = lab.api.run(script.run_name)
    assert run["body"]["status"] == "failed"
    assert lab.api.statuses(run["id"]) == {
        "flaky": ["retried", "completed"],
        "after_flaky": ["completed"],
        "broken": ["failed"],
    }
    assert lab.marked("flaky") == 2
    assert lab.marked("after_broken") == 0
    flaky = lab.api.steps(run["id"])["flaky"]
    ids = {attempt["metadata"]["run_metadata"]["runai_workload_id"] for attempt in flaky}
    assert len(ids) == 2, "each attempt has a workload of its own"
    phases = sorted(each["phase"] for each in lab.workloads() if "zenml-flaky" in each["name"])
    assert phases == ["Completed", "Failed"]
    head = lab.workload("failing")
    lab.until(lambda: lab.workload("failing")["phase"] in ("Failed", "Completed"), "head ends")
    assert "exceeded" not in lab.logs(head["id"])


def test_single_mode_runs_everything_in_one_workload(lab: Any) -> None:
    script = lab.start("""
        @step(settings={"orchestrator": RunAIOrchestratorSettings(gpu_portion_request=0.25)})
        def first() -> int:
            return mark("first")

        @step(retry=StepRetryConfig(max_retries=1, delay=0))
        def second(number: int) -> int:
            if mark("second") < 2:
                raise OSError("once")
            return number + 1

        @step
        def fails(number: int) -> int:
            raise ValueError("never")

        @step
        def skipped(number: int) -> None:
            mark("skipped")

        @pipeline(enable_cache=False, settings={
            "docker": DOCKER,
            "orchestrator": RunAIOrchestratorSettings(
                mode="single", gpu_devices_request=1, gpu_portion_request=0.5,
                gpu_request_type="portion", cpu_core_request=2.0, cpu_memory_request="4G")})
        def single():
            number = second(first())
            skipped(fails(number))

        single.with_options(run_name=RUN)()
    """).fail()
    assert "step `fails` failed: ValueError: never" in script.words
    run = lab.api.run(script.run_name)
    assert lab.api.statuses(run["id"]) == {
        "first": ["completed"],
        "second": ["retried", "completed"],
        "fails": ["failed"],
    }
    assert lab.marked("skipped") == 0
    (workload,) = lab.workloads()
    with lab.control_plane() as client:
        compute = client.trainings.get(workload["id"]).spec["compute"]
    assert compute == {
        "gpuDevicesRequest": 1, "gpuRequestType": "portion", "gpuPortionRequest": 0.5,
        "cpuCoreRequest": 2.0, "cpuMemoryRequest": "4G",
    }  # fmt: skip
    assert len(set(lab.pids("first") + lab.pids("second"))) == 1


def test_dynamic_pipelines_run_inline_and_isolated_steps(lab: Any) -> None:
    script = lab.start("""
        @step
        def inline() -> int:
            mark("inline")
            return 3

        @step(runtime="isolated",
              settings={"orchestrator": RunAIOrchestratorSettings(gpu_devices_request=0)})
        def isolated(number: int) -> int:
            mark("isolated")
            return number * 2

        @step(settings={"orchestrator": RunAIOrchestratorSettings(gpu_portion_request=0.5)})
        def by_settings(number: int) -> int:
            mark("by_settings")
            return number + 1

        @pipeline(dynamic=True, enable_cache=False, settings={"docker": DOCKER},
                  depends_on=[isolated, by_settings])
        def dynamic():
            number = inline()
            if number.load() == 3:
                by_settings(isolated(number))

        dynamic.with_options(run_name=RUN)()
    """).succeed()
    run = lab.api.run(script.run_name)
    assert run["body"]["status"] == "completed"
    assert lab.api.statuses(run["id"]) == {
        "inline": ["completed"], "isolated": ["completed"], "by_settings": ["completed"],
    }  # fmt: skip
    names = sorted(each["name"].split("-")[1] for each in lab.workloads())
    assert names == ["by", "dynamic", "isolated"]
    with lab.control_plane() as client:
        spec = client.trainings.get(lab.workload("by-settings")["id"]).spec
    assert spec["compute"]["gpuPortionRequest"] == 0.5
    metadata = lab.api.steps(run["id"])["by_settings"][0]["metadata"]["run_metadata"]
    assert metadata["runai_gpu_seconds"] > 0


def test_a_step_that_serves_is_an_inference_workload(lab: Any) -> None:
    script = lab.start("""
        import http.server

        @step
        def train() -> str:
            return "a model"

        @step(settings={"orchestrator": RunAIOrchestratorSettings(
            workload_type="inference", gpu_devices_request=0,
            inference=RunAIInferenceSettings(
                serving_port=RunAIServingPortSettings(container=18765)))})
        def serve(model: str) -> None:
            class Handler(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.write(model.encode())
            port = int(os.environ.get("PORT", "18765"))
            http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()

        @pipeline(enable_cache=False, settings={
            "docker": DOCKER, "orchestrator": RunAIOrchestratorSettings(gpu_devices_request=0)})
        def serving():
            serve(train())

        serving.with_options(run_name=RUN)()
    """).succeed()
    run = lab.api.run(script.run_name)
    assert lab.api.statuses(run["id"]) == {"train": ["completed"], "serve": ["completed"]}
    workload = lab.workload("serve")
    assert workload["type"] == "Inference"
    assert workload["phase"] == "Running", "it serves on after the run"
    metadata = lab.api.steps(run["id"])["serve"][0]["metadata"]["run_metadata"]
    assert metadata["runai_service_urls"] == list(workload["urls"])


@pytest.mark.chaos
def test_a_control_plane_up_to_2_23_runs_pipelines_too(lab: Any, emulator_legacy: Any) -> None:
    stack = lab.stack(
        orchestrator={
            "runai_base_url": emulator_legacy.base_url,
            "client_id": emulator_legacy.admin_id,
            "client_secret": emulator_legacy.admin_secret,
        }
    )
    script = lab.start(
        """
        @step
        def only() -> None:
            mark("only")

        @pipeline(enable_cache=False, settings={
            "docker": DOCKER, "orchestrator": RunAIOrchestratorSettings(gpu_devices_request=0)})
        def legacy():
            only()

        legacy.with_options(run_name=RUN)()
        """,
        ZENML_ACTIVE_STACK_ID=stack,
    )
    script.succeed()
    assert lab.marked("only") == 1
    assert lab.workloads() == [], "they ran on the other one"
