"""Typed parts of a workload: mounts, tolerations, security, ports and URLs.

Field names are the control plane's in snake_case; each class dumps to the request body with
``model_dump(by_alias=True, exclude_none=True)``. Limits are those of the documented 2.24 API
unless a comment says otherwise. Unknown fields are refused, so that a typing error is an error.
"""

import re
from collections.abc import Callable
from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    AliasGenerator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)
from pydantic.alias_generators import to_camel

_KUBERNETES_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,251}[a-z0-9])?")
_OCTAL_MODE = re.compile(r"0[0-7]{3}")
_MEMORY = re.compile(r"\d+(?:\.\d+)?(?:[KMGT]i?)")

_CAPABILITY_NAMES = (
    "AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND CHOWN DAC_OVERRIDE DAC_READ_SEARCH "
    "FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD "
    "NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_ADMIN "
    "SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE "
    "SYS_TIME SYS_TTY_CONFIG SYSLOG WAKE_ALARM"
)
LINUX_CAPABILITIES = frozenset(_CAPABILITY_NAMES.split())


def _matches(pattern: re.Pattern[str], problem: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"{value!r} {problem}")
        return value

    return check


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f"{path!r} is not an absolute path; it must start with '/'")
    if ".." in path.split("/"):
        raise ValueError(f"{path!r} must not contain '..'")
    return path


def _capability(name: str) -> str:
    bare = name.removeprefix("CAP_")
    if bare not in LINUX_CAPABILITIES:
        raise ValueError(f"{name!r} is not a Linux capability such as 'NET_ADMIN' or 'SYS_PTRACE'")
    return bare


AbsolutePath = Annotated[str, AfterValidator(_absolute)]
KubernetesName = Annotated[
    str,
    AfterValidator(
        _matches(
            _KUBERNETES_NAME,
            "is not a Kubernetes name: lower-case letters, digits and hyphens,"
            " beginning and ending with a letter or a digit",
        )
    ),
]
OctalMode = Annotated[
    str,
    AfterValidator(_matches(_OCTAL_MODE, "is not a four-character octal mode such as '0644'")),
]
Memory = Annotated[
    str,
    AfterValidator(
        _matches(
            _MEMORY,
            "is not an amount of memory: a number and one of K, M, G, T, Ki, Mi, Gi, Ti,"
            " for example '4G', '512M' or '8Gi'",
        )
    ),
]
PortNumber = Annotated[PositiveInt, Field(le=65535)]


class RunAIPart(BaseModel):
    """Base of all parts: immutable, strict about names, camelCase on the wire."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        alias_generator=AliasGenerator(serialization_alias=to_camel),
    )

    def to_body(self) -> dict[str, object]:
        """The part as a fragment of the request body, without unset fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class RunAIMountSettings(RunAIPart):
    """What every mount has."""

    path_field: ClassVar[str] = "mount_path"

    name: str | None = Field(
        default=None, min_length=1, description="Name of the mount, used by policies."
    )
    exclude: bool | None = Field(
        default=None,
        description="True removes a mount of this name that a policy would add by default.",
    )

    @property
    def container_mount_path(self) -> str:
        """Where the mount appears in the container."""
        return str(getattr(self, self.path_field))


class _ClaimPart(RunAIPart):
    """Also accepts camelCase: ZenML's builtin step operator takes the claim as a plain mapping."""

    model_config = ConfigDict(alias_generator=AliasGenerator(alias=to_camel))


class RunAIPVCAccessModeSettings(_ClaimPart):
    """Access modes of a claim that Run:ai creates."""

    read_write_once: bool | None = Field(default=None, description="One node may read and write.")
    read_only_many: bool | None = Field(default=None, description="Many nodes may read.")
    read_write_many: bool | None = Field(default=None, description="Many nodes may read and write.")


class RunAIPVCClaimInfoSettings(_ClaimPart):
    """The claim to create when ``existing_pvc`` is false."""

    size: Memory | None = Field(default=None, description="Size, e.g. '100Gi'.")
    storage_class: KubernetesName | None = Field(default=None, description="Storage class name.")
    access_modes: RunAIPVCAccessModeSettings | None = Field(
        default=None, description="Access modes; ReadWriteOnce when unset."
    )
    volume_mode: Literal["Filesystem", "Block"] | None = Field(
        default=None, description="Filesystem or Block."
    )


