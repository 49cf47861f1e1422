"""Client secrets of service accounts and applications: made, tried, and recognised.

The control plane shows a client secret once, when it is made, and can only make another, which ends
the one before.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

from provision import _constants as constants
from provision.errors import RemoteError
from runai_api import AmbiguousOutcome, AuthenticationFailed

if TYPE_CHECKING:
    from pydantic import SecretStr

    from provision._session import Session
    from runai_api import RunaiClient
    from runai_api.applications import Applications
    from runai_api.service_accounts import ServiceAccounts

SERVICE_ACCOUNT = "service-account"
APPLICATION = "app"


def family(runai: RunaiClient, subject_type: str) -> ServiceAccounts | Applications:
    """The calls for an account, by the output `subject_type` of its resource."""
    return runai.service_accounts if subject_type == SERVICE_ACCOUNT else runai.applications


def new_client_secret(accounts: ServiceAccounts | Applications, id: str) -> SecretStr:
    """Regenerate; if the answer is lost, the secret is lost with it, so do it again."""
    for _ in range(3):
        try:
            return accounts.regenerate_secret(id)
        except AmbiguousOutcome as error:
            lost = error
    raise RemoteError(f"The new secret was made but its answer was lost three times: {lost}")


def is_accepted(session: Session, client_id: str, secret: str) -> bool:
    """Whether the control plane gives a token for the secret."""
    from pydantic import SecretStr

    from runai_api import RunaiClient

    with RunaiClient(
        session.runai.base_url,
        client_id=client_id,
        client_secret=SecretStr(secret),
        ca_bundle=session.settings.runai_ca_bundle,
    ) as probe:
        try:
            probe.version  # noqa: B018 - asks for a token
        except AuthenticationFailed:
            return False
    return True


def fingerprint(secret: str, key: str | None = None) -> str:
    """``<key>:<HMAC-SHA256>``, both in hexadecimal digits, of which the secret cannot be learnt.

    The key is random, so that the same secret in two states does not show as the same.
    """
    key = key or secrets.token_hex(constants.FINGERPRINT_KEY_BYTES)
    return f"{key}:{hmac.new(bytes.fromhex(key), secret.encode(), hashlib.sha256).hexdigest()}"


def has_fingerprint(secret: str, wanted: str) -> bool:
    key, _, _ = wanted.partition(":")
    return hmac.compare_digest(fingerprint(secret, key), wanted)
