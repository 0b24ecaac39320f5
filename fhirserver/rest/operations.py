"""The operations over HTTP: the address names one, and its parameters come in the query or as a Parameters resource.

https://hl7.org/fhir/R4/operations.html#executing
"""

from __future__ import annotations

from typing import Any, Final

from fhirserver.interactions.operations import OPERATIONS, Invocation, Level, Operation
from fhirserver.model.json import dump
from fhirserver.model.outcome import BadRequest, MethodNotAllowed
from fhirserver.rest.address import Kind
from fhirserver.rest.parameters import FORM
from fhirserver.rest.request import Request
from fhirserver.rest.responses import Answer

LEVELS: Final = {
    Kind.SYSTEM_OPERATION: Level.SYSTEM,
    Kind.TYPE_OPERATION: Level.TYPE,
    Kind.INSTANCE_OPERATION: Level.INSTANCE,
}
_BY_CODE: Final = {each.code: each for each in OPERATIONS}


async def invoke(request: Request) -> Answer:
    """`[base]/$[operation]`, `[base]/[type]/$[operation]`, `[base]/[type]/[id]/$[operation]`."""
    address = request.address
    operation = _BY_CODE[address.operation]
    if request.method == "GET" and operation.affects_state:
        raise MethodNotAllowed("This operation changes something: it is invoked with POST.", allow=("POST",))
    content_type = request.content_type()
    parameters = {} if request.method == "GET" else await _sent(request)
    for name, value in request.parameters():
        if name not in FORM:
            parameters.setdefault(name, []).append(value)
    _check(operation, parameters)
    invocation = Invocation(LEVELS[address.kind], address.resource_type, address.id, parameters)
    return Answer(200, dump(await operation.handle(request.context, invocation)), content_type)


async def _sent(request: Request) -> dict[str, list[Any]]:
    """The parameters of a body. An operation that needs none can be posted without one."""
    if b"content-type" not in request.headers and not await request.body():
        return {}
    resource = await request.resource()
    if not isinstance(resource, dict) or resource.get("resourceType") != "Parameters":
        raise BadRequest("An operation takes a Parameters resource.", code="structure", expression="$this")
    found: dict[str, list[Any]] = {}
    sent = resource.get("parameter", [])
    for number, each in enumerate(sent if isinstance(sent, list) else [sent]):
        if not isinstance(each, dict) or not isinstance(each.get("name"), str):
            raise BadRequest("A parameter has a name.", code="structure", expression=f"Parameters.parameter[{number}]")
        found.setdefault(each["name"], []).append(each)
    return found


def _check(operation: Operation, parameters: dict[str, list[Any]]) -> None:
    if not parameters.keys() <= operation.parameters:
        known = ", ".join(sorted(operation.parameters)) or "no parameters"
        raise BadRequest(f"This operation takes {known}.", code="not-supported")
