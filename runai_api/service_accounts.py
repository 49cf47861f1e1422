"""Service accounts, the machine identities of 2.24 and newer (documented: 2.24 API)."""

from __future__ import annotations

from runai_api._identities import Identities, ServiceAccount, ServiceAccountSecret
from runai_api._operation import Operation

__all__ = ["ServiceAccount", "ServiceAccountSecret", "ServiceAccounts"]

_ALL = "/api/v1/service-accounts"
_EACH = f"{_ALL}/{{id}}"


class ServiceAccounts(Identities):
    """``client.service_accounts``"""

    _list_all = Operation(
        "service_accounts.list", "GET", _ALL, "service-account:read", current_only=True
    )
    _read = Operation(
        "service_accounts.get", "GET", _EACH, "service-account:read", current_only=True
    )
    _create = Operation(
        "service_accounts.create", "POST", _ALL, "service-account:create", current_only=True
    )
    _update = Operation(
        "service_accounts.set_enabled", "PATCH", _EACH, "service-account:update", current_only=True
    )
    # Repeating it leaves one valid secret, the last one returned.
    _regenerate = Operation(
        "service_accounts.regenerate_secret",
        "POST",
        f"{_EACH}/secret",
        "service-account:update",
        repeatable=True,
        current_only=True,
    )
    _delete = Operation(
        "service_accounts.delete", "DELETE", _EACH, "service-account:delete", current_only=True
    )
    _kind = "service accounts"
