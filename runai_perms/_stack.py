"""Reading a ZenML stack over REST: where its Run:ai component points, and which features it uses.

The ``zenml`` package is never imported: it costs seconds and writes to the user's configuration.
Facts about the API: ZenML 0.98's own server code.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from runai_perms._catalogue import Catalogue, load_catalogue
from runai_perms._errors import AuthenticationError, IncompleteAnswer, UnknownName, UsageError

FLAVORS = ("nvidia_runai", "runai")
"""Ours, and ZenML's builtin step operator, whose configuration has the same names."""

COMPONENT_PROFILES = {"orchestrator": "orchestrator", "step_operator": "step-operator"}

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Hosts to which plain http is no risk."""

RECENT_SNAPSHOTS = 20
"""Snapshots of the stack whose steps are looked at for settings, the newest first."""

TIMEOUT_SECONDS = 30.0
"""A ZenML server on SQLite answers a hydrated list of snapshots in well under that."""

_REFERENCE = re.compile(r"\s*\{\{\s*([^.{}]+?)\.([^{}]+?)\s*\}\}\s*")


@dataclass(frozen=True, slots=True)
class StackTarget:
    """What a stack says about the check: whom to check, against what, where."""

    stack: str
    profile: str
    features: tuple[str, ...]
    base_url: str
    project: str
    cluster: str | None
    ca_bundle: str | None
    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ZenMLConnection:
    """Where the ZenML server is and how to log in."""

    url: str
    api_key: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    @classmethod
    def find(cls, environ: Mapping[str, str] | None = None) -> ZenMLConnection:
        """From ``ZENML_STORE_URL`` and ``ZENML_STORE_API_KEY``, else from ZenML's own files."""
        values = os.environ if environ is None else environ
        url, key = values.get("ZENML_STORE_URL", ""), values.get("ZENML_STORE_API_KEY", "")
        if url and key:
            return cls(url.rstrip("/"), key)
        folder = Path(values.get("ZENML_CONFIG_PATH") or _config_folder())
        stored = _from_files(folder, url)
        if stored is None:
            raise AuthenticationError(
                "no ZenML server to ask for the stack: set ZENML_STORE_URL and"
                " ZENML_STORE_API_KEY, or log in with `zenml login`"
            )
        return cls(stored.url, key or stored.api_key, stored.token)


