"""Bearer tokens: fetched when needed, shared between threads, renewed in time."""

from __future__ import annotations

import base64
import binascii
import json
import threading
import time
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from pydantic import SecretStr

from runai_api import _constants as constants
from runai_api._http import Deadline, Session
from runai_api._operation import Operation
from runai_api.errors import (
    APIError,
    AuthenticationFailed,
    BadRequest,
    ConfigurationError,
    DeadlineExceeded,
    InvalidResponse,
    NotFound,
)

TOKEN_V2 = Operation("tokens.create", "POST", "/api/v2/token", repeatable=True, authenticated=False)
TOKEN_V1 = Operation(
    "tokens.create_v1", "POST", "/api/v1/token", repeatable=True, authenticated=False
)


class ControlPlaneVersion(StrEnum):
    """The two kinds of control plane, told apart by the token endpoint that answers."""

    LEGACY = "2.23"
    """2.23 and older: applications, predefined roles only."""
    CURRENT = "2.24"
    """2.24 and newer: service accounts, permission sets, custom roles."""

    @property
    def has_service_accounts(self) -> bool:
        return self is ControlPlaneVersion.CURRENT

    @property
    def has_custom_roles(self) -> bool:
        return self is ControlPlaneVersion.CURRENT


class TokenSource:
    """The tokens of one client id. Kept in memory only."""

    def __init__(self, session: Session, client_id: str, client_secret: SecretStr) -> None:
        if not client_id.strip():
            raise ConfigurationError("The client_id is empty.")
        if not client_secret.get_secret_value():
            raise ConfigurationError("The client_secret is empty.")
        self.client_id = client_id
        self._secret = client_secret
        self._session = session
        self._lock = threading.Lock()
        self._token: str | None = None
        self._renew_at = 0.0
        self._version: ControlPlaneVersion | None = None

    def __repr__(self) -> str:
        return f"TokenSource(client_id={self.client_id!r})"

    def version(self) -> ControlPlaneVersion:
        if self._version is None:
            self.current(Deadline(self._session.timeouts.total))
        assert self._version is not None  # noqa: S101
        return self._version

    @property
    def legacy(self) -> bool:
        """Whether the control plane is known to be 2.23 or older."""
        return self._version is ControlPlaneVersion.LEGACY

    def current(self, deadline: Deadline) -> str:
        """A token that is good for a while yet."""
        token = self._token
        if token is not None and time.monotonic() < self._renew_at:
            return token
        with _held(self._lock, deadline):
            if self._token is None or time.monotonic() >= self._renew_at:
                self._fetch(deadline)
            assert self._token is not None  # noqa: S101
            return self._token

    def renew(self, rejected: str, deadline: Deadline) -> str:
        """Another token than `rejected`; threads that were refused together share one renewal."""
        with _held(self._lock, deadline):
            if self._token is None or self._token == rejected:
                self._fetch(deadline)
            assert self._token is not None  # noqa: S101
            return self._token

    def secrets(self) -> Iterable[str]:
        return [text for text in (self._secret.get_secret_value(), self._token) if text]

    def _fetch(self, deadline: Deadline) -> None:
        self._token = None
        if self._version is not ControlPlaneVersion.LEGACY:
            try:
                self._take(self._request_v2(deadline), "access_token", "expires_in")
            except APIError as error:
                if error.status not in (404, 405) or self._version is not None:
                    raise self._refused(error) from error
            else:
                self._version = ControlPlaneVersion.CURRENT
                return
        try:
            self._take(self._request_v1(deadline), "accessToken", "expiresIn")
        except APIError as error:
            raise self._refused(error) from error
        self._version = ControlPlaneVersion.LEGACY

    def _request_v2(self, deadline: Deadline) -> Any:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self._secret.get_secret_value(),
        }
        return self._session.call(TOKEN_V2, form=form, deadline=deadline)

    def _request_v1(self, deadline: Deadline) -> Any:
        body = {
            "grantType": "client_credentials",
            "clientID": self.client_id,
            "clientSecret": self._secret.get_secret_value(),
        }
        return self._session.call(TOKEN_V1, body=body, deadline=deadline)

    def _take(self, answer: Any, token_key: str, life_key: str) -> None:
        token = answer.get(token_key) if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            token = None
        if not token or " " in token:
            raise InvalidResponse(
                "The token request was answered without a usable token.",
                hint="Is the base URL that of the Run:ai control plane?",
            )
        life = _seconds(answer.get(life_key)) or _life_from_claims(token)
        if life is None:
            life = constants.TOKEN_UNKNOWN_LIFE_SECONDS
        margin = min(constants.TOKEN_MARGIN_SECONDS, life * constants.TOKEN_MARGIN_SHARE)
        self._token, self._renew_at = token, time.monotonic() + life - margin

    def _refused(self, error: APIError) -> APIError:
        """400 and 401 both mean that these credentials are not accepted; 404 a wrong base URL."""
        if error.status in (404, 405):
            return NotFound(
                f"{self._session.base_url} has no token endpoint: {error.method} {error.path} was "
                f"answered {error.status}.",
                status=error.status,
                method=error.method,
                path=error.path,
                operation=error.operation,
                hint="Is the base URL that of the Run:ai control plane?",
            )
        if not isinstance(error, (BadRequest, AuthenticationFailed)):
            return error
        said = f" ({error.server_message})" if error.server_message else ""
        return AuthenticationFailed(
            f"The control plane gave no token to {self.client_id}: "
            f"{error.method} {error.path} was answered {error.status}{said}.",
            status=error.status,
            code=error.code,
            method=error.method,
            path=error.path,
            server_message=error.server_message,
            operation=error.operation,
            hint="Check client_id and client_secret, that they belong to this tenant, and that the "
            "service account is enabled.",
        )


class _held:
    """A lock that is waited for no longer than the deadline allows."""

    def __init__(self, lock: threading.Lock, deadline: Deadline) -> None:
        self._lock = lock
        self._deadline = deadline

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=max(0.0, self._deadline.remaining())):
            raise DeadlineExceeded(
                f"No token was available within {self._deadline.seconds:g} s: "
                "another thread is still waiting for one."
            )

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 < value < 10**9 else None


def _life_from_claims(token: str) -> float | None:
    """Seconds until ``exp``, by the server's clock (``iat``) where it gives one."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return None
    if not isinstance(claims, dict):
        return None
    end, start = _stamp(claims.get("exp")), _stamp(claims.get("iat"))
    if end is None:
        return None
    return _seconds(end - (start if start is not None else time.time()))


def _stamp(value: object) -> float | None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if number else None  # type: ignore[arg-type]
