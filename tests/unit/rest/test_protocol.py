"""HTTP below ASGI: which bytes become which address, and what is answered to what is no HTTP.

https://www.rfc-editor.org/rfc/rfc9112 and https://hl7.org/fhir/R4/http.html#Status-Codes
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest
import uvicorn
from uvicorn.server import ServerState

from fhirserver.rest import protocol
from fhirserver.rest.messages.responses import Message, Receive, Scope, Send
from fhirserver.rest.protocol import HEADERS, LINE, Protocol, encoded

HOST = b"Host: a\r\n"
UTF_8 = "GET /fhir/Patient?name=Иванов&_count=1 HTTP/1.1\r\n".encode()
ENCODED = b"name=%D0%98%D0%B2%D0%B0%D0%BD%D0%BE%D0%B2&_count=1"


class Wire(asyncio.Transport):
    """What the protocol writes to."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = self.ended = False

    def write_eof(self) -> None:
        self.ended = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def answer(self) -> tuple[int, dict[str, str], Any]:
        """The last answer: its status, its headers, its body."""
        head, _, body = self.written.rpartition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        return int(status.split()[1]), headers, json.loads(body)


class Connection:
    """One connection, and what came through it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bytes, bytes, bytes]] = []
        self.wire = Wire()
        config = uvicorn.Config(
            cast("Any", self._app), http=Protocol, interface="asgi3", proxy_headers=False, log_config=None
        )
        config.load()
        self.protocol = Protocol(config, ServerState(), {})
        self.protocol.connection_made(self.wire)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message: Message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.seen.append((scope["method"], scope["raw_path"], scope["query_string"], body))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def takes(self, *parts: bytes) -> list[tuple[str, bytes, bytes, bytes]]:
        """Send these bytes, one part after the other."""
        for part in parts:
            if not self.wire.closed:
                self.protocol.data_received(part)  # after the end as well: a client goes on until it has read it
            for _ in range(8):  # the application answers in a task of its own
                await asyncio.sleep(0)
        self.protocol.connection_lost(None)
        return self.seen


async def test_an_address_in_plain_utf_8_is_taken() -> None:
    """RFC 3986 has each such byte percent-encoded; curl does not."""
    assert await Connection().takes(UTF_8 + HOST + b"\r\n") == [("GET", b"/fhir/Patient", ENCODED, b"")]


@pytest.mark.parametrize("at", [1, 3, 20, 24, 25, 40, len(UTF_8) - 1, len(UTF_8), len(UTF_8) + 3])
async def test_an_address_may_come_in_parts(at: int) -> None:
    whole = UTF_8 + HOST + b"\r\n"
    assert await Connection().takes(whole[:at], whole[at:]) == [("GET", b"/fhir/Patient", ENCODED, b"")]


async def test_bodies_and_headers_keep_their_bytes() -> None:
    body = "Иванов\nПётр\n".encode()
    head = b"POST /fhir/Patient HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(body)
    sent = [("POST", b"/fhir/Patient", b"", body)]
    assert await Connection().takes(head + body) == sent
    assert await Connection().takes(head, body) == sent
    assert await Connection().takes(head + body[:3], body[3:]) == sent


async def test_the_next_request_of_a_connection_is_read_like_the_first() -> None:
    body = "Б\n".encode()
    first = b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\n" + body
    seen = await Connection().takes(first, UTF_8 + HOST + b"\r\n", first)
    assert [each[0] for each in seen] == ["POST", "GET", "POST"]
    assert seen[1][2] == ENCODED
    assert seen[2][3] == body


async def test_a_request_sent_ahead_keeps_the_bytes_of_its_body() -> None:
    """A second request that began in the bytes of the first is the parser's alone."""
    body = "Жук\n".encode()
    first = b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n"
    second = b"POST /b HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(body)
    assert (await Connection().takes(first + second, body))[1][3] == body
    assert (await Connection().takes(first + second[:9], second[9:] + body))[1][3] == body


@pytest.mark.parametrize("between", [b"", b"\r\n"])
async def test_addresses_of_requests_sent_ahead_are_taken_in_plain_utf_8_too(between: bytes) -> None:
    """Those behind a body of the same bytes are not: where it ends the parser alone knows."""
    plain = b"GET /a HTTP/1.1\r\n\r\n"
    requests = (UTF_8 + HOST + b"\r\n", plain, UTF_8 + b"\r\n", UTF_8 + HOST + b"\r\n")
    whole = between.join(requests)
    for parts in ((whole,), (whole[:-40], whole[-40:]), tuple(bytes((each,)) for each in whole)):
        seen = await Connection().takes(*parts)
        assert [each[2] for each in seen] == [ENCODED, b"", ENCODED, ENCODED]


async def test_what_cannot_be_read_takes_no_answer_from_the_request_before_it() -> None:
    connection = Connection()
    assert len(await connection.takes(b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n" + b"garbage\r\n\r\n", b"GET /b")) == 1
    assert connection.wire.written.startswith(b"HTTP/1.1 204")
    assert connection.wire.written.count(b"HTTP/1.1") == 1
    assert connection.wire.closed


REFUSED = {
    "a word": (b"garbage\r\n\r\n", 501, "not-supported"),
    "a method that nobody knows": (b"FOO /fhir/Patient HTTP/1.1\r\n" + HOST + b"\r\n", 501, "not-supported"),
    "a blank in the address": (b"GET /fhir/Patient?name=a b HTTP/1.1\r\n" + HOST + b"\r\n", 400, "structure"),
    "a header without a name": (b"GET /fhir HTTP/1.1\r\n: x\r\n\r\n", 400, "structure"),
    "two lengths": (b"POST /a HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "structure"),
    "a length that is none": (b"POST /a HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400, "structure"),
    "large headers": (b"GET /fhir HTTP/1.1\r\nX: " + b"a" * HEADERS + b"\r\n\r\n", 431, "too-long"),
    "headers without an end": (b"GET /fhir HTTP/1.1\r\nX: " + b"a" * (LINE + HEADERS + 30), 431, "too-long"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_no_http_gets_an_operation_outcome(name: str) -> None:
    sent, status, code = REFUSED[name]
    connection = Connection()
    assert await connection.takes(sent[:30], sent[30:]) == []
    answered, headers, outcome = connection.wire.answer()
    assert answered == status
    assert headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert headers["connection"] == "close"
    assert headers["cache-control"] == "no-store"
    assert (outcome["resourceType"], outcome["issue"][0]["code"]) == ("OperationOutcome", code)
    assert connection.wire.written.count(b"connection: close") == 1
    assert connection.wire.ended


async def test_a_line_without_an_end_is_not_kept_forever() -> None:
    connection = Connection()
    await connection.takes(b"GET /", *[b"a" * LINE] * 8)
    assert connection.wire.ended


async def test_who_is_refused_has_a_while_to_read_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 9112 9.6: a connection that is closed while its client sends is reset, and the refusal is lost with it."""
    monkeypatch.setattr(protocol, "LINGER", 0)
    connection = Connection()
    wire = connection.wire
    closed = asyncio.get_running_loop().create_future()
    monkeypatch.setattr(wire, "close", lambda: closed.set_result(None))
    connection.protocol.data_received(b"garbage\r\n\r\n")
    assert wire.ended
    connection.protocol.data_received(b"GET /fhir HTTP/1.1\r\n\r\n")
    await closed
    assert connection.seen == []


def test_only_what_is_not_ascii_is_encoded() -> None:
    assert encoded(b"GET /a%20b?x=\xff|y HTTP/1.1") == b"GET /a%20b?x=%FF|y HTTP/1.1"
