"""The operation `$meta`: the meta of a resource; of a type or of everything, the profiles, labels and tags that are in use.

What is in use is what the caller sees in use: the permit stands in the question.

https://hl7.org/fhir/R4/resource-operation-meta.html
"""

from __future__ import annotations

from typing import Any, Final

from fhirserver.access.gate.request import Request
from fhirserver.access.scopes import SYSTEM_LEVEL
from fhirserver.interactions.context import Context
from fhirserver.interactions.operations.operation import Invocation, Level, Operation
from fhirserver.interactions.reading.read import read
from fhirserver.model.resource import Resource

_NONE: Final = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "not-applicable"}


async def meta(context: Context, invocation: Invocation) -> Resource:
    """The meta, as the one parameter of the answer."""
    if invocation.level is Level.INSTANCE:
        found = (await read(context, invocation.resource_type, invocation.id)).parsed()["meta"]
    else:
        found = await _in_use(context, invocation)
    return {"resourceType": "Parameters", "parameter": [{"name": "return", "valueMeta": found}]}


async def _in_use(context: Context, invocation: Invocation) -> dict[str, Any]:
    services = context.services
    if invocation.level is Level.SYSTEM:
        permit = await context.decide(Request("search-system", SYSTEM_LEVEL, includes=True))
        types = services.definitions.resource_types
    else:
        permit = await context.decide(Request("search-type", invocation.resource_type))
        types = (invocation.resource_type,)
    found = await services.store.meta_in_use(types, permit)
    # An element without anything in it is none: that nothing is in use has to be said.
    return {name: values for name, values in found.items() if values} or {"extension": [_NONE]}


META: Final = Operation(
    "meta", "http://hl7.org/fhir/OperationDefinition/Resource-meta", frozenset(Level), meta, affects_state=False
)
