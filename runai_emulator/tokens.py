"""Client secrets and access tokens.

Tokens are HS256 JWTs of three segments. Their payload is plain ASCII, which the vendor's Python
client needs because it decodes the middle segment with the standard base64 alphabet.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from typing import Any

from .access import Subject
from .store import Row, Store
from .wire import ApiError

REALM = "runai"
_CACHE_SIZE = 4096
#: Iterations for stored secrets. They are random and long, so a slow hash would add nothing.
_ROUNDS = 1_000


def new_secret() -> str:
    return secrets.token_urlsafe(32).replace("-", "a").replace("_", "b")


def hash_secret(secret: str) -> str:
    salt = secrets.token_hex(8)
    digest = hashlib.pbkdf2_hmac("sha256", secret.encode(), salt.encode(), _ROUNDS)
    return f"{salt}${digest.hex()}"


def check_secret(secret: str, stored: str) -> bool:
    salt, _, digest = stored.partition("$")
    found = hashlib.pbkdf2_hmac("sha256", secret.encode(), salt.encode(), _ROUNDS)
    return hmac.compare_digest(found.hex(), digest)


class Tokens:
    """Issues and checks tokens. Their life runs on the wall clock, as clients read `exp` so."""

    def __init__(self, store: Store, lifetime: float) -> None:
        self._store = store
        self.lifetime = lifetime
        self._seen: dict[str, dict[str, Any]] = {}

    @property
    def _key(self) -> str:
        key = self._store.values.get("signing-key")
        if key is None:
            key = secrets.token_hex(32)
            self._store.set_value("signing-key", key)
        return key

    def issue(self, account: Row, base_url: str, use: str = "Bearer") -> str:
        import jwt  # takes tens of milliseconds, which the start of the server should not pay

        now = int(time.time())
        claims = {
            "iss": f"{base_url}/auth/realms/{REALM}",
            "sub": account["id"],
            "iat": now,
            "exp": now + max(1, int(self.lifetime)),
            "jti": secrets.token_hex(8),
            "typ": use,
            "azp": account["clientId"],
            "client_id": account["clientId"],
            "tenant_id": "1",
            "epoch": self._store.values.get("token-epoch", 0),
        }
        return jwt.encode(claims, self._key, algorithm="HS256", headers={"kid": "emulator"})

    def expire_all(self) -> None:
        """Make every token issued so far invalid."""
        self._store.set_value("token-epoch", self._store.values.get("token-epoch", 0) + 1)
        self._seen.clear()

    def claims(self, token: str, use: str) -> dict[str, Any]:
        """The claims of a valid token; raises a 401 otherwise."""
        claims = self._seen.get(token)
        if claims is None:
            import jwt

            try:
                claims = jwt.decode(
                    token,
                    self._key,
                    algorithms=["HS256"],
                    options={"verify_exp": False, "verify_iat": False},
                )
            except jwt.InvalidTokenError:
                raise ApiError(401, "Issuer is not familiar.") from None
            if len(self._seen) >= _CACHE_SIZE:
                self._seen.clear()
            self._seen[token] = claims
        if claims["exp"] <= time.time() or claims["epoch"] < self._store.values.get(
            "token-epoch", 0
        ):
            raise ApiError(401, "Token is expired.")
        if claims["typ"] != use:
            raise ApiError(401, "Token is not an access token.")
        return claims

    def subject(self, authorization: str | None) -> Subject:
        """The subject of an Authorization header; raises a 401."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise ApiError(401, "Authorization header with a bearer token is missing.")
        return subject_of(self.account(self.claims(token.strip(), "Bearer")))

    def account(self, claims: dict[str, Any]) -> Row:
        account = self._store.accounts.rows.get(claims["sub"])
        # The fate of live tokens of a disabled account is not documented; here they die at once.
        if account is None or not account["enabled"]:
            raise ApiError(401, "The account does not exist or is disabled.")
        return account


def subject_of(account: Row) -> Subject:
    return Subject(
        type=account["kind"],
        id=account["id"],
        name=account["name"],
        client_id=account["clientId"],
        groups=tuple(account.get("groups") or ()),
        owner=account.get("owner"),
    )
