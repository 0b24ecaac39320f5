"""Search across types over HTTP.

https://hl7.org/fhir/R4/http.html#search
"""

from __future__ import annotations

from dataclasses import replace

from fhirserver.interactions.reading.across import search_system
from fhirserver.rest.address import members
from fhirserver.rest.interactions.types import cut, posted
from fhirserver.rest.messages.parameters import Pair, as_query, form_of, part
from fhirserver.rest.messages.request import Request, answer_type
from fhirserver.rest.messages.responses import Answer
from fhirserver.rest.representation.negotiate import is_pretty
from fhirserver.rest.representation.searchset import searchset_bundle
from fhirserver.search.compartment import in_compartment
from fhirserver.search.query.across import parse_across


async def search(request: Request) -> Answer:
    """`GET [base]?...`, and the same inside a compartment."""
    return await _search(request, request.parameters())


async def search_by_form(request: Request) -> Answer:
    """`POST [base]/_search`: the parameters of the address and those of the body together."""
    return await _search(request, await posted(request))


async def _search(request: Request, pairs: list[Pair]) -> Answer:
    request.format = form_of(pairs, "_format")
    content_type = answer_type(request.headers, request.format)
    pretty = is_pretty(form_of(pairs, "_pretty"))
    pairs, cursor = part(pairs)
    services, address = request.context.services, request.address
    definitions = services.definitions
    asked = parse_across(
        definitions,
        pairs,
        lenient=request.preferences().lenient,
        base_url=services.base_url,
        now=services.clock(),
        bounds=services.bounds,
        within=sorted(members(definitions)[address.compartment]) if address.compartment else None,
    )
    path = ""
    if address.compartment:
        path = f"{address.compartment}/{address.id}/*"
        inside = (in_compartment(definitions, each, address.compartment, address.id) for each in asked.requests)
        asked = replace(asked, requests=tuple(inside))
    whole = asked.whole
    query = f"{path}?{as_query(sorted(pair for pair in whole.used if pair[0] != '_count'))}"
    found = await cut(services, whole, await search_system(request.context, asked, query=query, cursor=cursor))
    return Answer(200, searchset_bundle(services, path, whole, found, cursor), content_type, is_pretty=pretty)
