"""What can go wrong, as one tree.

::

    RunaiError
    ├── ConfigurationError          the client cannot work as it is set up (also a ValueError)
    ├── InvalidArgument             a call refused before it was sent (also a ValueError)
    ├── ConnectionFailed            no usable answer came back; nothing is known to have happened
    ├── DeadlineExceeded            the time for a call or a wait is over (also a TimeoutError)
    ├── InvalidResponse             an answer that is not what the API describes
    ├── AmbiguousOutcome            a write that may have been carried out: look, then repeat
    ├── AmbiguousName               a name that several objects share
    ├── ResourceFailed              the object waited for ended in a failed state
    └── APIError                    the control plane said no
        ├── BadRequest              400, with the policy's objections in `issues`
        ├── AuthenticationFailed    401 (and a refused token request)
        ├── PermissionDenied        403, names the permission that is probably missing
        ├── NotFound                404
        ├── Conflict                409
        ├── PreconditionFailed      412
        ├── UnprocessableEntity     422
        ├── RateLimited             429
        └── ServerError             5xx

The text of an error says what happened, why, and what to do next. It never holds a request or
response body, a token or a secret; of an answer only the server's own ``message`` is shown.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class ComplianceIssue(NamedTuple):
    """One objection of the administrator's policy to a submitted workload."""

    field: str
    """Dotted path in the spec, such as ``compute.gpuDevicesRequest``."""
    details: str
    rule: str | None = None
    """One of min, max, step, options, required, canEdit, canAdd, locked."""


class RunaiError(Exception):
    """Base of every error that this package raises on purpose."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(f"{message} {hint}" if hint else message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, self.__dict__)


def _restore(kind: type[RunaiError], args: tuple[Any, ...], state: dict[str, Any]) -> RunaiError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigurationError(RunaiError, ValueError):
    """The client cannot work as it is set up: base URL, credentials, certificate file, proxy."""


class InvalidArgument(RunaiError, ValueError):
    """A call that cannot be right, refused before anything was sent."""


class ConnectionFailed(RunaiError):
    """No usable answer: no connection, a broken one, or silence."""


class DeadlineExceeded(RunaiError, TimeoutError):
    """The time allowed for a call with its retries, or for a wait, is over."""


class InvalidResponse(RunaiError):
    """An answer that is not what the API describes: not JSON, cut off, too large, wrong types."""


class AmbiguousOutcome(RunaiError):
    """A write that may or may not have been carried out.

    The control plane knows no idempotency keys, so the client does not repeat such a request:
    look the object up by its natural key, then decide. `status` is the HTTP status if one came.
    """

    def __init__(
        self,
        message: str,
        *,
        method: str,
        path: str,
        status: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.method = method
        self.path = path
        self.status = status


class AmbiguousName(RunaiError):
    """Several objects carry the name that was looked up; `ids` lists them."""

    def __init__(self, message: str, *, ids: tuple[str, ...], hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.ids = ids


class ResourceFailed(RunaiError):
    """An object that was waited for is in a failed state, named by `phase`."""

    def __init__(
        self, message: str, *, resource: str, phase: str, details: str = "", hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.resource = resource
        self.phase = phase
        self.details = details


class APIError(RunaiError):
    """The control plane answered with an error.

    `status` is the HTTP status, `code` the number in the body (usually the same),
    `server_message` what the server wrote, `method` and `path` the request, `operation` its name
    in this client.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        method: str,
        path: str,
        code: int | None = None,
        server_message: str | None = None,
        operation: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code if code is not None else status
        self.method = method
        self.path = path
        self.server_message = server_message
        self.operation = operation


class BadRequest(APIError):
    """400. `issues` holds the policy's objections if the server named them."""

    def __init__(
        self, message: str, *, issues: tuple[ComplianceIssue, ...] = (), **known: Any
    ) -> None:
        super().__init__(message, **known)
        self.issues = issues


class AuthenticationFailed(APIError):
    """401, or a token request that was refused."""


class PermissionDenied(APIError):
    """403. `permission` (such as ``trainings:create``) is the one probably missing at `scope`."""

    def __init__(
        self,
        message: str,
        *,
        permission: str | None = None,
        scope: str | None = None,
        **known: Any,
    ) -> None:
        super().__init__(message, **known)
        self.permission = permission
        self.scope = scope


class NotFound(APIError):
    """404."""


class Conflict(APIError):
    """409: the name is taken, or the object is in a state that forbids the change."""


class PreconditionFailed(APIError):
    """412: the object is still in use."""


class UnprocessableEntity(APIError):
    """422."""


class RateLimited(APIError):
    """429. `retry_after` is the pause that the server asked for, in seconds."""

    def __init__(self, message: str, *, retry_after: float | None = None, **known: Any) -> None:
        super().__init__(message, **known)
        self.retry_after = retry_after


class ServerError(APIError):
    """5xx. `retry_after` is the pause that the server asked for, in seconds."""

    def __init__(self, message: str, *, retry_after: float | None = None, **known: Any) -> None:
        super().__init__(message, **known)
        self.retry_after = retry_after
