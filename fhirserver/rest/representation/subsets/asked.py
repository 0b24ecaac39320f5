"""`_summary` and `_elements` of reads. Other parameters have no meaning there, and are refused like unknown ones of a search.

https://hl7.org/fhir/R4/http.html#parameters
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

from fhirserver.definitions import Definitions
from fhirserver.model.outcome import BadRequest
from fhirserver.rest.messages.parameters import FORM, Pair
from fhirserver.rest.messages.request import Request
from fhirserver.search.query.result import SUMMARIES, read_elements, subset
from fhirserver.search.query.unsupported import Unsupported
from fhirserver.search.request import Subset, Summary

_KNOWN: Final = "A read takes _summary, _elements, _format and _pretty."


def subset_of(request: Request) -> Subset:
    """What of the resource a read asks for. Raises BadRequest for every parameter that says something else."""
    pairs = request.parameters()
    return asked(
        request.context.services.definitions,
        request.address.resource_type,
        pairs,
        lenient=request.preferences().lenient,
    )


def asked(definitions: Definitions, resource_type: str, pairs: Iterable[Pair], *, lenient: bool) -> Subset:
    """The same, of pairs that can only speak of the form of resources."""
    summary: Summary | None = None
    elements: Subset | None = None
    seen: set[str] = set()
    for name, value in pairs:
        if name in FORM or not value:
            continue
        if name in seen:
            raise BadRequest(f"The parameter '{name[:100]}' stands in the address twice.")
        seen.add(name)
        try:
            match name:
                case "_summary":
                    summary = _summary(value)
                case "_elements":
                    elements = read_elements(definitions, resource_type, value)
                case _:
                    raise Unsupported(_KNOWN)
        except Unsupported as reason:
            if not lenient:
                raise BadRequest(str(reason), code="not-supported") from None
    return subset(summary, elements)


def _summary(value: str) -> Summary | None:
    if value not in SUMMARIES or value == "count":
        raise BadRequest("The parameter '_summary' of a read is true, text, data or false.")
    return None if value == "false" else cast("Summary", value)
