"""Take secrets, persons and hosts out of what goes into a cassette.

The same scrubber runs over requests while recording and while replaying, so that a secret that
differs between the two still matches.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from provision._constants import SECRET_OWNER_KEY

#: Stands where a secret was. Tests look for it, and for everything that is not it.
PLACEHOLDER = "scrubbed"
PERSON = "someone@example.com"

#: The only headers that say something about the protocol; the others are dropped.
KEPT_HEADERS = frozenset({"content-type", "retry-after"})

_FAR_FUTURE = 4102444800  # 2100-01-01


def _segment(claims: Mapping[str, Any]) -> str:
    text = json.dumps(claims, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


#: Well-formed and long-lived, so that every client takes it; its signature is no signature.
TOKEN = ".".join(
    (
        _segment({"alg": "HS256", "typ": "JWT"}),
        _segment({"iss": "https://runai.example.com/auth/realms/scrubbed", "exp": _FAR_FUTURE}),
        _segment({"scrubbed": True}),
    )
)

_TOKEN_KEYS = frozenset({"accesstoken", "idtoken", "refreshtoken", "externaltoken"})
SECRET_KEYS = frozenset(
    {
        "clientsecret",
        "appsecret",
        "secret",
        "password",
        "apikey",
        "ngcapikey",
        "accesskeysecret",
        "secretkey",
        "secretaccesskey",
        "dockerconfigjson",
        "privatekey",
    }
)
_PERSON_KEYS = frozenset({"createdby", "updatedby", "deletedby", "submittedby", "useremail"})
_SECRET_VARIABLE = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|ACCESS_?KEY", re.IGNORECASE)
JWT = re.compile(r"eyJ[\w-]{5,}\.eyJ[\w-]{5,}\.[\w-]+")
EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}")

#: Lists that show what belongs to others in a tenant. Names of roles and permission sets are the
#: vendor's, or worth seeing.
_FOREIGN_NAMES = re.compile(
    r"/api/v1/(service-accounts|apps|clusters|node-pools|org-unit/|asset/|workloads|"
    r"workload-templates|authorization/access-rules|authorization/me/access-rules)"
)
_NAME_KEYS = frozenset(
    {"name", "projectname", "departmentname", "clustername", "scopename", "namespace"}
    | {"clientid", "subjectid", "nodename", "ip", "hostip", "podip", "domain"}
    | {"requestednamespace", "description"}
)


def flat(key: str) -> str:
    """A key without its spelling: ``client_secret``, ``clientSecret`` and ``ClientSecret`` meet."""
    return key.replace("_", "").replace("-", "").lower()


class Scrubber:
    """Scrubs requests and responses of vcrpy.

    `origins` maps the start of real URLs to the fixed ones that go into cassettes. `replace` maps
    texts that must not be seen (secrets, the recorder's identity) to what stands for them.
    `own` says which names may stay; with it, all other names in lists of tenant objects become
    pseudonyms. Without it (recordings of the emulator, whose content is public) all names stay.
    """

    def __init__(
        self,
        origins: Mapping[str, str],
        replace: Mapping[str, str] | None = None,
        own: Callable[[str], bool] | None = None,
    ) -> None:
        texts = {**(replace or {})}
        for real, fixed in origins.items():
            texts[real.rstrip("/")] = fixed
            texts[_host(real)] = _host(fixed)
        # Longest first: an origin before its host, a secret before a part of it.
        self._texts = sorted(
            ((old, new) for old, new in texts.items() if old and old != new),
            key=lambda pair: -len(pair[0]),
        )
        self._own = own

    # -- hooks of vcrpy --------------------------------------------------------------------------

    def request(self, request: Any) -> Any:
        request.uri = self.text(request.uri)
        request.headers = _kept(dict(request.headers))
        body = request.body
        if body:
            kind = str(request.headers.get("content-type", ""))
            request.body = self._form(body) if "form-urlencoded" in kind else self._json(body)
        else:
            request.body = None
        return request

    def response_to(self, path: str, response: dict[str, Any]) -> dict[str, Any]:
        headers = {name.lower(): values for name, values in response["headers"].items()}
        body = response["body"]["string"] or b""
        hidden = self._own is not None and bool(_FOREIGN_NAMES.search(path))
        return {
            "status": response["status"],
            "headers": {name: headers[name] for name in sorted(headers) if name in KEPT_HEADERS},
            "body": {"string": self._json(body, hide_names=hidden) if body else b""},
        }

    # -- parts -----------------------------------------------------------------------------------

    def text(self, value: str) -> str:
        for old, new in self._texts:
            value = value.replace(old, new)
        value = JWT.sub(TOKEN, value)
        return EMAIL.sub(lambda found: _fictitious(found.group()), value)

    def _form(self, body: bytes | str) -> bytes:
        text = body.decode() if isinstance(body, bytes) else body
        pairs = parse_qsl(text, keep_blank_values=True)
        return urlencode(sorted((key, self._leaf(key, value)) for key, value in pairs)).encode()

    def _json(self, body: bytes | str, *, hide_names: bool = False) -> bytes:
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
        try:
            value = json.loads(text)
        except ValueError:
            return self.text(text).encode()
        return readable(self._walk(value, hide_names)).encode()

    def _walk(self, value: Any, hide_names: bool) -> Any:
        if isinstance(value, dict):
            # A role of the tenant's own; the names of predefined ones are the vendor's.
            hide_names = hide_names or (self._own is not None and value.get("custom") is True)
            found = {
                key: self._leaf(key, item, hide_names)
                if isinstance(item, str)
                else self._walk(item, hide_names)
                for key, item in value.items()
            }
            for pair in _secret_pairs(found):
                pair["value"] = PLACEHOLDER
            return {
                key: PLACEHOLDER if _is_secret_map_entry(key, item) else item
                for key, item in _without_values(found).items()
            }
        if isinstance(value, list):
            return [self._walk(item, hide_names) for item in value]
        return self.text(value) if isinstance(value, str) else value

    def _leaf(self, key: str, value: str, hide_names: bool = False) -> str:
        plain = flat(key)
        if not value:
            return value
        if plain in _TOKEN_KEYS:
            return TOKEN
        if plain in SECRET_KEYS:
            return PLACEHOLDER
        value = self.text(value)
        if self._own is not None and plain in _PERSON_KEYS and not self._own(value):
            return PERSON
        if hide_names and plain in _NAME_KEYS and self._own is not None and not self._own(value):
            return _pseudonym(value)
        return value


def _secret_pairs(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Variables whose name says that they are secret, and all pairs of a generic secret."""
    pairs = [pair for pair in found.get("keyValuePairs") or () if isinstance(pair, dict)]
    if isinstance(found, dict) and _SECRET_VARIABLE.search(str(found.get("name", ""))):
        pairs.append(found)
    return [pair for pair in pairs if isinstance(pair.get("value"), str)]


def _without_values(found: dict[str, Any]) -> dict[str, Any]:
    """A ZenML secret keeps its keys and, of its values, the mark of whose it is."""
    values = found.get("values")
    if isinstance(values, dict):
        kept = {
            key: item if key == SECRET_OWNER_KEY or not isinstance(item, str) else PLACEHOLDER
            for key, item in values.items()
        }
        return {**found, "values": kept}
    return found


def _is_secret_map_entry(key: str, item: Any) -> bool:
    """Maps of environment variables: ``{"SOME_TOKEN": "..."}``."""
    return isinstance(item, str) and key.isupper() and bool(_SECRET_VARIABLE.search(key))


def _pseudonym(name: str) -> str:
    return "name-" + hashlib.sha256(name.encode()).hexdigest()[:6]


def _fictitious(address: str) -> str:
    return address if address.endswith(("@example.com", ".example.com")) else PERSON


def _host(url: str) -> str:
    return url.split("//", 1)[-1].split("/", 1)[0]


def _kept(headers: Mapping[str, Any]) -> dict[str, Any]:
    return {name.lower(): value for name, value in headers.items() if name.lower() in KEPT_HEADERS}


def readable(value: Any, width: int = 100, indent: int = 0, before: int = 0) -> str:
    """JSON with one short object or array a line, longer ones broken up.

    `before` is how much of the line is taken already, by the key.
    """
    one_line = json.dumps(value, ensure_ascii=False)
    fits = len(one_line) + indent + before <= width
    if fits or not value or not isinstance(value, (dict, list)):
        return one_line
    inner = " " * (indent + 1)
    if isinstance(value, dict):
        start, end = "{", "}"
        items = [
            f"{json.dumps(key)}: {readable(item, width, indent + 1, len(key) + 4)}"
            for key, item in value.items()
        ]
    else:
        start, end = "[", "]"
        items = [readable(item, width, indent + 1) for item in value]
    return f"{start}\n{inner}" + f",\n{inner}".join(items) + f"\n{' ' * indent}{end}"
