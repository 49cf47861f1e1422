"""From an answer that is not a success to an error that helps."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from runai_api import _constants as constants
from runai_api import errors
from runai_api._operation import Operation


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after(self) -> float | None:
        return parse_retry_after(self.headers.get("retry-after"))


def parse_retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds from a Retry-After header (a number or a date); None if it says nothing usable."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


def decode_json(reply: Reply, what: str) -> Any:
    """The JSON value of a body; raises `InvalidResponse` for anything else."""
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError):
        kind = _plain(reply.headers.get("content-type", "")) or "no content type"
        raise errors.InvalidResponse(
            f"{what} answered {reply.status} with something that is not JSON ({kind}).",
            hint="Is the base URL that of the Run:ai control plane, with no login page before it?",
        ) from None


def redirect_error(reply: Reply, what: str) -> errors.InvalidResponse:
    target = reply.headers.get("location", "")
    try:
        parts = urlsplit(target)
        where = f"{parts.scheme}://{parts.hostname}" if parts.hostname else "another path"
    except ValueError:
        where = "an unreadable address"
    return errors.InvalidResponse(
        f"{what} answered {reply.status}, a redirect to {_plain(where)}; it was not followed.",
        hint="Give the final address as base URL.",
    )


def api_error(
    reply: Reply,
    operation: Operation,
    path: str,
    *,
    permission: str | None,
    scope: str | None,
    client_id: str,
    redact: Callable[[str], str],
) -> errors.APIError:
    """The typed error for a 4xx or 5xx answer, whatever its body is."""
    body = _error_body(reply)
    said = _server_message(body, redact)
    code = body.get("code")
    status = reply.status
    what = f"{operation.method} {path} was answered {status} ({_reason(status)})"
    known: dict[str, Any] = {
        "status": status,
        "code": code if isinstance(code, int) and not isinstance(code, bool) else None,
        "method": operation.method,
        "path": path,
        "server_message": said,
        "operation": operation.name,
    }
    message = f"{what}: {_sentence(said)}" if said else f"{what}."

    if status == 403:
        where = scope or operation.scope
        if permission is None:
            return errors.PermissionDenied(message, scope=where, **known)
        return errors.PermissionDenied(
            f"{message} The permission {permission} at {where} is probably missing.",
            permission=permission,
            scope=where,
            hint=f"Give {client_id} a role that holds {permission} with an access rule at {where}; "
            "a rule made a moment ago may need some seconds to work.",
            **known,
        )
    if status == 400:
        issues = _compliance_issues(body, redact)
        if issues:
            objections = "; ".join(f"{issue.field}: {issue.details}" for issue in issues[:5])
            message = f"{message} The policy objects to {_sentence(objections)}"
        return errors.BadRequest(message, issues=issues, **known)
    if status == 429:
        hint = "The control plane is busy; try again later."
        return errors.RateLimited(message, retry_after=reply.retry_after, hint=hint, **known)
    if status >= 500:
        hint = "The trouble is on the server's side; try again, then ask its administrator."
        return errors.ServerError(message, retry_after=reply.retry_after, hint=hint, **known)
    kind, advice = _BY_STATUS.get(status, (errors.APIError, None))
    return kind(message, hint=advice, **known)


_BY_STATUS: dict[int, tuple[type[errors.APIError], str | None]] = {
    401: (
        errors.AuthenticationFailed,
        "Check client_id and client_secret, and that the service account is enabled.",
    ),
    404: (errors.NotFound, "It does not exist, or was deleted, or lies outside your scope."),
    409: (errors.Conflict, "Look up the object that is there, or choose another name."),
    412: (errors.PreconditionFailed, "Something still uses it; remove that first."),
    422: (errors.UnprocessableEntity, None),
}


def _error_body(reply: Reply) -> Mapping[str, Any]:
    try:
        value = json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _server_message(body: Mapping[str, Any], redact: Callable[[str], str]) -> str | None:
    """`message` with `details`; for the OAuth form of an error, its description or name."""
    parts: list[Any] = [body.get("message"), body.get("details")]
    if not isinstance(parts[0], str) and not isinstance(body.get("error"), (dict, list)):
        parts = [body.get("error_description") or body.get("error")]
    text = ": ".join(
        # Masked first: a secret in one line may be another text.
        dict.fromkeys(_plain(redact(part)) for part in parts if isinstance(part, str) and part)
    )
    return text[: constants.MAX_MESSAGE_CHARACTERS] or None


def _compliance_issues(
    body: Mapping[str, Any], redact: Callable[[str], str]
) -> tuple[errors.ComplianceIssue, ...]:
    found = body.get("complianceIssues")
    issues = []
    for item in found if isinstance(found, list) else []:
        if isinstance(item, dict):
            field, details, rule = (item.get(key) for key in ("field", "details", "rule"))
            issues.append(
                errors.ComplianceIssue(
                    _plain(redact(str(field or "?"))),
                    _plain(redact(str(details or "no details")))[
                        : constants.MAX_MESSAGE_CHARACTERS
                    ],
                    rule if isinstance(rule, str) else None,
                )
            )
    return tuple(issues)


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no standard meaning"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _plain(text: str) -> str:
    """One line without control characters, so that no answer can paint on a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
