"""States of released versions: what one wrote, and what it had sent to both servers until then.

A fixture is recorded once, by the version that it stands for, and never changed. Later versions
must be able to go on from it. So that they can, the requests that made the objects are sent again
to the servers of the test, as they were; what the servers choose themselves (ids, client secrets)
stands in the fixture under a name, ``<runai-role.id>``, and is put in from their answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx

from provision.zenml_rest import ZenMLClient
from tests.chaos.support.proxy import Exchange, Proxy
from tests.engine.harness import ROOT, Engine

FOLDER = ROOT / "tests" / "fixtures" / "state"
STACK = "released"
#: Every kind of object that the component can make; the secrets are invented.
_COMMON: dict[str, Any] = {
    "runaiProject": "ml-team",
    "registryUrl": "https://registry.example.com",
    "registryUser": "robot",
    "registryPassword": "registry-fake-8a11",
    "artifactStoreDefinition": {"flavor": "s3", "configuration": {"path": "s3://zenml"}},
    "artifactStoreCredentials": {"key": "AKIA-fake-41c8", "secret": "s3-fake-95d2"},
    "containerRegistryDefinition": {
        "flavor": "default",
        "configuration": {"uri": "registry.example.com/ml"},
    },
}
#: By name of the fixture: the control plane's version and the settings.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "custom-role": ("2.24", {**_COMMON, "role": "custom", "features": ["delete_on_failure"]}),
    "predefined-role": ("2.24", {**_COMMON, "rotation": {"date": "2027-01"}}),
    "applications": ("2.23", _COMMON),
}

#: The key by which a state marks a secret; `--show-secrets` puts its value beside it.
SECRET = "4dabf18193072939515e22adb298388d"
#: Short ids are replaced only under these keys: elsewhere the same number means something else.
ID_KEYS = ("id", "role_id", "roleId", "accessRuleId")
#: These are looked up, not made: the emulator has them from the start, under the same ids.
LOOKED_UP = ("runai:Project", "runai:PredefinedRole")
#: Where on its machine the engine ran.
MACHINE_KEYS = ("sourcePosition", "stackTrace")
NAME = re.compile(r"<([a-zA-Z-]+(?:\.[a-z_]+)?)(:number)?>")


@dataclass(frozen=True)
class Request:
    """One request that changed something; `gives` says where in the answer which value stands."""

    server: str
    method: str
    path: str
    body: Any
    gives: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fixture:
    """The state of one stack and how the servers came to hold what it describes."""

    version: str
    control_plane: str
    settings: dict[str, Any]
    requests: list[Request]
    deployment: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Fixture:
        content = json.loads(path.read_text())
        requests = [Request(**entry) for entry in content.pop("requests")]
        return cls(requests=requests, **content)

    def write(self, path: Path) -> None:
        """One line for each request and resource."""
        content = asdict(self)
        requests, inner = content["requests"], content["deployment"]["deployment"]
        resources = inner["resources"]
        content["requests"], inner["resources"] = "%requests%", "%resources%"
        text = json.dumps(content, indent=1, sort_keys=True)
        for name, entries in (("requests", requests), ("resources", resources)):
            lines = ",\n".join(json.dumps(entry, sort_keys=True) for entry in entries)
            text = text.replace(f'"%{name}%"', f"[\n{lines}\n]")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")

    def resources(self) -> dict[str, dict[str, Any]]:
        """Dynamic resources by logical name."""
        return dynamic(self.deployment)


def dynamic(deployment: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        entry["urn"].rsplit("::", 1)[1]: entry
        for entry in deployment["deployment"]["resources"]
        if entry["type"].startswith("pulumi-python:dynamic")
    }


class Recorder(Proxy):
    """Also keeps what the servers answered."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[int, Any] = {}

    async def _ask(self, message: Any, exchange: Exchange, host: str, port: int) -> bytes:
        answer = await super()._ask(message, exchange, host, port)
        self.answers[exchange.number] = _json_of(answer)
        return answer

    def changes(self) -> Iterator[tuple[Exchange, Any]]:
        """The requests that changed something, in order, each with its answer."""
        for exchange in self.requests:
            asks = exchange.method == "GET" or exchange.path.endswith(("/token", "/login"))
            if not asks and exchange.status is not None and exchange.status < 300:
                yield exchange, self.answers.get(exchange.number)


