"""Trainings, distributed trainings, inferences and workspaces: submit, read, suspend, delete.

The API has no list by kind: use ``client.workloads.list(filter_by=["type==Training"])``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from runai_api._family import Family, project_scope
from runai_api._models import Model, Timestamp
from runai_api._operation import Operation
from runai_api.errors import InvalidArgument

_IN_ITS_PROJECT = "the workload's project"


class Phase(StrEnum):
    """The phases that the API knows (documented: 2.24). Newer servers may send others."""

    CREATING = "Creating"
    INITIALIZING = "Initializing"
    PENDING = "Pending"
    RESUMING = "Resuming"
    RUNNING = "Running"
    UPDATING = "Updating"
    DEGRADED = "Degraded"
    STOPPING = "Stopping"
    STOPPED = "Stopped"
    TERMINATING = "Terminating"
    DELETING = "Deleting"
    COMPLETED = "Completed"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


class TypedWorkload(Model):
    """A workload as its own kind's calls return it.

    `name` differs from `requested_name` where a suffix was asked for. `desired_phase` is Running,
    Stopped or Deleted; `actual_phase` may be missing right after the creation. `spec` is the spec
    as it took effect, in the API's spelling.
    """

    workload_id: str
    name: str
    requested_name: str | None = None
    project_id: str
    department_id: str | None = None
    cluster_id: str | None = None
    desired_phase: str | None = None
    actual_phase: str | None = None
    created_by: str | None = None
    created_at: Timestamp = None
    deleted_at: Timestamp = None
    spec: dict[str, Any] | None = None
    master_spec: dict[str, Any] | None = None
    """Distributed trainings only."""
    master_spec_same_as_worker: bool | None = None


class TypedWorkloads(Family):
    """Workloads of one kind."""

    _CREATE: Operation
    _GET: Operation
    _DELETE: Operation

    def create(self, body: Mapping[str, Any]) -> TypedWorkload:
        """Submit a workload; `body` is the API's own: name, projectId, clusterId, spec, ...

        Answered before it runs. Raises `BadRequest` with `issues` where the administrator's policy
        objects. A taken name is refused too (undocumented: `BadRequest` or `Conflict`);
        ``useGivenNameAsPrefix`` avoids that.
        """
        for key in ("name", "projectId"):
            if not body.get(key):
                raise InvalidArgument(f"A workload needs {key}.")
        scope = project_scope(body["projectId"])
        return self._one(
            self._CREATE, TypedWorkload, body=dict(body), scope=scope, secrets=_values(body)
        )

    def get(self, workload_id: str) -> TypedWorkload:
        return self._one(self._GET, TypedWorkload, path={"id": workload_id})

    def delete(self, workload_id: str) -> None:
        """Ask for its removal, with its pods; answered before it is gone."""
        self._session.call(self._DELETE, path={"id": workload_id})


class SuspendableWorkloads(TypedWorkloads):
    """Workloads that can be stopped and started again."""

    _SUSPEND: Operation
    _RESUME: Operation

    def suspend(self, workload_id: str) -> None:
        """Stop its pods and keep the workload; answered before they are gone."""
        self._session.call(self._SUSPEND, path={"id": workload_id})

    def resume(self, workload_id: str) -> None:
        self._session.call(self._RESUME, path={"id": workload_id})


def _operation(kind: str, verb: str, method: str, suffix: str = "", needs: str = "") -> Operation:
    # Distributed trainings count as trainings (inferred: there is no resource type of their own).
    resource = "trainings" if kind == "distributed" else kind
    return Operation(
        f"{kind}.{verb}",
        method,
        f"/api/v1/workloads/{kind}{suffix}",
        f"{resource}:{needs or verb}",
        repeatable=verb in ("suspend", "resume"),
        scope=_IN_ITS_PROJECT,
    )


class Trainings(SuspendableWorkloads):
    """``client.trainings``: one pod, or several equal ones."""

    _CREATE = _operation("trainings", "create", "POST")
    _GET = _operation("trainings", "get", "GET", "/{id}", "read")
    _DELETE = _operation("trainings", "delete", "DELETE", "/{id}")
    _SUSPEND = _operation("trainings", "suspend", "POST", "/{id}/suspend", "update")
    _RESUME = _operation("trainings", "resume", "POST", "/{id}/resume", "update")


class Distributed(SuspendableWorkloads):
    """``client.distributed``: workers with or without a master, joined by a framework."""

    _CREATE = _operation("distributed", "create", "POST")
    _GET = _operation("distributed", "get", "GET", "/{id}", "read")
    _DELETE = _operation("distributed", "delete", "DELETE", "/{id}")
    _SUSPEND = _operation("distributed", "suspend", "POST", "/{id}/suspend", "update")
    _RESUME = _operation("distributed", "resume", "POST", "/{id}/resume", "update")


class Workspaces(SuspendableWorkloads):
    """``client.workspaces``: interactive work."""

    _CREATE = _operation("workspaces", "create", "POST")
    _GET = _operation("workspaces", "get", "GET", "/{id}", "read")
    _DELETE = _operation("workspaces", "delete", "DELETE", "/{id}")
    _SUSPEND = _operation("workspaces", "suspend", "POST", "/{id}/suspend", "update")
    _RESUME = _operation("workspaces", "resume", "POST", "/{id}/resume", "update")


class Inferences(TypedWorkloads):
    """``client.inferences``: servers that scale. They cannot be suspended (documented: 2.24)."""

    _CREATE = _operation("inferences", "create", "POST")
    _GET = _operation("inferences", "get", "GET", "/{id}", "read")
    _UPDATE = _operation("inferences", "update", "PATCH", "/{id}")
    _DELETE = _operation("inferences", "delete", "DELETE", "/{id}")

    def update(self, workload_id: str, spec: Mapping[str, Any]) -> TypedWorkload:
        """Change parts of the spec, such as image, compute or autoscaling."""
        return self._one(
            self._UPDATE,
            TypedWorkload,
            path={"id": workload_id},
            body={"spec": dict(spec)},
            secrets=_values({"spec": spec}),
        )


def _values(body: Mapping[str, Any]) -> list[str]:
    """Plain values of environment variables: they may be secrets, so errors never repeat them."""
    found = []
    for key in ("spec", "masterSpec"):
        spec = body.get(key)
        variables = spec.get("environmentVariables") if isinstance(spec, Mapping) else None
        for variable in variables if isinstance(variables, (list, tuple)) else ():
            value = variable.get("value") if isinstance(variable, Mapping) else None
            if isinstance(value, str) and len(value) >= 8:  # shorter ones are words, not secrets
                found.append(value)
    return found
