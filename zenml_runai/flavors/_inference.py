"""Settings of an inference workload: port, access and scaling."""

from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from zenml_runai.flavors._workload_types import PortNumber, RunAIPart, check_authorization


class RunAIServingPortSettings(RunAIPart):
    """The port that serves, and who may call it."""

    container: PortNumber = Field(description="Port in the container, 1 to 65535.")
    protocol: Literal["http", "grpc"] = Field(default="http", description="Protocol of the port.")
    authorization_type: (
        Literal["public", "authenticatedUsers", "authorizedUsers", "authorizedGroups"] | None
    ) = Field(default=None, description="Who may call it.")
    authorized_users: list[str] | None = Field(default=None, description="Users who may call it.")
    authorized_groups: list[str] | None = Field(default=None, description="Groups that may.")
    cluster_local_access_only: bool | None = Field(
        default=None, description="Reachable from within the cluster only."
    )

    @model_validator(mode="after")
    def _one_kind_of_authorization(self) -> Self:
        check_authorization(self.authorization_type, self.authorized_users, self.authorized_groups)
        return self


class RunAIAutoscalingSettings(RunAIPart):
    """How many replicas serve."""

    min_replicas: NonNegativeInt = Field(default=1, description="0 allows scaling to zero.")
    max_replicas: PositiveInt = Field(default=1, description="Most replicas.")
    initial_replicas: NonNegativeInt | None = Field(default=None, description="At the start.")
    metric: str | None = Field(
        default=None,
        pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$",
        description="'throughput', 'concurrency', 'latency' or a metric of your own.",
    )
    metric_threshold: PositiveInt | None = Field(
        default=None, description="Value of the metric for each replica."
    )
    scale_to_zero_retention_seconds: int | None = Field(
        default=None, ge=0, le=3600, description="How long the last idle replica stays."
    )
    scale_down_delay_seconds: int | None = Field(
        default=None, ge=0, le=3600, description="How long a replica stays after need."
    )

    @model_validator(mode="after")
    def _metric_where_it_scales(self) -> Self:
        low, high = self.min_replicas, self.max_replicas
        if low > high:
            raise ValueError(f"min_replicas {low} is above max_replicas {high}")
        # Documented: mandatory when the numbers differ, except for 0 to 1.
        if low < high and (low, high) != (0, 1) and self.metric is None:
            raise ValueError(f"scaling from {low} to {high} replicas needs a metric")
        if (self.metric is None) != (self.metric_threshold is None):
            raise ValueError("metric and metric_threshold belong together")
        return self


class RunAIInferenceSettings(RunAIPart):
    """An inference workload."""

    serving_port: RunAIServingPortSettings | None = Field(
        default=None, description="The port that serves."
    )
    autoscaling: RunAIAutoscalingSettings | None = Field(
        default=None, description="How many replicas serve."
    )
    initialization_timeout_seconds: PositiveInt | None = Field(
        default=None, description="How long a replica may take to become ready."
    )
    request_timeout_seconds: PositiveInt | None = Field(
        default=None, description="How long one request may take."
    )
