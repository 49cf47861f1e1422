"""What can never fit is known before anything is submitted; what may fit later is not refused."""

from __future__ import annotations

from typing import Any

import pytest

from runai_api.org_units import Project
from zenml_runai.errors import RunAIInvalidSettings, RunAIQuotaExceeded
from zenml_runai.orchestrators._quota import check_fits


def project(**pools: dict[str, Any]) -> Project:
    return Project.model_validate(
        {
            "id": "1",
            "name": "ml-team",
            "clusterId": "c",
            "resources": [
                {
                    "nodePool": {"id": name, "name": name},
                    "gpu": pool.get("gpu"),
                    "cpu": pool.get("cpu"),
                    "memory": pool.get("memory"),
                }
                for name, pool in pools.items()
            ],
        }
    )


def body(*, cpu: float = 1.0, memory: str = "4G", **spec: Any) -> dict[str, Any]:
    gpus = spec.pop("gpus", 0)
    portion = spec.pop("portion", 1.0)
    compute = {
        "gpuDevicesRequest": gpus,
        "gpuPortionRequest": portion,
        "cpuCoreRequest": cpu,
        "cpuMemoryRequest": memory,
    }
    return {"spec": {"compute": compute, **spec}}


UNLIMITED = {"gpu": {"deserved": 4, "limit": None}}
FIRM = {"preemptibility": "non-preemptible"}


@pytest.mark.parametrize(
    ("pools", "request_"),
    [
        ({"default": UNLIMITED}, body(gpus=4, **FIRM)),
        ({"default": UNLIMITED}, body(gpus=900)),
        ({"default": {"gpu": {"deserved": 0, "limit": -1}}}, body(gpus=2)),
        (
            {"small": {"gpu": {"deserved": 1}}, "big": {"gpu": {"deserved": 8}}},
            body(gpus=8, **FIRM),
        ),
        ({"default": {"gpu": {"deserved": 0}}}, body(gpus=0, cpu=200, **FIRM)),
        ({"default": {"gpu": {"deserved": 1}}}, body(gpus=1, portion=0.5, **FIRM)),
        ({"default": {"memory": {"limit": 4096, "units": "Mib"}}}, body(memory="4Gi")),
        ({"default": {"memory": {"limit": 4, "units": "GB"}}}, body(memory="4G")),
        ({}, body(gpus=900, **FIRM)),
    ],
)
def test_what_may_start_some_day_is_let_through(
    pools: dict[str, Any], request_: dict[str, Any]
) -> None:
    check_fits(project(**pools), "Step `s`", request_)


@pytest.mark.parametrize(
    ("pools", "request_", "said"),
    [
        ({"default": UNLIMITED}, body(gpus=5, **FIRM), "5 GPU asked for, the quota"),
        ({"default": {"gpu": {"limit": 2}}}, body(gpus=3), "3 GPU asked for, the limit is 2"),
        (
            {"default": {"gpu": {"deserved": 0.25}}},
            body(gpus=1, portion=0.5, **FIRM),
            "0.5 GPU asked for",
        ),
        ({"default": {"cpu": {"limit": 2000}}}, body(cpu=3), "3000m CPU asked for"),
        (
            {"default": {"memory": {"limit": 1024, "units": "Mib"}}},
            body(memory="2Gi"),
            "memory asked for, the limit is",
        ),
        (
            {"default": {"gpu": {"limit": 4}}},
            {**body(gpus=2, numWorkers=2), "masterSpecSameAsWorker": True},
            "6 GPU asked for",
        ),
        ({"default": {"gpu": {"limit": 4}}}, body(gpus=2, parallelism=3), "6 GPU asked for"),
        (
            {"small": {"gpu": {"deserved": 1}}, "big": {"gpu": {"deserved": 8}}},
            body(gpus=8, nodePools=["small"], **FIRM),
            "node pool 'small'",
        ),
    ],
)
def test_what_can_never_start_is_refused_with_numbers(
    pools: dict[str, Any], request_: dict[str, Any], said: str
) -> None:
    with pytest.raises(RunAIQuotaExceeded) as raised:
        check_fits(project(**pools), "Step `s`", request_)
    assert said in str(raised.value)
    assert "Step `s` can never start in project 'ml-team'" in str(raised.value)
    assert "Raise the project's quota" in raised.value.remedy


def test_a_node_pool_without_quota_is_named_with_near_misses() -> None:
    with pytest.raises(RunAIInvalidSettings, match=r"'a10'.*Did you mean 'a100'"):
        check_fits(project(a100=UNLIMITED), "Step `s`", body(nodePools=["a10"]))