class RunAIPVCMountSettings(RunAIMountSettings):
    """A persistent volume claim."""

    path_field: ClassVar[str] = "path"

    path: AbsolutePath = Field(description="Absolute path in the container.")
    existing_pvc: bool = Field(
        default=True,
        description="True: the claim must exist. False: Run:ai creates it from `claim_info`.",
    )
    claim_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=63,
        description="Name of the claim; required for an existing one, else generated when unset.",
    )
    read_only: bool | None = Field(default=None, description="Mount for reading only.")
    ephemeral: bool | None = Field(
        default=None, description="Delete the claim when the workload stops."
    )
    claim_info: RunAIPVCClaimInfoSettings | None = Field(
        default=None, description="The claim to create; only with `existing_pvc=False`."
    )
    data_sharing: bool | None = Field(
        default=None, description="Share the claim's data with other workloads of the scope."
    )

    @model_validator(mode="after")
    def _existing_or_new(self) -> Self:
        if self.existing_pvc and self.claim_info is not None:
            raise ValueError("claim_info describes a claim to create: set existing_pvc=False")
        if self.existing_pvc and self.claim_name is None:
            raise ValueError("an existing claim needs claim_name")
        if self.existing_pvc and self.ephemeral:
            raise ValueError("an existing claim cannot be ephemeral: set existing_pvc=False")
        if not self.existing_pvc and (self.claim_info is None or self.claim_info.size is None):
            raise ValueError("a claim to create needs claim_info with a size")
        return self


class RunAIConfigMapMountSettings(RunAIMountSettings):
    """A ConfigMap as files."""

    config_map: KubernetesName = Field(description="Name of the existing ConfigMap.")
    mount_path: AbsolutePath = Field(description="Absolute path in the container.")
    sub_path: str | None = Field(
        default=None, min_length=1, description="One entry of the ConfigMap instead of all."
    )
    default_mode: OctalMode | None = Field(default=None, description="File mode, e.g. '0644'.")


class RunAISecretMountSettings(RunAIMountSettings):
    """A Kubernetes secret as files."""

    secret: str = Field(min_length=1, description="Name of the existing secret.")
    mount_path: AbsolutePath = Field(description="Absolute path in the container.")
    default_mode: OctalMode | None = Field(default=None, description="File mode, e.g. '0400'.")


class RunAINFSMountSettings(RunAIMountSettings):
    """An NFS export."""

    server: str = Field(min_length=1, description="Host name or address of the NFS server.")
    path: AbsolutePath = Field(description="Exported path on the server.")
    mount_path: AbsolutePath = Field(description="Absolute path in the container.")
    read_only: bool | None = Field(
        default=None, description="Mount for reading only; the control plane's default is true."
    )


class RunAIS3MountSettings(RunAIMountSettings):
    """An S3 bucket."""

    path_field: ClassVar[str] = "path"

    bucket: str = Field(min_length=1, description="Name of the bucket.")
    path: AbsolutePath = Field(description="Absolute path in the container.")
    url: str | None = Field(default=None, min_length=1, description="Endpoint; AWS when unset.")
    access_key_secret: KubernetesName | None = Field(
        default=None,
        description="Kubernetes secret with the access key; none for a public bucket.",
    )
    secret_key_of_access_key_id: str | None = Field(
        default=None, min_length=1, description="Its key that holds the access key id."
    )
    secret_key_of_secret_key: str | None = Field(
        default=None, min_length=1, description="Its key that holds the secret access key."
    )

    @model_validator(mode="after")
    def _keys_need_a_secret(self) -> Self:
        keys = (self.secret_key_of_access_key_id, self.secret_key_of_secret_key)
        if self.access_key_secret is None and any(keys):
            raise ValueError("secret_key_of_... name keys of a secret: set access_key_secret too")
        return self


class RunAIHostPathMountSettings(RunAIMountSettings):
    """A folder of the node."""

    path: AbsolutePath = Field(description="Absolute path on the node.")
    mount_path: AbsolutePath = Field(description="Absolute path in the container.")
    # Always sent: the schema's default is true, its description says false.
    read_only: bool = Field(default=True, description="Mount for reading only.")
    mount_propagation: Literal["None", "HostToContainer"] | None = Field(
        default=None, description="Whether later mounts on the node appear in the container."
    )


