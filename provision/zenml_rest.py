"""A small client of the ZenML REST API (0.98), enough to register a stack.

Registering over REST needs neither the `zenml` package nor the user's ZenML configuration, and
imports in a twentieth of the time. Facts about the API come from ZenML 0.98's server code and from
runs against a real server.

Errors: see `provision.zenml_errors`.
"""

from __future__ import annotations

import json
import random
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from provision import _constants as constants
from provision.zenml_errors import (
    ZenMLAmbiguousOutcome,
    ZenMLAPIError,
    ZenMLAuthenticationFailed,
    ZenMLConfigurationError,
    ZenMLConnectionFailed,
    ZenMLExists,
    ZenMLInvalid,
    ZenMLInvalidResponse,
    ZenMLNotFound,
    ZenMLRefused,
    ZenMLServerError,
)
from runai_api.redaction import redacted

JSON = dict[str, Any]

#: Answers after which a request was certainly not processed, or may be sent again.
_TEMPORARY = frozenset({429, 502, 503, 504})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
#: Run states in which somebody still waits for a run (documented: ZenML's ExecutionStatus).
UNFINISHED = (
    "initializing", "provisioning", "queued", "running", "retrying", "cancelling", "paused",
    "resuming", "stopping",
)  # fmt: skip


@dataclass(frozen=True)
class ServerInfo:
    """What ``GET /info`` tells without a login."""

    id: str
    version: str
    dashboard_url: str

    @property
    def version_numbers(self) -> tuple[int, ...]:
        match = re.match(r"(\d+)\.(\d+)\.(\d+)", self.version)
        return tuple(map(int, match.groups())) if match else (0, 0, 0)


@dataclass(frozen=True)
class Record:
    """An object of the server: flavor, component, stack or secret."""

    id: str
    name: str
    body: Mapping[str, Any]
    metadata: Mapping[str, Any]
    resources: Mapping[str, Any]

    @property
    def labels(self) -> Mapping[str, Any]:
        return self.metadata.get("labels") or {}

    @property
    def configuration(self) -> Mapping[str, Any]:
        return self.metadata.get("configuration") or {}

    @property
    def type(self) -> str:
        return str(self.body.get("type", ""))

    def __repr__(self) -> str:
        # The body of a secret holds its values.
        return f"Record(id={self.id!r}, name={self.name!r})"


class Collection:
    """One kind of object: ``/flavors``, ``/components``, ``/stacks`` or ``/secrets``."""

    def __init__(self, client: ZenMLClient, path: str) -> None:
        self._client = client
        self._path = path

    def create(self, body: Mapping[str, Any]) -> Record:
        """Create an object.

        Raises:
            ZenMLExists: the name is taken.
            ZenMLAmbiguousOutcome: the answer was lost; look the name up.
        """
        return _record(self._client.request("POST", self._path, body=body))

    def get(self, id: str) -> Record:
        return _record(self._client.request("GET", f"{self._path}/{id}"))

    def find(self, name: str, **filters: str) -> Record | None:
        """The object of exactly this name (and, for example, ``type``), or None."""
        found = self.matching(name=f"equals:{name}", **filters)
        return next((record for record in found if record.name == name), None)

    def matching(self, **filters: str) -> list[Record]:
        """All objects that match, page by page; hydrated, so that labels are there."""
        records: list[Record] = []
        page = 1
        while True:
            query = {**filters, "hydrate": "true", "size": "100", "page": str(page)}
            answer = self._client.request("GET", self._path, query=query)
            items = answer.get("items")
            if not isinstance(items, list):
                raise ZenMLInvalidResponse(f"GET {self._path} did not answer with a page of items")
            records.extend(_record(item) for item in items)
            if page >= int(answer.get("total_pages") or 1):
                return records
            page += 1

    def find_all(self, names: Sequence[str], **filters: str) -> list[Record]:
        """The objects with any of these names, in one request."""
        return self.matching(name=f"oneof:{json.dumps(sorted(set(names)))}", **filters)

    def update(self, id: str, body: Mapping[str, Any], **query: str) -> Record:
        """Change an object. Dictionaries (configuration, labels, values, components) are replaced
        as a whole, not merged; only a secret's values are with ``patch_values="true"``, where None
        removes a key."""
        path = f"{self._path}/{id}"
        return _record(self._client.request("PUT", path, body=body, query=query or None))

    def delete(self, id: str) -> bool:
        """Delete an object; False if it was gone already.

        Raises:
            ZenMLRefused: something still uses it.
        """
        try:
            self._client.request("DELETE", f"{self._path}/{id}")
        except ZenMLNotFound:
            return False
        return True


