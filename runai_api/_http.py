"""The wire: one pool of connections, retries by verb, deadlines, typed errors.

The only module that knows httpx.
"""

from __future__ import annotations

import logging
import os
import platform
import random
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NoReturn, Protocol
from urllib.parse import urlsplit

import httpx

from runai_api import _constants as constants
from runai_api._config import RetryPolicy, Timeouts, is_loopback, normalise_base_url
from runai_api._encoding import encode_body, encode_query
from runai_api._failures import Reply, api_error, decode_json, redirect_error
from runai_api._operation import Operation
from runai_api._request_log import RequestLog
from runai_api.errors import (
    AmbiguousOutcome,
    ConfigurationError,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidResponse,
    RunaiError,
)
from runai_api.redaction import redacted

logger = logging.getLogger("runai_api")

# httpx tells every URL at INFO, and httpcore every response header at DEBUG.
for _name in ("httpx", "httpcore"):
    if logging.getLogger(_name).level == logging.NOTSET:
        logging.getLogger(_name).setLevel(logging.WARNING)


class Tokens(Protocol):
    """Where a session gets its bearer tokens from."""

    client_id: str

    @property
    def legacy(self) -> bool: ...

    def current(self, deadline: Deadline) -> str: ...

    def renew(self, rejected: str, deadline: Deadline) -> str: ...

    def secrets(self) -> Iterable[str]: ...


