"""Workloads on the wire and their life, simulated on a clock that the tests move."""

from __future__ import annotations

import pytest

WORKLOADS = "/api/v1/workloads"


def _script(steps):
    return {"annotations": [{"name": "runai-emulator/script", "value": steps}]}


def _gpus(devices, **spec):
    return {"compute": {"gpuDevicesRequest": devices}} | spec


def _phases(plane, key):
    records = plane.admin.get(f"{WORKLOADS}/{key}/history?limit=500").json()["records"]
    return [
        record["spec"]["phaseUpdate"]["phase"]
        for record in records
        if record["meta"]["type"] == "PhaseUpdate"
    ]


def _reasons(plane, key):
    events = plane.admin.get(f"{WORKLOADS}/{key}/events?sortOrder=asc").json()["events"]
    return [event["reason"] for event in events]


# -- creation --------------------------------------------------------------------------------------


def test_the_typed_and_the_generic_view_tell_the_same(plane):
    key = plane.submit(name="one", spec=_gpus(1, args="--x 1"))
    typed = plane.admin.get(f"{WORKLOADS}/trainings/{key}").json()
    generic = plane.workload(key)
    assert typed["workloadId"] == generic["id"] == key
    assert typed["actualPhase"] == generic["phase"] == "Running"
    assert typed["desiredPhase"] == "Running"
    assert typed["name"] == typed["requestedName"] == generic["name"] == "one"
    assert generic["type"] == "Training"
    assert generic["projectName"] == "ml-team"
    assert generic["arguments"] == "--x 1"
    assert generic["allocatedResources"]["gpu"] == 1
    assert generic["runningPods"] == 1
    assert not {"id", "phase", "status"} & set(typed)


def test_a_prefix_makes_names_unique(plane):
    names = set()
    for _ in range(3):
        key = plane.submit(name="step", useGivenNameAsPrefix=True)
        typed = plane.admin.get(f"{WORKLOADS}/trainings/{key}").json()
        assert typed["requestedName"] == "step"
        assert typed["name"].startswith("step-")
        names.add(typed["name"])
    assert len(names) == 3


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"name": "taken"}, 409),
        ({"name": "Upper"}, 400),
        ({"name": "x" * 64}, 400),
        ({"name": None}, 400),
        ({"projectId": "9"}, 400),
        ({"projectId": 1001}, 400),
        ({"clusterId": None}, 400),
        ({"clusterId": "other"}, 400),
        ({"spec": None}, 400),
        ({"spec": {"command": "true"}}, 400),
        ({"spec": {"image": "i", "nodePools": ["nope"]}}, 400),
        ({"spec": {"image": "i", "backoffLimit": -1}}, 400),
        ({"spec": {"image": "i", "priorityClass": "urgent"}}, 400),
        ({"spec": {"image": "i", "environmentVariables": [{"name": "A"}]}}, 400),
        ({"spec": {"image": "i", "environmentVariables": [{"value": "A"}]}}, 400),
        ({"spec": {"image": "i", "compute": {"gpuDevicesRequest": "1"}}}, 400),
        ({"spec": {"image": "i", "compute": {"cpuMemoryRequest": "lots"}}}, 400),
        ({"spec": {"image": "i", "compute": {"gpuPortionRequest": 0.5}}}, 400),
        (
            {
                "spec": {
                    "image": "i",
                    "compute": {
                        "gpuRequestType": "portion",
                        "gpuPortionRequest": 0.5,
                        "gpuPortionLimit": 0.2,
                    },
                }
            },
            400,
        ),
        ({"spec": {"image": "i", "storage": {"pvc": [{"path": "/a"}]}}}, 400),
        ({"spec": {"image": "i", "storage": {"nfs": [{"path": "/a"}]}}}, 400),
        ({"spec": {"image": "i", "parallelism": 3, "completions": 2}}, 400),
        ({"spec": {"image": "i"} | _script("Flying=3")}, 400),
        ({"templateId": "nope"}, 400),
    ],
)
def test_bad_submissions_leave_nothing_behind(plane, change, status):
    plane.submit(name="taken")
    body = {
        "name": "new",
        "projectId": "1001",
        "clusterId": plane.cluster_id,
        "spec": {"image": "i"},
    } | change
    answer = plane.admin.post(f"{WORKLOADS}/trainings", json=body)
    assert answer.status_code == status, answer.text
    assert plane.admin.get(f"{WORKLOADS}/count").json() == {"count": 1}


