"""Handlers by resource family. `load()` imports them all, which registers them."""

from __future__ import annotations

from . import admin


def load() -> None:
    from . import (  # noqa: F401
        access_rules,
        accounts,
        clusters,
        credentials,
        data_sources,
        node_pools,
        org_units,
        permissions,
        roles,
        templates,
        tokens,
        workload_views,
        workloads,
    )


__all__ = ["admin", "load"]
