"""The catalogue says what the public documents say, and its data hangs together."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runai_perms import Certainty, Permission, Reach, UnknownName, UsageError
from runai_perms import load_catalogue as load
from runai_perms._catalogue import Catalogue, load_profile, parse_version

# ZenML's permission table for its Run:ai step operator: operation, entity -> action.
TABLE = [
    ("Resolve project by name", [], {"project:read"}),
    ("Resolve cluster", [], {"cluster:read", "clusters-minimal:read"}),
    ("Submit training workload", [], {"trainings:create"}),
    ("Poll workload status", [], {"trainings:read"}),
    ("Suspend on cancel/timeout", [], {"trainings:update"}),
    ("Delete workload", ["delete_on_failure"], {"trainings:delete"}),
    ("workload_template_id", ["templates"], {"templates:read"}),
    ("S3 mounts, managed credentials", ["s3_mounts"], {"credentials:read"}),
    ("S3 mounts, managed data sources", ["s3_mounts"], {"s3-assets:read"}),
]
# Its tightest custom role for 2.24, and what it says is added for what.
TIGHTEST = {
    "trainings:read",
    "trainings:create",
    "trainings:update",
    "workloads:read",
    "project:read",
    "clusters-minimal:read",
}


def texts(needs) -> set[str]:
    return {str(n.permission) for n in needs}


@pytest.mark.parametrize(("row", "features", "accepted"), TABLE, ids=[t[0] for t in TABLE])
def test_documented_table_row_by_row(row, features, accepted):
    needs = load().needs("step-operator", features)
    match = [n for n in needs if {str(p) for p in n.accepted} == accepted]
    assert len(match) == 1, f"{row}: {accepted} is no need of {texts(needs)}"
    assert match[0].certainty is Certainty.DOCUMENTED
    assert match[0].reach is not Reach.TENANT
    if features:
        assert not accepted & texts(load().needs("step-operator"))


def test_tightest_custom_role_is_exactly_the_base_profile():
    assert texts(load().needs("step-operator")) == TIGHTEST
    with_pools = texts(load().needs("step-operator", ["node_pools"]))
    assert with_pools == TIGHTEST | {"nodepools-minimal:read"}
    with_delete = texts(load().needs("step-operator", ["delete_on_failure"]))
    assert with_delete == TIGHTEST | {"trainings:delete"}


def test_up_to_2_23_the_minimal_types_do_not_exist():
    needs = load().needs("step-operator", ["node_pools"], "2.23")
    assert {"cluster:read", "nodepools:read"} <= texts(needs)
    assert not any("minimal" in str(p) for n in needs for p in n.accepted)


def test_identity_is_a_service_account_or_an_application_by_version():
    new = texts(load().needs("provisioner", [], "2.24"))
    old = texts(load().needs("provisioner", [], "2.23"))
    assert {f"service-account:{a}" for a in ("create", "read", "update", "delete")} <= new
    assert {f"apps:{a}" for a in ("create", "read", "update", "delete")} <= old
    assert not any(t.startswith("apps:") for t in new)
    assert not any(t.startswith("service-account:") for t in old)


def test_granter_needs_what_it_grants():
    for features in ([], ["inference"], ["templates", "s3_mounts"]):
        granted = texts(load().needs("step-operator", features))
        assert granted <= texts(load().needs("provisioner", features))


def test_tenant_wide_needs_are_marked():
    scopes = {str(n.permission): n.reach for n in load().needs("provisioner", ["custom_role"])}
    assert scopes["service-account:create"] is Reach.TENANT
    assert scopes["roles:create"] is Reach.TENANT
    assert scopes["access_rules:create"] is Reach.PROJECT


def test_every_operation_is_used_or_reachable_by_its_route():
    catalogue = load()
    for operation in catalogue.operations.values():
        for route in operation.routes:
            method, template = route.split(" ")
            path = template.replace("{id}", "0f1c").replace("{kind}", "generic-secret")
            found = catalogue.operation_for(method, path)
            assert found is not None
            assert found.any_of == operation.any_of, route


def test_literal_routes_win_over_placeholders():
    catalogue = load()
    assert catalogue.operation_for("GET", "/api/v1/workloads/count").name == "workload.count"
    assert catalogue.operation_for("GET", "/api/v1/workloads/0f1c").name == "workload.get"
    query = "/api/v1/org-unit/projects?filterBy=name==x"
    assert catalogue.operation_for("get", query).name == "project.list"
    assert catalogue.operation_for("GET", "/api/v1/unheard-of") is None


@pytest.mark.parametrize(
    ("call", "near"),
    [
        (lambda c: c.needs("step-operater"), "step-operator"),
        (lambda c: c.needs("step-operator", ["node_pool"]), "node_pools"),
        (lambda c: c.permission("training:create"), "trainings"),
        (lambda c: c.permission("trainings:view"), "read"),
        (lambda c: c.operation("training.creat"), "training.create"),
    ],
)
def test_unknown_names_offer_the_nearest(call, near):
    with pytest.raises(UnknownName, match=near):
        call(load())


def test_feature_of_another_profile_is_refused():
    with pytest.raises(UsageError, match="custom_role"):
        load().needs("step-operator", ["custom_role"])


@pytest.mark.parametrize("text", ["", "trainings", ":create", "trainings:", "2"])
def test_malformed_permissions(text):
    with pytest.raises(UsageError):
        Permission.parse(text)


def test_versions():
    assert parse_version("v2.24.1-rc1") == (2, 24)
    with pytest.raises(UsageError):
        parse_version("latest")


def test_own_profile(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'extends = "step-operator"\nfeatures = ["templates"]\n'
        'operations = ["inference.get"]\npermissions = ["environments:read"]\n'
    )
    needs = texts(load().needs(load_profile(path), ["node_pools"]))
    assert needs == TIGHTEST | {
        "templates:read",
        "inferences:read",
        "environments:read",
        "nodepools-minimal:read",
    }


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        ("features = [", UsageError, "not valid TOML"),
        ("feature = []", UsageError, "unknown key 'feature'"),
        ('features = "submit"', UsageError, "list of text"),
        ("extends = 3", UsageError, "must be text"),
        ("", UsageError, "asks for nothing"),
        ('features = ["submitt"]', UnknownName, "submit"),
        ('extends = "operator"', UnknownName, "profile"),
        ('permissions = ["training:create"]', UnknownName, "trainings"),
    ],
)
def test_bad_profile_files(tmp_path: Path, content, error, says):
    path = tmp_path / "bad.toml"
    path.write_text(content)
    with pytest.raises(error, match=says):
        load_profile(path)


def test_missing_profile_file(tmp_path: Path):
    with pytest.raises(UnknownName, match="profile file"):
        load_profile(tmp_path / "nothing.toml")


def test_contradictory_data_is_refused_at_load_time():
    data = {
        "sources": {"s": "x"},
        "resource_types": {"project": {"title": "Projects"}},
        "deprecated_roles": {},
        "features": {},
        "profiles": {},
        "operations": {
            "a.b": {
                "summary": "",
                "routes": ["GET /x"],
                "any_of": ["projects:read"],
                "certainty": "inferred",
                "source": "s",
            }
        },
    }
    with pytest.raises(ValueError, match="projects:read"):
        Catalogue(data)


def test_import_is_light():
    code = (
        "import sys, runai_perms; runai_perms.load_catalogue();"
        "print([m for m in ('httpx', 'pydantic', 'rich', 'click') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_every_public_name_resolves():
    import runai_perms

    for name in runai_perms.__all__:
        assert getattr(runai_perms, name) is not None
    with pytest.raises(AttributeError):
        runai_perms.nothing_of_the_kind  # noqa: B018
