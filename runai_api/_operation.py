"""The calls of the API, each with the permission that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from runai_api.errors import InvalidArgument

_REGISTRY: dict[str, Operation] = {}


@dataclass(frozen=True, slots=True)
class Operation:
    """One call: its name, verb, path and the permission it needs.

    `needs` is ``<resourceType>:<action>``, or None where any valid token will do. The vendor
    publishes no such table: the pairs are inferred from the names of the resource types, and for
    workloads, projects, clusters and node pools documented by ZenML.
    """

    name: str
    method: str
    template: str
    needs: str | None = None
    needs_legacy: str | None = None
    """What 2.23 and older call it, where the name differs."""
    repeatable: bool = False
    """A POST or PATCH that may be sent twice without harm: it reads, or sets a state."""
    authenticated: bool = True
    current_only: bool = False
    """Does not exist on 2.23 and older."""
    scope: str = "the tenant"
    """Where the permission must be held, unless the call knows better."""

    def __post_init__(self) -> None:
        if self.method in ("GET", "PUT", "DELETE"):
            object.__setattr__(self, "repeatable", True)
        _REGISTRY[self.name] = self

    def permission(self, *, legacy: bool = False) -> str | None:
        """What it needs, in the words of the control plane's version."""
        return (self.needs_legacy or self.needs) if legacy else self.needs

    def path(self, values: Mapping[str, object] | None = None) -> str:
        """The path with its parameters filled in; refuses values that would change its shape."""
        if not values:
            return self.template
        filled = {}
        for name, value in values.items():
            text = str(value)
            if not text.strip() or text in (".", ".."):
                raise InvalidArgument(f"{self.name}: {text!r} cannot be the {name}.")
            try:
                filled[name] = quote(text, safe="")
            except UnicodeEncodeError:
                raise InvalidArgument(f"{self.name}: the {name} {text!a} is not text.") from None
        return self.template.format(**filled)


def operations() -> tuple[Operation, ...]:
    """Every operation of the client, sorted by name."""
    from runai_api import _client  # noqa: F401  (declares them all)

    return tuple(_REGISTRY[name] for name in sorted(_REGISTRY))