class Deadline:
    """The moment at which a call must be over."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        return self._end - time.monotonic()


class _Unsent(Exception):
    """The request did not leave this machine."""

    def __init__(self, error: RunaiError, *, transient: bool) -> None:
        self.error = error
        self.transient = transient


class _Broken(Exception):
    """The request left, its answer did not arrive whole."""

    def __init__(self, error: RunaiError) -> None:
        self.error = error


class Session:
    """Sends operations to one control plane. Safe to share between threads."""

    def __init__(
        self,
        base_url: str,
        *,
        ca_bundle: str | os.PathLike[str] | None = None,
        proxy: str | None = None,
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
        request_log: str | os.PathLike[str] | None = None,
        transport: Any = None,
    ) -> None:
        self.base_url = normalise_base_url(base_url)
        self.timeouts = timeouts or Timeouts()
        self.retry = retry or RetryPolicy()
        self.tokens: Tokens | None = None
        self.sleep: Callable[[float], None] = time.sleep
        self._log = RequestLog(request_log) if request_log else None
        self._client = self._build_client(ca_bundle, proxy, transport)

    def close(self) -> None:
        self._client.close()
        if self._log:
            self._log.close()

    def call(
        self,
        operation: Operation,
        *,
        path: Mapping[str, object] | None = None,
        params: Mapping[str, object] | None = None,
        body: object = None,
        form: Mapping[str, str] | None = None,
        scope: str | None = None,
        secrets: Iterable[str] = (),
        deadline: Deadline | None = None,
    ) -> Any:
        """Send one operation and return the JSON value of its answer (None if it has no body).

        `params` with the value None are left out, sequences are joined with commas. `scope` says in
        words where the permission must be held. `secrets` are texts of the body that must not be
        shown even if the server repeats them.
        """
        target = operation.path(path)
        url = self.base_url + target + encode_query(params)
        content, headers = encode_body(body, form)
        deadline = deadline or Deadline(self.timeouts.total)
        what = f"{operation.method} {target}"
        attempt, renewed, token = 1, False, None
        while True:
            failure: RunaiError
            pause: float | None = None
            try:
                if operation.authenticated and self.tokens:
                    token = token or self.tokens.current(deadline)
                    headers["Authorization"] = f"Bearer {token}"
                    if operation.current_only and self.tokens.legacy:
                        raise ConfigurationError(
                            f"{operation.name} needs a control plane of 2.24 or newer; "
                            f"{self._host()} is older.",
                            hint="Use applications and predefined roles there.",
                        )
                reply = self._exchange(operation, target, url, headers, content, deadline, attempt)
            except _Unsent as unsent:
                failure = unsent.error
                if not unsent.transient:
                    raise failure from unsent.__cause__
            except _Broken as broken:
                failure = broken.error
                if not operation.repeatable:
                    _ambiguous(operation, target, failure)
            else:
                if reply.status == 401 and token and self.tokens and not renewed:
                    renewed, token = True, self.tokens.renew(token, deadline)
                    continue
                if 200 <= reply.status < 300:
                    return self._result(reply, operation, target)
                if reply.status == 404 and operation.method == "DELETE" and attempt > 1:
                    return None
                if reply.status < 400:
                    raise redirect_error(reply, what)
                failure = api_error(
                    reply,
                    operation,
                    target,
                    permission=self._permission(operation),
                    scope=scope,
                    client_id=self.tokens.client_id if self.tokens else "the service account",
                    redact=self._redactor(secrets),
                )
                pause = reply.retry_after
                if not _may_repeat(operation, reply):
                    if _may_have_happened(operation, reply):
                        _ambiguous(operation, target, failure, reply.status)
                    raise failure
                if pause is not None and pause > self.retry.retry_after_ceiling:
                    raise failure
            self._pause_or_raise(failure, attempt, pause, deadline, what)
            attempt += 1

    def _exchange(
        self,
        operation: Operation,
        target: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        deadline: Deadline,
        attempt: int,
    ) -> Reply:
        """One try, noted in the request log."""
        started = time.monotonic()
        status: int | None = None
        error: str | None = None
        try:
            reply = self._send(operation.method, url, headers, content, deadline)
            status = reply.status
            return reply
        except (_Unsent, _Broken) as failure:
            error = type(failure.error).__name__
            raise
        except BaseException as failure:
            error = type(failure).__name__
            raise
        finally:
            spent = round((time.monotonic() - started) * 1000, 1)
            logger.debug(
                "%s %s -> %s in %.1f ms (try %d)",
                operation.method,
                target,
                status or error,
                spent,
                attempt,
            )
            if self._log:
                self._log.write(
                    {
                        "method": operation.method,
                        "path": target,
                        "template": operation.template,
                        "operation": operation.name,
                        "status": status,
                        "permission": self._permission(operation),
                        "attempt": attempt,
                        "duration_ms": spent,
                        "error": error,
                    }
                )

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        deadline: Deadline,
    ) -> Reply:
        if self._client.is_closed:
            raise _Unsent(ConfigurationError("This client has been closed."), transient=False)
        left = deadline.remaining()
        if left <= 0:
            raise _Unsent(self._out_of_time(deadline), transient=False)
        limits = self.timeouts
        timeout = httpx.Timeout(
            connect=min(limits.connect, left),
            read=min(limits.read, left),
            write=min(limits.write, left),
            pool=min(limits.pool, left),
        )
        try:
            request = self._client.build_request(
                method, url, headers=dict(headers), content=content, timeout=timeout
            )
            response = self._client.send(request, stream=True)
            try:
                return Reply(response.status_code, response.headers, self._read(response, deadline))
            finally:
                response.close()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as e:
            raise self._unsent(e, deadline) from e
        except (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL) as e:
            problem = ConfigurationError(f"The request to {self._host()} cannot be built.")
            raise _Unsent(problem, transient=False) from e
        except httpx.TimeoutException as e:
            if deadline.remaining() <= 0:
                raise _Broken(self._out_of_time(deadline)) from e
            raise _Broken(
                ConnectionFailed(
                    f"{self._host()} did not answer within {limits.read:g} s.",
                    hint="It may be overloaded; try again.",
                )
            ) from e
        except (httpx.HTTPError, httpx.StreamError, OSError) as e:
            problem_text = f"The connection to {self._host()} broke before the answer was complete"
            raise _Broken(ConnectionFailed(f"{problem_text} ({type(e).__name__}).")) from e

    def _read(self, response: httpx.Response, deadline: Deadline) -> bytes:
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_bytes():
            size += len(chunk)
            if size > constants.MAX_RESPONSE_BYTES:
                limit = constants.MAX_RESPONSE_BYTES // (1024 * 1024)
                raise _Broken(InvalidResponse(f"An answer of {self._host()} exceeds {limit} MiB."))
            if deadline.remaining() <= 0:
                raise _Broken(self._out_of_time(deadline))
            chunks.append(chunk)
        return b"".join(chunks)

    def _result(self, reply: Reply, operation: Operation, target: str) -> Any:
        if not reply.body.strip():
            return None
        try:
            return decode_json(reply, f"{operation.method} {target}")
        except InvalidResponse as error:
            if operation.repeatable:
                raise
            _ambiguous(operation, target, error, reply.status)

    def _pause_or_raise(
        self, failure: RunaiError, attempt: int, asked: float | None, deadline: Deadline, what: str
    ) -> None:
        if isinstance(failure, (DeadlineExceeded, InvalidResponse)):
            raise failure
        if attempt >= self.retry.attempts:
            raise failure
        longest = min(self.retry.max_delay, self.retry.base_delay * 2 ** (attempt - 1))
        delay = asked if asked is not None else longest * random.uniform(0.5, 1.0)  # noqa: S311
        if delay >= deadline.remaining():
            if asked is not None:
                raise failure
            raise DeadlineExceeded(
                f"{what} did not succeed within {deadline.seconds:g} s. Last trouble: {failure}"
            ) from failure
        logger.debug("%s: %s; next try in %.2f s", what, type(failure).__name__, delay)
        self.sleep(delay)

    def _unsent(self, error: Exception, deadline: Deadline) -> _Unsent:
        if deadline.remaining() <= 0:
            return _Unsent(self._out_of_time(deadline), transient=False)
        causes = list(_causes(error))
        if isinstance(error, httpx.ProxyError):
            problem = ConnectionFailed(
                f"The proxy refused the way to {self._host()}.",
                hint="Check the proxy's address and credentials (HTTPS_PROXY, NO_PROXY).",
            )
            return _Unsent(problem, transient=False)
        for cause in causes:
            if isinstance(cause, ssl.SSLError):
                why = getattr(cause, "verify_message", "") or cause.reason or "handshake failed"
                problem = ConnectionFailed(
                    f"No trusted TLS connection to {self._host()}: {why}.",
                    hint="If it uses a private certificate authority give its file as ca_bundle "
                    "(RUNAI_CA_BUNDLE; with Pulumi: pulumi config set runaiCaBundle <file>).",
                )
                return _Unsent(problem, transient=False)
            if isinstance(cause, socket.gaierror):
                problem = ConnectionFailed(
                    f"The host name {self._host()} is unknown.",
                    hint="Check the base URL and the network's name service.",
                )
                return _Unsent(problem, transient=cause.errno == socket.EAI_AGAIN)
        if isinstance(error, httpx.PoolTimeout):
            problem = ConnectionFailed("All connections of this client are busy.")
        elif isinstance(error, httpx.ConnectTimeout):
            problem = ConnectionFailed(
                f"{self._host()} did not accept a connection within {self.timeouts.connect:g} s.",
                hint="Check the base URL, firewall and proxy.",
            )
        else:
            reasons = [c.strerror for c in causes if isinstance(c, OSError) and c.strerror]
            why = reasons[-1] if reasons else "connection failed"
            problem = ConnectionFailed(
                f"No connection to {self._host()}: {why}.", hint="Check the base URL and network."
            )
        return _Unsent(problem, transient=True)

    def _out_of_time(self, deadline: Deadline) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"{self._host()} did not answer within the {deadline.seconds:g} s for this call.",
            hint="Raise Timeouts.total if the control plane is known to be slow.",
        )

    def _permission(self, operation: Operation) -> str | None:
        return operation.permission(legacy=bool(self.tokens and self.tokens.legacy))

    def _host(self) -> str:
        return urlsplit(self.base_url).netloc

    def _redactor(self, secrets: Iterable[str]) -> Callable[[str], str]:
        hidden = [*secrets, *(self.tokens.secrets() if self.tokens else ())]
        return lambda text: redacted(text, hidden)

    def _build_client(
        self, ca_bundle: str | os.PathLike[str] | None, proxy: str | None, transport: Any
    ) -> httpx.Client:
        parts = urlsplit(self.base_url)
        # Proxies of the environment are for the way out, not for services on this machine.
        environment = not is_loopback(parts.hostname or "")
        # A transport of the caller's own brings its own TLS.
        context = True if transport else _tls(ca_bundle, parts.scheme)
        try:
            return httpx.Client(
                headers={"Accept": "application/json", "User-Agent": _user_agent()},
                verify=context,
                proxy=proxy,
                trust_env=environment,
                follow_redirects=False,
                limits=httpx.Limits(
                    max_connections=constants.MAX_CONNECTIONS,
                    max_keepalive_connections=constants.MAX_CONNECTIONS,
                    keepalive_expiry=constants.KEEPALIVE_SECONDS,
                ),
                transport=transport,
            )
        except (ValueError, httpx.InvalidURL, ImportError) as error:
            raise ConfigurationError(
                "The proxy's address cannot be used.",
                hint="It looks like http://proxy.example.com:3128 (argument proxy, HTTPS_PROXY).",
            ) from error


def _tls(ca_bundle: str | os.PathLike[str] | None, scheme: str) -> ssl.SSLContext:
    """Verification is always on; `ca_bundle` (file or folder) replaces the public authorities."""
    if ca_bundle:
        try:
            folder = os.path.isdir(ca_bundle)
            return ssl.create_default_context(
                cafile=None if folder else os.fspath(ca_bundle),
                capath=os.fspath(ca_bundle) if folder else None,
            )
        except OSError as error:
            raise ConfigurationError(
                f"The certificate file {os.fspath(ca_bundle)} cannot be used: "
                f"{error.strerror or 'it holds no PEM certificate'}.",
                hint="Give a PEM file with the certificate authority of the control plane.",
            ) from error
    if scheme == "http":  # nothing to verify, and reading the authorities costs 30 ms
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        raise ConfigurationError(
            "The certificate authorities that the environment names cannot be read.",
            hint="Check SSL_CERT_FILE and SSL_CERT_DIR, or give ca_bundle.",
        ) from error


def _may_repeat(operation: Operation, reply: Reply) -> bool:
    if reply.status not in constants.RETRY_STATUSES:
        return False
    if operation.repeatable or reply.status == 429:
        return True
    return reply.status == 503 and reply.retry_after is not None


def _may_have_happened(operation: Operation, reply: Reply) -> bool:
    if operation.repeatable or reply.status < 500:
        return False
    return reply.status not in constants.NOT_PROCESSED_STATUSES


def _ambiguous(
    operation: Operation, path: str, cause: RunaiError, status: int | None = None
) -> NoReturn:
    raise AmbiguousOutcome(
        f"{operation.method} {path} may have been carried out, its result is unknown: {cause}",
        method=operation.method,
        path=path,
        status=status,
        hint="Look the object up by name before you try again.",
    ) from cause


def _causes(error: BaseException) -> Iterable[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


@cache
def _user_agent() -> str:
    try:
        own = version("zenml-runai")
    except PackageNotFoundError:
        own = "0"
    return f"zenml-runai/{own} python/{platform.python_version()}"
