"""The entries of a Bundle of requests, each read like a request of its own.

https://hl7.org/fhir/R4/bundle.html#bundle-unique and https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import format_datetime
from typing import Any, Final

from msgspec import Struct

from fhirserver.access.principal import allows
from fhirserver.interactions.context import Context
from fhirserver.interactions.writing.candidate import resource_of
from fhirserver.model.dates import interval, moment
from fhirserver.model.json import dump
from fhirserver.model.outcome import BadRequest, FhirError, Forbidden, Issue, MethodNotAllowed, TooLarge
from fhirserver.model.resource import Resource
from fhirserver.rest.address import Address, Addresses, IllegalId, addresses
from fhirserver.rest.interactions.route import Route, Routes
from fhirserver.rest.messages.request import Request
from fhirserver.rest.representation.negotiate import DEFAULT
from fhirserver.store.pace import beside
from fhirserver.validation import error_for

URL_BOUND: Final = 8_000

_BARE: Final = 200
"""Bytes of an entry without its resource, about."""
_TYPES: Final = ("batch", "transaction")
_PLACE = re.compile(r"Bundle\.entry\[(\d+)\]")
_TOKEN: Final = re.compile(r"\S+").fullmatch
_PLAIN: Final = frozenset(("resourceType", "type", "entry"))
_PLAIN_ENTRY: Final = frozenset(("fullUrl", "resource", "request"))
_PLAIN_REQUEST: Final = frozenset(("method", "url", "ifNoneExist", "ifMatch", "ifNoneMatch"))
_VERBS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"))
_JSON: Final = {b"accept": b"application/fhir+json", b"content-type": b"application/fhir+json"}
_HEADERS: Final = {"ifNoneMatch": b"if-none-match", "ifMatch": b"if-match", "ifNoneExist": b"if-none-exist"}


@dataclass(slots=True)
class EntryRequest(Request):
    """An entry as a request: its resource is parsed already, or its content is at hand."""

    sent: Any = None
    content: bytes | None = None

    def content_type(self) -> bytes:
        """JSON: it becomes a part of the Bundle, which then has the form that was asked for."""
        return DEFAULT

    async def body(self) -> bytes:
        """The content of the entry."""
        if self.content is not None:
            return self.content
        return b"" if self.sent is None else dump(self.sent)

    async def resource(self, *, limit: int = 0) -> Any:
        """The resource of the entry."""
        if self.sent is None:
            raise BadRequest("The entry has no resource; this interaction needs one.", code="required")
        return self.sent


class Sent(Struct, frozen=True):
    """One entry that can be carried out: the request it is, and the route that it takes."""

    index: int
    method: str
    full_url: str | None
    request: EntryRequest
    route: Route


@dataclass(frozen=True, slots=True)
class Requests:
    """A Bundle of requests: those that can be read, and the refusals of the others by their number.

    `malformed` are those that are wrong as entries of a Bundle: their issues speak of places in it.
    """

    type: str
    count: int
    entries: Sequence[Sent]
    refused: Mapping[int, FhirError]
    malformed: frozenset[int]


async def read_bundle(request: Request, body: Any, routes: Routes) -> Requests:
    """Read the Bundle. Raises what refuses all of it; what refuses one entry is in the answer."""
    bundle = resource_of(body, "Bundle")
    type, entries = bundle.get("type"), bundle.get("entry", [])
    if type not in _TYPES:
        raise BadRequest("A Bundle that is posted here is a batch or a transaction.", expression="Bundle.type")
    bound = request.bounds.entries
    if isinstance(entries, list) and len(entries) > bound:
        raise TooLarge(f"The Bundle has more than {bound} entries; send fewer at a time.")
    refused = await _faults(request.context, bundle)
    malformed = frozenset(refused)
    reader = _Reader(request, routes)
    sent: list[Sent] = []
    for index, entry in enumerate(entries):
        if index in refused:
            continue
        await request.context.pace.step()
        try:
            sent.append(reader.entry(index, entry))
        except FhirError as error:
            refused[index] = error
    return Requests(type, len(entries), sent, refused, malformed)


async def _faults(context: Context, bundle: Resource) -> dict[int, FhirError]:
    """What is wrong with the Bundle itself, its resources apart. Raises what is wrong outside of the entries."""
    entries = bundle.get("entry")
    if _is_plain(bundle):
        return {}
    if isinstance(entries, list):
        bare = [
            {k: v for k, v in each.items() if k != "resource"} if isinstance(each, dict) else each for each in entries
        ]
        bundle = {**bundle, "entry": bare}
    by_entry: defaultdict[int, list[Issue]] = defaultdict(list)
    others: list[Issue] = []
    size = len(bundle["entry"]) * _BARE if isinstance(entries, list) else 0
    validator = context.services.validator
    for issue in await beside(size, lambda: validator.validate(bundle, resource_type="Bundle")):
        found = _PLACE.match(issue.expression or "")
        (by_entry[int(found[1])] if found else others).append(issue)
    error = error_for(others)
    if error is not None:
        raise error
    errors = ((index, error_for(issues)) for index, issues in by_entry.items())
    return {index: each for index, each in errors if each is not None}


def _is_plain(bundle: Resource) -> bool:
    """Whether this is surely a Bundle of well-formed requests, as most are: the validator need not look at it."""
    if not bundle.keys() <= _PLAIN:
        return False
    entries = bundle.get("entry")
    if type(entries) is not list or not entries:
        return False
    named: set[str] = set()
    for entry in entries:
        if type(entry) is not dict or not entry.keys() <= _PLAIN_ENTRY:
            return False
        asked = entry.get("request")
        if type(asked) is not dict or not asked.keys() <= _PLAIN_REQUEST or not all(map(_is_text, asked.values())):
            return False
        if asked.get("method") not in _VERBS or not _TOKEN(asked.get("url", "")):
            return False
        if "fullUrl" in entry:
            full_url = entry["fullUrl"]
            if not _is_text(full_url) or not _TOKEN(full_url) or "/_history/" in full_url or full_url in named:
                return False
            named.add(full_url)
    return True


def _is_text(value: Any) -> bool:
    return type(value) is str and value != "" and value.isprintable() and not value.isspace()


class _Reader:
    """Reads entries, with what they have in common."""

    def __init__(self, request: Request, routes: Routes) -> None:
        self._request = request
        self._routes = routes
        self._addresses: Addresses = addresses(request.context.services.definitions)
        prefer = request.headers.get(b"prefer")
        self._headers = _JSON if prefer is None else {**_JSON, b"prefer": prefer}

    def entry(self, index: int, entry: Mapping[str, Any]) -> Sent:
        outer, asked = self._request, entry.get("request")
        if not isinstance(asked, Mapping):
            raise BadRequest("The entry has no request: method and url are needed.", code="required")
        method, resource = asked["method"], entry.get("resource")
        try:
            address, query = self._address(asked["url"])
        except IllegalId as illegal:
            raise illegal.to(method) from None
        headers = {**self._headers, **_conditions(asked)}
        read_as = "GET" if method == "HEAD" else method
        methods = self._routes.get(address.kind, {})
        if (route := methods.get(read_as)) is None:
            raise MethodNotAllowed(allow=tuple(methods))
        is_looked_at = read_as != "GET" and not route.by_itself
        if is_looked_at and not allows(outer.context.principal, address.resource_type, route.interaction):
            raise Forbidden(scope=True)
        if resource is None and route.by_itself:
            del headers[b"content-type"]  # an operation can do without parameters
        content = None
        if method == "PATCH":
            headers[b"content-type"], content = _patch(resource)
        request = EntryRequest(
            read_as,
            address,
            headers,
            query,
            outer.receive,
            outer.bounds,
            outer.context,
            outer.statement,
            sent=resource,
            content=content,
        )
        return Sent(index, method, entry.get("fullUrl"), request, route)

    def _address(self, url: str) -> tuple[Address, bytes]:
        """The address, relative to the base or absolute on it (under any name by which this request came), and its query."""
        if len(url) > URL_BOUND:
            raise BadRequest(f"The address is longer than {URL_BOUND} characters.", code="too-long")
        path, _, query = url.partition("?")
        _, scheme, rest = path.partition("://")
        if scheme:
            path = self._on_this_server(rest)
        address = self._addresses.parse(f"/fhir/{path.removeprefix('/')}".encode())
        return address, query.encode()

    def _on_this_server(self, rest: str) -> str:
        """What follows the base in an absolute address without its scheme."""
        host, _, root = self._request.context.services.base_url.partition("://")[2].partition("/")
        for name in (host, self._request.headers.get(b"host", b"").decode("latin-1")):
            own = f"{name}/{root}".lower()
            if rest.lower() == own or rest.lower().startswith(f"{own}/"):
                return rest[len(own) :]
        raise BadRequest("The address is not on this server.")


def _conditions(asked: Mapping[str, Any]) -> dict[bytes, bytes]:
    """The preconditions of an entry, as the headers that they stand for."""
    headers = {header: str(asked[name]).encode() for name, header in _HEADERS.items() if name in asked}
    if "ifModifiedSince" in asked:
        since = moment(interval(asked["ifModifiedSince"])[0])
        headers[b"if-modified-since"] = format_datetime(since, usegmt=True).encode()
    return headers


def _patch(resource: Any) -> tuple[bytes, bytes]:
    """The content type and the content of a patch, which comes as Parameters, or as a Binary."""
    if not isinstance(resource, dict) or resource.get("resourceType") not in ("Binary", "Parameters"):
        sentence = "A PATCH entry has a FHIRPath Patch as its resource, a Parameters, or a Binary with the patch."
        raise BadRequest(sentence, code="structure")
    if resource["resourceType"] == "Parameters":
        return _JSON[b"content-type"], dump(resource)
    type, data = resource.get("contentType"), resource.get("data")
    if not isinstance(type, str) or not isinstance(data, str):
        raise BadRequest("The Binary of a PATCH entry has a contentType and data.", code="required")
    try:
        return type.encode("latin-1", "replace"), base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest("The data of the Binary are not base64.") from None
