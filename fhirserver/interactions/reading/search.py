"""The search interaction on one type, over all of it or inside a compartment.

https://hl7.org/fhir/R4/http.html#search and https://hl7.org/fhir/R4/http.html#vsearch
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fhirserver.access.gate.request import Request
from fhirserver.access.gate.steps import check_steps, check_whole
from fhirserver.access.reasons import INCLUDES_NARROWED, NARROWED
from fhirserver.interactions.context import Context
from fhirserver.interactions.terminology import answered
from fhirserver.model.outcome import BadRequest
from fhirserver.search.expression import Expression, named_ids
from fhirserver.search.pending import steps
from fhirserver.search.permit import Permit
from fhirserver.search.request import SearchRequest
from fhirserver.store import Page, Position

OTHER_COUNT: Final = "A walk through pages keeps its '_count'. Start the search again for pages of another size."


@dataclass(frozen=True, slots=True)
class Found:
    """A page of matches with what was included, and the cursors of the pages around."""

    page: Page
    next: str | None
    previous: str | None
    asked: datetime
    """When the first page was asked for: whatever was committed by then is in the pages."""
    narrowed: str | None = None
    """Said where the gate could not decide for everything that would be included."""


async def permit_of(context: Context, request: SearchRequest) -> Permit:
    """The permit of a search, for its own type and for every other that it goes to. Raises Forbidden or TooCostly."""
    follows = bool(steps(request.expression))
    if follows:
        check_steps(context.principal, request.resource_type, request.expression)
    permit = await context.decide(
        Request(
            "search-type",
            request.resource_type,
            patients=request.patients,
            includes=bool(request.includes) or follows,
            mentions=request.mentions,
            ids=() if follows or request.includes else _ids(request),
            criteria=None if follows else _criteria(request),
        )
    )
    if follows:
        check_whole(permit)
    return permit


def _ids(request: SearchRequest) -> tuple[str, ...]:
    """The ids of which every match has one: it is decided for these then, as for reads."""
    criteria = _criteria(request)
    return () if criteria is None else named_ids(criteria)


def _criteria(request: SearchRequest) -> Expression | None:
    """What is asked of every match itself."""
    return request.expression if request.containment is None and request.taken is None else None


async def search_type(
    context: Context, request: SearchRequest, *, query: Callable[[], str], cursor: str | None = None
) -> Found:
    """What matches and may be seen. `query` spells the request, its page size apart, in one way: a cursor is good for that
    query only, and for that size. It is called where there is a cursor."""
    services = context.services
    asked = context.now()
    request = await answered(context, request)
    permit = await permit_of(context, request)
    position = None
    if cursor is not None:
        opened = services.store.cursor.open_(cursor, audience=context.audience(query()), now=services.clock())
        if opened["count"] != request.count:
            raise BadRequest(OTHER_COUNT)
        asked, position = opened["asked"], Position.from_dict(opened)
    page = await context.reads.find(request, permit, position=position)

    def sealed(place: Position | None) -> str | None:
        if place is None:
            return None
        held = place.as_dict() | {"asked": asked, "count": request.count}
        return services.store.cursor.seal(held, audience=context.audience(query()), now=services.clock())

    narrowed = INCLUDES_NARROWED if request.includes and NARROWED in permit.reasons else None
    return Found(page, sealed(page.next), sealed(page.previous), asked, narrowed)