class ZenMLReader:
    """A few GET requests on a ZenML server; use it in a ``with`` statement."""

    def __init__(self, connection: ZenMLConnection) -> None:
        import httpx

        self._errors = httpx.HTTPError
        self._url = _checked(connection.url)
        self._http = httpx.Client(
            base_url=f"{self._url}/api/v1", timeout=TIMEOUT_SECONDS, follow_redirects=False
        )
        token = connection.token
        if connection.api_key:
            token = self._login(connection.api_key)
        self._http.headers["Authorization"] = f"Bearer {token}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def get(self, path: str, **params: Any) -> Any:
        """The JSON of one GET."""
        return self._send("GET", path, params=params)

    def one_named(self, path: str, kind: str, name: str) -> Mapping[str, Any]:
        """The object of exactly this name; names near misses if there is none."""
        found = self.get(path, name=name, hydrate=True)["items"]
        if not found:
            names = [i["name"] for i in self.get(path, size=100)["items"]]
            raise UnknownName(kind, name, names, f"looked on {self._url}")
        item: Mapping[str, Any] = found[0]
        return item

    def _login(self, api_key: str) -> str:
        return str(self._send("POST", "/login", data={"password": api_key})["access_token"])

    def _send(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            answer = self._http.request(method, path, **arguments)
        except self._errors as error:
            raise IncompleteAnswer(
                f"ZenML at {self._url} does not answer ({type(error).__name__}):"
                " check ZENML_STORE_URL and that the server runs"
            ) from None
        if answer.status_code in (401, 403):
            raise AuthenticationError(
                f"ZenML at {self._url} refuses the credentials ({answer.status_code} on"
                f" {method} {path}): check ZENML_STORE_API_KEY"
            )
        try:
            answer.raise_for_status()
            return answer.json()
        except (self._errors, ValueError):
            raise IncompleteAnswer(
                f"{method} {path} on {self._url} answered {answer.status_code}, not what a ZenML"
                " server would say: check ZENML_STORE_URL"
            ) from None


def read_stack(
    reader: ZenMLReader,
    name: str,
    profile: str | None = None,
    catalogue: Catalogue | None = None,
) -> StackTarget:
    """Find the stack's Run:ai component and what its configuration and its steps ask for.

    ``profile`` chooses between orchestrator and step operator where a stack has both.
    """
    catalogue = catalogue or load_catalogue()
    stack = reader.one_named("/stacks", "stack", name)
    components = _runai_components(reader, stack)
    if not components:
        raise UsageError(
            f"stack {name!r} has no Run:ai component: no orchestrator or step operator of flavor"
            f" {' or '.join(FLAVORS)}"
        )
    wanted = next((k for k, v in COMPONENT_PROFILES.items() if v == profile), None)
    kind = wanted if wanted in components else next(iter(components))
    config = components[kind]
    same = [c for c in components.values() if c.get("client_id") == config.get("client_id")]
    settings = [*same, *_step_settings(reader, stack)]
    features = tuple(
        feature.name
        for feature in catalogue.features.values()
        if any(feature.wanted_by(s) for s in settings)
    )
    values = {k: _resolved(reader, config, k) for k in ("client_id", "client_secret")}
    return StackTarget(
        stack=name,
        profile=COMPONENT_PROFILES[kind],
        features=features,
        base_url=_resolved(reader, config, "runai_base_url"),
        project=_resolved(reader, config, "project_name"),
        cluster=config.get("cluster_name"),
        ca_bundle=config.get("ca_bundle"),
        client_id=values["client_id"],
        client_secret=values["client_secret"],
    )


def _runai_components(
    reader: ZenMLReader, stack: Mapping[str, Any]
) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    by_type = stack["metadata"]["components"]
    for kind in COMPONENT_PROFILES:
        for entry in by_type.get(kind, ()):
            component = reader.get(f"/components/{entry['id']}", hydrate=True)
            if component["body"].get("flavor_name") in FLAVORS:
                found[kind] = component["metadata"]["configuration"]
    return found


def _step_settings(reader: ZenMLReader, stack: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Settings for our components in the newest pipelines that used the stack.

    ZenML keeps them under ``step_operator``, ``step_operator.<flavor>`` or
    ``step_operator:<component>``.
    """
    components = stack["metadata"]["components"]
    keys = set(COMPONENT_PROFILES)
    for kind in COMPONENT_PROFILES:
        keys |= {f"{kind}.{flavor}" for flavor in FLAVORS}
        keys |= {f"{kind}:{entry['name']}" for entry in components.get(kind, ())}
    page = reader.get(
        "/pipeline_snapshots",
        stack=stack["id"],
        hydrate=True,
        size=RECENT_SNAPSHOTS,
        sort_by="desc:created",
    )
    for snapshot in page["items"]:
        metadata = snapshot.get("metadata") or {}
        holders = [metadata.get("pipeline_configuration") or {}]
        steps = (metadata.get("step_configurations") or {}).values()
        holders += [step.get("config") or {} for step in steps]
        for holder in holders:
            settings = holder.get("settings") or {}
            yield from (settings[k] for k in keys & settings.keys() if settings[k])


def _resolved(reader: ZenMLReader, config: Mapping[str, Any], key: str) -> str:
    """A configuration value, looked up when it is a reference to a ZenML secret."""
    value = config.get(key)
    if not value:
        raise UsageError(f"the stack's Run:ai component has no {key}: set it and try again")
    reference = _REFERENCE.fullmatch(str(value))
    if not reference:
        return str(value)
    name, entry = reference.groups()
    listed = reader.one_named("/secrets", "secret", name)
    secret = reader.get(f"/secrets/{listed['id']}", hydrate=True)
    values = secret["body"].get("values") or {}
    if not values.get(entry):
        raise UnknownName("key", f"{name}.{entry}", hint=f"the ZenML secret {name!r} lacks it")
    return str(values[entry])


def _checked(url: str) -> str:
    """The server's URL, unless it would send the key over the network unencrypted."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise UsageError(f"{url!r} is not the URL of a ZenML server: check ZENML_STORE_URL")
    if parts.scheme == "http" and host not in LOOPBACK:
        raise UsageError(f"{url} would send the ZenML key unencrypted: use https")
    return url.rstrip("/")


def _config_folder() -> str:
    import click

    return click.get_app_dir("zenml")


def _from_files(folder: Path, url: str) -> ZenMLConnection | None:
    """The server and token that `zenml login` left, if a YAML reader is at hand."""
    try:
        import yaml  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        return None
    try:
        config = yaml.safe_load((folder / "config.yaml").read_text("utf-8")) or {}
        stored = yaml.safe_load((folder / "credentials.yaml").read_text("utf-8")) or {}
    except (OSError, yaml.YAMLError):
        return None
    url = url or str((config.get("store") or {}).get("url") or "")
    entry = stored.get(url.rstrip("/")) or stored.get(url)
    if not url.startswith(("http://", "https://")) or not isinstance(entry, Mapping):
        return None
    token = (entry.get("api_token") or {}).get("access_token") or ""
    return ZenMLConnection(url.rstrip("/"), entry.get("api_key") or "", token)