class RunAITolerationSettings(RunAIPart):
    """Lets the workload run on nodes with a matching taint."""

    key: str | None = Field(
        default=None, min_length=1, description="Key of the taint; every key when unset."
    )
    operator: Literal["Equal", "Exists"] = Field(
        default="Equal", description="Compare the value, or only ask for the key."
    )
    value: str | None = Field(default=None, description="Value of the taint; only with Equal.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Effect that is tolerated; every effect when unset."
    )
    seconds: PositiveInt | None = Field(
        default=None, description="How long a NoExecute taint is tolerated."
    )
    name: str | None = Field(default=None, min_length=1, description="Name, used by policies.")
    exclude: bool | None = Field(
        default=None, description="True removes a toleration that a policy would add."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.operator == "Exists" and self.value is not None:
            raise ValueError("operator='Exists' compares no value: remove `value` or use 'Equal'")
        if self.operator == "Equal" and self.key is None:
            raise ValueError("operator='Equal' needs a key")
        if self.seconds is not None and self.effect != "NoExecute":
            raise ValueError("`seconds` belongs to effect='NoExecute'")
        return self

    def to_body(self) -> dict[str, object]:
        # "Any" is the control plane's word for every effect; the field is mandatory there.
        return super().to_body() | {"effect": self.effect or "Any"}


class RunAISecurityContextSettings(RunAIPart):
    """User, groups and privileges of the container."""

    uid_gid_source: Literal["fromTheImage", "fromIdpToken", "custom"] | None = Field(
        default=None, description="Where user and group id come from."
    )
    run_as_uid: NonNegativeInt | None = Field(
        default=None, description="User id; only with uid_gid_source='custom'."
    )
    run_as_gid: NonNegativeInt | None = Field(
        default=None, description="Group id; only with uid_gid_source='custom'."
    )
    run_as_non_root: bool | None = Field(default=None, description="Refuse to run as root.")
    supplemental_groups: list[NonNegativeInt] | None = Field(
        default=None, description="Further group ids."
    )
    seccomp_profile_type: Literal["RuntimeDefault", "Unconfined", "Localhost"] | None = Field(
        default=None, description="Seccomp profile."
    )
    allow_privilege_escalation: bool | None = Field(
        default=None, description="Processes may gain privileges after the start."
    )
    read_only_root_filesystem: bool | None = Field(
        default=None, description="Mount the container's root file system for reading only."
    )
    host_ipc: bool | None = Field(default=None, description="Share the node's IPC namespace.")
    host_network: bool | None = Field(default=None, description="Share the node's network.")
    capabilities: list[Annotated[str, AfterValidator(_capability)]] | None = Field(
        default=None, description="Linux capabilities to add, e.g. ['NET_ADMIN']."
    )

    @model_validator(mode="after")
    def _ids_are_custom(self) -> Self:
        ids = self.run_as_uid is not None or self.run_as_gid is not None
        if ids and self.uid_gid_source not in (None, "custom"):
            raise ValueError(
                f"run_as_uid and run_as_gid need uid_gid_source='custom', not"
                f" {self.uid_gid_source!r}"
            )
        if self.run_as_non_root and self.run_as_uid == 0:
            raise ValueError("run_as_non_root=True and run_as_uid=0 exclude each other")
        return self

    def to_body(self) -> dict[str, object]:
        body = super().to_body()
        if self.supplemental_groups is not None:
            # Documented by the API as comma-separated text ('2,3,5,8').
            body["supplementalGroups"] = ",".join(str(group) for group in self.supplemental_groups)
        if self.run_as_uid is not None or self.run_as_gid is not None:
            body["uidGidSource"] = "custom"
        return body


class RunAIPortSettings(RunAIPart):
    """A port of the container."""

    container: PortNumber = Field(description="Port in the container, 1 to 65535.")
    service_type: Literal["LoadBalancer", "NodePort", "ClusterIP"] = Field(
        default="ClusterIP", description="How the port is exposed in the cluster."
    )
    external: PortNumber | None = Field(
        default=None, description="Service port; chosen by Run:ai when unset."
    )
    tool_type: str | None = Field(default=None, min_length=1, description="E.g. 'jupyter'.")
    tool_name: str | None = Field(default=None, min_length=1, description="Name to display.")
    name: str | None = Field(default=None, min_length=1, description="Name, used by policies.")
    exclude: bool | None = Field(
        default=None, description="True removes a port that a policy would add."
    )


class RunAIExternalURLSettings(RunAIPart):
    """A URL through which a port of the container can be reached from outside the cluster."""

    container: PortNumber = Field(description="Port in the container, 1 to 65535.")
    url: str | None = Field(default=None, min_length=1, description="Generated when unset.")
    authorization_type: (
        Literal["authenticatedUsers", "authorizedUsers", "authorizedGroups"] | None
    ) = Field(default=None, description="Who may open it; follows from the lists when unset.")
    authorized_users: list[str] | None = Field(default=None, description="Users who may open it.")
    authorized_groups: list[str] | None = Field(default=None, description="Groups that may.")
    tool_type: str | None = Field(default=None, min_length=1, description="E.g. 'jupyter'.")
    tool_name: str | None = Field(default=None, min_length=1, description="Name to display.")
    name: str | None = Field(default=None, min_length=1, description="Name, used by policies.")
    exclude: bool | None = Field(
        default=None, description="True removes a URL that a policy would add."
    )

    @model_validator(mode="after")
    def _one_kind_of_authorization(self) -> Self:
        check_authorization(self.authorization_type, self.authorized_users, self.authorized_groups)
        return self


def check_authorization(
    kind: str | None, users: list[str] | None, groups: list[str] | None
) -> None:
    """Raise ``ValueError`` unless the lists fit the kind of authorization."""
    if users and groups:
        raise ValueError("authorized_users and authorized_groups exclude each other")
    for wanted, field, value in (
        ("authorizedUsers", "authorized_users", users),
        ("authorizedGroups", "authorized_groups", groups),
    ):
        if kind == wanted and not value:
            raise ValueError(f"authorization_type={wanted!r} needs {field}")
        if value and kind not in (None, wanted, "authorizedUsersOrGroups"):
            raise ValueError(f"{field} needs authorization_type={wanted!r}, not {kind!r}")
