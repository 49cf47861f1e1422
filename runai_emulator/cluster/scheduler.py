"""Where pods go: nodes and GPUs, quota of projects and departments, priorities, preemption.

- A workload runs in one node pool, all of its pods at once (gang).
- Non-preemptible workloads stay within the deserved quota of their project; preemptible ones may
  go over it as long as the pool has room and the limit is kept (documented behaviour).
- Within a project the higher priority goes first and may displace preemptible lower ones.
- A project that stays within its quota takes back what others use over theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runai_emulator.store import Row, Store

from .spec import Demand
from .workload import Workload

_ROUNDING = 1e-6
RESOURCES = ("gpu", "cpu", "memory")
_MEMORY_UNITS = {"Mib": 1.0, "MB": 1e6 / 2**20, "GB": 1e9 / 2**20}


@dataclass(frozen=True, slots=True)
class Place:
    """Where one pod runs: its node and the indexes of its GPUs, with the share of each."""

    node: str
    gpus: tuple[int, ...]
    share: float
    cpu: float
    memory: float


class Node:
    """Free room of one node. cpu in millicores, memory in MiB."""

    __slots__ = ("cpu", "device_memory", "gpus", "memory", "name", "pool")

    def __init__(self, row: Row) -> None:
        self.name = row["id"]
        self.pool = row["nodePool"]
        self.gpus = [1.0] * row["gpus"]
        self.device_memory = float(row["gpuMemoryMib"])
        self.cpu = float(row["cpu"])
        self.memory = float(row["memoryMib"])

    def place(self, need: Demand) -> Place | None:
        if need.cpu > self.cpu + _ROUNDING or need.memory > self.memory + _ROUNDING:
            return None
        share = need.share(self.device_memory) if need.devices else 0.0
        if need.gpu_memory > self.device_memory + _ROUNDING:
            return None
        fitting = [
            (free, index) for index, free in enumerate(self.gpus) if free >= share - _ROUNDING
        ]
        if len(fitting) < need.devices:
            return None
        # The fullest device that still fits first, so that whole devices stay free.
        chosen = tuple(index for _, index in sorted(fitting)[: need.devices])
        return Place(self.name, chosen, share, need.cpu, need.memory)

    def take(self, place: Place, sign: float = -1.0) -> None:
        self.cpu += sign * place.cpu
        self.memory += sign * place.memory
        for index in place.gpus:
            self.gpus[index] = min(1.0, max(0.0, self.gpus[index] + sign * place.share))


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a pool does not take a workload now. reason is None when only room is missing."""

    pool: str
    reason: str | None
    org_type: str | None
    message: str


Usage = list[float]


