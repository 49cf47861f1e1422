"""One object of each kind on an emulator, and a body for each creation and change."""

from __future__ import annotations

import copy
from typing import Any

import httpx

from tools import services

API = "/api/v1"
RULES = f"{API}/authorization/access-rules"
#: Spec of each kind of asset, by its path.
ASSETS: dict[str, dict[str, Any]] = {
    "credentials/docker-registry": {"user": "u", "password": "p", "url": "https://r.example.com"},
    "credentials/access-key": {"accessKeyId": "a", "secretAccessKey": "b"},
    "credentials/password": {"user": "u", "password": "p"},
    "credentials/generic-secret": {"keyValuePairs": [{"key": "K", "value": "v"}]},
    "credentials/ngc-api-key": {"ngc_api_key": "k"},
    "datasource/pvc": {"path": "/p", "existingPvc": True, "claimName": "c"},
    "datasource/s3": {"bucket": "b", "path": "/p"},
    "datasource/nfs": {"path": "/p", "server": "s", "mountPath": "/m"},
    "datasource/host-path": {"path": "/p", "mountPath": "/m"},
    "datasource/git": {"repository": "https://git.example.com/r", "path": "/p"},
    "datasource/config-map": {"configMap": "c", "mountPath": "/m"},
}
#: What can be changed, where it is not all of the spec.
CHANGES: dict[str, dict[str, Any]] = {
    "datasource/pvc": {"path": "/q"},
    "datasource/config-map": {},
    "datasource/secrets": {},
}


