"""Included resources: a query for each type, with that type's own permit, before any limit.

They come in rounds: the first starts from the matches, each further one, for what iterates, from what the last one brought. What
is there already is not brought again, so rounds end; that their number has a bound keeps a long row of links from being walked
one query a link. A round asks each type once, some types side by side, whatever the number of parameters; all rounds together
have the time of one query.

https://hl7.org/fhir/R4/search.html#revinclude
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from fhirserver.model.outcome import TooCostly
from fhirserver.model.resource import Version
from fhirserver.search.compile import compile as compile_filter
from fhirserver.search.expression import Expression, In, Nothing, all_of, any_of, one_of
from fhirserver.search.parameters.token import pair
from fhirserver.search.permit import Permit
from fhirserver.search.request import Include
from fhirserver.store.connection.client import Document, Mongo, Query
from fhirserver.store.history.versions import TEXT_FIELDS, as_version
from fhirserver.store.layout.indexes import BY_ID
from fhirserver.store.resources.paging import value_at

INCLUDED: Final = 1_000
IDS: Final = 5_000
"""Ids in one query."""
ROUNDS: Final = 10
"""How often what was included leads further."""
SIDE_BY_SIDE: Final = 6
"""Types that are asked at the same time."""

LIVE: Final = In("deleted", frozenset({False}))

_URL: Final = "index.url"
_VERSION: Final = "index.version"


def reference_paths(resource_type: str, includes: Sequence[Include]) -> list[str]:
    """Where a resource of this type holds what these includes follow, from it or to it."""
    forward = {f"index.{each.code}.r" for each in includes if not each.reverse and each.source_type == resource_type}
    named = any(each.reverse and resource_type in each.canonical for each in includes)
    return sorted(forward | ({_URL, _VERSION} if named else set()))


async def included(
    mongo: Mongo, resource_type: str, includes: Sequence[Include], rows: Sequence[Document], permit: Permit
) -> tuple[list[Version], bool]:
    """What the includes of these matches bring, no match among it, and whether a bound cut it short."""
    including = _Including(mongo, includes, permit)
    including.seen[resource_type].update(row["_id"] for row in rows)
    return await including.run({resource_type: rows})


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A query: the type, the condition, the index, and for what refers by URL the paths and the URLs with their versions."""

    resource_type: str
    expression: Expression
    hint: str | None
    by_url: tuple[tuple[str, frozenset[str]], ...] = ()

    def accepts(self, row: Document) -> bool:
        """Whether a row that refers to some version of a URL, or to a resource, refers to one of these."""
        return not self.by_url or any(_refers(row, path, targets) for path, targets in self.by_url)


def _refers(row: Document, path: str, targets: frozenset[str]) -> bool:
    references = value_at(row, path) or ()
    versioned = {each.partition("|")[0] for each in references if "|" in each}
    return any(each in targets for each in references if each not in versioned)


@dataclass(slots=True)
class _Including:
    """The rounds under way."""

    mongo: Mongo
    includes: Sequence[Include]
    permit: Permit
    seen: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    found: list[Version] = field(default_factory=list)
    _until: float = field(init=False)

    def __post_init__(self) -> None:
        self._until = asyncio.get_running_loop().time() + self.mongo.query_ms / 1_000

    async def run(self, rows: Mapping[str, Sequence[Document]]) -> tuple[list[Version], bool]:
        """Round by round, until nothing new comes."""
        includes = self.includes
        for _ in range(ROUNDS):
            new: defaultdict[str, list[Document]] = defaultdict(list)
            queries = list(_queries(includes, rows))
            for start in range(0, len(queries), SIDE_BY_SIDE):
                if not await self._take(queries[start : start + SIDE_BY_SIDE], new):
                    return self.found, True
            includes = [each for each in self.includes if each.iterate]
            if not includes or not new:
                return self.found, False
            rows = new
        return self.found, True

    async def _take(self, some: Sequence[_Wanted], new: defaultdict[str, list[Document]]) -> bool:
        """Ask these queries and keep what is new; False where a bound is reached."""
        left = int((self._until - asyncio.get_running_loop().time()) * 1_000)
        if left < 1:
            return False
        try:
            answers = await asyncio.gather(*(self._rows(wanted, left) for wanted in some))
        except TooCostly:
            return False
        for wanted, (rows, is_all) in zip(some, answers, strict=True):
            resource_type = wanted.resource_type
            for row in rows:
                if row["_id"] in self.seen[resource_type] or not wanted.accepts(row):
                    continue
                if len(self.found) == INCLUDED:
                    return False
                self.seen[resource_type].add(row["_id"])
                self.found.append(as_version(resource_type, row))
                new[resource_type].append(row)
            if not is_all:
                return False
        return True

    async def _rows(self, wanted: _Wanted, left: int) -> tuple[Sequence[Document], bool]:
        """What a query gives, as far as there is room, and whether it is all."""
        resource_type = wanted.resource_type
        expression = all_of(wanted.expression, LIVE, self.permit.of(resource_type))
        if isinstance(expression, Nothing):
            return (), True
        paths = {*reference_paths(resource_type, self.includes), *(path for path, _ in wanted.by_url)}
        limit = INCLUDED - len(self.found) + len(self.seen[resource_type]) + 1
        query = Query(
            compile_filter(expression),
            limit=limit,
            projection={**TEXT_FIELDS, **dict.fromkeys(sorted(paths), 1)},
            sort=BY_ID,
            hint=wanted.hint,
            time_limit=left,
            naive=True,
        )
        rows = await self.mongo.find(resource_type, query)
        return rows, len(rows) < limit


