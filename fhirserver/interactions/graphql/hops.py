"""The hops of a query: each read and each search that it asks for, as an interaction of its own under a permit of its own.

Hops of one level begin in one turn, so that the reads among them are coalesced; what is read twice is read once. A target that is
hidden is one that is absent.

https://hl7.org/fhir/R4/graphql.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, TypeAlias

from fhirserver.interactions.context import Context
from fhirserver.interactions.graphql import fields
from fhirserver.interactions.graphql.budget import Budget
from fhirserver.interactions.reading.read import read
from fhirserver.interactions.reading.search import search_type
from fhirserver.interactions.reading.vread import vread
from fhirserver.model.json import dump
from fhirserver.model.outcome import BadRequest, FhirError, Gone, Issue, NotFound
from fhirserver.model.reference import Reference
from fhirserver.model.resource import Resource, Version
from fhirserver.search.query.pairs import Pair
from fhirserver.search.request import SearchRequest

SIDE_BY_SIDE: Final = 8
"""Searches of one query that are under way at once."""
FIRST: Final = "first"
"""The cursor of the first page."""

_HELD: Final = "resource"
_ASKED: Final = "request"
_CONTAINED: Final = "A contained resource is referred to only from where it is contained."
_SHORTENED: Final = Issue(
    "information",
    "incomplete",
    "There are more matches than were asked for ('_count'); a connection gives them page by page.",
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: in which resource, and how others refer to that; nobody refers to one that is contained."""

    resource: Resource
    reference: str | None = None


@dataclass(frozen=True)
class Held:
    """A stored resource, parsed when it is first looked at."""

    version: Version

    @cached_property
    def place(self) -> Place:
        """The resource, as the place of its elements."""
        return Place(self.version.parsed(), f"{self.version.resource_type}/{self.version.id}")


@dataclass(frozen=True, slots=True)
class Inside:
    """A resource inside another."""

    resource: Resource
    place: Place


Hop: TypeAlias = fields.Read | fields.Search | fields.Target | fields.Match | fields.Total
Found: TypeAlias = Held | Inside | Mapping[str, Any] | Sequence[Held] | int | None
Key: TypeAlias = tuple[str, str, str | None]


@dataclass(frozen=True, slots=True)
class Asked:
    """A hop that is asked for: with which arguments, of which object, at which place."""

    hop: Hop
    arguments: Mapping[str, Any]
    source: Mapping[str, Any]
    place: Place


