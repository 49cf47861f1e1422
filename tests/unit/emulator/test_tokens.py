"""Tokens: both endpoints, every spelling in use, refusals, life and death."""

from __future__ import annotations

import base64
import json

import pytest

V1 = "/api/v1/token"
V2 = "/api/v2/token"
ID, SECRET = "emulator-admin", "emulator-admin-secret"


@pytest.mark.parametrize(
    "body",
    [
        {"grantType": "client_credentials", "clientID": ID, "clientSecret": SECRET},
        {"grantType": "client_credentials", "clientId": ID, "clientSecret": SECRET},
        {"granttype": "app_token", "AppId": ID, "AppSecret": SECRET},
        {"grantType": "app_token", "appID": ID, "appSecret": SECRET, "username": None},
    ],
)
def test_v1_takes_every_spelling_of_its_keys(plane, body):
    answer = plane.anonymous.post(V1, json=body)
    assert answer.status_code == 200
    assert answer.json()["expiresIn"] == 86400
    headers = {"Authorization": f"Bearer {answer.json()['accessToken']}"}
    assert plane.anonymous.get("/api/v1/clusters", headers=headers).status_code == 200


def test_the_token_is_a_jwt_that_the_standard_base64_alphabet_decodes(plane):
    token = plane.token(ID, SECRET).json()["accessToken"]
    head, payload, signature = token.split(".")
    assert head
    assert signature
    assert "-" not in payload
    assert "_" not in payload
    claims = json.loads(base64.b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["exp"] > claims["iat"]
    assert claims["iss"].startswith("http://emulator/auth/realms/")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"grantType": "client_credentials", "clientID": ID, "clientSecret": "wrong"}, 401),
        ({"grantType": "client_credentials", "clientID": "nobody", "clientSecret": SECRET}, 401),
        ({"grantType": "client_credentials", "clientID": ID}, 400),
        ({"grantType": "nonsense"}, 400),
        ({}, 400),
        ([], 400),
        ({"grantType": "exchange_token", "code": "x", "clientID": "y"}, 400),
    ],
)
def test_v1_refusals(plane, body, status):
    answer = plane.anonymous.post(V1, json=body)
    assert answer.status_code == status
    assert answer.json()["code"] == status


def test_v2_is_form_encoded_and_speaks_oauth2(plane):
    form = {"grant_type": "client_credentials", "client_id": ID, "client_secret": SECRET}
    good = plane.anonymous.post(V2, data=form)
    assert good.status_code == 200
    assert good.json()["token_type"] == "Bearer"
    assert plane.anonymous.post(V2, json=form).json()["error"] == "invalid_request"
    wrong = plane.anonymous.post(V2, data=form | {"client_secret": "no"})
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    other = plane.anonymous.post(V2, data={"grant_type": "device"})
    assert (other.status_code, other.json()["error"]) == (400, "unsupported_grant_type")


def test_password_and_refresh(plane):
    user = {"name": "jo@example.com", "password": "pw", "groups": ["team"]}
    assert plane.anonymous.post("/_emulator/users", json=user).status_code == 201
    form = {"grant_type": "password", "username": "jo@example.com", "password": "pw"}
    pair = plane.anonymous.post(V2, data=form).json()
    again = plane.anonymous.post(
        V2, data={"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}
    )
    assert again.status_code == 200
    misused = plane.anonymous.post(
        V2, data={"grant_type": "refresh_token", "refresh_token": pair["access_token"]}
    )
    assert misused.status_code == 401
    headers = {"Authorization": f"Bearer {pair['refresh_token']}"}
    assert plane.anonymous.get("/api/v1/clusters", headers=headers).status_code == 401


def test_a_group_of_the_user_carries_its_rules(plane):
    plane.anonymous.post(
        "/_emulator/users", json={"name": "jo", "password": "pw", "groups": ["team"]}
    )
    rule = {"subjectId": "team", "subjectType": "group", "roleId": plane.role_of("project:read")}
    plane.admin.post(
        "/api/v1/authorization/access-rules",
        json=rule | {"scopeType": "project", "scopeId": "1002"},
    )
    form = {"grant_type": "password", "username": "jo", "password": "pw"}
    token = plane.anonymous.post(V2, data=form).json()["access_token"]
    found = plane.anonymous.get(
        "/api/v1/org-unit/projects", headers={"Authorization": f"Bearer {token}"}
    )
    assert [project["id"] for project in found.json()["projects"]] == ["1002"]


@pytest.mark.parametrize("header", [None, "Bearer", "Basic abc", "Bearer a.b.c", "Bearer x"])
def test_no_or_bad_token_is_401(plane, header):
    headers = {} if header is None else {"Authorization": header}
    answer = plane.anonymous.get("/api/v1/clusters", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["code"] == 401


def test_a_disabled_or_deleted_account_loses_its_token(plane):
    account, caller = plane.account()
    path = f"/api/v1/service-accounts/{account['id']}"
    assert caller.get("/api/v1/authorization/permissions").status_code == 200
    assert plane.admin.patch(path, json={"enabled": False}).status_code == 200
    assert caller.get("/api/v1/authorization/permissions").status_code == 401
    assert plane.token(account["clientId"], account["clientSecret"]).status_code == 401
    plane.admin.patch(path, json={"enabled": True})
    assert caller.get("/api/v1/authorization/permissions").status_code == 200
    assert plane.admin.delete(path).status_code == 204
    assert caller.get("/api/v1/authorization/permissions").status_code == 401


def test_a_new_secret_revokes_the_old_one(plane):
    account, _ = plane.account()
    fresh = plane.admin.post(f"/api/v1/service-accounts/{account['id']}/secret").json()
    assert set(fresh) == {"clientSecret"}
    assert plane.token(account["clientId"], account["clientSecret"]).status_code == 401
    assert plane.token(account["clientId"], fresh["clientSecret"]).status_code == 200


def test_tokens_expire(make_plane, monkeypatch):
    import time

    plane = make_plane(token_lifetime=60)
    now = time.time()
    monkeypatch.setattr("runai_emulator.tokens.time.time", lambda: now + 61)
    assert plane.admin.get("/api/v1/clusters").status_code == 401


def test_2_23_has_no_v2_token_and_no_expires_in(make_plane):
    plane = make_plane(version="2.23")
    assert plane.anonymous.post(V2, data={"grant_type": "client_credentials"}).status_code == 404
    assert set(plane.token(ID, SECRET).json()) == {"accessToken"}
