"""What crosses the wire: one call, its answer, and the error body."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from ._constants import INT32_MAX

if TYPE_CHECKING:
    from .access import Subject
    from .emulator import Emulator
    from .endpoints import Endpoint

Answer = tuple[int, Any]
Handler = Callable[["Emulator", "Call"], Answer]

#: (method, path template) -> handler; filled by the modules under `routes`.
HANDLERS: dict[tuple[str, str], Handler] = {}


def route(method: str, path: str) -> Callable[[Handler], Handler]:
    """Register the handler of one endpoint; the endpoint table says which right it needs."""

    def register(handler: Handler) -> Handler:
        key = (method, path)
        if key in HANDLERS:
            raise RuntimeError(f"{method} {path} has two handlers")
        HANDLERS[key] = handler
        return handler

    return register


class ApiError(Exception):
    """An answer other than success: status, message, and optional details (documented: Error)."""

    def __init__(
        self, status: int, message: str, details: str | None = None, extra: dict | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.details = details
        self.extra = extra or {}
        #: Shown in a response header for whoever debugs; never part of the documented body.
        self.missing: str | None = None

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"code": self.status, "message": self.message}
        if self.details:
            body["details"] = self.details
        return body | self.extra


class RawAnswer(Exception):
    """An answer whose body does not follow the error schema (the OAuth2 token endpoint)."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


def bad_request(message: str, details: str | None = None) -> ApiError:
    return ApiError(400, message, details)


def not_found(what: str) -> ApiError:
    return ApiError(404, f"{what} not found.")


def conflict(message: str) -> ApiError:
    return ApiError(409, message)


def accepted() -> Answer:
    """The documented body of 202 on deletes, suspend and resume."""
    return 202, {"code": 202, "message": "Request has been accepted."}


def forbidden(missing: str) -> ApiError:
    error = ApiError(403, "You do not have sufficient permissions.")
    error.missing = missing
    return error


class Call:
    """One request: where it goes, who asks, and what was sent."""

    __slots__ = (
        "_query",
        "base_url",
        "body",
        "content_type",
        "emulator",
        "endpoint",
        "hidden_since",
        "method",
        "params",
        "path",
        "raw_query",
        "subject",
    )

    def __init__(
        self,
        emulator: Emulator,
        method: str,
        path: str,
        raw_query: str,
        body: bytes,
        content_type: str,
        base_url: str,
    ) -> None:
        self.emulator = emulator
        self.method = method
        self.path = path
        self.raw_query = raw_query
        self.body = body
        self.content_type = content_type
        self.base_url = base_url
        self.params: dict[str, str] = {}
        self.endpoint: Endpoint | None = None
        self.subject: Subject | None = None
        #: A fault rule may hide from lists what was created after this moment.
        self.hidden_since: float | None = None
        self._query: dict[str, list[str]] | None = None

    # -- query ---------------------------------------------------------------------------------

    @property
    def query(self) -> dict[str, list[str]]:
        if self._query is None:
            self._query = {}
            for name, value in parse_qsl(self.raw_query, keep_blank_values=True):
                self._query.setdefault(name, []).append(value)
        return self._query

    def text(self, name: str) -> str | None:
        values = self.query.get(name)
        return values[-1] if values and values[-1] != "" else None

    def items(self, name: str) -> list[str]:
        """A comma-joined list; the parameter may also be repeated."""
        return [item for value in self.query.get(name, ()) for item in value.split(",") if item]

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.text(name)
        if value is None:
            return default
        if value.lower() in ("true", "false"):
            return value.lower() == "true"
        raise bad_request(f"Query parameter {name} must be true or false.")

    def integer(
        self,
        name: str,
        default: int | None = None,
        low: int | None = None,
        high: int | None = None,
    ) -> int | None:
        value = self.text(name)
        if value is None:
            return default
        number = as_int(value, f"Query parameter {name}")
        if (low is not None and number < low) or (high is not None and number > high):
            raise bad_request(f"Query parameter {name} is out of range: {value}.")
        return number

    # -- body ----------------------------------------------------------------------------------

    def json(self) -> Any:
        if not self.body:
            raise bad_request("Request body is missing.")
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise bad_request("Request body is not valid JSON.") from error

    def object(self) -> Body:
        return Body(self.json())

    # -- rights --------------------------------------------------------------------------------

    def require(self, scope_type: str, scope_id: str) -> None:
        """Refuse unless a right that this endpoint needs is held at the scope or above it."""
        self.emulator.access.require(self.subject, self.endpoint.needs, scope_type, scope_id)

    def permits(self, scope_type: str, scope_id: str) -> bool:
        return self.emulator.access.permits(self.subject, self.endpoint.needs, scope_type, scope_id)

    def require_read(self, scope_type: str, scope_id: str) -> None:
        """As `require`, but a right held beneath the scope is enough to read what lies above."""
        self.emulator.access.require_read(self.subject, self.endpoint.needs, scope_type, scope_id)

    def permits_read(self, scope_type: str, scope_id: str) -> bool:
        return self.emulator.access.permits_read(
            self.subject, self.endpoint.needs, scope_type, scope_id
        )

    def require_anywhere(self) -> None:
        self.emulator.access.require_anywhere(self.subject, self.endpoint.needs)

    def param(self, name: str) -> str:
        return self.params[name]

    def int_param(self, name: str) -> int:
        number = as_int(self.params[name], f"Path parameter {name}")
        if not 0 <= number <= INT32_MAX:
            raise bad_request(f"Path parameter {name} is out of range.")
        return number


