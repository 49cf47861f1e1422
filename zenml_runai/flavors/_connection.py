"""Configuration of a component: which control plane, which project, how to watch."""

from pydantic import BaseModel, Field, PositiveFloat, PositiveInt
from zenml.utils.secret_utils import PlainSerializedSecretStr


class RunAIConnectionConfig(BaseModel):
    """What step operator and orchestrator are registered with.

    No field here has a validator of its own: ZenML refuses a secret reference
    (``{{secret.key}}``) for a field that has one. Values are checked where they are used.
    """

    client_id: PlainSerializedSecretStr = Field(
        description="Client id of the Run:ai service account (an application up to 2.23)."
    )
    client_secret: PlainSerializedSecretStr = Field(
        description="Client secret of the service account."
    )
    runai_base_url: str = Field(
        description="URL of the control plane, e.g. 'https://my-org.run.ai'."
    )
    project_name: str = Field(description="Run:ai project in which the workloads run.")
    cluster_name: str | None = Field(
        default=None, description="Cluster of the project; only needed when in doubt."
    )
    ca_bundle: str | None = Field(
        default=None,
        description="File with the certificates to trust (PEM), for a control plane with a private"
        " certificate authority. It must exist wherever the component is used.",
    )
    image_pull_secret_name: str | None = Field(
        default=None, description="Kubernetes secret for a private registry."
    )
    delete_on_failure: bool = Field(
        default=False, description="Delete workloads that fail or time out; else only stop them."
    )
    delete_on_cancel: bool = Field(
        default=False, description="Delete workloads of cancelled steps; else only stop them."
    )
    pass_zenml_token_as_credential: bool = Field(
        default=False,
        description="Pass the ZenML token through a Run:ai credential (generic secret) that lives"
        " as long as the workload, instead of plainly in the workload's environment.",
    )
    monitoring_interval: PositiveFloat = Field(
        default=30.0,
        description="Seconds between two complete looks at the workloads in flight. Changes are"
        " seen much sooner, see `longest_status_interval`.",
    )
    shortest_status_interval: PositiveFloat = Field(
        default=1.0,
        description="Seconds between two requests for changes while one is expected, such as right"
        " after a submission. One request serves all steps of a process.",
    )
    longest_status_interval: PositiveFloat = Field(
        default=2.75, description="Seconds between two requests for changes otherwise."
    )
    status_requests_per_minute: PositiveInt = Field(
        default=24, description="Status requests that a process makes in any minute at most."
    )
