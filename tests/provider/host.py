"""Starts the real host of dynamic providers and speaks its protocol, as the engine does."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from pulumi.dynamic import ResourceProvider
from pulumi.dynamic.dynamic import serialize_provider
from pulumi.runtime import rpc
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

PROJECT = "zenml-runai"


class HostError(Exception):
    """The text with which an operation failed, as the engine would show it."""


@dataclass
class Changes:
    """The answer to a diff."""

    changes: bool | None
    replaces: list[str] = field(default_factory=list)
    delete_before_replace: bool = False


class Host:
    """One host process with one configuration."""

    def __init__(self, stub: Any) -> None:
        self._stub = stub

    def check(
        self, provider: ResourceProvider, news: dict[str, Any], olds: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """The inputs with defaults, and the failures by property."""
        request = provider_pb2.CheckRequest(
            olds=_struct(provider, olds or {}), news=_struct(provider, news)
        )
        answer = self._call(self._stub.Check, request)
        failures = {failure.property: failure.reason for failure in answer.failures}
        return _values(answer.inputs), failures

    def create(
        self, provider: ResourceProvider, inputs: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """Check and create, as the engine does; id and outputs."""
        checked, failures = self.check(provider, inputs)
        if failures:
            raise HostError(str(failures))
        request = provider_pb2.CreateRequest(properties=_struct(provider, checked))
        answer = self._call(self._stub.Create, request)
        return answer.id, _values(answer.properties)

    def diff(
        self, provider: ResourceProvider, id: str, olds: dict[str, Any], news: dict[str, Any]
    ) -> Changes:
        request = provider_pb2.DiffRequest(
            id=id, olds=_struct(provider, olds), news=_struct(provider, news)
        )
        answer = self._call(self._stub.Diff, request)
        kinds = provider_pb2.DiffResponse
        changes = {kinds.DIFF_NONE: False, kinds.DIFF_SOME: True}.get(answer.changes)
        return Changes(changes, sorted(answer.replaces), answer.deleteBeforeReplace)

    def update(
        self, provider: ResourceProvider, id: str, olds: dict[str, Any], news: dict[str, Any]
    ) -> dict[str, Any]:
        request = provider_pb2.UpdateRequest(
            id=id, olds=_struct(provider, olds), news=_struct(provider, news)
        )
        return _values(self._call(self._stub.Update, request).properties)

    def read(
        self, provider: ResourceProvider, id: str, outs: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Outputs and inputs of the live object; None if it is gone."""
        request = provider_pb2.ReadRequest(id=id, properties=_struct(provider, outs))
        answer = self._call(self._stub.Read, request)
        return (_values(answer.properties), _values(answer.inputs)) if answer.id else None

    def delete(self, provider: ResourceProvider, id: str, outs: dict[str, Any]) -> None:
        request = provider_pb2.DeleteRequest(id=id, properties=_struct(provider, outs))
        self._call(self._stub.Delete, request)

    def _call(self, method: Any, request: Any) -> Any:
        try:
            return method(request, timeout=120)
        except grpc.RpcError as error:
            raise HostError(error.details()) from None  # type: ignore[attr-defined]


@contextmanager
def running_host(config: Mapping[str, str]) -> Iterator[Host]:
    """A host configured with values of the project's namespace."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "pulumi.dynamic"],
        stdout=subprocess.PIPE,
        env={**os.environ, "PULUMI_PROJECT": PROJECT},
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = provider_pb2_grpc.ResourceProviderStub(channel)
            arguments = {f"{PROJECT}:{key}": value for key, value in config.items()}
            stub.Configure(provider_pb2.ConfigureRequest(args=_serialize(arguments)))
            yield Host(stub)
    finally:
        process.kill()
        process.wait()


def _struct(provider: ResourceProvider, properties: dict[str, Any]) -> Any:
    return _serialize({**properties, "__provider": serialize_provider(provider)})


def _serialize(values: Mapping[str, Any]) -> Any:
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(rpc.serialize_properties(dict(values), {}))
    finally:
        loop.close()


def _values(struct: Any) -> dict[str, Any]:
    values = dict(rpc.deserialize_properties(struct, keep_unknowns=True))
    values.pop("__provider", None)
    return values
