"""Whatever settings are accepted: the vendor's own request models take the body they give."""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from runai.models.distributed_creation_request import DistributedCreationRequest
from runai.models.inference_creation_request import InferenceCreationRequest
from runai.models.training_creation_request import TrainingCreationRequest
from runai.models.workspace_creation_request import WorkspaceCreationRequest
from zenml.config import ResourceSettings

from zenml_runai.errors import RunAIInvalidSettings
from zenml_runai.flavors import RunAIInferenceSettings, RunAIStepOperatorSettings
from zenml_runai.flavors._workload_types import AbsolutePath, KubernetesName, Memory, OctalMode
from zenml_runai.workload_spec import Container, SecretKey, Target, workload_body

REQUESTS: dict[str, type[Any]] = {
    "training": TrainingCreationRequest,
    "distributed": DistributedCreationRequest,
    "inference": InferenceCreationRequest,
    "workspace": WorkspaceCreationRequest,
}
TARGET = Target(project_id="4500001", cluster_id="71f69d83-ba66-4822-adf5-55ce55efd210")

NAME = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
WORD = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8
)
NUMBERS = st.sampled_from(["0.5", "1", "2", "16", "007", "1.25"])
#: Texts whose rule is a function of our own, which no generator can read.
TEXTS = {
    AbsolutePath: st.builds(
        "/{}".format, st.one_of(NAME, st.just(""), st.just("a/b"), st.just("a b/ü"))
    ),
    KubernetesName: NAME,
    Memory: st.builds(
        "{}{}".format, NUMBERS, st.sampled_from(["K", "M", "G", "T", "Ki", "Mi", "Gi", "Ti"])
    ),
    OctalMode: st.sampled_from(["0644", "0400", "0777"]),
}
#: Fields that only certain texts fit; without these nearly every case would be refused.
FIELDS = {
    "capabilities": st.lists(st.sampled_from(["NET_ADMIN", "CAP_SYS_PTRACE"]), max_size=2),
    "metric": st.sampled_from(["throughput", "concurrency", "latency", "own:metric"]),
    "workload_template_id": st.uuids().map(str),
    "extended_resources": st.dictionaries(
        st.sampled_from(["rdma/hca", "example.com/fpga"]), st.sampled_from(["1", "2"]), max_size=2
    ),
    "labels": st.dictionaries(NAME, WORD, max_size=2),
    "annotations": st.dictionaries(NAME, WORD, max_size=2),
}


def values(annotation: Any, metadata: tuple[Any, ...] = ()) -> st.SearchStrategy[Any]:
    """What a field of this type may hold."""
    for known, texts in TEXTS.items():
        if annotation is known or _is(annotation, metadata, known):
            return texts
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return values(inner, (*metadata, *more))
    if origin in (Union, types.UnionType):
        return st.one_of(*(values(part, metadata) for part in get_args(annotation)))
    if origin is Literal:
        return st.sampled_from(get_args(annotation))
    if origin is list:
        return st.lists(values(*get_args(annotation)), max_size=2)
    if annotation is type(None):
        return st.none()
    if annotation is bool:
        return st.booleans()
    if annotation in (int, float):
        return _numbers(annotation, metadata)
    if annotation is str:
        return WORD
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return models(annotation)
    raise TypeError(f"no values for {annotation!r}: teach this test the new type")


def _is(annotation: Any, metadata: tuple[Any, ...], known: Any) -> bool:
    """Pydantic splits an annotated type of a mandatory field into type and metadata."""
    inner, *marks = get_args(known)
    return annotation is inner and bool(metadata) and list(metadata[: len(marks)]) == marks


