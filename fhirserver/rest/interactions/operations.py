"""The operations over HTTP: the address names one, and its parameters come in the query or as a Parameters resource.

https://hl7.org/fhir/R4/operations.html#executing
"""

from __future__ import annotations

from typing import Any, Final

from fhirserver.interactions.operations import OPERATIONS, Accepted, Invocation, Operation, Searchset, typed
from fhirserver.model.json import dump
from fhirserver.model.outcome import BadRequest, MethodNotAllowed, NotSupported
from fhirserver.rest.address import LEVELS, Address
from fhirserver.rest.interactions import graphql
from fhirserver.rest.interactions.jobs import accepted
from fhirserver.rest.messages.parameters import FORM, Pair, part
from fhirserver.rest.messages.request import Request
from fhirserver.rest.messages.responses import Answer
from fhirserver.rest.representation.searchset import operation_bundle
from fhirserver.rest.representation.subsets import subsetted

_RESOURCE: Final = "resource"


async def invoke(request: Request) -> Answer:
    """`[base]/$[operation]`, `[base]/[type]/$[operation]`, `[base]/[type]/[id]/$[operation]`."""
    address = request.address
    operation = OPERATIONS.find(LEVELS[address.kind], address.operation, address.resource_type)
    if operation is None:
        raise NotSupported
    if request.method == "GET" and operation.affects_state:
        raise MethodNotAllowed("This operation changes something: it is invoked with POST.", allow=("POST",))
    content_type = request.content_type() if operation.gives_resource else graphql.content_type(request)
    invocation = await _invocation(request, operation)
    found = await operation.handle(request.context, invocation)
    if not operation.gives_resource:
        return Answer(200, dump(found), content_type, is_raw=True)
    if isinstance(found, Accepted):
        return accepted(request, found.job, content_type)
    if isinstance(found, Searchset):
        return Answer(200, await _page(request, found, invocation.cursor), content_type)
    return Answer(200, dump(found), content_type)


async def _invocation(request: Request, operation: Operation) -> Invocation:
    address = request.address
    sent = [] if request.method == "GET" else await _sent(request, operation)
    pairs, cursor = request.parameters(), None
    if operation.has_pages:
        pairs, cursor = part(pairs)
    asked = [(name, value) for name, value in pairs if name not in FORM]
    search: list[Pair] = []
    if operation.takes_search:
        search = [*_texts(sent, operation), *(pair for pair in asked if pair[0] not in operation.parameters)]
        sent = [each for each in sent if each[0] in operation.parameters]
        asked = [pair for pair in asked if pair[0] in operation.parameters]
    return Invocation(
        LEVELS[address.kind],
        address.resource_type,
        address.id,
        typed(request.context.services.definitions, operation, [*sent, *asked]),
        tuple(search),
        request.preferences().lenient,
        cursor,
    )


async def _sent(request: Request, operation: Operation) -> list[tuple[str, Any]]:
    """The parameters of a body, or the body as the resource that an operation takes; it can be posted without one."""
    if b"content-type" not in request.headers and not await request.body():
        return []
    if not operation.gives_resource and graphql.is_sent(request):
        return await graphql.sent(request)
    resource = await request.resource()
    if not isinstance(resource, dict) or resource.get("resourceType") != "Parameters":
        if _RESOURCE in operation.parameters:
            return [(_RESOURCE, {"name": _RESOURCE, _RESOURCE: resource})]
        raise BadRequest("An operation takes a Parameters resource.", code="structure", expression="$this")
    found: list[tuple[str, Any]] = []
    sent = resource.get("parameter", [])
    for number, each in enumerate(sent if isinstance(sent, list) else [sent]):
        if not isinstance(each, dict) or not isinstance(each.get("name"), str):
            raise BadRequest("A parameter has a name.", code="structure", expression=f"Parameters.parameter[{number}]")
        found.append((each["name"], each))
    return found


def _texts(sent: list[tuple[str, Any]], operation: Operation) -> list[Pair]:
    """The search parameters among posted ones: strings, as they would stand in an address."""
    found: list[Pair] = []
    for name, each in sent:
        if name not in operation.parameters:
            value = next((value for key, value in each.items() if key.startswith("value")), None)
            if not isinstance(value, str):
                raise BadRequest(f"The search parameter '{name[:100]}' is posted as valueString.", code="structure")
            found.append((name, value))
    return found


async def _page(request: Request, found: Searchset, cursor: str | None) -> bytes:
    services = request.context.services
    matches = await subsetted(services.definitions, found.subset, found.matches)
    included = await subsetted(services.definitions, found.subset, found.included, is_match=False)
    return operation_bundle(services, _path(request.address), found, matches, included, cursor)


def _path(address: Address) -> str:
    place = "/".join(each for each in (address.resource_type, address.id) if each)
    return f"{place}/${address.operation}" if place else f"${address.operation}"
