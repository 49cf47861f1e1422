"""The smallest cover: which permission sets make a role with the least excess.

A custom role is a sum of permission sets, so the least privilege that can be had is a set cover
with the smallest excess. Branch and bound finds it; a budget of search nodes keeps hopeless inputs
short, and then says that the answer is only the best one found.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from runai_perms._catalogue import Need
from runai_perms._model import HasPermissions, Permission, permissions_of

MAX_NODES = 20_000
"""Search nodes after which the best cover found so far is taken (about 0.1 s)."""

SetT = TypeVar("SetT", bound=HasPermissions)


@dataclass(frozen=True, slots=True)
class Cover(Generic[SetT]):
    """The permission sets to take, what they bring beyond the wish, what no set can give.

    ``exact`` is False when the search was cut short, so that a smaller excess may exist.
    """

    permission_sets: tuple[SetT, ...]
    excess: tuple[Permission, ...]
    uncovered: tuple[Permission, ...]
    exact: bool = True

    @property
    def permissions(self) -> frozenset[Permission]:
        """Everything that a role made of these sets would hold."""
        return permissions_of(
            p for s in self.permission_sets for p in permissions_of(s.permissions)
        )


@dataclass(frozen=True, slots=True)
class _Candidate:
    index: int
    covers: int
    excess: int


def smallest_cover(
    wanted: Iterable[Permission | Need], permission_sets: Iterable[SetT]
) -> Cover[SetT]:
    """Choose permission sets that give all of ``wanted`` with the least excess.

    A :class:`Need` is met by its permission or by a wider alternative (which then counts as
    excess in the comparison, and is reported as such). Ties go to fewer sets, then to names in
    alphabetical order, so the answer does not depend on the order of the input.
    """
    goals = _goals(wanted)
    sets = sorted(permission_sets, key=lambda s: (s.name or "", str(s.id)))
    held = [permissions_of(s.permissions) for s in sets]
    exactly = {accepted[0] for accepted in goals}
    bit = {p: 1 << i for i, p in enumerate(sorted({p for h in held for p in h} - exactly))}
    candidates = []
    for index, permissions in enumerate(held):
        covers = sum(
            1 << i for i, accepted in enumerate(goals) if not permissions.isdisjoint(accepted)
        )
        if covers:
            excess = sum(bit[p] for p in permissions if p in bit)
            candidates.append(_Candidate(index, covers, excess))
    reachable = 0
    for candidate in candidates:
        reachable |= candidate.covers
    search = _Search(candidates)
    chosen = search.solve(reachable)
    union = frozenset().union(*(held[i] for i in chosen))
    return Cover(
        tuple(sets[i] for i in chosen),
        tuple(sorted(union - exactly)),
        tuple(accepted[0] for i, accepted in enumerate(goals) if not reachable >> i & 1),
        search.exact,
    )


def _goals(wanted: Iterable[Permission | Need]) -> list[tuple[Permission, ...]]:
    goals: dict[Permission, tuple[Permission, ...]] = {}
    for item in wanted:
        accepted = item.accepted if isinstance(item, Need) else (item,)
        goals[accepted[0]] = accepted
    return [goals[p] for p in sorted(goals)]


class _Search:
    """Depth-first branch and bound over bit masks.

    A node chooses a set for the goal that fewest sets can meet. Sets already tried there are
    barred below their later siblings, so that no combination is looked at twice.
    """

    def __init__(self, candidates: Sequence[_Candidate]) -> None:
        self.exact = True
        self._nodes = 0
        self._best: tuple[int, int, tuple[int, ...]] | None = None
        self._by_goal: dict[int, list[_Candidate]] = {}
        for candidate in _undominated(candidates):
            rest = candidate.covers
            while rest:
                low = rest & -rest
                rest ^= low
                self._by_goal.setdefault(low, []).append(candidate)

    def solve(self, goal: int) -> tuple[int, ...]:
        self._branch(goal, 0, 0, ())
        return self._best[2] if self._best else ()

    def _branch(self, left: int, excess: int, barred: int, chosen: tuple[int, ...]) -> None:
        self._nodes += 1
        if not left:
            found = (excess.bit_count(), len(chosen), tuple(sorted(chosen)))
            if self._best is None or found < self._best:
                self._best = found
            return
        if self._best is not None and self._nodes > MAX_NODES:
            self.exact = False
            return
        options = self._options(left, excess, barred, len(chosen))
        for _, _, _, candidate in options:
            self._branch(
                left & ~candidate.covers,
                excess | candidate.excess,
                barred,
                (*chosen, candidate.index),
            )
            barred |= 1 << candidate.index

    def _options(
        self, left: int, excess: int, barred: int, depth: int
    ) -> list[tuple[int, int, int, _Candidate]]:
        """Sets to try for the hardest goal, best first; none when no better cover can follow."""
        best: list[tuple[int, int, int, _Candidate]] = []
        limit, depth_limit = self._best[:2] if self._best else (None, 0)
        rest = left
        while rest:
            low = rest & -rest
            rest ^= low
            options = []
            for c in self._by_goal[low]:
                if barred >> c.index & 1:
                    continue
                total = (excess | c.excess).bit_count()
                if limit is None or (total, depth + 1) <= (limit, depth_limit):
                    options.append((total, -(c.covers & left).bit_count(), c.index, c))
            if not options:
                return []
            if not best or len(options) < len(best):
                best = options
        best.sort(key=lambda option: option[:3])
        return best


def _undominated(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """Leave out sets that another set beats: covers as much with no more excess."""
    kept: list[_Candidate] = []
    for c in candidates:
        beaten = any(
            c.covers | d.covers == d.covers
            and c.excess | d.excess == c.excess
            and (c.covers != d.covers or c.excess != d.excess or d.index < c.index)
            for d in candidates
            if d is not c
        )
        if not beaten:
            kept.append(c)
    return kept
