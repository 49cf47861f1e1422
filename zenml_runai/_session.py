"""What all components of a process share: one client and one monitor for each project.

Step operator and orchestrator with the same control plane, identity and project use the same
session, whatever number of instances ZenML makes of them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from pydantic import SecretStr

from zenml_runai._control_plane import Connection, ControlPlane
from zenml_runai.errors import RunAIInvalidConfiguration
from zenml_runai.flavors._connection import RunAIConnectionConfig
from zenml_runai.monitor import Pace, WorkloadMonitor

if TYPE_CHECKING:
    from zenml.stack import StackComponent


@dataclass
class Session:
    """A control plane, its monitor, and what was already told about each workload."""

    control_plane: ControlPlane
    monitor: WorkloadMonitor
    pace: Pace
    told: dict[str, set[str]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def tell_once(self, workload_id: str, text: str) -> bool:
        """Whether this text was not told about this workload before."""
        with self.lock:
            known = self.told.setdefault(workload_id, set())
            if text in known:
                return False
            known.add(text)
            return True

    def forget(self, workload_id: str) -> None:
        """The workload is over and dealt with."""
        self.monitor.forget(workload_id)
        with self.lock:
            self.told.pop(workload_id, None)


_sessions: dict[tuple[Any, ...], Session] = {}
_lock = threading.Lock()


def session_of(component: StackComponent) -> Session:
    """The session of a component; its credentials come from its service connector, if it has one.

    Made at the first call, without any request.
    """
    config = cast(RunAIConnectionConfig, component.config)
    if component.connector is None:
        return session_for(config)
    return session_for(config, component.connector, lambda: _from_connector(component))


def session_for(
    config: RunAIConnectionConfig,
    connector_id: UUID | None = None,
    read_connection: Callable[[], Connection] | None = None,
) -> Session:
    """The session of a configuration, and of a connector that replaces its credentials."""
    # Secret references stay references here: resolving them costs a request to ZenML each.
    raw = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in config.__dict__.items()
        if name in RunAIConnectionConfig.model_fields
    }
    identity = ("runai_base_url", "client_id", "client_secret", "project_name", "cluster_name")
    # A forked process must not share threads and connections with its parent.
    key = (os.getpid(), connector_id, *(raw[name] for name in identity), raw["ca_bundle"])
    with _lock:
        if key not in _sessions:
            pace = Pace(
                shortest=config.shortest_status_interval,
                longest=max(config.longest_status_interval, config.shortest_status_interval),
                per_minute=config.status_requests_per_minute,
                full=config.monitoring_interval,
            )
            control_plane = ControlPlane(
                read_connection or (lambda: connection_of(config)),
                config.project_name,
                config.cluster_name,
            )
            _sessions[key] = Session(control_plane, WorkloadMonitor(control_plane, pace), pace)
        return _sessions[key]


def connection_of(config: RunAIConnectionConfig) -> Connection:
    """The connection as configured, with secret references resolved now.

    Raises:
        RunAIInvalidConfiguration: A referenced secret or key does not exist.
    """
    try:
        return Connection(
            base_url=_plain(config.runai_base_url),
            client_id=_plain(config.client_id),
            client_secret=SecretStr(_plain(config.client_secret)),
            ca_bundle=_plain(config.ca_bundle) if config.ca_bundle else None,
        )
    except KeyError as error:
        raise RunAIInvalidConfiguration(
            f"A secret of the component cannot be read: {error.args[0]}",
            "Create the ZenML secret, or correct the reference in the component's configuration.",
        ) from error


def _from_connector(component: StackComponent) -> Connection:
    # Its import makes the type known to this process.
    from zenml_runai.service_connector import RunAIServiceConnector

    connector = component.get_connector()
    if not isinstance(connector, RunAIServiceConnector):
        raise RunAIInvalidConfiguration(
            f"The service connector of `{component.name}` is not of type nvidia_runai.",
            "Connect one of that type, or disconnect it to use the component's configuration.",
        )
    known = connector.config
    return Connection(
        known.runai_base_url,
        known.client_id.get_secret_value(),
        known.client_secret,
        known.ca_bundle,
    )


def _plain(value: str | SecretStr) -> str:
    # ZenML returns a resolved reference as text even where the field is a SecretStr.
    return value.get_secret_value() if isinstance(value, SecretStr) else value
