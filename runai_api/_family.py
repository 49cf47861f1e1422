"""What the families share: one object, a list in pages, a look-up by exact name, waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, TypeVar

from pydantic import SecretStr

from runai_api import _constants as constants
from runai_api._filters import can_filter, checked, equals, longest_part
from runai_api._http import Deadline, Session
from runai_api._models import M, as_array, as_object, parse
from runai_api._operation import Operation
from runai_api.errors import (
    AmbiguousName,
    AmbiguousOutcome,
    DeadlineExceeded,
    InvalidArgument,
    InvalidResponse,
)

T = TypeVar("T")

Paging = Literal["marked", "unmarked", "none"]
"""How a list tells that there is more: by a field, not at all (a full page is followed by another
request), or it always comes whole."""


class Family:
    """Operations on one kind of resource."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def _one(
        self,
        operation: Operation,
        model: type[M],
        *,
        path: Mapping[str, object] | None = None,
        params: Mapping[str, object] | None = None,
        body: object = None,
        scope: str | None = None,
        secrets: Iterable[str] = (),
    ) -> M:
        """Send an operation that is answered with one object."""
        answer = self._session.call(
            operation, path=path, params=params, body=body, scope=scope, secrets=secrets
        )
        target = operation.path(path)
        what = f"{operation.method} {target}"
        try:
            return parse(model, as_object(answer, what), what)
        except InvalidResponse as error:
            if operation.repeatable:
                raise
            raise AmbiguousOutcome(
                f"{what} was carried out, but its result cannot be read: {error}",
                method=operation.method,
                path=target,
                hint="Look the object up by name before you try again.",
            ) from error

    def _array(
        self, operation: Operation, model: type[M], *, params: Mapping[str, object] | None = None
    ) -> list[M]:
        """A list that comes as one bare array."""
        what = f"{operation.method} {operation.template}"
        answer = self._session.call(operation, params=params)
        return [parse(model, item, what) for item in as_array(answer, what)]

    def _list(
        self,
        operation: Operation,
        model: type[M],
        key: str,
        *,
        path: Mapping[str, object] | None = None,
        params: Mapping[str, object] | None = None,
        filters: Iterable[str] = (),
        limit: int | None = None,
        paging: Paging = "marked",
        scope: str | None = None,
        unwrap: Callable[[Mapping[str, Any]], Any] | None = None,
    ) -> list[M]:
        """A list that comes in pages, as a whole (or its first `limit` items)."""
        if limit is not None and limit < 1:
            raise InvalidArgument("limit must be at least 1.")
        what = f"{operation.method} {operation.path(path)}"
        query = {**(params or {}), "filterBy": checked(list(filters))}
        items: list[M] = []
        for page in self._pages(operation, key, what, path, query, limit, paging, scope, unwrap):
            items.extend(parse(model, item, what) for item in page)
        return items if limit is None else items[:limit]

    def _pages(
        self,
        operation: Operation,
        key: str,
        what: str,
        path: Mapping[str, object] | None,
        query: Mapping[str, object],
        limit: int | None,
        paging: Paging,
        scope: str | None,
        unwrap: Callable[[Mapping[str, Any]], Any] | None,
    ) -> Iterator[list[Any]]:
        offset = seen = 0
        size = constants.PAGE_SIZE if limit is None else min(limit, constants.PAGE_SIZE)
        for _ in range(constants.MAX_PAGES):
            where = {"offset": offset or None, "limit": size} if paging != "none" else {}
            answer = self._session.call(
                operation, path=path, params={**query, **where}, scope=scope
            )
            body = as_object(answer, what)
            body = as_object(unwrap(body), what) if unwrap else body
            found = body.get(key)
            page = as_array([] if found is None else found, what)
            yield page
            seen += len(page)
            if paging == "none" or not page or (limit is not None and seen >= limit):
                return
            following = _next_offset(body, offset, len(page), what)
            if following is None and paging == "unmarked" and len(page) >= size:
                following = offset + len(page)
            if following is None:
                return
            offset = following
        raise InvalidResponse(f"{what} has more than {constants.MAX_PAGES} pages.")

    def _named(
        self,
        operation: Operation,
        model: type[M],
        key: str,
        name: str,
        *,
        params: Mapping[str, object] | None = None,
        paging: Paging = "marked",
        **narrower: object,
    ) -> list[M]:
        """All objects with exactly this name, asked for in one request."""
        if not name:
            raise InvalidArgument("The name to look up is empty.")
        query = dict(params or {})
        filters = equals(**narrower)
        if can_filter(name):
            filters = [*equals(name=name), *filters]
        else:
            query["search"] = longest_part(name) or None
        rows = self._list(operation, model, key, params=query, filters=filters, paging=paging)
        return [row for row in rows if getattr(row, "name", None) == name]


def only(
    matches: list[M], kind: str, name: str, hint: str, id_of: Callable[[M], object]
) -> M | None:
    """The single match, None for none, `AmbiguousName` for several.

    One object may be listed twice: rows move between pages while others come and go.
    """
    ids = tuple(dict.fromkeys(str(id_of(match)) for match in matches))
    if len(ids) > 1:
        raise AmbiguousName(
            f"{len(ids)} {kind} are named {name!r} (ids {', '.join(ids)}).", ids=ids, hint=hint
        )
    return matches[0] if matches else None


def wait_until(
    read: Callable[[], T],
    ready: Callable[[T], bool],
    *,
    first: T | None,
    timeout: float,
    what: str,
    describe: Callable[[T], str],
    sleep: Callable[[float], None],
) -> T:
    """Poll until `ready`: often at first, then less often. `first` saves the first request.

    `ready` raises for states that cannot become ready. Raises `DeadlineExceeded` after `timeout`
    seconds.
    """
    deadline = Deadline(timeout)
    pause = constants.READY_FIRST_PAUSE_SECONDS
    state = first if first is not None else read()
    if ready(state):
        return state
    if first is not None:
        state = read()
    while not ready(state):
        left = deadline.remaining()
        if left <= 0:
            raise DeadlineExceeded(
                f"{what} was not ready within {timeout:g} s; it is {describe(state)}.",
                hint="Check that its cluster is connected, then try again.",
            )
        sleep(min(pause, left))
        pause = min(pause * constants.READY_PAUSE_GROWTH, constants.READY_MAX_PAUSE_SECONDS)
        state = read()
    return state


def secret_text(value: str | SecretStr) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def project_scope(project_id: object) -> str:
    return f"project {project_id}"


def _next_offset(body: Mapping[str, Any], offset: int, received: int, what: str) -> int | None:
    """Where the next page begins, by whichever of the API's ways this list has; None at the end."""
    pagination = body.get("pagination")
    candidates = [body.get("next")]
    if isinstance(pagination, dict):
        candidates.append(pagination.get("nextOffset"))
    for value in candidates:
        if value in (None, "", 0):
            continue
        following = _whole_number(value)
        if following is None or following <= offset:
            raise InvalidResponse(f"{what} names a next page that does not lie further on.")
        return following
    total = _whole_number(body.get("totalRecords"))
    if total is not None:
        return offset + received if offset + received < total else None
    return None


def _whole_number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        return int(value)
    return None
