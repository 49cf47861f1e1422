"""The emulator's own OpenAPI document."""

from __future__ import annotations

import jsonschema
import pytest

from runai_emulator import endpoint_table
from runai_emulator.openapi import document


def _json_schema(node, root):
    """OpenAPI 3.0 as JSON Schema: references resolved, `nullable` written out."""
    if isinstance(node, list):
        return [_json_schema(item, root) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        return _json_schema(root["components"]["schemas"][name], root)
    found = {key: _json_schema(item, root) for key, item in node.items() if key != "nullable"}
    if node.get("nullable") and "type" in found:
        found["type"] = [found["type"], "null"]
        if "enum" in found:
            found["enum"] = [*found["enum"], None]
    return found


@pytest.mark.parametrize("version", ["2.23", "2.24"])
def test_every_endpoint_is_described(version):
    described = {
        (method.upper(), path)
        for path, operations in document(version)["paths"].items()
        for method in operations
    }
    assert described == {(one.method, one.path) for one in endpoint_table(version)}


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/clusters",
        "/api/v1/node-pools",
        "/api/v1/service-accounts",
        "/api/v1/authorization/roles",
        "/api/v2/authorization/roles",
        "/api/v1/authorization/permission-sets",
        "/api/v1/authorization/access-rules",
        "/api/v1/authorization/permissions",
        "/api/v1/org-unit/departments",
        "/api/v1/org-unit/projects",
        "/api/v1/asset/credentials",
        "/api/v1/workloads",
        "/api/v1/workloads/pods",
        "/api/v1/workload-templates",
    ],
)
def test_replies_follow_their_schema(plane, path):
    plane.submit()
    plane.submit(spec={"compute": {"gpuDevicesRequest": 99}})
    served = plane.anonymous.get("/_emulator/openapi.json").json()
    reply = served["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
    schema = _json_schema(reply["schema"], served)
    answer = plane.admin.get(path)
    assert answer.status_code == 200
    jsonschema.validate(answer.json(), schema)
    # The check itself must be able to fail.
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate("nonsense", schema)
