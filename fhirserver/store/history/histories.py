"""Histories of types and of everything: the feed gives the order, and each version is then asked for under the permit.

Two things must hold of every version that is shown: its own facts satisfy the permit, and so does the current version of its
resource. The feed's row knows enough of a version to leave out most of what the permit hides; what it does not know, the
collections are asked. Nothing here is counted, and a page ends before its count only where nothing more is visible.

https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bson import ObjectId

from fhirserver.model.outcome import TooCostly
from fhirserver.model.resource import Version
from fhirserver.search.compile import compile as compile_filter
from fhirserver.search.expression import All, Expression, In, Nothing, all_of
from fhirserver.search.permit import Permit
from fhirserver.store.connection.client import Document, Mongo, Query
from fhirserver.store.history import feed
from fhirserver.store.history.versions import TEXT_FIELDS, as_version
from fhirserver.store.layout.collections import FEED

BATCH: Final = 1_000
"""Rows of the feed that are looked at together, at most."""
FEW_TYPES: Final = 10
"""So many types are each walked by themselves and merged; more are told apart while walking."""

_TOO_LONG: Final = "The history takes too long. Ask for one resource type, or for less of the past (_since)."


Named = tuple[str, str, int | None]
"""The type and id of a resource, and the version, where a single one is meant."""


@dataclass(frozen=True, slots=True)
class Span:
    """Which versions are asked for: of these types, written at or after `since`, or current at some moment of `at`; of these
    `only`, where they are named."""

    types: tuple[str, ...]
    count: int
    since: datetime | None = None
    at: tuple[datetime, datetime] | None = None
    oldest_first: bool = False
    only: frozenset[Named] | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A row of the feed, behind which a page begins."""

    updated: datetime
    row: str


@dataclass(frozen=True, slots=True)
class Walked:
    """A page of versions, and where the next one begins, if a version is left for it."""

    versions: tuple[Version, ...]
    next: Mark | None


class Histories:
    """Reads of the feed under permits."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo

    async def walk(self, span: Span, permit: Permit, after: Mark | None) -> Walked:
        """The page behind this mark. Raises TooCostly where it takes too long to find."""
        wanted = _wanted(span, permit)
        found: list[tuple[Document, Version]] = []
        size = span.count + 1
        try:
            async with asyncio.timeout(self._mongo.query_ms / 1_000):
                while wanted is not None and len(found) <= span.count:
                    rows = await self._rows(span, wanted, after, size)
                    found += await self._shown(span, permit, rows)
                    if len(rows) < size:
                        break
                    after = _mark(rows[-1])
                    size = min(2 * size, BATCH)
        except TimeoutError:
            raise TooCostly(_TOO_LONG) from None
        page = found[: span.count]
        following = _mark(page[-1][0]) if len(found) > span.count else None
        return Walked(tuple(version for _, version in page), following)

    async def _rows(self, span: Span, wanted: _Wanted, after: Mark | None, size: int) -> list[Document]:
        filter = {"$and": [wanted.filter, _between(span, after), *_named(span)]}
        direction = 1 if span.oldest_first else -1
        sort = [("updated", direction), ("_id", direction)]
        return await self._mongo.find(FEED, Query(filter, limit=size, sort=sort, hint=wanted.hint))

    async def _shown(self, span: Span, permit: Permit, rows: Sequence[Document]) -> list[tuple[Document, Version]]:
        """The rows whose versions may be seen and belong to the answer, in their order, with them."""
        by_type: dict[str, list[Document]] = defaultdict(list)
        for row in rows:
            by_type[row["type"]].append(row)
        found: dict[tuple[str, str, int], Version] = {}
        answers = await asyncio.gather(*(self._of_type(span, permit, name, each) for name, each in by_type.items()))
        for versions in answers:
            found.update({(each.resource_type, each.id, each.version): each for each in versions})
        keys = [(row["type"], row["id"], row["version"]) for row in rows]
        return [(row, found[key]) for row, key in zip(rows, keys, strict=True) if key in found]

    async def _of_type(
        self, span: Span, permit: Permit, resource_type: str, rows: Sequence[Document]
    ) -> Iterable[Version]:
        visible = permit.of(resource_type)
        if isinstance(visible, Nothing):
            return ()
        current = await self._current(resource_type, visible, {row["id"] for row in rows})
        rows = [row for row in rows if row["id"] in current]
        if span.at is not None:
            latest = await self._latest(resource_type, visible, current, span.at[0])
            rows = [row for row in rows if row["updated"] > span.at[0] or latest.get(row["id"]) == row["version"]]
        now = [current[row["id"]] for row in rows if row["version"] == current[row["id"]].version]
        past = [row for row in rows if row["version"] < current[row["id"]].version]
        return [*now, *await self._superseded(resource_type, visible, past)]

    async def _current(self, resource_type: str, visible: Expression, ids: Iterable[str]) -> Mapping[str, Version]:
        """The current versions that may be seen, tombstones included."""
        wanted = frozenset(ids)
        filter = compile_filter(all_of(In("_id", wanted), visible))
        query = Query(filter, limit=len(wanted), projection=TEXT_FIELDS, hint="_id_", naive=True)
        rows = await self._mongo.find(resource_type, query)
        return {row["_id"]: as_version(resource_type, row) for row in rows}

    async def _superseded(self, resource_type: str, visible: Expression, rows: Sequence[Document]) -> list[Version]:
        if not rows:
            return []
        keys = [{"id": row["id"], "version": row["version"]} for row in rows]
        filter = {"$and": [{"_id": {"$in": keys}}, compile_filter(visible)]}
        query = Query(filter, limit=len(keys), projection=TEXT_FIELDS, hint="_id_", naive=True)
        return [as_version(resource_type, row) for row in await self._mongo.find(f"{resource_type}.history", query)]

    async def _latest(
        self, resource_type: str, visible: Expression, current: Mapping[str, Version], moment: datetime
    ) -> Mapping[str, int]:
        """For each resource the last version that may be seen and was written by this moment.

        Versions that may not be seen do not end the ones before them: that something was written then is theirs to hide.
        """
        if not current:
            return {}
        filter = {"_id.id": {"$in": sorted(current)}, "updated": {"$lte": _floor(moment)}}
        pipeline: list[Document] = [
            {"$match": {"$and": [filter, compile_filter(visible)]}},
            {"$group": {"_id": "$_id.id", "version": {"$max": "$_id.version"}}},
            {"$limit": len(current)},
        ]
        found = await self._mongo.aggregate(f"{resource_type}.history", pipeline, "instance")
        latest: dict[str, int] = {row["_id"]: row["version"] for row in found}
        latest.update({id: each.version for id, each in current.items() if each.updated <= moment})
        return latest


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which rows of the feed may be worth a look, and by which index."""

    filter: Mapping[str, Any]
    hint: str


