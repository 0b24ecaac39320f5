"""The create interaction: a new resource under an id of the server's.

https://hl7.org/fhir/R4/http.html#create
"""

from __future__ import annotations

from typing import Any

from fhirserver.interactions.context import Context
from fhirserver.interactions.writing.candidate import admit, identified, resource_of
from fhirserver.interactions.writing.integrity import commit
from fhirserver.store import Write, Written


async def create(context: Context, resource_type: str, body: Any) -> Written:
    """Store the resource as version 1; an id in the body is ignored."""
    services = context.services
    resource = identified(resource_of(body, resource_type), services.new_id())
    admitted = await admit(context, "create", resource, exists=False)
    written = await commit(
        context,
        Write(
            method="POST",
            resource_type=resource_type,
            id=resource["id"],
            resource=admitted.resource,
            derived=admitted.derived,
            by=context.by(),
            permit=admitted.permit,
            if_match=None,
            if_none_match_any=False,
            may_create=True,
            companions=(),
        ),
    )
    assert written is not None, "Only a deletion may have nothing to do."  # noqa: S101 (for the type checker)
    return written