@pytest.mark.parametrize(
    ("kind", "kind_type", "spec"),
    [
        ("trainings", "Training", {}),
        ("workspaces", "Workspace", {}),
        ("distributed", "Distributed", {"numWorkers": 2, "distributedFramework": "PyTorch"}),
        ("inferences", "Inference", {"servingPort": {"container": 8000}}),
    ],
)
def test_every_kind_lives_and_dies(plane, kind, kind_type, spec):
    key = plane.submit(kind, spec=spec)
    assert plane.workload(key)["type"] == kind_type
    assert plane.workload(key)["phase"] == "Running"
    path = f"{WORKLOADS}/{kind}/{key}"
    wrong = "workspaces" if kind != "workspaces" else "trainings"
    assert plane.admin.get(f"{WORKLOADS}/{wrong}/{key}").status_code == 404
    if kind == "inferences":
        assert plane.admin.post(f"{path}/suspend").status_code == 404
        assert plane.workload(key)["urls"]
    else:
        assert plane.admin.get(f"{path}/suspend").status_code == 405
        assert plane.admin.post(f"{path}/suspend").status_code == 202
        assert plane.admin.get(path).json()["desiredPhase"] == "Stopped"
        assert plane.workload(key)["phase"] == "Stopped"
        assert plane.admin.post(f"{path}/resume").status_code == 202
        assert plane.workload(key)["phase"] == "Running"
    assert plane.admin.delete(path).status_code == 202
    assert plane.admin.get(path).status_code == 404
    gone = plane.admin.get(f"{WORKLOADS}?deleted=true").json()["workloads"]
    assert [one["id"] for one in gone] == [key]
    assert gone[0]["deletedAt"]
    assert plane.admin.get(WORKLOADS).json()["workloads"] == []


def test_an_inference_can_be_patched(plane):
    key = plane.submit("inferences", spec={"servingPort": {"container": 8000}})
    path = f"{WORKLOADS}/inferences/{key}"
    changed = plane.admin.patch(path, json={"spec": {"image": "new:2"}})
    assert changed.status_code == 202
    assert changed.json()["spec"]["image"] == "new:2"
    assert "Updating" in _phases(plane, key)
    assert plane.workload(key)["phase"] == "Running"
    assert plane.admin.patch(path, json={"spec": {"storage": {}}}).status_code == 400


# -- life ------------------------------------------------------------------------------------------


def test_phases_take_their_time(make_plane):
    plane = make_plane(async_delay=2, script="Running=10,Completed")
    key = plane.submit()
    seen = []
    for _ in range(16):
        seen.append(plane.workload(key)["phase"])
        plane.advance(1)
    assert list(dict.fromkeys(seen)) == ["Creating", "Initializing", "Running", "Completed"]
    assert _phases(plane, key) == ["Creating", "Initializing", "Running", "Completed"]
    done = plane.workload(key)
    assert (done["totalPendingTimeSeconds"], done["totalRunningTimeSeconds"]) == (4, 10)
    assert done["completedAt"] == done["phaseUpdatedAt"]


def test_each_entry_of_the_timeline_has_its_own_moment(plane):
    """A jump of the clock over several changes must leave the same history as small steps."""
    first = plane.submit(spec=_gpus(8, nodePools=["a100"]) | _script("Running=10,Completed"))
    second = plane.submit(spec=_gpus(8, nodePools=["a100"]) | _script("Running=10,Completed"))
    plane.advance(25)
    assert plane.workload(first)["phase"] == plane.workload(second)["phase"] == "Completed"
    assert plane.workload(second)["totalPendingTimeSeconds"] in (9, 10)
    assert plane.workload(second)["totalRunningTimeSeconds"] == 10


