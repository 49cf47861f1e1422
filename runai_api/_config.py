"""Where the control plane is and how patient the client is."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from runai_api import _constants as constants
from runai_api.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `total` bounds one call with its retries, the others one step of one try."""

    connect: float = constants.CONNECT_SECONDS
    read: float = constants.READ_SECONDS
    write: float = constants.WRITE_SECONDS
    pool: float = constants.POOL_SECONDS
    total: float = constants.TOTAL_SECONDS

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"The {name} timeout must be more than 0 seconds.")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long to try again. `attempts` counts the first try too."""

    attempts: int = constants.RETRY_ATTEMPTS
    base_delay: float = constants.RETRY_BASE_SECONDS
    max_delay: float = constants.RETRY_MAX_SECONDS
    retry_after_ceiling: float = constants.RETRY_AFTER_CEILING_SECONDS

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ConfigurationError("A retry policy needs at least 1 attempt.")
        if min(self.base_delay, self.max_delay, self.retry_after_ceiling) < 0:
            raise ConfigurationError("The delays of a retry policy cannot be negative.")


def normalise_base_url(text: str) -> str:
    """Check the tenant's URL and return it without a trailing slash.

    Raises `ConfigurationError` unless it is https (or http to loopback) with a host and without
    user info, query or fragment. A path is kept: some installations live below one.
    """
    url = text.strip()
    if not url:
        raise ConfigurationError("The Run:ai base URL is empty.", hint=_EXAMPLE)
    if any(character.isspace() or not character.isprintable() for character in url):
        raise ConfigurationError("The Run:ai base URL holds a blank or control character.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError("The Run:ai base URL cannot be read.", hint=_EXAMPLE) from None
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            "The Run:ai base URL must not hold a user name or password.",
            hint="Give client_id and client_secret instead.",
        )
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigurationError(f"{url!r} is not an http(s) URL with a host.", hint=_EXAMPLE)
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        raise ConfigurationError("The Run:ai base URL must not hold a query or fragment.")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(
            f"Plain http to {host} would send the client secret unencrypted.",
            hint="Use https; http is accepted for loopback addresses only.",
        )
    name = f"[{host}]" if ":" in host else host
    where = f"{name}:{port}" if port is not None else name
    return f"{parts.scheme}://{where}{parts.path.rstrip('/')}"


def is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_EXAMPLE = "It looks like https://<tenant>.run.ai."
