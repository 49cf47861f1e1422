"""Settings of one workload, common to the step operator and the orchestrator.

Defaults are those of the documented step operator. What a user did not set stays out of
``model_fields_set``; `zenml_runai.workload_spec` then lets ZenML's ``ResourceSettings`` decide.
"""

from collections import Counter
from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator
from zenml.config.base_settings import BaseSettings

from zenml_runai.flavors._quantities import quantity
from zenml_runai.flavors._workload_types import (
    AbsolutePath,
    KubernetesName,
    Memory,
    RunAIConfigMapMountSettings,
    RunAIExternalURLSettings,
    RunAIHostPathMountSettings,
    RunAIMountSettings,
    RunAINFSMountSettings,
    RunAIPart,
    RunAIPortSettings,
    RunAIPVCMountSettings,
    RunAIS3MountSettings,
    RunAISecretMountSettings,
    RunAISecurityContextSettings,
    RunAITolerationSettings,
)

# Documented: label and annotation names have at most 63 characters.
_MAX_LABEL_NAME = 63


class RunAIComputeSettings(BaseSettings):
    """GPU, CPU and memory of one pod."""

    # Names of the component's configuration, which ZenML merges into the settings.
    configuration_fields: ClassVar[frozenset[str]] = frozenset()

    gpu_devices_request: int = Field(
        default=1, ge=0, description="Number of GPUs. 0 for a CPU-only step."
    )
    gpu_portion_request: float = Field(
        default=1.0,
        ge=0.0,
        le=1.0,
        description="Share of one GPU, 0.0 to 1.0. Used with gpu_request_type='portion'.",
    )
    gpu_request_type: Literal["portion", "memory", "device"] = Field(
        default="portion",
        description="How the GPU is asked for: 'portion' (gpu_portion_request), 'memory'"
        " (gpu_memory_request) or 'device' (whole GPUs, whatever the portion says).",
    )
    gpu_memory_request: Memory | None = Field(
        default=None, description="GPU memory, e.g. '20Gi'. Used with gpu_request_type='memory'."
    )
    gpu_portion_limit: float | None = Field(
        default=None, ge=0.0, le=1.0, description="Portion the step may use while it is free."
    )
    gpu_memory_limit: Memory | None = Field(
        default=None, description="GPU memory the step may use while it is free."
    )
    cpu_core_request: float = Field(default=1.0, ge=0.1, description="CPU cores, e.g. 0.5 or 8.")
    cpu_core_limit: float | None = Field(
        default=None, ge=0.1, description="CPU cores the step may use at most."
    )
    cpu_memory_request: Memory = Field(
        default="4G", description="Memory, e.g. '4G', '512M' or '8Gi'."
    )
    cpu_memory_limit: Memory | None = Field(
        default=None, description="Memory the step may use at most; beyond it, it is killed."
    )
    extended_resources: dict[str, str] | None = Field(
        default=None, description="Further resources by name, e.g. {'rdma/hca': '1'}."
    )
    large_shm_request: bool = Field(
        default=False, description="A large /dev/shm, as PyTorch's DataLoader workers need it."
    )

    @model_validator(mode="after")
    def _limits_cover_requests(self) -> Self:
        if self.gpu_request_type == "memory":
            if self.gpu_memory_request is None:
                raise ValueError("gpu_request_type='memory' needs gpu_memory_request")
            if self.gpu_devices_request > 1:
                raise ValueError(
                    "gpu_request_type='memory' is for one GPU: with gpu_devices_request="
                    f"{self.gpu_devices_request} use gpu_request_type='device'"
                )
        if (
            self.gpu_request_type == "portion"
            and self.gpu_devices_request > 1
            and self.gpu_portion_request < 1.0
        ):
            raise ValueError(
                f"gpu_portion_request={self.gpu_portion_request} is for one GPU: with"
                f" gpu_devices_request={self.gpu_devices_request} leave it at 1.0 or use"
                " gpu_request_type='device'"
            )
        if self.gpu_portion_limit is not None and self.gpu_portion_limit < self.gpu_portion_request:
            raise ValueError(
                f"gpu_portion_limit {self.gpu_portion_limit} is under gpu_portion_request"
                f" {self.gpu_portion_request}"
            )
        if self.cpu_core_limit is not None and self.cpu_core_limit < self.cpu_core_request:
            raise ValueError(
                f"cpu_core_limit {self.cpu_core_limit} is under cpu_core_request"
                f" {self.cpu_core_request}"
            )
        _check_memory("gpu_memory", self.gpu_memory_request, self.gpu_memory_limit)
        _check_memory("cpu_memory", self.cpu_memory_request, self.cpu_memory_limit)
        return self

    @model_validator(mode="after")
    def _no_unknown_setting(self) -> Self:
        # ZenML validates settings merged with the component's configuration, and its base class
        # lets every unknown name pass: a misspelt GPU request would silently cost a whole GPU.
        known = set(type(self).model_fields)
        for name in self.model_extra or ():
            if name not in self.configuration_fields:
                near = get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"{name!r} is not a setting of Run:ai{hint}")
        return self