@pytest.mark.parametrize(
    ("steps", "phases", "reason"),
    [
        ("Running=1,Failed", ["Creating", "Initializing", "Running", "Failed"], "ContainerExited"),
        (
            "Pending=2,Running=1,Failed:OOMKilled",
            ["Creating", "Pending", "Initializing", "Running", "Failed"],
            "OOMKilled",
        ),
        (
            "Running=1,Preempt,Running=1,Completed",
            ["Creating", "Initializing", "Running", "Pending", "Initializing", "Running"],
            "Preempted",
        ),
        ("Running=1,Fail,Running=1,Completed", ["Creating", "Initializing", "Running"], "BackOff"),
        ("Running=1,Unknown=1,Degraded=1", ["Creating", "Initializing", "Running"], "Started"),
    ],
)
def test_scripts(plane, steps, phases, reason):
    key = plane.submit(spec=_script(steps))
    plane.advance(20)
    assert _phases(plane, key)[: len(phases)] == phases
    assert reason in _reasons(plane, key)


def test_failures_count_against_the_backoff_limit(plane):
    steps = "Running=1,Fail,Running=1,Fail,Running=1,Fail,Running=1,Completed"
    patient = plane.submit(spec=_script(steps) | {"backoffLimit": 3})
    hasty = plane.submit(spec=_script(steps) | {"backoffLimit": 2})
    plane.advance(10)
    assert plane.workload(patient)["phase"] == "Completed"
    failed = plane.workload(hasty)
    assert failed["phase"] == "Failed"
    assert "BackoffLimitExceeded" in failed["phaseMessage"]
    assert "BackoffLimitExceeded" in _reasons(plane, hasty)


def test_an_image_that_cannot_be_had(plane):
    key = plane.submit(spec={"image": "registry.invalid/x:1"})
    plane.advance(100)
    stuck = plane.workload(key)
    assert stuck["phase"] == "Initializing"
    assert "ImagePullBackOff" in stuck["phaseMessage"]
    messages = [
        event["message"] for event in plane.admin.get(f"{WORKLOADS}/{key}/events").json()["events"]
    ]
    assert any("ErrImagePull" in message for message in messages)


@pytest.mark.parametrize(
    ("what", "phase", "event"),
    [
        ("oom", "Failed", "OOMKilled"),
        ("fail", "Failed", "ContainerExited"),
        ("preempt", "Running", "Preempted"),
        ("node-failure", "Running", "NodeNotReady"),
        ("unknown", "Unknown", "Started"),
    ],
)
def test_accidents_on_demand(plane, what, phase, event):
    key = plane.submit(spec={"backoffLimit": 0})
    made = plane.anonymous.post(f"/_emulator/workloads/{key}/provoke", json={"what": what})
    assert made.status_code == 200, made.text
    assert plane.workload(key)["phase"] == phase
    assert event in _reasons(plane, key)


def test_ended_workloads_are_deleted_in_time(plane):
    spec = _script("Running=1,Completed") | {"autoDeletionTimeAfterCompletionSeconds": 60}
    key = plane.submit(spec=spec)
    plane.advance(30)
    assert plane.workload(key)["phase"] == "Completed"
    plane.advance(60)
    assert plane.admin.get(f"{WORKLOADS}/{key}").status_code == 404


# -- scheduling ------------------------------------------------------------------------------------


