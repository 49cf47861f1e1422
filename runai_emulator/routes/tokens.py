"""Token endpoints: v1 takes JSON with keys in any case, v2 (2.24) is OAuth2-shaped."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from runai_emulator.emulator import Emulator
from runai_emulator.store import Row
from runai_emulator.tokens import check_secret
from runai_emulator.wire import Answer, ApiError, Call, RawAnswer, bad_request, route

V1_GRANTS = (
    "app_token",
    "client_credentials",
    "refresh_token",
    "exchange_token",
    "password",
    "external_token_exchange",
)
V2_GRANTS = ("authorization_code", "client_credentials", "password", "refresh_token")
_NO_IDENTITY_PROVIDER = "The emulator has no identity provider for this grant."


def _client(emulator: Emulator, client_id: str, secret: str) -> Row | None:
    for account in emulator.store.accounts.rows.values():
        if account["clientId"] == client_id and account["kind"] != "user":
            usable = account["enabled"] and check_secret(secret, account["secret"])
            return account if usable else None
    return None


def _user(emulator: Emulator, name: str, password: str) -> Row | None:
    account = emulator.store.accounts.find(kind="user", name=name)
    if account is None or not account["enabled"]:
        return None
    return account if check_secret(password, account["secret"]) else None


def _refreshed(emulator: Emulator, token: str) -> Row | None:
    try:
        return emulator.tokens.account(emulator.tokens.claims(token, "Refresh"))
    except ApiError:
        return None


def _grant(emulator: Emulator, grant: str, given: dict[str, str]) -> Row | None:
    """The account that a grant proves, or None when the proof is wrong."""
    if grant in ("client_credentials", "app_token"):
        return _client(emulator, given["id"], given["secret"])
    if grant == "password":
        return _user(emulator, given["username"], given["password"])
    return _refreshed(emulator, given["refreshtoken"])


def _log_in(emulator: Emulator, account: Row) -> None:
    account["lastLogin"] = emulator.clock.now()
    # Not worth a transaction of its own in the caches: a login changes nobody's rights.
    generation = emulator.store.generation
    emulator.store.accounts.put(account)
    emulator.store.generation = generation


_V1_FIELDS = {
    "client_credentials": {"id": "clientid", "secret": "clientsecret"},
    "app_token": {"id": "appid", "secret": "appsecret"},
    "password": {"username": "username", "password": "password"},
    "refresh_token": {"refreshtoken": "refreshtoken"},
}
_V2_FIELDS = {
    "client_credentials": {"id": "client_id", "secret": "client_secret"},
    "password": {"username": "username", "password": "password"},
    "refresh_token": {"refreshtoken": "refresh_token"},
}


@route("POST", "/api/v1/token")
def token_v1(emulator: Emulator, call: Call) -> Answer:
    """Keys are matched in any case: clientID, clientId, AppId and appID are all in use."""
    body = call.object().data
    given = {name.lower(): value for name, value in body.items() if value is not None}
    grant = given.get("granttype")
    if grant not in V1_GRANTS:
        raise bad_request(f"grantType must be one of: {', '.join(V1_GRANTS)}.")
    if grant not in _V1_FIELDS:
        raise bad_request(_NO_IDENTITY_PROVIDER)
    proof = {}
    for name, key in _V1_FIELDS[grant].items():
        value = given.get(key)
        if not isinstance(value, str) or not value:
            raise bad_request(f"Required parameter is missing: {key}.")
        proof[name] = value
    account = _grant(emulator, grant, proof)
    if account is None:
        raise ApiError(401, "Invalid client credentials.")
    _log_in(emulator, account)
    answer: dict[str, Any] = {"accessToken": emulator.tokens.issue(account, call.base_url)}
    if grant in ("password", "refresh_token"):
        answer["refreshToken"] = emulator.tokens.issue(account, call.base_url, "Refresh")
    if emulator.version >= "2.24":
        answer["expiresIn"] = int(emulator.tokens.lifetime)
    return 200, answer


def _oauth_error(status: int, error: str, description: str) -> RawAnswer:
    return RawAnswer(status, {"error": error, "error_description": description})


@route("POST", "/api/v2/token")
def token_v2(emulator: Emulator, call: Call) -> Answer:
    if call.content_type.split(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise _oauth_error(400, "invalid_request", "The body must be form-encoded.")
    form = dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))
    grant = form.get("grant_type")
    if not grant:
        raise _oauth_error(400, "invalid_request", "grant_type is missing.")
    if grant not in V2_GRANTS:
        raise _oauth_error(400, "unsupported_grant_type", f"Unknown grant_type {grant!r}.")
    if grant not in _V2_FIELDS:
        raise _oauth_error(400, "unauthorized_client", _NO_IDENTITY_PROVIDER)
    proof = {}
    for name, key in _V2_FIELDS[grant].items():
        if not form.get(key):
            raise _oauth_error(400, "invalid_request", f"{key} is missing.")
        proof[name] = form[key]
    account = _grant(emulator, grant, proof)
    if account is None:
        kind = "invalid_client" if grant == "client_credentials" else "invalid_grant"
        raise _oauth_error(401, kind, "Invalid client or invalid client credentials.")
    _log_in(emulator, account)
    answer: dict[str, Any] = {
        "access_token": emulator.tokens.issue(account, call.base_url),
        "token_type": "Bearer",
        "expires_in": int(emulator.tokens.lifetime),
        "scope": "profile email",
    }
    if grant != "client_credentials":
        answer["refresh_token"] = emulator.tokens.issue(account, call.base_url, "Refresh")
    return 200, answer
