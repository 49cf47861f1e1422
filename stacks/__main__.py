"""The program that `pulumi up` runs: typed configuration in, one component, its outputs."""

import pulumi

from provision import RunaiZenMLStack, read_config

stack = RunaiZenMLStack("runai", read_config())

for name, value in stack.summary().items():
    pulumi.export(name, value)
