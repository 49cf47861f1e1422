"""Workloads of every kind, and templates."""

from __future__ import annotations

from typing import Any

from runai_api import NotFound, Phase, RunaiClient
from tools.wire.scenario import World, raises, sandbox, scenario

IMAGE = "busybox:1.37"
NOBODY = "00000000-0000-4000-8000-000000000000"
LASTING = ("sleep", "600")
SHORT = ("echo", "done")


def body(world: World, what: str, command: tuple[str, str], **more: Any) -> dict[str, Any]:
    """A small CPU-only workload in the sandbox project."""
    return {
        "name": world.name(what),
        "projectId": world.project_id,
        "clusterId": world.prepared["cluster_id"],
        "spec": {
            "image": IMAGE,
            "command": command[0],
            "args": command[1],
            "compute": {
                "gpuDevicesRequest": 0,
                "cpuCoreRequest": 0.1,
                "cpuMemoryRequest": "32M",
            },
            **more,
        },
    }


def reach(world: World, client: RunaiClient, workload_id: str, phase: Phase) -> None:
    world.until(lambda: client.workloads.get(workload_id).phase, lambda found: found == phase)


def gone(world: World, family: Any, workload_id: str) -> None:
    """Wait until a deleted workload is not found, or marked as deleted."""

    def deleted() -> bool:
        try:
            return family.get(workload_id).deleted_at is not None
        except NotFound:
            return True

    world.until(deleted, bool)


@scenario("workloads/training", prepare=sandbox)
def training(world: World) -> None:
    """The whole life of a training that is suspended and resumed."""
    with world.connect() as client:
        made = client.trainings.create(body(world, "train", LASTING))
        world.undo(lambda admin: admin.trainings.delete(made.workload_id))
        assert made.requested_name in (None, world.name("train"))
        reach(world, client, made.workload_id, Phase.RUNNING)

        assert client.trainings.get(made.workload_id).desired_phase == "Running"
        assert client.workloads.pods(made.workload_id)
        client.trainings.suspend(made.workload_id)
        reach(world, client, made.workload_id, Phase.STOPPED)
        client.trainings.resume(made.workload_id)
        reach(world, client, made.workload_id, Phase.RUNNING)
        client.trainings.delete(made.workload_id)
        gone(world, client.trainings, made.workload_id)


@scenario("workloads/completed", prepare=sandbox)
def completed(world: World) -> None:
    """A training that ends by itself: how it is found, counted and told."""
    with world.connect() as client:
        made = client.trainings.create(body(world, "short", SHORT))
        world.undo(lambda admin: admin.trainings.delete(made.workload_id))
        reach(world, client, made.workload_id, Phase.COMPLETED)

        filters = [f"projectId=={world.project_id}", f"name=={made.name}"]
        (listed,) = client.workloads.list(filter_by=filters, sort_by="name", limit=10)
        assert (listed.id, listed.phase) == (made.workload_id, "Completed")
        assert client.workloads.count(filter_by=filters) == 1
        assert client.workloads.list(filter_by=filters, deleted=True) == []
        changes = [
            record.spec.phase_update.phase
            for record in client.workloads.history(made.workload_id)
            if record.spec.phase_update
        ]
        assert "Completed" in changes
        assert client.workloads.events(made.workload_id, limit=3)
        client.trainings.delete(made.workload_id)


@scenario("workloads/failed", prepare=sandbox)
def failed(world: World) -> None:
    """A training whose program fails at once and may not be restarted."""
    with world.connect() as client:
        made = client.trainings.create(body(world, "fails", ("sh", "-c 'exit 3'"), backoffLimit=0))
        world.undo(lambda admin: admin.trainings.delete(made.workload_id))
        reach(world, client, made.workload_id, Phase.FAILED)
        client.trainings.delete(made.workload_id)


@scenario("workloads/pending", prepare=sandbox)
def pending(world: World) -> None:
    """A workload that asks for more than there is waits, and says why."""
    with world.connect() as client:
        wanted = body(world, "waits", LASTING, preemptibility="non-preemptible")
        wanted["spec"]["compute"] |= {
            "gpuDevicesRequest": 64,
            "gpuRequestType": "portion",
            "gpuPortionRequest": 1.0,
        }
        made = client.trainings.create(wanted)
        world.undo(lambda admin: admin.trainings.delete(made.workload_id))
        waiting = world.until(
            lambda: client.workloads.get(made.workload_id),
            lambda found: bool(found.pending_scheduling_messages or found.phase_message),
        )
        assert waiting.phase == "Pending"
        client.trainings.delete(made.workload_id)


