"""Amounts of memory as Kubernetes writes them."""

import re
from decimal import Decimal
from typing import Final

_POWERS: Final = "KMGT"
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)(i?)")
_ZENML_MEMORY = re.compile(r"(\d+)([KMGTP])(i?)B")


def quantity(text: str) -> Decimal:
    """Bytes of a quantity such as ``4G`` or ``8Gi``."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a quantity such as '4G' or '8Gi'")
    number, unit, binary = match.groups()
    power = _POWERS.index(unit) + 1 if unit else 0
    return Decimal(number) * Decimal(1024 if binary else 1000) ** power


def wire_quantity(text: str) -> str:
    """The same amount as the control plane takes it: Kubernetes knows ``k``, not ``K``."""
    return f"{text[:-1]}k" if text.endswith("K") else text


def from_zenml_memory(text: str) -> str:
    """ZenML's ``4GB`` and ``4GiB`` as ``4G`` and ``4Gi``."""
    match = _ZENML_MEMORY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an amount of memory such as '4GB' or '8GiB'")
    number, unit, binary = match.groups()
    return wire_quantity(f"{number}{unit}{binary}")
