"""The command as users run it, against a running emulator: verdicts, formats, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from runai_api import RunaiClient
from runai_perms import cli
from runai_perms._role import MARKER


@dataclass(frozen=True)
class Account:
    client_id: str
    secret: str
    id: str


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def data(self):
        return json.loads(self.out)


@pytest.fixture
def account(admin_client) -> Callable[..., Account]:
    """Make an account with (role, scope type, scope name) rules."""

    def make(name: str, *rules: tuple[str, str, str]) -> Account:
        made = admin_client.service_accounts.create(name)
        for role, kind, unit in rules:
            scope = {
                "project": lambda unit=unit: admin_client.projects.find(unit).id,
                "department": lambda unit=unit: admin_client.departments.find(unit).id,
                "tenant": lambda unit=unit: unit,
            }[kind]()
            role_id = admin_client.roles.find(role).id
            admin_client.access_rules.create(
                made.client_id, "service-account", role_id, kind, scope
            )
        return Account(made.client_id, made.client_secret.get_secret_value(), made.id)

    return make


@pytest.fixture
def perms(monkeypatch, capfd, emulator) -> Callable[..., Done]:
    """Run the command's entry point; `who` None is the administrator."""

    def run(*arguments: str, who: Account | None = None, **environment: str | None) -> Done:
        given = {
            "RUNAI_BASE_URL": emulator.base_url,
            "RUNAI_CLIENT_ID": who.client_id if who else emulator.admin_id,
            "RUNAI_CLIENT_SECRET": who.secret if who else emulator.admin_secret,
            **environment,
        }
        with monkeypatch.context() as patch:
            for name, value in given.items():
                patch.delenv(name, raising=False) if value is None else patch.setenv(name, value)
            patch.setattr(sys, "argv", ["runai-perms", *arguments])
            capfd.readouterr()
            with pytest.raises(SystemExit) as end:
                cli.main()
        out, err = capfd.readouterr()
        return Done(int(end.value.code or 0), out, err)

    return run


AT_PROJECT = ("AI practitioner", "project", "ml-team")


def test_just_right_with_own_credentials(perms, account, emulator):
    who = account("runner", AT_PROJECT)
    emulator.forget_requests()
    done = perms("check", "-p", "ml-team", who=who)
    assert done.code == 0
    assert "OK: all 6 rights are held, 5 more than needed" in done.out
    assert "rule" in done.out
    assert done.err == ""
    assert len(emulator.requests()) <= 6


def test_the_chain_names_rule_role_set_and_scope(perms, account):
    account("runner", AT_PROJECT)
    done = perms("check", "-p", "ml-team", "--subject", "runner", "--format", "json", "--exact")
    need = next(n for n in done.data["needs"] if n["permission"] == "trainings:create")
    grant = need["granted_by"][0]
    assert grant["role"] == "AI practitioner"
    assert grant["rule"]["subject"] == "runner"
    assert grant["scope"]["name"] == "ml-team"
    assert grant["permission_sets"]


@pytest.mark.parametrize(
    ("fail_on", "role", "features", "code"),
    [
        ("missing", AT_PROJECT, "delete_on_failure", 0),
        ("excess", AT_PROJECT, "delete_on_failure", 5),
        ("any", AT_PROJECT, "delete_on_failure", 5),
        ("missing", AT_PROJECT, "templates", 1),
        ("any", AT_PROJECT, "templates", 1),
        ("excess", AT_PROJECT, "templates", 5),
    ],
)
def test_exit_codes_by_what_counts(perms, account, fail_on, role, features, code):
    who = account("runner", role)
    done = perms("check", "-p", "ml-team", "-f", features, "--fail-on", fail_on, who=who)
    assert done.code == code


def test_exactly_the_synthesised_role_is_no_excess(perms, account, admin_client):
    assert perms("role", "--name", "narrow", "--apply").code == 0
    who = account("runner", ("narrow", "project", "ml-team"))
    done = perms("check", "-p", "ml-team", "--fail-on", "any", who=who)
    assert done.code == 0
    assert "and nothing more" in done.out