def _queries(includes: Sequence[Include], rows: Mapping[str, Sequence[Document]]) -> Iterator[_Wanted]:
    references: defaultdict[str, set[str]] = defaultdict(set)
    named: defaultdict[str, set[str]] = defaultdict(set)
    for include in includes:
        if not include.reverse:
            _follow(include, rows.get(include.source_type, ()), references, named)
    for target_type in sorted(references):
        ids = sorted(references[target_type])
        for start in range(0, len(ids), IDS):
            yield _Wanted(target_type, In("_id", frozenset(ids[start : start + IDS])), "_id_")
    for target_type in sorted(named):
        yield _Wanted(target_type, _of_urls(named[target_type]), None)
    reverse: defaultdict[str, list[Include]] = defaultdict(list)
    for include in includes:
        if include.reverse:
            reverse[include.source_type].append(include)
    for source_type, each in reverse.items():
        yield from _referring(source_type, each, rows)


def _follow(
    include: Include,
    rows: Sequence[Document],
    references: defaultdict[str, set[str]],
    named: defaultdict[str, set[str]],
) -> None:
    """Gather where these rows lead: ids by type, and URLs, with a version where one is stated, by type."""
    for row in rows:
        stored = value_at(row, f"index.{include.code}.r") or ()
        versioned = {each.partition("|")[0] for each in stored if "|" in each}
        for reference in stored:
            target_type, slash, id = reference.partition("/")
            if slash and target_type.isalpha() and "/" not in id and ":" not in id:
                if include.target_type in (None, target_type):
                    references[target_type].add(id)
            elif reference not in versioned:
                for each in include.canonical:
                    if include.target_type in (None, each):
                        named[each].add(reference)


def _of_urls(urls: set[str]) -> Expression:
    bare = one_of(_URL, *(each for each in urls if "|" not in each))
    versioned = (each.partition("|") for each in sorted(urls) if "|" in each)
    return any_of(
        bare,
        *(
            all_of(one_of(_URL, url), one_of(_VERSION, *pair(None, version, frozenset())))
            for url, _, version in versioned
        ),
    )


def _referring(
    source_type: str, includes: Sequence[Include], rows: Mapping[str, Sequence[Document]]
) -> Iterator[_Wanted]:
    """One query for all that refers to these rows from resources of one type."""
    ways = [(f"index.{each.code}.r", frozenset(_addresses(each, rows))) for each in includes]
    ways = [(path, references) for path, references in ways if references]
    if not ways:
        return
    # `_refs` has the index; the parameters' own paths say which references these must be.
    all_references = frozenset[str]().union(*(references for _, references in ways))
    expression = all_of(
        In("index._refs", all_references), any_of(*(In(path, references) for path, references in dict.fromkeys(ways)))
    )
    by_url = tuple(ways) if any(each.canonical for each in includes) else ()
    yield _Wanted(source_type, expression, "references", by_url)


def _addresses(include: Include, rows: Mapping[str, Sequence[Document]]) -> Iterator[str]:
    """By what the rows can be referred to in this parameter."""
    for resource_type, targets in rows.items():
        if include.points_to(resource_type):
            for row in targets:
                yield f"{resource_type}/{row['_id']}"
                if resource_type in include.canonical:
                    yield from _names(row)


def _names(row: Document) -> Iterator[str]:
    """The canonical URLs by which a resource can be referred to: without its version, and with it."""
    for url in value_at(row, _URL) or ():
        yield url
        for token in value_at(row, _VERSION) or ():
            if token[:1] == "~":
                yield f"{url}|{token[1:].replace('%7C', '|').replace('%25', '%')}"
