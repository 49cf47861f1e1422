"""What all providers of this package have in common.

A provider instance is stored in the state as a reference to its class (48 characters), so the
import path of every provider is part of the state's format and instances carry no data. The engine
calls `configure` in the host process; the session that it gets there is the only attribute.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)

from provision import _constants as constants
from provision._session import Session, session_for
from provision._watchdog import watch_engine
from provision.errors import InternalError, ProvisionError, RemoteError
from provision.providers._values import is_known, plain
from provision.zenml_errors import ZenMLAuthenticationFailed, ZenMLError
from runai_api.errors import AuthenticationFailed, RunaiError
from runai_perms import PermissionToolError

Properties = dict[str, Any]
P = TypeVar("P", bound="Provider")

#: Stands in the state for a value that someone else has put in place of ours.
CHANGED = "(changed outside Pulumi)"

#: What may go wrong outside this package; the messages of all of them are fit to be shown.
EXPECTED = (RunaiError, ZenMLError, PermissionToolError)


@dataclass(frozen=True)
class Input:
    """A declared input: its default, and what a change of it means.

    `resolved` inputs are not set by the user: `check` finds them out, so that they are known in a
    preview already. A change of `noted` inputs is no reason to find them out again.
    """

    default: Any = None
    on_change: Literal["update", "replace", "nothing"] = "update"
    resolved: bool = False
    noted: bool = False


class Problems:
    """Collects what `check` finds wrong; the engine shows all of it at once."""

    def __init__(self) -> None:
        self.failures: list[CheckFailure] = []

    def add(self, reason: str, property: str = "") -> None:
        self.failures.append(CheckFailure(property, reason))

    @contextlib.contextmanager
    def catch(self, property: str = "") -> Iterator[None]:
        """Turn an error into a finding, so that it is shown without a traceback."""
        try:
            yield
        except (ProvisionError, *EXPECTED) as error:
            self.add(str(error), property)

    def __bool__(self) -> bool:
        return bool(self.failures)


class Provider(ResourceProvider):
    """Base class: declared inputs, diff by them, errors without tracebacks."""

    #: Nothing is captured by the instance, so the reference to the class may be readable in state.
    serialize_as_secret_always = False

    #: What the object is called in messages.
    kind: ClassVar[str]
    inputs: ClassVar[Mapping[str, Input]]
    #: The inputs that together name the object remotely. A replacement that keeps all of them must
    #: delete first; one that changes any may create first, which leaves no gap.
    natural_key: ClassVar[tuple[str, ...]] = ()

    session: Session

    def configure(self, req: ConfigureRequest) -> None:
        self.session = session_for(req.config)
        watch_engine()
        if not os.environ.get(constants.DEBUG_VARIABLE):
            # The host prints every error with the whole stack of its own calls; the message is
            # what the user needs.
            sys.tracebacklimit = 0

    # What a subclass says.

    def validate(self, inputs: Properties, problems: Problems) -> None:
        """Find what is wrong with the known inputs, and fill in what follows from them; without a
        request."""

    def resolve(self, olds: Properties, inputs: Properties, problems: Problems) -> None:
        """Find out the resolved inputs, by requests that only read. `olds` are those in state."""

    def make(self, props: Properties) -> tuple[str, Properties]:
        """Create the object, or recognise and take over what an interrupted run has left."""
        raise NotImplementedError

    def look(self, id: str, props: Properties) -> Properties | None:
        """The live values of inputs and outputs; None if the object is gone."""
        return {}

    def change(self, id: str, olds: Properties, news: Properties) -> Properties:
        """Make the object as `news` (new inputs, old outputs) says; return changed outputs, None
        for one that is no more."""
        return {}

    def remove(self, id: str, props: Properties) -> None:
        """Delete the object; it is no error if it is gone."""

    def release(self, id: str, props: Properties) -> None:
        """Take our mark off an adopted object, which stays; it is no error if it is gone."""

    def acting_as(self, kind: type[P]) -> P:
        """The provider of another kind of object, which knows how to delete it."""
        provider = kind()
        provider.session = self.session
        return provider

    # What the engine calls.

    def check(self, olds: Properties, news: Properties) -> CheckResult:
        inputs = {
            name: news[name] if news.get(name) is not None else declared.default
            for name, declared in self.inputs.items()
        }
        inputs = plain({name: value for name, value in inputs.items() if value is not None})
        problems = Problems()
        with self._guard("check"), problems.catch():
            self.validate(inputs, problems)
            if not problems:
                self._resolve(plain(olds), inputs, problems)
        return CheckResult(inputs, problems.failures)

    def _resolve(self, olds: Properties, inputs: Properties, problems: Problems) -> None:
        resolved = [name for name, declared in self.inputs.items() if declared.resolved]
        asked = [n for n, input in self.inputs.items() if not (input.resolved or input.noted)]
        if not resolved:
            return
        if all(olds.get(name) == inputs.get(name) for name in asked) and any(
            name in olds for name in resolved
        ):
            # Nothing was changed since these were found out: an unchanged preview asks nobody.
            inputs.update({name: olds[name] for name in resolved if name in olds})
        elif all(is_known(inputs.get(name)) for name in asked):
            self.resolve(olds, inputs, problems)

    def diff(self, _id: str, _olds: Properties, _news: Properties) -> DiffResult:
        olds, news = plain(_olds), plain(_news)
        changed = [
            name
            for name, declared in self.inputs.items()
            if declared.on_change != "nothing" and olds.get(name) != news.get(name)
        ]
        replaces = [name for name in changed if self.inputs[name].on_change == "replace"]
        replaces += [n for n in self.also_replaces(olds, news, changed) if n not in replaces]
        if not changed:
            return DiffResult(changes=False, delete_before_replace=True)
        # With `changes` left open the engine compares the inputs itself, and shows which changed.
        same_name = all(olds.get(name) == news.get(name) for name in self.natural_key)
        return DiffResult(changes=None, replaces=replaces, delete_before_replace=same_name)

    def also_replaces(self, olds: Properties, news: Properties, changed: list[str]) -> list[str]:
        """Changed inputs that need a new object only under some condition."""
        return []

    def create(self, props: Properties) -> CreateResult:
        props = self._own(props)
        with self._guard("create"):
            id, outs = self.make(props)
        return CreateResult(id, _present({**props, **outs}))

    def read(self, id_: str, props: Properties) -> ReadResult:
        props = self._own(props)
        with self._guard("read"):
            live = self.look(id_, props)
        if live is None:
            # An empty id makes the engine drop the resource; the outputs must be a dictionary.
            return ReadResult("", {})
        outs = {**props, **live}
        inputs = {name: outs[name] for name in self.inputs if outs.get(name) is not None}
        return ReadResult(id_, outs, inputs)

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        olds, news = self._own(_olds), self._own(_news)
        with self._guard("update"):
            kept = {name: value for name, value in olds.items() if name not in self.inputs}
            outs = self.change(_id, olds, {**kept, **news})
        return UpdateResult(_present({**kept, **news, **outs}))

    def delete(self, _id: str, _props: Properties) -> None:
        props = self._own(_props)
        with self._guard("delete"):
            if props.get("adopted") and not self.session.settings.delete_adopted:
                self.release(_id, props)
            else:
                self.remove(_id, props)

    def _own(self, props: Properties) -> Properties:
        own: Properties = plain({n: value for n, value in props.items() if n != "__provider"})
        for name, declared in self.inputs.items():
            if own.get(name) is None and declared.default is not None:
                own[name] = declared.default
        return own

    @contextlib.contextmanager
    def _guard(self, operation: str) -> Iterator[None]:
        """Errors reach the engine as one sentence of this package, without a chain."""
        try:
            yield
        except ProvisionError:
            raise
        except EXPECTED as error:
            hint = ""
            refused = isinstance(error, AuthenticationFailed | ZenMLAuthenticationFailed)
            if refused and operation in ("read", "delete"):
                hint = (
                    " If you have changed the credentials since the last `pulumi up`: without "
                    "--run-program the engine still uses those of then."
                )
            raise RemoteError(f"{self.kind}, {operation}: {error}{hint}") from None
        except Exception as error:
            if os.environ.get(constants.DEBUG_VARIABLE):
                raise
            # Its text may quote anything, so only its type is shown.
            raise InternalError(
                f"{self.kind}, {operation}: unexpected {type(error).__name__}. This is a defect of "
                f"zenml-runai; run again with {constants.DEBUG_VARIABLE}=1 to see where."
            ) from None


def _present(props: Properties) -> Properties:
    return {name: value for name, value in props.items() if value is not None}


def undo(what: str, error: Exception, delete: Callable[[], object]) -> ProvisionError:
    """Delete what a failed creation made; return the error to raise."""
    message = str(error)
    try:
        delete()
    except EXPECTED as second:
        return RemoteError(
            f"{message} Deleting {what} again failed as well ({second}); "
            "the next `pulumi up` takes it over."
        )
    return RemoteError(f"{message} {what} was deleted again.")


def say(text: str) -> None:
    """Show a line to the user; the engine passes on what the host writes to stderr."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201
