"""Recorded answers for a client without a network."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx
import yaml

from tools.wire import cassette
from tools.wire.scenario import Scenario

Interaction = dict[str, Any]


def interactions(found: Scenario, version: str) -> list[Interaction]:
    text = cassette.path_of(found.cassette(version)).read_text("utf-8")
    return list(yaml.safe_load(text)["interactions"])


class Tape(httpx.BaseTransport):
    """Answers from a list, by method and path, each once; 404 for all else."""

    def __init__(self, items: list[Interaction]) -> None:
        self.items = list(items)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        for index, item in enumerate(self.items):
            wanted = item["request"]
            path = urlsplit(wanted["uri"]).path
            if (wanted["method"], path) == (request.method, request.url.path):
                del self.items[index]
                answer = item["response"]
                body = answer["body"]["string"]
                return httpx.Response(
                    answer["status"]["code"],
                    headers=[(k, v) for k, vs in answer["headers"].items() for v in vs],
                    content=body if isinstance(body, bytes) else body.encode("utf-8", "replace"),
                )
        return httpx.Response(404, json={"code": 404, "message": "nothing more was recorded"})
