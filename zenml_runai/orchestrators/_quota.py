"""Whether a project's quota can ever fit a workload; asked before anything is submitted.

Only what can be known for certain is refused: a workload that must stay within the quota and asks
for more than that, or one above a hard limit. Everything else may start when others have ended.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runai_api.org_units import OrgUnitResources, Project, Quota
from zenml_runai.errors import RunAIInvalidSettings, RunAIQuotaExceeded
from zenml_runai.flavors._quantities import quantity
from zenml_runai.workload_spec import requested_gpus

_MEMORY_UNITS = {"Mib": 1024**2, "MB": 1000**2, "GB": 1000**3}
_MILLI = 1000


@dataclass(frozen=True)
class _Request:
    """What all pods of a workload ask for together."""

    gpus: float
    cpu_millicores: float
    memory_bytes: float
    must_fit_quota: bool


def check_fits(project: Project, label: str, body: Mapping[str, Any]) -> None:
    """Refuse a workload that can never start.

    Args:
        project: The project with its quota.
        label: What the workload is for, in words.
        body: The request body of the workload.

    Raises:
        RunAIInvalidSettings: It names a node pool that the project does not have.
        RunAIQuotaExceeded: No node pool that it may use has the quota.
    """
    pools = {
        resources.node_pool.name: resources
        for resources in project.resources
        if resources.node_pool is not None and resources.node_pool.name
    }
    if not pools:
        return
    spec = body["spec"]
    wanted = spec.get("nodePools") or project.default_node_pools or tuple(pools)
    if unknown := [name for name in wanted if name not in pools]:
        near = difflib.get_close_matches(unknown[0], pools, n=1)
        raise RunAIInvalidSettings(
            f"{label} asks for node pool '{unknown[0]}', in which project '{project.name}' has no"
            f" quota.{f' Did you mean {near[0]!r}?' if near else ''}",
            f"Node pools of the project: {', '.join(sorted(pools))}.",
        )
    request = _request(body)
    problems = [(name, list(_problems(request, pools[name]))) for name in wanted]
    if all(found for _, found in problems):
        where = "; ".join(f"node pool '{name}': {', '.join(found)}" for name, found in problems)
        raise RunAIQuotaExceeded(f"{label} can never start in project '{project.name}': {where}.")


def _request(body: Mapping[str, Any]) -> _Request:
    spec = body["spec"]
    pods = [(spec, int(spec.get("parallelism") or 1))]
    if "numWorkers" in spec:
        # Run:ai starts all pods of a distributed workload together or none.
        master = spec if body.get("masterSpecSameAsWorker") else body.get("masterSpec", spec)
        pods = [(spec, int(spec["numWorkers"])), (master, 1)]
    compute = [(part.get("compute") or {}, count) for part, count in pods]
    return _Request(
        gpus=sum(requested_gpus({"spec": part}) * count for part, count in pods),
        cpu_millicores=sum(
            float(block.get("cpuCoreRequest") or 0) * _MILLI * count for block, count in compute
        ),
        memory_bytes=sum(_bytes(block.get("cpuMemoryRequest")) * count for block, count in compute),
        must_fit_quota=spec.get("preemptibility") == "non-preemptible",
    )


def _problems(request: _Request, resources: OrgUnitResources) -> Iterator[str]:
    memory = resources.memory
    unit = _MEMORY_UNITS.get((memory and memory.units) or "Mib", 1024**2)
    rows: Sequence[tuple[str, float, Quota | None, float, str]] = (
        ("GPU", request.gpus, resources.gpu, 1, ""),
        ("CPU", request.cpu_millicores, resources.cpu, 1, "m"),
        ("memory", request.memory_bytes, memory, unit, " bytes"),
    )
    for what, asked, quota, scale, suffix in rows:
        if quota is None or asked == 0:
            continue
        ceiling, kind = _ceiling(quota, request.must_fit_quota and what == "GPU")
        if ceiling is not None and asked > ceiling * scale:
            yield f"{asked:g}{suffix} {what} asked for, {kind} is {ceiling * scale:g}{suffix}"


def _ceiling(quota: Quota, must_fit_quota: bool) -> tuple[float | None, str]:
    limit = quota.limit if quota.limit is not None and quota.limit >= 0 else None
    deserved = quota.deserved
    # Documented: non-preemptible workloads never go over quota.
    if must_fit_quota and deserved is not None and (limit is None or deserved <= limit):
        return deserved, "the quota for non-preemptible workloads"
    return limit, "the limit"


def _bytes(text: str | None) -> float:
    return float(quantity(text.replace("k", "K"))) if text else 0.0