def test_non_preemptible_workloads_stay_within_quota(plane):
    spec = {"preemptibility": "non-preemptible"}
    first = plane.submit(spec=_gpus(3) | spec)
    second = plane.submit(spec=_gpus(2) | spec)
    assert plane.workload(first)["phase"] == "Running"
    waiting = plane.workload(second)
    assert (waiting["phase"], waiting["phaseReason"]) == ("Pending", "NonPreemptibleOverQuota")
    (message,) = waiting["pendingSchedulingMessages"]
    assert (message["nodePool"], message["orgType"]) == ("default", "PROJECT")
    assert "Unschedulable" in _reasons(plane, second)
    plane.admin.delete(f"{WORKLOADS}/trainings/{first}")
    assert plane.workload(second)["phase"] == "Running"


def test_preemptible_workloads_go_over_quota_up_to_the_limit(plane):
    plane.admin.patch(
        "/api/v1/org-unit/projects/1001/resources",
        json=[{"nodePool": {"id": "11"}, "gpu": {"limit": 6}}],
    )
    assert plane.workload(plane.submit(spec=_gpus(4)))["phase"] == "Running"
    assert plane.workload(plane.submit(spec=_gpus(2)))["phase"] == "Running"
    waiting = plane.workload(plane.submit(spec=_gpus(1)))
    assert (waiting["phase"], waiting["phaseReason"]) == ("Pending", "OverLimit")


def test_a_project_takes_back_what_others_use_over_quota(plane):
    modest = plane.submit(spec=_gpus(4))
    greedy = plane.submit(spec=_gpus(4))
    claimed = plane.submit(projectId="1002", spec=_gpus(2))
    assert plane.workload(claimed)["phase"] == "Running"
    assert plane.workload(modest)["phase"] == "Running"
    assert plane.workload(greedy)["phase"] == "Pending"
    assert "Preempted" in _reasons(plane, greedy)
    status = plane.admin.get("/api/v1/org-unit/projects/1001").json()["status"]["quotaStatus"]
    assert status["allocated"]["gpu"] == 4
    plane.admin.delete(f"{WORKLOADS}/trainings/{claimed}")
    assert plane.workload(greedy)["phase"] == "Running"


def test_within_quota_nobody_is_displaced_by_another_project(plane):
    for _ in range(2):
        plane.submit(spec=_gpus(2))
    others = [plane.submit(projectId="1002", spec=_gpus(2)) for _ in range(2)]
    late = plane.submit(projectId="1002", spec=_gpus(2))
    assert [plane.workload(key)["phase"] for key in others] == ["Running", "Running"]
    assert plane.workload(late)["phase"] == "Pending"


def test_nobody_takes_back_more_than_the_own_quota(plane):
    for _ in range(2):
        plane.submit(spec=_gpus(4))
    beyond = plane.submit(projectId="1002", spec=_gpus(3))
    assert plane.workload(beyond)["phase"] == "Pending"


def test_priorities_within_a_project(plane):
    low = plane.submit(spec=_gpus(8, nodePools=["a100"], priorityClass="very-low"))
    high = plane.submit(spec=_gpus(8, nodePools=["a100"], priorityClass="medium"))
    same = plane.submit(spec=_gpus(8, nodePools=["a100"], priorityClass="medium"))
    assert plane.workload(high)["phase"] == "Running"
    assert plane.workload(low)["phase"] == plane.workload(same)["phase"] == "Pending"


def test_terminate_after_preemption(plane):
    low = plane.submit(
        spec=_gpus(8, nodePools=["a100"], priorityClass="very-low")
        | {"terminateAfterPreemption": True}
    )
    plane.submit(spec=_gpus(8, nodePools=["a100"], priorityClass="medium"))
    assert plane.workload(low)["phase"] == "Failed"


