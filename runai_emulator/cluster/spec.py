"""What a workload body may hold, and what it asks of the cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from runai_emulator._constants import K8S_NAME, QUANTITY
from runai_emulator.schema import Schema, check, choice, flag, items, real, text, thing, whole
from runai_emulator.wire import bad_request

PHASES = (
    "Creating",
    "Initializing",
    "Resuming",
    "Pending",
    "Deleting",
    "Running",
    "Updating",
    "Stopped",
    "Stopping",
    "Degraded",
    "Failed",
    "Completed",
    "Terminating",
    "Unknown",
)
#: Phases in which a workload holds resources and has pods.
ACTIVE = ("Initializing", "Running", "Degraded", "Updating", "Unknown")
TERMINAL = frozenset({"Completed", "Failed"})

#: Priority classes: documented names; their numbers, and that training defaults to `low`,
#: workspace to `high` and inference to `very-high`, are inferred.
PRIORITIES = {
    "very-low": 10,
    "low": 20,
    "medium-low": 30,
    "medium": 40,
    "medium-high": 60,
    "high": 100,
    "very-high": 125,
    # Names of older clusters.
    "train": 50,
    "interactive-preemptible": 75,
    "build": 100,
    "inference": 125,
}
_NON_PREEMPTIBLE_CLASSES = frozenset({"build", "inference", "high", "very-high"})


@dataclass(frozen=True, slots=True)
class Kind:
    """One typed family of workloads.

    path: last segment of its URL; type: value of `type` in lists; resource: resource type of
    its rights; stoppable: whether suspend and resume exist.
    """

    path: str
    type: str
    resource: str
    label: str
    default_priority: str
    category: str
    stoppable: bool = True


KINDS = {
    kind.path: kind
    for kind in (
        Kind("trainings", "Training", "trainings", "Training", "low", "Train"),
        Kind("distributed", "Distributed", "trainings", "Distributed training", "low", "Train"),
        Kind("workspaces", "Workspace", "workspaces", "Workspace", "high", "Build"),
        Kind(
            "inferences",
            "Inference",
            "inferences",
            "Inference",
            "very-high",
            "Deploy",
            stoppable=False,
        ),
    )
}

_NAME = text(K8S_NAME, 1)
_QTY = text(QUANTITY)
_LINE = text(low=1)
_MODE = text(r"^0[0-7]{3}$", 4, 4)


def _pairs() -> Schema:
    return items(thing(name=text(low=1, high=63), value=text(), exclude=flag()))


def _storage() -> Schema:
    modes = thing(readWriteOnce=flag(), readOnlyMany=flag(), readWriteMany=flag())
    claim = thing(
        size=_QTY,
        storageClass=_NAME,
        accessModes=modes,
        volumeMode=choice("Filesystem", "Block"),
        addedAttrValues=items(thing(("key",), key=text(low=1, high=63), value=text())),
    )
    volume = {"name": _LINE, "exclude": flag()}
    return thing(
        configMapVolume=items(
            thing(**volume, configMap=_NAME, mountPath=_LINE, subPath=_LINE, defaultMode=_MODE)
        ),
        dataVolume=items(thing(id=text(), mountPath=text(), exclude=flag())),
        emptyDirVolume=items(thing(**volume, path=_LINE, medium=_LINE, sizeLimit=_QTY)),
        git=items(
            thing(
                **volume,
                repository=_LINE,
                branch=_LINE,
                revision=_LINE,
                path=_LINE,
                passwordSecret=_LINE,
                secretKeyOfUser=_LINE,
                secretKeyOfPassword=_LINE,
                secretRef=thing(
                    name=_LINE,
                    authenticationMethod=choice("password", "ssh-key"),
                    secretKeyOfUser=_LINE,
                    secretKeyOfPassword=_LINE,
                ),
            )
        ),
        hostPath=items(
            thing(
                **volume,
                path=_LINE,
                readOnly=flag(),
                mountPath=_LINE,
                mountPropagation=choice("None", "HostToContainer"),
            )
        ),
        nfs=items(thing(**volume, path=_LINE, readOnly=flag(), server=_LINE, mountPath=_LINE)),
        pvc=items(
            thing(
                **volume,
                path=_LINE,
                existingPvc=flag(),
                claimName=text(low=1, high=63),
                readOnly=flag(),
                ephemeral=flag(),
                claimInfo=claim,
                dataSharing=flag(),
            )
        ),
        s3=items(
            thing(
                **volume,
                bucket=_LINE,
                path=_LINE,
                url=_LINE,
                accessKeySecret=_NAME,
                secretKeyOfAccessKeyId=_LINE,
                secretKeyOfSecretKey=_LINE,
            )
        ),
        secretVolume=items(thing(**volume, mountPath=_LINE, defaultMode=_MODE, secret=_LINE)),
    )


@cache
def spec_schema(path: str) -> Schema:
    """The schema of `spec` for one typed family."""
    key_ref = thing(name=_NAME, key=_LINE)
    fields: dict[str, Schema] = {
        "annotations": _pairs(),
        "args": _LINE,
        "autoDeletionTimeAfterCompletionSeconds": whole(bits=64),
        "backoffLimit": whole(low=0, bits=64),
        "category": text(),
        "command": _LINE,
        "completions": whole(low=1),
        "compute": thing(
            cpuCoreLimit=real(0),
            cpuCoreRequest=real(0),
            cpuMemoryLimit=_QTY,
            cpuMemoryRequest=_QTY,
            extendedResources=items(thing(resource=_LINE, quantity=_QTY, exclude=flag())),
            gpuDevicesRequest=whole(low=0),
            gpuMemoryLimit=_QTY,
            gpuMemoryRequest=_QTY,
            gpuPortionLimit=real(0),
            gpuPortionRequest=real(0),
            gpuRequestType=choice("portion", "memory", "migProfile"),
            largeShmRequest=flag(),
        ),
        "createHomeDir": flag(),
        "environmentVariables": items(
            thing(
                name=_LINE,
                value=text(),
                secret=key_ref,
                configMap=key_ref,
                podFieldRef=thing(path=_LINE),
                userCredential=thing(name=_LINE, key=_LINE),
                exclude=flag(),
                description=text(),
            )
        ),
        "exposedUrls": items(
            thing(
                container=whole(),
                url=text(),
                authorizationType=choice(
                    "authenticatedUsers", "authorizedUsers", "authorizedGroups"
                ),
                authorizedUsers=items(text()),
                authorizedGroups=items(text()),
                toolType=text(),
                toolName=text(),
                name=_LINE,
                exclude=flag(),
            )
        ),
        "image": _LINE,
        "imagePullPolicy": choice("Always", "Never", "IfNotPresent"),
        "imagePullSecrets": items(
            thing(name=text(K8S_NAME), userCredential=flag(), exclude=flag())
        ),
        "labels": _pairs(),
        "nodeAffinityRequired": thing(nodeSelectorTerms=items(thing())),
        "nodePools": items(text()),
        "nodeType": _LINE,
        "parallelism": whole(low=1),
        "podAffinity": thing(type=choice("Required", "Preferred"), key=text()),
        "ports": items(
            thing(
                container=whole(1, 65535),
                serviceType=choice("LoadBalancer", "NodePort", "ClusterIP"),
                external=whole(1, 65535),
                toolType=text(),
                toolName=text(),
                name=_LINE,
                exclude=flag(),
            )
        ),
        "preemptibility": choice("preemptible", "non-preemptible"),
        "priorityClass": text(),
        "probes": thing(readiness=thing()),
        "relatedUrls": items(thing(url=text(), type=text(), name=text(), exclude=flag())),
        "restartPolicy": choice("Always", "Never", "OnFailure"),
        "security": thing(
            allowPrivilegeEscalation=flag(),
            capabilities=items(text()),
            hostIpc=flag(),
            hostNetwork=flag(),
            readOnlyRootFilesystem=flag(),
            runAsGid=whole(low=0, bits=64),
            runAsNonRoot=flag(),
            runAsUid=whole(low=0, bits=64),
            seccompProfileType=choice("RuntimeDefault", "Unconfined", "Localhost"),
            supplementalGroups=text(),
            uidGidSource=choice("fromTheImage", "fromIdpToken", "custom"),
        ),
        "stdin": flag(),
        "storage": _storage(),
        "terminateAfterPreemption": flag(),
        "terminationGracePeriodSeconds": whole(low=0, bits=64),
        "tolerations": items(
            thing(
                name=_LINE,
                operator=choice("Equal", "Exists"),
                key=text(),
                value=text(),
                effect=choice("NoSchedule", "NoExecute", "PreferNoSchedule", "Any"),
                seconds=whole(low=1),
                exclude=flag(),
            )
        ),
        "tty": flag(),
        "workingDir": _LINE,
    }
    if path != "trainings":
        del fields["completions"], fields["parallelism"]
    if path == "distributed":
        fields |= {
            "cleanPodPolicy": choice("None", "All", "Running"),
            "distributedFramework": choice("MPI", "PyTorch", "TF", "XGBoost", "JAX"),
            "maxReplicas": whole(low=1),
            "minReplicas": whole(low=1),
            "mpiLauncherCreationPolicy": choice("AtStartup", "WaitForWorkersReady"),
            "numWorkers": whole(low=1),
            "slotsPerWorker": whole(low=1),
            "sshAuthMountPath": text(),
        }
    if path == "inferences":
        for name in (
            "autoDeletionTimeAfterCompletionSeconds",
            "backoffLimit",
            "restartPolicy",
            "stdin",
            "tty",
            "terminateAfterPreemption",
            "terminationGracePeriodSeconds",
        ):
            del fields[name]
        fields |= _serving()
    return thing(**fields)


def _serving() -> dict[str, Schema]:
    return {
        "servingPort": thing(
            container=whole(1, 65535),
            protocol=choice("http", "grpc"),
            authorizationType=choice(
                "public",
                "authenticatedUsers",
                "authorizedUsers",
                "authorizedGroups",
                "authorizedUsersOrGroups",
            ),
            authorizedUsers=items(text()),
            authorizedGroups=items(text()),
            clusterLocalAccessOnly=flag(),
        ),
        "autoscaling": thing(
            metricThresholdPercentage=real(1, 100),
            minReplicas=whole(low=0),
            maxReplicas=whole(low=1),
            initialReplicas=whole(low=0),
            activationReplicas=whole(low=1),
            concurrencyHardLimit=whole(low=0),
            scaleToZeroRetentionSeconds=whole(0, 3600),
            scaleDownDelaySeconds=whole(0, 3600),
            initializationTimeoutSeconds=whole(low=1),
            metric=text(r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"),
            metricThreshold=whole(),
        ),
        "servingConfiguration": thing(
            initializationTimeoutSeconds=whole(low=1), requestTimeoutSeconds=whole(low=1)
        ),
    }


#: What `PATCH` of an inference may change (documented).
PATCHABLE = frozenset(
    {
        "args",
        "autoscaling",
        "category",
        "command",
        "compute",
        "createHomeDir",
        "environmentVariables",
        "image",
        "imagePullPolicy",
        "imagePullSecrets",
        "nodeAffinityRequired",
        "nodePools",
        "nodeType",
        "podAffinity",
        "preemptibility",
        "priorityClass",
        "probes",
        "servingConfiguration",
        "workingDir",
    }
)

# -- rules across fields ---------------------------------------------------------------------------

_MANDATORY = {
    "storage.pvc": ("path",),
    "storage.nfs": ("path", "server", "mountPath"),
    "storage.hostPath": ("path", "mountPath"),
    "storage.s3": ("bucket", "path"),
    "storage.configMapVolume": ("configMap", "mountPath"),
    "storage.secretVolume": ("secret", "mountPath"),
    "storage.git": ("repository", "path"),
    "environmentVariables": ("name",),
    "labels": ("name",),
    "annotations": ("name",),
    "ports": ("container", "serviceType"),
    "exposedUrls": ("container",),
    "tolerations": ("operator",),
}
_SOURCES = ("value", "secret", "configMap", "podFieldRef", "userCredential")


def check_spec(spec: dict[str, Any], path: str, where: str = "spec") -> None:
    """Raise a 400 for a spec that the schema or a rule between its fields refuses."""
    check(spec, spec_schema(path), where)
    for name, mandatory in _MANDATORY.items():
        holder: Any = spec
        for part in name.split("."):
            holder = (holder or {}).get(part)
        for number, item in enumerate(holder or ()):
            if item.get("exclude"):
                continue
            for key in mandatory:
                if item.get(key) is None:
                    raise bad_request(f"{where}.{name}[{number}].{key} is mandatory.")
    for number, item in enumerate(spec.get("environmentVariables") or ()):
        given = [source for source in _SOURCES if item.get(source) is not None]
        if len(given) != 1 and not item.get("exclude"):
            raise bad_request(
                f"{where}.environmentVariables[{number}] needs exactly one of "
                f"{', '.join(_SOURCES)}."
            )
    for number, item in enumerate((spec.get("storage") or {}).get("pvc") or ()):
        claim = item.get("claimInfo") or {}
        if not item.get("existingPvc") and not item.get("exclude") and not claim.get("size"):
            raise bad_request(f"{where}.storage.pvc[{number}].claimInfo.size is mandatory.")
    mount_paths: set[str] = set()
    for item in _mounts(spec.get("storage") or {}):
        if not item.startswith("/"):
            raise bad_request(f"{where}.storage: the mount path {item!r} is not absolute.")
        if item in mount_paths:
            raise bad_request(f"{where}.storage: the mount path {item!r} is used twice.")
        mount_paths.add(item)
    _check_compute(spec.get("compute") or {}, f"{where}.compute")
    if spec.get("priorityClass") is not None and spec["priorityClass"] not in PRIORITIES:
        raise bad_request(f"{where}.priorityClass is unknown: {spec['priorityClass']}.")
    if spec.get("parallelism") and spec.get("completions"):
        low, high = spec["parallelism"], spec["completions"]
        if low > high:
            raise bad_request(f"{where}.parallelism must not exceed completions.")


def _mounts(storage: dict[str, Any]) -> list[str]:
    keys = {"pvc": "path", "s3": "path", "git": "path", "emptyDirVolume": "path"}
    return [
        mount
        for kind, volumes in storage.items()
        for item in volumes or ()
        if not item.get("exclude") and (mount := item.get(keys.get(kind, "mountPath"))) is not None
    ]


def _check_compute(compute: dict[str, Any], where: str) -> None:
    devices = compute.get("gpuDevicesRequest")
    kind = compute.get("gpuRequestType")
    portion, memory = compute.get("gpuPortionRequest"), compute.get("gpuMemoryRequest")
    if portion is not None and portion > 1:
        raise bad_request(f"{where}.gpuPortionRequest is a share of one device: 0 to 1.")
    if kind == "memory" and (devices or 1) > 1:
        raise bad_request(f"{where}.gpuRequestType memory allows one device only.")
    if memory is not None and kind != "memory":
        raise bad_request(f"{where}.gpuMemoryRequest needs gpuRequestType memory.")
    if portion is not None and kind != "portion":
        raise bad_request(f"{where}.gpuPortionRequest needs gpuRequestType portion.")
    for low, high in (
        ("gpuPortionRequest", "gpuPortionLimit"),
        ("cpuCoreRequest", "cpuCoreLimit"),
    ):
        if None not in (compute.get(low), compute.get(high)) and compute[low] > compute[high]:
            raise bad_request(f"{where}.{high} must not be less than {low}.")
    for low, high in (
        ("gpuMemoryRequest", "gpuMemoryLimit"),
        ("cpuMemoryRequest", "cpuMemoryLimit"),
    ):
        if None not in (compute.get(low), compute.get(high)) and mebibytes(
            compute[low]
        ) > mebibytes(compute[high]):
            raise bad_request(f"{where}.{high} must not be less than {low}.")


_UNITS = {
    "": 1.0,
    "m": 1e-3,
    "k": 1e3,
    "K": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
    "Pi": 2.0**50,
    "Ei": 2.0**60,
}
_QUANTITY = re.compile(r"^\+?([0-9]*\.?[0-9]+|[0-9]+\.)(?:([eE][-+]?[0-9]+)|([a-zA-Z]*))$")


def quantity(written: str) -> float:
    """A Kubernetes quantity as a number; raises a 400."""
    match = _QUANTITY.match(written)
    if match is None or (match.group(3) or "") not in _UNITS:
        raise bad_request(f"{written!r} is not a quantity.")
    number = float(match.group(1) + (match.group(2) or ""))
    return number * _UNITS[match.group(3) or ""]


def mebibytes(written: str) -> float:
    return quantity(written) / 2**20


# -- demand ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Demand:
    """What one pod asks for: devices and a share of each (or memory of each), CPU, memory.

    cpu in millicores; memory and gpu_memory in MiB.
    """

    devices: int
    portion: float
    gpu_memory: float
    cpu: float
    memory: float

    def gpus(self, device_memory: float) -> float:
        """GPUs counted as devices: two halves are one."""
        if not self.devices:
            return 0.0
        return self.devices * self.share(device_memory)

    def share(self, device_memory: float) -> float:
        if self.gpu_memory:
            return min(1.0, self.gpu_memory / device_memory) if device_memory else 1.0
        return self.portion


def demand(spec: dict[str, Any]) -> Demand:
    compute = spec.get("compute") or {}
    kind = compute.get("gpuRequestType")
    devices = compute.get("gpuDevicesRequest")
    portion = 1.0
    memory = 0.0
    if kind == "portion" and compute.get("gpuPortionRequest") is not None:
        portion = float(compute["gpuPortionRequest"])
        devices = 1 if devices is None else devices
    elif kind == "memory" and compute.get("gpuMemoryRequest") is not None:
        memory = mebibytes(compute["gpuMemoryRequest"])
        devices = 1 if devices is None else devices
    if portion == 0:
        devices = 0
    requested = compute.get("cpuMemoryRequest")
    return Demand(
        devices=int(devices or 0),
        portion=portion,
        gpu_memory=memory,
        cpu=float(compute.get("cpuCoreRequest") or 0.0) * 1000.0,
        memory=mebibytes(requested) if requested else 0.0,
    )


def preemptible(spec: dict[str, Any], priority_class: str) -> bool:
    """`preemptibility` wins over what the priority class implies (documented)."""
    given = spec.get("preemptibility")
    if given is not None:
        return given == "preemptible"
    return priority_class not in _NON_PREEMPTIBLE_CLASSES
