"""`check --stack`: credentials, project and features come from a real ZenML server."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.zenml

PIPELINE = """
    from zenml import pipeline, step
    from zenml.config import DockerSettings
    from zenml_runai.flavors import RunAIStepOperatorSettings

    docker = DockerSettings(skip_build=True, parent_image="registry.example.com/ml/zenml:0.98.0")
    wish = RunAIStepOperatorSettings(node_pools=["a100"], workload_template_id="0f1c")

    @step(step_operator={operator!r}, settings={{"step_operator": wish, "docker": docker}})
    def train() -> None: ...

    @pipeline(settings={{"docker": docker}}, enable_cache=False)
    def training():
        train()

    training.create_snapshot(name="for-{operator}")
"""


def test_a_stack_that_has_what_it_needs(make_stack, perms, emulator):
    stack = make_stack()
    emulator.forget_requests()
    done = perms("check", "--stack", stack.name, "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads(done.stdout)
    assert answer["verdict"] == "ok"
    assert answer["profile"] == "step-operator"
    assert answer["project"] == "ml-team"
    assert answer["subject"] == stack.client_id
    assert len(emulator.requests()) <= 6
    assert {r["client"] for r in emulator.requests()} <= {stack.client_id, None}
    assert stack.client_secret not in done.stdout + done.stderr


def test_features_come_from_the_component(make_stack, perms):
    stack = make_stack(delete_on_failure=True, node_pools=["a100"])
    done = perms("check", "--stack", stack.name, "--format", "json")
    answer = json.loads(done.stdout)
    assert set(answer["features"]) == {"delete_on_failure", "node_pools"}
    assert done.returncode == 0


def test_a_stack_without_a_role_lacks_everything(make_stack, perms):
    stack = make_stack(role=None)
    done = perms("check", "--stack", stack.name, "--format", "json")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert len(answer["missing"]) == len(answer["needs"]) == 6


def test_features_come_from_the_settings_of_its_steps(make_stack, perms, zenml_server, tmp_path):
    stack = make_stack()
    operator = stack.name.replace("stack-", "step_operator-")
    script = tmp_path / "pipeline.py"
    script.write_text(textwrap.dedent(PIPELINE.format(operator=operator)))
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "ZENML_CONFIG_PATH": str(tmp_path / "config"),
            "ZENML_STORE_URL": zenml_server.url,
            "ZENML_STORE_API_KEY": zenml_server.api_key,
            "ZENML_ACTIVE_STACK_ID": stack.id,
            "ZENML_ANALYTICS_OPT_IN": "false",
            "ZENML_SKIP_STACK_VALIDATION": "true",
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    checked = perms("check", "--stack", stack.name, "--format", "json")
    answer = json.loads(checked.stdout)
    assert set(answer["features"]) == {"node_pools", "templates"}
    assert answer["missing"] == ["templates:read"]
    assert checked.returncode == 1


def test_an_administrator_about_the_account_of_a_stack(make_stack, perms, emulator):
    stack = make_stack()
    admin = {
        "RUNAI_CLIENT_ID": emulator.admin_id,
        "RUNAI_CLIENT_SECRET": emulator.admin_secret,
    }
    arguments = ("check", "--stack", stack.name, "--subject", "stack", "--format", "json")
    done = perms(*arguments, **admin)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["subject"] == f"service-account {stack.client_id}"


@pytest.mark.parametrize(
    ("case", "code", "says"),
    [
        ("no such stack", 6, "unknown stack 'nothing'"),
        ("stack without Run:ai", 2, "no Run:ai component"),
        ("wrong key", 3, "refuses the credentials"),
        ("no server", 4, "does not answer"),
        ("not a ZenML server", 4, "not what a ZenML server would say"),
        ("no login", 3, "no ZenML server"),
        ("unencrypted", 2, "would send the ZenML key unencrypted"),
        ("no URL", 2, "is not the URL"),
        ("no such secret", 6, "unknown secret"),
        ("account gone", 3, ""),
    ],
)
def test_bad_input(make_stack, perms, emulator, admin_client, case, code, says):
    environment: dict[str, str] = {}
    name = "nothing"
    match case:
        case "stack without Run:ai":
            name = "default"
        case "wrong key":
            environment = {"ZENML_STORE_API_KEY": "ZENKEY_wrong"}
        case "no server":
            environment = {"ZENML_STORE_URL": "http://127.0.0.1:9"}
        case "not a ZenML server":
            environment = {"ZENML_STORE_URL": emulator.base_url}
        case "no login":
            environment = {"ZENML_STORE_URL": "", "ZENML_STORE_API_KEY": ""}
        case "unencrypted":
            environment = {"ZENML_STORE_URL": "http://zenml.example.com"}
        case "no URL":
            environment = {"ZENML_STORE_URL": "zenml"}
        case "no such secret":
            name = make_stack(client_id="{{gone.client_id}}").name
        case "account gone":
            stack = make_stack()
            account = admin_client.service_accounts.find(stack.client_id)
            admin_client.service_accounts.delete(account.id)
            name = stack.name
    done = perms("check", "--stack", name, **environment)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_near_misses_of_a_stack_name(make_stack, perms):
    stack = make_stack()
    done = perms("check", "--stack", stack.name + "x")
    assert done.returncode == 6
    assert repr(stack.name) in done.stderr
