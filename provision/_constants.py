"""Numbers and fixed names of provisioning, each with its reason."""

from __future__ import annotations

#: Name of both flavors. ZenML's builtin step operator owns the name ``runai``, and a flavor sync of
#: the server would undo an override of it.
FLAVOR_NAME = "nvidia_runai"

#: The oldest ZenML server whose REST API this package was run against.
MINIMUM_ZENML = (0, 98, 0)

#: Component types of ZenML 0.98 (documented: its StackComponentType).
COMPONENT_TYPES = (
    "alerter", "annotator", "artifact_store", "container_registry", "data_validator", "deployer",
    "experiment_tracker", "feature_store", "image_builder", "log_store", "model_deployer",
    "model_registry", "orchestrator", "sandbox", "step_operator",
)  # fmt: skip

#: Predefined role by kind of server (documented: ZenML's Run:ai guide; `AI practitioner` replaces
#: the researcher roles from 2.24 on).
PREDEFINED_ROLE = "AI practitioner"
LEGACY_PREDEFINED_ROLE = "L1 researcher"

#: The first control plane with permission sets and custom roles (documented: 2.24 API).
CUSTOM_ROLES_SINCE = "2.24"

#: A server that is asked for the same name twice at once looks both times, finds it free, and
#: answers 500 with its database's words to the second insert (seen: SQLite; MySQL's inferred).
ZENML_NAME_TAKEN = ("UNIQUE constraint failed", "Duplicate entry")

#: One request to ZenML. Its login hashes the key with bcrypt: 0.3 to 0.7 s on an idle server.
CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
#: One call of either client, retries included. The dynamic host drops the engine's per-resource
#: timeouts, so every operation, which is a handful of calls, needs an end of its own.
CALL_SECONDS = 30.0
MAXIMUM_ATTEMPTS = 5
FIRST_BACKOFF_SECONDS = 0.25
LONGEST_BACKOFF_SECONDS = 8.0

#: An access rule or a credential becomes Ready within seconds on a healthy cluster.
READY_SECONDS = 60.0

#: A run that goes on gives an account its rights well within this time.
HALF_MADE_SECONDS = 3.0

#: 128 bits: no two states get the same key.
FINGERPRINT_KEY_BYTES = 16

#: How often a provider host looks whether its engine still lives.
WATCH_SECONDS = 0.5

#: Hexadecimal digits of a name's suffix: 32 bits, 1 in 10 million for two of 30 stacks to clash.
SUFFIX_DIGITS = 8
#: Service account names are limited to 255 characters, Kubernetes labels to 63; shorter names read
#: better and leave room for what the control plane puts in front.
NAME_LENGTH = 50

#: Label keys on ZenML components and stacks; the second one tells whose they are.
LABEL_MANAGED_BY = "managed-by"
LABEL_OWNER = "pulumi-owner"
MANAGED_BY = "pulumi"
#: The same mark in a ZenML secret, which has no labels: one key beside the real ones.
SECRET_OWNER_KEY = "pulumi_owner"  # noqa: S105 - the name of a key, not a secret
#: The start of the mark in descriptions of roles and credentials (at most 250 characters there).
DESCRIPTION_MARK = "Managed by Pulumi: "

#: Tracebacks of defects are hidden unless this variable is set in the environment of ``pulumi``.
DEBUG_VARIABLE = "ZENML_RUNAI_TRACEBACK"
