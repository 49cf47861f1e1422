"""A typed client of the NVIDIA Run:ai control plane (REST API 2.24, and 2.23 where it differs).

::

    from runai_api import RunaiClient

    with RunaiClient("https://acme.run.ai", client_id="...", client_secret="...") as client:
        project = client.projects.find("ml-team")

Names are loaded on first use, so that ``import runai_api`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runai_api._auth import ControlPlaneVersion
    from runai_api._client import RunaiClient
    from runai_api._config import RetryPolicy, Timeouts
    from runai_api._identities import ServiceAccount, ServiceAccountSecret
    from runai_api._models import Permission, ScopeType, SubjectType
    from runai_api._operation import Operation, operations
    from runai_api.access_rules import AccessRule, AccessRuleStatus, OwnAccessRule
    from runai_api.credentials import CredentialStatus, RegistryCredential
    from runai_api.errors import (
        AmbiguousName,
        AmbiguousOutcome,
        APIError,
        AuthenticationFailed,
        BadRequest,
        ComplianceIssue,
        ConfigurationError,
        Conflict,
        ConnectionFailed,
        DeadlineExceeded,
        InvalidArgument,
        InvalidResponse,
        NotFound,
        PermissionDenied,
        PreconditionFailed,
        RateLimited,
        ResourceFailed,
        RunaiError,
        ServerError,
        UnprocessableEntity,
    )
    from runai_api.generic_secrets import GenericSecret
    from runai_api.org_units import Cluster, Department, NodePool, OrgUnit, Project
    from runai_api.permission_sets import PermissionSet
    from runai_api.permissions import PermittedScopes, ScopeSet
    from runai_api.roles import Role
    from runai_api.typed_workloads import Phase, TypedWorkload
    from runai_api.workload_templates import WorkloadTemplate
    from runai_api.workloads import BatchResult, HistoryRecord, Pod, Workload, WorkloadEvent

_HOMES = {
    "_auth": "ControlPlaneVersion",
    "_client": "RunaiClient",
    "_config": "RetryPolicy Timeouts",
    "_identities": "ServiceAccount ServiceAccountSecret",
    "_models": "Permission ScopeType SubjectType",
    "_operation": "Operation operations",
    "access_rules": "AccessRule AccessRuleStatus OwnAccessRule",
    "credentials": "CredentialStatus RegistryCredential",
    "errors": "APIError AmbiguousName AmbiguousOutcome AuthenticationFailed BadRequest "
    "ComplianceIssue ConfigurationError Conflict ConnectionFailed DeadlineExceeded InvalidArgument "
    "InvalidResponse NotFound PermissionDenied PreconditionFailed RateLimited ResourceFailed "
    "RunaiError ServerError UnprocessableEntity",
    "generic_secrets": "GenericSecret",
    "org_units": "Cluster Department NodePool OrgUnit Project",
    "permission_sets": "PermissionSet",
    "permissions": "PermittedScopes ScopeSet",
    "roles": "Role",
    "typed_workloads": "Phase TypedWorkload",
    "workload_templates": "WorkloadTemplate",
    "workloads": "BatchResult HistoryRecord Pod Workload WorkloadEvent",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "APIError",
    "AccessRule",
    "AccessRuleStatus",
    "AmbiguousName",
    "AmbiguousOutcome",
    "AuthenticationFailed",
    "BadRequest",
    "BatchResult",
    "Cluster",
    "ComplianceIssue",
    "ConfigurationError",
    "Conflict",
    "ConnectionFailed",
    "ControlPlaneVersion",
    "CredentialStatus",
    "DeadlineExceeded",
    "Department",
    "GenericSecret",
    "HistoryRecord",
    "InvalidArgument",
    "InvalidResponse",
    "NodePool",
    "NotFound",
    "Operation",
    "OrgUnit",
    "OwnAccessRule",
    "Permission",
    "PermissionDenied",
    "PermissionSet",
    "PermittedScopes",
    "Phase",
    "Pod",
    "PreconditionFailed",
    "Project",
    "RateLimited",
    "RegistryCredential",
    "ResourceFailed",
    "RetryPolicy",
    "Role",
    "RunaiClient",
    "RunaiError",
    "ScopeSet",
    "ScopeType",
    "ServerError",
    "ServiceAccount",
    "ServiceAccountSecret",
    "SubjectType",
    "Timeouts",
    "TypedWorkload",
    "UnprocessableEntity",
    "Workload",
    "WorkloadEvent",
    "WorkloadTemplate",
    "operations",
]


def __getattr__(name: str) -> Any:
    module = _HOME_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
