"""The FHIR facade: the ASGI application of `/fhir`.

It writes ASGI messages itself: on the way of a read by id every layer between the socket and the interaction is paid thousands
of times a second.

https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter

from fhirserver.access.principal import allows
from fhirserver.interactions.context import Context, Services
from fhirserver.interactions.writing.patch import PATCH_TYPES
from fhirserver.model.outcome import FhirError, Forbidden, Issue, MethodNotAllowed, NotAcceptable
from fhirserver.rest.address import Address, Hosts, IllegalId, Kind, addresses
from fhirserver.rest.authenticate import Authenticate
from fhirserver.rest.cors import Cors, is_preflight
from fhirserver.rest.interactions.capabilities import capabilities
from fhirserver.rest.messages.errors import answer_to, unexpected
from fhirserver.rest.messages.parameters import form_of, parse_query
from fhirserver.rest.messages.request import BodyBounds, Disconnected, Request, Statement, answer_type, request_id_of
from fhirserver.rest.messages.responses import Answer, Header, Receive, Scope, Send, header_table, outcome, send_answer
from fhirserver.rest.operate.log import Log
from fhirserver.rest.operate.metrics import Metrics
from fhirserver.rest.representation.formats import shape
from fhirserver.rest.representation.negotiate import DEFAULT, is_pretty
from fhirserver.rest.routes import CAPABILITIES, OPTIONS, ROUTES, allowed

_WRITES = frozenset(("create", "update", "patch", "delete", "transaction"))


@dataclass(frozen=True, slots=True)
class Bounds:
    """What of a request is looked at, at most."""

    body: BodyBounds
    url: int


@dataclass(frozen=True, slots=True)
class Door:
    """What the facade is built from."""

    services: Callable[[], Services]
    authenticate: Authenticate
    hosts: Hosts
    bounds: Bounds
    statement: Statement
    new_request_id: Callable[[], bytes]
    clock: Callable[[], datetime]
    metrics: Metrics
    log: Log
    cors: Cors


@dataclass(slots=True)
class _Exchange:
    """One request on its way: what is known of it when it ends, for the log and the figures."""

    method: str
    interaction: str = ""
    address: Address | None = None
    pretty: bool = False
    request: Request | None = None

    @property
    def performed(self) -> str:
        """The interaction as it is told of: of a Bundle that is posted its type says which."""
        return (self.request.interaction if self.request is not None else "") or self.interaction


class Facade:
    """ASGI: every request to `/fhir`, answered with a FHIR answer whatever happens."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._parse = addresses(door.services().definitions).parse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        door = self._door
        started = perf_counter()
        headers = header_table(scope["headers"])
        request_id = request_id_of(headers) or door.new_request_id()
        method: str = scope["method"]
        exchange = _Exchange(method)
        try:
            answer = await self._answer(scope, receive, headers, request_id, exchange)
            if answer.content_type is not DEFAULT or answer.is_pretty or exchange.pretty:
                await self._shape(answer, exchange)
        except FhirError as error:
            answer = answer_to(error, allow=_others(exchange))
            if answer.status >= 500:
                door.log.fault(request_id, exchange.performed, error)
        except Disconnected:
            return
        except Exception as error:
            answer = unexpected()
            door.log.fault(request_id, exchange.performed, error)
        if answer.status >= 400:
            await self._shape_refusal(answer, headers, scope["query_string"], exchange)
        if b"origin" in headers:
            answer.headers.extend(self._read_by_pages(headers, exchange))
        await send_answer(answer, request_id, door.clock(), head=method == "HEAD", send=send)
        resource_type = "" if exchange.address is None else exchange.address.resource_type
        elapsed = perf_counter() - started
        door.metrics.observe(exchange.performed, resource_type, answer.status, elapsed)
        door.log.request(request_id, method, exchange.performed, resource_type, answer.status, elapsed)

    async def _answer(
        self, scope: Scope, receive: Receive, headers: Mapping[bytes, bytes], request_id: bytes, exchange: _Exchange
    ) -> Answer:
        door = self._door
        door.hosts.check(headers.get(b"host"))
        raw_path, query = scope["raw_path"], scope["query_string"]
        if len(raw_path) + len(query) > door.bounds.url:
            return _too_long(door.bounds.url)
        try:
            address = exchange.address = self._parse(raw_path)
        except IllegalId as illegal:
            raise illegal.to(exchange.method) from None
        if b"_pretty" in query:
            exchange.pretty = is_pretty(form_of(parse_query(query), "_pretty"))
        method = exchange.method if exchange.method != "HEAD" else "GET"
        route = ROUTES[address.kind].get(method)
        if route is None:
            return await self._without_principal(address, method, headers, query, exchange)
        exchange.interaction = route.interaction
        principal = await door.authenticate(headers)
        # Before the body is read: who may not write this type has no business to send one.
        if method != "GET" and not route.by_itself and not allows(principal, address.resource_type, route.interaction):
            raise Forbidden(scope=True)
        context = Context(door.services(), principal, request_id.decode("ascii"))
        request = exchange.request = Request(
            method, address, headers, query, receive, door.bounds.body, context, door.statement
        )
        answer = await route.handle(request)
        for fault in request.faults:
            door.log.fault(request_id, exchange.performed, fault)
        return answer

    async def _without_principal(
        self, address: Address, method: str, headers: Mapping[bytes, bytes], query: bytes, exchange: _Exchange
    ) -> Answer:
        """The statement of capabilities, and what the table has no interaction for."""
        asks_for_statement = (address.kind, method) in ((Kind.METADATA, "GET"), (Kind.SYSTEM, OPTIONS))
        if asks_for_statement and not (method == OPTIONS and is_preflight(headers)):
            exchange.interaction = CAPABILITIES
            pairs = parse_query(query)
            content_type = answer_type(headers, form_of(pairs, "_format"))
            return await capabilities(self._door.statement, pairs, content_type)
        if method == OPTIONS:
            methods = allowed(address.kind)
            patches = [(b"accept-patch", ", ".join(PATCH_TYPES).encode())] if "PATCH" in methods else []
            return Answer(204, headers=[(b"allow", ", ".join(methods).encode()), *patches])
        raise MethodNotAllowed(allow=allowed(address.kind))

    def _read_by_pages(self, headers: Mapping[bytes, bytes], exchange: _Exchange) -> tuple[Header, ...]:
        """Which pages may read the answer."""
        kind = None if exchange.address is None else exchange.address.kind
        methods = () if kind is None else allowed(kind)
        return self._door.cors.headers(headers, methods, is_public=kind is Kind.METADATA)

    async def _shape(self, answer: Answer, exchange: _Exchange) -> None:
        """Give the answer the form that was asked for."""
        try:
            await shape(answer, self._door.services().definitions, pretty=answer.is_pretty or exchange.pretty)
        except NotAcceptable:
            if exchange.interaction not in _WRITES:
                raise
            answer.content_type = DEFAULT  # what is written is written: it cannot be refused any more

    async def _shape_refusal(
        self, answer: Answer, headers: Mapping[bytes, bytes], query: bytes, exchange: _Exchange
    ) -> None:
        """A refusal has the form that was asked for as well, and JSON where that cannot be known or had."""
        format = None if exchange.request is None else exchange.request.format
        with suppress(FhirError):
            format = format or form_of(parse_query(query), "_format")
        answer.content_type = DEFAULT
        with suppress(FhirError):
            answer.content_type = answer_type(headers, format)
        try:
            await shape(answer, self._door.services().definitions, pretty=exchange.pretty)
        except NotAcceptable:
            answer.content_type = DEFAULT


def _others(exchange: _Exchange) -> tuple[str, ...]:
    """The methods of this address but the one that was refused."""
    if exchange.address is None:
        return ()
    return tuple(name for name in allowed(exchange.address.kind) if name != exchange.method)


def _too_long(bound: int) -> Answer:
    sentence = f"The address is longer than {bound} bytes; searches can be posted to _search."
    return outcome(414, Issue("error", "too-long", sentence))
