"""Applications, the machine identities of 2.23 and older (deprecated in 2.24).

They answer with the same types as service accounts; in access rules their subject type is ``app``.
"""

from __future__ import annotations

from runai_api._identities import Identities
from runai_api._operation import Operation

_ALL = "/api/v1/apps"
_EACH = f"{_ALL}/{{id}}"


class Applications(Identities):
    """``client.applications``"""

    _list_all = Operation("applications.list", "GET", _ALL, "apps:read")
    _read = Operation("applications.get", "GET", _EACH, "apps:read")
    _create = Operation("applications.create", "POST", _ALL, "apps:create")
    _update = Operation("applications.set_enabled", "PATCH", _EACH, "apps:update")
    _regenerate = Operation(
        "applications.regenerate_secret", "POST", f"{_EACH}/secret", "apps:update", repeatable=True
    )
    _delete = Operation("applications.delete", "DELETE", _EACH, "apps:delete")
    _kind = "applications"
