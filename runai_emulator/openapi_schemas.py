"""Schemas of requests and replies, written from the documented facts about the API."""

from __future__ import annotations

from ._constants import ACCOUNT_NAME
from .access import SCOPE_TYPES
from .cluster.spec_schema import spec_schema
from .schema import Schema, choice, flag, items, named, real, text, thing, whole

DATE: Schema = {"type": "string", "format": "date-time"}
UUID: Schema = {"type": "string", "format": "uuid"}
NULL_DATE = DATE | {"nullable": True}
ANY: Schema = {}
TEXT = text()

ERROR = named("Error", thing(("code", "message"), code=whole(100, 599), message=TEXT, details=TEXT))
OAUTH_ERROR = thing(("error",), error=TEXT, error_description=TEXT)
ACCEPTED = thing(("code", "message"), code=whole(100, 599), message=TEXT)
COUNT = thing(("count",), count=whole(0, bits=64))


def listed(key: str, schema: Schema) -> Schema:
    """A page: the rows under their key, and the offset of the next page unless it is the last."""
    return thing((key,), **{key: items(schema), "next": whole(0)})


# -- tokens and accounts ---------------------------------------------------------------------------

TOKEN_REQUEST = thing(
    grantType=choice("client_credentials", "app_token", "password", "refresh_token"),
    clientID=TEXT,
    clientSecret=TEXT,
    appID=TEXT,
    appSecret=TEXT,
    username=TEXT,
    password=TEXT,
    refreshToken=TEXT,
)
TOKEN = thing(("accessToken",), accessToken=TEXT, refreshToken=TEXT, expiresIn=whole(0))
OAUTH_REQUEST = thing(
    ("grant_type",),
    grant_type=choice("client_credentials", "password", "refresh_token"),
    client_id=TEXT,
    client_secret=TEXT,
    username=TEXT,
    password=TEXT,
    refresh_token=TEXT,
)
OAUTH_TOKEN = thing(
    ("access_token", "token_type"), access_token=TEXT, token_type=TEXT, expires_in=whole(0)
)
ACCOUNT_REQUEST = thing(("name",), name=text(ACCOUNT_NAME, 2, 255))
ACCOUNT_UPDATE = thing(("enabled",), enabled=flag())
ACCOUNT = named(
    "Account",
    thing(
        ("id", "name", "clientId", "enabled", "createdBy"),
        id=UUID,
        name=TEXT,
        clientId=TEXT,
        enabled=flag(),
        tenantId=TEXT,
        createdBy=TEXT,
        createdAt=DATE,
        updatedAt=DATE,
        lastLogin=DATE,
    ),
)


def account_secret(key: str) -> Schema:
    return thing((key,), **{key: TEXT})


def account_created(key: str) -> Schema:
    return thing(("id", "name", key), id=UUID, name=TEXT, clientId=TEXT, **{key: TEXT})


# -- roles and rules -------------------------------------------------------------------------------

