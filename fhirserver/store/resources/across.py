"""A search across types: page by page through one type after the other, or merged by time.

Each type is searched by itself, under the permit of its own search.

https://hl7.org/fhir/R4/http.html#search
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from fhirserver.model.outcome import TooCostly
from fhirserver.model.resource import Version
from fhirserver.search.permit import Permit
from fhirserver.search.request import SearchRequest
from fhirserver.store.connection.client import SLOW, Mongo
from fhirserver.store.layout.collections import Layout
from fhirserver.store.layout.indexes import Order
from fhirserver.store.resources.find import Page, find
from fhirserver.store.resources.paging import Position, order_of, signature

FEW: Final = 20
AHEAD: Final = 12
_FIRST_ID: Final = ""
_LAST_ID: Final = "\U0010ffff"
"""Before and behind every id."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page across types begins: the number of the type, and the row of it that the page follows, if any."""

    number: int
    position: Position | None

    def as_dict(self) -> dict[str, Any]:
        """What a cursor carries."""
        return {"number": self.number, "position": None if self.position is None else self.position.as_dict()}

    @classmethod
    def from_dict(cls, sealed: Mapping[str, Any]) -> Place:
        """The place that a cursor carried."""
        position = sealed["position"]
        return cls(sealed["number"], None if position is None else Position.from_dict(position))


@dataclass(frozen=True, slots=True)
class Across:
    """A page of resources of several types. `total` is None unless asked for; `next` is None on the last page."""

    matches: list[Version]
    total: int | None
    next: Place | None


async def find_across(
    mongo: Mongo, layout: Layout, requests: Sequence[SearchRequest], permits: Sequence[Permit], place: Place | None
) -> Across:
    """The page at this place. The requests are of different types and want the same order, page and total."""
    until = asyncio.get_running_loop().time() + mongo.query_ms / 1_000
    searches = _Searches(mongo, layout, requests, permits, until)
    first = requests[0]
    total = await searches.total() if first.summary_count or first.total != "none" else None
    if first.summary_count or first.count < 1:
        return Across([], total, None)
    matches, following = await (searches.merged(place) if first.sort else searches.in_turn(place))
    return Across(matches, total, following)


@dataclass(frozen=True, slots=True)
class _Searches:
    """The searches of the types."""

    mongo: Mongo
    layout: Layout
    requests: Sequence[SearchRequest]
    permits: Sequence[Permit]
    until: float
    """When the time of all of them together is up."""

    async def total(self) -> int:
        """How many resources there are of all types."""
        counted = 0
        for number, request in enumerate(self.requests):
            wanted = request if request.total != "none" else replace(request, total="accurate")
            counted += (await self._find(number, replace(wanted, count=0), None)).total or 0
        return counted

    async def in_turn(self, place: Place | None) -> tuple[list[Version], Place | None]:
        """One type after the other, each in its own order."""
        matches: list[Version] = []
        number, position = (place.number, place.position) if place is not None else (0, None)
        while number < len(self.requests):
            room = self.requests[number].count - len(matches)
            ahead = range(number, min(number + self._ahead(position), len(self.requests)))
            pages = await asyncio.gather(
                *(self._find(each, self._of_size(each, room or 1), position) for each in ahead)
            )
            for page in pages:
                left = self.requests[number].count - len(matches)
                if not left and page.matches:
                    return matches, Place(number, None)
                if left < room and (len(page.matches) > left or page.next is not None):
                    break  # those before it took of its room: it is asked again, for what is left
                matches += page.matches
                if page.next is not None:
                    return matches, Place(number, page.next)
                number, position = number + 1, None
        return matches, None

    def _ahead(self, position: Position | None) -> int:
        """How many types are asked side by side: of many the most hold nothing, of few the first one fills the page."""
        return 1 if position is not None or len(self.requests) <= FEW else AHEAD

    async def merged(self, place: Place | None) -> tuple[list[Version], Place | None]:
        """All types together, by the time of the version; of one time in the order of the types."""
        first = self.requests[0]
        order = order_of(first.sort)
        descending = order[0][1] < 0
        found: list[tuple[Version, int, Position]] = []
        has_more = False
        for number in range(len(self.requests)):
            position = None if place is None else _following(place, number, order)
            page = await self._find(number, self._of_size(number, first.count), position)
            for place_in_page, version in enumerate(page.matches):
                own = Position(signature(order), (version.updated,), version.id)
                found.append((version, number, page.behind[place_in_page] if page.behind else own))
            # What is of one container keeps its order: these sorts are stable, backwards too.
            found.sort(key=lambda each: each[2].id, reverse=descending)
            found.sort(key=lambda each: each[1])
            found.sort(key=lambda each: each[0].updated, reverse=descending)
            has_more = has_more or page.next is not None or len(found) > first.count
            del found[first.count :]
        shown = [version for version, _, _ in found]
        return shown, Place(found[-1][1], found[-1][2]) if has_more and found else None

    def _of_size(self, number: int, count: int) -> SearchRequest:
        return replace(self.requests[number], count=count, total="none")

    async def _find(self, number: int, request: SearchRequest, position: Position | None) -> Page:
        if asyncio.get_running_loop().time() > self.until:
            raise TooCostly(SLOW)
        return await find(self.mongo, self.layout, request, self.permits[number], position)


def _following(place: Place, number: int, order: Order) -> Position | None:
    """The place in the order of another type: what has the same time comes before it, or behind."""
    position = place.position
    if position is None or number == place.number:
        return position
    is_past = number < place.number
    descending = order[-1][1] < 0
    return replace(position, id=_LAST_ID if is_past != descending else _FIRST_ID, shown=0)
