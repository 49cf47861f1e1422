"""The catalogue: which operation needs which permission, and who needs which operation.

The facts are data (``data/catalogue.toml``); this module reads them, checks that they hang
together, and answers two questions: what does a profile need, and what did a request use.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from runai_perms._errors import UnknownName, UsageError
from runai_perms._model import ACTIONS, UI_ACTIONS, Permission, Reach

DEFAULT_VERSION = "2.24"
"""Control-plane version that is meant when none is given."""


class Certainty(StrEnum):
    """How sure the catalogue is of a fact, surest first."""

    DOCUMENTED = "documented"
    OBSERVED = "observed"
    INFERRED = "inferred"


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A kind of entity that permissions speak of."""

    name: str
    title: str
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One call on the control plane; any one of ``any_of`` permits it, none means any token.

    With ``per_item`` the right is that of each object in the body, which the route does not tell.
    """

    name: str
    summary: str
    routes: tuple[str, ...]
    any_of: tuple[Permission, ...]
    reach: Reach
    certainty: Certainty
    source: str
    since: str | None = None
    until: str | None = None
    per_item: bool = False


@dataclass(frozen=True, slots=True)
class Need:
    """A permission that a profile needs, and why.

    ``alternatives`` are wider permissions that serve as well; ``reach`` tells where the right must
    be held; ``certainty`` is that of the surest operation behind it.
    """

    permission: Permission
    operations: tuple[str, ...]
    features: tuple[str, ...]
    certainty: Certainty
    alternatives: tuple[Permission, ...] = ()
    reach: Reach = Reach.PROJECT

    @property
    def accepted(self) -> tuple[Permission, ...]:
        """Every permission that meets this need, the narrowest first."""
        return (self.permission, *self.alternatives)


@dataclass(frozen=True, slots=True)
class Feature:
    """A capability that can be asked for, and the operations behind it."""

    name: str
    summary: str
    operations: tuple[str, ...]
    combined: tuple[tuple[str, tuple[str, ...]], ...] = ()
    settings: tuple[str, ...] = ()

    def wanted_by(self, settings: Mapping[str, Any]) -> bool:
        """Whether a ZenML component's configuration or a step's settings turn it on."""
        return any(_is_set(settings, rule) for rule in self.settings)


@dataclass(frozen=True, slots=True)
class Profile:
    """A program that uses the control plane: ours by name, a user's own from a TOML file."""

    name: str
    summary: str
    always: tuple[str, ...]
    optional: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()
    grants_tenant_wide: tuple[str, ...] = ()
    replacements: tuple[tuple[str, str], ...] = ()
    operations: tuple[str, ...] = ()
    permissions: tuple[Permission, ...] = ()


