"""The flavors: what is registered, what importing them costs, and secret references."""

import json
import subprocess
import sys

import pytest

from tools import dump_flavors
from zenml_runai.flavors import (
    RunAIOrchestratorConfig,
    RunAIOrchestratorFlavor,
    RunAISecurityContextSettings,
    RunAIStepOperatorConfig,
    RunAIStepOperatorFlavor,
    RunAIStepOperatorSettings,
    RunAITolerationSettings,
)

REQUIRED = {
    "client_id": "{{runai.client_id}}",
    "client_secret": "{{runai.client_secret}}",
    "runai_base_url": "{{runai.url}}",
    "project_name": "ml-team",
}


def test_shipped_registration_is_what_the_classes_say() -> None:
    assert dump_flavors.TARGET.read_text() == dump_flavors.text()


def test_registration_has_the_body_of_zenmls_request() -> None:
    from zenml.models import FlavorRequest

    bodies = json.loads(dump_flavors.TARGET.read_text())
    requests = [FlavorRequest.model_validate(body) for body in bodies]
    assert [(r.name, r.type.value, r.source, r.display_name) for r in requests] == [
        (
            "nvidia_runai",
            "step_operator",
            "zenml_runai.flavors.RunAIStepOperatorFlavor",
            "NVIDIA Run:ai",
        ),
        (
            "nvidia_runai",
            "orchestrator",
            "zenml_runai.flavors.RunAIOrchestratorFlavor",
            "NVIDIA Run:ai",
        ),
    ]
    assert all(r.is_custom for r in requests)
    assert all(set(REQUIRED) <= set(r.config_schema["required"]) for r in requests)


def test_registered_source_imports_the_flavor() -> None:
    from zenml.stack.flavor import validate_flavor_source

    for body in json.loads(dump_flavors.TARGET.read_text()):
        _, flavor = validate_flavor_source(
            body["source"], component_type=body["type"], validate_component_classes=False
        )
        assert flavor.name == "nvidia_runai"


@pytest.mark.parametrize("config", [RunAIStepOperatorConfig, RunAIOrchestratorConfig])
def test_credentials_and_url_take_secret_references(config: type) -> None:
    made = config(**REQUIRED)
    assert {(ref.name, ref.key) for ref in made.required_secrets} == {
        ("runai", "client_id"),
        ("runai", "client_secret"),
        ("runai", "url"),
    }


def test_plain_credentials_are_masked() -> None:
    config = RunAIStepOperatorConfig(**{**REQUIRED, "client_secret": "canary-7fd1"})
    assert "canary-7fd1" not in repr(config)
    assert "canary-7fd1" not in str(config)


def test_documented_defaults_of_the_configuration() -> None:
    config = RunAIStepOperatorConfig(**REQUIRED)
    assert (
        config.cluster_name,
        config.image_pull_secret_name,
        config.monitoring_interval,
        config.workload_timeout,
        config.delete_on_failure,
    ) == (None, None, 30.0, None, False)
    assert (config.is_remote, config.is_local) == (True, False)
    orchestrator = RunAIOrchestratorConfig(**REQUIRED)
    assert orchestrator.is_synchronous
    assert not orchestrator.is_schedulable


@pytest.mark.parametrize("flavor", [RunAIStepOperatorFlavor, RunAIOrchestratorFlavor])
def test_every_configuration_field_is_described(flavor: type) -> None:
    undescribed = [
        name for name, field in flavor().config_class.model_fields.items() if not field.description
    ]
    assert undescribed == []


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("gpu_portion_request", "0.5", 0.5),
        ("delete_on_failure", "true", True),
        ("node_pools", '["a100", "default"]', ["a100", "default"]),
        ("labels", '{"team": "ml"}', {"team": "ml"}),
        ("tolerations", '[{"key": "gpu"}]', [RunAITolerationSettings(key="gpu")]),
        ("security_context", '{"run_as_uid": 1}', RunAISecurityContextSettings(run_as_uid=1)),
    ],
)
def test_configuration_can_be_given_as_text(name: str, text: str, value: object) -> None:
    """As `zenml step-operator register --name=text` does."""
    assert getattr(RunAIStepOperatorConfig(**REQUIRED, **{name: text}), name) == value


def test_misspelt_setting_is_refused_with_the_right_name() -> None:
    with pytest.raises(ValueError, match="did you mean 'gpu_portion_request'"):
        RunAIStepOperatorSettings(gpu_portion_reqest=0.5)


def test_configuration_merged_into_settings_is_no_unknown_setting() -> None:
    config = RunAIStepOperatorConfig(**REQUIRED, gpu_portion_request=0.25)
    settings = RunAIStepOperatorSettings.model_validate(config.model_dump(exclude_unset=True))
    assert settings.gpu_portion_request == 0.25


def test_importing_the_flavors_does_not_import_the_client() -> None:
    program = (
        "import sys\n"
        "import zenml_runai\n"
        "assert 'zenml' not in sys.modules\n"
        "from zenml.step_operators import BaseStepOperator\n"
        "from zenml.orchestrators import BaseOrchestrator\n"
        "before = set(sys.modules)\n"
        "import zenml_runai.flavors\n"
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before}"
        " - set(sys.stdlib_module_names)))\n"
        "print(*[m for m in sys.modules if 'step_operators.' in m and 'zenml_runai' in m])\n"
    )
    packages, implementation = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.split("\n")[:2]
    assert set(packages.split()) <= {"zenml_runai", "pydantic"}
    assert implementation == ""
