"""A local NVIDIA Run:ai control plane: REST API, RBAC, a small cluster, and faults on demand.

``create_app`` gives an ASGI application for use in one process; ``runai-emulator serve`` runs it
as a server. Nothing here is the vendor's code, and what is only inferred about the real control
plane is marked so in the endpoint table (``endpoint_table()``).
"""

from __future__ import annotations

from typing import Any

__all__ = ["create_app", "endpoint_table"]


def __getattr__(name: str) -> Any:
    if name == "create_app":
        from .app import create_app

        return create_app
    if name == "endpoint_table":
        from .endpoints import endpoint_table

        return endpoint_table
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
