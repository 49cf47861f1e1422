"""Cassettes: how they are matched, written, headed and replayed.

The files are plain vcrpy cassettes: ``metadata`` first (what they were recorded from), then the
interactions, with JSON bodies laid out to be read.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import yaml
from vcr import VCR
from vcr.cassette import Cassette
from vcr.record_mode import RecordMode
from vcr.request import Request
from vcr.serializers import yamlserializer

from tools.wire.scrub import Scrubber

# vcrpy logs whole requests and answers at INFO, before they are scrubbed.
logging.getLogger("vcr").setLevel(logging.WARNING)

FOLDER = Path(__file__).resolve().parents[2] / "cassettes"
MATCH_ON = ("method", "host", "path", "query", "normalised_body")


class UnusedInteractions(AssertionError):
    """The replay asked for less than was recorded."""


def normalised(request: Request) -> object:
    """A request's body without the freedom of its encoding: key order, blanks, form order."""
    body = request.body
    if not body:
        return None
    text = body.decode() if isinstance(body, bytes) else str(body)
    if "form-urlencoded" in str(request.headers.get("content-type", "")):
        return sorted(parse_qsl(text, keep_blank_values=True))
    try:
        return json.loads(text)
    except ValueError:
        return text


def normalised_body(one: Request, other: Request) -> None:
    ours, theirs = normalised(one), normalised(other)
    if ours != theirs:
        raise AssertionError(f"{ours!r} != {theirs!r}")


class _Dumper(yaml.SafeDumper):
    """Keys in their order, texts of several lines as blocks."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


class _Serializer:
    """vcrpy's safe loader, and a writer for people."""

    deserialize = staticmethod(yamlserializer.deserialize)

    @staticmethod
    def serialize(data: Mapping[str, Any]) -> str:
        interactions = [
            {
                "request": {
                    key: item["request"][key] for key in ("method", "uri", "headers", "body")
                },
                "response": {key: item["response"][key] for key in ("status", "headers", "body")},
            }
            for item in data["interactions"]
        ]
        ordered = {
            "metadata": dict(data.get("metadata", {})),
            "version": data["version"],
            "interactions": interactions,
        }
        return yaml.dump(ordered, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)


def _machine(scrubber: Scrubber) -> VCR:
    machine = VCR(
        match_on=MATCH_ON,
        before_record_request=scrubber.request,
        decode_compressed_response=True,
    )
    machine.register_matcher("normalised_body", normalised_body)
    machine.register_serializer("readable", _Serializer)
    return machine


def path_of(case: str) -> Path:
    """``area/case`` -> its file."""
    return FOLDER / f"{case}.yaml"


def metadata_of(path: Path) -> dict[str, Any]:
    """The header of a cassette."""
    found = yamlserializer.deserialize(path.read_text("utf-8"))
    return dict(found.get("metadata") or {})


@contextmanager
def recording(path: Path, scrubber: Scrubber, metadata: Mapping[str, Any]) -> Iterator[Cassette]:
    """Record what happens inside into a fresh file; nothing is written if it raises."""
    last: list[str] = []

    def request(found: Request) -> Request:
        last[:] = [found.path]
        return scrubber.request(found)

    machine = _machine(scrubber)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    try:
        with machine.use_cassette(
            str(fresh),
            record_mode=RecordMode.ALL,
            serializer="readable",
            record_on_exception=False,
            before_record_request=request,
            before_record_response=lambda found: scrubber.response_to(last[0], found),
        ) as cassette:
            for key, value in metadata.items():
                cassette.get_metadata(key, value)
            yield cassette
            if not len(cassette):
                raise UnusedInteractions(f"{path} would hold no interaction")
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


@contextmanager
def replaying(path: Path, scrubber: Scrubber) -> Iterator[Cassette]:
    """Answer from the cassette alone; `UnusedInteractions` if some of it was not asked for."""
    machine = _machine(scrubber)
    with machine.use_cassette(
        str(path), record_mode=RecordMode.NONE, serializer="readable"
    ) as cassette:
        if not len(cassette):
            raise FileNotFoundError(f"{path} is missing or empty: make record")
        yield cassette
    unused = [
        f"{request.method} {request.uri}"
        for index, request in enumerate(cassette.requests)
        if not cassette.play_counts[index]
    ]
    if unused:
        raise UnusedInteractions(f"{path.name}: recorded but not asked for: {', '.join(unused)}")
