"""The operation `$reindex`: what is stored is derived again in the background; of a SearchParameter, so that it can be used.

The answer names the job, at which its state is asked, and by which it is cancelled.

https://hl7.org/fhir/R4/async.html
"""

from __future__ import annotations

from typing import Final

from fhirserver.interactions.context import Context
from fhirserver.interactions.jobs import check_may, keeper_of
from fhirserver.interactions.operations.operation import Accepted, Invocation, Level, Operation
from fhirserver.interactions.parameters import REINDEX as KIND
from fhirserver.interactions.reading.read import read
from fhirserver.model.outcome import BadRequest, Conflict, Unprocessable

TYPES: Final = 50
MOST: Final = 10
"""Jobs of this kind that have not ended: each may walk through everything. What one waits to do is not ordered twice."""
_ADDS_NOTHING: Final = "This SearchParameter is not in force, or adds nothing to what R4 has."
_LEAVING: Final = "The parameter is being changed on every server. Try again in a moment."


async def reindex(context: Context, invocation: Invocation) -> Accepted:
    """Begin, and say by which job."""
    check_may(context.principal)
    if invocation.level is Level.INSTANCE:
        if invocation.parameters:
            raise BadRequest("Of one SearchParameter everything is indexed that it is for: there is no 'type' to name.")
        return await _of_parameter(context, invocation)
    types = sorted({str(each) for each in invocation.parameters.get("type", [])})
    if len(types) > TYPES or not set(types) <= set(context.services.definitions.resource_types):
        raise BadRequest(f"'type' names a resource type; at most {TYPES} of them, or none for all.")
    return await _reindexing(context, types)


async def _of_parameter(context: Context, invocation: Invocation) -> Accepted:
    await read(context, invocation.resource_type, invocation.id)
    keeper = keeper_of(context)
    entry = await keeper.take_in(invocation.id)
    if entry is None:
        raise Unprocessable(_ADDS_NOTHING)
    match entry.state.value:
        case "leaving":
            raise Conflict(_LEAVING)
        case "ready":
            return await _reindexing(context, list(entry.bases))
    return Accepted((await keeper.build(entry, context.services.new_id(), by=context.principal.user)).id)


async def _reindexing(context: Context, types: list[str]) -> Accepted:
    id, by = context.services.new_id(), context.principal.user
    job = await keeper_of(context).queue.add(id, KIND, {"types": types}, by=by, most=MOST, once=True)
    return Accepted(job.id)


REINDEX: Final = Operation(
    "reindex",
    "urn:fhirserver:OperationDefinition:reindex",
    frozenset((Level.SYSTEM, Level.INSTANCE)),
    reindex,
    parameters=frozenset(("type",)),
    affects_state=True,
    resource_types=frozenset(("SearchParameter",)),
)
