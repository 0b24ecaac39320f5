"""read, vread, update, delete and history over HTTP.

https://hl7.org/fhir/R4/http.html#read
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from fhirserver.interactions.delete import delete as delete_interaction
from fhirserver.interactions.history import HistoryRequest, history_instance
from fhirserver.interactions.read import read as read_interaction
from fhirserver.interactions.update import update as update_interaction
from fhirserver.interactions.vread import vread as vread_interaction
from fhirserver.model.dates import interval, moment
from fhirserver.model.outcome import BadRequest, Issue
from fhirserver.model.resource import Version
from fhirserver.rest import binary
from fhirserver.rest.parameters import Pair, part
from fhirserver.rest.preconditions import if_match, if_none_match_any, is_not_modified
from fhirserver.rest.request import Request
from fhirserver.rest.responses import Answer, of_version, outcome, validators
from fhirserver.rest.searchset import history_bundle
from fhirserver.store import Written

HISTORY_COUNT: Final = 20
HISTORY_COUNT_BOUND: Final = 1000
_COUNT_DIGITS: Final = 9


async def read(request: Request) -> Answer:
    """`GET [base]/[type]/[id]`."""
    address = request.address
    if address.resource_type == "Binary":
        return await binary.read(request)
    content_type = request.content_type()
    version = await read_interaction(request.context, address.resource_type, address.id)
    return _unless_known(request, version, content_type)


async def vread(request: Request) -> Answer:
    """`GET [base]/[type]/[id]/_history/[vid]`."""
    address = request.address
    if address.resource_type == "Binary":
        return await binary.vread(request)
    content_type = request.content_type()
    version = await vread_interaction(request.context, address.resource_type, address.id, address.version)
    return _unless_known(request, version, content_type)


async def update(request: Request) -> Answer:
    """`PUT [base]/[type]/[id]`."""
    address = request.address
    content_type = request.content_type()
    matching, creating = if_match(request.headers), if_none_match_any(request.headers)
    is_raw = address.resource_type == "Binary"
    body = await binary.resource(request, address.id) if is_raw else await request.resource()
    written = await update_interaction(
        request.context, address.resource_type, address.id, body, if_match=matching, if_none_match_any=creating
    )
    return answer_to_write(request, written, content_type)


async def delete(request: Request) -> Answer:
    """`DELETE [base]/[type]/[id]`: 204, whether or not there was something to delete."""
    address = request.address
    await delete_interaction(request.context, address.resource_type, address.id, if_match=if_match(request.headers))
    return Answer(204)


async def history(request: Request) -> Answer:
    """`GET [base]/[type]/[id]/_history`."""
    address = request.address
    content_type = request.content_type()
    pairs, cursor = part(request.parameters())
    asked, used = _history_request(address.resource_type, address.id, pairs, cursor, request.preferences().lenient)
    found = await history_instance(request.context, asked)
    return Answer(200, history_bundle(request.context.services, asked, found, used), content_type)


def answer_to_write(request: Request, written: Written, content_type: bytes) -> Answer:
    """201 with `Location`, or 200; the body as `Prefer` wants it, the resource if it does not say."""
    version = written.version
    status = 201 if written.created else 200
    match request.preferences().returns:
        case "minimal":
            answer = Answer(status)
        case "OperationOutcome":
            sentence = "The resource was created." if written.created else "The resource was updated."
            answer = outcome(status, Issue("information", "informational", sentence), content_type=content_type)
        case _:
            answer = Answer(status, version.json or b"", content_type)
    answer.headers.extend(validators(version))
    if written.created:
        base = request.context.services.base_url
        location = f"{base}/{version.resource_type}/{version.id}/_history/{version.version}"
        answer.headers.append((b"location", location.encode()))
    return answer


def _unless_known(request: Request, version: Version, content_type: bytes) -> Answer:
    if is_not_modified(request.headers, version):
        return Answer(304, headers=validators(version))
    return of_version(version, content_type)


def _history_request(
    resource_type: str, id: str, pairs: list[Pair], cursor: str | None, lenient: bool
) -> tuple[HistoryRequest, list[Pair]]:
    """The history that is asked for, and the pairs that were used for it."""
    count: int = HISTORY_COUNT
    since: datetime | None = None
    at: tuple[datetime, datetime] | None = None
    used: list[Pair] = []
    for name, value in pairs:
        match name:
            case "_count":
                count = _count(value)
                used.append((name, str(count)))
            case "_since":
                since = _moments(name, value)[0]
                used.append((name, value))
            case "_at":
                at = _moments(name, value)
                used.append((name, value))
            case _ if not lenient:
                raise BadRequest("History takes _count, _since, _at, _format and _pretty.", code="not-supported")
    if len({name for name, _ in used}) != len(used):
        raise BadRequest("A parameter of a history can be given once.")
    return HistoryRequest(resource_type, id, count, since, at, cursor), used


def _count(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= _COUNT_DIGITS):
        raise BadRequest("_count is a whole number.")
    return min(max(int(value), 1), HISTORY_COUNT_BOUND)


def _moments(name: str, value: str) -> tuple[datetime, datetime]:
    try:
        first, last = interval(value)
        return moment(first), moment(last)
    except ValueError:
        raise BadRequest(f"{name} is a date or an instant, as in 2026-01-31T09:30:00Z.") from None
