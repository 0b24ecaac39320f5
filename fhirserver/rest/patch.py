"""patch over HTTP.

https://hl7.org/fhir/R4/http.html#patch and https://www.rfc-editor.org/rfc/rfc5789
"""

from __future__ import annotations

from fhirserver.interactions.patch import patch as patch_interaction
from fhirserver.interactions.patch import read_patch
from fhirserver.rest.instances import answer_to_write
from fhirserver.rest.preconditions import if_match, if_none_match_any
from fhirserver.rest.request import Request
from fhirserver.rest.responses import Answer


async def patch(request: Request) -> Answer:
    """`PATCH [base]/[type]/[id]`."""
    address = request.address
    content_type = request.content_type()
    matching, creating = if_match(request.headers), if_none_match_any(request.headers)
    changes = read_patch(request.header(b"content-type"), await request.body())
    written = await patch_interaction(
        request.context, address.resource_type, address.id, changes, if_match=matching, if_none_match_any=creating
    )
    return answer_to_write(request, written, content_type)
