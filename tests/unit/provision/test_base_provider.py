"""What every provider gets from its base: diffs by declared inputs, errors that tell no secrets."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import pytest
from pulumi.output import Unknown

from provision import _constants as constants
from provision.errors import InternalError, NotOurs, RemoteError
from provision.providers import _ownership as ownership
from provision.providers.base import Input, Problems, Properties, Provider, undo
from provision.zenml_errors import ZenMLError


class Thing(Provider):
    kind = "thing"
    inputs: ClassVar = {
        "name": Input(on_change="replace"),
        "size": Input(1),
        "note": Input(on_change="nothing"),
        "found": Input(resolved=True),
    }
    natural_key = ("name",)
    error: Exception | None = None
    asked = 0

    def validate(self, inputs: Properties, problems: Problems) -> None:
        if inputs.get("size") == 13:
            problems.add("13 is no size", "size")

    def resolve(self, olds: Properties, inputs: Properties, problems: Problems) -> None:
        self.asked += 1
        if self.error:
            raise self.error
        inputs["found"] = f"found for {inputs['name']}"

    def make(self, props: Properties) -> tuple[str, Properties]:
        if self.error:
            raise self.error
        return "1", {"made": True}


def test_check_fills_in_defaults_and_what_it_finds_out() -> None:
    thing = Thing()
    checked = thing.check({}, {"name": "a", "size": 2.0, "stray": 1}).inputs
    assert checked == {"name": "a", "size": 2, "found": "found for a"}
    assert isinstance(checked["size"], int), "the wire has floats only"
    assert thing.check({}, {"name": "a"}).inputs["size"] == 1


def test_check_asks_only_when_something_changed() -> None:
    thing = Thing()
    olds = thing.check({}, {"name": "a"}).inputs
    olds["found"] = "as it stands in the state"
    assert thing.check(olds, {"name": "a"}).inputs == olds
    assert thing.asked == 1
    assert thing.check(olds, {"name": "b"}).inputs["found"] == "found for b"


def test_check_does_not_judge_what_is_not_known_yet() -> None:
    thing = Thing()
    result = thing.check({}, {"name": Unknown()})
    assert not result.failures
    assert "found" not in result.inputs
    assert thing.asked == 0


def test_check_asks_nobody_about_what_is_wrong_anyway() -> None:
    thing = Thing()
    [failure] = thing.check({}, {"name": "a", "size": 13}).failures
    assert (failure.property, failure.reason) == ("size", "13 is no size")
    assert thing.asked == 0


@pytest.mark.parametrize(
    ("news", "changes", "replaces", "delete_first"),
    [
        ({"name": "a", "size": 1}, False, None, True),
        ({"name": "a", "size": 1.0, "note": "new"}, False, None, True),
        ({"name": "a", "size": 2}, None, [], True),
        ({"name": "b", "size": 1}, None, ["name"], False),
        ({"name": Unknown(), "size": 1}, None, ["name"], False),
    ],
)
def test_diff(news: Any, changes: Any, replaces: Any, delete_first: bool) -> None:
    olds = {"name": "a", "size": 1.0, "made": True, "__provider": "x"}
    found = Thing().diff("1", olds, news)
    assert (found.changes, found.replaces) == (changes, replaces)
    assert found.delete_before_replace is delete_first


def test_update_keeps_outputs_and_drops_old_inputs() -> None:
    olds = {"name": "a", "note": "old", "made": True, "__provider": "x"}
    assert Thing().update("1", olds, {"name": "a", "size": 3.0}).outs == {
        "name": "a", "size": 3, "made": True,
    }  # fmt: skip


def test_a_vanished_object_is_an_empty_id_and_a_dictionary() -> None:
    class Gone(Thing):
        def look(self, id: str, props: Properties) -> Properties | None:
            return None

    found = Gone().read("1", {"name": "a"})
    assert (found.id, found.outs) == ("", {})


def test_expected_errors_are_told_and_unexpected_ones_only_by_type(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thing = Thing()
    thing.error = ZenMLError("the server said no")
    with pytest.raises(RemoteError, match=r"^thing, create: the server said no$"):
        thing.create({"name": "a"})
    assert [f.reason for f in thing.check({}, {"name": "a"}).failures] == ["the server said no"]

    thing.error = KeyError("canary")
    with pytest.raises(InternalError, match="unexpected KeyError") as caught:
        thing.create({"name": "a"})
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__

    monkeypatch.setenv(constants.DEBUG_VARIABLE, "1")
    with pytest.raises(KeyError):
        thing.create({"name": "a"})


def test_undo_tells_what_became_of_the_object() -> None:
    first = ZenMLError("No room.")

    def fail() -> None:
        raise ZenMLError("No way.")

    assert str(undo("The thing", first, lambda: None)) == "No room. The thing was deleted again."
    assert "failed as well (No way.)" in str(undo("The thing", first, fail))


OWNER = "o/p/s/thing"


def test_whose_is_it() -> None:
    assert ownership.adopted("It", OWNER, OWNER, "never") is False
    assert ownership.adopted("It", f"adopted:{OWNER}", OWNER, "never") is True
    assert ownership.adopted("It", None, OWNER, "if_exists") is True
    with pytest.raises(NotOurs, match="was not made by this Pulumi stack"):
        ownership.adopted("It", None, OWNER, "never")
    for adopt in ownership.ADOPT:
        with pytest.raises(NotOurs, match="belongs to the Pulumi resource x/y/z/w"):
            ownership.adopted("It", "adopted:x/y/z/w", OWNER, adopt)


@pytest.mark.parametrize("taken", [False, True])
@pytest.mark.parametrize("text", ["", "for the team", "x" * 300])
def test_marks_are_found_again(text: str, taken: bool) -> None:
    props = {"owner": OWNER, "description": text, "labels": {"team": "ml"}, "adopted": taken}
    mark = ownership.mark_of(props)
    description = ownership.describe(props)
    assert len(description) <= 250
    assert description.startswith(text[:100])
    assert ownership.owner_in_description(description) == mark
    labels = ownership.labels_for(props)
    assert ownership.owner_in_labels(labels) == mark
    assert ownership.without_mark(labels) == {"team": "ml"}
    assert ownership.owner_in_description("made by hand") is None


def test_the_declaration_of_an_input_cannot_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Input().default = 1  # type: ignore[misc]
