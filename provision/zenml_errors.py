"""The errors of the ZenML client.

```
ZenMLError
├── ZenMLConfigurationError    the URL or the key cannot be used
├── ZenMLConnectionFailed      no answer: refused, unknown host, TLS, time-out
├── ZenMLInvalidResponse       an answer that is not the API's (a proxy, another service)
├── ZenMLAmbiguousOutcome      a POST whose answer was lost: it may have been processed
└── ZenMLAPIError              an error answer; has .status, .kind, .method, .path
    ├── ZenMLAuthenticationFailed  401
    ├── ZenMLRefused               403: not allowed, or against a rule ("still in use")
    ├── ZenMLNotFound              404
    ├── ZenMLExists                409, or 500 when two asked for one name at once
    ├── ZenMLInvalid               400, 422
    └── ZenMLServerError           5xx, and 429 that outlasted the retries
```
"""

from __future__ import annotations


class ZenMLError(Exception):
    """Base of all errors of this client."""


class ZenMLConfigurationError(ZenMLError):
    """The URL or the key cannot be used."""


class ZenMLConnectionFailed(ZenMLError):
    """No answer from the server."""


class ZenMLInvalidResponse(ZenMLError):
    """An answer that is not the ZenML API's."""


class ZenMLAmbiguousOutcome(ZenMLError):
    """The answer to a POST was lost; it may have been processed."""


class ZenMLAPIError(ZenMLError):
    """An error answer of the server."""

    def __init__(self, status: int, kind: str, message: str, method: str, path: str) -> None:
        super().__init__(f"{message} ({method} {path} answered {status}{kind and f' {kind}'})")
        self.status = status
        self.kind = kind
        self.message = message
        self.method = method
        self.path = path


class ZenMLAuthenticationFailed(ZenMLAPIError):
    """401: the API key or the token is not accepted."""


class ZenMLRefused(ZenMLAPIError):
    """403: not allowed to this account, or against a rule of the server."""


class ZenMLNotFound(ZenMLAPIError):
    """404."""


class ZenMLExists(ZenMLAPIError):
    """An object of that name exists: 409, or 500 when two asked for it at once."""


class ZenMLInvalid(ZenMLAPIError):
    """400 or 422: the server does not accept the body."""


class ZenMLServerError(ZenMLAPIError):
    """5xx, or 429 that outlasted the retries."""
