"""Conditional interactions over HTTP: `If-None-Exist`, and PUT, PATCH and DELETE on a type with criteria.

https://hl7.org/fhir/R4/http.html#ccreate and https://hl7.org/fhir/R4/http.html#cond-update
"""

from __future__ import annotations

from typing import Any

from fhirserver.interactions.bundles import Done
from fhirserver.interactions.writing.conditional import (
    conditional_create,
    conditional_delete,
    conditional_patch,
    conditional_update,
)
from fhirserver.model.outcome import BadRequest
from fhirserver.rest.interactions import binary
from fhirserver.rest.interactions.instances import answer_to_write
from fhirserver.rest.interactions.patch import sent_patch
from fhirserver.rest.messages.parameters import Pair, parse_query
from fhirserver.rest.messages.preconditions import if_match, if_none_match_any
from fhirserver.rest.messages.request import Request
from fhirserver.rest.messages.responses import Answer, location
from fhirserver.store import Written


async def create(request: Request, body: Any, content_type: bytes) -> Answer:
    """`POST [base]/[type]` with `If-None-Exist`: 201, or 200 with what was there."""
    resource_type = request.address.resource_type
    wanted = criteria(request.headers[b"if-none-exist"], resource_type)
    done = await conditional_create(request.context, resource_type, body, wanted)
    return answer_to_done(request, done, content_type)


async def update(request: Request) -> Answer:
    """`PUT [base]/[type]?[criteria]`."""
    resource_type = request.address.resource_type
    content_type = request.content_type()
    matching, creating = if_match(request.headers), if_none_match_any(request.headers)
    body = await binary.resource(request, None) if resource_type == "Binary" else await request.resource()
    done = await conditional_update(
        request.context, resource_type, body, request.parameters(), if_match=matching, if_none_match_any=creating
    )
    return answer_to_done(request, done, content_type)


async def patch(request: Request) -> Answer:
    """`PATCH [base]/[type]?[criteria]`."""
    content_type = request.content_type()
    matching, creating = if_match(request.headers), if_none_match_any(request.headers)
    changes = await sent_patch(request)
    done = await conditional_patch(
        request.context,
        request.address.resource_type,
        changes,
        request.parameters(),
        if_match=matching,
        if_none_match_any=creating,
    )
    return answer_to_done(request, done, content_type)


async def delete(request: Request) -> Answer:
    """`DELETE [base]/[type]?[criteria]`: 204, whether or not there was something to delete."""
    done = await conditional_delete(
        request.context, request.address.resource_type, request.parameters(), if_match=if_match(request.headers)
    )
    return answer_to_done(request, done, request.content_type())


def answer_to_done(request: Request, done: Done, content_type: bytes) -> Answer:
    """The answer to what came of a write: 204 to a deletion; 200 with its `Location` to what a conditional create found."""
    version = done.version
    if version is None or version.json is None:
        return Answer(204)
    answer = answer_to_write(request, Written(version, done.created), content_type, is_new=done.written)
    if not done.written:
        answer.headers.append(location(request.context.services.base_url, version))
    return answer


def criteria(text: bytes, resource_type: str) -> list[Pair]:
    """The pairs of an `If-None-Exist`, also where it is written as a whole search."""
    path, question, query = text.partition(b"?")
    if not question or b"=" in path:
        return parse_query(text)
    if path and path.rpartition(b"/")[2] != resource_type.encode():
        raise BadRequest("If-None-Exist holds the criteria alone, or a search of the type that is created.")
    return parse_query(query)
