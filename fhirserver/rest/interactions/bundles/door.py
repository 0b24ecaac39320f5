"""`POST [base]`: a batch, whose entries are independent, or a transaction, whose entries happen together.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from fhirserver.interactions.bundles import Entry
from fhirserver.interactions.bundles.batch import check_independent, created_by
from fhirserver.interactions.bundles.transaction import placed, transaction
from fhirserver.interactions.context import Context
from fhirserver.interactions.operations import OPERATIONS
from fhirserver.model.outcome import BadRequest, FhirError
from fhirserver.rest.address import LEVELS
from fhirserver.rest.interactions.bundles.answers import response_bundle, response_entry
from fhirserver.rest.interactions.bundles.budget import Budget, SideBySide
from fhirserver.rest.interactions.bundles.entries import EntryRequest, Requests, Sent, read_bundle
from fhirserver.rest.interactions.conditionals import answer_to_done, criteria
from fhirserver.rest.interactions.patch import sent_patch
from fhirserver.rest.interactions.route import Handle, Routes
from fhirserver.rest.messages.errors import answer_to, unexpected
from fhirserver.rest.messages.preconditions import if_match, if_none_match_any
from fhirserver.rest.messages.request import Request
from fhirserver.rest.messages.responses import Answer
from fhirserver.rest.representation.negotiate import DEFAULT

SIDE_BY_SIDE: Final = 32
"""Entries of a batch that are under way at once."""

_WRITES: Final = frozenset(("create", "update", "patch", "delete"))
_NO_PART: Final = "An operation that is posted is no part of a transaction; send it in a batch, or by itself."


def door(routes: Routes) -> Handle:
    """What handles `POST [base]`, for entries that take these routes."""

    async def post(request: Request) -> Answer:
        content_type = request.content_type()
        requests = await read_bundle(request, await request.resource(limit=request.bounds.size), routes)
        request.interaction = requests.type
        answers = await (_batch if requests.type == "batch" else _transaction)(request, requests)
        base_url = request.context.services.base_url
        methods = {each.index: each.method for each in requests.entries}
        entries: list[bytes] = []
        for index in range(requests.count):
            await request.context.pace.step()
            entries.append(response_entry(methods.get(index, ""), answers[index], base_url))
        return Answer(200, response_bundle(requests.type, entries), content_type)

    return post


async def _batch(request: Request, requests: Requests) -> dict[int, Answer]:
    """Each entry by itself, side by side; what goes wrong with one is its own."""
    left, together = enumerate(requests.entries), SideBySide(Budget())
    creates = (sent for sent in requests.entries if sent.route.interaction == "create" and sent.full_url is not None)
    created = created_by(request.context.services, {sent.index: str(sent.full_url) for sent in creates})

    async def one(sent: Sent, *, is_read: bool) -> Answer:
        await request.context.pace.step()
        try:
            if not is_read:
                await check_independent(created, sent.request.sent, sent.full_url)
            return await sent.route.handle(sent.request)
        except FhirError as error:
            return answer_to(error)
        except Exception as error:
            request.faults.append(error)
            return unexpected()

    async def one_after_another() -> None:
        for number, sent in left:
            is_read = not _changes(sent)
            await together.answer(number, partial(one, sent, is_read=is_read), is_read=is_read)

    await asyncio.gather(*(one_after_another() for _ in range(SIDE_BY_SIDE)))
    answers = {index: answer_to(error) for index, error in requests.refused.items()}
    answers.update((sent.index, each) for sent, each in zip(requests.entries, together.answers, strict=True))
    return answers


def _changes(sent: Sent) -> bool:
    """Whether what the entry asks for is done once it is answered, and not only read."""
    address = sent.request.address
    if (level := LEVELS.get(address.kind)) is None:
        return sent.route.interaction in _WRITES
    operation = OPERATIONS.find(level, address.operation, address.resource_type)
    return operation is not None and operation.affects_state


async def _transaction(request: Request, requests: Requests) -> dict[int, Answer]:
    """All entries or none."""
    refused = dict(requests.refused)
    entries: list[Entry] = []
    budget = Budget()
    for sent in requests.entries:
        await request.context.pace.step()
        try:
            entries.append(await _entry(sent, budget))
        except FhirError as error:
            refused[sent.index] = error
    if refused:
        raise placed(sorted(refused.items(), key=lambda each: each[0]), requests.malformed)
    done = await transaction(request.context, entries)
    answers: dict[int, Answer] = {}
    for sent, entry, each in zip(requests.entries, entries, done, strict=True):
        await request.context.pace.step()
        is_read = entry.read is not None
        answer = each.answer if is_read else budget.written(sent.index, answer_to_done(sent.request, each, DEFAULT))
        answers[sent.index] = answer
    return answers


async def _entry(sent: Sent, budget: Budget) -> Entry:
    """An entry as the transaction takes it."""
    request, address = sent.request, sent.request.address
    if sent.route.interaction not in _WRITES:
        if sent.route.by_itself and request.method != "GET":
            raise BadRequest(_NO_PART, code="not-supported")
        return Entry("GET", address.resource_type, read=_reading(sent, budget))
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


def _reading(sent: Sent, budget: Budget) -> Callable[[Context], Awaitable[Answer]]:
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
        return budget.read(sent.index, await sent.route.handle(inside))

    return read
