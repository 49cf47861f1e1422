"""Every number of the client, with its reason."""

from __future__ import annotations

import re
from typing import Final

PAGE_SIZE: Final = 500
"""Rows asked for in one list request: the API's maximum (documented: 2.24), its default is 50."""

MAX_PAGES: Final = 10_000
"""Five million rows; more means that the server's paging goes round in a circle."""

MAX_RESPONSE_BYTES: Final = 32 * 1024 * 1024
"""A page of 500 workloads is a few MB; anything far beyond is not an answer of this API."""

MAX_MESSAGE_CHARACTERS: Final = 500
"""Server messages are shown up to here, so that a page of HTML never fills a terminal."""

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 30.0
WRITE_SECONDS: Final = 30.0
POOL_SECONDS: Final = 10.0
TOTAL_SECONDS: Final = 120.0
"""One call with all its retries; beyond two minutes a person has long given up."""

MAX_CONNECTIONS: Final = 8
"""Pulumi's dynamic host runs four operations at once; the rest is room for a poller."""

KEEPALIVE_SECONDS: Final = 30.0
"""Below the 60 to 75 s after which the usual ingress closes an idle connection."""

RETRY_ATTEMPTS: Final = 4
RETRY_BASE_SECONDS: Final = 0.5
RETRY_MAX_SECONDS: Final = 8.0
RETRY_AFTER_CEILING_SECONDS: Final = 60.0
"""A server that asks for a longer pause gets none: the caller hears about it at once."""

RETRY_STATUSES: Final = frozenset({429, 500, 502, 503, 504})
"""Answers that may be different a moment later."""

NOT_PROCESSED_STATUSES: Final = frozenset({501, 505})
"""Server errors that say by themselves that nothing was done."""

TOKEN_MARGIN_SECONDS: Final = 60.0
"""A token is renewed this long before its end, so that it cannot run out on the way."""

TOKEN_MARGIN_SHARE: Final = 0.2
"""For tokens that live less than five minutes: renew in the last fifth of their life."""

TOKEN_UNKNOWN_LIFE_SECONDS: Final = 300.0
"""A token that says nothing about its end is used for this long."""

READY_FIRST_PAUSE_SECONDS: Final = 0.25
READY_PAUSE_GROWTH: Final = 1.6
READY_MAX_PAUSE_SECONDS: Final = 5.0
READY_SECONDS: Final = 120.0
"""Clusters take over a rule or a credential within seconds; two minutes means that one is away."""

SERVICE_ACCOUNT_NAME: Final = re.compile(r"[a-z][-_a-z0-9]*[a-z0-9]")
SERVICE_ACCOUNT_NAME_LENGTH: Final = (2, 255)
"""Documented: 2.24 API."""

DESCRIPTION_LENGTH: Final = (1, 250)
"""Descriptions of assets (documented: 2.24 API)."""

NEWEST_KNOWN_VERSION: Final = (2, 24)
"""The newest control plane whose API this client was written for. A cluster is never newer than its
control plane, so a cluster beyond it tells of a newer one."""
