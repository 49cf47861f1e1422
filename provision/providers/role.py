"""Roles: a predefined one to look up, or a custom one made of the fewest permission sets."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, ClassVar

from provision import _constants as constants
from provision.naming import near_misses
from provision.providers._ownership import (
    adopted,
    check_adopt,
    describe,
    nothing_to_adopt,
    owner_in_description,
    undescribe,
)
from provision.providers.base import CHANGED, Input, Problems, Properties, Provider, say
from runai_api import AmbiguousOutcome, Conflict, NotFound
from runai_perms import UnknownName, load_catalogue, smallest_cover

if TYPE_CHECKING:
    from runai_api import Role
    from runai_perms import Need

PROFILES = ("step-operator", "orchestrator")


class PredefinedRoleProvider(Provider):
    """Looks a role up by name; creates, changes and deletes nothing."""

    kind = "Run:ai role"
    inputs: ClassVar = {
        "name": Input(),
        "role_id": Input(resolved=True),
        "role_name": Input(resolved=True),
    }

    def resolve(self, olds: Properties, inputs: Properties, problems: Problems) -> None:
        runai = self.session.runai
        current = runai.version.has_custom_roles
        usual = constants.PREDEFINED_ROLE if current else constants.LEGACY_PREDEFINED_ROLE
        name = inputs.get("name") or usual
        role = runai.roles.find(name)
        if role is None:
            known = [found.name for found in runai.roles.list()]
            problems.add(
                f"There is no role {name!r} on this control plane ({runai.version.value}). "
                f"{near_misses(name, known)} Recommended here: {usual!r}.",
                "name",
            )
            return
        if role.deprecated or (current and name in load_catalogue().deprecated_roles):
            say(f"warning: the role {name!r} is deprecated on this control plane; use {usual!r}.")
        inputs["role_id"] = role.id
        inputs["role_name"] = role.name

    def make(self, props: Properties) -> tuple[str, Properties]:
        return str(props["role_id"]), {}

    def look(self, id: str, props: Properties) -> Properties | None:
        try:
            role = self.session.runai.roles.get(int(id))
        except NotFound:
            return None
        return {"role_id": role.id, "role_name": role.name}


class CustomRoleProvider(Provider):
    """A role with the least excess over what the chosen features need (2.24 and newer)."""

    kind = "Run:ai custom role"
    inputs: ClassVar = {
        "name": Input(),
        "features": Input([]),
        "profiles": Input(list(PROFILES)),
        "description": Input(""),
        "enabled": Input(True),
        "owner": Input("", on_change="nothing"),
        "adopt": Input("never", on_change="nothing"),
        # As maps, not lists, so that a preview shows what is gained and lost by name.
        "needed": Input(on_change="nothing"),
        "permission_sets": Input(resolved=True),
        "excess": Input(resolved=True, on_change="nothing"),
    }
    natural_key = ("name",)

    def validate(self, inputs: Properties, problems: Problems) -> None:
        catalogue = load_catalogue()
        for key, check in (("profiles", catalogue.profile), ("features", catalogue.feature)):
            for name in inputs[key]:
                try:
                    check(name)
                except UnknownName as error:
                    problems.add(str(error), key)
        if not problems:
            # Part of the inputs, so that a new catalogue leads to a new choice of permission sets.
            inputs["needed"] = {
                str(need.permission): ", ".join(need.features)
                for need in _needs(inputs["profiles"], inputs["features"])
            }
        with problems.catch("adopt"):
            check_adopt(inputs["adopt"])

    def resolve(self, olds: Properties, inputs: Properties, problems: Problems) -> None:
        runai = self.session.runai
        if not runai.version.has_custom_roles:
            problems.add(
                "This control plane has no custom roles: they need 2.24 or newer. Use the "
                "predefined role (set role to 'predefined'), or upgrade the control plane."
            )
            return
        needs = _needs(inputs["profiles"], inputs["features"])
        cover = smallest_cover(needs, runai.permission_sets.list())
        if cover.uncovered:
            lacking = ", ".join(str(permission) for permission in cover.uncovered)
            problems.add(
                f"No permission set of this control plane gives {lacking}. Leave out the features "
                "that need it, or use the predefined role."
            )
            return
        inputs["permission_sets"] = {found.name: found.id for found in cover.permission_sets}
        inputs["excess"] = {
            str(permission): ", ".join(
                found.name
                for found in cover.permission_sets
                if str(permission) in {name for held in found.permissions for name in held.names}
            )
            for permission in cover.excess
        }

    def make(self, props: Properties) -> tuple[str, Properties]:
        roles = self.session.runai.roles
        what = f"The role {props['name']!r}"
        # The API declares no conflict for a second role of the same name: look first.
        found = roles.find(props["name"])
        if found is None:
            if props["adopt"] == "required":
                raise nothing_to_adopt(what)
            try:
                role = self._create(props)
            except (Conflict, AmbiguousOutcome):
                again = roles.find(props["name"])
                if again is None:
                    raise
                found = again
            else:
                return str(role.id), _role_outputs(role, taken=False)
        taken = adopted(
            what, owner_in_description(found.description), props["owner"], props["adopt"]
        )
        description = props["description"] or (undescribe(found.description) if taken else "")
        self.change(str(found.id), {}, {**props, "description": description, "adopted": taken})
        return str(found.id), _role_outputs(found, taken=taken)

    def look(self, id: str, props: Properties) -> Properties | None:
        try:
            role = self.session.runai.roles.get(int(id))
        except NotFound:
            return None
        if role.deleted_at:
            return None
        live: Properties = {"name": role.name, "enabled": role.enabled is not False}
        if not props.get("adopted") and (role.description or "") != describe(props):
            live["description"] = role.description or "(none)"
        names = {id: name for name, id in props["permission_sets"].items()}
        held = {names.get(s.id) or s.name or s.id: s.id for s in role.permission_sets}
        if held != props["permission_sets"]:
            live["permission_sets"] = held
            # An input that differs makes the next check choose permission sets anew.
            live["features"] = [*props["features"], CHANGED]
        return live

    def change(self, id: str, olds: Properties, news: Properties) -> Properties:
        role = self.session.runai.roles.update(
            int(id),
            name=news["name"],
            description=describe(news),
            permission_set_ids=sorted(news["permission_sets"].values()),
            enabled=news["enabled"],
        )
        return {"role_name": role.name}

    def release(self, id: str, props: Properties) -> None:
        roles = self.session.runai.roles
        with contextlib.suppress(NotFound):
            role = roles.get(int(id))
            roles.update(
                role.id,
                name=role.name,
                description=undescribe(role.description),
                permission_set_ids=[found.id for found in role.permission_sets],
                enabled=role.enabled is not False,
            )

    def remove(self, id: str, props: Properties) -> None:
        try:
            self.session.runai.roles.delete(int(id))
        except NotFound:
            return

    def _create(self, props: Properties) -> Role:
        return self.session.runai.roles.create(
            props["name"],
            describe(props),
            sorted(props["permission_sets"].values()),
            enabled=props["enabled"],
        )


def _needs(profiles: list[str], features: list[str]) -> list[Need]:
    """What the profiles need on a control plane that has custom roles, without repetitions."""
    catalogue = load_catalogue()
    needs: dict[str, Need] = {}
    for name in profiles:
        profile = catalogue.profile(name)
        offered = [f for f in features if f in (*profile.always, *profile.optional)]
        for need in catalogue.needs(name, offered, version=constants.CUSTOM_ROLES_SINCE):
            needs[str(need.permission)] = need
    return list(needs.values())


def _role_outputs(role: Role, *, taken: bool) -> Properties:
    return {"role_id": role.id, "role_name": role.name, "adopted": taken}
