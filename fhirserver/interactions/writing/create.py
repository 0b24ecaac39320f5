"""The create interaction: a new resource under an id of the server's.

https://hl7.org/fhir/R4/http.html#create
"""

from __future__ import annotations

from typing import Any

from fhirserver.interactions.context import Context
from fhirserver.interactions.writing.candidate import admit, identified, resource_of
from fhirserver.interactions.writing.commit import commit, stored
from fhirserver.store import Written


async def create(context: Context, resource_type: str, body: Any) -> Written:
    """Store the resource as version 1; an id in the body is ignored."""
    resource = identified(resource_of(body, resource_type), context.services.new_id())
    admitted = await admit(context, "create", resource, exists=False)
    return stored(await commit(context, admitted.write(context.by(), method="POST", may_create=True)))
