"""Recorded answers, damaged: the client gives a value or a typed error, never a raw exception."""

from __future__ import annotations

import copy
import json
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

import runai_api
from runai_api import RunaiError
from tools.wire import cassette, play
from tools.wire.scenario import Scenario, World, recordings

from .tape import Interaction, Tape, interactions

LIBRARY = str(Path(runai_api.__file__).parent)
#: Those that use the client alone; what stands on top of it has tests of its own.
RECORDINGS = [(found, version) for found, version in recordings() if found.client_only]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place within a JSON value, the value itself first."""
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value[:3]):
            yield from places(item, (*path, index))


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(["", "0", "NewPhaseOfTomorrow", "2026-13-45T99:99:99Z", "1e999", "\ud800"]),
    st.just([]),
    st.just({}),
    st.lists(st.none() | st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)
RAW = st.sampled_from(
    [
        b"",
        b"null",
        b"[]",
        b"true",
        b"<html>502 Bad Gateway</html>",
        b"Unauthorized",
        b'{"truncated": ',
        b"\xff\xfe\x00",
        b"NaN",
        b'{"a": 1e999}',
        b"[" * 3000 + b"]" * 3000,
        b"[" * 200_000,
        b'{"entries": ' + b"1" * 5000 + b"}",
        json.dumps({"code": "x", "message": ["not", "text"]}).encode(),
    ]
)
STATUS = st.sampled_from([200, 201, 202, 204, 207, 301, 400, 401, 403, 404, 409, 412, 418, 422])


def put(value: Any, path: tuple[Any, ...], junk: Any) -> Any:
    if not path:
        return junk
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    if junk is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = junk
    return value


@st.composite
def damaged(draw: st.DrawFn, items: list[Interaction]) -> list[Interaction]:
    """The recording with one answer changed."""
    items = copy.deepcopy(items)
    item = items[draw(st.integers(0, len(items) - 1))]
    answer = item["response"]
    how = draw(st.sampled_from(["value", "value", "value", "key", "body", "status", "many"]))
    event(how)
    if how == "status":
        answer["status"]["code"] = draw(STATUS)
    if how == "body":
        answer["body"]["string"] = draw(RAW)
    text = answer["body"].get("string") or ""
    if how not in ("value", "key", "many") or not text:
        return items
    try:
        value = json.loads(text)
    except ValueError:
        return items
    every = list(places(value))
    if how == "many":
        rows = [path for path in every if isinstance(at(value, path), list) and at(value, path)]
        if rows:
            path = draw(st.sampled_from(rows))
            value = put(value, path, at(value, path) * 600)
    else:
        inner = every[1:] if how == "key" and len(every) > 1 else every
        path = draw(st.sampled_from(inner))
        value = put(value, path, ... if how == "key" and path else draw(JUNK))
    answer["body"]["string"] = json.dumps(value)
    return items


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def world_of(found: Scenario, version: str, items: list[Interaction]) -> World:
    return play.world_of(cassette.path_of(found.cassette(version)), transport=Tape(items))


def run(found: Scenario, version: str, items: list[Interaction]) -> None:
    world = world_of(found, version, items)
    try:
        found.run(world)
    except RunaiError as error:
        event(type(error).__name__)
        if len(str(error)) > 4000:
            raise AssertionError(f"an error of {len(str(error))} characters") from error
    except Exception as error:
        # A scenario may stumble over what it got; the library itself may not.
        frames = traceback.extract_tb(error.__traceback__)
        if any(frame.filename.startswith(LIBRARY) for frame in frames):
            raise AssertionError(f"{type(error).__name__} came out of the client") from error
        event("the scenario noticed")
    else:
        event("no difference")


def check(found: Scenario, version: str, data: st.DataObject) -> None:
    run(found, version, data.draw(damaged(interactions(found, version))))


IDS = [found.cassette(version) for found, version in RECORDINGS]
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


@pytest.mark.parametrize(("found", "version"), RECORDINGS, ids=IDS)
@settings(max_examples=15, deadline=None, suppress_health_check=SLOW)
@given(data=st.data())
def test_a_damaged_answer_gives_a_value_or_a_typed_error(
    found: Scenario, version: str, data: st.DataObject
) -> None:
    check(found, version, data)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("found", "version"), RECORDINGS, ids=IDS)
@settings(max_examples=500, deadline=None, suppress_health_check=SLOW)
@given(data=st.data())
def test_a_damaged_answer_gives_a_value_or_a_typed_error_nightly(
    found: Scenario, version: str, data: st.DataObject
) -> None:
    check(found, version, data)


@pytest.mark.parametrize(("found", "version"), RECORDINGS, ids=IDS)
def test_undamaged_answers_make_the_scenario_pass(found: Scenario, version: str) -> None:
    """Else the tests above would prove nothing."""
    found.run(world_of(found, version, interactions(found, version)))
