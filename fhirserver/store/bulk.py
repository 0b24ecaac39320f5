"""Bulk writing: new resources in large batches, each batch one transaction with its feed rows.

The bytes of a document are made on any thread, or in another process, while the batch before is on its way. A resource that is
there already is not touched: it is given back, and takes the normal path.

https://www.mongodb.com/docs/manual/reference/command/insert/
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple

import pymongo
from pymongo.errors import PyMongoError

from fhirserver.model.outcome import Unavailable
from fhirserver.search.permit import Permit
from fhirserver.store.commit.attempt import Aborted, Attempt
from fhirserver.store.commit.ending import abort, finish, is_timeout, is_transient, is_unknown, may_come_back
from fhirserver.store.commit.fence import Fence
from fhirserver.store.commit.prepare import Prepared, prepare
from fhirserver.store.commit.write import By, Companion, Derived, Seal, Write
from fhirserver.store.connection.client import DURABLE, Document, Mongo, Query, Session, translated
from fhirserver.store.history.feed import COMMIT_BOUND

BATCH: Final = 1_000
"""Documents of one transaction."""
BATCH_BYTES: Final = 16 * 1024 * 1024

_TRIES: Final = 5
_PAUSE: Final = 0.02


class Packed(NamedTuple):
    """A write that was made ready, as it goes from one process to another: bytes, and what is said of them.

    The tree of the resource and its search values stay behind. Who writes, and the permit, are for the process that writes to say.
    """

    resource_type: str
    id: str
    request: str
    security: Mapping[str, Any]
    generation: int
    companions: tuple[Companion, ...]
    meta: Document
    tail: bytes
    native_tail: bytes | None
    facts: bytes
    size: int


def newly(write: Write, *, native_copy: bool) -> Prepared:
    """The bytes of a write that is to create. May be called on any thread, and in any process. Raises TooLarge."""
    if write.method != "PUT" or write.if_match is not None or not write.may_create:
        raise ValueError("A bulk write creates, and only where there is nothing.")
    return prepare(write, native_copy=native_copy)


def packed(prepared: Prepared) -> Packed:
    """The write for another process."""
    write = prepared.write
    derived = write.derived or Derived({}, {}, {})
    about = (write.resource_type, write.id, write.by.request, derived.security, derived.generation, write.companions)
    return Packed(*about, prepared.meta, prepared.tail, prepared.native_tail, prepared.facts, prepared.size)


def unpacked(packed: Packed, principal: str, client: str, permit: Permit) -> Prepared:
    """The write that another process made ready."""
    by = By(packed.request, principal, client)
    derived = Derived({}, {}, packed.security, packed.generation)  # type: ignore[arg-type]
    write = Write(
        "PUT",
        packed.resource_type,
        packed.id,
        None,
        derived,
        by,
        permit,
        may_create=True,
        companions=packed.companions,
    )
    return Prepared(write, packed.meta, packed.tail, packed.native_tail, packed.facts, packed.size)


class _Slow(Exception):
    """The time of a commit was up."""


class Bulk:
    """Prepares writes, and inserts batches of them."""

    def __init__(
        self, mongo: Mongo, fence: Fence, *, clock: Callable[[], datetime], seal: Seal, native_copy: bool
    ) -> None:
        self._mongo = mongo
        self._fence = fence
        self._clock = clock
        self._seal = seal
        self._native_copy = native_copy
        self._looks = False

    def prepare(self, write: Write) -> Prepared:
        """The same, as this store keeps it."""
        return newly(write, native_copy=self._native_copy)

    async def insert(
        self, units: Sequence[Sequence[Prepared]], in_doubt: Callable[[], None] = lambda: None
    ) -> list[bool]:
        """Write the units of which nothing is stored yet, all in one transaction; False for each that is left out.

        No two writes are of the same resource. Raises Unavailable: then some of the units may be on disk, each whole. That may be
        so as well of those that are left out once `in_doubt` was called: nobody knows how a commit has ended.
        """
        try:
            async with self._mongo.client.start_session(causal_consistency=False) as session:
                return await self._until(session, units, in_doubt)
        except _Slow:
            # A batch that takes longer than a commit may take goes in two halves: slow machines are given less at once.
            if len(units) == 1:
                raise Unavailable from None
            middle = len(units) // 2
            return await self.insert(units[:middle], in_doubt) + await self.insert(units[middle:], in_doubt)

    async def _until(
        self, session: Session, units: Sequence[Sequence[Prepared]], in_doubt: Callable[[], None]
    ) -> list[bool]:
        for number in range(1, _TRIES):
            try:
                await self._fence.opened()
                with self._fence.flight():
                    return await self._attempt(session, units)
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

    async def _attempt(self, session: Session, units: Sequence[Sequence[Prepared]]) -> list[bool]:
        attempt = Attempt(self._mongo, session, self._clock, self._seal)
        try:
            with pymongo.timeout(COMMIT_BOUND.total_seconds()):
                await session.start_transaction(write_concern=DURABLE)
                # Where nothing was there before, nothing is looked for: MongoDB says it too, and then is asked again.
                taken = await self._taken(session, units) if self._looks else set[tuple[str, str]]()
                is_free = [taken.isdisjoint(map(_key, unit)) for unit in units]
                fresh = partial(self._fence.freshly, native_copy=self._native_copy)
                group = [fresh(each) for unit, free in zip(units, is_free, strict=True) if free for each in unit]
                if group:
                    await attempt.run(group, check_ids=False, known_free=True)
                    self._fence.check()
                    await finish(session)
            self._looks = not all(is_free)
            return is_free
        finally:
            await abort(session)

    async def _taken(self, session: Session, units: Sequence[Sequence[Prepared]]) -> set[tuple[str, str]]:
        """Which of them are stored already. Only ids are read."""
        wanted: dict[str, list[str]] = defaultdict(list)
        for unit in units:
            for prepared in unit:
                wanted[prepared.write.resource_type].append(prepared.write.id)
        taken: set[tuple[str, str]] = set()
        for resource_type, ids in wanted.items():
            query = Query({"_id": {"$in": ids}}, limit=len(ids), projection={"_id": 1}, hint="_id_")
            rows = await self._mongo.find_plainly(resource_type, query, session)
            taken |= {(resource_type, row["_id"]) for row in rows}
        return taken


def _key(prepared: Prepared) -> tuple[str, str]:
    return prepared.write.resource_type, prepared.write.id
