"""Whatever is sent to the emulator: no crash, and every answer follows its own description."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from runai_emulator import create_app

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]
#: These could take the rights of the account that asks, and everything after would be a 401.
SUICIDAL = (
    "/api/v1/service-accounts/{serviceAccountId}",
    "/api/v1/authorization/access-rules/{accessRuleId}",
    "/api/v1/authorization/access-rules/batch",
)
QUICK = settings(
    max_examples=3,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
LONG = settings(QUICK, max_examples=100, derandomize=False)


def _emulator():
    """The application, with the administrator's token on every request, whatever was generated."""
    app = create_app(async_delay=0)
    token = app.emulator.tokens.issue(app.emulator.store.accounts.values()[0], "http://emulator")
    header = (b"authorization", f"Bearer {token}".encode())

    async def authorised(scope, receive, send):
        if scope["type"] == "http":
            others = [pair for pair in scope["headers"] if pair[0] != b"authorization"]
            scope = scope | {"headers": [*others, header]}
        await app(scope, receive, send)

    return authorised


SCHEMA = schemathesis.openapi.from_asgi("/_emulator/openapi.json", _emulator()).exclude(
    path=list(SUICIDAL)
)


def _ask(case) -> None:
    answer = case.call()
    assert answer.status_code != 401 or case.path.endswith("/token"), answer.text
    case.validate_response(answer, checks=CHECKS)


@SCHEMA.parametrize()
@QUICK
def test_a_few_of_everything(case):
    _ask(case)


@pytest.mark.nightly
@SCHEMA.parametrize()
@LONG
def test_many_of_everything(case):
    _ask(case)
