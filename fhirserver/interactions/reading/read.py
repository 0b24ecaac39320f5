"""The read interaction: the current version of a resource.

https://hl7.org/fhir/R4/http.html#read
"""

from __future__ import annotations

from fhirserver.access.gate.request import Request
from fhirserver.interactions.context import Context
from fhirserver.model.outcome import Gone, NotFound
from fhirserver.model.resource import Version


async def read(context: Context, resource_type: str, id: str, *, interaction: str = "read") -> Version:
    """The current version, or NotFound (absent and hidden alike), or Gone where a visible resource was deleted."""
    permit = await context.decide(Request(interaction, resource_type, ids=(id,)))
    version = await context.reads.read(resource_type, id, permit)
    if version is None:
        raise NotFound
    if version.json is None:
        raise Gone
    return version
