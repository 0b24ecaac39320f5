"""`POST [base]`: a batch, whose entries are independent, or a transaction, whose entries happen together.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from fhirserver.interactions.bundles import Entry
from fhirserver.interactions.bundles.transaction import placed, transaction
from fhirserver.interactions.context import Context
from fhirserver.model.json import BODY_LIMIT
from fhirserver.model.outcome import BadRequest, FhirError, TooCostly
from fhirserver.rest.interactions.bundles.answers import response_bundle, response_entry
from fhirserver.rest.interactions.bundles.entries import EntryRequest, Requests, Sent, read_bundle
from fhirserver.rest.interactions.conditionals import answer_to_done, criteria
from fhirserver.rest.interactions.patch import sent_patch
from fhirserver.rest.messages.errors import answer_to, unexpected
from fhirserver.rest.messages.preconditions import if_match, if_none_match_any
from fhirserver.rest.messages.request import Request
from fhirserver.rest.messages.responses import Answer
from fhirserver.rest.representation.negotiate import DEFAULT

if TYPE_CHECKING:
    from fhirserver.rest.interactions.bundles.entries import Routes
    from fhirserver.rest.routes import Handle

SIDE_BY_SIDE: Final = 32
"""Entries of a batch that are under way at once."""
ANSWERS: Final = 64 * 1024 * 1024
"""Bytes that the reads of one Bundle may answer together: past them no further one is begun."""

_WRITES: Final = frozenset(("create", "update", "patch", "delete"))
_TOO_MUCH: Final = f"The answers before this one are more than {ANSWERS} bytes together; send fewer reads at a time."
_NO_PART: Final = "An operation that is posted is no part of a transaction; send it in a batch, or by itself."


def door(routes: Routes) -> Callable[[Request], Awaitable[Answer]]:
    """What handles `POST [base]`, for entries that take these routes."""

    async def post(request: Request) -> Answer:
        content_type = request.content_type()
        requests = read_bundle(request, await request.resource(limit=BODY_LIMIT), routes)
        answers = await (_batch if requests.type == "batch" else _transaction)(request, requests)
        base_url = request.context.services.base_url
        methods = {each.index: each.method for each in requests.entries}
        entries = [response_entry(methods.get(index, ""), answers[index], base_url) for index in range(requests.count)]
        return Answer(200, response_bundle(requests.type, entries), content_type)

    return post


async def _batch(request: Request, requests: Requests) -> dict[int, Answer]:
    """Each entry by itself, side by side; what goes wrong with one is its own."""
    room, answers_bound = asyncio.Semaphore(SIDE_BY_SIDE), _Bound()

    async def one(sent: Sent) -> Answer:
        async with room:
            await request.context.pace.step()
            try:
                return await answers_bound.of(sent.request, sent.route.handle)
            except FhirError as error:
                return answer_to(error)
            except Exception as error:
                request.faults.append(error)
                return unexpected()

    answers = {index: answer_to(error) for index, error in requests.refused.items()}
    done = await asyncio.gather(*(one(sent) for sent in requests.entries))
    return answers | {sent.index: answer for sent, answer in zip(requests.entries, done, strict=True)}


async def _transaction(request: Request, requests: Requests) -> dict[int, Answer]:
    """All entries or none."""
    refused = dict(requests.refused)
    entries: list[Entry] = []
    bound = _Bound()
    for sent in requests.entries:
        await request.context.pace.step()
        try:
            entries.append(await _entry(sent, bound))
        except FhirError as error:
            refused[sent.index] = error
    if refused:
        raise placed(sorted(refused.items(), key=lambda each: each[0]), requests.malformed)
    done = await transaction(request.context, entries)
    return {
        sent.index: each.answer if entry.read is not None else answer_to_done(sent.request, each, DEFAULT)
        for sent, entry, each in zip(requests.entries, entries, done, strict=True)
    }


async def _entry(sent: Sent, bound: _Bound) -> Entry:
    """An entry as the transaction takes it."""
    request, address = sent.request, sent.request.address
    if sent.route.interaction not in _WRITES:
        if sent.route.by_itself and request.method != "GET":
            raise BadRequest(_NO_PART, code="not-supported")
        return Entry("GET", address.resource_type, read=_reading(sent, bound))
    wanted = None
    if request.method != "POST" and not address.id:
        wanted = request.parameters()
    elif request.method == "POST" and b"if-none-exist" in request.headers:
        wanted = criteria(request.headers[b"if-none-exist"], address.resource_type)
    is_patch = request.method == "PATCH"
    return Entry(
        request.method,  # type: ignore[arg-type]  # the routes have no other
        address.resource_type,
        id=address.id or None,
        criteria=wanted,
        body=request.sent,
        patch=await sent_patch(request) if is_patch else None,
        full_url=sent.full_url,
        if_match=if_match(request.headers),
        if_none_match_any=if_none_match_any(request.headers),
    )


def _reading(sent: Sent, bound: _Bound) -> Callable[[Context], Awaitable[Answer]]:
    async def read(context: Context) -> Answer:
        request = sent.request
        inside = EntryRequest(
            request.method,
            request.address,
            request.headers,
            request.query,
            request.receive,
            request.bounds,
            context,
            request.statement,
            sent=request.sent,
        )
        return await bound.of(inside, sent.route.handle)

    return read


class _Bound:
    """What the reads of one Bundle have answered so far. Writes are small, and done: they are not held up."""

    def __init__(self) -> None:
        self._size = 0

    async def of(self, request: EntryRequest, handle: Handle) -> Answer:
        """The answer of an entry. Raises TooCostly for a read past the bound."""
        if request.method == "GET" and self._size > ANSWERS:
            raise TooCostly(_TOO_MUCH)
        answer = await handle(request)
        self._size += len(answer.body)
        return answer
