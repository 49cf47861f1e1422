"""The way in: one client for one control plane and one identity."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from pydantic import SecretStr

from runai_api._auth import ControlPlaneVersion, TokenSource
from runai_api._config import RetryPolicy, Timeouts
from runai_api._http import Session
from runai_api.access_rules import AccessRules
from runai_api.applications import Applications
from runai_api.credentials import RegistryCredentials
from runai_api.errors import ConfigurationError
from runai_api.generic_secrets import GenericSecrets
from runai_api.org_units import Clusters, Departments, NodePools, Projects
from runai_api.permission_sets import PermissionSets
from runai_api.permissions import Permissions
from runai_api.roles import Roles
from runai_api.service_accounts import ServiceAccounts
from runai_api.typed_workloads import Distributed, Inferences, Trainings, Workspaces
from runai_api.workload_templates import WorkloadTemplates
from runai_api.workloads import Workloads


class RunaiClient:
    """A control plane as one service account (or application) sees it.

    `base_url` is the tenant's URL, such as ``https://acme.run.ai``. `ca_bundle` is a PEM file or a
    folder with the certificate authority of a private installation. Proxies come from the
    environment (``HTTPS_PROXY``, ``NO_PROXY``) unless `proxy` names one. `request_log` is a file to
    which each request is appended as a line of JSON, without bodies.

    Nothing is sent before the first call. Safe to share between threads; close it, or use it in a
    ``with`` statement. Errors: see `runai_api.errors`.
    """

    def __init__(
        self,
        base_url: str,
        *,
        client_id: str,
        client_secret: str | SecretStr,
        ca_bundle: str | os.PathLike[str] | None = None,
        proxy: str | None = None,
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
        request_log: str | os.PathLike[str] | None = None,
        transport: Any = None,
    ) -> None:
        secret = SecretStr(client_secret) if isinstance(client_secret, str) else client_secret
        session = Session(
            base_url,
            ca_bundle=ca_bundle,
            proxy=proxy,
            timeouts=timeouts,
            retry=retry,
            request_log=request_log,
            transport=transport,
        )
        self._tokens = TokenSource(session, client_id, secret)
        session.tokens = self._tokens
        self._session = session
        self.service_accounts = ServiceAccounts(session)
        self.applications = Applications(session)
        self.roles = Roles(session, self._tokens.version)
        self.permission_sets = PermissionSets(session)
        self.access_rules = AccessRules(session)
        self.permissions = Permissions(session)
        self.clusters = Clusters(session)
        self.node_pools = NodePools(session)
        self.departments = Departments(session)
        self.projects = Projects(session)
        self.registry_credentials = RegistryCredentials(session)
        self.generic_secrets = GenericSecrets(session)
        self.trainings = Trainings(session)
        self.distributed = Distributed(session)
        self.inferences = Inferences(session)
        self.workspaces = Workspaces(session)
        self.workloads = Workloads(session)
        self.workload_templates = WorkloadTemplates(session)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> RunaiClient:
        """A client from ``RUNAI_BASE_URL``, ``RUNAI_CLIENT_ID`` and ``RUNAI_CLIENT_SECRET``.

        Optional: ``RUNAI_CA_BUNDLE`` and ``RUNAI_REQUEST_LOG``.
        """
        values = os.environ if environ is None else environ
        needed = ("RUNAI_BASE_URL", "RUNAI_CLIENT_ID", "RUNAI_CLIENT_SECRET")
        missing = [name for name in needed if not values.get(name)]
        if missing:
            raise ConfigurationError(
                f"The environment does not say how to reach Run:ai: {', '.join(missing)} not set.",
                hint="Make a service account in Run:ai under Access and set its values.",
            )
        url, client_id, client_secret = (values[name] for name in needed)
        return cls(
            url,
            client_id=client_id,
            client_secret=client_secret,
            ca_bundle=values.get("RUNAI_CA_BUNDLE") or None,
            request_log=values.get("RUNAI_REQUEST_LOG") or None,
        )

    @property
    def base_url(self) -> str:
        return self._session.base_url

    @property
    def client_id(self) -> str:
        return self._tokens.client_id

    @property
    def version(self) -> ControlPlaneVersion:
        """The kind of control plane; asks for a token if there was none yet."""
        return self._tokens.version()

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> RunaiClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"RunaiClient({self.base_url!r}, client_id={self.client_id!r})"