def as_int(value: str, what: str) -> int:
    text = value.removeprefix("-")
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise bad_request(f"{what} must be an integer.")
    return int(value)


_MISSING = object()


class Body:
    """A JSON object with checked access; `where` is the dotted path used in messages."""

    __slots__ = ("data", "where")

    def __init__(self, data: Any, where: str = "") -> None:
        if not isinstance(data, dict):
            raise bad_request(f"{where or 'Request body'} must be a JSON object.")
        self.data = data
        self.where = where

    def _name(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key

    def get(self, key: str, kind: type | tuple[type, ...], default: Any = _MISSING) -> Any:
        """The value of a key. No default means required; null counts as absent."""
        value = self.data.get(key)
        if value is None:
            if default is _MISSING:
                raise bad_request(f"Required parameter is missing: {self._name(key)}.")
            return default
        wrong_bool = isinstance(value, bool) and kind not in (bool, object)
        if wrong_bool or not isinstance(value, kind):
            names = kind.__name__ if isinstance(kind, type) else "number"
            raise bad_request(f"{self._name(key)} must be of type {names}.")
        return value

    def text(self, key: str, default: Any = _MISSING, low: int = 1, high: int = 10_000) -> Any:
        value = self.get(key, str, default)
        if isinstance(value, str) and not low <= len(value) <= high:
            raise bad_request(f"{self._name(key)} must have {low} to {high} characters.")
        return value

    def number(self, key: str, default: Any = _MISSING) -> Any:
        return self.get(key, (int, float), default)

    def integer(
        self, key: str, default: Any = _MISSING, low: int = -INT32_MAX, high: int = INT32_MAX
    ) -> Any:
        value = self.get(key, int, default)
        if isinstance(value, int) and not low <= value <= high:
            raise bad_request(f"{self._name(key)} must lie between {low} and {high}.")
        return value

    def flag(self, key: str, default: Any = _MISSING) -> Any:
        return self.get(key, bool, default)

    def one_of(self, key: str, allowed: Any, default: Any = _MISSING) -> Any:
        value = self.get(key, str, default)
        if value is not default and value not in allowed:
            raise bad_request(f"{self._name(key)} must be one of: {', '.join(allowed)}.")
        return value

    def child(self, key: str, default: Any = _MISSING) -> Any:
        value = self.get(key, dict, default)
        return Body(value, self._name(key)) if isinstance(value, dict) else value

    def children(self, key: str, default: Any = _MISSING) -> Any:
        values = self.get(key, list, default)
        if values is default:
            return default
        return [Body(item, f"{self._name(key)}[{n}]") for n, item in enumerate(values)]

    def texts(self, key: str, default: Any = _MISSING) -> Any:
        values = self.get(key, list, default)
        if values is not default and not all(isinstance(item, str) for item in values):
            raise bad_request(f"{self._name(key)} must be a list of strings.")
        return values