class Scheduler:
    """Keeps the room of nodes and the use of quota in step with what was placed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.nodes: dict[str, Node] = {}
        #: (kind of unit, its id, pool) -> gpu, cpu, memory in use; then the same, non-preemptible.
        self._used: dict[tuple[str, str, str], Usage] = {}
        self.placed: dict[str, Workload] = {}
        self.reload()

    def reload(self) -> None:
        """Read the nodes anew; what runs keeps its place where the place still exists."""
        self.nodes = {row["id"]: Node(row) for row in self._store.nodes.values()}
        running, self.placed, self._used = list(self.placed.values()), {}, {}
        for workload in running:
            if all(
                place.node in self.nodes
                and all(index < len(self.nodes[place.node].gpus) for index in place.gpus)
                for place in workload.placement or ()
            ):
                self._occupy(workload)
            else:
                workload.placement = None

    # -- accounting ----------------------------------------------------------------------------

    def _sums(self, workload: Workload) -> tuple[float, float, float]:
        places = workload.placement or ()
        return (
            sum(len(place.gpus) * place.share for place in places),
            sum(place.cpu for place in places),
            sum(place.memory for place in places),
        )

    def _account(self, workload: Workload, sign: float) -> None:
        sums = self._sums(workload)
        for unit in (("project", workload.project_id), ("department", workload.department_id)):
            used = self._used.setdefault((*unit, workload.pool), [0.0] * 6)
            for number, value in enumerate(sums):
                used[number] += sign * value
                if not workload.preemptible:
                    used[number + 3] += sign * value

    def _occupy(self, workload: Workload) -> None:
        for place in workload.placement:
            self.nodes[place.node].take(place)
        self._account(workload, 1.0)
        self.placed[workload.id] = workload

    def release(self, workload: Workload) -> None:
        """Give back the room of a workload, if it has any."""
        if self.placed.pop(workload.id, None) is None:
            return
        for place in workload.placement:
            node = self.nodes.get(place.node)
            if node is not None:
                node.take(place, 1.0)
        self._account(workload, -1.0)
        workload.placement = None

    def used(self, kind: str, key: str, pool: str) -> Usage:
        return self._used.get((kind, key, pool), [0.0] * 6)

    def _quota(self, kind: str, key: str, pool: str) -> dict[str, tuple[float | None, float]]:
        """Resource -> (deserved, limit) of a unit in a pool; None and infinity mean no bound."""
        row = self._store.tables[f"{kind}s"].rows.get(key)
        for item in (row or {}).get("resources", ()):
            if (item.get("nodePool") or {}).get("name") != pool:
                continue
            found = {}
            for name in RESOURCES:
                share = item.get(name) or {}
                unit = _MEMORY_UNITS[share.get("units") or "Mib"] if name == "memory" else 1.0
                deserved, limit = share.get("deserved"), share.get("limit")
                if name == "gpu" and deserved is None:
                    deserved = 0.0
                bounded = limit is not None and limit >= 0
                found[name] = (
                    None if deserved is None else deserved * unit,
                    limit * unit if bounded else float("inf"),
                )
            return found
        return {
            "gpu": (0.0, float("inf")),
            "cpu": (None, float("inf")),
            "memory": (None, float("inf")),
        }

    def wanted(self, workload: Workload, pool: str) -> tuple[float, float, float]:
        """GPUs, CPU and memory that all pods of a workload ask for in a pool."""
        device_memory = max(
            (node.device_memory for node in self.nodes.values() if node.pool == pool), default=0.0
        )
        return (
            sum(need.gpus(device_memory) for need in workload.demands),
            sum(need.cpu for need in workload.demands),
            sum(need.memory for need in workload.demands),
        )

    def over_quota(self, workload: Workload) -> bool:
        """Whether its project uses more GPUs than it deserves in the pool it prefers."""
        pool = workload.pools[0]
        deserved = self._quota("project", workload.project_id, pool)["gpu"][0] or 0.0
        return self.used("project", workload.project_id, pool)[0] > deserved + _ROUNDING

    # -- decisions -----------------------------------------------------------------------------

    def _refusal(self, workload: Workload, pool: str) -> Refusal | None:
        """Quota and limits, before any look at the nodes."""
        wanted = self.wanted(workload, pool)
        for kind, key in (
            ("project", workload.project_id),
            ("department", workload.department_id),
        ):
            quota = self._quota(kind, key, pool)
            used = self.used(kind, key, pool)
            unit = self._store.tables[f"{kind}s"].rows.get(key) or {"name": key}
            for number, name in enumerate(RESOURCES):
                deserved, limit = quota[name]
                if wanted[number] <= 0:
                    continue
                if used[number] + wanted[number] > limit + _ROUNDING:
                    return Refusal(
                        pool,
                        "OverLimit",
                        kind.upper(),
                        f"{kind.capitalize()} {unit['name']} has reached its {name} limit in node "
                        f"pool {pool}: limit {limit:g}, allocated {used[number]:g}, requested "
                        f"{wanted[number]:g}.",
                    )
                over = deserved is not None and (
                    used[number + 3] + wanted[number] > deserved + _ROUNDING
                )
                if over and not workload.preemptible:
                    return Refusal(
                        pool,
                        "NonPreemptibleOverQuota",
                        kind.upper(),
                        f"Non-preemptible workloads cannot exceed the {name} quota of {kind} "
                        f"{unit['name']} in node pool {pool}: quota {deserved:g}, non-preemptible "
                        f"allocated {used[number + 3]:g}, requested {wanted[number]:g}.",
                    )
        return None

    def _fit(self, workload: Workload, pool: str) -> tuple[Place, ...] | None:
        """Places for all pods in a pool, or None; nothing stays taken."""
        nodes = [node for node in self.nodes.values() if node.pool == pool]
        places: list[Place] = []
        for need in workload.demands:
            # The node with the least room left first, so that large pods find large holes.
            for node in sorted(nodes, key=lambda one: (sum(one.gpus), one.cpu)):
                place = node.place(need)
                if place is not None:
                    node.take(place)
                    places.append(place)
                    break
            else:
                break
        for place in places:
            self.nodes[place.node].take(place, 1.0)
        return tuple(places) if len(places) == len(workload.demands) else None

    def schedule(self, workload: Workload) -> tuple[list[Workload], list[Refusal]]:
        """Place a workload if it can be: (victims to preempt, refusals by pool).

        An empty list of refusals means that it was placed.
        """
        refusals: list[Refusal] = []
        candidates: list[str] = []
        for pool in workload.pools:
            refusal = self._refusal(workload, pool)
            if refusal is not None:
                refusals.append(refusal)
                continue
            candidates.append(pool)
            places = self._fit(workload, pool)
            if places is not None:
                self._assign(workload, pool, places)
                return [], []
        for pool in candidates:
            victims = self._preempt(workload, pool)
            if victims:
                return victims, []
            refusals.append(
                Refusal(
                    pool,
                    None,
                    None,
                    f"Not enough resources in node pool {pool}: {_shown(workload.demands)}.",
                )
            )
        return [], refusals

    def _assign(self, workload: Workload, pool: str, places: tuple[Place, ...]) -> None:
        workload.pool = pool
        workload.placement = places
        self._occupy(workload)

    def _preempt(self, workload: Workload, pool: str) -> list[Workload]:
        """Displace as few as needed; they keep their places when it does not help."""
        displaced: list[tuple[Workload, tuple[Place, ...]]] = []
        while True:
            victim = self._victim(workload, pool)
            if victim is None:
                break
            displaced.append((victim, victim.placement))
            self.release(victim)
            places = self._fit(workload, pool)
            if places is not None:
                self._assign(workload, pool, places)
                return [one for one, _ in displaced]
        for victim, places in displaced:
            victim.placement = places
            self._occupy(victim)
        return []

    def _victim(self, workload: Workload, pool: str) -> Workload | None:
        candidates = [
            one
            for one in self.placed.values()
            if one.pool == pool and one.preemptible and self._may_displace(workload, one, pool)
        ]
        return min(candidates, key=lambda one: (one.priority, -one.seq), default=None)

    def _may_displace(self, workload: Workload, other: Workload, pool: str) -> bool:
        if other.project_id == workload.project_id:
            return other.priority < workload.priority
        wanted = self.wanted(workload, pool)[0]
        own = self._quota("project", workload.project_id, pool)["gpu"][0] or 0.0
        theirs = self._quota("project", other.project_id, pool)["gpu"][0] or 0.0
        within = self.used("project", workload.project_id, pool)[0] + wanted <= own + _ROUNDING
        over = self.used("project", other.project_id, pool)[0] > theirs + _ROUNDING
        return wanted > 0 and within and over and self._sums(other)[0] > 0


def _shown(demands: Iterable[Demand]) -> str:
    parts = []
    demands = list(demands)
    need = demands[0]
    if len(demands) > 1:
        parts.append(f"{len(demands)} pods of")
    if need.devices:
        share = f"{need.gpu_memory:g} MiB of" if need.gpu_memory else f"{need.portion:g} of"
        parts.append(f"{share} {need.devices} GPU device(s),")
    parts.append(f"{need.cpu / 1000:g} CPU cores, {need.memory:g} MiB memory requested")
    return " ".join(parts)
