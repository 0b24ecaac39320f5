"""What a List names, for histories of it: resources with all their versions, or single ones.

https://hl7.org/fhir/R4/http.html#history and https://hl7.org/fhir/R4/list.html
"""

from __future__ import annotations

from typing import Final

from fhirserver.interactions.context import Context
from fhirserver.interactions.reading.read import read
from fhirserver.model.outcome import Gone, NotFound, TooCostly
from fhirserver.model.reference import Reference
from fhirserver.store import Named

ITEMS: Final = 1_000
"""Entries of a List whose history is asked for."""


async def listed(context: Context, id: str) -> frozenset[Named]:
    """The versions that the List names, as far as it may be read; a List that is absent or hidden names none."""
    try:
        entries = (await read(context, "List", id)).parsed().get("entry", ())
    except (NotFound, Gone):
        return frozenset()
    if len(entries) > ITEMS:
        raise TooCostly(f"The List has more than {ITEMS} entries. Ask for the histories of its resources one by one.")
    found: set[Named] = set()
    for entry in entries:
        reference = Reference.parse(entry["item"].get("reference") or "", context.services.base_url)
        if reference.url is None and reference.type is not None and reference.id is not None:
            version = reference.version
            if version is None or version.isdigit():
                found.add((reference.type, reference.id, None if version is None else int(version)))
    return frozenset(found)
