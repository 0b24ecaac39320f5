"""The vread interaction: one version of a resource.

https://hl7.org/fhir/R4/http.html#vread
"""

from __future__ import annotations

from fhirserver.access.gate.request import Request
from fhirserver.interactions.context import Context
from fhirserver.model.outcome import Gone, NotFound
from fhirserver.model.resource import Version


async def vread(context: Context, resource_type: str, id: str, version_id: str) -> Version:
    """That version. Both it and the current one must be visible; a version that is a deletion is Gone."""
    permit = await context.decide(Request("vread", resource_type, ids=(id,)))
    number = _number(version_id)
    if number is None:
        raise NotFound
    version = await context.reads.vread(resource_type, id, number, permit)
    if version is None:
        raise NotFound
    if version.json is None:
        raise Gone
    return version


def _number(version_id: str) -> int | None:
    """The version number, if this could be a version id of ours: digits without leading zeros, inside 64 bits."""
    is_ours = version_id.isascii() and version_id.isdigit() and version_id[0] != "0" and len(version_id) <= 18
    return int(version_id) if is_ours else None
