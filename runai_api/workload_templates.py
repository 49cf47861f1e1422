"""Workload templates: specs that an administrator prepared (documented: 2.24 API). Read only."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

from runai_api._family import Family, only
from runai_api._models import Model, Timestamp
from runai_api._operation import Operation

_LIST = Operation("workload_templates.list", "GET", "/api/v1/workload-templates", "templates:read")
_GET = Operation(
    "workload_templates.get", "GET", "/api/v1/workload-templates/{id}", "templates:read"
)


class TemplateMeta(Model):
    id: str
    name: str
    description: str | None = None
    workload_type: str | None = None
    """Training, Workspace, Distributed, Inference or DistributedInference."""
    scope_type: str | None = None
    scope_id: str | None = None
    project_id: str | None = None
    department_id: str | None = None
    cluster_id: str | None = None
    created_by: str | None = None
    created_at: Timestamp = None
    updated_at: Timestamp = None


class WorkloadTemplate(Model):
    """A template; `spec` is in the API's spelling."""

    meta: TemplateMeta
    spec: dict[str, Any] | None = None
    combined_spec: dict[str, Any] | None = None
    """With the values of the assets that the template refers to."""

    @property
    def id(self) -> str:
        return self.meta.id

    @property
    def name(self) -> str:
        return self.meta.name


class WorkloadTemplates(Family):
    """``client.workload_templates``"""

    def list(
        self, *, filter_by: Sequence[str] = (), search: str | None = None
    ) -> builtins.list[WorkloadTemplate]:
        """Filter fields: name, workloadType, scopeType, clusterId, projectId, departmentId, ..."""
        params = {"search": search}
        return self._list(_LIST, WorkloadTemplate, "entries", params=params, filters=filter_by)

    def get(self, template_id: str) -> WorkloadTemplate:
        return self._one(_GET, WorkloadTemplate, path={"id": template_id})

    def find(self, name: str, *, workload_type: str | None = None) -> WorkloadTemplate | None:
        """The template of exactly this name (and kind), asked for in one request.

        Names are unique within a scope only: raises `AmbiguousName` where several can be seen.
        """
        found = self._named(_LIST, WorkloadTemplate, "entries", name, workloadType=workload_type)
        matches = [
            template for template in found if workload_type in (None, template.meta.workload_type)
        ]
        return only(matches, "templates", name, "Use a template id.", lambda template: template.id)
