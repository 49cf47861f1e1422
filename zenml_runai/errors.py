"""What can go wrong with a step on Run:ai, each with what to do about it.

Every error is a ``RuntimeError``, which ZenML shows to the user as it is, and carries ``remedy``.
"""

from typing import ClassVar


class RunAIError(RuntimeError):
    """Base of all errors of the step operator and the orchestrator.

    Args:
        message: What happened and why.
        remedy: What to do next; the class's own when not given.
    """

    default_remedy: ClassVar[str] = ""

    def __init__(self, message: str, remedy: str | None = None) -> None:
        self.message = message
        self.remedy = self.default_remedy if remedy is None else remedy
        # ZenML stores an error as its text and makes it anew from that: the remedy is there then.
        known = bool(self.remedy) and self.remedy in message
        super().__init__(message if known else f"{message} {self.remedy}".strip())


class RunAIInvalidSettings(RunAIError, ValueError):
    """The settings of a step cannot become a workload."""


class RunAIInvalidConfiguration(RunAIError):
    """The component's configuration cannot be used."""


class RunAIControlPlaneError(RunAIError):
    """The control plane refused or did not answer."""

    default_remedy = "Check runai_base_url and that the control plane can be reached from here."


class RunAIAuthenticationError(RunAIControlPlaneError):
    """The control plane does not accept the credentials."""

    default_remedy = (
        "Check client_id and client_secret (or the ZenML secret they refer to) and that the"
        " service account is enabled."
    )


class RunAIProjectNotFound(RunAIControlPlaneError):
    """No project of that name is visible."""

    default_remedy = (
        "Check that project_name is spelt exactly as in Run:ai and that the service account may"
        " view the project (project:read within it)."
    )


class RunAIClusterNotFound(RunAIControlPlaneError):
    """No such cluster, or the project belongs to another one."""

    default_remedy = "Correct cluster_name, or leave it out to use the project's cluster."


class RunAISubmissionFailed(RunAIControlPlaneError):
    """The control plane refused the workload."""

    default_remedy = "Check the step's settings against the project's policy and quota."


class RunAISubmissionDenied(RunAISubmissionFailed):
    """The service account may not submit into the project."""

    default_remedy = (
        "Give the service account the role 'AI practitioner' (2.24 and later; 'L1 researcher'"
        " before) at the scope of the project, or run `runai-perms check` to see what is missing."
    )


class RunAITemplateNotFound(RunAISubmissionFailed):
    """The workload template does not exist or may not be read."""

    default_remedy = (
        "workload_template_id takes the id of a template, not its name; the service account needs"
        " templates:read in the project."
    )


class RunAIWorkloadFailed(RunAIError):
    """A workload ended without success."""

    default_remedy = "Look at the step's log, or at the workload's page in Run:ai."


class RunAIOutOfMemory(RunAIWorkloadFailed):
    """The container used more memory than it may."""

    default_remedy = "Raise cpu_memory_request (and cpu_memory_limit, if it is set)."


class RunAIImagePullFailed(RunAIWorkloadFailed):
    """The cluster cannot get the image."""

    default_remedy = (
        "Check that the image exists and, for a private registry, create a Docker-registry"
        " credential in the project and set image_pull_secret_name."
    )


class RunAIWorkloadPreempted(RunAIWorkloadFailed):
    """The scheduler took the resources back."""

    default_remedy = (
        "Set preemptibility='non-preemptible' within the project's quota, raise the quota, or let"
        " the workload queue again with terminate_after_preemption=False."
    )


class RunAIQuotaExceeded(RunAIWorkloadFailed):
    """The project has not enough quota for the workload."""

    default_remedy = (
        "Raise the project's quota on the node pool, ask for less, or choose a node pool with"
        " capacity by node_pools or node_type."
    )


class RunAIPendingTimeout(RunAIWorkloadFailed):
    """The workload did not start in time."""

    default_remedy = (
        "Most likely the project has not enough quota on the requested node pool: raise it, choose"
        " a node pool with capacity by node_pools or node_type, or raise pending_timeout."
    )


class RunAIWorkloadTimeout(RunAIWorkloadFailed):
    """The workload ran longer than allowed."""

    default_remedy = "Raise workload_timeout, or find out why the step takes so long."


class RunAIWorkloadStopped(RunAIWorkloadFailed):
    """Somebody stopped the workload in Run:ai."""

    default_remedy = "Run the step again, or resume the workload in Run:ai before it times out."


class RunAIWorkloadGone(RunAIWorkloadFailed):
    """The workload does not exist any more."""

    default_remedy = "Somebody deleted it in Run:ai; run the step again."