class RunAIMasterSettings(RunAIComputeSettings):
    """The master pod of a distributed workload, where it differs from the workers."""


class RunAIDistributedSettings(RunAIPart):
    """A distributed training: workers, and a master that is the same unless described.

    Run:ai starts all pods together and gives each its rank in the environment, in the way of the
    framework.
    """

    framework: Literal["PyTorch", "MPI", "TF", "XGBoost", "JAX"] = Field(
        default="PyTorch", description="Which launcher's environment Run:ai prepares."
    )
    num_workers: PositiveInt = Field(
        default=1, description="Worker pods, without the master (documented: at least 1)."
    )
    slots_per_worker: PositiveInt | None = Field(
        default=None, description="MPI only: processes for each worker in the host file."
    )
    ssh_auth_mount_path: AbsolutePath | None = Field(
        default=None, description="MPI only: where the SSH keys are mounted."
    )
    mpi_launcher_creation_policy: Literal["AtStartup", "WaitForWorkersReady"] | None = Field(
        default=None, description="MPI only: when the launcher starts."
    )
    min_replicas: PositiveInt | None = Field(
        default=None, description="PyTorch only: fewest workers an elastic job shrinks to."
    )
    max_replicas: PositiveInt | None = Field(
        default=None, description="PyTorch only: most workers an elastic job grows to."
    )
    clean_pod_policy: Literal["None", "All", "Running"] | None = Field(
        default=None, description="Which pods are removed at the end."
    )
    master: RunAIMasterSettings | None = Field(
        default=None, description="Compute of the master; the same as a worker's when unset."
    )

    @model_validator(mode="after")
    def _fits_the_framework(self) -> Self:
        mpi = ("slots_per_worker", "ssh_auth_mount_path", "mpi_launcher_creation_policy")
        pytorch = ("min_replicas", "max_replicas")
        for framework, fields in (("MPI", mpi), ("PyTorch", pytorch)):
            wrong = [name for name in fields if getattr(self, name) is not None]
            if wrong and self.framework != framework:
                raise ValueError(
                    f"{', '.join(wrong)}: only for framework={framework!r}, not {self.framework!r}"
                )
        low, high = self.min_replicas, self.max_replicas
        if low is not None and high is not None and low > high:
            raise ValueError(f"min_replicas {low} is above max_replicas {high}")
        return self


