"""The formats of resources at the door: JSON is what the server keeps, XML is made of it and read into it.

https://hl7.org/fhir/R4/formats.html
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, Literal

from fhirserver.definitions import Definitions
from fhirserver.model.json import NESTING_LIMIT, RESOURCE_LIMIT, parse
from fhirserver.model.outcome import BadRequest
from fhirserver.rest.messages.responses import Answer, prettied
from fhirserver.rest.representation import xml
from fhirserver.rest.representation.negotiate import is_xml
from fhirserver.store.pace import beside

_PAGE_LEVELS: Final = 8
_QUICK: Final = 10
"""JSON is read so many times as fast as XML, at least."""


async def resource_of(
    definitions: Definitions, body: bytes, format: Literal["json", "xml"], *, limit: int = RESOURCE_LIMIT
) -> Any:
    """The body of a write, parsed. Raises BadRequest, or TooLarge."""
    if not body:
        raise BadRequest("The body is empty; a resource is needed.", code="structure")
    if format == "json":
        return await beside(len(body) // _QUICK, lambda: parse(body, limit=limit))
    return await beside(len(body), lambda: xml.read(definitions, body, limit=limit))


async def shape(answer: Answer, definitions: Definitions, *, pretty: bool) -> None:
    """Give the answer's JSON the form that its Content-Type names. Raises NotAcceptable where XML has none for it."""
    body = answer.body
    if answer.is_raw or not body:
        return
    if is_xml(answer.content_type):
        convert = _kept_as_xml if answer.is_lasting else _as_xml
        answer.body = await beside(len(body), lambda: convert(definitions, body, pretty))
    elif pretty:
        answer.body = await beside(len(body) // _QUICK, lambda: prettied(body))


def _as_xml(definitions: Definitions, body: bytes, pretty: bool) -> bytes:
    resource = parse(body, limit=len(body), nesting=NESTING_LIMIT + _PAGE_LEVELS)
    return xml.write(definitions, resource, pretty=pretty)


_kept_as_xml = lru_cache(maxsize=2)(_as_xml)
