"""What the workloads of both components have in common: token, pull secrets, labels."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from zenml.logger import get_logger

from zenml_runai.workload_spec import Container, SecretKey, Target

if TYPE_CHECKING:
    from zenml.stack import Stack

    from zenml_runai._session import Session
    from zenml_runai.flavors._connection import RunAIConnectionConfig

logger = get_logger(__name__)

_DISTRIBUTION: Final = "zenml-runai"
# What to install in images instead of the released distribution, e.g. a wheel or a git URL.
REQUIREMENT_VARIABLE: Final = "ZENML_RUNAI_REQUIREMENT"
_TOKEN_VARIABLE: Final = "ZENML_STORE_API_TOKEN"  # noqa: S105 - the name of a variable
_TOKEN_KEY: Final = "token"  # noqa: S105 - the name of a key
_LABEL_LENGTH: Final = 63


def make_container(
    config: RunAIConnectionConfig,
    session: Session,
    target: Target,
    name: str,
    image: str,
    command: Sequence[str],
    environment: Mapping[str, str],
) -> Container:
    """The container of the workload `name`; its ZenML token goes the way that is configured."""
    secret_environment: dict[str, SecretKey] = {}
    if config.pass_zenml_token_as_credential and (token := environment.get(_TOKEN_VARIABLE)):
        secret = session.control_plane.store_secret(name, target.project_id, {_TOKEN_KEY: token})
        secret_environment[_TOKEN_VARIABLE] = SecretKey(secret, _TOKEN_KEY)
    return Container(image, command, environment, secret_environment)


def delete_token(config: RunAIConnectionConfig, session: Session, name: str) -> None:
    """Delete the credential with the token of the workload `name`, if it has one."""
    if not config.pass_zenml_token_as_credential:
        return
    try:
        project_id = session.control_plane.target().project_id
        session.control_plane.delete_secret(name, project_id)
    except Exception as error:  # what the step has done counts, whatever is left behind
        logger.warning("The Run:ai credential %s is left behind: %s", name, error)


def image_pull_secrets(config: RunAIConnectionConfig) -> list[str]:
    """The component's secret for a private registry, if it has one."""
    return [config.image_pull_secret_name] if config.image_pull_secret_name else []


def labels(
    pipeline: str, run_id: UUID, step: str | None = None, step_run_id: UUID | None = None
) -> dict[str, str]:
    """Labels by which a workload can be found in Kubernetes."""
    found = {"zenml-pipeline": _label(pipeline), "zenml-run-id": str(run_id)}
    if step is not None:
        found["zenml-step"] = _label(step)
    if step_run_id is not None:
        found["zenml-step-run-id"] = str(step_run_id)
    return found


def _label(text: str) -> str:
    """Text as a Kubernetes label value."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", text)[:_LABEL_LENGTH].strip("-_.")


def package_requirement() -> str:
    """This distribution, as a requirement for the images of steps.

    ``ZENML_RUNAI_REQUIREMENT`` names another source, for example a wheel or a git URL.
    """
    if chosen := os.environ.get(REQUIREMENT_VARIABLE):
        return chosen
    try:
        return f"{_DISTRIBUTION}=={version(_DISTRIBUTION)}"
    except PackageNotFoundError:
        return _DISTRIBUTION


def validate_remote_components(stack: Stack) -> tuple[bool, str]:
    """Whether a cluster can reach what the stack needs, and if not, what to change."""
    components: list[tuple[str, Any]] = [
        ("artifact store", stack.artifact_store),
        ("container registry", stack.container_registry),
    ]
    for kind, component in components:
        if component is not None and component.config.is_local:
            return False, (
                f"The {kind} `{component.name}` of the stack is local, but steps on Run:ai run in"
                f" a cluster that cannot reach it. Use a remote {kind} in the stack."
            )
    return True, ""