def test_findings_of_a_careless_set_up(perms, account):
    account(
        "careless",
        ("L2 researcher", "department", "default"),
        ("AI practitioner", "project", "other-team"),
    )
    done = perms("check", "-p", "ml-team", "--subject", "careless", "--format", "json")
    kinds = {f["kind"] for f in done.data["findings"]}
    assert {"scope-too-wide", "rule-elsewhere", "deprecated-role", "excess-permission"} <= kinds
    assert done.data["scope_too_wide"][0]["scope"]["type"] == "department"
    assert done.data["elsewhere"][0]["scope"]["name"] == "other-team"
    assert done.data["deprecated_roles"]["L2 researcher"]


def test_a_disabled_account_has_no_usable_right(perms, account, admin_client):
    who = account("sleeper", AT_PROJECT)
    admin_client.service_accounts.set_enabled(who.id, False)
    done = perms("check", "-p", "ml-team", "--subject", "sleeper")
    assert done.code == 1
    assert "disabled" in done.out


def test_an_administrator_of_one_project_gets_a_partial_answer(perms, account):
    account("runner", AT_PROJECT)
    who = account("project-admin", ("Project administrator", "project", "ml-team"))
    done = perms("check", "-p", "ml-team", "--subject", "runner", who=who)
    assert done.code == 4
    assert "hidden" in done.out


def test_formats(perms, account):
    who = account("runner", AT_PROJECT)
    arguments = ("check", "-p", "ml-team", "-f", "templates", "--format")
    sarif = perms(*arguments, "sarif", who=who).data
    results = sarif["runs"][0]["results"]
    assert sarif["version"] == "2.1.0"
    assert [r["ruleId"] for r in results if r["level"] == "error"] == ["missing-permission"]
    rules = [r["id"] for r in sarif["runs"][0]["tool"]["driver"]["rules"]]
    assert all(rules[r["ruleIndex"]] == r["ruleId"] for r in results)
    junit = ET.fromstring(perms(*arguments, "junit", who=who).out)  # noqa: S314
    assert junit.get("failures") == "1"
    failed = [c.get("name") for c in junit.iter("testcase") if c.find("failure") is not None]
    assert failed == ["templates:read"]
    text = perms(*arguments, "text", who=who)
    assert "MISSING: 1 of 7 rights" in text.out


def test_colours_only_when_wished(perms, account):
    who = account("runner", AT_PROJECT)
    arguments = ("check", "-p", "ml-team")
    assert "\x1b[" not in perms(*arguments, who=who).out
    assert "\x1b[" in perms(*arguments, who=who, FORCE_COLOR="1").out
    assert "\x1b[" not in perms(*arguments, who=who, FORCE_COLOR="1", NO_COLOR="1").out


def test_probing_confirms(perms, account):
    who = account("runner", AT_PROJECT)
    done = perms("check", "-p", "ml-team", "--probe", "--format", "json", who=who)
    assert done.code == 0
    assert {p["allowed"] for p in done.data["probes"]} == {True}
    assert len(done.data["probes"]) == 6
    lacking = perms("check", "-p", "ml-team", "-f", "templates", "--probe", who=who)
    assert "probe    templates:read" in lacking.out.replace("  ", " ").replace("probe ", "probe   ")
    assert lacking.code == 1


def test_probing_changes_nothing(perms, account, emulator):
    who = account("runner", AT_PROJECT)
    emulator.forget_requests()
    perms("check", "-p", "ml-team", "--probe", who=who)
    writes = {r["path"] for r in emulator.requests() if r["method"] not in ("GET", "HEAD")}
    assert writes <= {"/api/v2/token", "/api/v1/authorization/permitted-scopes"}


def test_waiting_ends_when_the_rule_is_there(perms, account, admin_client, emulator, monkeypatch):
    who = account("late")
    import runai_perms._run as run

    def grant_meanwhile(_seconds: float) -> None:
        role, project = admin_client.roles.find("AI practitioner"), admin_client.projects
        admin_client.access_rules.create(
            who.client_id, "service-account", role.id, "project", project.find("ml-team").id
        )

    monkeypatch.setattr(run.time, "sleep", grant_meanwhile)
    done = perms("check", "-p", "ml-team", "--wait", "30", who=who)
    assert done.code == 0
    assert "waiting for access rules" in done.err


@pytest.mark.parametrize(
    ("action", "resource", "code", "word"),
    [
        ("create", "trainings", 0, "yes"),
        ("create", "inferences", 1, "no"),
        ("create", "training", 6, "did you mean 'trainings'"),
        ("make", "trainings", 6, "unknown action"),
        ("edit", "trainings", 6, "the API says 'update'"),
    ],
)
def test_can_i(perms, account, action, resource, code, word):
    who = account("runner", AT_PROJECT)
    done = perms("can-i", action, resource, "-p", "ml-team", who=who)
    assert done.code == code
    assert word in done.out + done.err


