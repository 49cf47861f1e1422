"""One workload and its pods, kept small: a hundred thousand of them must fit into memory."""

from __future__ import annotations

import json
from typing import Any

from .spec import Demand


class Pod:
    """One pod. phase is the Kubernetes one: Pending, Running, Succeeded, Failed."""

    __slots__ = (
        "completed_at",
        "created_at",
        "exit_code",
        "id",
        "name",
        "node",
        "phase",
        "pool",
        "rank",
        "reason",
        "restarts",
        "role",
        "started_at",
    )

    def __init__(self, key: str, name: str, role: str, rank: int, now: float) -> None:
        self.id = key
        self.name = name
        self.role = role
        self.rank = rank
        self.created_at = now
        self.started_at: float | None = None
        self.completed_at: float | None = None
        self.phase = "Pending"
        self.node: str | None = None
        self.pool: str | None = None
        self.restarts = 0
        self.exit_code: int | None = None
        self.reason: str | None = None


class Workload:
    """One workload of any kind. Moments are seconds since the epoch."""

    __slots__ = (
        "category",
        "completed_at",
        "created_at",
        "created_by",
        "deleted_at",
        "demands",
        "department_id",
        "desired",
        "due",
        "events",
        "failures",
        "generation",
        "history",
        "id",
        "kind",
        "message",
        "name",
        "pending_messages",
        "pending_since",
        "pending_total",
        "phase",
        "phase_at",
        "placement",
        "pods",
        "pool",
        "pools",
        "preemptible",
        "priority",
        "priority_class",
        "project_id",
        "reason",
        "requested_name",
        "running_since",
        "running_total",
        "same_master",
        "script",
        "script_at",
        "seq",
        "spec_json",
        "successes",
        "template_id",
        "updated_at",
        "url",
    )

    def __init__(self, seq: int, key: str, kind: str, name: str, now: float) -> None:
        self.seq = seq
        self.id = key
        #: Last segment of the family's path: trainings, distributed, workspaces, inferences.
        self.kind = kind
        self.name = name
        self.requested_name = name
        self.project_id = ""
        self.department_id = ""
        self.created_by = ""
        self.created_at = now
        self.updated_at = now
        self.deleted_at: float | None = None
        self.completed_at: float | None = None
        self.desired = "Running"
        self.phase = "Creating"
        self.phase_at = now
        self.message = ""
        self.reason: str | None = None
        self.pending_messages: tuple = ()
        self.spec_json = b"{}"
        self.same_master: bool | None = None
        self.template_id: str | None = None
        self.priority_class = "low"
        self.priority = 0
        self.preemptible = True
        self.category = "Train"
        self.pools: tuple[str, ...] = ()
        self.pool: str | None = None
        self.demands: tuple[Demand, ...] = ()
        self.placement: tuple | None = None
        self.pods: list[Pod] = []
        #: (moment, type, reason, message, kind of object, name of object)
        self.events: list[tuple] = []
        #: (moment, phase, message)
        self.history: list[tuple] = []
        self.pending_since: float | None = now
        self.pending_total = 0.0
        self.running_since: float | None = None
        self.running_total = 0.0
        self.failures = 0
        self.successes = 0
        #: Scripted workloads: what is still to come, and where in the script we are.
        self.script: str | None = None
        self.script_at = 0
        self.due: float | None = None
        #: Grows with every change of phase, which makes older entries of the timeline void.
        self.generation = 0
        self.url: str | None = None

    @property
    def bodies(self) -> dict[str, Any]:
        """`spec` and, for distributed workloads, `masterSpec`."""
        return json.loads(self.spec_json)

    @property
    def spec(self) -> dict[str, Any]:
        return self.bodies.get("spec") or {}

    def dump(self) -> dict[str, Any]:
        """A JSON object to be read back by `load`."""
        body = {name: getattr(self, name) for name in self.__slots__}
        body["spec_json"] = self.spec_json.decode()
        body["demands"] = [
            [getattr(one, name) for name in Demand.__slots__] for one in self.demands
        ]
        body["pods"] = [[getattr(pod, name) for name in Pod.__slots__] for pod in self.pods]
        # Both are worked out anew after a restart.
        del body["placement"]
        body["pending_messages"] = []
        return body

    @classmethod
    def load(cls, body: dict[str, Any]) -> Workload:
        workload = cls(body["seq"], body["id"], body["kind"], body["name"], body["created_at"])
        for name, value in body.items():
            setattr(workload, name, value)
        workload.spec_json = body["spec_json"].encode()
        workload.demands = tuple(
            Demand(**dict(zip(Demand.__slots__, one, strict=True))) for one in body["demands"]
        )
        workload.pods = []
        for values in body["pods"]:
            pod = Pod.__new__(Pod)
            for name, value in zip(Pod.__slots__, values, strict=True):
                setattr(pod, name, value)
            workload.pods.append(pod)
        workload.pools = tuple(body["pools"])
        workload.pending_messages = tuple(body["pending_messages"])
        workload.events = [tuple(event) for event in body["events"]]
        workload.history = [tuple(entry) for entry in body["history"]]
        return workload
