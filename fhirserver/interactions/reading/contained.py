"""The search of contained resources: what is asked of them, and the permit of their containers.

A contained resource has no owner, no address and no place in a compartment of its own: it is seen by who sees its container. The token
has to reach its type too, and of the types of containers those that it does not reach hold nothing.

https://hl7.org/fhir/R4/search.html#contained
"""

from __future__ import annotations

from dataclasses import replace

from fhirserver.access.gate.request import Request
from fhirserver.access.gate.steps import check_steps, check_whole
from fhirserver.access.principal import Principal, allows
from fhirserver.definitions import Definitions
from fhirserver.interactions.context import Context
from fhirserver.interactions.reading.search import OTHER_COUNT, Found
from fhirserver.interactions.terminology import answered, answered_expression
from fhirserver.model.outcome import BadRequest
from fhirserver.search.expression import Expression, Nothing
from fhirserver.search.permit import Permit
from fhirserver.search.request import SearchRequest
from fhirserver.store import Page, Place


async def search_contained(context: Context, request: SearchRequest, *, query: str, cursor: str | None) -> Found:
    """What matches and may be seen. A cursor is good for the query and its page size only. Raises Forbidden or TooCostly."""
    services = context.services
    asked = request.containment
    if asked is None:
        raise ValueError("Not a search of contained resources.")
    since, place = context.now(), None
    audience = context.audience(query)
    check_steps(context.principal, request.resource_type, request.expression)
    request = await answered(context, request)
    request = replace(request, containment=replace(asked, term=await answered_expression(context, asked.term)))
    permit = await _permit(context, request)
    if cursor is not None:
        opened = services.store.cursor.open_(cursor, audience=audience, now=services.clock())
        if opened["count"] != request.count:
            raise BadRequest(OTHER_COUNT)
        since, place = opened["asked"], Place.from_dict(opened)
    types = _containers(services.definitions)
    found = await context.reads.find_contained(request, types, permit, place=place)
    following = None
    if found.next is not None:
        held = found.next.as_dict() | {"asked": since, "count": request.count}
        following = services.store.cursor.seal(held, audience=audience, now=services.clock())
    return Found(Page(found.matches, [], found.total, None), following, None, since)


async def _permit(context: Context, request: SearchRequest) -> Permit:
    """The permit of what contains, whatever its type. The patients that the search names need not be those of the container."""
    principal = context.principal
    permit = await context.decide(Request("search-type", request.resource_type, includes=True))
    check_whole(permit)

    def reads(resource_type: str) -> Expression:
        return permit.of(resource_type) if _reaches(principal, request.resource_type, resource_type) else Nothing()

    return replace(permit, reads=reads)


def _reaches(principal: Principal, own: str, resource_type: str) -> bool:
    # What is found in a container tells what a search of its type would.
    return resource_type == own or allows(principal, resource_type, "search-type")


def _containers(definitions: Definitions) -> list[str]:
    """The types that may contain others."""
    structures = definitions.structures
    return sorted(each for each in definitions.resource_types if structures[each].base == "DomainResource")
