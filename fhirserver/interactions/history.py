"""The history interaction on one resource: its versions, the newest first, tombstones included.

https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from fhirserver.interactions.context import Context
from fhirserver.model.outcome import NotFound
from fhirserver.model.resource import Version
from fhirserver.search.permit import Permit


@dataclass(frozen=True, slots=True)
class HistoryRequest:
    """What is asked: versions written at or after `since`, or current at some moment of `at`."""

    resource_type: str
    id: str
    count: int
    since: datetime | None = None
    at: tuple[datetime, datetime] | None = None
    cursor: str | None = None

    @property
    def query(self) -> str:
        """The request without its position, for binding the cursor."""
        return f"{self.resource_type}/{self.id}/_history?{self.count}&{self.since}&{self.at}"

    @property
    def is_filtered(self) -> bool:
        """Whether some versions are left out on purpose."""
        return self.since is not None or self.at is not None

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
    """A page of versions. `total` counts all visible versions, and is None where the request leaves some out."""

    versions: tuple[Version, ...]
    total: int | None
    cursor: str | None


async def history_instance(context: Context, request: HistoryRequest) -> History:
    """The versions that the caller may see; NotFound where there is none."""
    services = context.services
    permit = await services.gate.decide(context.principal, "history-instance", request.resource_type, ids=(request.id,))
    walk = _Walk(context, request, permit)
    versions = [version async for version in walk.versions()]
    if not versions and walk.total == 0:
        raise NotFound
    cursor = None
    if len(versions) > request.count:
        last = versions.pop()
        cursor = walk.position_before(last)
    return History(tuple(versions), None if request.is_filtered else walk.total, cursor)


class _Walk:
    """Down the versions from the newest, or from where a cursor stands, until a page and one more are found."""

    def __init__(self, context: Context, request: HistoryRequest, permit: Permit) -> None:
        self._context = context
        self._request = request
        self._permit = permit
        self._replaced: dict[int, datetime | None] = {}
        self.total = 0

    async def versions(self) -> AsyncIterator[Version]:
        services, request = self._context.services, self._request
        before, replaced = self._start()
        found = 0
        while True:
            batch, self.total = await services.store.history(
                request.resource_type, request.id, self._permit, count=request.count + 1, before=before
            )
            for version in batch:
                self._replaced[version.version] = replaced
                if request.shows(version, replaced):
                    found += 1
                    yield version
                if found > request.count or request.is_past(version):
                    return
                replaced = version.updated
                before = version.version
            if len(batch) <= request.count:
                return

    def position_before(self, version: Version) -> str:
        """The cursor of the page that begins with this version."""
        services = self._context.services
        position = {"before": version.version + 1, "replaced": self._replaced[version.version]}
        audience = self._context.audience(self._request.query)
        return services.store.cursor.seal(position, audience=audience, now=services.clock())

    def _start(self) -> tuple[int | None, datetime | None]:
        if self._request.cursor is None:
            return None, None
        services = self._context.services
        audience = self._context.audience(self._request.query)
        position = services.store.cursor.open_(self._request.cursor, audience=audience, now=services.clock())
        return position["before"], position["replaced"]
