"""HTTP/1.1 below ASGI: uvicorn's protocol, with addresses in plain UTF-8 taken, and refusals that a FHIR client can read.

Scripts send `name=Иванов` as it is. The parser knows ASCII addresses alone, so each other byte of a request line is
percent-encoded before it comes there. What is no HTTP never reaches the application and is answered here.

https://www.rfc-editor.org/rfc/rfc9112#section-3 and https://hl7.org/fhir/R4/http.html#Status-Codes
"""

from __future__ import annotations

import asyncio
import re
import sys
from http import HTTPStatus
from typing import Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from fhirserver.model.outcome import Issue
from fhirserver.rest.messages.responses import EVERY_ANSWER, Answer, outcome

LINE: Final = 64 * 1024
"""Bytes of a request line that are waited for. What an address may have is less, and is said by the facade."""
HEADERS: Final = 64 * 1024
"""Bytes of the headers of one request."""
LINGER: Final = 2.0
"""Seconds that a client has to read why it was refused; what it sends meanwhile is passed over."""

_BLANK: Final = re.compile(rb"[\r\n]*")
_BEYOND_ASCII: Final = re.compile(rb"[\x80-\xff]")
_MALFORMED: Final = "The request is not well-formed HTTP/1.1: look at its first line and its headers."
_METHOD: Final = "The method is none that this server knows."
_TOO_LARGE: Final = f"The headers are longer than {HEADERS} bytes."


class Protocol(HttpToolsProtocol):
    """One connection."""

    transport: asyncio.Transport
    _within = False
    """Whether the parser is inside a message: only between two of them do bytes begin with a request line."""
    _in_head = True
    _held = b""
    _size = 0
    """Bytes of the headers that are known."""
    _pending = 0
    """Bytes that came before the headers were whole."""
    _is_refused = False
    """Whether nothing more is read, since it could not be."""
    _closing: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Bytes of the client."""
        data, self._held = self._held + data, b""
        is_plain, start = data.isascii(), 0
        while start < len(data) and not self._is_refused:
            end = len(data)
            if self._within:
                self._take(data[start:])
                return
            start = _BLANK.match(data, start).end()  # type: ignore[union-attr]  # it matches nothing as well
            line = data.find(b"\n", start)
            if line < 0 and end - start < LINE:
                self._unset_keepalive_if_required()
                self._held = data[start:]
                return
            if is_plain or line < 0:
                self._take(data[start:])
                return
            # Where this head ends, another request may begin that is sent ahead of the answer.
            if (found := data.find(b"\r\n\r\n", start)) >= 0:
                end = found + len(b"\r\n\r\n")
            self._take(encoded(data[start:line]) + data[line:end])
            start = end

    def _take(self, data: bytes) -> None:
        self._pending += len(data)
        super().data_received(data)
        if self._in_head and self._within and self._pending > LINE + HEADERS:
            self._refuse(_too_large())

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        if self._closing is not None:
            self._closing.cancel()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._within = self._in_head = True
        self._size = self._pending = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header of it."""
        self._size += len(name) + len(value)
        if self._size > HEADERS:
            raise _TooLarge
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The address and the headers of it are whole."""
        self._in_head = False
        super().on_headers_complete()
        if self.cycle is not None:
            self.cycle.default_headers = []  # `Date` is said by who answers, when it answers

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._within = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, and end the connection."""
        self._refuse(_refusal(sys.exc_info()[1]))

    def _refuse(self, answer: Answer) -> None:
        if self.transport.is_closing() or self._is_refused:
            return
        self._is_refused = True
        if self._answers_another():
            self.cycle.keep_alive = False  # that answer goes out whole, and is the last one
            return
        lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}".encode()]
        own = [(b"content-type", answer.content_type), (b"content-length", b"%d" % len(answer.body))]
        headers = [*self.server_state.default_headers, *EVERY_ANSWER, *own, (b"connection", b"close")]
        lines += [b"%b: %b" % header for header in headers]
        self.transport.write(b"\r\n".join((*lines, b"", answer.body)))
        # Closed at once, what the client still sends would be answered with a reset, which takes the refusal away from it.
        self.transport.write_eof()
        self._closing = self.loop.call_later(LINGER, self.transport.close)

    def _answers_another(self) -> bool:
        """Whether what cannot be read stands behind a request that is being answered."""
        cycle: RequestResponseCycle | None = self.cycle
        is_behind = self._in_head or not self._within
        return is_behind and cycle is not None and not cycle.response_complete


class _TooLarge(Exception):
    """The headers pass their bound."""


def encoded(line: bytes) -> bytes:
    """A request line with what is not ASCII in it percent-encoded, byte by byte."""
    return _BEYOND_ASCII.sub(lambda found: b"%%%02X" % found[0][0], line)


def _refusal(error: BaseException | None) -> Answer:
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return outcome(501, Issue("error", "not-supported", _METHOD))
    if isinstance(error, httptools.HttpParserCallbackError) and isinstance(error.__context__, _TooLarge):
        return _too_large()
    return outcome(400, Issue("error", "structure", _MALFORMED))


def _too_large() -> Answer:
    return outcome(431, Issue("error", "too-long", _TOO_LARGE))
