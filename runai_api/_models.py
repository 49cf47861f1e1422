"""What all models share: camelCase on the wire, tolerant of what they do not know."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from runai_api.errors import InvalidResponse

Item = TypeVar("Item")
M = TypeVar("M", bound="Model")

Many = Annotated[tuple[Item, ...], BeforeValidator(lambda value: () if value is None else value)]
"""An array; null counts as empty."""

Timestamp = datetime | None


class Model(BaseModel):
    """Base of the answers. Unknown keys are dropped; ids that come as numbers become text."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        frozen=True,
        coerce_numbers_to_str=True,
        protected_namespaces=(),
    )


class ScopeType(StrEnum):
    """Levels of the scope tree, widest first."""

    SYSTEM = "system"
    TENANT = "tenant"
    CLUSTER = "cluster"
    DEPARTMENT = "department"
    PROJECT = "project"


class SubjectType(StrEnum):
    """Whom an access rule is for."""

    USER = "user"
    GROUP = "group"
    SERVICE_ACCOUNT = "service-account"
    APP = "app"


class Permission(Model):
    """What may be done with one resource type, such as ``trainings``: create, read, update, delete.

    `display_name` and `group_id` are filled by the list of one's own permissions only.
    """

    resource_type: str
    actions: Many[str] = ()
    display_name: str | None = None
    group_id: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """``trainings:create``, ``trainings:read``, ..."""
        return tuple(f"{self.resource_type}:{action}" for action in self.actions)


def parse(model: type[M], value: Any, what: str) -> M:
    """Read one object of an answer; a wrong shape is an `InvalidResponse` without the values."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _unexpected(model, error, what) from None
    except (ValueError, OverflowError, RecursionError) as error:
        raise InvalidResponse(
            f"{what} was answered with a {model.__name__} that cannot be read "
            f"({type(error).__name__})."
        ) from None


def _unexpected(model: type[Model], error: ValidationError, what: str) -> InvalidResponse:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    shown = ", ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'the whole'}: {problem['type']}"
        for problem in problems[:5]
    )
    more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
    return InvalidResponse(
        f"{what} was answered with an unexpected {model.__name__} ({shown}{more}).",
        hint="The control plane may be of a version that this client does not know.",
    )


def as_object(value: Any, what: str) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    raise InvalidResponse(f"{what} was answered with {_kind(value)}, expected an object.")


def as_array(value: Any, what: str) -> list[Any]:
    if isinstance(value, list):
        return value
    raise InvalidResponse(f"{what} was answered with {_kind(value)}, expected a list.")


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    names = {dict: "an object", list: "a list", str: "text", bool: "a boolean"}
    return names.get(type(value), "a number")