@dataclass(slots=True)
class Hops:
    """The hops of one query."""

    context: Context
    budget: Budget
    _notices: dict[Issue, None] = field(default_factory=dict)
    _is_shortened: bool = False
    _read: dict[Key, asyncio.Task[Held | FhirError]] = field(default_factory=dict)
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(SIDE_BY_SIDE))

    async def all(self, asked: Iterable[Asked]) -> list[Found | FhirError]:
        """What each leads to, or why it leads nowhere. Raises Exhausted."""
        try:
            async with asyncio.TaskGroup() as group:
                begun = [self._begun(group, each) for each in asked]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None  # what is not an answer ends the whole query
        found = [_unwrapped(each) for each in begun]
        for each in found:
            if isinstance(each, FhirError) and each.status >= 500:
                raise each
            if isinstance(each, Sequence):
                self.budget.resource(len(each))
            elif isinstance(each, Mapping):
                self.budget.resource(len(each["edges"]))
        return found

    def said(self) -> tuple[Issue, ...]:
        """What is to be said of the searches, in an order that does not tell which of them was slow."""
        return (*self._notices, *((_SHORTENED,) if self._is_shortened else ()))

    async def one(self, resource_type: str, id: str) -> Place:
        """The resource that the query is asked of. Raises what its read raises."""
        self.budget.resource()
        return Held(await read(self.context, resource_type, id)).place

    def _begun(self, group: asyncio.TaskGroup, asked: Asked) -> asyncio.Task[Any] | Found | FhirError:
        match asked.hop:
            case fields.Match():
                found: Held = asked.source[_HELD]
                return found
            case fields.Read(resource_type):
                return self._reading(group, (resource_type, asked.arguments["id"], None))
            case fields.Target():
                try:
                    return self._target(group, asked)
                except NotFound as error:
                    return None if asked.arguments[fields.OPTIONAL] else error
            case fields.Total():
                self.budget.search()
                return group.create_task(self._counted(asked.source[_ASKED]))
            case fields.Search() as search:
                self.budget.search()
                return group.create_task(self._searched(search, asked))

    def _target(self, group: asyncio.TaskGroup, asked: Asked) -> asyncio.Task[Any] | Found:
        """The target of the reference. Raises NotFound for one that leads nowhere on this server."""
        text, wanted = asked.source.get("reference"), asked.arguments.get(fields.TYPE)
        if not isinstance(text, str):
            raise NotFound
        reference = Reference.parse(text, self.context.services.base_url)
        if reference.is_contained:
            return _contained(reference, asked.place, wanted)
        if reference.local is None or reference.type not in self.context.services.definitions.resource_types:
            raise NotFound
        if wanted not in (None, reference.type):
            return None
        key = (str(reference.type), str(reference.id), reference.version)
        task = self._reading(group, key)
        return group.create_task(_if_there(task)) if asked.arguments[fields.OPTIONAL] else task

    def _reading(self, group: asyncio.TaskGroup, key: Key) -> asyncio.Task[Held | FhirError]:
        found = self._read.get(key)
        if found is None:
            self.budget.resource()
            found = self._read[key] = group.create_task(self._held(key))
        return found

    async def _held(self, key: Key) -> Held | FhirError:
        resource_type, id, version = key
        try:
            if version is None:
                return Held(await read(self.context, resource_type, id))
            return Held(await vread(self.context, resource_type, id, version))
        except FhirError as error:
            return error

    async def _counted(self, request: SearchRequest) -> int | FhirError | None:
        try:
            async with self._room:
                found = await search_type(self.context, replace(request, summary_count=True), query=str)
        except FhirError as error:
            return error
        return found.page.total

    async def _searched(self, search: fields.Search, asked: Asked) -> Found | FhirError:
        try:
            cursor = asked.arguments.get(fields.CURSOR)
            request = self._request(search, asked)
            self._notices.update(dict.fromkeys(request.ignored))
            used = sorted(pair for pair in request.used if pair[0] != fields.COUNT)

            def query() -> str:
                return f"$graphql {search.resource_type} {dump(used).decode()}"

            async with self._room:
                found = await search_type(
                    self.context, request, query=query, cursor=None if cursor in (None, "", FIRST) else cursor
                )
        except FhirError as error:
            return error
        matches = [Held(version) for version in found.page.matches]
        if search.is_connection:
            return {
                _ASKED: request,
                "pagesize": request.count,
                "offset": 0 if cursor in (None, "", FIRST) else None,
                "first": FIRST,
                "previous": found.previous,
                "next": found.next,
                "edges": [{"mode": "match", _HELD: each} for each in matches],
            }
        if found.next is not None:
            self._is_shortened = True
        return matches

    def _request(self, search: fields.Search, asked: Asked) -> SearchRequest:
        pairs = [*_pairs(search, asked.arguments), *_back(search, asked)]
        return self.context.services.parse_search(search.resource_type, pairs)


async def _if_there(task: asyncio.Task[Held | FhirError]) -> Held | FhirError | None:
    found = await task
    return None if isinstance(found, NotFound | Gone) else found


def _unwrapped(task: asyncio.Task[Any] | Found | FhirError) -> Found | FhirError:
    found: Found | FhirError = task.result() if isinstance(task, asyncio.Task) else task
    return found


def _contained(reference: Reference, place: Place, wanted: str | None) -> Inside | None:
    """What a reference that begins with `#` points to: a resource that is contained, or the one that contains."""
    found = place.resource
    if reference.fragment:
        inside = (each for each in place.resource.get("contained", ()) if each.get("id") == reference.fragment)
        match = next(inside, None)
        if match is None:
            raise NotFound
        found = match
    if wanted not in (None, found["resourceType"]):
        return None
    return Inside(found, place)


def _pairs(search: fields.Search, arguments: Mapping[str, Any]) -> list[Pair]:
    """The arguments as search parameters; a list repeats its parameter."""
    found: list[Pair] = []
    for name, value in arguments.items():
        code = search.codes.get(name)
        if code is not None and value is not None:
            found += [(code, str(each)) for each in (value if isinstance(value, list) else [value])]
    return found


def _back(search: fields.Search, asked: Asked) -> list[Pair]:
    """The search parameter that points back to the resource in which the search stands."""
    if search.targets is None:
        return []
    name = asked.arguments[fields.REFERENCE].replace("-", "_")
    if asked.source["resourceType"] not in search.targets.get(name, ()):
        raise BadRequest(f"{search.resource_type} has no reference parameter '{name[:100]}' that points here.")
    if asked.place.reference is None or asked.source is not asked.place.resource:
        raise BadRequest(_CONTAINED)
    return [(search.codes[name], asked.place.reference)]
