"""Which pods a workload has, and the environment that each of them starts with."""

from __future__ import annotations

import shlex
import uuid
from typing import Any

from runai_emulator.store import Row, Store

from .spec import Demand, demand
from .workload import Pod, Workload

_CREDENTIAL_KEYS = {
    # Key names inside the Kubernetes secret; S3 mounts document AccessKeyId and SecretKey.
    "accessKey": {"AccessKeyId": "accessKeyId", "SecretKey": "secretAccessKey"},
    "password": {"username": "user", "password": "password"},
    "ngcApiKey": {"NGC_API_KEY": "ngc_api_key"},
}


class MissingReference(Exception):
    """A pod refers to a secret, key or config map that is not there."""


def demands_of(kind: str, bodies: dict[str, Any]) -> tuple[Demand, ...]:
    """What each pod asks for; for distributed workloads the master comes first."""
    spec = bodies.get("spec") or {}
    if kind == "distributed":
        worker = demand(spec)
        master = bodies.get("masterSpec")
        return (demand(master) if master else worker, *[worker] * workers_of(spec))
    if kind == "trainings":
        return (demand(spec),) * int(spec.get("parallelism") or 1)
    return (demand(spec),)


def workers_of(spec: dict[str, Any]) -> int:
    return int(spec.get("numWorkers") or 1)


def completions_of(spec: dict[str, Any]) -> int:
    return int(spec.get("completions") or spec.get("parallelism") or 1)


def pod_name(workload: Workload, role: str, number: int) -> str:
    if role in ("master", "worker"):
        return f"{workload.name}-{role}-{number if role == 'master' else number - 1}"
    if workload.kind == "inferences":
        return f"{workload.name}-00001-deployment-{number}"
    return f"{workload.name}-0-{number}"


def make_pods(workload: Workload, now: float) -> None:
    """New pods for a workload that has just been placed."""
    workload.pods = []
    for rank, place in enumerate(workload.placement or ()):
        role = "worker" if rank else "master"
        if workload.kind != "distributed":
            role = "pod"
        pod = Pod(str(uuid.uuid4()), pod_name(workload, role, rank), role, rank, now)
        pod.node, pod.pool = place.node, workload.pool
        workload.pods.append(pod)


def argv_of(spec: dict[str, Any]) -> list[str]:
    """The command line of a container; raises ValueError for unbalanced quotes."""
    return shlex.split(spec.get("command") or "") + shlex.split(spec.get("args") or "")


def environment(
    store: Store, workload: Workload, pod: Pod, spec: dict[str, Any], namespace: str
) -> dict[str, str]:
    """Variables of one pod, secrets resolved. Raises MissingReference."""
    found: dict[str, str] = {}
    for item in spec.get("environmentVariables") or ():
        if item.get("exclude"):
            continue
        found[item["name"]] = _value(store, workload, pod, item, namespace)
    if workload.kind == "distributed":
        world = len(workload.pods)
        found |= {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": found.get("MASTER_PORT", ""),
            "RANK": str(pod.rank),
            "WORLD_SIZE": str(world),
            "PET_NNODES": str(world),
            "PET_NODE_RANK": str(pod.rank),
        }
    if workload.kind == "inferences":
        port = (spec.get("servingPort") or {}).get("container")
        found.setdefault("PORT", str(port))
    return found


def _value(store: Store, workload: Workload, pod: Pod, item: dict[str, Any], namespace: str) -> str:
    if item.get("value") is not None:
        return item["value"]
    if item.get("secret") is not None:
        name, key = item["secret"].get("name"), item["secret"].get("key")
        secret = find_secret(store, workload, name, None)
        return secret_value(secret, name, key)
    if item.get("userCredential") is not None:
        name, key = item["userCredential"].get("name"), item["userCredential"].get("key")
        secret = find_secret(store, workload, None, name)
        return secret_value(secret, name, key)
    if item.get("podFieldRef") is not None:
        path = item["podFieldRef"].get("path")
        fields = {
            "metadata.name": pod.name,
            "metadata.uid": pod.id,
            "metadata.namespace": namespace,
            "spec.nodeName": pod.node or "",
            "status.podIP": "127.0.0.1",
            "status.hostIP": "127.0.0.1",
        }
        if path not in fields:
            raise MissingReference(f"fieldRef {path} is not supported")
        return fields[path]
    reference = item.get("configMap") or {}
    raise MissingReference(f'configmap "{reference.get("name")}" not found')


def find_secret(
    store: Store, workload: Workload, kubernetes_name: str | None, private_name: str | None
) -> Row | None:
    """The credential behind a Kubernetes secret name, or a private one by its own name."""
    usable = {
        ("project", workload.project_id),
        ("department", workload.department_id),
        ("tenant", "1"),
    }
    project = store.projects.rows.get(workload.project_id)
    if project is not None:
        usable.add(("cluster", project["clusterId"]))
    for asset in store.assets.values():
        if (asset["scope"], asset["scopeId"]) not in usable:
            continue
        if private_name is not None:
            owned = asset["private"] and asset["createdBy"] == workload.created_by
            if owned and asset["name"] == private_name:
                return asset
        elif not asset["private"] and asset["kubernetesName"] == kubernetes_name:
            return asset
    return None


def secret_value(asset: Row | None, name: str | None, key: str | None) -> str:
    if asset is None:
        raise MissingReference(f'secret "{name}" not found')
    spec = asset["spec"]
    if asset["kind"] == "genericSecret":
        for pair in spec.get("keyValuePairs") or ():
            if pair["key"] == key:
                return pair["value"]
    field = _CREDENTIAL_KEYS.get(asset["kind"], {}).get(key or "")
    if field is not None and spec.get(field) is not None:
        return spec[field]
    raise MissingReference(f"couldn't find key {key} in Secret {name}")


def secret_names(spec: dict[str, Any]) -> set[str]:
    """Names of the Kubernetes secrets that a spec refers to."""
    storage = spec.get("storage") or {}
    named = [item.get("name") for item in spec.get("imagePullSecrets") or ()]
    named += [
        (item.get("secret") or {}).get("name") for item in spec.get("environmentVariables") or ()
    ]
    named += [item.get("accessKeySecret") for item in storage.get("s3") or ()]
    named += [item.get("secret") for item in storage.get("secretVolume") or ()]
    named += [
        (item.get("secretRef") or {}).get("name") or item.get("passwordSecret")
        for item in storage.get("git") or ()
    ]
    return {name for name in named if name}
