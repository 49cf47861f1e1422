"""The ZenML client: what it sends again, what it never sends again, and what it says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from provision import zenml_errors as errors
from provision.zenml_rest import ZenMLClient

KEY = "ZENKEY_canary"
Answer = Callable[[httpx.Request], httpx.Response]


class Server:
    """Answers in turn; counts what it was asked, logins apart."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.logins = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v1/login":
            self.logins += 1
            return httpx.Response(200, json={"access_token": f"token-{self.logins}"})
        self.asked.append(f"{request.method} {request.url.path}")
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(request)


def client(server: Server, **options: Any) -> ZenMLClient:
    return ZenMLClient(
        "https://zenml.example.com", SecretStr(KEY),
        transport=httpx.MockTransport(server), **options,
    )  # fmt: skip


def status(code: int, json: Any = None, **headers: str) -> Answer:
    return lambda request: httpx.Response(code, json=json, headers=headers)


def broken(error: type[httpx.HTTPError]) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error("gone")

    return answer


THING = status(200, {"id": "1", "name": "n"})


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr("provision.zenml_rest.time.sleep", waited.append)
    return waited


@pytest.mark.parametrize("fault", [status(502), status(503), broken(httpx.ReadTimeout)])
def test_a_read_is_sent_again(fault: Any) -> None:
    server = Server(fault, fault, THING)
    assert client(server).components.get("1").name == "n"
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    "fault",
    [status(502), status(503), status(504), broken(httpx.ReadTimeout), broken(httpx.ReadError)],
)
def test_a_creation_that_may_have_happened_is_not_sent_again(fault: Any) -> None:
    server = Server(fault, THING)
    with pytest.raises(errors.ZenMLAmbiguousOutcome, match="may have been processed"):
        client(server).components.create({"name": "n"})
    assert len(server.asked) == 1


@pytest.mark.parametrize("fault", [broken(httpx.ConnectError), status(429), status(429, None)])
def test_a_creation_that_cannot_have_happened_is_sent_again(fault: Any) -> None:
    server = Server(fault, THING)
    assert client(server).components.create({"name": "n"}).id == "1"


def test_the_server_says_how_long_to_wait(no_waiting: list[float]) -> None:
    server = Server(status(503, None, **{"Retry-After": "7"}), THING)
    client(server).components.create({"name": "n"})
    assert no_waiting == [7.0]


def test_it_gives_up_at_the_deadline() -> None:
    server = Server(status(503, None, **{"Retry-After": "30"}))
    with pytest.raises(errors.ZenMLConnectionFailed, match="status 503"):
        client(server, call_seconds=10).components.get("1")
    assert len(server.asked) == 1


def test_one_new_login_after_a_401_then_no_more() -> None:
    server = Server(status(401, {"detail": ["x", "expired"]}), THING)
    assert client(server).components.get("1").id == "1"
    assert server.logins == 2

    server = Server(status(401, {"detail": ["x", "no"]}))
    with pytest.raises(errors.ZenMLAuthenticationFailed):
        client(server).components.get("1")
    assert (server.logins, len(server.asked)) == (2, 2)


def test_threads_share_one_login() -> None:
    server = Server(THING)
    shared = client(server)
    threads = [threading.Thread(target=shared.components.get, args=("1",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.logins == 1


def test_a_deletion_whose_answer_was_lost_has_succeeded() -> None:
    server = Server(broken(httpx.ReadTimeout), status(404, {"detail": ["KeyError", "gone"]}))
    assert client(server).stacks.delete("1") is False


def test_pages_are_read_to_the_end() -> None:
    def page(number: int) -> Any:
        item = {"id": str(number), "name": f"n{number}"}
        return status(200, {"items": [item], "total_pages": 3})

    server = Server(page(1), page(2), page(3))
    assert [r.name for r in client(server).stacks.matching()] == ["n1", "n2", "n3"]


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (
            status(403, {"detail": ["IllegalOperation", "in use"]}),
            errors.ZenMLRefused,
            "in use",
        ),
        (status(404, {"detail": ["KeyError", '"No such"']}), errors.ZenMLNotFound, "No such"),
        (status(409, {"detail": ["EntityExistsError", "taken"]}), errors.ZenMLExists, "taken"),
        (status(500, {"detail": "oops"}), errors.ZenMLServerError, "oops"),
        (status(500, None), errors.ZenMLServerError, "no reason"),
        (lambda r: httpx.Response(200, text="<html>"), errors.ZenMLInvalidResponse, "address"),
        (status(302, None, Location="/x"), errors.ZenMLInvalidResponse, "redirects"),
        (status(200, {"name": "n"}), errors.ZenMLInvalidResponse, "no id"),
    ],
)
def test_answers_become_typed_errors(answer: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        client(Server(answer)).components.get("1")


def test_a_name_that_another_took_meanwhile_is_taken() -> None:
    """The words of a server on SQLite that was asked for one flavor twice at once."""
    message = "(sqlite3.IntegrityError) UNIQUE constraint failed: flavor.name, flavor.type"
    answer = status(500, {"detail": ["RuntimeError", message]})
    with pytest.raises(errors.ZenMLExists, match="UNIQUE"):
        client(Server(answer)).flavors.create({"name": "n"})
    with pytest.raises(errors.ZenMLServerError):
        client(Server(answer)).flavors.get("1")


@pytest.mark.parametrize(
    "message",
    [
        "1 validation error:\n {'loc': ('body', 'values'), 'msg': \"must be text\", "
        "'input': 'canary'}",
        "1 validation error for C\nx\n  must be text [type=t, input_value={'s': 'canary'}, "
        "input_type=dict]\n    For further information visit https://errors.pydantic.dev/2/v/t",
        f"must be text, says {KEY}",
    ],
)
def test_a_rejected_input_is_not_repeated(message: str) -> None:
    server = Server(status(422, ["ValueError", message]))
    with pytest.raises(errors.ZenMLInvalid, match="must be text") as caught:
        client(server).secrets.create({"name": "n"})
    assert "canary" not in str(caught.value)
    assert "https://" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("zenml.example.com", "is not an address"),
        ("ftp://zenml.example.com", "is not an address"),
        ("http://zenml.example.com", "unencrypted"),
        ("https://u:p@zenml.example.com", "must not hold credentials"),
        ("https://zenml.example.com?x=1", "must not hold credentials"),
    ],
)
def test_unusable_addresses_are_refused(url: str, text: str) -> None:
    with pytest.raises(errors.ZenMLConfigurationError, match=text):
        ZenMLClient(url, SecretStr(KEY))


def test_a_ca_bundle_that_cannot_be_read_is_named(tmp_path: Any) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("nonsense")
    with pytest.raises(errors.ZenMLConfigurationError, match=r"ca\.pem cannot be read"):
        ZenMLClient("https://zenml.example.com", SecretStr(KEY), ca_bundle=str(bundle))


def test_neither_the_client_nor_a_record_shows_a_secret() -> None:
    server = Server(status(200, {"id": "1", "name": "n", "body": {"values": {"a": "canary"}}}))
    shown = client(server)
    assert "canary" not in repr(shown) + repr(vars(shown)) + repr(shown.secrets.get("1"))


def test_not_a_zenml_server() -> None:
    with pytest.raises(errors.ZenMLInvalidResponse, match="not as a ZenML server"):
        client(Server(status(200, {"status": "ok"}))).info()
