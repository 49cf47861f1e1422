"""Clusters, node pools, departments and projects: what exists, and how to find it by name."""

from __future__ import annotations

import builtins
import logging
import re
from collections.abc import Sequence
from typing import Any, Literal

from runai_api import _constants as constants
from runai_api._family import Family, only
from runai_api._filters import equals
from runai_api._models import Many, Model, Timestamp
from runai_api._operation import Operation
from runai_api.errors import InvalidArgument

logger = logging.getLogger("runai_api")

# A submitter gets by with the minimal types; 2.23 and older know the full ones only.
_READ_CLUSTERS = ("clusters-minimal:read", "cluster:read")
_READ_POOLS = ("nodepools-minimal:read", "nodepools:read")

_CLUSTERS = Operation("clusters.list", "GET", "/api/v1/clusters", *_READ_CLUSTERS)
_CLUSTER = Operation("clusters.get", "GET", "/api/v1/clusters/{id}", *_READ_CLUSTERS)
_POOLS = Operation("node_pools.list", "GET", "/api/v1/node-pools", *_READ_POOLS)
_POOL = Operation("node_pools.get", "GET", "/api/v1/node-pools/{id}", *_READ_POOLS)
_DEPARTMENTS = Operation(
    "departments.list", "GET", "/api/v1/org-unit/departments", "department:read"
)
_DEPARTMENT = Operation(
    "departments.get", "GET", "/api/v1/org-unit/departments/{id}", "department:read"
)
_PROJECTS = Operation("projects.list", "GET", "/api/v1/org-unit/projects", "project:read")
_PROJECT = Operation("projects.get", "GET", "/api/v1/org-unit/projects/{id}", "project:read")


class ClusterStatus(Model):
    state: str | None = None
    """WaitingToConnect, Connected, Disconnected, MissingPrerequisites, ServiceIssues, Unknown."""


class Cluster(Model):
    """A cluster; `version` is the cluster's own, None until it has reported."""

    uuid: str
    name: str
    tenant_id: int | None = None
    domain: str | None = None
    version: str | None = None
    status: ClusterStatus | None = None
    created_at: Timestamp = None
    last_liveness: Timestamp = None
    delete_requested_at: Timestamp = None

    @property
    def id(self) -> str:
        return self.uuid


class NodePool(Model):
    """A node pool. Workloads name pools by name, quotas by id."""

    id: str
    name: str
    cluster_id: str
    cluster_name: str | None = None
    phase: str | None = None
    is_default: bool | None = None
    label_key: str | None = None
    label_value: str | None = None


class OrgUnitStatus(Model):
    phase: str | None = None
    """Creating, Updating, Deleting, Deleted, Initializing, Ready, NotReady, Unknown."""
    phase_message: str | None = None
    namespace: str | None = None


class OrgUnitReference(Model):
    id: str
    name: str | None = None
    parent: OrgUnitReference | None = None


class Quota(Model):
    """What a node pool gives: GPUs; CPU in millicores; memory in the unit of `units`.

    A `limit` of -1 means none.
    """

    deserved: float | None = None
    limit: float | None = None
    over_quota_weight: float | None = None
    units: str | None = None


class NodePoolReference(Model):
    id: str
    name: str | None = None


class OrgUnitResources(Model):
    """The quota of a department or project in one node pool."""

    node_pool: NodePoolReference | None = None
    gpu: Quota | None = None
    cpu: Quota | None = None
    memory: Quota | None = None


class OrgUnit(Model):
    """What departments and projects share. `id` is text, decimal digits in practice."""

    id: str
    name: str
    cluster_id: str
    description: str | None = None
    parent_id: str | None = None
    parent: OrgUnitReference | None = None
    status: OrgUnitStatus | None = None
    resources: Many[OrgUnitResources] = ()
    default_node_pools: Many[str] = ()
    created_at: Timestamp = None
    updated_at: Timestamp = None

    @property
    def is_ready(self) -> bool:
        return self.status is not None and self.status.phase == "Ready"

    @property
    def ancestor_ids(self) -> tuple[str, ...]:
        """Departments above, nearest first."""
        found: list[str] = [self.parent_id] if self.parent_id else []
        above = self.parent
        while above is not None:
            if above.id not in found:
                found.append(above.id)
            above = above.parent
        return tuple(found)


class Department(OrgUnit):
    """A department: it belongs to a cluster and holds projects."""


class Project(OrgUnit):
    """Its department is `parent_id`; its Kubernetes namespace is in `status`."""

    requested_namespace: str | None = None
    total_resources: dict[str, Any] | None = None
    """gpuQuota, cpuQuota and memoryQuota over all node pools."""

    @property
    def namespace(self) -> str | None:
        return (self.status and self.status.namespace) or self.requested_namespace


