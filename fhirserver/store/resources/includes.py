"""Included resources: a query for each type, with that type's own permit, before any limit.

They come in rounds: the first starts from the matches, each further one, for what iterates, from what the last one brought. What
is there already is not brought again, so rounds end; that their number has a bound keeps a long row of links from being walked
one query a link.

https://hl7.org/fhir/R4/search.html#revinclude
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from fhirserver.model.resource import Version
from fhirserver.search.compile import compile as compile_filter
from fhirserver.search.expression import Expression, In, Nothing, all_of, any_of, one_of
from fhirserver.search.parameters.token import pair
from fhirserver.search.permit import Permit
from fhirserver.search.request import Include
from fhirserver.store.client import Document, Mongo, Query
from fhirserver.store.indexes import BY_ID
from fhirserver.store.resources.paging import value_at
from fhirserver.store.versions import TEXT_FIELDS, as_version

INCLUDED: Final = 1_000
IDS: Final = 5_000
"""Ids in one query."""
ROUNDS: Final = 10
"""How often what was included leads further."""

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
    including.seen.update(f"{resource_type}/{row['_id']}" for row in rows)
    return await including.run({resource_type: rows})


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A query: the type, the condition, the index, and for what refers by URL the path and the URLs with their versions."""

    resource_type: str
    expression: Expression
    hint: str | None
    by_url: tuple[str, frozenset[str]] | None = None

    def accepts(self, row: Document) -> bool:
        """Whether a row that refers to some version of a URL, or to a resource, refers to one of these."""
        if self.by_url is None:
            return True
        path, targets = self.by_url
        references = value_at(row, path) or ()
        versioned = {each.partition("|")[0] for each in references if "|" in each}
        return any(each in targets for each in references if each not in versioned)


@dataclass(slots=True)
class _Including:
    """The rounds under way."""

    mongo: Mongo
    includes: Sequence[Include]
    permit: Permit
    seen: set[str] = field(default_factory=set)
    found: list[Version] = field(default_factory=list)

    async def run(self, rows: Mapping[str, Sequence[Document]]) -> tuple[list[Version], bool]:
        """Round by round, until nothing new comes."""
        includes = self.includes
        for _ in range(ROUNDS):
            new: defaultdict[str, list[Document]] = defaultdict(list)
            for wanted in _queries(includes, rows):
                if not await self._take(wanted, new):
                    return self.found, True
            includes = [each for each in self.includes if each.iterate]
            if not includes or not new:
                return self.found, False
            rows = new
        return self.found, True

    async def _take(self, wanted: _Wanted, new: defaultdict[str, list[Document]]) -> bool:
        """Ask one query and keep what is new of it; False where the bound is reached."""
        resource_type = wanted.resource_type
        expression = all_of(wanted.expression, LIVE, self.permit.of(resource_type))
        if isinstance(expression, Nothing):
            return True
        paths = {*reference_paths(resource_type, self.includes), *([wanted.by_url[0]] if wanted.by_url else [])}
        query = Query(
            compile_filter(expression),
            limit=INCLUDED + len(self.seen) + 1,
            projection={**TEXT_FIELDS, **dict.fromkeys(sorted(paths), 1)},
            sort=BY_ID,
            hint=wanted.hint,
            naive=True,
        )
        for row in await self.mongo.find(resource_type, query):
            key = f"{resource_type}/{row['_id']}"
            if key in self.seen or not wanted.accepts(row):
                continue
            if len(self.found) == INCLUDED:
                return False
            self.seen.add(key)
            self.found.append(as_version(resource_type, row))
            new[resource_type].append(row)
        return True


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
    for include in includes:
        if include.reverse:
            yield from _referring(include, rows)


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


def _referring(include: Include, rows: Mapping[str, Sequence[Document]]) -> Iterator[_Wanted]:
    for resource_type, targets in rows.items():
        if not targets or include.target_type not in (None, resource_type):
            continue
        references = {f"{resource_type}/{row['_id']}" for row in targets}
        if resource_type in include.canonical:
            references |= {name for row in targets for name in _names(row)}
        path = f"index.{include.code}.r"
        # `_refs` has the index; the parameter's own path says which reference it must be.
        expression = all_of(In("index._refs", frozenset(references)), In(path, frozenset(references)))
        by_url = (path, frozenset(references)) if include.canonical else None
        yield _Wanted(include.source_type, expression, "references", by_url)


def _names(row: Document) -> Iterator[str]:
    """The canonical URLs by which a resource can be referred to: without its version, and with it."""
    for url in value_at(row, _URL) or ():
        yield url
        for token in value_at(row, _VERSION) or ():
            if token[:1] == "~":
                yield f"{url}|{token[1:].replace('%7C', '|').replace('%25', '%')}"
