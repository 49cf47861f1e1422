"""With `clientSecretInState: false` the client secret stands in the ZenML secret only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from provision.providers._client_secrets import fingerprint, has_fingerprint
from tests.chaos.support.world import DESTROY, UP, World
from tests.chaos.test_adoption import BY_HAND, adopt_command, colleague, make_by_hand, unmarked
from tests.chaos.test_drift import LOOK, Hand
from tests.chaos.test_rotation import accepted, values_of

__all__ = ["colleague"]  # a fixture

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

OUTSIDE = {"clientSecretInState": False}


def stored(world: World) -> dict[str, str]:
    return values_of(world, "runai-credentials")


def shown(world: World) -> str:
    """The state with all its secrets decrypted."""
    return world.engine.run("stack", "export", "--show-secrets").succeeded().output


def noted(world: World) -> str:
    outputs = world.engine.resources()["runai-credentials"]["outputs"]
    return str(outputs["client_secret_fingerprint"])


def test_the_state_holds_a_fingerprint_only(world: World) -> None:
    wanted = world.wanted()
    found = world.provision(**OUTSIDE)
    assert not found.compared_with(wanted), "only the place of the secret differs"
    first = stored(world)
    assert accepted(world, first)
    assert first["client_secret"] not in shown(world)
    assert first["client_id"] in shown(world), "the search would have found it"
    assert has_fingerprint(first["client_secret"], noted(world))
    world.engine.preview("--expect-no-changes", "--refresh").succeeded()

    world.engine.configure(rotation={"date": "2027-01"})
    world.engine.run(*UP).succeeded()
    second = stored(world)
    assert accepted(world, second)
    assert not accepted(world, first)
    assert second["client_secret"] not in shown(world)
    world.engine.preview("--expect-no-changes", "--refresh").succeeded()


@pytest.mark.chaos
def test_moved_out_of_the_state_and_back_it_is_a_new_one(world: World) -> None:
    world.provision()
    values = [stored(world)]
    assert values[0]["client_secret"] in shown(world)
    for inside in (False, True):
        world.engine.configure(clientSecretInState=inside)
        world.engine.run(*UP).succeeded()
        values.append(stored(world))
        assert (values[-1]["client_secret"] in shown(world)) == inside
        assert values[-2]["client_secret"] not in shown(world)
        world.engine.preview("--expect-no-changes", "--refresh").succeeded()
    assert [accepted(world, each) for each in values] == [False, False, True]
    assert len({each["client_id"] for each in values}) == 1, "the account stays"
    assert (
        "client_secret_fingerprint" not in world.engine.resources()["runai-credentials"]["outputs"]
    )


@dataclass(frozen=True)
class Wrong:
    """What somebody does, what a refresh tells, and whether a new client secret is needed."""

    change: Callable[[Hand], object]
    told: str
    renews: bool


def regenerate_and_store(hand: Hand) -> None:
    """A colleague's rotation by hand: it works, but he knows the secret."""
    secret = hand.world.runai.service_accounts.regenerate_secret(hand.ids["runai-account"])
    hand.secret(client_secret=secret.get_secret_value())


WRONG = {
    "removed": Wrong(
        lambda hand: hand.secret(client_secret=None),
        'client_secret: "(removed outside Pulumi)"', True,
    ),
    "changed": Wrong(
        lambda hand: hand.secret(client_secret="canary-of-an-intruder"),
        'client_secret: "(changed outside Pulumi)"', True,
    ),
    "rotated by hand": Wrong(
        regenerate_and_store, 'client_secret: "(changed outside Pulumi)"', True
    ),
    "ended": Wrong(
        lambda hand: hand.world.runai.service_accounts.regenerate_secret(hand.ids["runai-account"]),
        'client_secret: "(no longer accepted)"', True,
    ),
    "disabled": Wrong(
        lambda hand: hand.world.runai.service_accounts.set_enabled(
            hand.ids["runai-account"], False
        ),
        "enabled: false => true", False,
    ),
    "another key": Wrong(
        lambda hand: hand.secret(another="canary-of-an-intruder"),
        'another: "(added outside Pulumi)"', False,
    ),
}  # fmt: skip


@pytest.mark.chaos
@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_it_is_told_and_put_right(name: str, world: World) -> None:
    wrong = WRONG[name]
    wanted = world.wanted(**OUTSIDE)
    world.provision(**OUTSIDE)
    wrong.change(Hand(world))
    found = stored(world).get("client_secret")

    told = world.engine.run(*LOOK).succeeded().output
    assert wrong.told in " ".join(told.split())
    assert ("client_secret" in told.replace("client_secret_", "")) == wrong.renews
    assert "canary" not in told
    world.engine.run(*UP, "--refresh").succeeded()

    assert not world.inventory().compared_with(wanted)
    now = stored(world)
    assert accepted(world, now)
    assert (now["client_secret"] == found) != wrong.renews
    assert has_fingerprint(now["client_secret"], noted(world))
    world.engine.preview("--expect-no-changes", "--refresh").succeeded()


@pytest.mark.chaos
def test_a_handmade_credential_is_adopted_as_it_is(world: World, colleague: object) -> None:
    handmade = make_by_hand(world, colleague, world.engine.settings()["runaiBaseUrl"])  # type: ignore[arg-type]
    before = world.inventory()
    world.engine.configure(**BY_HAND)
    assert adopt_command(world, "production", "--apply").returncode == 0
    world.engine.configure(**OUTSIDE)
    refused = world.engine.run(*UP).failed()
    assert "serviceAccountSecret would stand in the state" in refused.errors
    assert not world.inventory().compared_with(before)

    world.engine.configure(serviceAccountSecret=None)
    world.engine.run(*UP).succeeded()

    assert not unmarked(world.inventory()).compared_with(before)
    assert stored(world)["client_secret"] == handmade.secret
    assert handmade.secret not in shown(world)
    world.engine.preview("--expect-no-changes", "--refresh").succeeded()
    world.engine.run(*DESTROY).succeeded()
    assert not world.inventory().compared_with(before), "given back as it was"


@pytest.mark.chaos
def test_an_interrupted_run_keeps_the_secret_that_it_stored(world: World) -> None:
    world.fresh()
    world.engine.configure(**OUTSIDE)
    for path in ("/api/v1/service-accounts/*/secret", "/api/v1/secrets"):
        killed = world.killed_at(lambda e: e.is_a("POST", path), "after", *UP)  # noqa: B023
        assert killed is not None
        world.engine.run("cancel", "--yes").succeeded()
    world.proxy.forget()
    world.engine.run(*UP).succeeded()

    assert not [
        e for e in world.proxy.requests if e.is_a("POST", "/api/v1/service-accounts/*/secret")
    ]
    assert accepted(world, stored(world))
    assert has_fingerprint(stored(world)["client_secret"], noted(world))


def test_a_fingerprint_tells_nothing_but_whether_it_is_the_same() -> None:
    one, again = fingerprint("a client secret"), fingerprint("a client secret")
    assert one != again, "two states do not show that they hold the same"
    assert has_fingerprint("a client secret", one)
    assert has_fingerprint("a client secret", again)
    assert not has_fingerprint("another", one)
    assert "secret" not in one
