"""A server that stands before another and, when told to, refuses a request by quoting it."""

from __future__ import annotations

import fnmatch
import html
import json
import re
import threading
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import quote, quote_plus, unquote_plus, urlsplit

#: How a careless server may repeat what it was sent.
WRITINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "decoded": lambda text: text if text.startswith("{") else unquote_plus(text),
    "values of JSON": lambda text: "; ".join(_values(text)),
    "values in a message of Python": lambda text: "; ".join(map(repr, _values(text))),
    "in a form": lambda text: "; ".join(map(quote_plus, _values(text))),
    "in a path": lambda text: "; ".join(map(quote, _values(text))),
    "in HTML": lambda text: "; ".join(map(html.escape, _values(text))),
    "in base64": lambda text: "; ".join(b64encode(v.encode()).decode() for v in _values(text)),
}


@dataclass
class Refusal:
    """Answers matching requests with `status` and a quotation; `hits` counts them."""

    method: str
    path: str
    status: int
    writing: str = "as it is"
    hits: int = 0

    def message(self, authorization: str, body: bytes) -> str:
        self.hits += 1
        return f"cannot digest {WRITINGS[self.writing](body.decode())} of {authorization}"


class Parrot:
    """`url` takes the place of `upstream`; `tokens` and `secrets` are the bearer tokens and the
    new client secrets that came by."""

    def __init__(self, upstream: str) -> None:
        self.tokens: set[str] = set()
        self.secrets: set[str] = set()
        self.refusals: list[Refusal] = []
        parrot, address = self, urlsplit(upstream).netloc

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_: object) -> None:
                pass

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                authorization = self.headers.get("Authorization", "")
                if authorization.startswith("Bearer "):
                    parrot.tokens.add(authorization.removeprefix("Bearer "))
                refusal = parrot.refusal_of(self.command, self.path.partition("?")[0])
                if refusal is not None:
                    said = refusal.message(authorization, body)
                    both = {"code": refusal.status, "message": said, "detail": ["Refused", said]}
                    return self.send(refusal.status, "application/json", json.dumps(both).encode())
                onward = HTTPConnection(address, timeout=60)
                headers = {k: v for k, v in self.headers.items() if k.lower() != "connection"}
                onward.request(self.command, self.path, body, headers)
                answer = onward.getresponse()
                content = answer.read()
                parrot.secrets.update(re.findall(r'"clientSecret":\s*"([^"]+)"', content.decode()))
                onward.close()
                kind = answer.headers.get("Content-Type", "")
                return self.send(answer.status, kind, content)

            def send(self, status: int, kind: str, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                if status != 204:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._server.daemon_threads = True
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def refuse(self, method: str, path: str, status: int, writing: str = "as it is") -> Refusal:
        refusal = Refusal(method, path, status, writing)
        self.refusals.append(refusal)
        return refusal

    def refusal_of(self, method: str, path: str) -> Refusal | None:
        return next(
            (each for each in self.refusals
             if each.method == method and fnmatch.fnmatchcase(path, each.path)),
            None,
        )  # fmt: skip


def _values(text: str) -> list[str]:
    """The texts in a body, of JSON or of a form."""
    try:
        found = json.loads(text)
    except ValueError:
        return [unquote_plus(pair.partition("=")[2]) for pair in text.split("&")]

    def texts(value: object) -> list[str]:
        if isinstance(value, dict):
            return [text for part in value.values() for text in texts(part)]
        if isinstance(value, list):
            return [text for part in value for text in texts(part)]
        return [value] if isinstance(value, str) else []

    return texts(found)
