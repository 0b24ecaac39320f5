"""patch over HTTP, and which of the two forms of patches a body has.

https://hl7.org/fhir/R4/http.html#patch and https://www.rfc-editor.org/rfc/rfc5789
"""

from __future__ import annotations

from typing import Final

from fhirserver.interactions.writing.patch import JSON_PATCH, PATCH_TYPES, Patch, read_fhirpath_patch, read_json_patch
from fhirserver.interactions.writing.patch import patch as patch_interaction
from fhirserver.model.outcome import UnsupportedMediaType
from fhirserver.rest.interactions.instances import answer_to_write, to_match
from fhirserver.rest.messages.preconditions import if_none_match_any
from fhirserver.rest.messages.request import Request
from fhirserver.rest.messages.responses import Answer
from fhirserver.rest.representation import formats
from fhirserver.rest.representation.negotiate import media_type, sent_format

_ACCEPTED: Final = ", ".join(PATCH_TYPES)


async def patch(request: Request) -> Answer:
    """`PATCH [base]/[type]/[id]`."""
    address = request.address
    content_type = request.content_type()
    matching, creating = await to_match(request), if_none_match_any(request.headers)
    changes = await sent_patch(request)
    written = await patch_interaction(
        request.context, address.resource_type, address.id, changes, if_match=matching, if_none_match_any=creating
    )
    return answer_to_write(request, written, content_type)


async def sent_patch(request: Request) -> Patch:
    """The patch in the body, of the form that its Content-Type names. Raises UnsupportedMediaType, or BadRequest."""
    header = request.header(b"content-type") or ""
    type, parameters = media_type(header)
    if type == JSON_PATCH and all(_is_utf_8(*each) for each in parameters):
        return await read_json_patch(await request.body())
    if type == JSON_PATCH or type not in PATCH_TYPES:
        raise UnsupportedMediaType(f"Patches are accepted as {_ACCEPTED}.", accept_patch=_ACCEPTED)
    definitions = request.context.services.definitions
    body = await formats.resource_of(definitions, await request.body(), sent_format(header))
    return await read_fhirpath_patch(request.context, body)


def _is_utf_8(name: str, value: str) -> bool:
    return name != "charset" or value.lower() in ("utf-8", "utf8")
