"""Answers, and how they are sent: the headers that every FHIR answer has, and those of a version.

https://hl7.org/fhir/R4/http.html#general
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec

from fhirserver.model.json import dump
from fhirserver.model.outcome import Issue, operation_outcome
from fhirserver.model.resource import Version
from fhirserver.rest.messages.preconditions import entity_tag, http_date
from fhirserver.rest.representation.negotiate import DEFAULT

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

EVERY_ANSWER: Final[tuple[Header, ...]] = (
    (b"cache-control", b"no-store"),
    (b"vary", b"Authorization, Accept, Prefer, Origin"),
    (b"x-content-type-options", b"nosniff"),
)
_BODILESS: Final = frozenset((204, 304))


@dataclass(slots=True)
class Answer:
    """A status, a body, and the headers that belong to it."""

    status: int
    body: bytes = b""
    content_type: bytes = DEFAULT
    headers: list[Header] = field(default_factory=list)
    is_raw: bool = False
    """Whether the body is somebody's content rather than a resource, which is JSON until it is sent."""
    is_pretty: bool = False
    """Whether `_pretty` was asked for elsewhere than in the address."""
    is_lasting: bool = False
    """Whether the same body is sent again and again."""
    is_outcome: bool = False
    """Whether the body is an OperationOutcome about the request."""
    version: Version | None = None
    """The version that the answer is about."""


def of_version(version: Version, content_type: bytes) -> Answer:
    """A resource, with its ETag and when it was last changed."""
    return Answer(200, version.json or b"", content_type, validators(version), version=version)


def validators(version: Version) -> list[Header]:
    """`ETag` and `Last-Modified`."""
    return [(b"etag", entity_tag(version)), (b"last-modified", http_date(version.updated))]


def location(base_url: str, version: Version) -> Header:
    """`Location`: where this version is read."""
    return b"location", f"{base_url}/{version.resource_type}/{version.id}/_history/{version.version}".encode()


def outcome(status: int, *issues: Issue, content_type: bytes = DEFAULT) -> Answer:
    """An OperationOutcome."""
    return Answer(status, dump(operation_outcome(issues)), content_type, is_outcome=True)


def prettied(body: bytes) -> bytes:
    """The same JSON text on many lines; numbers keep their digits."""
    return msgspec.json.format(body, indent=2) if body else body


def date(moment: datetime) -> Header:
    """`Date`: when the answer is sent, not when its request came, so that nothing in it was last modified later."""
    return b"date", http_date(moment.replace(microsecond=0))


def dated(send: Send, clock: Callable[[], datetime]) -> Send:
    """What sends others' answers with their `Date`, as `send_answer` does for those of FHIR."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [date(clock()), *message.get("headers", ())]
        await send(message)

    return sending


async def send_answer(answer: Answer, request_id: bytes, now: datetime, *, head: bool, send: Send) -> None:
    """Write the answer as ASGI messages. To HEAD the headers are those of GET, the body stays away."""
    headers: list[Header] = [date(now), *EVERY_ANSWER, (b"x-request-id", request_id), *answer.headers]
    if answer.status in _BODILESS:
        body = b""
    else:
        body = answer.body
        if body:
            headers.append((b"content-type", answer.content_type))
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else body})


def header_table(pairs: list[Header]) -> Mapping[bytes, bytes]:
    """The request's headers by lower-case name; a header sent several times becomes one list."""
    table = dict(pairs)
    if len(table) != len(pairs):
        table = {}
        for name, value in pairs:
            table[name] = table[name] + b", " + value if name in table else value
    return table
