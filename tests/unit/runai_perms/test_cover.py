"""The set cover against exhaustive search, and its promises on ties and order."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from runai_perms import Certainty, Need, Permission, PermissionSet, smallest_cover

UNIVERSE = [Permission(t, a) for t in "abcd" for a in ("create", "read", "update")]
subsets = st.frozensets(st.sampled_from(UNIVERSE), min_size=1, max_size=6)


def sets_of(*permissions: frozenset[Permission]) -> list[PermissionSet]:
    return [PermissionSet(f"id-{i}", f"set {i}", p) for i, p in enumerate(permissions)]


def p(text: str) -> Permission:
    return Permission.parse(text)


def exhaustive(wanted: frozenset[Permission], sets: list[PermissionSet]) -> tuple[int, int]:
    """(excess, number of sets) of the best cover of whatever can be covered."""
    can = wanted & frozenset().union(*(s.permissions for s in sets))
    best = (10**9, 10**9)
    for size in range(len(sets) + 1):
        for chosen in combinations(sets, size):
            union = frozenset().union(*(s.permissions for s in chosen))
            if can <= union:
                best = min(best, (len(union - wanted), size))
    return best


@given(st.frozensets(st.sampled_from(UNIVERSE), max_size=8), st.lists(subsets, max_size=8))
def test_as_good_as_exhaustive_search(wanted, contents):
    sets = sets_of(*contents)
    cover = smallest_cover(wanted, sets)
    held = cover.permissions
    assert cover.exact
    assert wanted - held == set(cover.uncovered)
    assert set(cover.excess) == held - wanted
    assert (len(cover.excess), len(cover.permission_sets)) == exhaustive(wanted, sets)


@given(
    st.frozensets(st.sampled_from(UNIVERSE), max_size=8), st.lists(subsets, max_size=8), st.data()
)
def test_order_of_the_input_changes_nothing(wanted, contents, data):
    sets = sets_of(*contents)
    shuffled = data.draw(st.permutations(sets))
    assert smallest_cover(wanted, shuffled) == smallest_cover(sorted(wanted), sets)


def test_two_narrow_sets_beat_one_wide_set():
    wide = frozenset({p("a:create"), p("a:read"), p("b:read")})
    cover = smallest_cover(
        [p("a:read"), p("b:read")],
        sets_of(wide, frozenset({p("a:read")}), frozenset({p("b:read")})),
    )
    assert [s.name for s in cover.permission_sets] == ["set 1", "set 2"]
    assert cover.excess == ()


def test_unavoidable_excess_is_told():
    cover = smallest_cover([p("a:read")], sets_of(frozenset({p("a:read"), p("a:update")})))
    assert cover.excess == (p("a:update"),)


def test_nothing_wanted_takes_nothing():
    assert smallest_cover([], sets_of(frozenset({p("a:read")}))).permission_sets == ()


def test_a_need_is_met_by_its_alternative_only_when_nothing_narrower_exists():
    need = Need(
        p("clusters-minimal:read"),
        ("cluster.list",),
        ("submit",),
        Certainty.DOCUMENTED,
        (p("cluster:read"),),
    )
    wide, narrow = frozenset({p("cluster:read")}), frozenset({p("clusters-minimal:read")})
    assert [
        s.permissions for s in smallest_cover([need], sets_of(wide, narrow)).permission_sets
    ] == [narrow]
    only_wide = smallest_cover([need], sets_of(wide))
    assert only_wide.uncovered == ()
    assert only_wide.excess == (p("cluster:read"),)


def test_reads_the_shapes_of_the_api():
    class Entry:
        resource_type, actions = "a", ["read", "update"]

    class ApiSet:
        id, name = "1", "A"
        permissions = (Entry(),)

    cover = smallest_cover([p("a:read")], [ApiSet()])
    assert cover.excess == (p("a:update"),)