def record(
    version: str, name: str, engine: Engine, recorder: Recorder, known: Mapping[str, str]
) -> Fixture:
    """The fixture of the stack that was just provisioned through the recorder; `known` are
    addresses and keys of the servers, by name."""
    control_plane, settings = VARIANTS[name]
    exported = engine.run("stack", "export", "--show-secrets").succeeded()
    deployment = json.loads(exported.output)
    values = {**known, **chosen_by_servers(deployment)}

    def hide(content: Any, key: str = "") -> Any:
        return _walk(content, lambda leaf, key: _hide(leaf, values, key), key)

    requests, given = [], set(known)
    for exchange, answer in recorder.changes():
        gives = {n: key for n, key in _given(answer, values).items() if n not in given}
        given |= gives.keys()
        path = "/".join(hide(part, "id") for part in exchange.path.split("/"))
        body = hide(json.loads(exchange.body)) if exchange.body else None
        requests.append(Request(exchange.server, exchange.method, path, body, gives))
    return Fixture(version, control_plane, settings, requests, hide(deployment))


def chosen_by_servers(deployment: Mapping[str, Any]) -> dict[str, str]:
    """What differs from run to run, by the name under which it stands in a fixture."""
    values = {}
    for name, entry in dynamic(deployment).items():
        if not entry["type"].endswith(LOOKED_UP):
            values[f"{name}.id"] = str(entry["id"])
        if entry["type"].endswith("runai:ServiceAccount"):
            outputs = entry["outputs"]
            values[f"{name}.client_secret"] = json.loads(outputs["client_secret"]["plaintext"])
            if outputs["client_id"] != outputs["name"]:
                values[f"{name}.client_id"] = str(outputs["client_id"])
    return values


def _given(answer: Any, values: Mapping[str, str]) -> dict[str, str]:
    """Which values an answer gives, and under which key."""
    return {
        name: key
        for name, value in values.items()
        for key, found in _flat(answer)
        if str(found) == value and (key.endswith("id") or not name.endswith(".id"))
    }


def _flat(answer: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(answer, dict):
        yield path, answer
        return
    for key, part in answer.items():
        yield from _flat(part, f"{path}.{key}" if path else key)


def send(request: Request, values: dict[str, str], runai: httpx.Client, zenml: ZenMLClient) -> None:
    """Send a recorded request again; add what its answer gives to the values."""
    path, body = restore(request.path, values), restore(request.body, values)
    if request.server == "zenml":
        answer = zenml.request(request.method, path.removeprefix("/api/v1"), body=body)
    else:
        sent = runai.request(request.method, path, json=body)
        assert sent.is_success, f"{request.method} {path}: {sent.status_code} {sent.text}"
        answer = sent.json() if sent.content else {}
    found = dict(_flat(answer))
    values.update({name: str(found[key]) for name, key in request.gives.items()})


def logged_in(emulator: Any) -> httpx.Client:
    """The administrator, with nothing between the requests and the control plane."""
    body = {
        "grantType": "client_credentials", "clientId": emulator.admin_id,
        "clientSecret": emulator.admin_secret,
    }  # fmt: skip
    url = emulator.base_url
    answer = httpx.post(f"{url}/api/v1/token", json=body, timeout=30, trust_env=False)
    token = answer.raise_for_status().json()["accessToken"]
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False)


def restore(content: Any, values: Mapping[str, str]) -> Any:
    """Put the values in place of their names."""

    def put(leaf: Any, _: str) -> Any:
        if not isinstance(leaf, str):
            return leaf
        whole = NAME.fullmatch(leaf)
        if whole and whole[2]:
            return int(values[whole[1]])
        return NAME.sub(lambda found: values[found[1]], leaf)

    return _walk(content, put)


def _hide(leaf: Any, values: Mapping[str, str], key: str) -> Any:
    """Put names in place of the values."""
    for name, value in values.items():
        if str(leaf) == value and (len(value) > 8 or key in ID_KEYS):
            return f"<{name}>" if isinstance(leaf, str) else f"<{name}:number>"
        if isinstance(leaf, str) and len(value) > 8:
            leaf = leaf.replace(value, f"<{name}>")
    return leaf


def _walk(content: Any, change: Callable[[Any, str], Any], key: str = "") -> Any:
    """A copy with every leaf changed; the values of secrets are JSON inside a text."""
    if isinstance(content, dict):
        if "plaintext" in content and SECRET in content:
            inner = _walk(json.loads(content["plaintext"]), change, key)
            return {**content, "plaintext": json.dumps(inner)}
        kept = {name: part for name, part in content.items() if name not in MACHINE_KEYS}
        return {name: _walk(part, change, name) for name, part in kept.items()}
    if isinstance(content, list):
        return [_walk(part, change, key) for part in content]
    return content if content is None or isinstance(content, bool) else change(content, key)


def _json_of(answer: bytes) -> Any:
    head, _, body = answer.partition(b"\r\n\r\n")
    rows = [row.partition(b":") for row in head.split(b"\r\n")[1:]]
    headers = {key.decode().lower(): value.strip().decode() for key, _, value in rows}
    content = httpx.Response(200, headers=headers, content=body).content
    try:
        return json.loads(content)
    except ValueError:
        return None
