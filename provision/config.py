"""The typed configuration of a stack: Pulumi.yaml's keys as Python values."""

from __future__ import annotations

import difflib
from typing import Any, cast

import pulumi
from pulumi.runtime.config import CONFIG, is_config_secret

from provision._session import HOST_KEYS, HOST_SECRETS
from provision.component import ComponentDefinition, RegistryCredentials, RunaiZenMLStackArgs
from provision.errors import InvalidSetting
from provision.providers._ownership import ADOPT

ROLES = ("predefined", "custom")


def read_config(config: pulumi.Config | None = None) -> RunaiZenMLStackArgs:
    """Read the settings that Pulumi.yaml describes.

    Raises:
        InvalidSetting: a value is missing, malformed, or contradicts another.
    """
    source = _Source(config or pulumi.Config())
    for key in HOST_SECRETS:
        source.secret(key)
    args = RunaiZenMLStackArgs(
        project=source.text("runaiProject", required=True),
        cluster=source.text("runaiCluster") or None,
        role=cast(Any, source.choice("role", ROLES, "predefined")),
        role_name=source.text("roleName") or None,
        features=source.texts("features"),
        scope=source.text("scope") or "project",
        allow_broader_scope=source.flag("allowBroaderScope", False),
        require_gpu_quota=source.flag("requireGpuQuota", True),
        service_account_name=source.text("serviceAccountName") or None,
        service_account_secret=source.secret("serviceAccountSecret"),
        client_secret_in_state=source.flag("clientSecretInState", True),
        rotation={key: str(value) for key, value in source.mapping("rotation").items()},
        registry=_registry(source),
        zenml_stack_name=source.text("zenmlStack") or None,
        zenml_secret_name=source.text("zenmlSecretName") or None,
        step_operator_name=source.text("stepOperatorName") or None,
        orchestrator_name=source.text("orchestratorName") or None,
        artifact_store=_component(source, "artifactStore"),
        container_registry=_component(source, "containerRegistry"),
        image_builder=_component(source, "imageBuilder", ComponentDefinition("local")),
        step_operator_configuration=source.mapping("stepOperatorConfiguration"),
        orchestrator_configuration=source.mapping("orchestratorConfiguration"),
        adopt=cast(Any, source.choice("adopt", ADOPT, "never")),
    )
    for unknown, meant in source.misspelt():
        pulumi.log.warn(f"{unknown} is no setting and has no effect; {meant} is one.")
    return args


class _Source:
    """Reads one value of the configuration at a time; errors name the key."""

    def __init__(self, config: pulumi.Config) -> None:
        self._config = config
        self._known = set(HOST_KEYS)

    def misspelt(self) -> list[tuple[str, str]]:
        """Keys that are set and that nothing reads, each with the key that was probably meant."""
        prefix = self._config.full_key("")
        given = [key.removeprefix(prefix) for key in CONFIG.get() if key.startswith(prefix)]
        close = {
            key: difflib.get_close_matches(key, self._known, n=1, cutoff=0.8)
            for key in given
            if key not in self._known
        }
        return [(key, found[0]) for key, found in close.items() if found]

    def text(self, key: str, *, required: bool = False) -> str:
        self._known.add(key)
        value = (self._config.get(key) or "").strip()
        if required and not value:
            raise InvalidSetting(f"{key} is not set: pulumi config set {key} <value>")
        return value

    def secret(self, key: str) -> pulumi.Output[str] | None:
        if not self.text(key):
            return None
        self._refuse_plain(key)
        return self._config.get_secret(key)

    def flag(self, key: str, default: bool) -> bool:
        self._known.add(key)
        try:
            value = self._config.get_bool(key)
        except pulumi.ConfigTypeError:
            raise InvalidSetting(f"{key} must be true or false.") from None
        return default if value is None else value

    def choice(self, key: str, choices: tuple[str, ...], default: str) -> str:
        value = self.text(key) or default
        if value not in choices:
            raise InvalidSetting(f"{key} must be one of {', '.join(choices)}, not {value!r}.")
        return value

    def texts(self, key: str) -> list[str]:
        value = self._json(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise InvalidSetting(
                f"{key} must be a list of text: pulumi config set --path '{key}[0]' <value>"
            )
        return value

    def mapping(self, key: str) -> dict[str, Any]:
        value = self._json(key, {})
        if not isinstance(value, dict):
            raise InvalidSetting(
                f"{key} must be an object: pulumi config set --path {key}.<option> <value>"
            )
        return value

    def secrets(self, key: str) -> dict[str, pulumi.Output[str]]:
        """An object whose values are secret."""
        value = self._json(key, {})
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            raise InvalidSetting(
                f"{key} must be an object of text: pulumi config set --secret --path {key}.<key> "
                "<value>"
            )
        if value:
            self._refuse_plain(key)
        return {name: pulumi.Output.secret(text) for name, text in value.items()}

    def _refuse_plain(self, key: str) -> None:
        """Pulumi.yaml cannot both make a key optional and insist that it is secret."""
        if not is_config_secret(self._config.full_key(key)):
            raise InvalidSetting(
                f"{key} stands in the stack's configuration in plain text. Change the secret, and "
                "set the new one with: pulumi config set --secret ..."
            )

    def _json(self, key: str, default: Any) -> Any:
        self._known.add(key)
        try:
            value = self._config.get_object(key)
        except (pulumi.ConfigTypeError, ValueError):
            raise InvalidSetting(f"{key} is not valid JSON.") from None
        return default if value is None else value


def _registry(source: _Source) -> RegistryCredentials | None:
    user, url = source.text("registryUser"), source.text("registryUrl")
    existing, name = source.text("registryExistingSecret"), source.text("registryName")
    password = source.secret("registryPassword")
    if not (user or url or existing or name or password is not None):
        return None
    return RegistryCredentials(user or None, password, url or None, existing or None, name or None)


def _component(
    source: _Source, key: str, default: ComponentDefinition | None = None
) -> str | ComponentDefinition:
    """The name of an existing component (`key`) or a definition (`keyDefinition`)."""
    name = source.text(key)
    definition = source.mapping(f"{key}Definition")
    credentials = source.secrets(f"{key}Credentials")
    if name and (definition or credentials):
        raise InvalidSetting(
            f"{key} names an existing component and {key}Definition defines a new one: set one."
        )
    if name:
        return name
    if not definition:
        if default is not None:
            return default
        raise InvalidSetting(
            f"Name an existing component: pulumi config set {key} <name>; or define one: "
            f"pulumi config set --path {key}Definition.flavor <flavor> (see Pulumi.yaml)."
        )
    flavor = definition.get("flavor")
    unknown = sorted(definition.keys() - {"flavor", "name", "configuration"})
    if not isinstance(flavor, str) or not flavor or unknown:
        raise InvalidSetting(
            f"{key}Definition needs a flavor, and may have a name and a configuration"
            f"{'; unknown: ' + ', '.join(unknown) if unknown else ''}."
        )
    configuration = definition.get("configuration") or {}
    if not isinstance(configuration, dict):
        raise InvalidSetting(f"{key}Definition.configuration must be an object.")
    return ComponentDefinition(flavor, configuration, credentials, definition.get("name") or None)