_ACTION = choice("create", "read", "update", "delete")
PERMISSION = thing(
    ("resourceType", "actions"),
    resourceType=TEXT,
    actions=items(_ACTION),
    displayName=TEXT,
    groupId=TEXT,
)
PERMISSION_SET = thing(
    ("id", "name", "permissions"),
    id=UUID,
    name=TEXT,
    description=TEXT,
    permissions=items(PERMISSION),
)
ROLE_REQUEST = thing(
    ("name", "description"),
    name=text(low=1, high=255),
    description=TEXT,
    enabled=flag(),
    permissionSets=items(thing(("id",), id=UUID, name=TEXT)),
    kubernetesPermissions=thing(predefinedRole=TEXT),
)
ROLE = named(
    "Role",
    thing(
        ("id", "name", "description", "effectiveEnabled", "custom", "permissions", "createdBy"),
        id=whole(0),
        name=TEXT,
        description=TEXT,
        enabled=flag(),
        effectiveEnabled=flag(),
        custom=flag(),
        deprecated=flag(),
        permissionSets=items(thing(("id",), id=UUID, name=TEXT)),
        permissions=items(PERMISSION),
        kubernetesPermissions=thing(predefinedRole=TEXT),
        createdAt=DATE,
        updatedAt=DATE,
        deletedAt=DATE,
        createdBy=TEXT,
    ),
)
SUBJECT_TYPE = choice("user", "app", "service-account", "group")
SCOPE_TYPE = choice(*SCOPE_TYPES)
_RULE_FIELDS = {
    "subjectId": TEXT,
    "subjectType": SUBJECT_TYPE,
    "roleId": whole(0),
    "scopeId": TEXT,
    "scopeType": SCOPE_TYPE,
    "clusterId": UUID,
}
_RULE_KEYS = ("subjectId", "subjectType", "roleId", "scopeId", "scopeType")
RULE_REQUEST = thing(_RULE_KEYS, **_RULE_FIELDS)
RULE = named(
    "AccessRule",
    thing(
        (*_RULE_KEYS, "roleName", "scopeName", "id", "tenantId"),
        **_RULE_FIELDS,
        roleName=TEXT,
        scopeName=TEXT,
        id=whole(0),
        createdAt=DATE,
        updatedAt=DATE,
        deletedAt=DATE,
        tenantId=whole(0),
        createdBy=TEXT,
        status=thing(phase=choice("Creating", "Ready", "NotReady", "Deleting"), message=TEXT),
        scopePath=TEXT,
    ),
)
RULES = thing(
    ("totalRecords", "displayRecords", "accessRules"),
    totalRecords=whole(0),
    displayRecords=whole(0),
    accessRules=items(RULE),
)
RULE_BATCH = thing(("ids", "action"), ids=items(TEXT), action=choice("delete", "validate_delete"))
BATCH = thing(
    ("id", "succeeded", "failed"),
    id=UUID,
    succeeded=items(TEXT),
    failed=items(thing(("id", "code", "message"), id=TEXT, code=whole(100, 599), message=TEXT)),
)
RULE_BATCH_CREATE = thing(
    ("payload",),
    payload=thing(
        ("roleId", "subjects", "scopes"),
        roleId=whole(0),
        clusterId=UUID,
        subjects=items(
            thing(("subjectId", "subjectType"), subjectId=TEXT, subjectType=SUBJECT_TYPE), 1
        ),
        scopes=items(thing(("scopeId", "scopeType"), scopeId=TEXT, scopeType=SCOPE_TYPE), 1),
    ),
)
RULE_BATCH_CREATED = thing(
    ("succeeded", "failed"), succeeded=items(RULE), failed=items(thing(("code", "message")))
)
PERMITTED_REQUEST = thing(("resourceType",), resourceType=TEXT, action=_ACTION)
_PERMITTED = thing(
    system=flag(),
    tenants=items(TEXT),
    clusters=items(TEXT),
    departments=items(TEXT),
    projects=items(TEXT),
)
PERMITTED = thing(
    ("create", "read", "update", "delete"),
    create=_PERMITTED,
    read=_PERMITTED,
    update=_PERMITTED,
    delete=_PERMITTED,
)

# -- organisation units ----------------------------------------------------------------------------

CLUSTER_REQUEST = thing(("name",), name=text(low=1, high=253), domain=TEXT, version=TEXT)
CLUSTER = named(
    "Cluster",
    thing(
        ("uuid", "tenantId", "name", "createdAt"),
        uuid=UUID,
        tenantId=whole(0),
        name=TEXT,
        createdAt=DATE,
        domain=TEXT,
        version=TEXT,
        status=thing(state=TEXT),
    ),
)
_PLACEMENT = thing(cpu=choice("spread", "binpack"), gpu=choice("spread", "binpack"))
_POOL_SETTINGS = {
    "labelKey": text(low=1),
    "labelValue": text(low=1),
    "overProvisioningRatio": whole(1, 5),
    "placementStrategy": _PLACEMENT,
    "gpuNetworkAccelerationDetection": choice("Use", "DontUse", "Auto"),
}
NODE_POOL_REQUEST = thing(
    ("name", "clusterId", "labelKey", "labelValue"), name=text(), clusterId=UUID, **_POOL_SETTINGS
)
NODE_POOL_REPLACE = thing(("labelKey", "labelValue"), **_POOL_SETTINGS)
NODE_POOL_PATCH = thing(**_POOL_SETTINGS)
NODE_POOL = named(
    "NodePool",
    thing(
        (
            "id",
            "name",
            "labelKey",
            "labelValue",
            "clusterId",
            "tenantId",
            "clusterName",
            "isDefault",
        ),
        **_POOL_SETTINGS,
        id=TEXT,
        name=TEXT,
        clusterId=UUID,
        tenantId=whole(0),
        clusterName=TEXT,
        phase=TEXT,
        isDefault=flag(),
    ),
)
_SHARE = {"deserved": real(), "limit": real(), "overQuotaWeight": real()}
RESOURCES = named(
    "Resources",
    items(
        thing(
            nodePool=thing(("id",), id=TEXT, name=TEXT),
            gpu=thing(**_SHARE),
            cpu=thing(**_SHARE),
            memory=thing(**_SHARE, units=choice("Mib", "MB", "GB")),
            priority=TEXT,
        )
    ),
)
_UNIT_SETTINGS = {
    "description": TEXT,
    "schedulingRules": thing(trainingJobTimeLimitSeconds=whole(1)),
    "defaultNodePools": items(TEXT),
    "nodeTypes": thing(),
    "resources": RESOURCES,
}
UNIT_REQUEST = thing(
    ("name", "clusterId"),
    name=text(low=1, high=57),
    clusterId=UUID,
    parentId=TEXT,
    requestedNamespace=TEXT,
    enforceRunaiScheduler=flag(),
    **_UNIT_SETTINGS,
)
UNIT_UPDATE = thing(**_UNIT_SETTINGS)
UNIT = named(
    "OrganisationUnit",
    thing(
        ("id", "name", "clusterId", "description", "resources", "status", "totalResources"),
        id=TEXT,
        name=TEXT,
        clusterId=UUID,
        parentId=TEXT,
        status=thing(phase=TEXT, namespace=TEXT),
        totalResources=thing(gpuQuota=real(), cpuQuota=real(), memoryQuota=real()),
        createdAt=DATE,
        updatedAt=DATE,
        effective=thing(),
        **_UNIT_SETTINGS,
    ),
)

