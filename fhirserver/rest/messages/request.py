"""A request as the interactions' HTTP side sees it: the address, the headers, the parameters, and a body under bounds.

https://hl7.org/fhir/R4/http.html#general
"""

from __future__ import annotations

import asyncio
import itertools
import re
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fhirserver.interactions.context import Context
from fhirserver.model.json import RESOURCE_LIMIT
from fhirserver.model.outcome import BadRequest, TooLarge, UnsupportedMediaType
from fhirserver.rest.address import Address
from fhirserver.rest.messages.parameters import Pair, form_of, parse_query
from fhirserver.rest.messages.responses import Receive
from fhirserver.rest.representation import formats
from fhirserver.rest.representation.negotiate import (
    XML_TYPES,
    Preferences,
    media_type,
    negotiate,
    preferences,
    sent_format,
)

_NO_PREFERENCES: Final = Preferences()
_LENGTH_DIGITS: Final = 12
_RATIO_FLOOR: Final = 1024 * 1024
_WINDOW_BITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_REQUEST_ID = re.compile(rb"[A-Za-z0-9.\-_]{1,64}")


@dataclass(frozen=True, slots=True)
class BodyBounds:
    """How large a body may be once decompressed, how many times larger than what was sent, how many entries a Bundle of requests
    may have, and how long it may be in coming."""

    size: int = 16 * 1024 * 1024
    ratio: int = 20
    entries: int = 6_000
    seconds: int = 60


class Disconnected(Exception):
    """The client went away before its request was whole. There is nobody to answer."""


Statement = Callable[[str | None], Awaitable[bytes]]
"""What the server says that it can do, of the `mode` that is asked for."""


@dataclass(slots=True)
class Request:
    """One request to `/fhir`."""

    method: str
    address: Address
    headers: Mapping[bytes, bytes]
    query: bytes
    receive: Receive
    bounds: BodyBounds
    context: Context
    statement: Statement
    format: str | None = None
    """The `_format` of a form; that of the address is among its parameters."""
    interaction: str = ""
    """Which one the body turned out to ask for, where the address leaves that open."""
    faults: list[Exception] = field(default_factory=list)
    """Faults of our own in parts of the request whose answer is an answer all the same: for the log."""

    def parameters(self) -> list[Pair]:
        """The pairs of the query string."""
        return parse_query(self.query) if self.query else []

    def content_type(self) -> bytes:
        """The Content-Type that the answer shall have. Raises NotAcceptable."""
        if self.query or b"content-type" in self.headers:
            return answer_type(self.headers, form_of(self.parameters(), "_format"))
        return negotiate(self.header(b"accept"), None)  # a read by id, thousands of times a second

    def preferences(self) -> Preferences:
        """What `Prefer` says."""
        prefer = self.header(b"prefer")
        return _NO_PREFERENCES if prefer is None else preferences(prefer)

    def header(self, name: bytes) -> str | None:
        """A header as text."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    async def body(self) -> bytes:
        """The body, decompressed. Raises TooLarge, or UnsupportedMediaType for an unknown Content-Encoding."""
        return await read_body(self.headers, self.receive, self.bounds)

    async def resource(self, *, limit: int = RESOURCE_LIMIT) -> Any:
        """The resource in the body, of at most `limit` bytes. The Content-Type is looked at first."""
        format = sent_format(self.header(b"content-type"))
        return await formats.resource_of(self.context.services.definitions, await self.body(), format, limit=limit)


def answer_type(headers: Mapping[bytes, bytes], format: str | None) -> bytes:
    """The Content-Type to answer these headers with. Raises NotAcceptable."""
    header, sent = headers.get(b"accept"), headers.get(b"content-type")
    accept = None if header is None else header.decode("latin-1")
    if sent is None:
        return negotiate(accept, format)
    return negotiate(accept, format, sent_xml=media_type(sent.decode("latin-1"))[0] in XML_TYPES)


def request_id_of(headers: Mapping[bytes, bytes]) -> bytes | None:
    """The request id that the client gave, if it is one that may stand in a log."""
    sent = headers.get(b"x-request-id")
    return sent if sent is not None and _REQUEST_ID.fullmatch(sent) else None


def request_ids(process: bytes) -> Callable[[], bytes]:
    """The ids of requests that bring none: which process, and a count."""
    start = process.hex().encode()
    count = itertools.count(1)

    def request_id() -> bytes:
        return b"%b-%x" % (start, next(count))

    return request_id


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, bounds: BodyBounds) -> bytes:
    """Read a body within its bounds; compressed ones are inflated as they come and never past the bound."""
    inflate = _inflater(headers.get(b"content-encoding"), bounds)
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and (len(declared) > _LENGTH_DIGITS or int(declared) > bounds.size):
        raise _too_large(bounds)
    try:
        async with asyncio.timeout(bounds.seconds):
            return await _read(receive, inflate, bounds)
    except TimeoutError:
        raise BadRequest(f"The body did not arrive within {bounds.seconds} seconds.", code="timeout") from None


async def _read(receive: Receive, inflate: _Inflater | None, bounds: BodyBounds) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        chunk = message.get("body", b"")
        if inflate is not None:
            chunk = inflate.more(chunk)
        size += len(chunk)
        if size > bounds.size:
            raise _too_large(bounds)
        parts.append(chunk)
        if not message.get("more_body", False):
            if inflate is not None:
                inflate.check_whole()
            return b"".join(parts)


class _Inflater:
    """Decompression that stops at the bounds instead of filling the memory."""

    def __init__(self, window_bits: int, bounds: BodyBounds) -> None:
        self._inner = zlib.decompressobj(window_bits)
        self._bounds = bounds
        self._taken = 0
        self._given = 0

    def more(self, chunk: bytes) -> bytes:
        self._taken += len(chunk)
        room = self._bounds.size - self._given + 1
        try:
            inflated = self._inner.decompress(chunk, room)
        except zlib.error:
            raise BadRequest("The body is not what Content-Encoding says.") from None
        self._given += len(inflated)
        if self._given > max(_RATIO_FLOOR, self._taken * self._bounds.ratio):
            raise TooLarge(f"The body grows more than {self._bounds.ratio} times when it is decompressed.")
        if self._inner.unconsumed_tail:
            raise _too_large(self._bounds)
        return inflated

    def check_whole(self) -> None:
        if (self._taken and not self._inner.eof) or self._inner.unused_data:
            raise BadRequest("The compressed body ends too early, or something follows it.")


def _inflater(encoding: bytes | None, bounds: BodyBounds) -> _Inflater | None:
    name = "identity" if encoding is None else encoding.decode("latin-1").strip().lower()
    if name in ("", "identity"):
        return None
    if name not in _WINDOW_BITS:
        raise UnsupportedMediaType("Content-Encoding can be gzip, deflate or identity.")
    return _Inflater(_WINDOW_BITS[name], bounds)


def _too_large(bounds: BodyBounds) -> TooLarge:
    return TooLarge(f"The body is larger than {bounds.size} bytes; send less at a time.")