@pytest.mark.parametrize(
    ("compute", "fit"),
    [
        ({"gpuRequestType": "portion", "gpuPortionRequest": 0.5, "gpuDevicesRequest": 1}, 16),
        ({"gpuRequestType": "portion", "gpuPortionRequest": 0.3}, 24),
        ({"gpuRequestType": "memory", "gpuMemoryRequest": "4Gi"}, 32),
        ({"gpuDevicesRequest": 3}, 2),
        ({"cpuCoreRequest": 64}, 4),
        ({"cpuMemoryRequest": "256Gi"}, 4),
    ],
)
def test_fractions_and_whole_devices(plane, compute, fit):
    """The default pool has two nodes of 4 GPUs (16 GiB), 128 cores and 512 GiB."""
    keys = [plane.submit(spec={"compute": compute}) for _ in range(fit + 1)]
    phases = [plane.workload(key)["phase"] for key in keys]
    assert phases == ["Running"] * fit + ["Pending"]


def test_a_gang_waits_until_all_of_it_fits(plane):
    plane.submit(spec=_gpus(3))
    gang = plane.submit("distributed", spec=_gpus(2, numWorkers=2, distributedFramework="PyTorch"))
    assert plane.workload(gang)["phase"] == "Pending"
    smaller = plane.submit("distributed", spec=_gpus(1, numWorkers=2))
    assert plane.workload(smaller)["phase"] == "Running"
    pods = plane.admin.get(f"{WORKLOADS}/{smaller}/pods").json()["pods"]
    assert [pod["name"].split("-", 2)[2] for pod in pods] == ["master-0", "worker-0", "worker-1"]


def test_pools_are_tried_in_order(plane):
    keys = [plane.submit(spec=_gpus(4, nodePools=["default", "a100"])) for _ in range(3)]
    used = [plane.workload(key)["currentNodePools"] for key in keys]
    assert used == [["default"], ["default"], ["a100"]]


def test_nodes_can_be_replaced(plane):
    key = plane.submit(spec=_gpus(4))
    nodes = [{"id": "n", "nodePool": "default", "gpus": 8, "cpu": 1000, "memoryMib": 1024}]
    assert plane.anonymous.put("/_emulator/nodes", json=nodes).status_code == 200
    pods = plane.admin.get(f"{WORKLOADS}/{key}/pods").json()["pods"]
    assert [pod["nodeName"] for pod in pods] == ["n"]
    assert "NodeNotReady" in _reasons(plane, key)


# -- lists -----------------------------------------------------------------------------------------


@pytest.fixture
def crowd(plane):
    keys = {}
    for number in range(30):
        project = "1001" if number % 3 else "1002"
        script = "Running=500" if number % 2 else "Running=5,Completed"
        keys[f"w-{number:02}"] = plane.submit(
            name=f"w-{number:02}", projectId=project, spec=_script(script)
        )
        plane.advance(0.01)
    plane.crowd = keys
    return plane


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 30),
        ("filterBy=projectId==1001", 20),
        ("filterBy=projectName==other-team", 10),
        ("filterBy=phase==Completed", 15),
        ("filterBy=phase==Completed,projectId==1001", 10),
        ("filterBy=phase!=Completed,projectId==1001", 10),
        ("filterBy=type==Training", 30),
        ("filterBy=name=^w-1", 10),
        ("filterBy=phaseUpdatedAt>=2001-01-01T00:00:00Z", 30),
        ("filterBy=phaseUpdatedAt<=2001-01-01T00:00:00Z", 0),
        ("search=W-0", 10),
        ("filterBy=phase==Nonsense", 0),
    ],
)
def test_lists_and_counts_agree(crowd, query, count):
    crowd.advance(10)
    rows = crowd.admin.get(f"{WORKLOADS}?limit=500&{query}").json()["workloads"]
    assert len(rows) == count
    assert crowd.admin.get(f"{WORKLOADS}/count?{query}").json() == {"count": count}


