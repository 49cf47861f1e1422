"""Typed workloads: trainings, distributed, workspaces and inferences."""

from __future__ import annotations

import json
import re
from typing import Any

from runai_emulator._constants import K8S_NAME
from runai_emulator.access import Right
from runai_emulator.cluster import script as scripts
from runai_emulator.cluster.interventions import roll_out
from runai_emulator.cluster.kinds import KINDS, Kind
from runai_emulator.cluster.pods import find_secret
from runai_emulator.cluster.spec import PATCHABLE, check_spec
from runai_emulator.cluster.views import typed_view
from runai_emulator.cluster.workload import Workload
from runai_emulator.emulator import Emulator
from runai_emulator.store import Row
from runai_emulator.wire import (
    Answer,
    Body,
    Call,
    accepted,
    bad_request,
    conflict,
    forbidden,
    not_found,
    route,
)

_NAME = re.compile(K8S_NAME)
#: Pods and services derive their names from it: a DNS label.
_MAX_NAME = 63
_SUFFIX_LENGTH = 6
_TEMPLATES_READ: Right = ("templates", "read")
_CREDENTIALS_READ: Right = ("credentials", "read")


class _Family:
    """The endpoints of one kind of workload."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        path = f"/api/v1/workloads/{kind.path}"
        one = f"{path}/{{workloadId}}"
        route("POST", path)(self.create)
        route("GET", one)(self.get)
        route("DELETE", one)(self.delete)
        if kind.stoppable:
            route("POST", f"{one}/suspend")(self.suspend)
            route("POST", f"{one}/resume")(self.resume)
        else:
            route("PATCH", one)(self.patch)

    # -- creation ------------------------------------------------------------------------------

    def create(self, emulator: Emulator, call: Call) -> Answer:
        call.require_anywhere()
        body = call.object()
        project = self._project(emulator, call, body)
        bodies = self._bodies(emulator, call, body, project)
        encoded = json.dumps(bodies, separators=(",", ":"), ensure_ascii=False).encode()
        fields = {
            "project_id": project["id"],
            "department_id": project["parentId"],
            "created_by": call.subject.label,
            "requested_name": body.text("name"),
            "same_master": body.flag("masterSpecSameAsWorker", None),
            "template_id": body.text("templateId", None),
        }
        name = self._name(emulator, body, project)
        workload = emulator.cluster.create(self.kind.path, name, fields, bodies, encoded)
        return 202, typed_view(emulator, workload)

    def _project(self, emulator: Emulator, call: Call, body: Body) -> Row:
        project_id = body.text("projectId")
        project = emulator.store.projects.get(project_id)
        if project is None or project["deletingSince"] is not None:
            raise bad_request(f"Project not found: {project_id}.")
        call.require("project", project_id)
        cluster_id = body.text("clusterId")
        if cluster_id != project["clusterId"]:
            raise bad_request("clusterId is not the cluster of the project.")
        return project

    def _name(self, emulator: Emulator, body: Body, project: Row) -> str:
        name = body.text("name")
        prefix = body.flag("useGivenNameAsPrefix", False)
        longest = _MAX_NAME - (_SUFFIX_LENGTH if prefix else 0)
        if not _NAME.fullmatch(name) or len(name) > longest:
            raise bad_request(
                f"Validation failed - name must be a DNS label of at most {longest} characters."
            )
        if prefix:
            return emulator.cluster.free_name(project["id"], name)
        if emulator.cluster.index.named(project["id"], name) is not None:
            raise conflict(f"Workload with this name already exists: {name}")
        return name

    def _bodies(self, emulator: Emulator, call: Call, body: Body, project: Row) -> dict[str, Any]:
        """`spec` and `masterSpec`, checked and merged with the template's."""
        spec = dict(body.get("spec", dict, None) or {})
        master = body.get("masterSpec", dict, None)
        check_spec(spec, self.kind.path)
        if self.kind.path == "distributed":
            if master is not None:
                check_spec(master, "distributed", "masterSpec")
                if body.flag("masterSpecSameAsWorker", False):
                    raise bad_request("masterSpec is forbidden with masterSpecSameAsWorker.")
        else:
            master = None
        template_id = body.text("templateId", None)
        if template_id is not None:
            spec = self._from_template(emulator, call, project, template_id, spec)
        for where, part in (("spec", spec), ("masterSpec", master)):
            if part is not None and part.get("image") is None:
                raise bad_request(f"{where}.image is mandatory.")
        self._check_references(emulator, call, project, spec)
        return {"spec": spec} | ({"masterSpec": master} if master is not None else {})

    def _from_template(
        self, emulator: Emulator, call: Call, project: Row, template_id: str, spec: dict[str, Any]
    ) -> dict[str, Any]:
        """The template's spec with the request's on top (that the request wins is inferred)."""
        template = emulator.store.templates.get(template_id)
        if template is None or template["kind"] != self.kind.path:
            raise bad_request(f"Workload template not found: {template_id}.")
        above = emulator.access.above("project", project["id"])
        if (template["scopeType"], template["scopeId"]) not in above:
            raise bad_request(f"Workload template {template_id} is not usable in this project.")
        emulator.access.require(call.subject, (_TEMPLATES_READ,), "project", project["id"])
        return merge_specs(template["spec"], spec)

    def _check_references(
        self, emulator: Emulator, call: Call, project: Row, spec: dict[str, Any]
    ) -> None:
        """What the control plane can check of a spec at submission."""
        pools = {
            pool["name"]
            for pool in emulator.store.node_pools.values()
            if pool["clusterId"] == project["clusterId"]
        }
        for name in spec.get("nodePools") or ():
            if name not in pools:
                raise bad_request(f"spec.nodePools: node pool not found: {name}.")
        port = (spec.get("servingPort") or {}).get("container")
        if self.kind.path == "inferences" and port is None:
            raise bad_request("spec.servingPort.container is mandatory.")
        self._check_s3(emulator, call, project, spec)
        script = scripts.script_of(spec, None)
        if script is not None:
            try:
                scripts.parse(script)
            except ValueError as error:
                raise bad_request(f"Script of the simulation: {error}.") from error

    def _check_s3(self, emulator: Emulator, call: Call, project: Row, spec: dict[str, Any]) -> None:
        """S3 mounts with a credential that Run:ai manages need a view on credentials."""
        probe = Workload(0, "", self.kind.path, "", 0.0)
        probe.project_id, probe.department_id = project["id"], project["parentId"]
        for volume in (spec.get("storage") or {}).get("s3") or ():
            secret = volume.get("accessKeySecret")
            if secret is None or find_secret(emulator.store, probe, secret, None) is None:
                continue
            if not emulator.access.permits(
                call.subject, (_CREDENTIALS_READ,), "project", project["id"]
            ):
                raise forbidden(f"credentials:read at project {project['id']}")

    # -- one workload --------------------------------------------------------------------------

    def _one(self, emulator: Emulator, call: Call) -> Workload:
        call.require_anywhere()
        workload = emulator.cluster.index.by_id.get(call.param("workloadId"))
        if workload is None or workload.kind != self.kind.path or workload.deleted_at is not None:
            raise not_found("Workload")
        call.require("project", workload.project_id)
        return workload

    def get(self, emulator: Emulator, call: Call) -> Answer:
        return 200, typed_view(emulator, self._one(emulator, call))

    def delete(self, emulator: Emulator, call: Call) -> Answer:
        emulator.cluster.delete(self._one(emulator, call))
        return accepted()

    def suspend(self, emulator: Emulator, call: Call) -> Answer:
        emulator.cluster.suspend(self._one(emulator, call))
        return accepted()

    def resume(self, emulator: Emulator, call: Call) -> Answer:
        emulator.cluster.resume(self._one(emulator, call))
        return accepted()

    def patch(self, emulator: Emulator, call: Call) -> Answer:
        workload = self._one(emulator, call)
        changes = call.object().get("spec", dict)
        refused = sorted(set(changes) - PATCHABLE)
        if refused:
            raise bad_request(f"spec.{refused[0]} cannot be changed; delete and create instead.")
        spec = workload.spec | changes
        check_spec(spec, self.kind.path)
        project = emulator.store.projects.rows[workload.project_id]
        self._check_references(emulator, call, project, spec)
        bodies = workload.bodies | {"spec": spec}
        encoded = json.dumps(bodies, separators=(",", ":"), ensure_ascii=False).encode()
        roll_out(emulator.cluster, workload, bodies, encoded)
        return 202, typed_view(emulator, workload)


def merge_specs(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Objects are merged key by key; lists of named items by name; anything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        current = merged.get(key)
        if isinstance(current, dict) and isinstance(value, dict):
            merged[key] = merge_specs(current, value)
        elif _named(current) and _named(value):
            names = {item["name"] for item in value}
            kept = [item for item in current if item["name"] not in names]
            merged[key] = kept + [item for item in value if not item.get("exclude")]
        elif value is not None:
            merged[key] = value
    return merged


def _named(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, dict) and item.get("name") is not None for item in value
    )


FAMILIES = {path: _Family(kind) for path, kind in KINDS.items()}