# -- assets and templates --------------------------------------------------------------------------

ASSET_META = thing(
    ("name", "scope"),
    name=text(low=1, high=253),
    description=text(low=1, high=250),
    scope=choice("tenant", "cluster", "department", "project"),
    clusterId=UUID,
    departmentId=text(low=1),
    projectId=whole(0),
    private=flag(),
)
ASSET_UPDATE = thing(meta=thing(description=text(low=1, high=250)))
ASSET = named(
    "Asset",
    thing(
        ("meta", "spec"),
        meta=thing(
            ("id", "name", "kind", "scope", "createdBy", "createdAt", "updatedBy", "updatedAt"),
            id=UUID,
            name=TEXT,
            kind=TEXT,
            scope=TEXT,
            projectId=whole(0),
            createdBy=TEXT,
            createdAt=DATE,
            updatedBy=TEXT,
            updatedAt=DATE,
        ),
        spec=thing(),
        clusterInfo=thing(resources=items(thing(name=TEXT, kind=TEXT))),
        status=thing(status=TEXT),
        usedBy=thing(),
    ),
)
ASSETS = thing(("entries",), entries=items(ASSET))


def asset_request(spec: Schema) -> Schema:
    return thing(("meta", "spec"), meta=ASSET_META, spec=spec)


CREDENTIAL_SPECS = {
    "docker-registry": thing(
        existingSecretName=text(low=1),
        user=text(low=1),
        password=text(low=1),
        url=text(low=1),
    ),
    "access-key": thing(
        existingSecretName=text(low=1), accessKeyId=text(low=1), secretAccessKey=text(low=1)
    ),
    "password": thing(existingSecretName=text(low=1), user=text(low=1), password=text(low=1)),
    "generic-secret": thing(
        existingSecretName=text(low=1),
        keyValuePairs=items(thing(("key",), key=text(low=1), value=TEXT)),
    ),
    "ngc-api-key": thing(ngc_api_key=text(r"^[-._A-Za-z0-9]+$")),
}
_TEMPLATE_META = thing(
    ("name", "scopeType"),
    name=text(low=1, high=253),
    description=text(low=1, high=250),
    scopeType=choice("tenant", "cluster", "department", "project"),
    scopeId=TEXT,
)


def template_request(kind: str) -> Schema:
    return thing(("meta",), meta=_TEMPLATE_META, spec=spec_schema(kind))


def template_update(kind: str) -> Schema:
    return thing(
        meta=thing(name=text(low=1, high=253), description=text(low=1, high=250)),
        spec=spec_schema(kind),
    )


TEMPLATE = named(
    "WorkloadTemplate",
    thing(
        ("meta", "spec"),
        meta=thing(
            ("id", "name", "workloadType", "scopeType", "scopeId", "createdBy", "createdAt"),
            id=UUID,
            name=TEXT,
            workloadType=TEXT,
            scopeType=TEXT,
            scopeId=TEXT,
            projectId=whole(0),
            createdBy=TEXT,
            createdAt=DATE,
        ),
        spec=thing(),
        runnable=thing(isRunnable=flag(), issue=TEXT),
    ),
)
TEMPLATES = thing(
    ("entries", "pagination"),
    entries=items(TEMPLATE),
    pagination=thing(("limit", "offset"), limit=whole(1), offset=whole(0), nextOffset=whole(0)),
)