def test_changes_since_a_moment_are_all_found_and_nothing_else(crowd):
    """What a poller relies on: `>=` the last moment it saw, ordered by that moment."""
    before = crowd.admin.get(f"{WORKLOADS}?sortBy=phaseUpdatedAt&limit=500").json()["workloads"]
    moments = [row["phaseUpdatedAt"] for row in before]
    assert moments == sorted(moments)
    crowd.advance(10)
    query = f"filterBy=phaseUpdatedAt>={moments[-1]}&sortBy=phaseUpdatedAt&limit=500"
    rows = crowd.admin.get(f"{WORKLOADS}?{query}").json()["workloads"]
    completed = {f"w-{number:02}" for number in range(0, 30, 2)}
    assert {row["name"] for row in rows if row["phase"] == "Completed"} == completed
    # The workload that was seen last runs on and is found again: its moment is included.
    assert before[-1]["name"] == "w-29"
    assert {row["name"] for row in rows} == completed | {"w-29"}


@pytest.mark.parametrize("sort", ["name", "createdAt", "phaseUpdatedAt", "phase"])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_join_up_in_any_order(crowd, sort, order):
    seen, offset = [], 0
    while offset is not None:
        page = crowd.admin.get(
            f"{WORKLOADS}?limit=7&offset={offset}&sortBy={sort}&sortOrder={order}"
        ).json()
        seen += page["workloads"]
        offset = page.get("next")
    assert len({row["id"] for row in seen}) == 30
    values = [row[sort] for row in seen]
    assert values == sorted(values, reverse=order == "desc")


def test_callers_see_the_workloads_of_their_projects(crowd):
    reader = crowd.with_rights("workloads:read", scope_id="1002")
    rows = reader.get(f"{WORKLOADS}?limit=500").json()["workloads"]
    assert {row["projectId"] for row in rows} == {"1002"}
    assert len(rows) == 10
    assert reader.get(f"{WORKLOADS}/count").json() == {"count": 10}
    assert reader.get(f"{WORKLOADS}?filterBy=projectId==1001").json()["workloads"] == []
    assert reader.get(f"{WORKLOADS}/{crowd.crowd['w-01']}").status_code == 403
    assert reader.get(f"{WORKLOADS}/{crowd.crowd['w-00']}").status_code == 200


def test_batches_check_each_workload(crowd):
    caller = crowd.with_rights("trainings:update", scope_id="1002")
    ids = [crowd.crowd["w-00"], crowd.crowd["w-01"], "nope"]
    answer = caller.post(f"{WORKLOADS}/batch", json={"ids": ids, "action": "suspend"})
    assert answer.status_code == 200
    assert answer.json()["succeeded"] == ids[:1]
    assert [one["code"] for one in answer.json()["failed"]] == [403, 404]
    assert crowd.workload(ids[0])["phase"] == "Stopped"


@pytest.mark.parametrize("kind", ["trainings", "workspaces", "inferences"])
def test_each_kind_needs_its_own_right(plane, kind):
    other = "workspaces" if kind != "workspaces" else "trainings"
    body = {
        "name": "x",
        "projectId": "1001",
        "clusterId": plane.cluster_id,
        "spec": {"image": "i", "servingPort": {"container": 80}},
    }
    assert (
        plane.with_rights(f"{other}:create").post(f"{WORKLOADS}/{kind}", json=body).status_code
        == 403
    )
    assert (
        plane.with_rights(f"{kind}:create").post(f"{WORKLOADS}/{kind}", json=body).status_code
        == 202
    )


def test_a_managed_s3_credential_needs_a_view_on_credentials(plane):
    plane.admin.post(
        "/api/v1/asset/credentials/access-key",
        json={
            "meta": {"name": "s3", "scope": "project", "projectId": 1001},
            "spec": {"accessKeyId": "a", "secretAccessKey": "b"},
        },
    )
    storage = {"s3": [{"bucket": "b", "path": "/s3", "accessKeySecret": "access-key-s3"}]}
    body = {
        "name": "x",
        "projectId": "1001",
        "clusterId": plane.cluster_id,
        "spec": {"image": "i", "storage": storage},
    }
    path = f"{WORKLOADS}/trainings"
    assert plane.with_rights("trainings:create").post(path, json=body).status_code == 403
    seeing = plane.with_rights("trainings:create", "credentials:read")
    assert seeing.post(path, json=body).status_code == 202
