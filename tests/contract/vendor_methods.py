"""What the vendor's client can call, read from its own code: method, path, and body model."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import runai.api
from pydantic import BaseModel
from runai import models

from runai_api import operations
from runai_emulator import endpoint_table

_PARAMETER = re.compile(r"\{[^}]*\}")
_PATH = re.compile(r'resource_path = f?"([^"]+)"')
_METHOD = re.compile(r'method = "(\w+)"')


@dataclass(frozen=True)
class VendorMethod:
    """One generated method: its class, itself, the names of its path and body parameters."""

    owner: type
    call: Callable[..., Any]
    path_parameters: tuple[str, ...]
    body_parameter: str | None
    body_model: Any


def key_of(method: str, path: str) -> tuple[str, str]:
    return method, _PARAMETER.sub("{}", path)


@cache
def vendor_methods() -> dict[tuple[str, str], VendorMethod]:
    """(method, path with ``{}`` for parameters) -> the vendor's method."""
    found = {}
    for module in pkgutil.iter_modules(runai.api.__path__):
        loaded = importlib.import_module(f"runai.api.{module.name}")
        for _, owner in inspect.getmembers(loaded, inspect.isclass):
            if owner.__module__ != loaded.__name__:
                continue
            for _, call in inspect.getmembers(owner, inspect.isfunction):
                source = inspect.getsource(call)
                path, method = _PATH.search(source), _METHOD.search(source)
                if path and method:
                    # It turns every underscore of a path into a hyphen, and so do we.
                    key = method[1], _PARAMETER.sub("{}", path[1]).replace("_", "-")
                    found[key] = _described(owner, call, path[1])
    return found


def _described(owner: type, call: Callable[..., Any], path: str) -> VendorMethod:
    names = tuple(name[1:-1] for name in _PARAMETER.findall(path))
    body, model = None, None
    for name, parameter in inspect.signature(inspect.unwrap(call)).parameters.items():
        annotation = parameter.annotation
        for candidate in (annotation, *getattr(annotation, "__args__", ())):
            if inspect.isclass(candidate) and issubclass(candidate, BaseModel):
                body, model = name, candidate
    return VendorMethod(owner, call, names, body, model)


def beyond_our_client() -> list[tuple[str, str]]:
    """Endpoints of the emulator that our client does not call and the vendor's can."""
    ours = {key_of(operation.method, operation.template) for operation in operations()}
    return [
        (endpoint.method, endpoint.path)
        for endpoint in endpoint_table("2.24")
        if (key := key_of(endpoint.method, endpoint.path)) not in ours and key in vendor_methods()
    ]


_ASSETS = {
    "access-key": models.AccessKey,
    "password": models.Password,
    "generic-secret": models.GenericSecret,
    "ngc-api-key": models.NgcApiKey,
    "pvc": models.PVCAsset,
    "s3": models.S3Asset,
    "nfs": models.NFSAsset,
    "host-path": models.HostPathAsset,
    "git": models.GitAsset,
    "config-map": models.ConfigMapAsset,
    "secrets": models.SecretAsset,
}
_TEMPLATES = {
    "trainings": models.TrainingTemplate,
    "workspaces": models.WorkspaceTemplate,
    "distributed": models.DistributedTemplate,
    "inferences": models.InferenceTemplate,
}
_OTHERS: dict[tuple[str, str], Any] = {
    ("POST", "/api/v1/authorization/access-rules/batch"): models.AccessRuleDeletionBatchResponse,
    (
        "POST",
        "/api/v1/authorization/access-rules/batch-create",
    ): models.AccessRulesBatchCreateResponse,
    ("GET", "/api/v1/workloads/pods"): models.ListPods200Response,
    ("GET", "/api/v1/asset/credentials"): models.CredentialsListResponse,
    ("GET", "/api/v1/asset/datasource"): models.DatasourceListResponse,
    ("POST", "/api/v1/clusters"): models.DisplayedCluster,
}


def reply_model(method: str, path: str) -> tuple[Any, str | None]:
    """(the vendor's model of the reply, the key of the list in it); None where there is none."""
    if (method, path) in _OTHERS:
        return _OTHERS[method, path], None
    if path.endswith("/count"):
        return models.CountResponse, None
    if method == "DELETE":
        return models.HttpResponse, None
    parts = path.split("/")
    each = None
    if parts[3] == "asset":
        each = _ASSETS[parts[5]]
    elif parts[3] == "workload-templates" and parts[4] in _TEMPLATES:
        each = _TEMPLATES[parts[4]]
    elif parts[3] == "node-pools":
        each = models.Nodepool
    is_list = method == "GET" and not path.endswith("}")
    return each, "entries" if is_list else None
