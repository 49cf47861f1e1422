"""Provisioning with Pulumi: from a Run:ai project to a registered ZenML stack.

A program needs few lines::

    import pulumi
    from provision import RunaiZenMLStack, RunaiZenMLStackArgs

    stack = RunaiZenMLStack(
        "research",
        RunaiZenMLStackArgs(project="ml-team", artifact_store="s3", container_registry="ecr"),
    )
    pulumi.export("stack", stack.zenml_stack_name)

Names are loaded on first use: the provider host imports one provider module at a time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from provision.component import (
        ComponentDefinition,
        RegistryCredentials,
        RunaiZenMLStack,
        RunaiZenMLStackArgs,
    )
    from provision.config import read_config
    from provision.errors import (
        InternalError,
        InvalidSetting,
        NothingToAdopt,
        NotOurs,
        NotRegistered,
        ProvisionError,
        RemoteError,
        StillInUse,
    )
    from provision.resources import (
        AccessRule,
        CustomRole,
        PredefinedRole,
        RegistryCredential,
        RunaiProject,
        ServiceAccount,
        ZenMLComponent,
        ZenMLFlavor,
        ZenMLSecret,
        ZenMLServer,
        ZenMLStack,
    )

_HOMES = {
    "component": (
        "ComponentDefinition",
        "RegistryCredentials",
        "RunaiZenMLStack",
        "RunaiZenMLStackArgs",
    ),
    "config": ("read_config",),
    "errors": (
        "InternalError",
        "InvalidSetting",
        "NotOurs",
        "NotRegistered",
        "NothingToAdopt",
        "ProvisionError",
        "RemoteError",
        "StillInUse",
    ),
    "resources": (
        "AccessRule",
        "CustomRole",
        "PredefinedRole",
        "RegistryCredential",
        "RunaiProject",
        "ServiceAccount",
        "ZenMLComponent",
        "ZenMLFlavor",
        "ZenMLSecret",
        "ZenMLServer",
        "ZenMLStack",
    ),
}

__all__ = [
    "AccessRule",
    "ComponentDefinition",
    "CustomRole",
    "InternalError",
    "InvalidSetting",
    "NotOurs",
    "NotRegistered",
    "NothingToAdopt",
    "PredefinedRole",
    "ProvisionError",
    "RegistryCredential",
    "RegistryCredentials",
    "RemoteError",
    "RunaiProject",
    "RunaiZenMLStack",
    "RunaiZenMLStackArgs",
    "ServiceAccount",
    "StillInUse",
    "ZenMLComponent",
    "ZenMLFlavor",
    "ZenMLSecret",
    "ZenMLServer",
    "ZenMLStack",
    "read_config",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"provision.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
