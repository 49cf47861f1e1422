"""Options that commands share, and what they resolve to; imports click only at first."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from runai_api import RunaiClient
    from runai_perms._catalogue import Catalogue, Need, Profile

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach the control plane; the secret never appears on a command line."""

    base_url: str
    client_id: str
    client_secret: str
    ca_bundle: str | None = None

    def __repr__(self) -> str:
        return f"Access({self.base_url!r}, {self.client_id!r})"

    def client(self) -> RunaiClient:
        """A client with these credentials."""
        from runai_api import RunaiClient

        return RunaiClient(
            self.base_url,
            client_id=self.client_id,
            client_secret=self.client_secret,
            ca_bundle=self.ca_bundle,
            request_log=os.environ.get("RUNAI_REQUEST_LOG") or None,
        )


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked: for whom, needing what, where."""

    access: Access
    profile: Profile
    features: tuple[str, ...]
    project: str | None
    cluster: str | None
    subject: str | None

    def needs(self, version: str) -> tuple[Need, ...]:
        """The needs on a control plane of ``version``."""
        from runai_perms._catalogue import load_catalogue

        return load_catalogue().needs(self.profile, self.features, version)


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


def find_access(
    base_url: str | None = None,
    client_id: str | None = None,
    client_secret_file: str | None = None,
    ca_bundle: str | None = None,
) -> Access:
    """Credentials from options, else from the environment."""
    from runai_perms._errors import AuthenticationError, UsageError

    url = base_url or os.environ.get("RUNAI_BASE_URL", "")
    name = client_id or os.environ.get("RUNAI_CLIENT_ID", "")
    secret = _read_secret(client_secret_file) or os.environ.get("RUNAI_CLIENT_SECRET", "")
    if not url:
        raise UsageError("no control plane: set RUNAI_BASE_URL or give --base-url")
    if not name or not secret:
        raise AuthenticationError(
            "no credentials: set RUNAI_CLIENT_ID and RUNAI_CLIENT_SECRET,"
            " or give --client-id and --client-secret-file"
        )
    return Access(url, name, secret, ca_bundle or os.environ.get("RUNAI_CA_BUNDLE") or None)


def find_profile(name: str | None) -> Profile:
    """A profile by name, or from a TOML file when the text looks like a path."""
    from runai_perms._catalogue import load_catalogue, load_profile

    if name is None:
        return load_catalogue().profile("step-operator")
    if name.endswith(".toml") or os.sep in name:
        return load_profile(name)
    return load_catalogue().profile(name)


def split_features(features: Sequence[str]) -> tuple[str, ...]:
    """``("a,b", "c")`` as ``("a", "b", "c")``."""
    parts = [part.strip() for text in features for part in text.split(",")]
    return tuple(dict.fromkeys(part for part in parts if part))


def find_target(
    stack: str | None,
    profile: str | None,
    features: Sequence[str],
    project: str | None,
    cluster: str | None,
    subject: str | None,
    base_url: str | None,
    client_id: str | None,
    client_secret_file: str | None,
    ca_bundle: str | None,
) -> Target:
    """Resolve the options of a command; names are checked before anything is asked."""
    chosen, wanted = find_profile(profile), split_features(features)
    catalogue().needs(chosen, wanted)
    project = project or (None if stack else os.environ.get("RUNAI_PROJECT"))
    if stack is None:
        access = find_access(base_url, client_id, client_secret_file, ca_bundle)
        return Target(access, chosen, wanted, project, cluster, subject)
    from runai_perms._stack import ZenMLConnection, ZenMLReader, read_stack

    with ZenMLReader(ZenMLConnection.find()) as reader:
        found = read_stack(reader, stack, profile)
    own = (client_id, client_secret_file)
    if subject or any(own):
        access = find_access(base_url or found.base_url, *own, ca_bundle or found.ca_bundle)
    else:
        access = Access(
            base_url or found.base_url,
            found.client_id,
            found.client_secret,
            ca_bundle or found.ca_bundle,
        )
    if profile is None:
        chosen = catalogue().profile(found.profile)
    admitted = {*chosen.optional, *chosen.always}
    features = (*wanted, *(f for f in found.features if f in admitted))
    return Target(
        access,
        chosen,
        tuple(dict.fromkeys(features)),
        project or found.project,
        cluster or found.cluster,
        found.client_id if subject == "stack" else subject,
    )


def require_project(target: Target) -> None:
    """Only who provisions may work in the whole account; all others work in a project."""
    from runai_perms._errors import UsageError

    if not target.project and not target.profile.grants:
        raise UsageError("no project: give --project or --stack, or set RUNAI_PROJECT")


def _read_secret(source: str | None) -> str:
    from runai_perms._errors import UsageError

    if source is None:
        return ""
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UsageError(f"the client secret cannot be read from {source}: {reason}") from None
    return text.strip()
