"""The delete interaction: a tombstone as the next version.

https://hl7.org/fhir/R4/http.html#delete
"""

from __future__ import annotations

from fhirserver.access.gate.request import Request
from fhirserver.interactions.context import Context
from fhirserver.interactions.writing.commit import commit
from fhirserver.store import Write, Written


async def delete(
    context: Context, resource_type: str, id: str, *, if_match: tuple[str, ...] | None = None
) -> Written | None:
    """Delete the resource; None where there was nothing to delete, which absent, hidden and deleted ids share."""
    return await commit(context, await deletion(context, resource_type, id, if_match))


async def deletion(context: Context, resource_type: str, id: str, if_match: tuple[str, ...] | None) -> Write:
    """The write of the tombstone, where the gate lets the caller delete."""
    permit = await context.decide(Request("delete", resource_type, ids=(id,)))
    return Write("DELETE", resource_type, id, None, None, context.by(), permit, if_match)
