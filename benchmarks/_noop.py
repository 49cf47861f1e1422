"""The peer of the provisioning benchmark: a provider that asks nobody."""

from __future__ import annotations

from typing import Any

from pulumi.dynamic import CreateResult, ResourceProvider

#: The input that tells which outputs the real resource has.
OUTPUTS = "outputs_of_the_real_one"

#: A Pulumi program with the real resources and component, but with this provider everywhere.
PROGRAM = """
import pulumi
from benchmarks._noop import OUTPUTS, NoOp
from provision import RunaiZenMLStack, read_config
from provision.resources._base import ProvisionResource

real = ProvisionResource.__init__

def init(self, provider, name, inputs, outputs, opts, *, secrets=()):
    inputs = {**inputs, OUTPUTS: sorted(outputs)}
    real(self, NoOp(), name, inputs, outputs, opts, secrets=secrets)

ProvisionResource.__init__ = init
stack = RunaiZenMLStack("runai", read_config())
for name, value in stack.summary().items():
    pulumi.export(name, value)
"""


class NoOp(ResourceProvider):
    """Creates nothing, and returns a word for each output."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        made = {name: "noop" for name in props.get(OUTPUTS, []) if props.get(name) is None}
        return CreateResult("noop", {**props, **made})
