"""Every setting, legal and illegal, against the request body; runapy's models are the judge."""

from typing import Any
from uuid import UUID

import pytest
from runai.models.distributed_creation_request import DistributedCreationRequest
from runai.models.inference_creation_request import InferenceCreationRequest
from runai.models.training_creation_request import TrainingCreationRequest
from runai.models.workspace_creation_request import WorkspaceCreationRequest
from zenml.config import ResourceSettings

from zenml_runai.errors import RunAIInvalidSettings
from zenml_runai.flavors import (
    RunAIInferenceSettings,
    RunAIOrchestratorSettings,
    RunAIStepOperatorSettings,
    RunAIWorkloadSettings,
)
from zenml_runai.workload_spec import (
    MAX_NAME_LENGTH,
    Container,
    SecretKey,
    Target,
    requested_gpus,
    workload_body,
    workload_name,
)

TARGET = Target(project_id="4500001", cluster_id="71f69d83-ba66-4822-adf5-55ce55efd210")
CONTAINER = Container(
    image="registry.example.com/ml/train:1",
    command=["python", "-m", "train", "--text", "two words"],
    environment={"A": "1", "EMPTY": ""},
)
REQUESTS = {
    "training": TrainingCreationRequest,
    "distributed": DistributedCreationRequest,
    "inference": InferenceCreationRequest,
    "workspace": WorkspaceCreationRequest,
}
TEMPLATE = "550e8400-e29b-41d4-a716-446655440000"


def body_of(kind: str, settings: RunAIWorkloadSettings, **more: Any) -> dict[str, Any]:
    """The body, after the vendor's own request model has taken it without losing a key."""
    body = workload_body(
        kind,
        name="zenml-step-0123456789ab",
        target=TARGET,
        settings=settings,
        container=more.pop("container", CONTAINER),
        **more,
    )
    parsed = REQUESTS[kind].model_validate(body).to_dict()
    assert lost(body, parsed) == []
    return body


def lost(sent: Any, understood: Any, path: str = "") -> list[str]:
    """Paths of what was sent and is not in what the vendor's model understood."""
    if isinstance(sent, dict):
        return [
            found
            for key, value in sent.items()
            for found in (
                lost(value, understood[key], f"{path}.{key}")
                if isinstance(understood, dict) and key in understood
                else [f"{path}.{key}"]
            )
        ]
    if isinstance(sent, list):
        if not isinstance(understood, list) or len(sent) != len(understood):
            return [path]
        return [f for i, v in enumerate(sent) for f in lost(v, understood[i], f"{path}[{i}]")]
    return [] if str(sent) == str(getattr(understood, "value", understood)) else [path]


def at(body: Any, path: str) -> Any:
    for key in path.split("."):
        body = body[int(key)] if isinstance(body, list) else body[key]
    return body


#: A value of its own; text, so that the names of the cases are the same in every process.
ABSENT = "<absent>"

