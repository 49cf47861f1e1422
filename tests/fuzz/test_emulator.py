"""The emulator against its own OpenAPI document: no 5xx, and answers as the document says.

A request is either generated from the document, or one that is accepted with a part of a generated
one in it, and it mostly goes to an object that exists. So more is seen than refusals.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import given as given_data
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from .plane import Plane

SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
VERSIONS = ("2.24", "2.23")


@cache
def plane(version: str) -> Plane:
    return Plane(version)


def grafted(draw: st.DrawFn, good: Any, generated: Any) -> Any:
    """A good body with some keys of a generated one, at some depth."""
    if not isinstance(good, dict) or not isinstance(generated, dict) or not generated:
        return generated
    chosen = draw(st.lists(st.sampled_from(sorted(generated)), max_size=2, unique=True))
    body = dict(good)
    for key in chosen:
        deeper = isinstance(good.get(key), dict) and draw(st.integers(0, 3)) > 0
        body[key] = grafted(draw, good[key], generated[key]) if deeper else generated[key]
    return body


def renamed(body: Any) -> Any:
    """With another name than that of the object that exists already."""
    if not isinstance(body, dict):
        return body
    meta = body.get("meta")
    if isinstance(meta, dict) and "name" in meta:
        return {**body, "meta": {**meta, "name": "renamed"}}
    return {**body, "name": "renamed"} if "name" in body else body


def prepared(draw: st.DrawFn, found: Plane, case: schemathesis.Case) -> None:
    """Lead most requests to objects that exist, with bodies that are mostly right."""
    if case.path_parameters and draw(st.integers(0, 4)) > 0:
        for name in case.path_parameters:
            case.path_parameters[name] = found.existing(case.path, name)
    if isinstance(case.body, dict) and draw(st.integers(0, 4)) > 0:
        good = renamed(found.example(case.method, case.path))
        case.body = grafted(draw, good, case.body)
    if case.query and draw(st.booleans()):
        # Most generated filters are refused.
        case.query = {k: v for k, v in case.query.items() if k not in ("filterBy", "sortBy")}


def fuzz(version: str, label: str, examples: int) -> Counter[int]:
    """How often each status was answered."""
    found = plane(version)
    operation = found.operations[label]
    seen: Counter[int] = Counter()

    def count(_context: Any, response: schemathesis.Response, _case: schemathesis.Case) -> None:
        seen[response.status_code] += 1

    checks = [
        count,
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_schema_conformance,
    ]

    @settings(max_examples=examples, deadline=None, suppress_health_check=SLOW, database=None)
    @given_data(data=st.data())
    def test(data: st.DataObject) -> None:
        found.reset()
        case = data.draw(operation.as_strategy())
        prepared(data.draw, found, case)  # type: ignore[arg-type]
        case.call_and_validate(headers=found.headers, checks=checks)

    test()
    return seen


NEEDS_A_QUERY = {"GET /api/v1/workload-templates/name-availability"}
CASES = [(version, label) for version in VERSIONS for label in plane(version).operations]


@pytest.mark.parametrize("label", plane("2.24").operations)
def test_no_surprise(label: str) -> None:
    fuzz("2.24", label, 6)


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("version", "label"), CASES)
def test_no_surprise_and_some_success_nightly(version: str, label: str) -> None:
    seen = fuzz(version, label, 300)
    assert any(200 <= status < 300 for status in seen), f"nothing but refusals: {dict(seen)}"


@pytest.mark.parametrize(("version", "label"), CASES)
def test_the_examples_are_accepted(version: str, label: str) -> None:
    """Else the tests above would see refusals only."""
    found = plane(version)
    found.reset()
    operation = found.operations[label]
    path = operation.path
    for name in (part[1:-1] for part in path.split("/") if part.startswith("{")):
        path = path.replace(f"{{{name}}}", found.existing(operation.path, name))
    method = operation.method.upper()
    body = None if method in ("GET", "DELETE") else found.example(method, operation.path)
    answer = found.send(method, path, renamed(body))
    assert answer.status_code < 300 or label in NEEDS_A_QUERY, answer.text
