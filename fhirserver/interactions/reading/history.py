"""The history interactions: the versions of one resource, of a type or of everything, tombstones included.

https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fhirserver.access.gate.request import Request
from fhirserver.access.scopes import SYSTEM_LEVEL
from fhirserver.interactions.context import Context
from fhirserver.interactions.reading.listed import listed
from fhirserver.model.outcome import NotFound
from fhirserver.model.resource import Version
from fhirserver.search.permit import Permit
from fhirserver.store import Mark, Named, Span
from fhirserver.store.history.feed import COMMIT_BOUND as COMMIT_BOUND


@dataclass(frozen=True, slots=True)
class HistoryRequest:
    """What is asked: versions written at or after `since`, or current at some moment of `at`; those that the List `within` names.

    Without an id those of the type, without a type those of every type that the caller reaches.
    """

    resource_type: str
    id: str
    count: int
    since: datetime | None = None
    at: tuple[datetime, datetime] | None = None
    cursor: str | None = None
    oldest_first: bool = False
    within: str | None = None

    @property
    def path(self) -> str:
        """The address below the base."""
        return "/".join(part for part in (self.resource_type, self.id, "_history") if part)

    @property
    def query(self) -> str:
        """The request without its position, for binding the cursor."""
        return f"{self.path}?{self.count}&{self.since}&{self.at}&{self.oldest_first}&{self.within}"

    @property
    def is_filtered(self) -> bool:
        """Whether some versions are left out on purpose."""
        return self.since is not None or self.at is not None or self.within is not None

    def shows(self, version: Version, replaced: datetime | None) -> bool:
        """Whether a version belongs in the answer; `replaced` is when the next one was written."""
        if self.since is not None and version.updated < self.since:
            return False
        if self.at is None:
            return True
        first, last = self.at
        return version.updated <= last and (replaced is None or replaced > first)

    def is_past(self, version: Version) -> bool:
        """Whether every older version is left out as well."""
        oldest = self.at[0] if self.at is not None else None
        is_before_since = self.since is not None and version.updated < self.since
        return is_before_since or (oldest is not None and version.updated <= oldest)


@dataclass(frozen=True, slots=True)
class History:
    """A page of versions; an empty one, without another behind it, where no entries are asked for. `total` counts all visible versions
    of one resource, and is None where some are left out.

    `asked` is when the first page was asked for: whatever was committed by then is in the pages.
    """

    versions: tuple[Version, ...]
    total: int | None
    cursor: str | None
    asked: datetime


async def history_instance(context: Context, request: HistoryRequest) -> History:
    """The versions that the caller may see; NotFound where there is none."""
    position = _opened(context, request)
    asked = position["asked"] if position else context.now()
    permit = await context.decide(Request("history-instance", request.resource_type, ids=(request.id,)))
    walk = _Walk(context, request, permit, position, await _only(context, request))
    versions = [version async for version in walk.versions()]
    if not versions and walk.total == 0:
        raise NotFound
    cursor = None
    if len(versions) > request.count:
        last = versions.pop()
        if versions:
            cursor = _sealed(context, request, walk.position_before(last) | {"asked": asked})
    return History(tuple(versions), None if request.is_filtered else walk.total, cursor, asked)


async def history_type(context: Context, request: HistoryRequest) -> History:
    """The versions of one type that the caller may see."""
    permit = await context.decide(Request("history-type", request.resource_type))
    return await _over_the_feed(context, request, permit, (request.resource_type,))


async def history_system(context: Context, request: HistoryRequest) -> History:
    """The versions of every type, as far as the caller reaches and sees them."""
    services = context.services
    permit = await context.decide(Request("history-system", SYSTEM_LEVEL, includes=True))
    return await _over_the_feed(context, request, permit, services.definitions.resource_types)


async def _over_the_feed(context: Context, request: HistoryRequest, permit: Permit, types: Sequence[str]) -> History:
    position = _opened(context, request)
    if request.count == 0:
        return History((), None, None, context.now())
    # Before the feed is read, and not after it: what is committed in between would be passed over by who polls from here.
    asked = position["asked"] if position else context.now()
    after = Mark(position["updated"], position["row"]) if position else None
    only = await _only(context, request)
    span = Span(tuple(types), request.count, request.since, request.at, request.oldest_first, only)
    walked = await context.reads.histories(span, permit, after=after)
    cursor = None
    if walked.next is not None:
        following = {"updated": walked.next.updated, "row": walked.next.row, "asked": asked}
        cursor = _sealed(context, request, following)
    return History(walked.versions, None, cursor, asked)


async def _only(context: Context, request: HistoryRequest) -> frozenset[Named] | None:
    return None if request.within is None else await listed(context, request.within)


def _sealed(context: Context, request: HistoryRequest, position: Mapping[str, Any]) -> str:
    """The cursor of the page at this position."""
    services = context.services
    return services.store.cursor.seal(position, audience=context.audience(request.query), now=services.clock())


def _opened(context: Context, request: HistoryRequest) -> dict[str, Any] | None:
    """The position of the page that is asked for; None for the first."""
    if request.cursor is None:
        return None
    services = context.services
    return services.store.cursor.open_(request.cursor, audience=context.audience(request.query), now=services.clock())


class _Walk:
    """Down the versions from the newest, or from where a cursor stands, until a page and one more are found."""

    def __init__(
        self,
        context: Context,
        request: HistoryRequest,
        permit: Permit,
        position: Mapping[str, Any] | None,
        only: frozenset[Named] | None,
    ) -> None:
        self._only = only
        self._context = context
        self._position = position
        self._request = request
        self._permit = permit
        self._replaced: dict[int, datetime | None] = {}
        self.total = 0

    async def versions(self) -> AsyncIterator[Version]:
        request, position = self._request, self._position
        before, replaced = (position["before"], position["replaced"]) if position else (None, None)
        found = 0
        while True:
            batch, self.total = await self._context.reads.history(
                request.resource_type, request.id, self._permit, count=request.count + 1, before=before
            )
            for version in batch:
                self._replaced[version.version] = replaced
                if self._is_named(version) and request.shows(version, replaced):
                    found += 1
                    yield version
                if found > request.count or request.is_past(version):
                    return
                replaced = version.updated
                before = version.version
            if len(batch) <= request.count:
                return

    def _is_named(self, version: Version) -> bool:
        names = ((version.resource_type, version.id, number) for number in (None, version.version))
        return self._only is None or any(name in self._only for name in names)

    def position_before(self, version: Version) -> dict[str, Any]:
        """Where the page stands that begins with this version."""
        return {"before": version.version + 1, "replaced": self._replaced[version.version]}