class ZenMLClient:
    """A ZenML server, with one login for the life of the client. Safe to share between threads."""

    _errors: ClassVar[dict[int, type[ZenMLAPIError]]] = {
        400: ZenMLInvalid,
        401: ZenMLAuthenticationFailed,
        403: ZenMLRefused,
        404: ZenMLNotFound,
        409: ZenMLExists,
        422: ZenMLInvalid,
    }

    def __init__(
        self,
        url: str,
        api_key: SecretStr,
        *,
        ca_bundle: str | None = None,
        call_seconds: float = constants.CALL_SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Prepare a client; nothing is sent yet.

        Args:
            url: Address of the server, for example ``https://zenml.example.com``.
            api_key: API key of a ZenML service account.
            ca_bundle: Path of a PEM file with the certificate authority of a private server.
            call_seconds: End of one call, retries included.
            transport: For tests.

        Raises:
            ZenMLConfigurationError: the URL or the CA bundle cannot be used.
        """
        self.url = _server_url(url)
        self._api_key = api_key
        self._call_seconds = call_seconds
        self._token: SecretStr | None = None
        self._login_lock = threading.Lock()
        self._http = httpx.Client(
            base_url=f"{self.url}/api/v1",
            timeout=httpx.Timeout(constants.READ_SECONDS, connect=constants.CONNECT_SECONDS),
            # Plain http goes to loopback only; certificates are not even loaded for it.
            verify=_tls_context(ca_bundle) if self.url.startswith("https:") else False,
            # A proxy has no business between this machine and itself.
            trust_env=urlsplit(self.url).hostname not in _LOOPBACK,
            transport=transport,
        )
        self.flavors = Collection(self, "/flavors")
        self.components = Collection(self, "/components")
        self.stacks = Collection(self, "/stacks")
        self.secrets = Collection(self, "/secrets")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"ZenMLClient({self.url!r})"

    def close(self) -> None:
        self._http.close()

    def info(self) -> ServerInfo:
        """Identity and version of the server; needs no login."""
        answer = self.request("GET", "/info", login=False)
        if not isinstance(answer.get("version"), str) or "id" not in answer:
            raise ZenMLInvalidResponse(f"{self.url} answers, but not as a ZenML server does")
        dashboard = str(answer.get("dashboard_url") or self.url).rstrip("/")
        return ServerInfo(str(answer["id"]), answer["version"], dashboard)

    def login(self) -> None:
        """Exchange the API key for a token, once; later calls return at once.

        Raises:
            ZenMLAuthenticationFailed: the key is wrong, expired or disabled.
        """
        self._bearer(None)

    def unfinished_runs(self, stack_id: str) -> list[Record]:
        """Pipeline runs on a stack that have not ended."""
        return Collection(self, "/runs").matching(
            stack_id=stack_id, status=f"oneof:{json.dumps(UNFINISHED)}"
        )

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        login: bool = True,
    ) -> JSON:
        """Send one request; return the JSON object of the answer, empty if it has no body.

        GET, PUT and DELETE are sent again after a lost connection or a temporary error. A POST is
        sent again only if the server cannot have processed it.
        """
        deadline = time.monotonic() + self._call_seconds
        used = self._bearer(None) if login else None
        answer = self._send(method, path, deadline, used, body=body, query=query)
        if answer.status_code == 401 and login:
            used = self._bearer(used)
            answer = self._send(method, path, deadline, used, body=body, query=query)
        return self._parse(answer, method, path, body)

    def _bearer(self, refused: SecretStr | None) -> SecretStr:
        """The token; a new one if the current one is `refused`. One thread at a time logs in."""
        with self._login_lock:
            if self._token is None or self._token is refused:
                deadline = time.monotonic() + self._call_seconds
                form = {"password": self._api_key.get_secret_value()}
                answer = self._send("POST", "/login", deadline, None, form=form)
                token = self._parse(answer, "POST", "/login").get("access_token")
                if not isinstance(token, str):
                    raise ZenMLInvalidResponse(f"{self.url} answered a login without a token")
                self._token = SecretStr(token)
            return self._token

    def _send(
        self,
        method: str,
        path: str,
        deadline: float,
        token: SecretStr | None,
        *,
        body: Mapping[str, Any] | None = None,
        form: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
        # A login changes nothing that matters: a second one is as good as the first.
        repeatable = method != "POST" or path == "/login"
        for attempt in range(1, constants.MAXIMUM_ATTEMPTS + 1):
            remaining = deadline - time.monotonic()
            failure: str
            wait: float | None = None
            try:
                answer = self._http.request(
                    method, path, json=body, data=form, params=query, headers=headers,
                    timeout=httpx.Timeout(
                        max(0.1, min(constants.READ_SECONDS, remaining)),
                        connect=max(0.1, min(constants.CONNECT_SECONDS, remaining)),
                    ),
                )  # fmt: skip
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
                if "[SSL" in str(error):
                    raise ZenMLConnectionFailed(
                        f"No secure connection to the ZenML server at {self.url}: "
                        f"{_reason(error)}. For a private certificate authority give its PEM file: "
                        "pulumi config set zenmlCaBundle <file>; check that the port speaks TLS."
                    ) from None
                failure = _reason(error)
            except httpx.HTTPError as error:
                failure = _reason(error)
                if not repeatable:
                    raise ZenMLAmbiguousOutcome(
                        f"The answer to {method} {path} of {self.url} was lost ({failure}); "
                        "it may have been processed."
                    ) from None
            else:
                if answer.status_code not in _TEMPORARY:
                    return answer
                wait = _retry_after(answer)
                if not repeatable and not (
                    answer.status_code == 429 or (answer.status_code == 503 and wait is not None)
                ):
                    raise ZenMLAmbiguousOutcome(
                        f"{method} {path} of {self.url} was answered with {answer.status_code}; "
                        "it may have been processed."
                    )
                failure = f"status {answer.status_code}"
                if attempt == constants.MAXIMUM_ATTEMPTS:
                    return answer
            pause = wait if wait is not None else _backoff(attempt)
            if attempt == constants.MAXIMUM_ATTEMPTS or time.monotonic() + pause > deadline:
                break
            time.sleep(pause)
        raise ZenMLConnectionFailed(
            f"No answer from the ZenML server at {self.url}: {failure} "
            f"({method} {path}, {attempt} attempts). Check the URL and that the server runs."
        )

    def _parse(
        self,
        answer: httpx.Response,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
    ) -> JSON:
        content: Any = None
        if answer.content:
            try:
                content = answer.json()
            except ValueError:
                content = None
        if answer.is_success:
            if not answer.content or (content is None and answer.text.strip() == "null"):
                return {}
            if not isinstance(content, dict):
                raise ZenMLInvalidResponse(
                    f"{method} {path} of {self.url} did not answer with JSON; is this the address "
                    "of a ZenML server?"
                )
            return content
        if answer.is_redirect:
            raise ZenMLInvalidResponse(
                f"{self.url} redirects {method} {path} to another place; give the final address."
            )
        kind, message = _error_text(content, lambda text: self._masked(text, body))
        if path == "/login" and answer.status_code in (400, 401, 403):
            error: type[ZenMLAPIError] = ZenMLAuthenticationFailed
            message = "The ZenML API key is not accepted. Make a new key of a ZenML service account"
        elif method == "POST" and any(text in message for text in constants.ZENML_NAME_TAKEN):
            error = ZenMLExists
        else:
            error = self._errors.get(answer.status_code, ZenMLServerError)
        raise error(answer.status_code, kind, message, method, path)

    def _masked(self, text: str, body: Mapping[str, Any] | None) -> str:
        """Without the credentials of this client, and without the values of a secret sent."""
        values = (body or {}).get("values")
        sent = values.values() if isinstance(values, Mapping) else ()
        # Shorter ones are words, not secrets.
        secrets = [value for value in sent if isinstance(value, str) and len(value) > 3]
        own = [each.get_secret_value() for each in (self._api_key, self._token) if each]
        return redacted(text, [*own, *secrets])


def _server_url(url: str) -> str:
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ZenMLConfigurationError(
            f"The ZenML URL {url!r} is not an address such as https://zenml.example.com."
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ZenMLConfigurationError("The ZenML URL must not hold credentials, ? or #.")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ZenMLConfigurationError(
            f"The ZenML URL {url!r} would send the API key unencrypted; use https."
        )
    return url.strip().rstrip("/").removesuffix("/api/v1")


def _tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_bundle:
        try:
            context.load_verify_locations(cafile=ca_bundle)
        except (OSError, ssl.SSLError) as error:
            raise ZenMLConfigurationError(
                f"The CA bundle {ca_bundle} cannot be read as PEM ({_reason(error)})."
            ) from None
    return context


def _record(item: Any) -> Record:
    if not isinstance(item, dict) or not isinstance(item.get("id"), str):
        raise ZenMLInvalidResponse("The ZenML server answered with an object that has no id.")
    return Record(
        item["id"],
        str(item.get("name", "")),
        item.get("body") or {},
        item.get("metadata") or {},
        item.get("resources") or {},
    )


def _error_text(content: Any, mask: Callable[[str], str]) -> tuple[str, str]:
    """Kind and message of ``{"detail": [kind, message]}`` or of a bare ``[kind, message]``."""
    detail = content.get("detail") if isinstance(content, dict) else content
    if isinstance(detail, list) and len(detail) >= 2 and isinstance(detail[1], str):
        # Masked first: what is cut off below may be the end of a secret.
        kind, message = mask(str(detail[0])), mask(detail[1])
    elif isinstance(detail, str):
        kind, message = "", mask(detail)
    else:
        return "", "The server gave no reason"
    # Validation errors quote the rejected input, which may be a secret, and the server's code.
    message = re.sub(r"'input': .*", "", message, flags=re.DOTALL).split("\n\n  File ")[0]
    message = re.sub(r"\[type=.*?, input_value=.*?, input_type=\w+\]", "", message, flags=re.DOTALL)
    message = re.sub(r"For further information visit \S+", "", message)
    return kind, " ".join(message.strip(" \"'\n,{").split()).rstrip(".")


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _retry_after(answer: httpx.Response) -> float | None:
    value = answer.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else None


def _backoff(attempt: int) -> float:
    longest = constants.FIRST_BACKOFF_SECONDS * 2.0 ** (attempt - 1)
    jitter: float = random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, guards nothing
    return min(longest, constants.LONGEST_BACKOFF_SECONDS) * jitter