def _numbers(kind: type, metadata: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    flat: list[Any] = []
    for mark in metadata:
        flat.extend(getattr(mark, "metadata", [mark]))
    low = next((m.ge for m in flat if isinstance(m, annotated_types.Ge)), None)
    above = next((m.gt for m in flat if isinstance(m, annotated_types.Gt)), None)
    high = next((m.le for m in flat if isinstance(m, annotated_types.Le)), 10_000)
    start = low if low is not None else above + 1 if above is not None else 0
    if kind is int:
        return st.integers(int(start), int(high))
    return st.floats(float(start), float(high)).map(lambda value: round(value, 3))


@st.composite
def models(draw: st.DrawFn, model: type[BaseModel]) -> dict[str, Any]:
    """Arguments for a model: the mandatory fields and some of the others."""
    optional = [name for name, field in model.model_fields.items() if not field.is_required()]
    chosen = draw(st.lists(st.sampled_from(optional), max_size=6, unique=True)) if optional else []
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if field.is_required() or name in chosen:
            strategy = FIELDS.get(name)
            if strategy is None:
                strategy = values(field.annotation, tuple(field.metadata))
            found[name] = draw(strategy)
    return found


def lost(sent: Any, understood: Any, path: str = "") -> list[str]:
    """Paths of what was sent and did not arrive in the vendor's model."""
    if isinstance(sent, dict):
        if not isinstance(understood, dict):
            return [path]
        return [
            found
            for key, value in sent.items()
            for found in lost(value, understood.get(key, ...), f"{path}.{key}")
        ]
    if isinstance(sent, list):
        if not isinstance(understood, list) or len(sent) != len(understood):
            return [path]
        return [f for i, v in enumerate(sent) for f in lost(v, understood[i], f"{path}[{i}]")]
    plain = getattr(understood, "value", understood)
    return [] if sent == plain or str(sent) == str(plain) else [path]


RESOURCES = st.none() | st.builds(
    ResourceSettings,
    cpu_count=st.none() | st.sampled_from([0.5, 2.0, 64.0]),
    gpu_count=st.none() | st.integers(0, 8),
    memory=st.none() | st.sampled_from(["512MB", "4GB", "8GiB"]),
)
CONTAINERS = st.builds(
    Container,
    image=st.just("registry.example.com/ml/train:1"),
    command=st.lists(WORD, min_size=1, max_size=4),
    environment=st.dictionaries(st.sampled_from(["A", "B_2", "PATH"]), st.text(max_size=5)),
    secret_environment=st.dictionaries(
        st.sampled_from(["TOKEN", "A"]), st.builds(SecretKey, name=NAME, key=NAME), max_size=1
    ),
)


def check(kind: str, given_settings: dict[str, Any], draw: Any) -> None:
    if kind == "distributed":
        given_settings["workload_kind"] = kind
        given_settings.pop("parallelism", None)
        given_settings.pop("completions", None)
    try:
        accepted = RunAIStepOperatorSettings(**given_settings)
        serving = draw(st.none() | models(RunAIInferenceSettings))
        inference = None if serving is None else RunAIInferenceSettings(**serving)
    except ValidationError:
        event("settings refused")
        assume(False)
    try:
        body = workload_body(
            kind,
            name="zenml-step-0123456789ab",
            target=TARGET,
            settings=accepted,
            container=draw(CONTAINERS),
            resources=draw(RESOURCES),
            image_pull_secrets=draw(st.lists(NAME, max_size=2)),
            inference=inference,
        )
    except RunAIInvalidSettings:
        event("combination refused")
        return
    event("body accepted")
    understood = REQUESTS[kind].model_validate(body).to_dict()
    assert lost(body, understood) == []


@pytest.mark.parametrize("kind", REQUESTS)
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(data=st.data())
def test_no_body_that_the_vendors_models_refuse(kind: str, data: st.DataObject) -> None:
    check(kind, data.draw(models(RunAIStepOperatorSettings)), data.draw)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", REQUESTS)
@settings(
    max_examples=5000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(data=st.data())
def test_no_body_that_the_vendors_models_refuse_nightly(kind: str, data: st.DataObject) -> None:
    check(kind, data.draw(models(RunAIStepOperatorSettings)), data.draw)
