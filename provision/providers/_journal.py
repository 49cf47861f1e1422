"""What an interrupted run may have made: a list that is written before anything is made.

A run that dies between "made on the server" and "noted in the state" leaves an object that the
state does not know. The same `up` recognises it. So that a `destroy`, or an `up` under another
name, need not leave it behind, the two resources that everything else depends on hold a list of
what is going to be made. The engine notes them first and deletes them last: what is on the list
and still exists when they are deleted was never noted, and goes with them.

An entry is ``{type, owner}`` for an object that bears a mark. Two kinds are looked for by name: a
service account, which has nothing but a name that no other stack can have, and a ZenML secret,
whose mark a list does not show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pulumi.dynamic import CheckResult, DiffResult

from provision.errors import RemoteError
from provision.providers._values import plain
from provision.providers.base import EXPECTED, Properties, Provider, say

Entry = dict[str, str]

ACCOUNT, ROLE, REGISTRY_CREDENTIAL = "service_account", "role", "registry_credential"
STACK, SECRET = "stack", "secret"
BY_NAME = (ACCOUNT, SECRET)

#: The output that keeps entries of earlier programs: what they name may still exist.
FORMER = "formerly_planned"
#: The internal input that tells that a state of an earlier version has no list yet.
ASLEEP = "asleep"


@dataclass(frozen=True)
class LeftOver:
    """An object that exists and is surely ours, the entry that led to it, and how to delete it."""

    entry: Entry
    what: str
    delete: Callable[[], object]


class JournalProvider(Provider):
    """A look-up that knows what depends on it, and deletes what is left of that."""

    #: The inputs that are lists of entries; the last one is not in the states of 0.1.0.
    journal: ClassVar[tuple[str, ...]]

    def find_left_over(self, entries: Sequence[Entry]) -> Iterator[LeftOver]:
        """What exists of the entries, in an order in which it can be deleted; each step is done
        only when it is asked for."""
        raise NotImplementedError

    def change(self, id: str, olds: Properties, news: Properties) -> Properties:
        """Keep what the program planned until now: it is deleted later in the same run, if at
        all. What was kept before and is gone from the server is forgotten."""
        planned = _by_key(self.entries(news))
        former = {k: e for k, e in _by_key(self.entries(olds)).items() if k not in planned}
        older = {
            key: entry
            for key, entry in _by_key(olds.get(FORMER) or []).items()
            if key not in planned and key not in former
        }
        alive = {_key(left.entry) for left in self.find_left_over([*older.values()])}
        kept = [entry for key, entry in older.items() if key in alive]
        return {FORMER: [*kept, *former.values()]}

    def remove(self, id: str, props: Properties) -> None:
        for left in self.find_left_over([*self.entries(props), *(props.get(FORMER) or [])]):
            try:
                left.delete()
            except EXPECTED as error:
                raise RemoteError(
                    f"{left.what}, which an interrupted run has left, could not be deleted: "
                    f"{error} Run `pulumi destroy` again."
                ) from None
            say(f"{left.what} was deleted: an interrupted run had left it.")

    def entries(self, props: Properties) -> list[Entry]:
        return [entry for name in self.journal for entry in props.get(name) or []]

    def check(self, olds: Properties, news: Properties) -> CheckResult:
        """A state of 0.1.0 lacks a list. That alone is no change, so that an upgrade shows none:
        the list sleeps in the inputs until an entry changes."""
        checked = super().check(olds, news)
        new, before = self.journal[-1], plain(olds)
        same = before.get(ASLEEP) and before.get(new) == checked.inputs.get(new)
        if before and (same or new not in before):
            checked.inputs[ASLEEP] = True
        return checked

    def diff(self, _id: str, _olds: Properties, _news: Properties) -> DiffResult:
        if _news.get(ASLEEP):
            _olds = {**_olds, self.journal[-1]: _news.get(self.journal[-1])}
        return super().diff(_id, _olds, _news)


def _key(entry: Entry) -> tuple[str, str]:
    """A marked object is the same under every name; where the name leads to it, each one counts."""
    return entry["type"], entry["name" if entry["type"] in BY_NAME else "owner"]


def _by_key(entries: Sequence[Entry]) -> dict[tuple[str, str], Entry]:
    return {_key(entry): entry for entry in entries}
