"""Bulk writing: new resources in large batches, each batch one transaction with its feed rows.

The bytes of a document are made on any thread, or in another process, while the batch before is on its way. A resource that is
there already is not touched: it is given back, and takes the normal path.

https://www.mongodb.com/docs/manual/reference/command/insert/
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import bson
import pymongo
from bson.raw_bson import RawBSONDocument
from msgspec import Struct
from pymongo.errors import PyMongoError

from fhirserver.model.json import parse
from fhirserver.model.outcome import Unavailable
from fhirserver.model.resource import Resource, Version
from fhirserver.search.permit import Permit
from fhirserver.store.commit.attempt import Aborted, Overfull, insert
from fhirserver.store.commit.ending import abort, finish, is_timeout, is_transient, is_unknown, may_come_back
from fhirserver.store.commit.means import Means
from fhirserver.store.commit.prepare import Pieces, Prepared, pieces, prepare, timed
from fhirserver.store.commit.write import REQUESTS, By, Companion, Derived, Write
from fhirserver.store.connection.client import DURABLE, Document, Mongo, Query, Session, translated
from fhirserver.store.history import feed
from fhirserver.store.history.feed import COMMIT_BOUND
from fhirserver.store.layout.collections import FEED

_ANY_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TRIES: Final = 5
_PAUSE: Final = 0.02


class Packed(Struct, frozen=True):
    """A write that is to create, made ready wherever that was: the bytes of its first version and of its feed row, but for their
    time, and what is said of them. `key` is its type and its id."""

    key: tuple[str, str]
    request: str
    principal: str
    client: str
    generation: int
    companions: tuple[Companion, ...]
    document: Pieces
    row: Pieces

    @property
    def resource_type(self) -> str:
        """Its type."""
        return self.key[0]

    @property
    def size(self) -> int:
        """About the bytes that it takes."""
        return sum(map(len, self.document))

    @property
    def resource(self) -> Resource:
        """The resource as it was to be written, read again from its bytes."""
        found: Resource = parse(timed(self.document, _ANY_TIME)["json"])
        meta = {key: value for key, value in found.pop("meta").items() if key not in ("versionId", "lastUpdated")}
        return {
            "resourceType": found.pop("resourceType"),
            "id": found.pop("id"),
            **({"meta": meta} if meta else {}),
            **found,
        }


def packed(prepared: Prepared) -> Packed:
    """The bytes of a write that is to create, for `insert`. May be called on any thread, and in any process."""
    write = prepared.write
    by, derived = write.by, write.derived
    if write.method != "PUT" or write.if_match is not None or not write.may_create or derived is None:
        raise ValueError("A bulk write creates, and only where there is nothing.")
    document = pieces(prepared, 1)
    version = Version(write.resource_type, write.id, 1, _ANY_TIME, None, write.method, True)
    row = feed.pieces(version, True, derived.security, by.principal)
    about = (by.request, by.principal, by.client, derived.generation, write.companions)
    return Packed((write.resource_type, write.id), *about, document, row)


class _Slow(Exception):
    """The time of a commit was up, or the database's cache too small."""


