"""The state behind the routes: clock, rows, rights, tokens, and how they are first filled."""

from __future__ import annotations

import os
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from ._constants import (
    CLUSTER_ID,
    CLUSTER_NAME,
    DEFAULT_ADMIN_ID,
    DEFAULT_ADMIN_SECRET,
    DEFAULT_ASYNC_DELAY,
    DEFAULT_DEPARTMENT_ID,
    DEFAULT_TOKEN_LIFETIME,
    DEFAULT_VERSION,
    REQUEST_LOG_SIZE,
    SEED_NODE_POOLS,
    SEED_PROJECTS,
    SYSTEM_AUTHOR,
    TENANT_ID,
    VERSIONS,
    fixed_uuid,
)
from .access import Access
from .clock import Clock
from .cluster.engine import Cluster, ClusterSettings
from .cluster.interventions import restore
from .predefined import predefined_roles
from .store import Row, Store
from .tokens import Tokens, hash_secret

#: Seeded units look as if they had been made a day ago, so they are Ready at once.
_SEED_AGE_SECONDS = 86_400.0
_SYSTEM_ADMINISTRATOR = 1
#: Seeded nodes: pool, GPUs, memory of each GPU and of the node in MiB.
_NODES = {
    "default-0": ("default", 4, 16_384, 524_288.0),
    "default-1": ("default", 4, 16_384, 524_288.0),
    "a100-0": ("a100", 8, 81_920, 1_048_576.0),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """How an emulator behaves.

    version: control-plane version, "2.23" or "2.24".
    state: SQLite file that outlives the process; None keeps everything in memory.
    async_delay: seconds until asynchronous states settle (Creating -> Ready); 0 means at once.
    token_lifetime: seconds.
    hide_forbidden: answer 404 instead of 403 for an existing object out of reach; which of the
        two the real control plane gives is not documented.
    cluster: how workloads are run.
    """

    version: str = DEFAULT_VERSION
    state: str | os.PathLike | None = None
    admin_id: str = DEFAULT_ADMIN_ID
    admin_secret: str = DEFAULT_ADMIN_SECRET
    async_delay: float = DEFAULT_ASYNC_DELAY
    token_lifetime: float = DEFAULT_TOKEN_LIFETIME
    hide_forbidden: bool = False
    cluster: ClusterSettings = field(default_factory=ClusterSettings)

    def __post_init__(self) -> None:
        if self.version not in VERSIONS:
            raise ValueError(f"version must be one of {', '.join(VERSIONS)}, not {self.version!r}")
        if self.async_delay < 0 or self.token_lifetime <= 0:
            raise ValueError("async_delay must not be negative, token_lifetime must be positive")
        if not self.admin_id or not self.admin_secret:
            raise ValueError("admin_id and admin_secret must not be empty")


class Emulator:
    """One emulated control plane. Everything that changes it holds `lock`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.version = settings.version
        self.lock = threading.RLock()
        self.clock = Clock()
        self.store = Store(self.clock, settings.async_delay, settings.state)
        self.access = Access(self.store, settings.hide_forbidden)
        self.tokens = Tokens(self.store, settings.token_lifetime)
        self.requests: deque[dict[str, Any]] = deque(maxlen=REQUEST_LOG_SIZE)
        self.request_count = 0
        if not self.store.load():
            self._seed()
        elif (kept := self.store.values.get("version")) != self.version:
            raise ValueError(
                f"The state file was written by an emulator of version {kept}; "
                f"start it with --version {kept} or use another file."
            )
        self.cluster = Cluster(self, settings.cluster)
        with self.lock:
            restore(self.cluster)

    @property
    def has_service_accounts(self) -> bool:
        return self.version >= "2.24"

    def settled(self, row: Row, since: str = "createdAt") -> bool:
        """Whether an asynchronous change of a row is over."""
        return row[since] + self.store.async_delay <= self.clock.now()

    def reset(self) -> None:
        """Back to the seeds; the clock, tokens and the request log start afresh too."""
        self.cluster.close()
        self.store.clear()
        self.clock.offset = 0.0
        self.tokens = Tokens(self.store, self.settings.token_lifetime)
        self.requests.clear()
        self.request_count = 0
        self._seed()
        self.cluster = Cluster(self, self.settings.cluster)

    def close(self) -> None:
        """End every process and close the state file."""
        with self.lock:
            self.cluster.close()
            self.store.close()

    # -- seeds ---------------------------------------------------------------------------------

    def _seed(self) -> None:
        then = self.clock.now() - _SEED_AGE_SECONDS
        self.store.set_value("version", self.version)
        for role in predefined_roles(self.version, then):
            self.store.roles.put(role)
        self._seed_units(then)
        self._seed_admin(then)
        self.store.commit()

    def _seed_units(self, then: float) -> None:
        from .routes.clusters import new_cluster
        from .routes.node_pools import new_node_pool
        from .routes.org_units import new_unit

        self.store.clusters.put(
            new_cluster(self, CLUSTER_ID, CLUSTER_NAME, then, domain="local.runai.invalid")
        )
        for name, key in SEED_NODE_POOLS.items():
            self.store.node_pools.put(
                new_node_pool(
                    self,
                    key,
                    {
                        "name": name,
                        "clusterId": CLUSTER_ID,
                        "labelKey": "run.ai/node-pool",
                        "labelValue": name,
                    },
                    SYSTEM_AUTHOR,
                    then,
                )
            )
        for name, (pool, gpus, gpu_memory, memory) in _NODES.items():
            self.store.nodes.put(
                {
                    "id": name,
                    "nodePool": pool,
                    "gpus": gpus,
                    "gpuMemoryMib": gpu_memory,
                    "cpu": 128_000.0,
                    "memoryMib": memory,
                }
            )
        self.store.departments.put(
            new_unit(
                "department",
                DEFAULT_DEPARTMENT_ID,
                {
                    "name": "default",
                    "description": "The department of every project that names none.",
                    "clusterId": CLUSTER_ID,
                    "resources": _quota({"default": 8.0, "a100": 8.0}, cpu=512_000.0),
                },
                SYSTEM_AUTHOR,
                then,
            )
        )
        shares = {
            "ml-team": {"default": 4.0, "a100": 4.0},
            "other-team": {"default": 2.0, "a100": 2.0},
        }
        for name, key in SEED_PROJECTS.items():
            self.store.projects.put(
                new_unit(
                    "project",
                    key,
                    {
                        "name": name,
                        "description": "",
                        "clusterId": CLUSTER_ID,
                        "parentId": DEFAULT_DEPARTMENT_ID,
                        "requestedNamespace": f"runai-{name}",
                        "resources": _quota(shares[name], cpu=128_000.0),
                        "defaultNodePools": ["default"],
                    },
                    SYSTEM_AUTHOR,
                    then,
                )
            )

    def _seed_admin(self, then: float) -> None:
        from .routes.access_rules import new_rule

        kind = "service-account" if self.has_service_accounts else "app"
        account = self.store.accounts.put(
            {
                "id": fixed_uuid("account", self.settings.admin_id),
                "kind": kind,
                "name": self.settings.admin_id,
                "clientId": self.settings.admin_id,
                "secret": hash_secret(self.settings.admin_secret),
                "enabled": True,
                "createdBy": SYSTEM_AUTHOR,
                "createdAt": then,
                "updatedAt": then,
                "lastLogin": None,
            }
        )
        self.store.rules.put(
            new_rule(
                self,
                {
                    "subjectId": account["clientId"],
                    "subjectType": kind,
                    "roleId": _SYSTEM_ADMINISTRATOR,
                    "scopeType": "tenant",
                    "scopeId": str(TENANT_ID),
                    "clusterId": None,
                },
                SYSTEM_AUTHOR,
                then,
            )
        )


def _quota(gpus: dict[str, float], cpu: float) -> list[dict[str, Any]]:
    """Quota on the seeded pools: GPUs by pool, the same CPU (millicores) and memory on each."""
    return [
        {
            "nodePool": {"id": SEED_NODE_POOLS[pool], "name": pool},
            "gpu": {"deserved": count, "limit": None, "overQuotaWeight": 2.0},
            "cpu": {"deserved": cpu, "limit": None, "overQuotaWeight": 2.0},
            "memory": {
                "deserved": cpu * 4.0,
                "limit": None,
                "overQuotaWeight": 2.0,
                "units": "Mib",
            },
            "priority": None,
        }
        for pool, count in gpus.items()
    ]