def test_a_no_says_why(perms, account):
    account("beside", ("AI practitioner", "project", "other-team"))
    arguments = ("can-i", "create", "trainings", "-p", "ml-team", "--subject", "beside")
    done = perms(*arguments)
    assert done.code == 1
    assert "does not reach project ml-team" in done.out
    data = perms(*arguments, "--format", "json").data
    assert data["allowed"] is False
    assert data["held_elsewhere"][0]["scope"]["name"] == "other-team"


def test_explain_without_asking_anybody(perms, emulator):
    emulator.forget_requests()
    done = perms("explain", "trainings:delete")
    assert done.code == 0
    assert "delete_on_failure" in done.out
    assert "documented" in done.out
    assert emulator.requests() == []


def test_needs_without_asking_anybody(perms, emulator):
    emulator.forget_requests()
    data = perms("needs", "-f", "templates", "--version", "2.23", "--format", "json").data
    assert "cluster:read" in {n["permission"] for n in data["needs"]}
    assert emulator.requests() == []


def test_role_as_the_body_of_the_api(perms, admin_client):
    done = perms("role", "-f", "node_pools", "--name", "narrow", "--format", "json")
    assert done.code == 0
    known = {s.id for s in admin_client.permission_sets.list()}
    assert {s["id"] for s in done.data["permissionSets"]} <= known
    assert done.data["name"] == "narrow"
    assert admin_client.roles.find("narrow") is None


def test_role_is_made_updated_and_left_alone(perms, admin_client):
    first = perms("role", "--name", "narrow", "--apply")
    assert "created" in first.err
    again = perms("role", "--name", "narrow", "--apply")
    assert "unchanged" in again.err
    more = perms("role", "--name", "narrow", "-f", "delete_on_failure", "--apply")
    assert "gained: trainings:delete" in more.err
    less = perms("role", "--name", "narrow", "--apply")
    assert "lost: trainings:delete" in less.err
    assert len([r for r in admin_client.roles.list() if r.name == "narrow"]) == 1


def test_role_of_somebody_else_is_not_touched(perms, admin_client):
    sets = [admin_client.permission_sets.list()[0].id]
    admin_client.roles.create("theirs", "not ours", sets)
    for name in ("theirs", "System administrator"):
        done = perms("role", "--name", name, "--apply")
        assert done.code == 2
        assert "was not made by runai-perms" in done.err
    assert MARKER not in admin_client.roles.find("theirs").description


def test_role_names_the_unavoidable_excess(perms, tmp_path):
    profile = tmp_path / "odd.toml"
    profile.write_text('permissions = ["trainings:delete"]\n')
    done = perms("role", "--profile", str(profile))
    assert done.code == 0
    assert "unavoidable excess: trainings:" in done.err


def test_trace_and_a_role_from_it(perms, account, tmp_path):
    log = tmp_path / "requests.jsonl"
    script = (
        "from runai_api import RunaiClient\n"
        "with RunaiClient.from_environment() as c:\n"
        "    p = c.projects.find('ml-team'); c.node_pools.list(); print('talk')\n"
    )
    who = account("runner", AT_PROJECT)
    command = ("trace", "-o", str(log), "--format", "json", "--", sys.executable, "-c", script)
    done = perms(*command, who=who)
    assert done.code == 0
    used = {p["permission"]: p["refused"] for p in done.data["permissions"]}
    assert used == {"project:read": 0, "nodepools-minimal:read": 0}
    assert "talk" in done.err
    role = perms("role", "--from-trace", str(log), "--format", "json")
    names = {s["name"] for s in role.data["permissionSets"]}
    assert names == {"Projects view", "Node pools minimal"}


def test_trace_counts_refusals_and_keeps_the_exit_code(perms, account):
    script = (
        "from runai_api import RunaiClient, errors\n"
        "with RunaiClient.from_environment() as c:\n"
        "    try: c.roles.list()\n"
        "    except errors.PermissionDenied: raise SystemExit(7)\n"
    )
    who = account("runner", AT_PROJECT)
    done = perms("trace", "--", sys.executable, "-c", script, who=who)
    assert done.code == 7
    assert "refused x1" in done.out


