"""Flavor of the step operator."""

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from zenml.models import ServiceConnectorRequirements
from zenml.step_operators import BaseStepOperatorConfig, BaseStepOperatorFlavor

from zenml_runai import FLAVOR_NAME
from zenml_runai.flavors._connection import RunAIConnectionConfig
from zenml_runai.flavors._presentation import (
    CONNECTOR_RESOURCE_TYPE,
    CONNECTOR_TYPE,
    DISPLAY_NAME,
    DOCS_URL,
    LOGO_URL,
)
from zenml_runai.flavors._workload_settings import RunAIWorkloadSettings

if TYPE_CHECKING:
    from zenml_runai.step_operators import RunAIStepOperator


class RunAIStepOperatorSettings(RunAIWorkloadSettings):
    """Settings of a step that runs on Run:ai.

    Example:
        ``@step(step_operator="runai", settings={"step_operator": RunAIStepOperatorSettings(
        gpu_portion_request=0.5)})``
    """

    configuration_fields: ClassVar[frozenset[str]] = frozenset(RunAIConnectionConfig.model_fields)

    workload_kind: Literal["training", "distributed"] = Field(
        default="training",
        description="'training' runs the step in one pod, 'distributed' in a master and workers"
        " that start together (see `distributed`).",
    )

    @model_validator(mode="after")
    def _kind_fits(self) -> Self:
        if self.workload_kind == "distributed" and (self.parallelism or self.completions):
            raise ValueError(
                "parallelism and completions belong to workload_kind='training'; a distributed"
                " workload has distributed.num_workers"
            )
        if self.workload_kind == "training" and self.distributed is not None:
            raise ValueError("`distributed` needs workload_kind='distributed'")
        return self


class RunAIStepOperatorConfig(
    BaseStepOperatorConfig, RunAIConnectionConfig, RunAIStepOperatorSettings
):
    """Configuration of the step operator; every setting can have a default here."""

    model_config = ConfigDict(extra="ignore")

    @property
    def is_remote(self) -> bool:
        """The steps run elsewhere and need a ZenML server that they can reach."""
        return True


class RunAIStepOperatorFlavor(BaseStepOperatorFlavor):
    """Runs single steps as Run:ai workloads."""

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
    def config_class(self) -> type[RunAIStepOperatorConfig]:
        return RunAIStepOperatorConfig

    @property
    def implementation_class(self) -> "type[RunAIStepOperator]":
        from zenml_runai.step_operators import RunAIStepOperator

        return RunAIStepOperator
