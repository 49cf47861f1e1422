"""Resources of the Run:ai control plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import pulumi
from pulumi import Input, Output

from provision.naming import default_name
from provision.providers.access_rule import AccessRuleProvider
from provision.providers.project import RunaiProjectProvider
from provision.providers.registry_credential import RegistryCredentialProvider
from provision.providers.role import PROFILES, CustomRoleProvider, PredefinedRoleProvider
from provision.providers.service_account import ServiceAccountProvider
from provision.resources._base import ProvisionResource, owner_of

Adopt = Literal["never", "if_exists", "required"]


class RunaiProject(ProvisionResource, module="runai", name="Project"):
    """Looks an existing project up; creates nothing, and deletes only what is left of `planned`.

    Its checks run in every preview that has something new to check: the project exists and is
    Ready, its GPU quota is not zero, the scope is not above the project.

    Deleted last, it deletes what a killed run made and the state never noted (see Never lose).
    """

    project_id: Output[str]
    cluster_id: Output[str]
    namespace: Output[str]
    """Kubernetes namespace of the project."""
    scope_type: Output[str]
    scope_id: Output[str]
    gpu_quota: Output[float]
    """Deserved GPUs over all node pools."""
    control_plane_version: Output[str]
    """``"2.24"`` stands for 2.24 and newer, ``"2.23"`` for 2.23 and older."""

    def __init__(
        self,
        resource_name: str,
        name: Input[str],
        *,
        base_url: Input[str] | None = None,
        cluster: Input[str] | None = None,
        scope_type: Input[str] = "project",
        allow_broader_scope: Input[bool] = False,
        require_gpu_quota: Input[bool] = True,
        provisioning_features: Sequence[str] = (),
        planned: Sequence[Mapping[str, str]] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Args:
        name: Name of the project.
        base_url: Control plane, to notice that the configuration points to another one.
        cluster: Name of its cluster, needed if several clusters have a project of this name.
        scope_type: ``project``; ``department``, ``cluster`` or ``tenant`` only if allowed.
        allow_broader_scope: Allow a scope above the project.
        require_gpu_quota: Refuse a project without GPU quota.
        provisioning_features: What the administrator's rights are checked for beyond the
            usual (``custom_role``, ``credentials``).
        planned: What the program makes, of resources that depend on this one:
            ``{type: service_account, name}``, only for a default name; ``{type: role, owner}`` and
            ``{type: registry_credential, owner}``.
        """
        inputs = {
            "base_url": base_url,
            "name": name,
            "cluster": cluster,
            "scope_type": scope_type,
            "allow_broader_scope": allow_broader_scope,
            "require_gpu_quota": require_gpu_quota,
            "provisioning_features": list(provisioning_features),
            "planned": [dict(entry) for entry in planned],
        }
        outputs = (
            "project_id", "cluster_id", "namespace", "scope_type", "scope_id", "gpu_quota",
            "control_plane_version",
        )  # fmt: skip
        super().__init__(RunaiProjectProvider(), resource_name, inputs, outputs, opts)


