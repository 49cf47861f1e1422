"""What the two servers must hold, computed from the settings.

The model knows the settings only, not how they came about: whatever happened on the way, the same
settings must lead to the same objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from provision.naming import Owner, default_name, readable_name
from provision.providers.role import PROFILES, _needs
from runai_perms import smallest_cover
from tests.chaos.support.inventory import Inventory
from tests.chaos.support.world import EVERYTHING, PROJECT, World


def expected(world: World, settings: dict[str, Any], rotation: dict[str, str]) -> Inventory:
    """What the servers must hold after an `up` with these settings."""
    given = {**EVERYTHING, **{key: value for key, value in settings.items() if value is not None}}
    for key in [key for key, value in settings.items() if value is None]:
        given.pop(key, None)
    return Inventory(world.empty().objects + Inventory.of(_ours(world, given, rotation)).objects)


def _ours(
    world: World, given: dict[str, Any], rotation: dict[str, str]
) -> Iterator[tuple[str, Any]]:
    def owner(what: str) -> Owner:
        return Owner("organization", "zenml-runai", world.engine.stack, f"runai-{what}")

    def labels(what: str) -> dict[str, str]:
        return {"managed-by": "pulumi", "pulumi-owner": str(owner(what))}

    for_account = {key: value for key, value in rotation.items() if key != "registry"}
    for_registry = {key: value for key, value in rotation.items() if key == "registry"}
    account = given.get("serviceAccountName") or default_name(owner("account"), for_account)
    yield "account", {"name": account, "enabled": True}

    role = given.get("roleName") or default_name(owner("role"))
    if given["role"] == "custom":
        cover = smallest_cover(
            _needs([*PROFILES], given["features"]), world.runai.permission_sets.list()
        )
        yield (
            "role",
            {
                "name": role,
                "enabled": True,
                "description": f"Managed by Pulumi: {owner('role')}",
                "sets": sorted(found.id for found in cover.permission_sets),
            },
        )
    else:
        role = "AI practitioner"
    yield "rule", {"subject": account, "role": role, "scope": f"project {PROJECT}"}

    connection = {"runai_base_url": given["runaiBaseUrl"], "project_name": PROJECT}
    if given.get("registryUser"):
        registry = given.get("registryName") or default_name(owner("registry"), for_registry)
        connection["image_pull_secret_name"] = f"dockerregistry-{registry}"
        yield (
            "credential",
            {
                "name": registry,
                "user": given["registryUser"],
                "url": given["registryUrl"],
                "description": f"Managed by Pulumi: {owner('registry')}",
                "project": "1001",
            },
        )

    secret = given.get("zenmlSecretName") or default_name(owner("credentials"))
    yield "secret", {"name": secret, "keys": ["client_id", "client_secret", "pulumi_owner"]}
    for key in ("client_id", "client_secret"):
        connection[key] = f"{{{{{secret}.{key}}}}}"
    bucket = default_name(owner("artifact-store-credentials"))
    yield "secret", {"name": bucket, "keys": ["key", "pulumi_owner", "secret"]}
    keys = {key: f"{{{{{bucket}.{key}}}}}" for key in ("key", "secret")}

    general = given.get("zenmlStack") or readable_name(
        Owner("organization", "zenml-runai", world.engine.stack, "runai")
    )
    artifacts, images = given["artifactStoreDefinition"], given["containerRegistryDefinition"]
    parts = {
        "step_operator": (
            given.get("stepOperatorName") or general,
            "nvidia_runai",
            {**given.get("stepOperatorConfiguration", {}), **connection},
        ),
        "orchestrator": (
            given.get("orchestratorName") or general,
            "nvidia_runai",
            {**given.get("orchestratorConfiguration", {}), **connection},
        ),
        "artifact_store": (general, artifacts["flavor"], {**artifacts["configuration"], **keys}),
        "container_registry": (general, images["flavor"], images["configuration"]),
        "image_builder": (general, "local", {}),
    }
    for type, (name, flavor, configuration) in parts.items():
        yield (
            "component",
            {
                "name": name,
                "type": type,
                "flavor": flavor,
                "configuration": configuration,
                "labels": labels(type.replace("_", "-")),
            },
        )
    yield (
        "stack",
        {
            "name": general,
            "labels": labels("stack"),
            "components": {type: [name] for type, (name, _, _) in parts.items()},
        },
    )
    for type, source in (("step_operator", "StepOperator"), ("orchestrator", "Orchestrator")):
        yield (
            "flavor",
            {
                "name": "nvidia_runai",
                "type": type,
                "source": f"zenml_runai.flavors.RunAI{source}Flavor",
            },
        )
