"""A control plane without a port, and callers with the rights a test gives them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from runai_emulator import create_app
from runai_emulator.cluster.engine import ClusterSettings
from runai_emulator.testing import as_wsgi


class Caller(httpx.Client):
    """A client with the token of one account."""


class Plane:
    """One emulator in this process."""

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("async_delay", 0)
        self.app = create_app(**settings)
        self.anonymous = Caller(
            transport=httpx.WSGITransport(app=as_wsgi(self.app)), base_url="http://emulator"
        )
        self.admin = self.caller("emulator-admin", "emulator-admin-secret")
        self._numbers = itertools.count(1)

    @property
    def cluster_id(self) -> str:
        return self.admin.get("/api/v1/clusters").json()[0]["uuid"]

    def token(self, client_id: str, secret: str) -> httpx.Response:
        body = {"grantType": "client_credentials", "clientID": client_id, "clientSecret": secret}
        return self.anonymous.post("/api/v1/token", json=body)

    def caller(self, client_id: str, secret: str) -> Caller:
        answer = self.token(client_id, secret)
        assert answer.status_code == 200, answer.text
        return Caller(
            transport=httpx.WSGITransport(app=as_wsgi(self.app)),
            base_url="http://emulator",
            headers={"Authorization": f"Bearer {answer.json()['accessToken']}"},
        )

    def account(self, name: str | None = None) -> tuple[dict[str, Any], Caller]:
        """A new account without any right, and a client of it."""
        legacy = self.app.emulator.version < "2.24"
        path = "/api/v1/apps" if legacy else "/api/v1/service-accounts"
        made = self.admin.post(path, json={"name": name or f"account-{next(self._numbers)}"})
        assert made.status_code == 201, made.text
        account = made.json()
        secret = account["secret"] if legacy else account["clientSecret"]
        return account, self.caller(account["clientId"], secret)

    def role_of(self, *permissions: str) -> int:
        """A custom role with exactly these permissions, e.g. `trainings:create`."""
        rows = self.app.emulator.store.roles
        key = str(self.app.emulator.store.next_id("role"))
        grouped: dict[str, list[str]] = {}
        for permission in permissions:
            resource, _, action = permission.rpartition(":")
            grouped.setdefault(resource, []).append(action)
        template = next(row for row in rows.values() if not row["custom"])
        rows.put(
            template
            | {
                "id": key,
                "name": f"role-{key}",
                "custom": True,
                "permissionSets": [],
                "permissions": [
                    {"resourceType": name, "actions": actions} for name, actions in grouped.items()
                ],
            }
        )
        return int(key)

    def grant(
        self, account: dict[str, Any], role_id: int, scope_type: str, scope_id: str
    ) -> dict[str, Any]:
        kind = "app" if self.app.emulator.version < "2.24" else "service-account"
        made = self.admin.post(
            "/api/v1/authorization/access-rules",
            json={
                "subjectId": account["clientId"],
                "subjectType": kind,
                "roleId": role_id,
                "scopeType": scope_type,
                "scopeId": scope_id,
            },
        )
        assert made.status_code == 201, made.text
        return made.json()

    def with_rights(
        self, *permissions: str, scope_type: str = "project", scope_id: str = "1001"
    ) -> Caller:
        account, caller = self.account()
        if permissions:
            self.grant(account, self.role_of(*permissions), scope_type, scope_id)
        return caller

    def submit(self, kind: str = "trainings", name: str | None = None, **fields: Any) -> str:
        """Submit a workload as the administrator; returns its id."""
        spec = {"image": "registry.example.com/train:1", "command": "true"} | fields.pop("spec", {})
        body = {
            "name": name or f"w-{next(self._numbers)}",
            "projectId": "1001",
            "clusterId": self.cluster_id,
            "spec": spec,
        } | fields
        answer = self.admin.post(f"/api/v1/workloads/{kind}", json=body)
        assert answer.status_code == 202, answer.text
        return answer.json()["workloadId"]

    def workload(self, key: str) -> dict[str, Any]:
        answer = self.admin.get(f"/api/v1/workloads/{key}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def advance(self, seconds: float) -> None:
        self.anonymous.post("/_emulator/clock", json={"advance": seconds})

    def close(self) -> None:
        self.app.emulator.close()


@pytest.fixture
def make_plane() -> Iterator[Callable[..., Plane]]:
    planes: list[Plane] = []

    def make(**settings: Any) -> Plane:
        script = settings.pop("script", None)
        if script is not None:
            settings["cluster"] = ClusterSettings("simulate", script)
        planes.append(Plane(**settings))
        return planes[-1]

    yield make
    for plane in planes:
        plane.close()


@pytest.fixture
def plane(make_plane: Callable[..., Plane]) -> Plane:
    """Asynchronous states settle at once; workloads run until a test moves the clock."""
    return make_plane(script="Running=1000,Completed")
