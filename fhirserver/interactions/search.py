"""The search interaction on one type, over all of it or inside a compartment.

https://hl7.org/fhir/R4/http.html#search and https://hl7.org/fhir/R4/http.html#vsearch
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fhirserver.access.reasons import INCLUDES_NARROWED, NARROWED
from fhirserver.interactions.context import Context
from fhirserver.search.request import SearchRequest
from fhirserver.store import Page, Position


@dataclass(frozen=True, slots=True)
class Found:
    """A page of matches with what was included, and the cursor of the next page."""

    page: Page
    cursor: str | None
    asked: datetime
    """When the first page was asked for: whatever was committed by then is in the pages."""
    narrowed: str | None = None
    """Said where the gate could not decide for everything that would be included."""


async def search_type(context: Context, request: SearchRequest, *, query: str, cursor: str | None = None) -> Found:
    """What matches and may be seen. `query` is the request in one spelling: a cursor is good for that query only."""
    services = context.services
    asked = context.now()
    permit = await services.gate.decide(
        context.principal,
        "search-type",
        request.resource_type,
        patients=request.patients,
        includes=bool(request.includes),
    )
    audience = context.audience(query)
    position = None
    if cursor is not None:
        opened = services.store.cursor.open_(cursor, audience=audience, now=services.clock())
        asked, position = opened["asked"], Position.from_dict(opened)
    page = await context.reads.find(request, permit, position=position)
    following = None
    if page.next is not None:
        following = services.store.cursor.seal(
            page.next.as_dict() | {"asked": asked}, audience=audience, now=services.clock()
        )
    narrowed = INCLUDES_NARROWED if request.includes and NARROWED in permit.reasons else None
    return Found(page, following, asked, narrowed)
