"""The policy pack, run by the real engine on good programs and on some that break its rules."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.engine.conftest import NewEngine
from tests.engine.harness import ROOT, Engine, Outcome

pytestmark = pytest.mark.engine

#: The launcher serves every engine; the folder only those whose language host can start packs.
PACK = str(ROOT / "policy" / "run")
PARTS = """
from pulumi import Config
from provision import AccessRule, PredefinedRole, RunaiProject, ServiceAccount

project = RunaiProject("project", Config().require("runaiProject"), allow_broader_scope=True)
account = ServiceAccount("account")
role = PredefinedRole("role")

def rule(**changed):
    wanted = dict(
        subject_id=account.subject_id, subject_type=account.subject_type, role_id=role.id,
        scope_id=project.scope_id,
    )
    AccessRule("rule", **{**wanted, **changed})
"""
BAD = {
    "no-scope-above-project": (
        "rule(scope_type='department', scope_id='1', allow_broader_scope=True)",
        "rule asks for the scope 'department'",
    ),
    "no-administrator-role": (
        "rule(role_id=PredefinedRole('admin', 'Department administrator').id)",
        "admin is the role 'Department administrator'",
    ),
    "no-deprecated-role": (
        "rule(role_id=PredefinedRole('old', 'L1 researcher').id)",
        "old is the deprecated role 'L1 researcher'. Use AI practitioner.",
    ),
    "no-rule-without-owner": (
        "rule(subject_id='somebody-elses', subject_type='service-account')",
        "rule grants rights to a subject that is not a service account of this stack",
    ),
}


def violations(outcome: Outcome) -> set[str]:
    return set(re.findall(r"\[mandatory\]\s+(\S+)", outcome.output))


@pytest.fixture(scope="module")
def engine(new_engine: NewEngine) -> Engine:
    return new_engine(program=PARTS)


def with_program(engine: Engine, text: str) -> Engine:
    (engine.folder / "stacks" / "__main__.py").write_text(text)
    return engine


@pytest.mark.parametrize("role", ["predefined", "custom"])
def test_the_program_of_this_repository_keeps_to_the_policy(
    role: str, new_engine: NewEngine
) -> None:
    outcome = new_engine(role=role).up("--policy-pack", PACK).succeeded()
    assert "zenml-runai@v0.1.0" in outcome.output
    assert not violations(outcome)
    assert "can't run policy" not in outcome.output


def test_the_parts_of_the_bad_programs_are_good(engine: Engine) -> None:
    outcome = with_program(engine, PARTS + "rule()").preview("--policy-pack", PACK).succeeded()
    assert not violations(outcome)


@pytest.mark.parametrize("name", BAD)
def test_a_program_that_breaks_a_rule_is_refused(name: str, engine: Engine) -> None:
    line, reason = BAD[name]
    outcome = with_program(engine, PARTS + line).preview("--policy-pack", PACK).failed()
    assert violations(outcome) == {name}
    assert reason in " ".join(outcome.output.split())


def test_rights_of_people_and_roles_by_number_are_refused(engine: Engine) -> None:
    line = "rule(subject_id='ada@example.com', subject_type='user', role_id=1)"
    outcome = with_program(engine, PARTS + line).preview("--policy-pack", PACK).failed()
    assert violations(outcome) == {"no-rule-without-owner"}
    assert "rule names its role by a number" in " ".join(outcome.output.split())


def test_nothing_is_made_when_a_rule_is_broken(engine: Engine, emulator_process: Any) -> None:
    line, _ = BAD["no-scope-above-project"]
    emulator_process.forget_requests()
    with_program(engine, PARTS + line).up("--policy-pack", PACK).failed()
    made = [r for r in emulator_process.requests() if r["method"] != "GET"]
    assert all(request["path"].endswith("/token") for request in made)


def test_the_configuration_of_the_pack_lets_an_exception_through(
    engine: Engine, tmp_path: Path
) -> None:
    line, reason = BAD["no-deprecated-role"]
    exception = tmp_path / "exception.json"
    exception.write_text(json.dumps({"no-deprecated-role": "advisory"}))
    outcome = with_program(engine, PARTS + line).preview(
        "--policy-pack", PACK, "--policy-pack-config", str(exception)
    )
    outcome.succeeded()
    assert reason in " ".join(outcome.output.split())


def test_on_an_old_control_plane_its_only_role_is_not_deprecated(
    new_engine: NewEngine, emulator_legacy_process: Any
) -> None:
    old = new_engine(program=PARTS + "rule()", runaiBaseUrl=emulator_legacy_process.base_url)
    outcome = old.preview("--policy-pack", PACK).succeeded()
    assert not violations(outcome)


def test_without_a_preview_rules_on_the_whole_stack_come_last(engine: Engine) -> None:
    """A warning in the documents: the engine checks these when everything has been made."""
    line = "PredefinedRole('old', 'L1 researcher')"
    late = with_program(engine, PARTS + line).up("--skip-preview", "--policy-pack", PACK).failed()
    assert violations(late) == {"no-deprecated-role"}
    assert "account" in engine.resources()