class Clusters(Family):
    """``client.clusters``. Warns in the log, once, of a control plane that is newer than known."""

    _warned = False

    def list(self, *, verbosity: Literal["full", "metadata"] = "full") -> builtins.list[Cluster]:
        """All clusters; ``metadata`` leaves out the status."""
        params = {"verbosity": None if verbosity == "full" else verbosity}
        clusters = self._array(_CLUSTERS, Cluster, params=params)
        for cluster in clusters:
            self._warn_if_newer(cluster)
        return clusters

    def get(self, cluster_id: str) -> Cluster:
        cluster = self._one(_CLUSTER, Cluster, path={"id": cluster_id})
        self._warn_if_newer(cluster)
        return cluster

    def find(self, name: str) -> Cluster | None:
        """The cluster of exactly this name. The API has no filter here: one request reads all."""
        matches = [cluster for cluster in self.list() if cluster.name == name]
        return only(matches, "clusters", name, "Use a cluster id.", lambda found: found.uuid)

    def _warn_if_newer(self, cluster: Cluster) -> None:
        numbers = re.match(r"v?(\d{1,4})\.(\d{1,4})", cluster.version or "")
        if numbers is None or self._warned:
            return
        if tuple(map(int, numbers.groups())) > constants.NEWEST_KNOWN_VERSION:
            self._warned = True
            known = ".".join(map(str, constants.NEWEST_KNOWN_VERSION))
            logger.warning(
                "The cluster %s has version %s; this client was written for control planes up to "
                "%s. What it does not know is ignored.",
                cluster.name,
                cluster.version,
                known,
            )


class NodePools(Family):
    """``client.node_pools``"""

    def list(
        self, *, cluster_id: str | None = None, filter_by: Sequence[str] = ()
    ) -> builtins.list[NodePool]:
        filters = [*equals(clusterId=cluster_id), *filter_by]
        return self._list(_POOLS, NodePool, "nodepools", filters=filters, paging="unmarked")

    def get(self, node_pool_id: str) -> NodePool:
        return self._one(_POOL, NodePool, path={"id": node_pool_id})

    def find(self, name: str, cluster_id: str | None = None) -> NodePool | None:
        """The pool of exactly this name. Each cluster has its own: give `cluster_id` if there are
        several clusters, or get `AmbiguousName`."""
        if "," in name:
            raise InvalidArgument(f"{name!r} cannot be the name of a node pool.")
        found = self._named(
            _POOLS, NodePool, "nodepools", name, clusterId=cluster_id, paging="unmarked"
        )
        matches = [pool for pool in found if cluster_id in (None, pool.cluster_id)]
        return only(matches, "node pools", name, "Give cluster_id.", lambda pool: pool.id)


class Departments(Family):
    """``client.departments``"""

    def list(
        self,
        *,
        cluster_id: str | None = None,
        filter_by: Sequence[str] = (),
        search: str | None = None,
    ) -> builtins.list[Department]:
        filters = [*equals(clusterId=cluster_id), *filter_by]
        params = {"search": search}
        return self._list(_DEPARTMENTS, Department, "departments", params=params, filters=filters)

    def get(self, department_id: str) -> Department:
        where = f"department {department_id}"
        return self._one(_DEPARTMENT, Department, path={"id": department_id}, scope=where)

    def find(self, name: str, cluster_id: str | None = None) -> Department | None:
        """The department of exactly this name, asked for in one request."""
        found = self._named(_DEPARTMENTS, Department, "departments", name, clusterId=cluster_id)
        matches = [unit for unit in found if cluster_id in (None, unit.cluster_id)]
        return only(matches, "departments", name, "Give cluster_id.", lambda unit: unit.id)


class Projects(Family):
    """``client.projects``"""

    def list(
        self,
        *,
        cluster_id: str | None = None,
        filter_by: Sequence[str] = (),
        search: str | None = None,
    ) -> builtins.list[Project]:
        """All projects that the caller may see. `search` finds parts of names."""
        filters = [*equals(clusterId=cluster_id), *filter_by]
        return self._list(
            _PROJECTS, Project, "projects", params={"search": search}, filters=filters
        )

    def get(self, project_id: str) -> Project:
        where = f"project {project_id}"
        return self._one(_PROJECT, Project, path={"id": project_id}, scope=where)

    def find(self, name: str, cluster_id: str | None = None) -> Project | None:
        """The project of exactly this name, asked for in one request.

        Names are unique within a cluster: with several clusters give `cluster_id`, or get
        `AmbiguousName` where two of them have such a project.
        """
        found = self._named(_PROJECTS, Project, "projects", name, clusterId=cluster_id)
        matches = [unit for unit in found if cluster_id in (None, unit.cluster_id)]
        return only(matches, "projects", name, "Give cluster_id.", lambda unit: unit.id)
