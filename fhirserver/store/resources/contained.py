"""A search of contained resources: the types that may contain them one after the other, each under its own permit.

What is asked is answered once, for the type that is searched. A contained resource has no owner: who sees its container sees it.

https://hl7.org/fhir/R4/search.html#contained
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fhirserver.search.expression import Expression, Nothing, all_of, any_of
from fhirserver.search.index.contained import led
from fhirserver.search.permit import Permit
from fhirserver.search.request import Containment, SearchRequest
from fhirserver.store.connection.client import Mongo
from fhirserver.store.layout.collections import Layout
from fhirserver.store.resources.across import Across, Place, find_across
from fhirserver.store.resources.chains import answered, answered_inside


@dataclass(frozen=True, slots=True)
class Containers:
    """The types that may contain others, the same for every page; and of which of them there is something, None for all."""

    types: Sequence[str]
    stored: frozenset[str] | None = None

    def has(self, resource_type: str) -> bool:
        """Whether there can be something of this type."""
        return self.stored is None or resource_type in self.stored


async def find_contained(
    mongo: Mongo, layout: Layout, request: SearchRequest, containers: Containers, permit: Permit, place: Place | None
) -> Across:
    """The page at this place; the request says of contained resources of its type what they and their containers are like."""
    asked = request.containment
    if asked is None:
        raise ValueError("Not a search of contained resources.")
    resource_type = request.resource_type
    term = await answered_inside(mongo, layout, resource_type, asked.term, permit)
    plain: Expression = Nothing()
    if asked.both:
        plain = await answered(mongo, layout, resource_type, request.expression, permit)
    requests = _requests(replace(request, expression=plain), replace(asked, term=term), containers)
    return await find_across(mongo, layout, requests, [permit] * len(requests), place)


def _requests(request: SearchRequest, asked: Containment, containers: Containers) -> list[SearchRequest]:
    """What is not contained first, where that is wanted; a container that is a match itself is found once."""
    own = request.resource_type
    inside = all_of(asked.around, led(own, asked.term))
    first = [request] if asked.both else []
    found = []
    for each in containers.types:
        if asked.both and not asked.alone and each == own:
            first = [replace(request, expression=any_of(request.expression, inside))]
            continue
        wanted = inside if containers.has(each) else Nothing()
        taken = (own, asked.term) if asked.alone else None
        found.append(replace(request, resource_type=each, expression=wanted, taken=taken))
    return first + found
