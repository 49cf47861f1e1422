"""Service connector type ``nvidia_runai``: credentials of a control plane in one place.

Optional: components usually hold references to a ZenML secret. A third-party connector type is
known only in processes that have imported this module, so it is used from Python, not from the
dashboard; the server stores it, but cannot verify it.
"""

import os
from typing import Any, Final

from pydantic import Field
from zenml.exceptions import AuthorizationException
from zenml.models import AuthenticationMethodModel, ResourceTypeModel, ServiceConnectorTypeModel
from zenml.service_connectors.service_connector import AuthenticationConfig, ServiceConnector
from zenml.utils.secret_utils import PlainSerializedSecretStr

from runai_api import RunaiClient
from runai_api.errors import RunaiError
from zenml_runai.flavors._presentation import CONNECTOR_RESOURCE_TYPE, CONNECTOR_TYPE, LOGO_URL

AUTH_METHOD: Final = "client-credentials"


class RunAIConnectorConfig(AuthenticationConfig):
    """A service account (an application up to 2.23) of a control plane."""

    runai_base_url: str = Field(title="URL of the control plane, e.g. https://my-org.run.ai")
    client_id: PlainSerializedSecretStr = Field(title="Client id of the service account")
    client_secret: PlainSerializedSecretStr = Field(title="Client secret of the service account")
    ca_bundle: str | None = Field(
        default=None, title="File with the certificates to trust, for a private authority"
    )


_TYPE: Final = ServiceConnectorTypeModel(
    name="NVIDIA Run:ai Service Connector",
    connector_type=CONNECTOR_TYPE,
    description="Authenticates to a Run:ai control plane as a service account.",
    logo_url=LOGO_URL,
    auth_methods=[
        AuthenticationMethodModel(
            name="Client credentials",
            auth_method=AUTH_METHOD,
            description="Client id and client secret of a Run:ai service account.",
            config_class=RunAIConnectorConfig,
        )
    ],
    resource_types=[
        ResourceTypeModel(
            name="Run:ai control plane",
            resource_type=CONNECTOR_RESOURCE_TYPE,
            description="A Run:ai control plane; consumers get an authenticated client.",
            auth_methods=[AUTH_METHOD],
            supports_instances=False,
            logo_url=LOGO_URL,
        )
    ],
)


class RunAIServiceConnector(ServiceConnector):
    """Gives components of the flavor ``nvidia_runai`` a client of the control plane."""

    config: RunAIConnectorConfig

    @classmethod
    def _get_connector_type(cls) -> ServiceConnectorTypeModel:
        return _TYPE

    def _get_default_resource_id(self, resource_type: str) -> str:
        return self.config.runai_base_url.rstrip("/")

    def _connect_to_resource(self, **kwargs: Any) -> RunaiClient:
        return self._client()

    def _configure_local_client(self, **kwargs: Any) -> None:
        raise NotImplementedError(
            "There is no local client to configure; set RUNAI_BASE_URL, RUNAI_CLIENT_ID and"
            " RUNAI_CLIENT_SECRET instead."
        )

    @classmethod
    def _auto_configure(
        cls,
        auth_method: str | None = None,
        resource_type: str | None = None,
        resource_id: str | None = None,
        **kwargs: Any,
    ) -> "RunAIServiceConnector":
        """From the variables that `RunaiClient.from_environment` reads."""
        names = ("RUNAI_BASE_URL", "RUNAI_CLIENT_ID", "RUNAI_CLIENT_SECRET")
        if missing := [name for name in names if not os.environ.get(name)]:
            raise NotImplementedError(f"The environment lacks {', '.join(missing)}.")
        url, client_id, client_secret = (os.environ[name] for name in names)
        return cls(
            auth_method=auth_method or AUTH_METHOD,
            resource_type=resource_type or CONNECTOR_RESOURCE_TYPE,
            resource_id=resource_id,
            config=RunAIConnectorConfig(
                runai_base_url=url,
                client_id=client_id,
                client_secret=client_secret,
                ca_bundle=os.environ.get("RUNAI_CA_BUNDLE") or None,
            ),
        )

    def _verify(
        self, resource_type: str | None = None, resource_id: str | None = None
    ) -> list[str]:
        with self._client() as client:
            try:
                client.permissions.mine()
            except RunaiError as error:
                raise AuthorizationException(str(error)) from error
        return [self._get_default_resource_id(resource_type or CONNECTOR_RESOURCE_TYPE)]

    def _client(self) -> RunaiClient:
        config = self.config
        return RunaiClient(
            config.runai_base_url,
            client_id=config.client_id.get_secret_value(),
            client_secret=config.client_secret,
            ca_bundle=config.ca_bundle,
        )
