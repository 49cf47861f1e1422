"""The control plane as a component uses it: one identity, one project, words for every refusal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Final, TypeVar

from pydantic import SecretStr
from zenml.logger import get_logger

from runai_api import (
    AmbiguousName,
    AmbiguousOutcome,
    APIError,
    AuthenticationFailed,
    BadRequest,
    ConfigurationError,
    Conflict,
    ConnectionFailed,
    ControlPlaneVersion,
    DeadlineExceeded,
    NotFound,
    PermissionDenied,
    RateLimited,
    RunaiClient,
    RunaiError,
    ServerError,
    UnprocessableEntity,
    Workload,
)
from zenml_runai._diagnosis import sentences
from zenml_runai.errors import (
    RunAIAuthenticationError,
    RunAIClusterNotFound,
    RunAIControlPlaneError,
    RunAIInvalidConfiguration,
    RunAIInvalidSettings,
    RunAIProjectNotFound,
    RunAIQuotaExceeded,
    RunAISubmissionDenied,
    RunAISubmissionFailed,
    RunAITemplateNotFound,
)
from zenml_runai.workload_spec import Target, WorkloadKind

logger = get_logger(__name__)

T = TypeVar("T")

# Project and cluster are looked up again after this; ids do not change, projects can move.
_TARGET_SECONDS: Final = 600.0
# A workload whose creation was not confirmed is looked for after these pauses.
_LOOKUP_PAUSES: Final = (0.5, 1.0, 2.0)
# A creation without an answer is tried this often even where there is no patience.
_ATTEMPTS: Final = 3
_MAX_PAUSE: Final = 15.0
# An outage of a quarter of an hour must cost nothing but waiting.
PATIENCE_SECONDS: Final = 1200.0
_TRANSIENT: Final = (
    AmbiguousOutcome,
    ConnectionFailed,
    DeadlineExceeded,
    RateLimited,
    ServerError,
)
# Events that are read to find a reason; they come newest first.
_EVENTS: Final = 50


@dataclass(frozen=True)
class Connection:
    """Where the control plane is and who we are there; secrets have a masked repr."""

    base_url: str
    client_id: str
    client_secret: SecretStr
    ca_bundle: str | None = None


@dataclass(frozen=True)
class Submitted:
    """A workload that exists now.

    Attributes:
        workload_id: Its id.
        name: Its name.
        created_at: By the control plane's clock.
        adopted: It existed already, from an earlier attempt of the same step run.
    """

    workload_id: str
    name: str
    created_at: datetime
    adopted: bool


class ControlPlane:
    """Calls with the credentials of a component; thread-safe.

    Args:
        read_connection: Reads the configuration. Called again when the control plane does not
            accept the credentials any more, so that a rotated secret is picked up.
        project_name: The project.
        cluster_name: Its cluster, if it was given.
        patience: Seconds for which a control plane may stay silent before a submission fails.
    """

    def __init__(
        self,
        read_connection: Callable[[], Connection],
        project_name: str,
        cluster_name: str | None = None,
        *,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._read_connection = read_connection
        self._project_name = project_name
        self._cluster_name = cluster_name
        self._lock = threading.RLock()
        self._connection: Connection | None = None
        self._client: RunaiClient | None = None
        self._target: tuple[Target, float] | None = None
        self._patience = patience
        self._answered = False

    @property
    def client(self) -> RunaiClient:
        """The client, made at the first use."""
        with self._lock:
            if self._client is None:
                self._connect(self._read_connection())
            assert self._client is not None  # noqa: S101 - made above
            return self._client

    def call(self, action: Callable[[RunaiClient], T]) -> T:
        """Run an action; once more with fresh credentials when these are refused.

        Raises:
            RunaiError: As the client raises it.
        """
        client = self.client
        try:
            result = action(client)
        except AuthenticationFailed:
            if not self._reconnect(client):
                raise
            result = action(self.client)
        self._answered = True
        return result

    def _connect(self, connection: Connection) -> None:
        try:
            client = RunaiClient(
                connection.base_url,
                client_id=connection.client_id,
                client_secret=connection.client_secret,
                ca_bundle=connection.ca_bundle,
            )
        except ConfigurationError as error:
            raise RunAIInvalidConfiguration(str(error)) from error
        self._client, self._connection = client, connection

    def _reconnect(self, refused: RunaiClient) -> bool:
        """Read the credentials again; whether they are others than those that were refused."""
        with self._lock:
            if self._client is not refused:
                return True
            connection = self._read_connection()
            if connection == self._connection:
                return False
            logger.info("The Run:ai credentials have changed; going on with the new ones.")
            # Other threads may be in a call of the old client: it is not closed, only let go.
            self._connect(connection)
            return True

    # Where workloads go

    def target(self) -> Target:
        """Project and cluster by their names.

        Raises:
            RunAIProjectNotFound: No such project, or it may not be seen.
            RunAIClusterNotFound: No such cluster, or the project belongs to another.
            RunAIControlPlaneError: The control plane refused or did not answer.
        """
        known = self._target
        if known is not None and time.monotonic() < known[1]:
            return known[0]
        # Without the lock: it may take as long as an outage.
        target = self._patiently(self._resolve)
        self._target = (target, time.monotonic() + _TARGET_SECONDS)
        return target

    def _resolve(self) -> Target:
        name = self._project_name
        try:
            cluster_id = self._cluster_id() if self._cluster_name else None
            project = self.call(lambda client: client.projects.find(name, cluster_id))
            if project is not None:
                return Target(project_id=project.id, cluster_id=project.cluster_id)
            elsewhere = self.call(lambda client: client.projects.list())
        except AmbiguousName as error:
            raise RunAIProjectNotFound(
                f"Several clusters have a project {name!r}.", "Set cluster_name."
            ) from error
        except PermissionDenied as error:
            raise RunAIProjectNotFound(
                f"The project {name!r} may not be viewed: {error}"
            ) from error
        except _TRANSIENT:
            raise
        except RunaiError as error:
            raise translated(error) from error
        if any(other.name == name for other in elsewhere):
            raise RunAIClusterNotFound(
                f"The project {name!r} does not belong to the cluster {self._cluster_name!r}."
            )
        near = get_close_matches(name, [other.name for other in elsewhere], n=3)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise RunAIProjectNotFound(f"Project not found in Run:ai: {name!r}.{hint}")

    def _cluster_id(self) -> str:
        name = self._cluster_name
        clusters = self.call(lambda client: client.clusters.list())
        for cluster in clusters:
            if cluster.name == name:
                return cluster.id
        names = ", ".join(sorted(cluster.name for cluster in clusters)) or "none"
        raise RunAIClusterNotFound(f"Cluster not found in Run:ai: {name!r}. Visible: {names}.")

    # Life of a workload

    def submit(self, kind: WorkloadKind, body: Mapping[str, Any]) -> Submitted:
        """Create a workload, or adopt the one that an earlier attempt created.

        The name in the body must belong to this attempt alone: it is how a workload is found whose
        creation was not confirmed.

        Raises:
            RunAISubmissionFailed: The control plane refuses it; nothing was created.
            RunAIControlPlaneError: It did not answer, and nothing of that name exists.
        """

        def create() -> Submitted:
            self.call(lambda client: _check_version(client, body))
            try:
                created = self.call(lambda client: _family(client, kind).create(body))
            except AmbiguousOutcome:
                if (found := self._find_after_doubt(body)) is None:
                    raise
            except _TRANSIENT:
                raise
            except RunaiError as error:
                # A taken name is documented neither as 409 nor as 400.
                taken = isinstance(error, Conflict | BadRequest | UnprocessableEntity)
                found = self.find(body["name"], body["projectId"]) if taken else None
                if found is None:
                    raise submission_error(error, body) from error
            else:
                return Submitted(
                    created.workload_id, created.name, created.created_at or _now(), adopted=False
                )
            logger.info("Found the Run:ai workload %s of an earlier attempt.", found.name)
            return Submitted(found.id, found.name, found.created_at or _now(), adopted=True)

        return self._patiently(create)

    def _patiently(self, action: Callable[[], T]) -> T:
        """Repeat an action while the control plane does not answer, for `patience` seconds.

        Only for one that answered before: a wrong URL is an error at once.
        """
        patience = self._patience if self._answered else 0.0
        deadline, attempt = time.monotonic() + patience, 0
        while True:
            attempt += 1
            try:
                return action()
            except _TRANSIENT as error:
                last = attempt >= _ATTEMPTS if isinstance(error, AmbiguousOutcome) else True
                if last and time.monotonic() >= deadline:
                    raise translated(error) from error
                if attempt == 1:
                    logger.warning("Run:ai does not answer; trying on: %s", error)
                time.sleep(min(0.5 * 2**attempt, _MAX_PAUSE))

    def _find_after_doubt(self, body: Mapping[str, Any]) -> Workload | None:
        for pause in (*_LOOKUP_PAUSES, None):
            with suppress(RunaiError):
                found = self.find(body["name"], body["projectId"])
                if found is not None:
                    return found
            if pause is not None:
                time.sleep(pause)
        return None

    def find(self, name: str, project_id: str) -> Workload | None:
        """The workload of exactly this name in the project."""
        filters = [f"name=={name}", f"projectId=={project_id}"]
        found = self.call(lambda client: client.workloads.list(filter_by=filters))
        return next((workload for workload in found if workload.name == name), None)

    def stop(self, kind: WorkloadKind, workload_id: str) -> None:
        """Stop a workload and keep it; one that is gone or over is left alone.

        An inference cannot be suspended (documented); it is deleted instead.
        """
        if kind is WorkloadKind.INFERENCE:
            self.delete(kind, workload_id)
            return
        try:
            self.call(lambda client: _family(client, kind).suspend(workload_id))
        except (NotFound, Conflict, BadRequest) as error:
            logger.debug("Workload %s need not be stopped: %s", workload_id, error)

    def delete(self, kind: WorkloadKind, workload_id: str) -> None:
        """Delete a workload; one that is gone is no error."""
        try:
            self.call(lambda client: _family(client, kind).delete(workload_id))
        except NotFound:
            logger.debug("Workload %s is gone already.", workload_id)

    # Secrets of a workload

    def store_secret(self, name: str, project_id: str, values: Mapping[str, str]) -> str:
        """Keep values in a Run:ai credential; returns the Kubernetes secret's name.

        One of this name, left by an earlier attempt, is replaced: its values are not known.

        Raises:
            RunAIControlPlaneError: The control plane or the cluster did not take it.
        """

        def store() -> str:
            try:
                stored = self.call(
                    lambda client: client.generic_secrets.create(name, project_id, values)
                )
            except (Conflict, AmbiguousOutcome):
                self.delete_secret(name, project_id)
                stored = self.call(
                    lambda client: client.generic_secrets.create(name, project_id, values)
                )
            ready = self.call(lambda client: client.generic_secrets.wait_ready(stored))
            if ready.kubernetes_secret_name is None:
                raise RunAIControlPlaneError(
                    f"Run:ai does not say how the credential {name} is called in the cluster.",
                    "Set pass_zenml_token_as_credential=False.",
                )
            return ready.kubernetes_secret_name

        try:
            return self._patiently(store)
        except RunaiError as error:
            raise translated(error) from error

    def delete_secret(self, name: str, project_id: str) -> None:
        """Delete the credential of this name, if it is there."""
        found = self.call(lambda client: client.generic_secrets.find(name, project_id))
        if found is not None:
            self.call(lambda client: client.generic_secrets.delete(found.id))

    # What the monitor asks

    def changes(self, since: datetime) -> Sequence[Workload]:
        filters = [
            f"projectId=={(self._target[0] if self._target else self.target()).project_id}",
            f"phaseUpdatedAt>={_timestamp(since)}",
        ]
        return self.call(lambda client: client.workloads.list(filter_by=filters))

    def get(self, workload_id: str) -> Workload | None:
        try:
            return self.call(lambda client: client.workloads.get(workload_id))
        except NotFound:
            return None

    def reasons(self, workload: Workload) -> Sequence[str]:
        events = self.call(lambda client: client.workloads.events(workload.id, limit=_EVENTS))
        return sentences(workload, events)

    def is_refusal(self, error: Exception) -> bool:
        return isinstance(error, PermissionDenied)


def translated(error: RunaiError) -> RunAIControlPlaneError | RunAIInvalidConfiguration:
    """An error of the client as an error of the component, with a remedy."""
    if isinstance(error, AuthenticationFailed):
        return RunAIAuthenticationError(error.message)
    if isinstance(error, ConfigurationError):
        return RunAIInvalidConfiguration(str(error))
    if isinstance(error, APIError):
        return RunAIControlPlaneError(error.message, error.hint or "")
    return RunAIControlPlaneError(error.message)


def submission_error(error: RunaiError, body: Mapping[str, Any]) -> Exception:
    """Why a workload was refused, in the words of the user's settings."""
    template = body.get("templateId")
    if isinstance(error, PermissionDenied):
        missing = f" (probably missing: {error.permission})" if error.permission else ""
        if template and error.permission and error.permission.startswith("templates"):
            return RunAITemplateNotFound(
                f"The workload template {template!r} may not be used{missing}."
            )
        return RunAISubmissionDenied(
            f"Run:ai refused to create the workload {body['name']}: {error.server_message or 403}"
            f"{missing}."
        )
    if isinstance(error, AuthenticationFailed):
        return translated(error)
    if not isinstance(error, APIError):
        return translated(error)
    said = (error.server_message or "").strip().rstrip(".")
    if template and "template" in said.lower():
        return RunAITemplateNotFound(f"The workload template {template!r} cannot be used: {said}.")
    if isinstance(error, BadRequest) and error.issues:
        issues = "; ".join(f"{issue.field}: {issue.details}" for issue in error.issues)
        return RunAIInvalidSettings(
            f"The project's policy does not allow the workload: {issues}.",
            "Change these settings, or ask the administrator to change the policy.",
        )
    if "quota" in said.lower():
        return RunAIQuotaExceeded(f"Run:ai refused the workload {body['name']}: {said}.")
    return RunAISubmissionFailed(
        f"Run:ai refused the workload {body['name']}: {said or f'status {error.status}'}."
    )


def _check_version(client: RunaiClient, body: Mapping[str, Any]) -> None:
    """Refuse what a control plane up to 2.23 does not know and would silently leave out."""
    if client.version is ControlPlaneVersion.CURRENT:
        return
    spec = body["spec"]
    unknown = []
    if spec.get("preemptibility") is not None:
        unknown.append("preemptibility (use priority_class)")
    if any(url.get("authorizationType") for url in spec.get("exposedUrls") or ()):
        unknown.append("external_urls: authorization_type (leave it out)")
    if unknown:
        raise RunAIInvalidSettings(
            f"Run:ai up to 2.23, as this control plane is, does not know {', '.join(unknown)}.",
            "Remove the setting, or upgrade the control plane.",
        )


def _family(client: RunaiClient, kind: WorkloadKind) -> Any:
    return {
        WorkloadKind.TRAINING: client.trainings,
        WorkloadKind.DISTRIBUTED: client.distributed,
        WorkloadKind.INFERENCE: client.inferences,
        WorkloadKind.WORKSPACE: client.workspaces,
    }[kind]


def _timestamp(date: datetime) -> str:
    utc = date.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def _now() -> datetime:
    return datetime.now(UTC)
