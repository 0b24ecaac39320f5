"""read, vread, update and delete over HTTP.

https://hl7.org/fhir/R4/http.html#read
"""

from __future__ import annotations

from typing import Final

from fhirserver.interactions.reading.read import read as read_interaction
from fhirserver.interactions.reading.vread import vread as vread_interaction
from fhirserver.interactions.writing.delete import delete as delete_interaction
from fhirserver.interactions.writing.update import update as update_interaction
from fhirserver.model.outcome import Gone, Issue, NotFound, PreconditionFailed
from fhirserver.model.resource import Version
from fhirserver.rest.interactions import binary
from fhirserver.rest.messages.preconditions import if_match, if_none_match_any, is_not_modified, unmodified_since
from fhirserver.rest.messages.request import Request
from fhirserver.rest.messages.responses import Answer, location, of_version, outcome, validators
from fhirserver.rest.representation.subsets import subset_of, subsetted
from fhirserver.search.request import WHOLE, Subset
from fhirserver.store import Written

_MODIFIED: Final = "The resource has changed since the moment that If-Unmodified-Since names."


async def read(request: Request) -> Answer:
    """`GET [base]/[type]/[id]`."""
    address = request.address
    if address.resource_type == "Binary":
        return await binary.read(request)
    content_type = request.content_type()
    subset = subset_of(request) if request.query else WHOLE
    version = await read_interaction(request.context, address.resource_type, address.id)
    return await _unless_known(request, version, content_type, subset)


async def vread(request: Request) -> Answer:
    """`GET [base]/[type]/[id]/_history/[vid]`."""
    address = request.address
    if address.resource_type == "Binary":
        return await binary.vread(request)
    content_type = request.content_type()
    subset = subset_of(request) if request.query else WHOLE
    version = await vread_interaction(request.context, address.resource_type, address.id, address.version)
    return await _unless_known(request, version, content_type, subset)


async def update(request: Request) -> Answer:
    """`PUT [base]/[type]/[id]`."""
    address = request.address
    content_type = request.content_type()
    matching, creating = await to_match(request), if_none_match_any(request.headers)
    is_raw = address.resource_type == "Binary"
    body = await binary.resource(request, address.id) if is_raw else await request.resource()
    written = await update_interaction(
        request.context, address.resource_type, address.id, body, if_match=matching, if_none_match_any=creating
    )
    return answer_to_write(request, written, content_type)


async def delete(request: Request) -> Answer:
    """`DELETE [base]/[type]/[id]`: 204, whether or not there was something to delete."""
    address = request.address
    await delete_interaction(request.context, address.resource_type, address.id, if_match=await to_match(request))
    return Answer(204)


async def to_match(request: Request) -> tuple[str, ...] | None:
    """The versions of which one must be the current one. Where a date is asked for, it is that which is current now."""
    since = unmodified_since(request.headers)
    if since is None:
        return if_match(request.headers)
    try:
        version = await read_interaction(request.context, request.address.resource_type, request.address.id)
    except (NotFound, Gone):
        return None  # what is not there has no date that could be later
    if version.updated.replace(microsecond=0) > since:
        raise PreconditionFailed(_MODIFIED)
    return (version.version_id,)


def answer_to_write(request: Request, written: Written, content_type: bytes, *, is_new: bool = True) -> Answer:
    """201 with `Location`, or 200; the body as `Prefer` wants it, the resource if it does not say.

    `is_new` is False where nothing was written, because it was there.
    """
    version = written.version
    status = 201 if written.created else 200
    match request.preferences().returns:
        case "minimal":
            answer = Answer(status)
        case "OperationOutcome":
            sentence = "The resource was created." if written.created else "The resource was updated."
            sentence = sentence if is_new else "The resource is there already; nothing was changed."
            answer = outcome(status, Issue("information", "informational", sentence), content_type=content_type)
        case _:
            answer = Answer(status, version.json or b"", content_type)
    answer.headers.extend(validators(version))
    answer.version = version
    if written.created:
        answer.headers.append(location(request.context.services.base_url, version))
    return answer


async def _unless_known(request: Request, version: Version, content_type: bytes, subset: Subset) -> Answer:
    if is_not_modified(request.headers, version):
        return Answer(304, headers=validators(version))
    if subset is not WHOLE:
        [version] = await subsetted(request.context.services.definitions, subset, [version])
    return of_version(version, content_type)
