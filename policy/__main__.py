"""A policy pack for Pulumi: what must hold of every program that grants rights on Run:ai.

``pulumi up --policy-pack <this folder>``. All rules are mandatory; a JSON file given with
``--policy-pack-config`` can make one of them advisory, or disable it. The providers refuse a scope
above the project already, unless the program allows it; this pack refuses it even then, because
whoever runs it is not always who wrote the program.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

try:
    from pulumi_policy import (
        EnforcementLevel,
        PolicyPack,
        PolicyResource,
        ResourceValidationArgs,
        ResourceValidationPolicy,
        StackValidationArgs,
        StackValidationPolicy,
    )
    from pulumi_policy.proxy import UnknownValueError
except ModuleNotFoundError:
    sys.exit("The policy pack needs pulumi-policy: pip install 'zenml-runai[policy]'")

from runai_perms import load_catalogue

KIND = "pulumi-python:dynamic/runai:"
PROJECT, RULE, ACCOUNT = f"{KIND}Project", f"{KIND}AccessRule", f"{KIND}ServiceAccount"
ROLES = (f"{KIND}PredefinedRole", f"{KIND}CustomRole")
#: The subjects of machines. Whoever grants rights to people does not do it with this toolkit.
MACHINES = ("service-account", "app")

Report = Callable[..., None]


def scope(args: ResourceValidationArgs, report: Report) -> None:
    if args.resource_type not in (PROJECT, RULE):
        return
    found = dict(known(args.props)).get("scope_type", "project")
    if found != "project":
        report(
            f"{args.name} asks for the scope {found!r}: the same credentials could submit into "
            "other projects. Use the scope 'project', once for each project that needs it."
        )


def administrator(args: ResourceValidationArgs, report: Report) -> None:
    if args.resource_type in ROLES:
        role = role_name(args.props)
        if "administrator" in role.lower():
            report(
                f"{args.name} is the role {role!r}: credentials of a pipeline must not administer. "
                "Use 'AI practitioner', or a custom role of what the features need."
            )


def deprecated(args: StackValidationArgs, report: Report) -> None:
    versions = {
        of(r, "control_plane_version") for r in args.resources if r.resource_type == PROJECT
    }
    for resource in args.resources:
        if resource.resource_type not in ROLES:
            continue
        role = role_name(resource.props)
        entry = load_catalogue().deprecated_roles.get(role)
        # Up to 2.23 the control plane has nothing newer.
        if entry is None or ("since" in entry and versions == {"2.23"}):
            continue
        report(f"{resource.name} is the deprecated role {role!r}. Use {entry['instead']}.",
               resource.urn)  # fmt: skip


def owner(args: StackValidationArgs, report: Report) -> None:
    for rule in args.resources:
        if rule.resource_type != RULE:
            continue
        if of(rule, "subject_type") not in (*MACHINES, None) or not comes_from(
            rule, "subject_id", ACCOUNT
        ):
            report(
                f"{rule.name} grants rights to a subject that is not a service account of this "
                "stack: nobody takes them back when the stack goes. Make a ServiceAccount in the "
                "program, and use its subject_id and subject_type.",
                rule.urn,
            )
        if not comes_from(rule, "role_id", *ROLES):
            report(
                f"{rule.name} names its role by a number, so that nobody can tell which one it "
                "is. Use the id of a PredefinedRole or CustomRole of the program.",
                rule.urn,
            )


def comes_from(resource: PolicyResource, key: str, *types: str) -> bool:
    """Whether an input is an output of a resource of one of the types."""
    return any(
        source.resource_type in types for source in resource.property_dependencies.get(key, [])
    )


def of(resource: PolicyResource, key: str) -> Any:
    """An input, or None if it is not known yet."""
    return dict(known(resource.props)).get(key)


def role_name(props: Mapping[str, Any]) -> str:
    found = dict(known(props))
    return str(found.get("role_name") or found.get("name") or "")


def known(props: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The properties that are known; reading another one would end the whole rule."""
    for key in props:
        try:
            yield key, props[key]
        except UnknownValueError:
            continue


PolicyPack(
    "zenml-runai",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=[
        ResourceValidationPolicy(
            "no-scope-above-project", "Access rules hold in one project.", scope
        ),
        ResourceValidationPolicy(
            "no-administrator-role", "Pipelines do not administer.", administrator
        ),
        StackValidationPolicy(
            "no-deprecated-role", "Roles are those that the control plane recommends.", deprecated
        ),
        StackValidationPolicy(
            "no-rule-without-owner", "Rules grant a role of the program to an account of it.", owner
        ),
    ],
)
