"""ZenML keeps a configuration folder; these tests have their own."""

import os
import tempfile
from collections.abc import Iterator

import pytest

_FOLDER = tempfile.TemporaryDirectory(prefix="zenml-config-")
os.environ["ZENML_CONFIG_PATH"] = _FOLDER.name


@pytest.fixture(scope="session", autouse=True)
def zenml_configuration() -> Iterator[None]:
    """Removes the folder at the end."""
    yield
    _FOLDER.cleanup()
