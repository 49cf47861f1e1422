"""Renderers: one module a format, each a pure function from a report to text."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runai_perms._check import Report

FORMATS = ("text", "json", "sarif", "junit")


def render(report: Report, form: str, fail_on: str = "missing") -> str:
    """The report in one of :data:`FORMATS`, without a final newline."""
    module = import_module(f"{__name__}._{form}")
    text: str = module.render(report, fail_on)
    return text
