"""Access rule: ``<subject> is a <role> in a <scope>``. Rules cannot be changed, only replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from provision import _constants as constants
from provision.providers._ownership import check_adopt, nothing_to_adopt
from provision.providers.base import Input, Problems, Properties, Provider, say, undo
from provision.providers.project import check_scope
from runai_api import AmbiguousOutcome, Conflict, NotFound, RunaiError

if TYPE_CHECKING:
    from runai_api import AccessRule


class AccessRuleProvider(Provider):
    """Grants a role to a subject at a scope and waits until the clusters know it."""

    kind = "Run:ai access rule"
    inputs: ClassVar = {
        "subject_id": Input(on_change="replace"),
        "subject_type": Input(on_change="replace"),
        "role_id": Input(on_change="replace"),
        "scope_type": Input("project", on_change="replace"),
        "scope_id": Input(on_change="replace"),
        "cluster_id": Input(on_change="nothing"),
        "allow_broader_scope": Input(False, on_change="nothing"),
        "adopt": Input("never", on_change="nothing"),
    }
    natural_key = ("subject_id", "subject_type", "role_id", "scope_type", "scope_id")

    def validate(self, inputs: Properties, problems: Problems) -> None:
        if isinstance(inputs.get("role_id"), int):
            inputs["role_id"] = str(inputs["role_id"])
        with problems.catch("scope_type"):
            check_scope(inputs["scope_type"], inputs["allow_broader_scope"])
        with problems.catch("adopt"):
            check_adopt(inputs["adopt"])

    def make(self, props: Properties) -> tuple[str, Properties]:
        # The API declares no conflict for a second rule of the same content: look first.
        found = self._find(props)
        if found is None and props["adopt"] == "required":
            raise nothing_to_adopt("The access rule")
        taken = found is not None and self._is_adopted(found, props)
        rule = found or self._grant(props)
        try:
            rule = self.session.runai.access_rules.wait_ready(rule, constants.READY_SECONDS)
        except RunaiError as error:
            if taken:
                raise
            id = rule.id
            what = f"The access rule {id}"
            raise undo(what, error, lambda: self.session.runai.access_rules.delete(id)) from None
        return str(rule.id), {
            "role_name": rule.role_name or "",
            "scope_name": rule.scope_name or "",
            "excess": [],
            "adopted": taken,
        }

    def look(self, id: str, props: Properties) -> Properties | None:
        try:
            rule = self.session.runai.access_rules.get(int(id))
        except NotFound:
            return None
        if rule.deleted_at:
            return None
        return {"excess": self._excess(rule)}

    def remove(self, id: str, props: Properties) -> None:
        try:
            self.session.runai.access_rules.delete(int(id))
        except NotFound:
            return

    def _excess(self, rule: AccessRule) -> list[str]:
        """What else the subject was granted, in words. It is told, not taken back: whoever granted
        it may have had a reason."""
        others = [
            f"{other.role_name or other.role_id} at {other.scope_type} "
            f"{other.scope_name or other.scope_id} (access rule {other.id})"
            for other in self.session.runai.access_rules.list(subject_ids=[rule.subject_id])
            if other.id != rule.id and other.subject_type == rule.subject_type
        ]
        if others:
            say(
                f"warning: beyond the access rule {rule.id} of this resource, "
                f"{rule.subject_id!r} holds: {'; '.join(others)}. Delete what it does not need in "
                "the Run:ai console, under Access > Access rules."
            )
        return others

    def _is_adopted(self, rule: AccessRule, props: Properties) -> bool:
        """Rules bear no mark, but tell who made them: what our client made is ours."""
        return props["adopt"] != "never" and rule.created_by != self.session.runai.client_id

    def _find(self, props: Properties) -> AccessRule | None:
        return self.session.runai.access_rules.find(
            props["subject_id"],
            int(props["role_id"]),
            props["scope_type"],
            props["scope_id"],
            subject_type=props["subject_type"],
        )

    def _grant(self, props: Properties) -> AccessRule:
        rules = self.session.runai.access_rules
        try:
            return rules.create(
                props["subject_id"],
                props["subject_type"],
                int(props["role_id"]),
                props["scope_type"],
                props["scope_id"],
                cluster_id=props.get("cluster_id"),
            )
        except (Conflict, AmbiguousOutcome):
            found = self._find(props)
            if found is None:
                raise
            return found
