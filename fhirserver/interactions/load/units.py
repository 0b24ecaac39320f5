"""What a text holds: resources to be put, each by itself or all or nothing, or entries that ask for more than that.

A Bundle of type `collection`, `searchset`, `batch` or `transaction` is its entries; of any other type it is a resource itself. What
has no id gets one that follows from the file's content and the place, so that the same content loaded twice is there once.

https://hl7.org/fhir/R4/bundle.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from fhirserver.definitions import Definitions
from fhirserver.interactions.bundles import Entry
from fhirserver.interactions.bundles.criteria import conditional_reference
from fhirserver.interactions.bundles.links import Links, conditional_references, link_key
from fhirserver.interactions.load.sources import FILE_LIMIT, Text
from fhirserver.interactions.writing.candidate import identified
from fhirserver.model.elements import Elements, Texts
from fhirserver.model.json import RESOURCE_LIMIT, dump, parse
from fhirserver.model.outcome import BadRequest, FhirError, NotSupported
from fhirserver.model.resource import Resource
from fhirserver.search.query.pairs import parse_query

UNPACKED: Final = frozenset(("collection", "searchset", "batch", "transaction"))
_TAG = re.compile(r'(?:W/)?"([^"]*)"')
_ADDRESS = re.compile(r"([A-Z][A-Za-z]{1,63})(?:/([A-Za-z0-9\-.]{1,64}))?(?:\?(.*))?", re.DOTALL)
_METHODS: Final = ("POST", "PUT", "DELETE")


class Candidate(Struct, frozen=True):
    """A resource, under its id, as it is to be. `is_new`: the id is of our making. `texts`: of its elements, where they are at hand."""

    entry: int | None
    resource: Resource
    is_new: bool = False
    texts: Texts | None = None


class Unit(Struct, frozen=True):
    """What one text asks for. With `whole`, it happens all or not at all. `entries` are those that are more than a put.

    `refusals` are entries that cannot be read, by number. `bundle` is the transaction as it was sent.
    """

    number: int
    end: int
    whole: bool = False
    candidates: tuple[Candidate, ...] = ()
    entries: tuple[tuple[int, Entry], ...] = ()
    refusals: tuple[tuple[int | None, FhirError], ...] = ()
    bundle: Resource | None = None

    @property
    def size(self) -> int:
        """How many resources it is about."""
        return len(self.candidates) + len(self.entries) + len(self.refusals)


class Units:
    """Reads the texts of one file, by `elements` where what comes again is to be known."""

    def __init__(self, definitions: Definitions, base_url: str, digest: str, elements: Elements | None = None) -> None:
        self._elements = elements
        self._definitions = definitions
        self._base_url = base_url
        self._digest = int(digest[:15], 16)

    def of(self, text: Text) -> Unit:
        """What this text asks for."""
        try:
            if text.error is not None:
                raise text.error
            value, texts = self._read(text.data)
            if not isinstance(value, dict) or not isinstance(value.get("resourceType"), str):
                raise BadRequest(
                    "This is not a resource: a JSON object with a resourceType is needed.", code="structure"
                )
            if value["resourceType"] == "Bundle" and value.get("type") in UNPACKED:
                return self._bundle(text, value)
            candidate = self._candidate(text.number, None, value, texts)
            if b"?" in text.data and not _is_literal(value, self._base_url):
                return _alone(text, candidate)
            return Unit(text.number, text.end, candidates=(candidate,))
        except FhirError as error:
            return Unit(text.number, text.end, refusals=((None, error),))

    def _read(self, data: bytes) -> tuple[Any, Texts | None]:
        found = None if self._elements is None or len(data) > RESOURCE_LIMIT else self._elements.read(data)
        return (parse(data, limit=FILE_LIMIT), None) if found is None else found

    def new_id(self, number: int, entry: int | None) -> str:
        """The id of what has none: the file's digest and the place, in the form of a UUID of version 8."""
        place = (number << 24 | (0 if entry is None else entry + 1)) & ((1 << 62) - 1)
        whole = (self._digest >> 12) << 80 | 0x8 << 76 | (self._digest & 0xFFF) << 64 | 0b10 << 62 | place
        text = f"{whole:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def _candidate(self, number: int, entry: int | None, resource: Resource, texts: Texts | None = None) -> Candidate:
        if resource["resourceType"] not in self._definitions.resource_types:
            raise NotSupported("Resources of this type are not stored.")
        id = resource.get("id")
        is_new = id is None
        if is_new:
            id = self.new_id(number, entry)
        if not isinstance(id, str):
            raise BadRequest("The id is not a string.", expression=f"{resource['resourceType']}.id", code="structure")
        named = identified(resource, id)
        if texts is not None:
            texts.contents["id"] = id
            if (meta := named.get("meta")) is not resource.get("meta"):
                texts.contents["meta"] = dump(meta)
        return Candidate(entry, named, is_new, texts)

    def _bundle(self, text: Text, bundle: Resource) -> Unit:
        entries = bundle.get("entry", [])
        if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
            raise BadRequest("The entries are not a list of objects.", expression="Bundle.entry", code="structure")
        if bundle["type"] in ("collection", "searchset"):
            return self._contents(text, entries)
        is_whole = bundle["type"] == "transaction"
        candidates: list[Candidate] = []
        asked: list[tuple[int, Entry]] = []
        refusals: list[tuple[int | None, FhirError]] = []
        for index, each in enumerate(entries):
            try:
                entry = self._entry(each)
                if _is_plain(entry, self._base_url):
                    candidates.append(self._plain(text.number, index, entry))
                asked.append((index, entry))
            except FhirError as error:
                refusals.append((index, error))
        if is_whole and refusals:
            return Unit(text.number, text.end, True, (), tuple(asked), tuple(refusals), bundle)
        if is_whole and (len(candidates) < len(asked) or _meet(candidates)):
            return Unit(text.number, text.end, True, (), tuple(asked), (), bundle)
        if is_whole:
            candidates = self._linked(candidates, entries)
            return Unit(text.number, text.end, True, tuple(candidates), (), (), bundle)
        plain = {each.entry for each in candidates}
        rest = tuple((index, entry) for index, entry in asked if index not in plain)
        return Unit(text.number, text.end, False, tuple(candidates), rest, tuple(refusals), bundle)

    def _contents(self, text: Text, entries: Sequence[dict[str, Any]]) -> Unit:
        candidates: list[Candidate] = []
        refusals: list[tuple[int | None, FhirError]] = []
        for index, each in enumerate(entries):
            resource, search = each.get("resource"), each.get("search")
            if isinstance(search, dict) and search.get("mode") == "outcome":
                continue
            if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
                refusals.append((index, BadRequest("The entry holds no resource.", code="structure")))
                continue
            try:
                candidates.append(self._candidate(text.number, index, resource))
            except FhirError as error:
                refusals.append((index, error))
        linked = self._linked(candidates, entries)
        return Unit(text.number, text.end, False, tuple(linked), (), tuple(refusals))

    def _linked(self, candidates: Sequence[Candidate], entries: Sequence[dict[str, Any]]) -> list[Candidate]:
        """The candidates with links to each other by `fullUrl` rewritten to where they go."""
        urls = {each.entry: entries[each.entry or 0].get("fullUrl") for each in candidates}
        targets = {
            link_key(url, self._base_url): f"{each.resource['resourceType']}/{each.resource['id']}"
            for each in candidates
            if isinstance(url := urls[each.entry], str)
        }
        links = Links(self._definitions, self._base_url, targets, {})
        return [
            Candidate(each.entry, links.rewritten(each.resource, url if isinstance(url, str) else None), each.is_new)
            for each in candidates
            for url in (urls[each.entry],)
        ]

    def _entry(self, sent: dict[str, Any]) -> Entry:
        request = sent.get("request")
        if not isinstance(request, dict):
            raise BadRequest("The entry says no request.", code="required")
        method, url = request.get("method"), request.get("url")
        if method not in _METHODS:
            raise NotSupported("A load takes entries with POST, PUT and DELETE only. Send others to the server.")
        found = _ADDRESS.fullmatch(url.removeprefix(self._base_url + "/")) if isinstance(url, str) else None
        if found is None or found[1] not in self._definitions.resource_types:
            raise BadRequest("The url of the request is not that of a resource or a type.")
        resource_type, id, query = found.groups()
        named = (id is not None) + (query is not None)
        if named != (0 if method == "POST" else 1):
            raise BadRequest("The method and the url of the request do not go together.")
        exists, match, none = (request.get(name) for name in ("ifNoneExist", "ifMatch", "ifNoneMatch"))
        criteria = exists if method == "POST" else query
        body = sent.get("resource")
        if method != "DELETE" and (not isinstance(body, dict) or body.get("resourceType") != resource_type):
            raise BadRequest(f"The entry holds no {resource_type}.", code="structure")
        return Entry(
            method,
            resource_type,
            id,
            criteria=None if criteria is None else parse_query(str(criteria).lstrip("?").encode()),
            body=body,
            full_url=sent["fullUrl"] if isinstance(sent.get("fullUrl"), str) else None,
            if_match=None if match is None else tuple(_TAG.findall(str(match))),
            if_none_match_any=none is not None,
        )

    def _plain(self, number: int, index: int, entry: Entry) -> Candidate:
        if entry.method == "POST":
            return Candidate(index, identified(entry.body, self.new_id(number, index)), is_new=True)
        if entry.body.get("id") != entry.id:
            raise BadRequest("The id in the body is not the id in the url.", expression=f"{entry.resource_type}.id")
        return Candidate(index, identified(entry.body, entry.id or ""))


def _is_plain(entry: Entry, base_url: str) -> bool:
    """Whether the entry only puts a resource: no conditions, no references by criteria."""
    if entry.method == "DELETE" or entry.criteria is not None or entry.if_match is not None or entry.if_none_match_any:
        return False
    return _is_literal(entry.body, base_url)


def _is_literal(resource: Resource, base_url: str) -> bool:
    """Whether no reference in it is by criteria."""
    return not any(conditional_reference(text, base_url) for text in conditional_references(dump(resource)))


def _alone(text: Text, candidate: Candidate) -> Unit:
    """A resource with references by criteria, as a transaction of its own, which resolves them."""
    resource = candidate.resource
    resource_type, id = resource["resourceType"], resource["id"]
    put = {"resource": resource, "request": {"method": "PUT", "url": f"{resource_type}/{id}"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [put]}
    entry = Entry("PUT", resource_type, id, body=resource)
    return Unit(text.number, text.end, True, (), ((0, entry),), (), bundle)


def _meet(candidates: Sequence[Candidate]) -> bool:
    """Whether two of them are the same resource."""
    keys = {(each.resource["resourceType"], each.resource["id"]) for each in candidates}
    return len(keys) < len(candidates)
