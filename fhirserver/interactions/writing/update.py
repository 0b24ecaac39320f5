"""The update interaction: a new version of a resource, or its first under an id of the client's.

https://hl7.org/fhir/R4/http.html#update and https://hl7.org/fhir/R4/http.html#concurrency
"""

from __future__ import annotations

from typing import Any, Final

from fhirserver.access.principal import may_create_at
from fhirserver.interactions.context import Context
from fhirserver.interactions.writing.candidate import admit, check_id, identified, resource_of
from fhirserver.interactions.writing.carried import carried
from fhirserver.interactions.writing.integrity import commit
from fhirserver.store import Behind, Written

_ROUNDS: Final = 5
"""How often the tags are looked at again that others put on meanwhile."""


async def update(
    context: Context,
    resource_type: str,
    id: str,
    body: Any,
    *,
    if_match: tuple[str, ...] | None = None,
    if_none_match_any: bool = False,
) -> Written:
    """Store the resource as the next version. Who may assign ids creates where there is nothing yet."""
    sent = resource_of(body, resource_type)
    check_id(sent, id)
    resource = identified(sent, id)
    may_create = may_create_at(context.principal, resource_type)
    for rounds_left in reversed(range(_ROUNDS)):
        admitted = await admit(context, "update", resource, exists=True)
        write = admitted.write(
            context.by(),
            if_match=if_match,
            if_none_match_any=if_none_match_any,
            may_create=may_create,
            forward=True,
        )
        try:
            written = await commit(context, write)
            break
        except Behind as behind:
            # What the version before it has is known from the attempt to replace it: most have nothing that would be left out.
            if not rounds_left:
                raise
            resource = carried(resource, behind.meta)
    assert written is not None, "Only a deletion may have nothing to do."  # noqa: S101 (for the type checker)
    return written
