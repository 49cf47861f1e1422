"""Make the two clients from the settings of the host.

Each function imports what it needs itself: the login at ZenML, the slowest request of a run, need
not wait for the import of the other client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision import _constants as constants
from provision._session import HostSettings, required

if TYPE_CHECKING:
    from provision.zenml_rest import ZenMLClient
    from runai_api import RunaiClient


def connect_runai(settings: HostSettings) -> RunaiClient:
    from runai_api import RunaiClient, Timeouts

    texts = required(
        {
            "runaiBaseUrl": settings.runai_base_url,
            "runaiClientId": settings.runai_client_id,
        }
    )
    secrets = required({"runaiClientSecret": settings.runai_client_secret})
    return RunaiClient(
        texts["runaiBaseUrl"],
        client_id=texts["runaiClientId"],
        client_secret=secrets["runaiClientSecret"],
        ca_bundle=settings.runai_ca_bundle,
        timeouts=Timeouts(total=constants.CALL_SECONDS),
    )


def connect_zenml(settings: HostSettings) -> ZenMLClient:
    from provision.zenml_rest import ZenMLClient

    url = required({"zenmlUrl": settings.zenml_url})["zenmlUrl"]
    key = required({"zenmlApiKey": settings.zenml_api_key})["zenmlApiKey"]
    return ZenMLClient(url, key, ca_bundle=settings.zenml_ca_bundle)
