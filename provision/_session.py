"""The clients of one provider host process.

The engine starts one host process for each preview and each update. All providers in it share one
client of the control plane and one of ZenML, so that a run costs one login each. Credentials come
from the stack's configuration, or else from the environment, and leave it wrapped in a type that
masks itself.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from provision.errors import InvalidSetting

if TYPE_CHECKING:
    from pydantic import SecretStr

    from provision.zenml_rest import ZenMLClient
    from runai_api import RunaiClient

T = TypeVar("T")


class RawConfig(Protocol):
    """What `ConfigureRequest.config` offers: values of the stack's configuration, as text."""

    def get(self, key: str) -> Any: ...


#: The settings that only the provider host reads.
HOST_KEYS = (
    "runaiBaseUrl", "runaiClientId", "runaiClientSecret", "runaiCaBundle",
    "zenmlUrl", "zenmlApiKey", "zenmlCaBundle", "destroyInUse", "deleteAdopted",
)  # fmt: skip
HOST_SECRETS = ("runaiClientSecret", "zenmlApiKey")

#: Credentials that may stand in the environment of ``pulumi`` instead, under the names that
#: `runai_api` and ZenML use. The engine neither logs nor keeps those.
FROM_ENVIRONMENT = {
    "runaiClientId": "RUNAI_CLIENT_ID",
    "runaiClientSecret": "RUNAI_CLIENT_SECRET",
    "zenmlApiKey": "ZENML_STORE_API_KEY",
}


@dataclass(frozen=True)
class HostSettings:
    """The settings that the provider host needs, in the words of Pulumi.yaml."""

    runai_base_url: str | None
    runai_client_id: str | None
    runai_client_secret: SecretStr | None
    runai_ca_bundle: str | None
    zenml_url: str | None
    zenml_api_key: SecretStr | None
    zenml_ca_bundle: str | None
    destroy_in_use: bool
    delete_adopted: bool

    @classmethod
    def read(cls, config: RawConfig) -> HostSettings:
        return cls(
            runai_base_url=_text(config, "runaiBaseUrl"),
            runai_client_id=_text(config, "runaiClientId"),
            runai_client_secret=_secret(config, "runaiClientSecret"),
            runai_ca_bundle=_text(config, "runaiCaBundle"),
            zenml_url=_text(config, "zenmlUrl"),
            zenml_api_key=_secret(config, "zenmlApiKey"),
            zenml_ca_bundle=_text(config, "zenmlCaBundle"),
            destroy_in_use=_flag(config, "destroyInUse"),
            delete_adopted=_flag(config, "deleteAdopted"),
        )


class Session:
    """One client of each kind, made when first asked for. Safe to share between threads."""

    def __init__(self, settings: HostSettings) -> None:
        self.settings = settings
        self._runai_lock = threading.Lock()
        self._zenml_lock = threading.Lock()
        self._runai: RunaiClient | None = None
        self._zenml: ZenMLClient | None = None

    @property
    def runai(self) -> RunaiClient:
        """The control plane, with the administrator's credentials."""
        with self._runai_lock:
            if self._runai is None:
                from provision._clients import connect_runai

                self._runai = connect_runai(self.settings)
            return self._runai

    @property
    def zenml(self) -> ZenMLClient:
        """The ZenML server."""
        with self._zenml_lock:
            if self._zenml is None:
                from provision._clients import connect_zenml

                self._zenml = connect_zenml(self.settings)
            return self._zenml


_sessions: dict[HostSettings, Session] = {}
_sessions_lock = threading.Lock()


def session_for(config: RawConfig) -> Session:
    """The session of this process for this configuration."""
    settings = HostSettings.read(config)
    with _sessions_lock:
        return _sessions.setdefault(settings, Session(settings))


def required(settings: Mapping[str, T | None]) -> dict[str, T]:
    """The settings, or an error that names those that are missing."""
    missing = [key for key, value in settings.items() if not value]
    if missing:
        commands = "; ".join(
            f"pulumi config set {'--secret ' if key in HOST_SECRETS else ''}{key} ..."
            for key in missing
        )
        names = [FROM_ENVIRONMENT[key] for key in missing if key in FROM_ENVIRONMENT]
        instead = f"; or in the environment: {', '.join(names)}" if names else ""
        raise InvalidSetting(f"Not configured: {', '.join(missing)}. Set: {commands}{instead}")
    return {key: value for key, value in settings.items() if value}


def _text(config: RawConfig, key: str) -> str | None:
    value = str(config.get(key) or "").strip()
    return value or os.environ.get(FROM_ENVIRONMENT.get(key, ""), "").strip() or None


def _secret(config: RawConfig, key: str) -> SecretStr | None:
    from pydantic import SecretStr

    value = _text(config, key)
    return SecretStr(value) if value else None


def _flag(config: RawConfig, key: str) -> bool:
    return str(config.get(key)).lower() == "true"
