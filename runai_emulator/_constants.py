"""Names, identifiers and limits of the emulated control plane, each in one place."""

from __future__ import annotations

import uuid

#: Versions of the control plane that can be emulated, oldest first.
VERSIONS = ("2.23", "2.24")
DEFAULT_VERSION = "2.24"

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8780
DEFAULT_ADMIN_ID = "emulator-admin"
DEFAULT_ADMIN_SECRET = "emulator-admin-secret"  # noqa: S105 - a published default for loopback

#: Long enough to see an intermediate state, short enough not to slow a test down.
DEFAULT_ASYNC_DELAY = 0.3
#: Doc examples of token lifetimes show 3600 and 86400 seconds.
DEFAULT_TOKEN_LIFETIME = 86400

#: What a simulated workload does when it carries no script of its own.
DEFAULT_SCRIPT = "Running=1,Completed"

TENANT_ID = 1
TENANT_NAME = "local-tenant"
SYSTEM_AUTHOR = "Run:ai"


def fixed_uuid(kind: str, name: str) -> str:
    """A UUID that is the same in every emulator, so that cassettes and examples stay stable."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"runai-emulator/{kind}/{name}"))


CLUSTER_NAME = "local"
CLUSTER_ID = fixed_uuid("cluster", CLUSTER_NAME)
#: Ids of the seeded organisation units differ between the kinds so that a mix-up is noticed.
DEFAULT_DEPARTMENT_ID = "101"
SEED_PROJECTS = {"ml-team": "1001", "other-team": "1002"}
SEED_NODE_POOLS = {"default": "11", "a100": "12"}
#: First ids handed out after the seeds. Project ids must fit into an int32 (assets need them so).
FIRST_FREE_ID = {"department": 102, "project": 1003, "node_pool": 13, "role": 5000, "rule": 1}

#: Paging: documented default and maximum of every list that has `limit`.
DEFAULT_LIMIT = 50
MAX_LIMIT = 500

#: The request log and the record of deleted rows are bounded; both serve tests, not audits.
REQUEST_LOG_SIZE = 50_000
GRAVEYARD_SIZE = 1_000

MAX_BODY_BYTES = 8 * 1024 * 1024
INT32_MAX = 2**31 - 1

#: Names of Kubernetes objects (documented pattern of names inside workload bodies).
K8S_NAME = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
#: Service accounts, applications and access keys (documented: 2.24 API).
ACCOUNT_NAME = r"^[a-z][-_a-z0-9]*[a-z0-9]$"
QUANTITY = r"^([+]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