@scenario("workloads/distributed", prepare=sandbox)
def distributed(world: World) -> None:
    with world.connect() as client:
        wanted = body(world, "gang", LASTING, distributedFramework="PyTorch", numWorkers=2)
        made = client.distributed.create({**wanted, "masterSpecSameAsWorker": True})
        world.undo(lambda admin: admin.distributed.delete(made.workload_id))
        reach(world, client, made.workload_id, Phase.RUNNING)
        assert len(client.workloads.pods(made.workload_id)) == 3
        assert client.distributed.get(made.workload_id).master_spec_same_as_worker
        client.distributed.suspend(made.workload_id)
        reach(world, client, made.workload_id, Phase.STOPPED)
        client.distributed.resume(made.workload_id)
        client.distributed.delete(made.workload_id)
        gone(world, client.distributed, made.workload_id)


@scenario("workloads/workspace", prepare=sandbox)
def workspace(world: World) -> None:
    with world.connect() as client:
        made = client.workspaces.create(body(world, "desk", LASTING))
        world.undo(lambda admin: admin.workspaces.delete(made.workload_id))
        reach(world, client, made.workload_id, Phase.RUNNING)
        assert client.workspaces.get(made.workload_id).name == made.name
        client.workspaces.suspend(made.workload_id)
        reach(world, client, made.workload_id, Phase.STOPPED)
        client.workspaces.resume(made.workload_id)
        client.workspaces.delete(made.workload_id)
        gone(world, client.workspaces, made.workload_id)


@scenario("workloads/inference", prepare=sandbox)
def inference(world: World) -> None:
    with world.connect() as client:
        wanted = body(
            world,
            "serves",
            LASTING,
            servingPort={"container": 8080, "protocol": "http"},
            autoscaling={"minReplicas": 1, "maxReplicas": 1},
        )
        made = client.inferences.create(wanted)
        world.undo(lambda admin: admin.inferences.delete(made.workload_id))
        assert client.inferences.get(made.workload_id).name == made.name
        client.inferences.update(made.workload_id, {"image": "busybox:1.36"})
        client.inferences.delete(made.workload_id)
        gone(world, client.inferences, made.workload_id)


@scenario("workloads/batch", prepare=sandbox)
def batch(world: World) -> None:
    """Items that cannot be dealt with come back as failed; the others are done."""
    with world.connect() as client:
        ids = []
        for what in ("one", "two"):
            made = client.trainings.create(body(world, what, LASTING))
            ids.append(made.workload_id)
            world.undo(lambda admin, found=made.workload_id: admin.trainings.delete(found))
        result = client.workloads.batch([*ids, NOBODY], "delete")
        assert sorted(result.succeeded) == sorted(ids)
        assert [found.id for found in result.failed] == [NOBODY]


@scenario("workloads/name_taken", prepare=sandbox)
def name_taken(world: World) -> None:
    """What is answered is not documented: a typed error in any case."""
    from runai_api import BadRequest, Conflict, UnprocessableEntity

    with world.connect() as client:
        made = client.trainings.create(body(world, "twice", LASTING))
        world.undo(lambda admin: admin.trainings.delete(made.workload_id))
        with raises((BadRequest, Conflict, UnprocessableEntity)):
            client.trainings.create(body(world, "twice", LASTING))
        client.trainings.delete(made.workload_id)


def _template(world: World) -> None:
    sandbox(world)
    made = world.raw(
        "POST",
        "/api/v1/workload-templates/trainings",
        {
            "meta": {
                "name": world.name("template"),
                "scopeType": "project",
                "scopeId": world.project_id,
            },
            "spec": {"image": IMAGE, "command": LASTING[0], "args": LASTING[1]},
        },
    )
    template_id = made["meta"]["id"]
    world.undo(
        lambda admin: world.raw("DELETE", f"/api/v1/workload-templates/trainings/{template_id}")
    )
    world.prepared["template_id"] = template_id


@scenario("workload_templates/read", prepare=_template)
def templates(world: World) -> None:
    with world.connect() as client:
        found = client.workload_templates.find(world.name("template"), workload_type="Training")
        assert found is not None
        assert found.id == world.prepared["template_id"]
        assert client.workload_templates.get(found.id).name == world.name("template")
        listed = client.workload_templates.list(filter_by=[f"projectId=={world.project_id}"])
        assert found.id in {template.id for template in listed}
