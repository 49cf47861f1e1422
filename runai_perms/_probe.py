"""Probing: ask the control plane itself, without changing anything.

Reading rights are confirmed by a real call of the operation that needs them; creating, changing
and deleting are asked about through permitted scopes, which is the control plane's own evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from runai_perms._catalogue import Need
from runai_perms._check import Probe
from runai_perms._model import ScopePath
from runai_perms._reading import permitted

if TYPE_CHECKING:
    from runai_api import RunaiClient


def probe(client: RunaiClient, needs: Iterable[Need], path: ScopePath) -> tuple[Probe, ...]:
    """One probe a need, with the credentials of the client."""
    from runai_api import errors

    answers: dict[str, Any] = {}
    found = []
    for need in needs:
        call = _harmless(client, need, path)
        if call is None:
            allowed, how = _ask(client, need, path, answers)
        else:
            how, action = call
            try:
                action()
                allowed = True
            except errors.PermissionDenied:
                allowed = False
        found.append(Probe(need.permission, how, allowed))
    return tuple(found)


def _harmless(
    client: RunaiClient, need: Need, path: ScopePath
) -> tuple[str, Callable[[], Any]] | None:
    """A real call for needs that only read lists."""
    project = path.project
    calls: dict[str, Callable[[], Any]] = {
        "project.list": lambda: client.projects.find(path.project_name or project),
        "cluster.list": client.clusters.list,
        "node_pool.list": client.node_pools.list,
        "role.list": client.roles.list,
        "permission_set.list": client.permission_sets.list,
        "service_account.list": client.service_accounts.list,
        "application.list": client.applications.list,
        "workload.list": lambda: client.workloads.list(limit=1),
        "access_rule.list": lambda: client.access_rules.list(scope_id=project),
    }
    for operation in need.operations:
        if operation in calls:
            return operation, calls[operation]
    return None


def _ask(
    client: RunaiClient, need: Need, path: ScopePath, answers: dict[str, Any]
) -> tuple[bool | None, str]:
    for permission in need.accepted:
        kind = permission.resource_type
        if kind not in answers:
            answers[kind] = client.permissions.permitted_scopes(kind)
        scopes = permitted(answers[kind], permission.action)
        if any(path.covers(s, need.reach) for s in scopes):
            return True, "permitted scopes"
    return False, "permitted scopes"
