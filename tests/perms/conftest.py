"""Fixtures for the proofs: a control plane in this process for each kind of version."""

from __future__ import annotations

import pytest

from tests.perms.plane import Plane


@pytest.fixture(scope="module")
def plane() -> Plane:
    """One control plane (2.24) for a module; tests make objects of their own on it."""
    return Plane("2.24")


@pytest.fixture(scope="module")
def legacy_plane() -> Plane:
    """One control plane (2.23) for a module."""
    return Plane("2.23")
