"""Fixtures for the proofs: a fresh control plane in this process for each test."""

from __future__ import annotations

import pytest

from tests.perms.plane import Plane


@pytest.fixture
def plane() -> Plane:
    """A control plane of the 2.24 kind."""
    return Plane("2.24")


@pytest.fixture
def legacy_plane() -> Plane:
    """A control plane of the 2.23 kind."""
    return Plane("2.23")
