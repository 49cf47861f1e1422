"""The step operator really works with exactly the rights that the catalogue says it needs.

Its requests, as the control plane saw them, use no permission that is not in the catalogue's list.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from runai_perms import load_catalogue
from runai_perms._reading import read_permission_sets
from runai_perms._role import apply, plan_role
from runai_perms._trace import summarise
from tests.zenml.step_operator.conftest import Account, make_account
from zenml_runai import errors

pytestmark = pytest.mark.zenml


def exact_account(administrator: Any, name: str, features: tuple[str, ...]) -> Account:
    """An account whose only role is the synthesised one."""
    needs = load_catalogue().needs("step-operator", features)
    plan = plan_role(f"exact {name}", needs, read_permission_sets(administrator))
    assert plan.cover.uncovered == ()
    apply(administrator, plan)
    return make_account(administrator, name, plan.name)


def used_by(account: Account, requests: list[dict[str, Any]]) -> Any:
    return summarise(r for r in requests if r["client"] == account.client_id)


def needed(features: tuple[str, ...]) -> set[Any]:
    return {p for n in load_catalogue().needs("step-operator", features) for p in n.accepted}


def test_a_step_runs_with_exactly_the_needed_rights(
    code: ModuleType,
    configure: Callable[..., None],
    administrator: Any,
    steps_emulator: Any,
) -> None:
    account = exact_account(administrator, "exact-base", ())
    configure(client_id=account.client_id, client_secret=account.client_secret)
    steps_emulator.forget_requests()
    assert code.numbers().status.value == "completed"
    trace = used_by(account, steps_emulator.requests())
    assert trace.requests > 3
    assert trace.unknown == {}
    assert [str(u.permission) for u in trace.uses if u.refused] == []
    assert {u.permission for u in trace.uses} <= needed(())


def test_the_zenml_token_as_a_credential_needs_its_feature(
    code: ModuleType,
    configure: Callable[..., None],
    administrator: Any,
    steps_emulator: Any,
) -> None:
    features = ("credentials",)
    account = exact_account(administrator, "exact-credentials", features)
    configure(
        client_id=account.client_id,
        client_secret=account.client_secret,
        pass_zenml_token_as_credential=True,
    )
    steps_emulator.forget_requests()
    assert code.numbers().status.value == "completed"
    trace = used_by(account, steps_emulator.requests())
    assert [str(u.permission) for u in trace.uses if u.refused] == []
    used = {u.permission for u in trace.uses}
    assert used <= needed(features)
    assert {"credentials:create", "credentials:delete"} <= set(map(str, used))


def test_deleting_what_failed_needs_its_feature(
    code: ModuleType,
    configure: Callable[..., None],
    administrator: Any,
    steps_emulator: Any,
) -> None:
    features = ("delete_on_failure",)
    account = exact_account(administrator, "exact-delete", features)
    configure(
        client_id=account.client_id,
        client_secret=account.client_secret,
        delete_on_failure=True,
    )
    steps_emulator.forget_requests()
    with pytest.raises(errors.RunAIError):
        code.commanding(["false"])
    trace = used_by(account, steps_emulator.requests())
    assert [str(u.permission) for u in trace.uses if u.refused] == []
    used = {u.permission for u in trace.uses}
    assert used <= needed(features)
    assert "trainings:delete" in set(map(str, used))