class Objects:
    """What is on a control plane after a `reset`: one object of each kind, by the path's words.

    `http` sends to the emulator's base URL.
    """

    def __init__(self, http: httpx.Client, version: str) -> None:
        self._http = http
        self.version = version
        self.current = version >= "2.24"
        self.headers: dict[str, str] = {}
        #: Names of path parameters, and paths of families, to ids.
        self.ids: dict[str, str] = {}
        self._project: dict[str, Any] = {}
        self._sets: list[str] = []
        self.reset()

    def reset(self) -> None:
        self._http.post("/_emulator/reset").raise_for_status()
        answer = self._http.post(f"{API}/token", json=self.example("POST", f"{API}/token"))
        self.headers = {"Authorization": f"Bearer {answer.json()['accessToken']}"}
        self._project, other = self._read(f"{API}/org-unit/projects")["projects"][:2]
        pools = self._read(f"{API}/node-pools")["nodepools"]
        self.ids = {
            "projectId": self._project["id"],
            "nodepoolId": pools[-1]["id"],
            "roleIdPath": "1",
        }
        # Others than the project's own, so that they can be deleted.
        self._make("clusterUuid", f"{API}/clusters")
        self._make("departmentId", f"{API}/org-unit/departments")
        self._make("appId", f"{API}/apps")
        if self.current:
            sets = self._read(f"{API}/authorization/permission-sets")["permissionSets"]
            self._sets = [found["id"] for found in sets[:2]]
            self.ids["permissionSetId"] = self._sets[0]
            self._make("serviceAccountId", f"{API}/service-accounts")
            self._make("roleIdPath", "/api/v2/authorization/roles")
        self._make("accessRuleId", RULES, scopeId=other["id"])

    def _make(self, name: str, path: str, **other: Any) -> None:
        body = {**self.example("POST", path), **other}
        answer = self._http.post(path, json=body, headers=self.headers)
        answer.raise_for_status()
        found = answer.json()
        meta = found.get("meta") or found
        self.ids[name] = str(meta.get("id") or found.get("uuid") or found["workloadId"])

    def send(self, method: str, path: str, body: Any) -> httpx.Response:
        """A request with the administrator's token; v2 tokens are asked for by a form."""
        if path == "/api/v2/token":
            return self._http.post(path, data=body)
        return self._http.request(method, path, json=body, headers=self.headers)

    def _read(self, path: str) -> Any:
        return self._http.get(path, headers=self.headers).json()

    def existing(self, path: str, parameter: str) -> str:
        """The id of an object that this parameter of this path names; made if there is none."""
        family = path.partition("/{")[0]
        if parameter in ("AssetId", "workloadId", "templateId"):
            if family in (f"{API}/workloads", f"{API}/workload-templates"):
                family += "/trainings"
            if family not in self.ids:
                self._make(family, family)
            return self.ids[family]
        return self.ids[parameter]

    def example(self, method: str, path: str) -> Any:
        """A body that the operation accepts; None where it takes none."""
        return copy.deepcopy(self._example(method, path.removeprefix("/api/")))

    def _example(self, method: str, path: str) -> Any:
        ids = self.ids
        parts = path.split("/")
        login = {"id": services.EMULATOR_ADMIN_ID, "secret": services.EMULATOR_ADMIN_SECRET}
        if path == "v1/token":
            return {
                "grantType": "client_credentials",
                "clientID": login["id"],
                "clientSecret": login["secret"],
            }
        if path == "v2/token":
            return {
                "grant_type": "client_credentials",
                "client_id": login["id"],
                "client_secret": login["secret"],
            }
        if parts[1] in ("service-accounts", "apps"):
            return {"name": parts[1]} if method == "POST" else {"enabled": True}
        if parts[1] == "authorization":
            return self._authorization(method, path)
        if parts[1] == "clusters":
            return {"name": "another"}
        if parts[1] == "node-pools":
            label = {"labelKey": "pool", "labelValue": "another"}
            made = (
                {"name": "another", "clusterId": self._project["clusterId"]}
                if method == "POST"
                else {}
            )
            return {**label, **made}
        if parts[1] == "org-unit":
            quota = {"deserved": 1, "limit": None, "overQuotaWeight": 1}
            share = {"nodePool": {"id": ids["nodepoolId"]}, "gpu": quota, "cpu": quota}
            resources = [{**share, "memory": {**quota, "units": "Mib"}}]
            if path.endswith("/resources"):
                return resources
            made = (
                {"name": "another", "clusterId": self._project["clusterId"]}
                if method == "POST"
                else {}
            )
            parent = {"parentId": self._project["parentId"]} if made and "projects" in path else {}
            return {"description": "", "resources": resources, **made, **parent}
        if parts[1] == "asset":
            kind = "/".join(parts[2:4])
            meta = {"name": "asset", "scope": "project", "projectId": int(ids["projectId"])}
            if method == "PUT" and kind.startswith("credentials"):
                # Nothing else of a credential can be changed.
                return {"meta": {"description": "changed"}}
            if method == "PUT":
                spec = ASSETS.get(kind) if kind not in CHANGES else CHANGES[kind]
                return {"meta": {"name": "asset"}, **({"spec": spec} if spec else {})}
            spec = ASSETS.get(kind)
            if kind == "datasource/secrets":
                secret = self.existing(f"{API}/asset/credentials/generic-secret", "AssetId")
                spec = {"credentialAssetId": secret, "mountPath": "/m"}
            return {"meta": meta, "spec": spec}
        if parts[1] == "workload-templates":
            scope = {"scopeType": "project", "scopeId": ids["projectId"]}
            meta = {"name": "template", **(scope if method == "POST" else {})}
            return {"meta": meta, "spec": {"image": "busybox:1.37", "command": "true"}}
        if path == "v1/workloads/batch":
            return {"ids": [self.existing(f"{API}/workloads", "workloadId")], "action": "delete"}
        return self._workload(method, path, parts[2])

    def _authorization(self, method: str, path: str) -> Any:
        ids = self.ids
        subject = {"subjectId": "apps", "subjectType": "app"}
        scope = {"scopeType": "project", "scopeId": ids["projectId"]}
        role = {"roleId": 1}
        bodies: dict[str, Any] = {
            "v1/authorization/access-rules": {**subject, **scope, **role},
            "v1/authorization/access-rules/batch": {
                "ids": [ids.get("accessRuleId", "1")],
                "action": "delete",
            },
            "v1/authorization/access-rules/batch-create": {
                "payload": {**role, "subjects": [subject], "scopes": [scope]}
            },
            "v1/authorization/permitted-scopes": {"resourceType": "trainings", "action": "read"},
        }
        if path in bodies:
            return bodies[path]
        if path.endswith("able"):
            return {}
        sets = [{"id": found} for found in self._sets]
        return {"name": "role", "description": "", "enabled": True, "permissionSets": sets}

    def _workload(self, method: str, path: str, kind: str) -> Any:
        compute = {"gpuDevicesRequest": 0, "cpuCoreRequest": 0.1, "cpuMemoryRequest": "32M"}
        spec: dict[str, Any] = {"image": "busybox:1.37", "command": "true", "compute": compute}
        if method == "PATCH":
            return {"spec": {"image": "busybox:1.36"}}
        if path.count("/") > 2:
            return None
        body: dict[str, Any] = {
            "name": kind,
            "projectId": self.ids["projectId"],
            "clusterId": self._project["clusterId"],
        }
        if kind == "distributed":
            spec |= {"numWorkers": 1, "distributedFramework": "PyTorch"}
            body["masterSpecSameAsWorker"] = True
        if kind == "inferences":
            spec["servingPort"] = {"container": 80, "protocol": "http"}
        return {**body, "spec": spec}