def test_diff(perms, account):
    account("runner", AT_PROJECT)
    same = perms("diff", "subject:runner", "role:AI practitioner")
    assert same.code == 0
    other = perms("diff", "role:AI practitioner", "profile:step-operator+node_pools")
    assert other.code == 1
    assert "-trainings:delete" in other.out
    offline = perms(
        "diff", "profile:step-operator", "profile:step-operator+templates", RUNAI_BASE_URL=None
    )
    assert "+templates:read" in offline.out


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "says"),
    [
        (("check", "-p", "ml-team", "--profile", "operator"), {}, 6, "unknown profile"),
        (("check", "-p", "ml-team", "-f", "node_pool"), {}, 6, "did you mean 'node_pools'"),
        (("check", "-p", "ml-tean"), {}, 6, "did you mean 'ml-team'"),
        (("check", "-p", "ml-team", "--cluster", "locl"), {}, 6, "did you mean 'local'"),
        (("check", "-p", "ml-team", "--subject", "nobody"), {}, 6, "unknown service-account"),
        (("check", "-p", "ml-team", "--subject", "user:"), {}, 2, "names no subject"),
        (("check", "-p", "ml-team", "--subject", "x", "--probe"), {}, 2, "leave --subject out"),
        (("check", "-p", "ml-team", "--profile", "{bad}"), {}, 2, "not valid TOML"),
        (("check", "-p", "ml-team", "--profile", "gone.toml"), {}, 6, "unknown profile file"),
        (("check",), {}, 2, "no project"),
        (("check", "-p", "ml-team", "--format", "xml"), {}, 2, "'xml' is not one of"),
        (("check", "-p", "ml-team"), {"RUNAI_BASE_URL": None}, 2, "RUNAI_BASE_URL"),
        (("check", "-p", "ml-team"), {"RUNAI_BASE_URL": "ftp://x"}, 2, "http"),
        (("check", "-p", "ml-team"), {"RUNAI_CLIENT_SECRET": None}, 3, "no credentials"),
        (("check", "-p", "ml-team"), {"RUNAI_CLIENT_SECRET": "wrong"}, 3, ""),
        (("check", "-p", "ml-team"), {"RUNAI_BASE_URL": "http://127.0.0.1:9"}, 4, "connection"),
        (("check", "-p", "ml-team", "--client-secret-file", "/no"), {}, 2, "cannot be read"),
        (("explain", "trainings"), {}, 2, "is not a permission"),
        (("explain", "training:create"), {}, 6, "did you mean 'trainings'"),
        (("diff", "AI practitioner", "role:x"), {}, 2, "write role:NAME"),
        (("diff", "role:AI practitionr", "profile:orchestrator"), {}, 6, "AI practitioner"),
        (("role", "--from-trace", "gone.jsonl"), {}, 6, "unknown trace file"),
        (("role", "--from-trace", "{bad}"), {}, 2, "not a line of a request log"),
        (("trace", "--", "no-such-command"), {}, 6, "unknown command"),
        (("trace",), {}, 2, "Missing argument"),
        (("report", "-p", "ml-team", "--html", "/no/such/x.html"), {}, 2, "cannot be written"),
        (("nonsense",), {}, 2, "No such command"),
    ],
)
def test_bad_input(perms, tmp_path, arguments, environment, code, says):
    bad = tmp_path / "bad.toml"
    bad.write_text("features = [\n")
    done = perms(*(a.format(bad=bad) for a in arguments), **environment)
    assert done.code == code, done.err
    assert says in done.err
    assert done.out == ""
    assert "Traceback" not in done.err


def test_an_unexpected_error_is_never_a_verdict(perms, monkeypatch):
    import runai_perms._run as run

    def broken(*_args, **_named):
        raise RuntimeError("boom")

    monkeypatch.setattr(run, "run_check", broken)
    done = perms("check", "-p", "ml-team")
    assert done.code == 4
    assert "boom" in done.err
    assert "Traceback" not in done.err
    assert "Traceback" in perms("--debug", "check", "-p", "ml-team").err


def test_an_expired_token_is_renewed(perms, account, emulator):
    """A token that dies during the check costs one more login, not the answer."""
    who = account("runner", AT_PROJECT)
    emulator.add_fault(kind="expire-tokens", path="/api/v1/authorization/permissions", times=1)
    assert perms("check", "-p", "ml-team", who=who).code == 0
    emulator.clear_faults()


