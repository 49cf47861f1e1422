"""Options that commands share, and their completion; imports click only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from runai_perms._catalogue import Catalogue

F = TypeVar("F", bound=Callable[..., Any])


def _complete_profile(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    return [n for n in catalogue().profiles if n.startswith(incomplete)]


def _complete_feature(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    done, _sep, last = incomplete.rpartition(",")
    head = f"{done}," if done else ""
    return [head + n for n in catalogue().features if n.startswith(last)]


def complete_permission(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Completion for ``<resourceType>:<action>``."""
    permissions = {p for o in catalogue().operations.values() for p in o.any_of}
    return sorted(str(p) for p in permissions if str(p).startswith(incomplete))


def complete_resource_type(
    context: click.Context, _: click.Parameter, incomplete: str
) -> list[str]:
    """Completion for resource types."""
    return [n for n in catalogue().resource_types if n.startswith(incomplete)]


def catalogue() -> Catalogue:
    """The catalogue, loaded when it is first needed."""
    from runai_perms._catalogue import load_catalogue

    return load_catalogue()


def _stacked(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


access_options: Callable[[F], F] = _stacked(
    click.option("--base-url", metavar="URL", help="Control plane [RUNAI_BASE_URL]."),
    click.option("--client-id", metavar="ID", help="Client id [RUNAI_CLIENT_ID]."),
    click.option(
        "--client-secret-file",
        metavar="FILE",
        help="File with the client secret, - for standard input [RUNAI_CLIENT_SECRET].",
    ),
    click.option("--ca-bundle", metavar="FILE", help="Certificates to trust [RUNAI_CA_BUNDLE]."),
)

need_options: Callable[[F], F] = _stacked(
    click.option(
        "--profile",
        metavar="NAME|FILE",
        shell_complete=_complete_profile,
        help="step-operator (default), orchestrator, provisioner, or a TOML file of your own.",
    ),
    click.option(
        "--features",
        "-f",
        metavar="NAME,...",
        multiple=True,
        shell_complete=_complete_feature,
        help="Optional features, e.g. delete_on_failure,node_pools (see: runai-perms needs).",
    ),
)

place_options: Callable[[F], F] = _stacked(
    click.option("--project", "-p", metavar="NAME", help="Run:ai project [RUNAI_PROJECT]."),
    click.option("--cluster", metavar="NAME", help="Its cluster, if the name is not unique."),
)

target_options: Callable[[F], F] = _stacked(
    click.option(
        "--stack",
        metavar="NAME",
        help="Take credentials, project, profile and features from this ZenML stack.",
    ),
    need_options,
    place_options,
    click.option(
        "--subject",
        metavar="[TYPE:]NAME",
        help="Ask about another account, with administrator credentials.",
    ),
    access_options,
)
