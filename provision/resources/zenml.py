"""Resources of the ZenML server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi import Input, Output

from provision import _constants as constants
from provision.naming import default_name, readable_name
from provision.providers._journal import SECRET
from provision.providers.zenml_component import ZenMLComponentProvider
from provision.providers.zenml_flavor import ZenMLFlavorProvider
from provision.providers.zenml_secret import ZenMLSecretProvider
from provision.providers.zenml_server import ZenMLServerProvider
from provision.providers.zenml_stack import ZenMLStackProvider
from provision.resources._base import ProvisionResource, owner_of
from provision.resources.runai import Adopt, ServiceAccount


class ZenMLServer(ProvisionResource, module="zenml", name="Server"):
    """Looks the server up; creates nothing, and deletes only what is left of `planned`.

    Its checks run in every preview that has something new to check: the server is reachable and
    new enough, the API key works, the components that are referred to by name exist, and the names
    of those that are going to be made are free.

    Deleted last, it deletes what a killed run made and the state never noted (see Never lose).
    """

    server_id: Output[str]
    version: Output[str]
    dashboard_url: Output[str]
    component_ids: Output[Mapping[str, str]]
    """Ids of the existing components, by type."""
    component_flavors: Output[Mapping[str, str]]

    def __init__(
        self,
        resource_name: str,
        *,
        url: Input[str] | None = None,
        existing: Mapping[str, Input[str]] | None = None,
        planned: Sequence[Mapping[str, str]] = (),
        adopt: Adopt = "never",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Args:
        url: The server, to notice that the configuration points to another one.
        existing: Component type to name, for components that must exist.
        planned: ``{type, name, owner}`` of components, stacks (type ``stack``) and secrets (type
            ``secret``) that the program makes, of resources that depend on this one.
        adopt: As given to those.
        """
        inputs = {
            "url": url,
            "existing": dict(existing or {}),
            "planned": [dict(entry) for entry in planned if entry["type"] != SECRET],
            "planned_secrets": [dict(entry) for entry in planned if entry["type"] == SECRET],
            "adopt": adopt,
        }
        outputs = ("server_id", "version", "dashboard_url", "component_ids", "component_flavors")
        super().__init__(ZenMLServerProvider(), resource_name, inputs, outputs, opts)


class ZenMLSecret(ProvisionResource, module="zenml", name="Secret"):
    """Credentials for run time; components refer to them as ``{{name.key}}``."""

    name: Output[str]
    client_secret_fingerprint: Output[str]
    """With `client_secret_of`: ``<key>:<HMAC-SHA256>`` of the client secret, in hexadecimal."""
    adopted: Output[bool]

    def __init__(
        self,
        resource_name: str,
        name: str | None = None,
        *,
        values: Input[Mapping[str, Input[str]]],
        client_secret_of: ServiceAccount | None = None,
        rotation: Mapping[str, str] | None = None,
        adopt: Adopt = "never",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Args:
        name: Exact name. By default a name that only this resource of this stack can have.
        values: Always treated as secret. One key is added, which tells whose the secret is.
        client_secret_of: An account without `secret_in_state`. A new client secret of it is
            stored under the key ``client_secret``; neither program nor state ever hold it. One
            that is there already and is accepted is kept when the secret is taken over.
        rotation: Any change of this map makes a new client secret.
        """
        owner = owner_of(resource_name)
        account = client_secret_of and {
            "account_id": client_secret_of.id,
            "client_id": client_secret_of.client_id,
            "subject_type": client_secret_of.subject_type,
            "rotation": dict(rotation or {}),
        }
        inputs = {
            "name": name or default_name(owner),
            "values": values,
            "client_secret_of": account,
            "owner": str(owner),
            "adopt": adopt,
        }
        super().__init__(
            ZenMLSecretProvider(), resource_name, inputs, ("client_secret_fingerprint", "adopted"),
            opts, secrets=("values",),
        )  # fmt: skip


class ZenMLFlavor(ProvisionResource, module="zenml", name="Flavor"):
    """A flavor of this package. Stacks share it: the last one that goes deletes it."""

    name: Output[str]
    source: Output[str]
    shared: Output[bool]
    """Whether it was there already."""

    def __init__(
        self, resource_name: str, type: str, *, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Args:
        type: ``step_operator`` or ``orchestrator``.
        """
        super().__init__(
            ZenMLFlavorProvider(), resource_name, {"type": type}, ("name", "source", "shared"), opts
        )


class ZenMLComponent(ProvisionResource, module="zenml", name="Component"):
    """A stack component of any type and flavor."""

    name: Output[str]
    type: Output[str]
    flavor: Output[str]
    configuration: Output[Mapping[str, Any]]
    adopted: Output[bool]

    def __init__(
        self,
        resource_name: str,
        name: str | None = None,
        *,
        type: str,
        flavor: str = constants.FLAVOR_NAME,
        configuration: Input[Mapping[str, Any]] | None = None,
        labels: Mapping[str, Input[str]] | None = None,
        connector: Input[str] | None = None,
        connector_resource_id: Input[str] | None = None,
        adopt: Adopt = "never",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Args:
        name: By default ``<resource name>-<stack>``; the labels tell whose it is.
        configuration: Options of the flavor. Secrets belong into a `ZenMLSecret`, referred to
            as ``{{name.key}}``.
        connector: Id of a service connector.
        """
        owner = owner_of(resource_name)
        inputs = {
            "name": name or readable_name(owner),
            "type": type,
            "flavor": flavor,
            "configuration": {} if configuration is None else configuration,
            "labels": dict(labels or {}),
            "connector": connector,
            "connector_resource_id": connector_resource_id,
            "owner": str(owner),
            "adopt": adopt,
        }
        super().__init__(ZenMLComponentProvider(), resource_name, inputs, ("adopted",), opts)


class ZenMLStack(ProvisionResource, module="zenml", name="Stack"):
    """A ZenML stack. Its id survives every change of its components."""

    name: Output[str]
    components: Output[Mapping[str, str]]
    adopted: Output[bool]

    def __init__(
        self,
        resource_name: str,
        name: str | None = None,
        *,
        components: Mapping[str, Input[str]],
        description: Input[str] = "",
        labels: Mapping[str, Input[str]] | None = None,
        adopt: Adopt = "never",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Args:
        name: By default ``<resource name>-<stack>``; the labels tell whose it is.
        components: Component type to component id; orchestrator and artifact_store are needed.
        """
        owner = owner_of(resource_name)
        inputs = {
            "name": name or readable_name(owner),
            "components": dict(components),
            "description": description,
            "labels": dict(labels or {}),
            "owner": str(owner),
            "adopt": adopt,
        }
        super().__init__(ZenMLStackProvider(), resource_name, inputs, ("adopted",), opts)