class ServiceAccount(ProvisionResource, module="runai", name="ServiceAccount"):
    """A service account (2.24 and newer) or an application (up to 2.23)."""

    name: Output[str]
    enabled: Output[bool]
    client_id: Output[str]
    client_secret: Output[str]
    """Secret. Shown once by the control plane, kept encrypted in the state; absent with
    `secret_in_state` off."""
    subject_type: Output[str]
    """``service-account`` or ``app``, for access rules."""
    subject_id: Output[str]
    adopted: Output[bool]

    def __init__(
        self,
        resource_name: str,
        name: str | None = None,
        *,
        enabled: Input[bool] = True,
        rotation: Mapping[str, str] | None = None,
        adopt: Adopt = "never",
        adopt_secret: Input[str] | None = None,
        rotate_on_adopt: bool = False,
        secret_in_state: bool = True,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Args:
        name: Exact name. By default a name that only this resource of this stack can have.
        enabled: A disabled account gets no tokens.
        rotation: Any change of this map makes a new secret. With the default name a second
            account is made first and the old one deleted last, so that the old secret works until
            everything has the new one; with an exact name the secret is replaced in place.
        adopt: Whether an account of the exact `name` that exists may (or must) be taken over.
        adopt_secret: The adopted account's secret, which cannot be read.
        rotate_on_adopt: Make a new secret for an adopted account instead.
        secret_in_state: Off, there is no output `client_secret`, and the program never sees one:
            give the account to the `client_secret_of` of a `ZenMLSecret`, which makes one and
            stores it in ZenML only. `rotation` then gives the account its name alone.
        """
        inputs = {
            "name": name or default_name(owner_of(resource_name), rotation),
            "name_is_ours": name is None,
            "enabled": enabled,
            "rotation": dict(rotation or {}) if secret_in_state else {},
            "adopt": adopt,
            "adopt_secret": adopt_secret,
            "rotate_on_adopt": rotate_on_adopt,
            "discard_secret": None if secret_in_state else True,
        }
        outputs = ("client_id", "client_secret", "subject_type", "subject_id", "adopted")
        super().__init__(
            ServiceAccountProvider(), resource_name, inputs, outputs, opts,
            secrets=("client_secret", "adopt_secret"),
        )  # fmt: skip


class PredefinedRole(ProvisionResource, module="runai", name="PredefinedRole"):
    """Looks a role up by name; creates nothing."""

    role_id: Output[int]
    role_name: Output[str]

    def __init__(
        self,
        resource_name: str,
        name: Input[str] | None = None,
        *,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Args:
        name: Name of the role. By default ``AI practitioner``, or ``L1 researcher`` on a control
            plane of 2.23 or older.
        """
        super().__init__(
            PredefinedRoleProvider(), resource_name, {"name": name}, ("role_id", "role_name"), opts
        )


class CustomRole(ProvisionResource, module="runai", name="CustomRole"):
    """A role of the fewest permission sets that cover what the features need (2.24 and newer)."""

    role_id: Output[int]
    role_name: Output[str]
    needed: Output[Mapping[str, str]]
    """Permissions as ``<resourceType>:<action>``, each with the features that need it."""
    permission_sets: Output[Mapping[str, str]]
    """Name and id of the permission sets that were chosen."""
    excess: Output[Mapping[str, str]]
    """Permissions that no choice of sets can avoid granting, each with the set that brings it."""
    adopted: Output[bool]

    def __init__(
        self,
        resource_name: str,
        name: str | None = None,
        *,
        features: Sequence[str] = (),
        profiles: Sequence[str] = PROFILES,
        description: Input[str] = "",
        enabled: Input[bool] = True,
        adopt: Adopt = "never",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Args:
        name: Exact name. By default a name that only this resource of this stack can have.
        features: What is used beyond the basics: delete_on_failure, templates, node_pools,
            s3_mounts, credentials, distributed, inference.
        profiles: Which programs use the role: step-operator, orchestrator.
        """
        owner = owner_of(resource_name)
        inputs = {
            "name": name or default_name(owner),
            "features": sorted(set(features)),
            "profiles": list(profiles),
            "description": description,
            "enabled": enabled,
            "owner": str(owner),
            "adopt": adopt,
        }
        outputs = ("role_id", "role_name", "needed", "permission_sets", "excess", "adopted")
        super().__init__(CustomRoleProvider(), resource_name, inputs, outputs, opts)


class AccessRule(ProvisionResource, module="runai", name="AccessRule"):
    """Gives a subject a role at a scope, and waits until the clusters know it."""

    role_name: Output[str]
    scope_name: Output[str]
    excess: Output[Sequence[str]]
    """What else the subject was granted, as the last refresh found. Reported, never deleted."""
    adopted: Output[bool]

    def __init__(
        self,
        resource_name: str,
        *,
        subject_id: Input[str],
        subject_type: Input[str],
        role_id: Input[int] | Input[str],
        scope_id: Input[str],
        scope_type: Input[str] = "project",
        cluster_id: Input[str] | None = None,
        allow_broader_scope: Input[bool] = False,
        adopt: Adopt = "never",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Args:
        subject_id: For service accounts and applications their client id.
        subject_type: service-account, app, user or group.
        role_id: The id of a role resource stays known in the preview of its update.
        scope_type: ``project``; anything wider only with `allow_broader_scope`.
        scope_id: Id of the project (department, cluster, tenant), as text.
        adopt: Unless ``never``, a rule of the same content that somebody else made stays when this
            resource is destroyed. A rule is never doubled.
        """
        inputs = {
            "subject_id": subject_id,
            "subject_type": subject_type,
            "role_id": role_id,
            "scope_type": scope_type,
            "scope_id": scope_id,
            "cluster_id": cluster_id,
            "allow_broader_scope": allow_broader_scope,
            "adopt": adopt,
        }
        super().__init__(
            AccessRuleProvider(),
            resource_name,
            inputs,
            ("role_name", "scope_name", "excess", "adopted"),
            opts,
        )


class RegistryCredential(ProvisionResource, module="runai", name="RegistryCredential"):
    """A docker-registry credential of a project."""

    name: Output[str]
    kubernetes_secret_name: Output[str]
    """What ``image_pull_secret_name`` of the components refers to."""
    adopted: Output[bool]

    def __init__(
        self,
        resource_name: str,
        name: str | None = None,
        *,
        project_id: Input[str],
        user: Input[str] | None = None,
        password: Input[str] | None = None,
        url: Input[str] | None = None,
        existing_secret_name: Input[str] | None = None,
        description: Input[str] = "",
        rotation: Mapping[str, str] | None = None,
        adopt: Adopt = "never",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Give either user, password and url, or existing_secret_name.

        Args:
        name: Exact name. By default a name that only this resource of this stack can have.
        existing_secret_name: A Kubernetes secret in the project's namespace.
        rotation: A change gives the credential a new default name, so that a new password can be
            stored while workloads still use the old credential.
        """
        owner = owner_of(resource_name)
        inputs = {
            "name": name or default_name(owner, rotation),
            "project_id": project_id,
            "user": user,
            "password": password,
            "url": url,
            "existing_secret_name": existing_secret_name,
            "description": description,
            "owner": str(owner),
            "adopt": adopt,
        }
        super().__init__(
            RegistryCredentialProvider(), resource_name, inputs,
            ("kubernetes_secret_name", "adopted"), opts, secrets=("password",),
        )  # fmt: skip
