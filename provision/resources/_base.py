"""What all resource classes share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pulumi
from pulumi.dynamic import Resource, ResourceProvider

from provision.naming import Owner


def owner_of(logical_name: str) -> Owner:
    """The identity of a resource of the running program."""
    return Owner(pulumi.get_organization(), pulumi.get_project(), pulumi.get_stack(), logical_name)


class ProvisionResource(Resource):
    """A dynamic resource whose secret outputs are always secret.

    The provider cannot mark what it returns as secret, so that is said here, once, and is not left
    to the user's resource options.
    """

    def __init__(
        self,
        provider: ResourceProvider,
        name: str,
        inputs: Mapping[str, Any],
        outputs: Iterable[str],
        opts: pulumi.ResourceOptions | None,
        *,
        secrets: Iterable[str] = (),
    ) -> None:
        hidden = set(secrets)
        props = {key: value for key, value in inputs.items() if value is not None}
        for key in hidden & props.keys():
            props[key] = pulumi.Output.secret(props[key])
        # An output is declared by an input without a value.
        props |= {key: None for key in outputs if key not in props}
        options = pulumi.ResourceOptions(additional_secret_outputs=sorted(hidden))
        super().__init__(provider, name, props, pulumi.ResourceOptions.merge(opts, options))