def test_a_token_that_is_never_accepted(perms, account, emulator):
    who = account("runner", AT_PROJECT)
    emulator.add_fault(kind="status", status=401, path="/api/v1/authorization/*", times=100)
    done = perms("check", "-p", "ml-team", who=who)
    emulator.clear_faults()
    assert done.code == 3
    assert done.out == ""


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/authorization/me/access-rules",
        "/api/v1/authorization/permissions",
        "/api/v1/org-unit/*",
    ],
)
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 403},
        {"kind": "status", "status": 400},
        {"kind": "content-type"},
    ],
)
def test_an_answer_with_a_hole_is_never_a_verdict(perms, account, emulator, path, fault):
    who = account("runner", AT_PROJECT)
    emulator.add_fault(path=path, times=100, **fault)
    done = perms("check", "-p", "ml-team", who=who)
    emulator.clear_faults()
    assert done.code in (4, 6)
    assert done.out == ""


def test_an_empty_answer_says_so(perms, account):
    account("nobody")
    done = perms("check", "-p", "ml-team", "--subject", "nobody")
    assert done.code == 1
    assert "there is no access rule for service-account nobody" in done.out
    assert "MISSING: 6 of 6" in done.out


def test_a_server_without_the_newer_roles(perms, account, emulator):
    who = account("admin", ("System administrator", "tenant", "1"))
    for path in ("/api/v2/authorization/roles*", "/api/v1/authorization/permission-sets*"):
        emulator.add_fault(kind="status", status=404, path=path, times=100)
    refused = perms("role", "--apply")
    checked = perms("check", "-p", "ml-team", who=who)
    emulator.clear_faults()
    assert refused.code == 2
    assert "no permission sets" in refused.err
    assert checked.code == 0


def test_a_role_that_the_server_calls_deprecated(perms, account):
    account("old", ("Editor", "project", "ml-team"))
    done = perms("check", "-p", "ml-team", "--subject", "old", "--format", "json")
    assert "Editor" in done.data["deprecated_roles"]


def test_no_secret_in_any_output(perms, account):
    who = account("runner", AT_PROJECT)
    for form in ("text", "json", "sarif", "junit"):
        done = perms("check", "-p", "ml-team", "--format", form, who=who)
        assert who.secret not in done.out + done.err
    wrong = perms("check", "-p", "ml-team", who=Account(who.client_id, "canary-secret", ""))
    assert "canary-secret" not in wrong.out + wrong.err


def test_up_to_2_23(perms, emulator_legacy):
    access = {"RUNAI_BASE_URL": emulator_legacy.base_url}
    with RunaiClient(
        emulator_legacy.base_url,
        client_id=emulator_legacy.admin_id,
        client_secret=emulator_legacy.admin_secret,
    ) as client:
        made = client.applications.create("runner")
        role = client.roles.find("L1 researcher")
        project = client.projects.find("ml-team")
        client.access_rules.create(made.client_id, "app", role.id, "project", project.id)
    who = Account(made.client_id, made.client_secret.get_secret_value(), made.id)
    emulator_legacy.forget_requests()
    done = perms("check", "-p", "ml-team", "--format", "json", who=who, **access)
    assert done.code == 0
    assert done.data["version"] == "2.23"
    assert done.data["deprecated_roles"] == {}
    assert len(emulator_legacy.requests()) <= 6
    emulator_legacy.forget_requests()
    subject = perms("check", "-p", "ml-team", "--subject", "runner", **access)
    assert subject.code == 0
    assert len(emulator_legacy.requests()) <= 6
    refused = perms("role", "--apply", **access)
    assert refused.code == 2
    assert "no custom roles" in refused.err
    assert "L1 researcher" in perms("role", **access).out


def test_help_teaches_and_is_light():
    code = (
        "import sys; sys.argv = ['runai-perms', '--help']\n"
        "from runai_perms.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: print(end.code)\n"
        "heavy = ('httpx', 'pydantic', 'rich', 'runai_api._client', 'runai_perms._catalogue')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.endswith("0\n[]\n")
    assert "Exit codes:" in done.stdout
    assert "runai-perms check --stack" in done.stdout


@pytest.mark.parametrize("command", sorted(cli.cli.commands))
def test_every_command_explains_itself(perms, command):
    done = perms(command, "--help")
    assert done.code == 0
    assert len(done.out) > 150


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(perms, shell):
    assert "_RUNAI_PERMS_COMPLETE" in perms("completion", shell).out
