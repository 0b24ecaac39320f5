"""The delete interaction: a tombstone as the next version.

https://hl7.org/fhir/R4/http.html#delete
"""

from __future__ import annotations

from fhirserver.interactions.context import Context
from fhirserver.interactions.writing.integrity import commit
from fhirserver.store import Write, Written


async def delete(
    context: Context, resource_type: str, id: str, *, if_match: tuple[str, ...] | None = None
) -> Written | None:
    """Delete the resource; None where there was nothing to delete, which absent, hidden and deleted ids share."""
    services = context.services
    permit = await services.gate.decide(context.principal, "delete", resource_type, ids=(id,))
    return await commit(
        context,
        Write(
            method="DELETE",
            resource_type=resource_type,
            id=id,
            resource=None,
            derived=None,
            by=context.by(),
            permit=permit,
            if_match=if_match,
            if_none_match_any=False,
            may_create=False,
            companions=(),
        ),
    )
