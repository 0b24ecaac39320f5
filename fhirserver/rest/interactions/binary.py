"""Binary: any content in and out as it is, by Content-Type and Accept; as a resource where FHIR's JSON or XML is asked for.

Raw content is always an attachment in a sandbox, whatever it says it is: nothing stored here runs on this server's origin.

https://hl7.org/fhir/R4/binary.html#rest and https://www.rfc-editor.org/rfc/rfc9110#section-14
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any, Final

from fhirserver.interactions.reading.read import read as read_interaction
from fhirserver.interactions.reading.vread import vread as vread_interaction
from fhirserver.model.outcome import Issue, NotAcceptable, UnsupportedMediaType
from fhirserver.model.reference import Reference
from fhirserver.model.resource import Resource, Version
from fhirserver.rest.messages.parameters import form_of
from fhirserver.rest.messages.preconditions import is_not_modified
from fhirserver.rest.messages.request import Request
from fhirserver.rest.messages.responses import Answer, Header, of_version, outcome, validators
from fhirserver.rest.representation.formats import resource_of
from fhirserver.rest.representation.negotiate import (
    FHIR_JSON,
    FHIR_XML,
    JSON_TYPES,
    XML_TYPES,
    media_ranges,
    media_type,
    negotiate,
    quality_of,
)
from fhirserver.rest.representation.subsets import subset_of, subsetted
from fhirserver.rest.representation.xml import root_of
from fhirserver.search.request import WHOLE, Subset

_SANDBOX: Final[tuple[Header, ...]] = (
    (b"content-disposition", b"attachment"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
    (b"accept-ranges", b"bytes"),
)
_MEDIA_TYPE = re.compile(
    r"[\w!#$&^.+-]{1,127}/[\w!#$&^.+-]{1,127}( *; *[\w!#$&^.+-]+=([\w!#$&^.+:/-]+|\"[ \w!#$&^.+:/-]*\"))*"
)
_RANGE = re.compile(rb"bytes=(\d{1,18})?-(\d{1,18})?")
_UNKNOWN: Final = "application/octet-stream"
_ROOT: Final = "http://hl7.org/fhir Binary"


async def read(request: Request) -> Answer:
    """`GET [base]/Binary/[id]`."""
    address, subset = request.address, subset_of(request)
    return await _answer(request, await read_interaction(request.context, address.resource_type, address.id), subset)


async def vread(request: Request) -> Answer:
    """`GET [base]/Binary/[id]/_history/[vid]`."""
    address, subset = request.address, subset_of(request)
    found = await vread_interaction(request.context, "Binary", address.id, address.version)
    return await _answer(request, found, subset)


async def resource(request: Request, id: str | None) -> Any:
    """The Binary that a write sends: a resource in FHIR's JSON or XML, anything else as content with its Content-Type."""
    header = request.header(b"content-type")
    if header is None:
        raise UnsupportedMediaType("Content-Type is missing; it says what the content is.")
    body = await request.body()
    definitions = request.context.services.definitions
    type, _ = media_type(header)
    if type in (FHIR_JSON, FHIR_XML):
        return await resource_of(definitions, body, "json" if type == FHIR_JSON else "xml")
    # Plain JSON and XML may be content as well as FHIR's own; only a Binary is read as one.
    if type in JSON_TYPES:
        sent = await resource_of(definitions, body, "json")
        if isinstance(sent, dict) and sent.get("resourceType") == "Binary":
            return sent
    if type in XML_TYPES and root_of(body) == _ROOT:
        return await resource_of(definitions, body, "xml")
    if _MEDIA_TYPE.fullmatch(header) is None:
        raise UnsupportedMediaType("The Content-Type is not a media type.")
    binary: Resource = {"resourceType": "Binary", "contentType": header}
    if id is not None:
        binary["id"] = id
    context = request.header(b"x-security-context")
    if context is not None:
        binary["securityContext"] = {"reference": _reference(context, request.context.services.base_url)}
    if body:
        binary["data"] = base64.b64encode(body).decode("ascii")
    return binary


def _reference(text: str, base_url: str) -> str:
    return Reference.parse(text.strip(), base_url).local or text.strip()


async def _answer(request: Request, version: Version, subset: Subset) -> Answer:
    binary = version.parsed()
    type = _stored_type(binary)
    content_type = _resource_wanted(request, type)
    if is_not_modified(request.headers, version):
        return Answer(304, headers=validators(version))
    if content_type is not None:
        [version] = await subsetted(request.context.services.definitions, subset, [version])
        return of_version(version, content_type)
    if subset != WHOLE:
        raise NotAcceptable(
            "Content has no summary and no elements; for those of the resource ask for application/fhir+json."
        )
    try:
        content = base64.b64decode(str(binary.get("data", "")))
    except binascii.Error:
        content = b""
    answer = Answer(200, content, type.encode("ascii"), [*validators(version), *_SANDBOX], is_raw=True)
    context = binary.get("securityContext")
    if isinstance(context, dict) and isinstance(context.get("reference"), str) and _is_token(context["reference"]):
        answer.headers.append((b"x-security-context", context["reference"].encode("ascii")))
    return _ranged(request, answer)


def _stored_type(binary: Resource) -> str:
    """The content's own type, if it can stand in a header."""
    type = binary.get("contentType")
    return type if isinstance(type, str) and type.isascii() and _MEDIA_TYPE.fullmatch(type) else _UNKNOWN


def _is_token(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _resource_wanted(request: Request, type: str) -> bytes | None:
    """The FHIR type to answer with, or None for the content itself, which goes first where both would do."""
    format = form_of(request.parameters(), "_format")
    accept = request.header(b"accept")
    if format is not None:
        return negotiate(accept, format)
    if accept is None or not accept.strip():
        return None
    ranges = media_ranges(accept)
    raw = quality_of(ranges, media_type(type)[0])
    try:
        content_type = negotiate(accept, None)
    except NotAcceptable:
        if raw[0] > 0:
            return None
        raise NotAcceptable(
            "The content has another type than those asked for; ask for application/fhir+json."
        ) from None
    name = media_type(content_type.decode())[0]
    # Browsers name plain XML before the rest of the world, and mean pages by it.
    if raw >= quality_of(ranges, name) or (raw[0] > 0 and name in XML_TYPES[1:]):
        return None
    return content_type


def _ranged(request: Request, answer: Answer) -> Answer:
    """The part that `Range` asks for. Several ranges, and ranges under a condition, are answered with the whole."""
    header = request.headers.get(b"range")
    if header is None or b"if-range" in request.headers:
        return answer
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.groups() == (None, None):
        return answer
    size = len(answer.body)
    first, last = _bounds(match.groups(), size)
    if first >= size or last < first:
        refused = outcome(416, Issue("error", "invalid", "The range lies outside the content."))
        refused.headers.append((b"content-range", b"bytes */%d" % size))
        return refused
    answer.headers.append((b"content-range", b"bytes %d-%d/%d" % (first, last, size)))
    return Answer(206, answer.body[first : last + 1], answer.content_type, answer.headers, is_raw=True)


def _bounds(found: Sequence[bytes | None], size: int) -> tuple[int, int]:
    start, end = found
    if start is None:
        return max(0, size - int(end or 0)), size - 1
    return int(start), min(int(end), size - 1) if end is not None else size - 1