class RunAIWorkloadSettings(RunAIComputeSettings):
    """Everything that shapes the workload of one step."""

    node_pools: list[str] | None = Field(
        default=None, description="Node pools by name, in order of preference."
    )
    node_type: str | None = Field(
        default=None, min_length=1, description="Label of the node type, e.g. 'A100'."
    )
    preemptibility: Literal["preemptible", "non-preemptible"] | None = Field(
        default=None,
        description="Preemptible workloads may go over quota and may be interrupted.",
    )
    priority_class: str | None = Field(
        default=None, min_length=1, description="Priority class, e.g. 'train' or 'high'."
    )
    tolerations: list[RunAITolerationSettings] | None = Field(
        default=None, description="Taints that the workload tolerates."
    )
    backoff_limit: NonNegativeInt | None = Field(
        default=None,
        description="Restarts before the workload counts as failed; Run:ai's default is 6.",
    )
    termination_grace_period_seconds: NonNegativeInt | None = Field(
        default=None, description="Seconds between the request to end and the kill."
    )
    terminate_after_preemption: bool | None = Field(
        default=None, description="End the workload when it is preempted, instead of queueing."
    )
    auto_deletion_time_after_completion_seconds: NonNegativeInt | None = Field(
        default=None, description="Run:ai deletes the finished workload then; default 30 days."
    )
    working_dir: AbsolutePath | None = Field(
        default=None, description="Working folder in the container."
    )
    labels: dict[str, str] | None = Field(default=None, description="Labels of the pods.")
    annotations: dict[str, str] | None = Field(default=None, description="Annotations of the pods.")

    pvc_mounts: list[RunAIPVCMountSettings] | None = Field(
        default=None, description="Persistent volume claims to mount."
    )
    config_map_mounts: list[RunAIConfigMapMountSettings] | None = Field(
        default=None, description="ConfigMaps to mount."
    )
    secret_mounts: list[RunAISecretMountSettings] | None = Field(
        default=None, description="Kubernetes secrets to mount."
    )
    nfs_mounts: list[RunAINFSMountSettings] | None = Field(
        default=None, description="NFS exports to mount."
    )
    s3_mounts: list[RunAIS3MountSettings] | None = Field(
        default=None, description="S3 buckets to mount."
    )
    host_path_mounts: list[RunAIHostPathMountSettings] | None = Field(
        default=None, description="Folders of the node to mount."
    )
    workload_template_id: str | None = Field(
        default=None, min_length=1, description="Id of a workload template to apply."
    )
    security_context: RunAISecurityContextSettings | None = Field(
        default=None, description="User, groups and privileges of the container."
    )
    ports: list[RunAIPortSettings] | None = Field(
        default=None, description="Ports that the container exposes."
    )
    external_urls: list[RunAIExternalURLSettings] | None = Field(
        default=None, description="URLs through which ports can be reached from outside."
    )
    parallelism: PositiveInt | None = Field(
        default=None,
        description="Pods at a time that run the same step; see `safe_in_several_pods`.",
    )
    completions: PositiveInt | None = Field(
        default=None, description="Pods that must succeed; not under `parallelism`."
    )
    distributed: RunAIDistributedSettings | None = Field(
        default=None, description="Workers and master of a distributed training."
    )
    safe_in_several_pods: bool = Field(
        default=False,
        description="The step may run in several pods at once: it writes its outputs from one of"
        " them only, or is idempotent. Needed for distributed steps that are not command steps.",
    )
    image_pull_secret_names: list[KubernetesName] | None = Field(
        default=None, description="Kubernetes secrets for private registries."
    )
    image_pull_timeout: PositiveInt = Field(
        default=300,
        description="Seconds for which the cluster may try in vain to get the image.",
    )
    workload_timeout: PositiveInt | None = Field(
        default=None, description="Seconds the workload may run once it has started."
    )
    pending_timeout: PositiveInt | None = Field(
        default=None, description="Seconds the workload may wait before it starts."
    )

    def mounts(self) -> Iterable[RunAIMountSettings]:
        """All mounts, of every kind."""
        for mounts in (
            self.pvc_mounts,
            self.config_map_mounts,
            self.secret_mounts,
            self.nfs_mounts,
            self.s3_mounts,
            self.host_path_mounts,
        ):
            yield from mounts or ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        paths = Counter(
            mount.container_mount_path.rstrip("/") or "/"
            for mount in self.mounts()
            if not mount.exclude
        )
        if twice := sorted(path for path, count in paths.items() if count > 1):
            raise ValueError(f"two mounts have the same path in the container: {', '.join(twice)}")
        if (
            self.parallelism is not None
            and self.completions is not None
            and self.parallelism > self.completions
        ):
            raise ValueError(
                f"parallelism {self.parallelism} is above completions {self.completions}"
            )
        for field in ("labels", "annotations"):
            for name in getattr(self, field) or ():
                if not name or len(name) > _MAX_LABEL_NAME:
                    raise ValueError(
                        f"{field}: the name {name!r} must have 1 to {_MAX_LABEL_NAME} characters"
                    )
        return self


def _check_memory(name: str, request: str | None, limit: str | None) -> None:
    if request is not None and limit is not None and quantity(limit) < quantity(request):
        raise ValueError(f"{name}_limit {limit} is under {name}_request {request}")
