"""What the package offers, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import runai_api
from runai_api import operations

PUBLIC = """
APIError AccessRule AccessRuleStatus AmbiguousName AmbiguousOutcome AuthenticationFailed
BadRequest BatchResult Cluster ComplianceIssue ConfigurationError Conflict ConnectionFailed
ControlPlaneVersion CredentialStatus DeadlineExceeded Department GenericSecret HistoryRecord
InvalidArgument InvalidResponse NodePool NotFound Operation OrgUnit OwnAccessRule Permission
PermissionDenied PermissionSet PermittedScopes Phase Pod PreconditionFailed Project RateLimited
RegistryCredential ResourceFailed RetryPolicy Role RunaiClient RunaiError ScopeSet ScopeType
ServerError ServiceAccount ServiceAccountSecret SubjectType Timeouts TypedWorkload
UnprocessableEntity Workload WorkloadEvent WorkloadTemplate operations
"""

FAMILIES = {
    "access_rules": "count create delete find get list mine wait_ready",
    "applications": "create delete find get list regenerate_secret set_enabled",
    "clusters": "find get list",
    "departments": "find get list",
    "distributed": "create delete get resume suspend",
    "generic_secrets": "create delete find get list wait_ready",
    "inferences": "create delete get update",
    "node_pools": "find get list",
    "permission_sets": "find get list",
    "permissions": "mine permitted_scopes",
    "projects": "find get list",
    "registry_credentials": "create delete find get list update wait_ready",
    "roles": "create delete disable enable find get list update",
    "service_accounts": "create delete find get list regenerate_secret set_enabled",
    "trainings": "create delete get resume suspend",
    "workload_templates": "find get list",
    "workloads": "batch count events get history list pods",
    "workspaces": "create delete get resume suspend",
}


def public(thing: object) -> list[str]:
    return sorted(name for name in dir(thing) if not name.startswith("_"))


def test_the_exported_names_are_these() -> None:
    assert sorted(runai_api.__all__) == sorted(PUBLIC.split())
    assert set(runai_api.__all__) <= set(dir(runai_api))
    for name in runai_api.__all__:
        assert getattr(runai_api, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        runai_api.Nonsense  # noqa: B018


def test_the_client_offers_these_calls() -> None:
    with runai_api.RunaiClient("https://a.example", client_id="a", client_secret="b") as client:
        offered = [name for name in public(client) if name in FAMILIES]
        assert offered == sorted(FAMILIES)
        assert set(public(client)) - set(FAMILIES) == {
            "base_url",
            "client_id",
            "close",
            "from_environment",
            "version",
        }
        for name, calls in FAMILIES.items():
            assert public(getattr(client, name)) == calls.split()


def test_every_call_and_model_is_documented() -> None:
    undocumented = [
        name
        for name in runai_api.__all__
        if isinstance(getattr(runai_api, name), type) and not getattr(runai_api, name).__doc__
    ]
    assert undocumented == []


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys; before = set(sys.modules); import runai_api\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "runai_api" in loaded
    assert not {"httpx", "pydantic", "ssl", "runai_api._http"} & set(loaded)


def test_only_one_module_knows_httpx() -> None:
    folder = Path(runai_api.__file__).parent
    assert [p.name for p in sorted(folder.glob("*.py")) if "import httpx" in p.read_text()] == [
        "_http.py"
    ]
    assert (folder / "py.typed").exists()


def test_operation_names_match_the_clients_calls() -> None:
    named = {tuple(operation.name.split(".")) for operation in operations()}
    for family, call in named:
        if family == "tokens":
            continue
        call = call.removesuffix("_v1")
        assert call in FAMILIES[family].split(), (family, call)
