"""Flavor of the orchestrator."""

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator
from zenml.models import ServiceConnectorRequirements
from zenml.orchestrators import BaseOrchestratorConfig, BaseOrchestratorFlavor

from zenml_runai import FLAVOR_NAME
from zenml_runai.flavors._connection import RunAIConnectionConfig
from zenml_runai.flavors._inference import RunAIInferenceSettings
from zenml_runai.flavors._presentation import (
    CONNECTOR_RESOURCE_TYPE,
    CONNECTOR_TYPE,
    DISPLAY_NAME,
    DOCS_URL,
    LOGO_URL,
)
from zenml_runai.flavors._workload_settings import RunAIWorkloadSettings
from zenml_runai.flavors._workload_types import Memory

if TYPE_CHECKING:
    from zenml_runai.orchestrators import RunAIOrchestrator


class RunAIOrchestratorSettings(RunAIWorkloadSettings):
    """Settings of a pipeline on Run:ai, or of one of its steps.

    Example:
        ``@pipeline(settings={"orchestrator": RunAIOrchestratorSettings(
        gpu_portion_request=0.5)})``
    """

    configuration_fields: ClassVar[frozenset[str]] = frozenset(RunAIConnectionConfig.model_fields)

    mode: Literal["per_step", "single"] = Field(
        default="per_step",
        description="'per_step': a small head workload runs the pipeline and each step is its own"
        " workload. 'single': all steps run one after the other in one workload.",
    )
    synchronous: bool = Field(
        default=True, description="Wait for the end of the pipeline in the client."
    )
    workload_type: Literal["training", "distributed", "inference"] = Field(
        default="training",
        description="Kind of workload of a step: 'training' in one pod, 'distributed' in a master"
        " and workers that start together, 'inference' for a step that serves.",
    )
    environment_variables: dict[str, str] = Field(
        default_factory=dict, description="Further environment variables."
    )
    inference: RunAIInferenceSettings | None = Field(
        default=None, description="Port, scaling and access of an inference workload."
    )
    max_parallelism: PositiveInt | None = Field(
        default=None, description="Steps of a pipeline that run at the same time at most."
    )
    head_cpu_core_request: float = Field(
        default=0.1, ge=0.05, description="CPU cores of the head workload."
    )
    head_cpu_memory_request: Memory = Field(
        default="400Mi", description="Memory of the head workload."
    )
    head_node_pools: list[str] | None = Field(
        default=None, description="Node pools of the head workload; best without GPUs."
    )
    head_priority_class: str | None = Field(
        default=None, min_length=1, description="Priority class of the head workload."
    )
    head_backoff_limit: NonNegativeInt = Field(
        default=3, description="Restarts of the head workload; it continues where it was."
    )

    @model_validator(mode="after")
    def _type_fits(self) -> Self:
        if self.workload_type != "training" and (self.parallelism or self.completions):
            raise ValueError("parallelism and completions belong to workload_type='training'")
        if self.workload_type != "distributed" and self.distributed is not None:
            raise ValueError("`distributed` needs workload_type='distributed'")
        if self.workload_type != "inference" and self.inference is not None:
            raise ValueError("`inference` needs workload_type='inference'")
        if self.workload_type == "inference" and self.s3_mounts:
            raise ValueError("an inference workload cannot mount S3 buckets")
        return self


class RunAIOrchestratorConfig(
    BaseOrchestratorConfig, RunAIConnectionConfig, RunAIOrchestratorSettings
):
    """Configuration of the orchestrator; every setting can have a default here."""

    model_config = ConfigDict(extra="ignore")

    @property
    def is_remote(self) -> bool:
        """The steps run elsewhere and need a ZenML server that they can reach."""
        return True

    @property
    def is_synchronous(self) -> bool:
        return self.synchronous

    @property
    def is_schedulable(self) -> bool:
        """Run:ai's workloads have no schedule."""
        return False


class RunAIOrchestratorFlavor(BaseOrchestratorFlavor):
    """Runs whole pipelines as Run:ai workloads."""

    @property
    def name(self) -> str:
        return FLAVOR_NAME

    @property
    def display_name(self) -> str:
        return DISPLAY_NAME

    @property
    def docs_url(self) -> str:
        return DOCS_URL

    @property
    def logo_url(self) -> str:
        return LOGO_URL

    @property
    def service_connector_requirements(self) -> ServiceConnectorRequirements:
        """The connector that can replace the credentials of the configuration."""
        return ServiceConnectorRequirements(
            connector_type=CONNECTOR_TYPE, resource_type=CONNECTOR_RESOURCE_TYPE
        )

    @property
    def config_class(self) -> type[RunAIOrchestratorConfig]:
        return RunAIOrchestratorConfig

    @property
    def implementation_class(self) -> "type[RunAIOrchestrator]":
        from zenml_runai.orchestrators import RunAIOrchestrator

        return RunAIOrchestrator
