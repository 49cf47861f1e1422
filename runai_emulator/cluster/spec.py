"""Rules between the fields of a workload body, and what it asks of the cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from runai_emulator.schema import check
from runai_emulator.wire import bad_request

from .kinds import NON_PREEMPTIBLE_CLASSES, PRIORITIES
from .spec_schema import spec_schema

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
    return priority_class not in NON_PREEMPTIBLE_CLASSES