LEGAL: list[tuple[dict[str, Any], str, Any]] = [
    ({}, "spec.compute.gpuDevicesRequest", 1),
    ({}, "spec.compute.gpuRequestType", "portion"),
    ({}, "spec.compute.gpuPortionRequest", 1.0),
    ({}, "spec.compute.cpuCoreRequest", 1.0),
    ({}, "spec.compute.cpuMemoryRequest", "4G"),
    ({}, "spec.compute.largeShmRequest", ABSENT),
    ({}, "spec.storage", ABSENT),
    ({}, "spec.nodePools", ABSENT),
    ({}, "spec.security", ABSENT),
    ({}, "spec.ports", ABSENT),
    ({}, "spec.exposedUrls", ABSENT),
    ({}, "spec.parallelism", ABSENT),
    ({}, "spec.labels", ABSENT),
    ({}, "templateId", ABSENT),
    ({}, "spec.command", "python"),
    ({}, "spec.args", "-m train --text 'two words'"),
    ({}, "spec.environmentVariables.1", {"name": "EMPTY", "value": ""}),
    ({"gpu_devices_request": 0}, "spec.compute.gpuDevicesRequest", 0),
    ({"gpu_devices_request": 0}, "spec.compute.gpuRequestType", ABSENT),
    ({"gpu_devices_request": 0}, "spec.compute.gpuPortionRequest", ABSENT),
    ({"gpu_devices_request": 0, "gpu_portion_request": 0.5}, "spec.compute.gpuDevicesRequest", 0),
    ({"gpu_portion_request": 0.0}, "spec.compute.gpuDevicesRequest", 0),
    ({"gpu_portion_request": 0.25}, "spec.compute.gpuPortionRequest", 0.25),
    ({"gpu_devices_request": 4}, "spec.compute.gpuDevicesRequest", 4),
    ({"gpu_devices_request": 4}, "spec.compute.gpuPortionRequest", 1.0),
    (
        {"gpu_devices_request": 2, "gpu_request_type": "device", "gpu_portion_request": 0.5},
        "spec.compute.gpuPortionRequest",
        1.0,
    ),
    (
        {"gpu_request_type": "memory", "gpu_memory_request": "20Gi"},
        "spec.compute.gpuMemoryRequest",
        "20Gi",
    ),
    (
        {"gpu_request_type": "memory", "gpu_memory_request": "20Gi"},
        "spec.compute.gpuPortionRequest",
        ABSENT,
    ),
    (
        {
            "gpu_request_type": "memory",
            "gpu_memory_request": "20Gi",
            "gpu_memory_limit": "40Gi",
        },
        "spec.compute.gpuMemoryLimit",
        "40Gi",
    ),
    ({"gpu_memory_request": "20Gi"}, "spec.compute.gpuMemoryRequest", ABSENT),
    (
        {"gpu_portion_request": 0.5, "gpu_portion_limit": 1.0},
        "spec.compute.gpuPortionLimit",
        1.0,
    ),
    ({"cpu_core_request": 8.0}, "spec.compute.cpuCoreRequest", 8.0),
    ({"cpu_core_limit": 16.0}, "spec.compute.cpuCoreLimit", 16.0),
    ({"cpu_memory_request": "32G"}, "spec.compute.cpuMemoryRequest", "32G"),
    ({"cpu_memory_request": "900K"}, "spec.compute.cpuMemoryRequest", "900k"),
    ({"cpu_memory_request": "1.5Gi"}, "spec.compute.cpuMemoryRequest", "1.5Gi"),
    ({"cpu_memory_limit": "4Gi"}, "spec.compute.cpuMemoryLimit", "4Gi"),
    (
        {"extended_resources": {"rdma/hca": "1"}},
        "spec.compute.extendedResources",
        [{"resource": "rdma/hca", "quantity": "1"}],
    ),
    ({"large_shm_request": True}, "spec.compute.largeShmRequest", True),
    ({"node_pools": ["a100", "default"]}, "spec.nodePools", ["a100", "default"]),
    ({"node_type": "A100"}, "spec.nodeType", "A100"),
    ({"preemptibility": "non-preemptible"}, "spec.preemptibility", "non-preemptible"),
    ({"priority_class": "train"}, "spec.priorityClass", "train"),
    (
        {"tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]},
        "spec.tolerations",
        [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
    ),
    ({"tolerations": [{"operator": "Exists"}]}, "spec.tolerations.0.effect", "Any"),
    (
        {"tolerations": [{"key": "a", "value": "b", "effect": "NoExecute", "seconds": 60}]},
        "spec.tolerations.0",
        {"key": "a", "value": "b", "operator": "Equal", "effect": "NoExecute", "seconds": 60},
    ),
    ({"backoff_limit": 0}, "spec.backoffLimit", 0),
    ({"termination_grace_period_seconds": 120}, "spec.terminationGracePeriodSeconds", 120),
    ({"termination_grace_period_seconds": 0}, "spec.terminationGracePeriodSeconds", 0),
    ({"terminate_after_preemption": False}, "spec.terminateAfterPreemption", False),
    (
        {"auto_deletion_time_after_completion_seconds": 3600},
        "spec.autoDeletionTimeAfterCompletionSeconds",
        3600,
    ),
    ({"working_dir": "/work"}, "spec.workingDir", "/work"),
    ({"labels": {"team": "ml"}}, "spec.labels", [{"name": "team", "value": "ml"}]),
    (
        {"annotations": {"prometheus.io/scrape": "true"}},
        "spec.annotations",
        [{"name": "prometheus.io/scrape", "value": "true"}],
    ),
    (
        {"pvc_mounts": [{"claim_name": "data", "path": "/mnt/data", "read_only": True}]},
        "spec.storage.pvc.0",
        {"claimName": "data", "path": "/mnt/data", "existingPvc": True, "readOnly": True},
    ),
    (
        {
            "pvc_mounts": [
                {
                    "path": "/scratch",
                    "existing_pvc": False,
                    "ephemeral": True,
                    "data_sharing": False,
                    "claim_info": {
                        "size": "10Gi",
                        "storageClass": "fast",
                        "accessModes": {"readWriteOnce": True},
                        "volume_mode": "Filesystem",
                    },
                }
            ]
        },
        "spec.storage.pvc.0",
        {
            "path": "/scratch",
            "existingPvc": False,
            "ephemeral": True,
            "dataSharing": False,
            "claimInfo": {
                "size": "10Gi",
                "storageClass": "fast",
                "accessModes": {"readWriteOnce": True},
                "volumeMode": "Filesystem",
            },
        },
    ),
    (
        {
            "config_map_mounts": [
                {
                    "config_map": "cfg",
                    "mount_path": "/etc/cfg",
                    "sub_path": "a.yaml",
                    "default_mode": "0644",
                }
            ]
        },
        "spec.storage.configMapVolume.0",
        {"configMap": "cfg", "mountPath": "/etc/cfg", "subPath": "a.yaml", "defaultMode": "0644"},
    ),
    (
        {"secret_mounts": [{"secret": "hf", "mount_path": "/s", "default_mode": "0400"}]},
        "spec.storage.secretVolume.0",
        {"secret": "hf", "mountPath": "/s", "defaultMode": "0400"},
    ),
    (
        {"nfs_mounts": [{"server": "nfs.example.com", "path": "/e", "mount_path": "/n"}]},
        "spec.storage.nfs.0",
        {"server": "nfs.example.com", "path": "/e", "mountPath": "/n"},
    ),
    (
        {
            "s3_mounts": [
                {
                    "bucket": "b",
                    "path": "/b",
                    "url": "https://s3.example.com",
                    "access_key_secret": "keys",
                    "secret_key_of_access_key_id": "id",
                    "secret_key_of_secret_key": "secret",
                }
            ]
        },
        "spec.storage.s3.0",
        {
            "bucket": "b",
            "path": "/b",
            "url": "https://s3.example.com",
            "accessKeySecret": "keys",
            "secretKeyOfAccessKeyId": "id",
            "secretKeyOfSecretKey": "secret",
        },
    ),
    (
        {
            "host_path_mounts": [
                {"path": "/v", "mount_path": "/h", "mount_propagation": "HostToContainer"}
            ]
        },
        "spec.storage.hostPath.0",
        {
            "path": "/v",
            "mountPath": "/h",
            "readOnly": True,
            "mountPropagation": "HostToContainer",
        },
    ),
    ({"workload_template_id": TEMPLATE}, "templateId", TEMPLATE),
    ({"workload_template_id": TEMPLATE}, "spec.compute", ABSENT),
    (
        {"workload_template_id": TEMPLATE, "cpu_core_request": 1.0},
        "spec.compute",
        {"cpuCoreRequest": 1.0},
    ),
    (
        {
            "security_context": {
                "uid_gid_source": "custom",
                "run_as_uid": 1000,
                "run_as_gid": 1000,
                "run_as_non_root": True,
                "read_only_root_filesystem": True,
                "seccomp_profile_type": "RuntimeDefault",
                "supplemental_groups": [1000, 2000],
                "allow_privilege_escalation": False,
                "host_ipc": False,
                "host_network": True,
                "capabilities": ["NET_ADMIN", "CAP_SYS_PTRACE"],
            }
        },
        "spec.security",
        {
            "uidGidSource": "custom",
            "runAsUid": 1000,
            "runAsGid": 1000,
            "runAsNonRoot": True,
            "readOnlyRootFilesystem": True,
            "seccompProfileType": "RuntimeDefault",
            "supplementalGroups": "1000,2000",
            "allowPrivilegeEscalation": False,
            "hostIpc": False,
            "hostNetwork": True,
            "capabilities": ["NET_ADMIN", "SYS_PTRACE"],
        },
    ),
    ({"security_context": {"run_as_uid": 1000}}, "spec.security.uidGidSource", "custom"),
    ({"security_context": {"supplemental_groups": []}}, "spec.security.supplementalGroups", ""),
    (
        {"ports": [{"container": 8888, "external": 30088, "name": "ui", "tool_type": "jupyter"}]},
        "spec.ports.0",
        {
            "container": 8888,
            "external": 30088,
            "name": "ui",
            "toolType": "jupyter",
            "serviceType": "ClusterIP",
        },
    ),
    (
        {"ports": [{"container": 1, "service_type": "NodePort", "tool_name": "x"}]},
        "spec.ports.0.serviceType",
        "NodePort",
    ),
    (
        {"external_urls": [{"container": 8888, "authorization_type": "authenticatedUsers"}]},
        "spec.exposedUrls.0",
        {"container": 8888, "authorizationType": "authenticatedUsers"},
    ),
    (
        {"external_urls": [{"container": 1, "authorized_users": ["a@example.com"]}]},
        "spec.exposedUrls.0.authorizedUsers",
        ["a@example.com"],
    ),
    ({"parallelism": 2, "completions": 4}, "spec.parallelism", 2),
    ({"parallelism": 2, "completions": 4}, "spec.completions", 4),
    ({"image_pull_secret_names": ["two"]}, "spec.imagePullSecrets", [{"name": "two"}]),
]


@pytest.mark.parametrize(("given", "path", "expected"), LEGAL, ids=lambda v: str(v)[:50])
def test_setting_reaches_the_body(given: dict[str, Any], path: str, expected: Any) -> None:
    body = body_of("training", RunAIStepOperatorSettings(**given))
    if expected is ABSENT:
        with pytest.raises(KeyError):
            at(body, path)
    else:
        assert at(body, path) == expected


def test_every_setting_is_in_the_table() -> None:
    # What shapes no body: read by the step operator itself, or (distributed) tested below.
    elsewhere = {
        "workload_timeout",
        "pending_timeout",
        "image_pull_timeout",
        "safe_in_several_pods",
        "workload_kind",
        "distributed",
    }
    tested = {name for given, _, _ in LEGAL for name in given}
    assert tested | elsewhere == set(RunAIStepOperatorSettings.model_fields)


PVC = {"claim_name": "c", "path": "/same"}

ILLEGAL: list[tuple[dict[str, Any], str]] = [
    ({"gpu_devices_request": -1}, "greater than or equal to 0"),
    ({"gpu_portion_request": 1.5}, "less than or equal to 1"),
    ({"gpu_portion_request": -0.1}, "greater than or equal to 0"),
    ({"gpu_request_type": "mig"}, "'portion', 'memory' or 'device'"),
    ({"gpu_request_type": "memory"}, "needs gpu_memory_request"),
    (
        {"gpu_request_type": "memory", "gpu_memory_request": "2Gi", "gpu_devices_request": 2},
        "is for one GPU",
    ),
    ({"gpu_portion_request": 0.5, "gpu_devices_request": 2}, "is for one GPU"),
    ({"gpu_portion_request": 0.5, "gpu_portion_limit": 0.4}, "under gpu_portion_request"),
    (
        {"gpu_request_type": "memory", "gpu_memory_request": "20G", "gpu_memory_limit": "10Gi"},
        "gpu_memory_limit 10Gi is under gpu_memory_request 20G",
    ),
    ({"gpu_memory_request": "20"}, "is not an amount of memory"),
    ({"cpu_core_request": 0.0}, "greater than or equal to 0.1"),
    ({"cpu_core_request": 4, "cpu_core_limit": 2}, "cpu_core_limit 2.0 is under"),
    ({"cpu_memory_request": "4GB"}, "is not an amount of memory"),
    ({"cpu_memory_request": "-4G"}, "is not an amount of memory"),
    ({"cpu_memory_request": "4Gi", "cpu_memory_limit": "4G"}, "is under cpu_memory_request"),
    ({"preemptibility": "maybe"}, "'preemptible' or 'non-preemptible'"),
    ({"tolerations": [{"operator": "Exists", "value": "x"}]}, "compares no value"),
    ({"tolerations": [{"operator": "Equal"}]}, "needs a key"),
    ({"tolerations": [{"key": "a", "effect": "Never"}]}, "NoSchedule"),
    ({"tolerations": [{"key": "a", "seconds": 5}]}, "belongs to effect='NoExecute'"),
    ({"tolerations": [{"kee": "a"}]}, "Extra inputs"),
    ({"backoff_limit": -1}, "greater than or equal to 0"),
    ({"termination_grace_period_seconds": -1}, "greater than or equal to 0"),
    ({"working_dir": "work"}, "not an absolute path"),
    ({"labels": {"x" * 64: "1"}}, "1 to 63 characters"),
    ({"annotations": {"": "1"}}, "1 to 63 characters"),
    ({"pvc_mounts": [{"claim_name": "c", "path": "mnt"}]}, "not an absolute path"),
    ({"pvc_mounts": [{"path": "/mnt"}]}, "needs claim_name"),
    ({"pvc_mounts": [{**PVC, "claim_info": {"size": "1Gi"}}]}, "set existing_pvc=False"),
    ({"pvc_mounts": [{**PVC, "ephemeral": True}]}, "cannot be ephemeral"),
    ({"pvc_mounts": [{**PVC, "existing_pvc": False}]}, "needs claim_info with a size"),
    ({"pvc_mounts": [{**PVC, "claim_name": "x" * 64}]}, "at most 63"),
    ({"pvc_mounts": [PVC, {"claim_name": "d", "path": "/same/"}]}, "same path .*: /same"),
    (
        {"pvc_mounts": [PVC], "secret_mounts": [{"secret": "s", "mount_path": "/same"}]},
        "two mounts have the same path",
    ),
    (
        {"config_map_mounts": [{"config_map": "C", "mount_path": "/c"}]},
        "not a Kubernetes name",
    ),
    (
        {"config_map_mounts": [{"config_map": "c", "mount_path": "/c", "default_mode": "644"}]},
        "octal mode",
    ),
    (
        {"secret_mounts": [{"secret": "s", "mount_path": "/s", "default_mode": "0888"}]},
        "octal mode",
    ),
    ({"secret_mounts": [{"secret": "s", "mount_path": "/../s"}]}, "must not contain"),
    ({"nfs_mounts": [{"server": "", "path": "/e", "mount_path": "/n"}]}, "at least 1"),
    ({"s3_mounts": [{"bucket": "b", "path": "b"}]}, "not an absolute path"),
    (
        {"s3_mounts": [{"bucket": "b", "path": "/b", "secret_key_of_secret_key": "k"}]},
        "set access_key_secret too",
    ),
    ({"host_path_mounts": [{"path": "v", "mount_path": "/h"}]}, "not an absolute path"),
    (
        {"host_path_mounts": [{"path": "/v", "mount_path": "/h", "mount_propagation": "Both"}]},
        "HostToContainer",
    ),
    (
        {"security_context": {"uid_gid_source": "fromTheImage", "run_as_uid": 1}},
        "need uid_gid_source='custom'",
    ),
    ({"security_context": {"run_as_uid": -1}}, "greater than or equal to 0"),
    ({"security_context": {"run_as_uid": 0, "run_as_non_root": True}}, "exclude each other"),
    ({"security_context": {"supplemental_groups": [-5]}}, "greater than or equal to 0"),
    ({"security_context": {"capabilities": ["FLY"]}}, "not a Linux capability"),
    ({"security_context": {"seccomp_profile_type": "None"}}, "RuntimeDefault"),
    ({"ports": [{"container": 0}]}, "greater than 0"),
    ({"ports": [{"container": 65536}]}, "less than or equal to 65535"),
    ({"ports": [{"container": 1, "service_type": "Ingress"}]}, "LoadBalancer"),
    (
        {
            "external_urls": [
                {"container": 1, "authorized_users": ["a"], "authorized_groups": ["b"]}
            ]
        },
        "exclude each other",
    ),
    (
        {"external_urls": [{"container": 1, "authorization_type": "authorizedUsers"}]},
        "needs authorized_users",
    ),
    (
        {
            "external_urls": [
                {
                    "container": 1,
                    "authorization_type": "authenticatedUsers",
                    "authorized_groups": ["a"],
                }
            ]
        },
        "authorized_groups needs",
    ),
    ({"parallelism": 4, "completions": 2}, "parallelism 4 is above completions 2"),
    ({"parallelism": 0}, "greater than 0"),
    ({"workload_timeout": 0}, "greater than 0"),
    ({"pending_timeout": -5}, "greater than 0"),
    ({"image_pull_secret_names": ["No_Name"]}, "not a Kubernetes name"),
    ({"workload_kind": "inference"}, "'training' or 'distributed'"),
    ({"workload_kind": "distributed", "parallelism": 2}, "distributed.num_workers"),
    ({"distributed": {"num_workers": 2}}, "needs workload_kind='distributed'"),
    (
        {"workload_kind": "distributed", "distributed": {"num_workers": 0}},
        "greater than 0",
    ),
    (
        {"workload_kind": "distributed", "distributed": {"slots_per_worker": 2}},
        "only for framework='MPI'",
    ),
    (
        {
            "workload_kind": "distributed",
            "distributed": {"framework": "TF", "min_replicas": 2},
        },
        "only for framework='PyTorch'",
    ),
    (
        {
            "workload_kind": "distributed",
            "distributed": {"min_replicas": 3, "max_replicas": 2},
        },
        "above max_replicas",
    ),
]


@pytest.mark.parametrize(("given", "message"), ILLEGAL, ids=lambda v: str(v)[:60])
def test_illegal_setting_is_refused_in_words(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RunAIStepOperatorSettings(**given)


@pytest.mark.parametrize(
    ("settings", "resources", "expected"),
    [
        ({}, {"gpu_count": 2}, {"gpuDevicesRequest": 2, "gpuPortionRequest": 1.0}),
        ({}, {"gpu_count": 0}, {"gpuDevicesRequest": 0}),
        ({}, {"cpu_count": 8, "memory": "32GB"}, {"gpuDevicesRequest": 0, "cpuCoreRequest": 8.0}),
        ({}, {"memory": "32GB"}, {"cpuMemoryRequest": "32G", "cpuCoreRequest": 1.0}),
        ({}, {"memory": "8GiB"}, {"cpuMemoryRequest": "8Gi"}),
        ({}, {"memory": "900000KB"}, {"cpuMemoryRequest": "900000k"}),
        ({}, {}, {"gpuDevicesRequest": 1, "cpuMemoryRequest": "4G"}),
        (
            {"gpu_portion_request": 0.5},
            {"gpu_count": 4, "cpu_count": 2},
            {"gpuDevicesRequest": 1, "gpuPortionRequest": 0.5, "cpuCoreRequest": 2.0},
        ),
        ({"cpu_core_request": 1.0}, {"cpu_count": 8}, {"cpuCoreRequest": 1.0}),
        ({"cpu_memory_request": "1G"}, {"memory": "8GB"}, {"cpuMemoryRequest": "1G"}),
        ({"workload_template_id": TEMPLATE}, {"cpu_count": 3}, {"cpuCoreRequest": 3.0}),
    ],
)
def test_resource_settings_count_where_the_settings_are_silent(
    settings: dict[str, Any], resources: dict[str, Any], expected: dict[str, Any]
) -> None:
    body = body_of(
        "training",
        RunAIStepOperatorSettings(**settings),
        resources=ResourceSettings(**resources),
    )
    compute = body["spec"]["compute"]
    assert {key: compute.get(key) for key in expected} == expected


@pytest.mark.parametrize(
    ("settings", "resources", "message"),
    [
        ({"cpu_core_limit": 2}, {"cpu_count": 4}, "cpu_core_limit 2"),
        ({"cpu_memory_limit": "8G"}, {"memory": "9GB"}, "cpu_memory_limit 8G"),
    ],
)
def test_limit_under_resource_settings_is_refused(
    settings: dict[str, Any], resources: dict[str, Any], message: str
) -> None:
    with pytest.raises(RunAIInvalidSettings, match=message):
        body_of(
            "training",
            RunAIStepOperatorSettings(**settings),
            resources=ResourceSettings(**resources),
        )


def test_distributed_body_has_workers_and_the_same_master() -> None:
    settings = RunAIStepOperatorSettings(
        workload_kind="distributed",
        gpu_devices_request=8,
        backoff_limit=0,
        distributed={"framework": "PyTorch", "num_workers": 3, "min_replicas": 2},
    )
    body = body_of("distributed", settings)
    assert body["masterSpecSameAsWorker"] is True
    assert "masterSpec" not in body
    spec = body["spec"]
    assert (spec["distributedFramework"], spec["numWorkers"], spec["minReplicas"]) == (
        "PyTorch",
        3,
        2,
    )
    assert spec["backoffLimit"] == 0


def test_distributed_master_differs_in_compute_only() -> None:
    settings = RunAIStepOperatorSettings(
        workload_kind="distributed",
        gpu_devices_request=8,
        distributed={
            "framework": "MPI",
            "num_workers": 2,
            "slots_per_worker": 8,
            "ssh_auth_mount_path": "/mnt/mpi/.ssh",
            "mpi_launcher_creation_policy": "WaitForWorkersReady",
            "clean_pod_policy": "Running",
            "master": {"gpu_devices_request": 0, "cpu_core_request": 2},
        },
    )
    body = body_of("distributed", settings)
    assert body["masterSpecSameAsWorker"] is False
    assert body["masterSpec"]["compute"]["gpuDevicesRequest"] == 0
    assert body["spec"]["compute"]["gpuDevicesRequest"] == 8
    assert body["masterSpec"]["image"] == body["spec"]["image"]
    assert "numWorkers" not in body["masterSpec"]
    assert body["spec"]["slotsPerWorker"] == 8


def test_inference_body_has_port_scaling_and_no_batch_fields() -> None:
    settings = RunAIOrchestratorSettings(
        workload_type="inference",
        backoff_limit=3,
        termination_grace_period_seconds=9,
        labels={"a": "b"},
    )
    inference = RunAIInferenceSettings(
        serving_port={"container": 8080, "authorization_type": "public"},
        autoscaling={
            "min_replicas": 0,
            "max_replicas": 3,
            "metric": "throughput",
            "metric_threshold": 10,
        },
        request_timeout_seconds=30,
    )
    spec = body_of("inference", settings, inference=inference)["spec"]
    assert spec["servingPort"] == {
        "container": 8080,
        "protocol": "http",
        "authorizationType": "public",
    }
    assert spec["autoscaling"]["maxReplicas"] == 3
    assert spec["servingConfiguration"] == {"requestTimeoutSeconds": 30}
    assert "backoffLimit" not in spec
    assert "terminationGracePeriodSeconds" not in spec


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"autoscaling": {"min_replicas": 1, "max_replicas": 3}}, "needs a metric"),
        ({"autoscaling": {"min_replicas": 4, "max_replicas": 3}}, "above max_replicas"),
        ({"autoscaling": {"metric": "latency"}}, "belong together"),
        ({"serving_port": {"container": 70000}}, "65535"),
        (
            {"serving_port": {"container": 1, "authorization_type": "authorizedGroups"}},
            "needs authorized_groups",
        ),
    ],
)
def test_illegal_inference_settings(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RunAIInferenceSettings(**given)


def test_inference_cannot_mount_s3() -> None:
    settings = RunAIStepOperatorSettings(s3_mounts=[{"bucket": "b", "path": "/b"}])
    with pytest.raises(RunAIInvalidSettings, match="S3"):
        body_of("inference", settings)


@pytest.mark.parametrize("field", ["allow_privilege_escalation", "host_ipc", "host_network"])
def test_an_inference_refuses_security_that_it_cannot_express(field: str) -> None:
    settings = RunAIStepOperatorSettings(security_context={field: False})
    with pytest.raises(RunAIInvalidSettings, match=field):
        body_of("inference", settings)
    assert "security" in body_of("training", settings)["spec"]


def test_workspace_body_has_no_parallelism() -> None:
    settings = RunAIStepOperatorSettings(parallelism=1, completions=1, backoff_limit=2)
    spec = body_of("workspace", settings)["spec"]
    assert "parallelism" not in spec
    assert spec["backoffLimit"] == 2


def test_component_and_step_pull_secrets_labels_and_annotations_are_joined() -> None:
    settings = RunAIStepOperatorSettings(
        image_pull_secret_names=["b", "a"], labels={"team": "step"}, annotations={"x": "y"}
    )
    spec = body_of(
        "training",
        settings,
        image_pull_secrets=["a"],
        labels={"team": "component", "run": "1"},
        annotations={"z": "0"},
    )["spec"]
    assert spec["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}]
    assert spec["labels"] == [{"name": "team", "value": "step"}, {"name": "run", "value": "1"}]
    assert spec["annotations"] == [{"name": "z", "value": "0"}, {"name": "x", "value": "y"}]


def test_secret_environment_replaces_the_plain_value() -> None:
    container = Container(
        image="i",
        command=["run"],
        environment={"TOKEN": "canary", "A": "1"},
        secret_environment={"TOKEN": SecretKey("generic-secret-x", "token")},
    )
    body = body_of("training", RunAIStepOperatorSettings(), container=container)
    assert "canary" not in str(body)
    assert "canary" not in repr(container)
    assert body["spec"]["environmentVariables"] == [
        {"name": "A", "value": "1"},
        {"name": "TOKEN", "secret": {"name": "generic-secret-x", "key": "token"}},
    ]
    assert "args" not in body["spec"]


@pytest.mark.parametrize(
    "label", ["train", "Train_Model.2", "x" * 80, "数据", "--", "a b/c", "9lives"]
)
def test_name_is_a_short_dns_label(label: str) -> None:
    import re

    run = UUID("0191d5a8-1111-7222-8333-444455556666")
    name = workload_name(label, run)
    assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name)
    assert "--" not in name
    assert len(name) <= MAX_NAME_LENGTH
    assert name == workload_name(label, run)
    assert name != workload_name(label, UUID("0191d5a8-1111-7222-8333-444455556667"))


@pytest.mark.parametrize(
    ("given", "gpus"),
    [
        ({}, 1.0),
        ({"gpu_devices_request": 0}, 0.0),
        ({"gpu_portion_request": 0.25}, 0.25),
        ({"gpu_devices_request": 4, "gpu_request_type": "device"}, 4.0),
        ({"gpu_request_type": "memory", "gpu_memory_request": "1Gi"}, 1.0),
    ],
)
def test_requested_gpus(given: dict[str, Any], gpus: float) -> None:
    assert requested_gpus(body_of("training", RunAIStepOperatorSettings(**given))) == gpus
