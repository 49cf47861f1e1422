"""From options to what is asked: credentials, profile, features, project, subject."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runai_perms._catalogue import Need, Profile, load_catalogue, load_profile
from runai_perms._errors import AuthenticationError, UsageError

if TYPE_CHECKING:
    from runai_api import RunaiClient


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
        return load_catalogue().needs(self.profile, self.features, version)


def find_access(
    base_url: str | None = None,
    client_id: str | None = None,
    client_secret_file: str | None = None,
    ca_bundle: str | None = None,
) -> Access:
    """Credentials from options, else from the environment."""
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
    load_catalogue().needs(chosen, wanted)
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
        chosen = load_catalogue().profile(found.profile)
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
    if not target.project and not target.profile.grants:
        raise UsageError("no project: give --project or --stack, or set RUNAI_PROJECT")


def _read_secret(source: str | None) -> str:
    if source is None:
        return ""
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UsageError(f"the client secret cannot be read from {source}: {reason}") from None
    return text.strip()
