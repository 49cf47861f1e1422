"""The flavors that ship with this package: JSON generated from the flavor classes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from provision.errors import InvalidSetting
from provision.naming import near_misses


@dataclass(frozen=True)
class ShippedFlavor:
    """A flavor as ``POST /flavors`` takes it."""

    body: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.body["name"])

    @property
    def type(self) -> str:
        return str(self.body["type"])

    @property
    def source(self) -> str:
        return str(self.body["source"])

    @property
    def digest(self) -> str:
        """Changes when anything of the flavor does; the state holds it instead of the schema."""
        text = json.dumps(self.body, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def shipped_flavors() -> dict[str, ShippedFlavor]:
    """The flavors by component type."""
    text = resources.files("provision").joinpath("data/flavors.json").read_text("utf-8")
    return {body["type"]: ShippedFlavor(body) for body in json.loads(text)}


def shipped_flavor(type: str) -> ShippedFlavor:
    """Raises InvalidSetting for a component type without a flavor of ours."""
    try:
        return shipped_flavors()[type]
    except KeyError:
        raise InvalidSetting(
            f"There is no flavor of this package for {type!r}. "
            f"{near_misses(type, shipped_flavors())}"
        ) from None


def unknown_options(type: str, configuration: dict[str, Any]) -> list[str]:
    """What is wrong with the names in a configuration, in words.

    The server accepts anything for a flavor that it cannot import, so a typing error would only
    come to light in the first run.
    """
    schema = shipped_flavor(type).body["config_schema"]
    known = schema.get("properties", {})
    return [
        f"{name!r} is no option of the {type.replace('_', ' ')}. {near_misses(name, known)}"
        for name in configuration
        if name not in known
    ]
