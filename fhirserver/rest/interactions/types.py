"""create and search over HTTP.

https://hl7.org/fhir/R4/http.html#create and https://hl7.org/fhir/R4/http.html#search
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from fhirserver.interactions.context import Services
from fhirserver.interactions.reading.contained import search_contained
from fhirserver.interactions.reading.search import Found, search_type
from fhirserver.interactions.writing.create import create as create_interaction
from fhirserver.model.outcome import BadRequest, UnsupportedMediaType
from fhirserver.rest.address import Kind
from fhirserver.rest.interactions import binary, conditionals
from fhirserver.rest.interactions.instances import answer_to_write
from fhirserver.rest.messages.parameters import Pair, as_query, form_of, parse_query, part
from fhirserver.rest.messages.request import Request, answer_type
from fhirserver.rest.messages.responses import Answer
from fhirserver.rest.representation.negotiate import is_pretty, media_type
from fhirserver.rest.representation.searchset import searchset_bundle
from fhirserver.rest.representation.subsets import subsetted
from fhirserver.search.compartment import in_compartment
from fhirserver.search.request import WHOLE, SearchRequest

_FORM: Final = "application/x-www-form-urlencoded"


async def create(request: Request) -> Answer:
    """`POST [base]/[type]`."""
    resource_type = request.address.resource_type
    content_type = request.content_type()
    if any(not name.startswith("_") for name, _ in request.parameters()):
        # Other servers read them as criteria. To pass them over would store the resource a second time.
        raise BadRequest("The criteria of a conditional create are sent in the header If-None-Exist.")
    body = await binary.resource(request, None) if resource_type == "Binary" else await request.resource()
    if b"if-none-exist" in request.headers:
        return await conditionals.create(request, body, content_type)
    written = await create_interaction(request.context, resource_type, body)
    return answer_to_write(request, written, content_type)


async def search(request: Request) -> Answer:
    """`GET [base]/[type]?...`, and the same inside a compartment."""
    return await _search(request, request.parameters())


async def search_by_form(request: Request) -> Answer:
    """`POST [base]/[type]/_search`: the parameters of the address and those of the body together."""
    return await _search(request, await posted(request))


async def posted(request: Request) -> list[Pair]:
    """The parameters of the address and those of the form in the body."""
    content_type = request.header(b"content-type")
    form = b""
    if content_type is not None and media_type(content_type)[0] == _FORM:
        form = await request.body()
    elif await request.body():
        raise UnsupportedMediaType(f"Search parameters are posted as {_FORM}.")
    return request.parameters() + parse_query(form)


async def _search(request: Request, pairs: list[Pair]) -> Answer:
    request.format = form_of(pairs, "_format")
    content_type = answer_type(request.headers, request.format)
    pretty = is_pretty(form_of(pairs, "_pretty"))
    pairs, cursor = part(pairs)
    parsed = _parse(request, pairs)

    def query() -> str:
        return f"{_path(request)}?{as_query(sorted(pair for pair in parsed.used if pair[0] != '_count'))}"

    if parsed.containment is not None:
        found = await search_contained(request.context, parsed, query=query(), cursor=cursor)
    else:
        found = await search_type(request.context, parsed, query=query, cursor=cursor)
    services = request.context.services
    found = await cut(services, parsed, found)
    body = searchset_bundle(services, _path(request), parsed, found, cursor)
    return Answer(200, body, content_type, is_pretty=pretty)


async def cut(services: Services, parsed: SearchRequest, found: Found) -> Found:
    """The page, its resources as far as they are sent."""
    if parsed.subset == WHOLE:
        return found
    page = found.page
    matches = await subsetted(services.definitions, parsed.subset, page.matches)
    included = await subsetted(services.definitions, parsed.subset, page.included, is_match=False)
    return replace(found, page=replace(page, matches=matches, included=included))


def _parse(request: Request, pairs: list[Pair]) -> SearchRequest:
    services, address = request.context.services, request.address
    parsed = services.parse_search(
        address.resource_type,
        pairs,
        lenient=request.preferences().lenient,
        # What is contained is in nobody's compartment.
        bounds=replace(services.bounds, contained=not address.compartment),
    )
    if not address.compartment:
        return parsed
    return in_compartment(services.definitions, parsed, address.compartment, address.id)


def _path(request: Request) -> str:
    address = request.address
    if address.kind in (Kind.COMPARTMENT, Kind.COMPARTMENT_SEARCH):
        return f"{address.compartment}/{address.id}/{address.resource_type}"
    return address.resource_type
