"""The search interaction across types, each under the permit of its own search.

https://hl7.org/fhir/R4/http.html#search
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from fhirserver.access.gate.steps import check_steps
from fhirserver.access.matching import check_search
from fhirserver.access.principal import allows
from fhirserver.interactions.context import Context
from fhirserver.interactions.reading.search import OTHER_COUNT, Found, permit_of
from fhirserver.interactions.terminology import answered
from fhirserver.model.outcome import BadRequest
from fhirserver.search.query.across import AcrossRequest
from fhirserver.store import Page, Place


async def search_system(context: Context, asked: AcrossRequest, *, query: str, cursor: str | None) -> Found:
    """What matches and may be seen. A cursor is good for the query and its page size only. Raises Forbidden if the token does not
    reach one of the types that are named, or any where none is named."""
    if not asked.is_named:
        asked = _within_reach(context, asked)
    for each in asked.requests:  # all of them before any data is asked
        check_search(context.principal, each.resource_type)
        check_steps(context.principal, each.resource_type, each.expression)
    services = context.services
    since, place = context.now(), None
    requests = [await answered(context, request) for request in asked.requests]
    # Side by side: what the gate reads in one turn is one query.
    permits = await asyncio.gather(*(permit_of(context, request) for request in requests))
    # A place in the pages is the number of a type: of the types that were gone through, not of those of another token.
    types = "" if asked.is_named else ",".join(each.resource_type for each in requests)
    audience, count = context.audience(f"{query} {types}"), requests[0].count
    if cursor is not None:
        opened = services.store.cursor.open_(cursor, audience=audience, now=services.clock())
        if opened["count"] != count:
            raise BadRequest(OTHER_COUNT)
        since, place = opened["asked"], Place.from_dict(opened)
    found = await context.reads.find_across(requests, permits, place=place)
    following = None
    if found.next is not None:
        held = found.next.as_dict() | {"asked": since, "count": count}
        following = services.store.cursor.seal(held, audience=audience, now=services.clock())
    return Found(Page(found.matches, [], found.total, None), following, None, since)


def _within_reach(context: Context, asked: AcrossRequest) -> AcrossRequest:
    """The search of what the token reaches; of all where that is nothing, which is then refused."""
    reached = [each for each in asked.requests if allows(context.principal, each.resource_type, "search-type")]
    return replace(asked, requests=tuple(reached)) if reached else asked
