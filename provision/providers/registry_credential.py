"""Docker-registry credential of a project: what its clusters pull images with."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from provision import _constants as constants
from provision.errors import StillInUse
from provision.naming import KUBERNETES_NAME
from provision.providers._ownership import (
    adopted,
    check_adopt,
    describe,
    nothing_to_adopt,
    owner_in_description,
)
from provision.providers.base import Input, Problems, Properties, Provider, undo
from runai_api import AmbiguousOutcome, Conflict, NotFound, PreconditionFailed, RunaiError

if TYPE_CHECKING:
    from runai_api import RegistryCredential

OWN = ("user", "password", "url")


class RegistryCredentialProvider(Provider):
    """User, password and URL of a registry, or the name of a Kubernetes secret that has them."""

    kind = "Run:ai registry credential"
    inputs: ClassVar = {
        "name": Input(on_change="replace"),
        "project_id": Input(on_change="replace"),
        "user": Input(on_change="replace"),
        "password": Input(on_change="replace"),
        "url": Input(on_change="replace"),
        "existing_secret_name": Input(on_change="replace"),
        "description": Input(""),
        "owner": Input(""),
        "adopt": Input("never", on_change="nothing"),
    }
    natural_key = ("name", "project_id")

    def validate(self, inputs: Properties, problems: Problems) -> None:
        name = inputs.get("name")
        if isinstance(name, str) and not KUBERNETES_NAME.fullmatch(name):
            problems.add(
                f"{name!r} is not a legal name: it becomes part of a Kubernetes name, so use up to "
                "50 lower-case letters, digits and '-'.",
                "name",
            )
        given = [key for key in OWN if inputs.get(key) is not None and inputs.get(key) != ""]
        if inputs.get("existing_secret_name"):
            if given:
                problems.add(
                    "An existing Kubernetes secret excludes user, password and URL of a registry: "
                    f"also given: {', '.join(given)}.",
                    "existing_secret_name",
                )
        elif not given and inputs["adopt"] in ("if_exists", "required"):
            inputs["adopt"] = "required"  # there is nothing to make one from
        elif len(given) < len(OWN):
            missing = ", ".join(key for key in OWN if key not in given)
            problems.add(
                f"The registry credential lacks {missing}. Give user, password and URL (keys "
                "registryUser, registryPassword, registryUrl), or the name of an existing "
                "Kubernetes secret (registryExistingSecret)."
            )
        with problems.catch("adopt"):
            check_adopt(inputs["adopt"])

    def make(self, props: Properties) -> tuple[str, Properties]:
        credentials = self.session.runai.registry_credentials
        what = f"The registry credential {props['name']!r}"
        taken = False
        if props["adopt"] == "required":
            found = credentials.find(props["name"], props["project_id"])
            if found is None:
                raise nothing_to_adopt(what)
            taken = self._is_adopted(what, found, props)
            credential = found
        else:
            try:
                credential = self._create(props)
            except (Conflict, AmbiguousOutcome):
                found = credentials.find(props["name"], props["project_id"])
                if found is None:
                    credential = self._create(props)
                elif taken := self._is_adopted(what, found, props):
                    credential = found
                else:
                    # Ours, from an interrupted run; its password cannot be read and compared.
                    self._delete(found.id)
                    credential = self._create(props)
        try:
            credential = credentials.wait_ready(credential, constants.READY_SECONDS)
        except RunaiError as error:
            if taken:
                raise
            id = credential.id
            raise undo(what, error, lambda: credentials.delete(id)) from None
        return credential.id, {
            "kubernetes_secret_name": credential.kubernetes_secret_name or "",
            "adopted": taken,
        }

    def look(self, id: str, props: Properties) -> Properties | None:
        try:
            credential = self.session.runai.registry_credentials.get(id)
        except NotFound:
            return None
        live: Properties = {
            "name": credential.name,
            "kubernetes_secret_name": credential.kubernetes_secret_name or "",
        }
        for key in ("user", "url", "existing_secret_name"):
            value = getattr(credential.spec, key)
            if value and props.get(key):
                live[key] = value
        expected = describe(props)
        if not props.get("adopted") and (credential.meta.description or "") != expected:
            live["description"] = credential.meta.description or "(none)"
        return live

    def change(self, id: str, olds: Properties, news: Properties) -> Properties:
        description = describe(news)
        self.session.runai.registry_credentials.update(id, description=description)
        return {}

    def remove(self, id: str, props: Properties) -> None:
        self._delete(id)

    def _create(self, props: Properties) -> RegistryCredential:
        return self.session.runai.registry_credentials.create(
            props["name"],
            props["project_id"],
            user=props.get("user") or None,
            password=props.get("password") or None,
            url=props.get("url") or None,
            existing_secret_name=props.get("existing_secret_name") or None,
            description=describe(props),
        )

    def _is_adopted(self, what: str, found: RegistryCredential, props: Properties) -> bool:
        owner = owner_in_description(found.meta.description)
        return adopted(what, owner, props["owner"], props["adopt"])

    def _delete(self, id: str) -> None:
        try:
            self.session.runai.registry_credentials.delete(id)
        except NotFound:
            return
        except PreconditionFailed as error:
            raise StillInUse(
                f"A workload, template or data source still uses the registry credential "
                f"({error.message}). Wait for it or delete it, then run the same command again. "
                "To store a new password while workloads use the old one, change rotation.registry "
                "along with it: the new credential then has a name of its own."
            ) from None
