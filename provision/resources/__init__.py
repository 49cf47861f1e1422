"""Pulumi resources, with typed arguments and outputs."""

from provision.resources.runai import (
    AccessRule,
    CustomRole,
    PredefinedRole,
    RegistryCredential,
    RunaiProject,
    ServiceAccount,
)
from provision.resources.zenml import (
    ZenMLComponent,
    ZenMLFlavor,
    ZenMLSecret,
    ZenMLServer,
    ZenMLStack,
)

__all__ = [
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
]
