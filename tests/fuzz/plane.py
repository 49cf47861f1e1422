"""An emulator in this process, furnished, with its OpenAPI document."""

from __future__ import annotations

import warnings

import schemathesis

from runai_emulator import create_app

from .objects import Objects


class Plane(Objects):
    """One emulated control plane; `reset` gives it back its objects."""

    def __init__(self, version: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from starlette.testclient import TestClient

            self.app = create_app(version=version, async_delay=0)
            http = TestClient(self.app, raise_server_exceptions=True)
        self.schema = schemathesis.openapi.from_asgi("/_emulator/openapi.json", self.app)
        self.operations = {
            found.label: found
            for found in (result.ok() for result in self.schema.get_all_operations())
        }
        super().__init__(http, version)
