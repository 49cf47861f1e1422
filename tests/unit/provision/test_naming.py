"""Names that a later run finds again, and that no other stack can have."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from provision.naming import (
    KUBERNETES_NAME,
    SERVICE_ACCOUNT_NAME,
    Owner,
    default_name,
    near_misses,
    readable_name,
)

OWNER = Owner("acme", "zenml-runai", "dev", "runai-account")
owners = st.builds(Owner, st.text(), st.text(), st.text(), st.text())


def test_the_name_is_the_same_in_every_version() -> None:
    # Another value would orphan what earlier versions made.
    assert default_name(OWNER) == "runai-account-dev-4ffd7c80"
    assert default_name(OWNER, {"date": "2027-01"}) == "runai-account-dev-33e0242c"
    assert readable_name(OWNER) == "runai-account-dev"


@given(owners, st.dictionaries(st.text(), st.text(), max_size=2))
def test_every_default_name_is_legal_everywhere(owner: Owner, rotation: dict[str, str]) -> None:
    name = default_name(owner, rotation)
    assert SERVICE_ACCOUNT_NAME.fullmatch(name)
    assert KUBERNETES_NAME.fullmatch(name)
    assert name == default_name(owner, dict(reversed(rotation.items())))


@given(owners, st.sampled_from(["organization", "project", "stack", "logical_name"]))
def test_every_part_of_the_owner_counts(owner: Owner, part: str) -> None:
    other = dataclasses.replace(owner, **{part: getattr(owner, part) + "x"})
    assert default_name(owner) != default_name(other)


def test_parts_do_not_run_into_each_other() -> None:
    assert default_name(Owner("a", "b", "c", "d")) != default_name(Owner("ab", "", "c", "d"))


def test_near_misses() -> None:
    assert near_misses("ML-Taem", ["ml-team", "other"]) == "Did you mean 'ml-team'?"
    assert near_misses("x", ["b", "a"]) == "There are: 'a', 'b'."
    assert near_misses("x", []) == "There are none that these credentials may see."
    assert near_misses("zzz", [f"n{i:02}" for i in range(20)]).endswith("'n09' and others.")