class Catalogue:
    """The facts, checked; all look-ups raise :class:`UnknownName` with the nearest names."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.sources: dict[str, str] = dict(data["sources"])
        self.resource_types = {
            name: ResourceType(name, **entry) for name, entry in data["resource_types"].items()
        }
        self.deprecated_roles: dict[str, dict[str, str]] = dict(data["deprecated_roles"])
        self.operations = {
            name: _operation(name, entry) for name, entry in data["operations"].items()
        }
        self.features = {name: _feature(name, entry) for name, entry in data["features"].items()}
        self.profiles = {name: _profile(name, entry) for name, entry in data["profiles"].items()}
        self._check()

    def needs(
        self,
        profile: str | Profile,
        features: Iterable[str] = (),
        version: str = DEFAULT_VERSION,
    ) -> tuple[Need, ...]:
        """Permissions that ``profile`` needs with ``features`` on a control plane ``version``.

        Sorted by permission. Raises :class:`UnknownName` for a profile or feature that does not
        exist, :class:`UsageError` for a feature that the profile cannot have.
        """
        return _needs(self, self.profile(profile), tuple(features), parse_version(version))

    def profile(self, profile: str | Profile) -> Profile:
        """Look a profile up by name."""
        if isinstance(profile, Profile):
            return profile
        if profile not in self.profiles:
            known = ", ".join(sorted(self.profiles))
            raise UnknownName("profile", profile, self.profiles, f"known: {known}, or a TOML file")
        return self.profiles[profile]

    def feature(self, name: str) -> Feature:
        """Look a feature up by name."""
        if name not in self.features:
            known = ", ".join(sorted(self.features))
            raise UnknownName("feature", name, self.features, f"known: {known}")
        return self.features[name]

    def operation(self, name: str) -> Operation:
        """Look an operation up by name."""
        if name not in self.operations:
            raise UnknownName("operation", name, self.operations)
        return self.operations[name]

    def permission(self, text: str) -> Permission:
        """Parse a permission and make sure that Run:ai knows both of its names."""
        permission = Permission.parse(text)
        if permission.resource_type not in self.resource_types:
            titles = {t.title.lower(): t.name for t in self.resource_types.values()}
            spelled = titles.get(permission.resource_type.lower())
            hint = f"Run:ai spells it {spelled!r}" if spelled else ""
            raise UnknownName("resource type", permission.resource_type, self.resource_types, hint)
        if permission.action not in ACTIONS:
            api_word = UI_ACTIONS.get(permission.action.lower())
            hint = f"the API says {api_word!r}" if api_word else f"known: {', '.join(ACTIONS)}"
            raise UnknownName("action", permission.action, ACTIONS, hint)
        return permission

    def operation_for(self, method: str, path: str) -> Operation | None:
        """The operation behind a request, or None for a route the catalogue does not know."""
        path = path.split("?", 1)[0].rstrip("/") or "/"
        for verb, pattern, operation in self._routes:
            if verb == method.upper() and pattern.fullmatch(path):
                return operation
        return None

    def operations_for(self, permission: Permission) -> tuple[Operation, ...]:
        """Operations that ``permission`` permits."""
        return tuple(op for op in self.operations.values() if permission in op.any_of)

    @cached_property
    def _routes(self) -> list[tuple[str, re.Pattern[str], Operation]]:
        """Routes as patterns, those with fewest placeholders first: /count before /{id}."""
        routes = []
        for operation in self.operations.values():
            for route in operation.routes:
                method, template = route.split(" ", 1)
                pattern = "[^/]+".join(map(re.escape, re.split(r"\{[a-z]+\}", template)))
                routes.append((template.count("{"), method, pattern, operation))
        routes.sort(key=lambda route: route[:3])
        return [(method, re.compile(pattern), op) for _, method, pattern, op in routes]

    def _check(self) -> None:
        """Fail at load time when the data contradicts itself."""
        for operation in self.operations.values():
            if operation.source not in self.sources:
                raise ValueError(f"operation {operation.name}: unknown source {operation.source}")
            for permission in operation.any_of:
                if permission.resource_type not in self.resource_types:
                    raise ValueError(f"operation {operation.name}: unknown type in {permission}")
        for feature in self.features.values():
            names = [*feature.operations, *(n for _, ops in feature.combined for n in ops)]
            for name in names:
                self.operation(name)
        for profile in self.profiles.values():
            for name in (*profile.always, *profile.optional):
                self.feature(name)
            for name in profile.grants:
                self.profile(name)


@cache
def load_catalogue() -> Catalogue:
    """The catalogue that ships with the package, read once a process."""
    text = resources.files("runai_perms").joinpath("data/catalogue.toml").read_text("utf-8")
    return Catalogue(tomllib.loads(text))


def load_profile(path: str | Path, catalogue: Catalogue | None = None) -> Profile:
    """Read a user's own profile.

    TOML with any of the keys ``name``, ``summary``, ``extends`` (a profile that ships),
    ``features``, ``operations`` (names from the catalogue) and ``permissions``
    (``<resourceType>:<action>``).
    """
    catalogue = catalogue or load_catalogue()
    path = Path(path)
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UnknownName("profile file", str(path)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    known = {"name", "summary", "extends", "features", "operations", "permissions"}
    for key in sorted(data.keys() - known):
        raise UsageError(f"{path}: unknown key {key!r}; known: {', '.join(sorted(known))}")
    for key in ("features", "operations", "permissions"):
        value = data.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise UsageError(f"{path}: {key} must be a list of text")
    for key in ("name", "summary", "extends"):
        if not isinstance(data.get(key, ""), str):
            raise UsageError(f"{path}: {key} must be text")
    base = catalogue.profile(data["extends"]) if "extends" in data else Profile("", "", ())
    for name in data.get("features", []):
        catalogue.feature(name)
    for name in data.get("operations", []):
        catalogue.operation(name)
    profile = replace(
        base,
        name=data.get("name", path.stem),
        summary=data.get("summary", f"profile from {path.name}"),
        always=tuple(dict.fromkeys([*base.always, *data.get("features", [])])),
        optional=base.optional or tuple(catalogue.features),
        operations=tuple(data.get("operations", [])),
        permissions=tuple(catalogue.permission(p) for p in data.get("permissions", [])),
    )
    if not (profile.always or profile.operations or profile.permissions):
        raise UsageError(f"{path} asks for nothing: give features, operations or permissions")
    return profile


def parse_version(text: str) -> tuple[int, ...]:
    """``"2.24"`` or ``"2.24.1"`` as numbers; a leading v and a suffix are tolerated."""
    match = re.match(r"v?(\d+)\.(\d+)", text)
    if not match:
        raise UsageError(f"{text!r} is not a control-plane version: write it like 2.24")
    return int(match[1]), int(match[2])


def applies(since: str | None, until: str | None, version: tuple[int, ...]) -> bool:
    """Whether something that exists from ``since`` to ``until`` exists in ``version``."""
    return (since is None or version >= parse_version(since)) and (
        until is None or version <= parse_version(until)
    )


def _needs(
    catalogue: Catalogue, profile: Profile, features: tuple[str, ...], version: tuple[int, ...]
) -> tuple[Need, ...]:
    asked = _asked(catalogue, profile, features)
    found: dict[Permission, Need] = {}
    for label, name in _labelled_operations(catalogue, profile, asked):
        operation = catalogue.operation(name)
        if not applies(operation.since, operation.until, version):
            continue
        accepted = tuple(
            p
            for p in operation.any_of
            if applies(
                catalogue.resource_types[p.resource_type].since,
                catalogue.resource_types[p.resource_type].until,
                version,
            )
        )
        if accepted:
            need = Need(
                accepted[0],
                (name,),
                (label,),
                operation.certainty,
                accepted[1:],
                operation.reach,
            )
            _merge(found, need)
    for permission in profile.permissions:
        _merge(found, Need(permission, (), (profile.name,), Certainty.DOCUMENTED))
    wide = not set(asked).isdisjoint(profile.grants_tenant_wide)
    for granted in profile.grants:
        target = catalogue.profile(granted)
        handed_on = tuple(f for f in features if f in target.optional)
        for need in _needs(catalogue, target, handed_on, version):
            held = replace(
                need,
                operations=("access_rule.create",),
                features=("access",),
                certainty=Certainty.INFERRED,
                reach=Reach.TENANT if wide else Reach.PROJECT,
            )
            _merge(found, held)
    kept = _without_substitutes(found)
    return tuple(kept[p] for p in sorted(kept))


def _asked(catalogue: Catalogue, profile: Profile, features: Sequence[str]) -> tuple[str, ...]:
    for name in features:
        catalogue.feature(name)
        if name not in profile.always and name not in profile.optional:
            raise UsageError(
                f"profile {profile.name!r} has no feature {name!r};"
                f" it has {', '.join(profile.optional) or 'no optional features'}"
            )
    swap = dict(profile.replacements)
    wanted = [*profile.always, *features]
    if profile.grants:
        own = {f for f in profile.optional if not _handed_on_only(catalogue, profile, f)}
        wanted = [*profile.always, *(f for f in features if f in own)]
    return tuple(dict.fromkeys(swap.get(name, name) for name in wanted))


def _handed_on_only(catalogue: Catalogue, profile: Profile, feature: str) -> bool:
    """Whether a feature is the granted profile's business alone, not the granter's own."""
    granted = {f for name in profile.grants for f in catalogue.profile(name).optional}
    return feature in granted and feature not in dict(profile.replacements)


def _labelled_operations(
    catalogue: Catalogue, profile: Profile, features: tuple[str, ...]
) -> Iterable[tuple[str, str]]:
    for name in features:
        feature = catalogue.feature(name)
        yield from ((name, operation) for operation in feature.operations)
        for other, operations in feature.combined:
            if other in features:
                yield from ((name, operation) for operation in operations)
    yield from ((profile.name, operation) for operation in profile.operations)


def _merge(found: dict[Permission, Need], need: Need) -> None:
    old = found.get(need.permission)
    if old is None:
        found[need.permission] = need
        return
    order = list(Certainty)
    strictness = list(Reach)
    found[need.permission] = Need(
        need.permission,
        tuple(dict.fromkeys(old.operations + need.operations)),
        tuple(dict.fromkeys(old.features + need.features)),
        min(old.certainty, need.certainty, key=order.index),
        tuple(p for p in old.alternatives if p in need.alternatives),
        min(old.reach, need.reach, key=strictness.index),
    )


def _without_substitutes(found: dict[Permission, Need]) -> dict[Permission, Need]:
    """Drop a need that a wider permission, needed anyway, meets as well."""
    kept = dict(found)
    for permission, need in found.items():
        for wider in need.alternatives:
            if wider in kept and not kept[wider].alternatives:
                _merge(kept, replace(need, permission=wider, alternatives=()))
                del kept[permission]
                break
    return kept


def _operation(name: str, entry: Mapping[str, Any]) -> Operation:
    return Operation(
        name=name,
        summary=entry["summary"],
        routes=tuple(entry["routes"]),
        any_of=tuple(Permission.parse(p) for p in entry["any_of"]),
        reach=Reach(entry.get("reach", "project")),
        certainty=Certainty(entry["certainty"]),
        source=entry["source"],
        since=entry.get("since"),
        until=entry.get("until"),
        per_item=entry.get("per_item", False),
    )


def _feature(name: str, entry: Mapping[str, Any]) -> Feature:
    combined = tuple((k, tuple(v)) for k, v in entry.get("with", {}).items())
    settings = tuple(entry.get("settings", ()))
    return Feature(name, entry["summary"], tuple(entry["operations"]), combined, settings)


def _is_set(settings: Mapping[str, Any], rule: str) -> bool:
    name, equals, value = rule.partition("=")
    if equals:
        return bool(settings.get(name) == value)
    name, entries, key = name.partition("[].")
    found = settings.get(name)
    if not entries:
        return bool(found)
    return any(isinstance(e, Mapping) and e.get(key) for e in found or ())


def _profile(name: str, entry: Mapping[str, Any]) -> Profile:
    return Profile(
        name,
        entry["summary"],
        tuple(entry["always"]),
        tuple(entry.get("optional", ())),
        tuple(entry.get("grants", ())),
        tuple(entry.get("grants_tenant_wide", ())),
        tuple(entry.get("replace", {}).items()),
    )