def _wanted(span: Span, permit: Permit) -> _Wanted | None:
    """The rows whose versions the permit may show; None where it shows nothing of these types."""
    if span.only is not None:
        named = {resource_type for resource_type, _, _ in span.only}
        span = replace(span, types=tuple(each for each in span.types if each in named))
    if permit.is_system and len(span.types) > FEW_TYPES:
        return _Wanted({}, "time")
    groups: dict[Expression, list[str]] = defaultdict(list)
    for resource_type in span.types:
        groups[feed.loosened(permit.of(resource_type))].append(resource_type)
    groups.pop(Nothing(), None)
    branches = [
        {"type": {"$in": types}, **({} if isinstance(each, All) else compile_filter(each))}
        for each, types in groups.items()
    ]
    if not branches:
        return None
    if len(branches) > 1:
        return _Wanted({"$or": branches}, "time")
    is_few = len(branches[0]["type"]["$in"]) <= FEW_TYPES
    return _Wanted(branches[0], "type" if is_few else "time")


def _between(span: Span, after: Mark | None) -> Document:
    """The rows of the span's time, behind the mark."""
    low = _ceiling(span.since) if span.since is not None else None
    high = _floor(span.at[1]) if span.at is not None else None
    behind: Document = {}
    if after is not None:
        operator = "$gt" if span.oldest_first else "$lt"
        tie = {"updated": after.updated, "_id": {operator: ObjectId(after.row)}}
        behind = {"$or": [{"updated": {operator: after.updated}}, tie]}
        if span.oldest_first:
            low = after.updated if low is None else max(low, after.updated)
        else:
            high = after.updated if high is None else min(high, after.updated)
    bounds = {name: value for name, value in (("$gte", low), ("$lte", high)) if value is not None}
    return {**({"updated": bounds} if bounds else {}), **behind}


def _named(span: Span) -> list[Document]:
    """The condition of the rows that are named, if there is one."""
    if span.only is None:
        return []
    whole: dict[str, list[str]] = defaultdict(list)
    single: list[Document] = []
    for resource_type, id, version in sorted(span.only, key=str):
        if version is None:
            whole[resource_type].append(id)
        else:
            single.append({"type": resource_type, "id": id, "version": version})
    return [{"$or": [{"type": name, "id": {"$in": ids}} for name, ids in whole.items()] + single}]


def _mark(row: Document) -> Mark:
    return Mark(row["updated"], str(row["_id"]))


def _floor(moment: datetime) -> datetime:
    """The last stored instant that is not after this moment; MongoDB keeps milliseconds."""
    return moment.astimezone(UTC) - timedelta(microseconds=moment.microsecond % 1_000)


def _ceiling(moment: datetime) -> datetime:
    """The first stored instant that is not before this moment."""
    return _floor(moment + timedelta(microseconds=999))
