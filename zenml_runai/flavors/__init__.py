"""Flavors ``nvidia_runai`` of step operator and orchestrator, their configuration and settings.

Light: imports ZenML's base classes, not the control-plane client and no implementation.
"""

from zenml_runai.flavors._inference import (
    RunAIAutoscalingSettings,
    RunAIInferenceSettings,
    RunAIServingPortSettings,
)
from zenml_runai.flavors._workload_settings import (
    RunAIDistributedSettings,
    RunAIMasterSettings,
    RunAIWorkloadSettings,
)
from zenml_runai.flavors._workload_types import (
    RunAIConfigMapMountSettings,
    RunAIExternalURLSettings,
    RunAIHostPathMountSettings,
    RunAINFSMountSettings,
    RunAIPortSettings,
    RunAIPVCAccessModeSettings,
    RunAIPVCClaimInfoSettings,
    RunAIPVCMountSettings,
    RunAIS3MountSettings,
    RunAISecretMountSettings,
    RunAISecurityContextSettings,
    RunAITolerationSettings,
)
from zenml_runai.flavors.orchestrator_flavor import (
    RunAIOrchestratorConfig,
    RunAIOrchestratorFlavor,
    RunAIOrchestratorSettings,
)
from zenml_runai.flavors.step_operator_flavor import (
    RunAIStepOperatorConfig,
    RunAIStepOperatorFlavor,
    RunAIStepOperatorSettings,
)

__all__ = [
    "RunAIAutoscalingSettings",
    "RunAIConfigMapMountSettings",
    "RunAIDistributedSettings",
    "RunAIExternalURLSettings",
    "RunAIHostPathMountSettings",
    "RunAIInferenceSettings",
    "RunAIMasterSettings",
    "RunAINFSMountSettings",
    "RunAIOrchestratorConfig",
    "RunAIOrchestratorFlavor",
    "RunAIOrchestratorSettings",
    "RunAIPVCAccessModeSettings",
    "RunAIPVCClaimInfoSettings",
    "RunAIPVCMountSettings",
    "RunAIPortSettings",
    "RunAIS3MountSettings",
    "RunAISecretMountSettings",
    "RunAISecurityContextSettings",
    "RunAIServingPortSettings",
    "RunAIStepOperatorConfig",
    "RunAIStepOperatorFlavor",
    "RunAIStepOperatorSettings",
    "RunAITolerationSettings",
    "RunAIWorkloadSettings",
]