class Bulk:
    """Inserts batches of writes that are packed."""

    def __init__(self, mongo: Mongo, means: Means) -> None:
        self._mongo = mongo
        self._means = means
        self._fence = means.fence
        self._looks = False

    async def insert(
        self, units: Sequence[Sequence[Packed]], in_doubt: Callable[[], None] = lambda: None
    ) -> list[bool]:
        """Write the units of which nothing is stored yet, all in one transaction; False for each that is left out.

        Left out as well is a unit that the database cannot hold in one transaction: alone it is told so. No two writes are of the
        same resource. Raises Unavailable: then some of the units may be on disk, each whole. That may be so as well of those that
        are left out once `in_doubt` was called: nobody knows how a commit has ended.
        """
        try:
            async with self._mongo.client.start_session(causal_consistency=False) as session:
                return await self._until(session, units, in_doubt)
        except _Slow as slow:
            # A batch that takes longer than a commit may take goes in two halves: slow machines are given less at once.
            if len(units) == 1:
                if isinstance(slow.__cause__, Overfull):
                    return [False]
                raise Unavailable from None
            middle = len(units) // 2
            return await self.insert(units[:middle], in_doubt) + await self.insert(units[middle:], in_doubt)

    async def _until(
        self, session: Session, units: Sequence[Sequence[Packed]], in_doubt: Callable[[], None]
    ) -> list[bool]:
        for number in range(1, _TRIES):
            try:
                await self._fence.opened()
                with self._fence.flight():
                    return await self._attempt(session, units)
            except Overfull as error:
                raise _Slow from error
            except Aborted:
                self._looks = True  # something is there already, or somebody else has just written it
            except PyMongoError as error:
                if is_unknown(error) or is_timeout(error):
                    in_doubt()
                if is_timeout(error):
                    raise _Slow from error
                if is_unknown(error):
                    raise Unavailable from error
                if not is_transient(error) and not await may_come_back(self._mongo, error):
                    with translated():
                        raise
            await asyncio.sleep(_PAUSE * number)
        raise Unavailable

    async def _attempt(self, session: Session, units: Sequence[Sequence[Packed]]) -> list[bool]:
        try:
            with pymongo.timeout(COMMIT_BOUND.total_seconds()):
                await session.start_transaction(write_concern=DURABLE)
                # Where nothing was there before, nothing is looked for: MongoDB says it too, and then is asked again.
                taken = await self._taken(session, units) if self._looks else set[tuple[str, str]]()
                is_free = [taken.isdisjoint([each.key for each in unit]) for unit in units]
                group = [self._fresh(each) for unit, free in zip(units, is_free, strict=True) if free for each in unit]
                if group:
                    await insert(self._mongo, session, self._documents(group))
                    self._fence.check()
                    await finish(session)
            self._looks = not all(is_free)
            return is_free
        finally:
            await abort(session)

    def _fresh(self, one: Packed) -> Packed:
        """The write, derived again if what it holds is of an older generation."""
        if one.generation >= self._fence.generation:
            return one
        derived = Derived({}, {}, {}, one.generation)
        by, permit = By(one.request, one.principal, one.client), Permit.nothing("nothing is stored yet")
        about = (*one.key, one.resource, derived, by, permit)
        write = Write("PUT", *about, may_create=True, companions=one.companions)
        return packed(prepare(self._fence.fresh(write), native_copy=self._means.native_copy))

    def _documents(self, group: Sequence[Packed]) -> dict[str, list[RawBSONDocument]]:
        """All that is to be inserted, by collection: the versions, what goes with them, their feed rows, and one row for their requests."""
        now = self._means.clock()
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        found: dict[str, list[RawBSONDocument]] = defaultdict(list)
        for each in group:
            found[each.resource_type].append(timed(each.document, now))
            for collection, document in each.companions:
                found[collection].append(RawBSONDocument(bson.encode(document)))
        found[FEED] = [timed(each.row, now) for each in group]
        found[REQUESTS] = [RawBSONDocument(bson.encode(_requests(group, now)))]
        return found

    async def _taken(self, session: Session, units: Sequence[Sequence[Packed]]) -> set[tuple[str, str]]:
        """Which of them are stored already. Only ids are read."""
        wanted: dict[str, list[str]] = defaultdict(list)
        for resource_type, id in (each.key for unit in units for each in unit):
            wanted[resource_type].append(id)
        taken: set[tuple[str, str]] = set()
        for resource_type, ids in wanted.items():
            query = Query({"_id": {"$in": ids}}, limit=len(ids), projection={"_id": 1}, hint="_id_")
            rows = await self._mongo.find_plainly(resource_type, query, session)
            taken |= {(resource_type, row["_id"]) for row in rows}
        return taken


def _requests(group: Sequence[Packed], now: datetime) -> Document:
    """The row of a batch: its first and last request, by whom, and how much they created. Which of them created what is in the feed
    and in the versions."""
    first, last = group[0], group[-1]
    who = {"request": first.request, "until": last.request, "principal": first.principal, "client": first.client}
    return {**who, "at": now, "created": dict(Counter(each.resource_type for each in group))}
