"""Bulk writing: new resources in large batches, each batch one transaction with its feed rows.

The bytes of a document are made on any thread while the batch before is on its way. A resource that is there already is not
touched: it is given back, and takes the normal path.

https://www.mongodb.com/docs/manual/reference/command/insert/
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import pymongo
from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

from fhirserver.model.outcome import FhirError, Unavailable
from fhirserver.store.client import DURABLE, Mongo, Session
from fhirserver.store.commit.attempt import Aborted, Attempt
from fhirserver.store.commit.ending import abort, finish, is_timeout, is_transient, is_unknown
from fhirserver.store.commit.prepare import Prepared, prepare
from fhirserver.store.commit.write import Seal, Write, Written
from fhirserver.store.feed import COMMIT_BOUND

BATCH: Final = 1_000
"""Documents of one transaction."""
BATCH_BYTES: Final = 16 * 1024 * 1024

_TRIES: Final = 5
_PAUSE: Final = 0.02


class _Slow(Exception):
    """The time of a commit was up."""


class Bulk:
    """Prepares writes, and inserts batches of them."""

    def __init__(self, mongo: Mongo, *, clock: Callable[[], datetime], seal: Seal, native_copy: bool) -> None:
        self._mongo = mongo
        self._clock = clock
        self._seal = seal
        self._native_copy = native_copy

    def prepare(self, write: Write) -> Prepared:
        """The bytes of a write that is to create. May be called on any thread. Raises TooLarge."""
        if write.method != "PUT" or not write.if_none_match_any or not write.may_create:
            raise ValueError("A bulk write creates, and only where there is nothing.")
        return prepare(write, native_copy=self._native_copy)

    async def insert(self, group: Sequence[Prepared]) -> list[Written | None]:
        """Write those whose ids are free, all in one transaction; None for those that are there already.

        No two of the group are the same resource. Raises Unavailable: then a part of the group may be on disk.
        """
        try:
            async with self._mongo.client.start_session(causal_consistency=False) as session:
                outcomes = await self._until(session, group)
        except _Slow:
            # A batch that takes longer than a commit may take goes in two halves: slow machines are given less at once.
            if len(group) == 1:
                raise Unavailable from None
            middle = len(group) // 2
            return await self.insert(group[:middle]) + await self.insert(group[middle:])
        return [None if isinstance(outcome, FhirError) else outcome for outcome in outcomes]

    async def _until(self, session: Session, group: Sequence[Prepared]) -> list[Written | FhirError | None]:
        for number in range(1, _TRIES + 1):
            try:
                return await self._attempt(session, group)
            except Aborted as error:
                if number == _TRIES:
                    raise Unavailable from error
            except PyMongoError as error:
                if is_timeout(error):
                    raise _Slow from error
                if is_unknown(error) or number == _TRIES:
                    raise Unavailable from error
                if isinstance(error, OperationFailure) and not is_transient(error):
                    raise
                if not isinstance(error, OperationFailure | ConnectionFailure):
                    raise
            await asyncio.sleep(_PAUSE * number)
        raise Unavailable

    async def _attempt(self, session: Session, group: Sequence[Prepared]) -> list[Written | FhirError | None]:
        attempt = Attempt(self._mongo, session, self._clock, self._seal)
        try:
            with pymongo.timeout(COMMIT_BOUND.total_seconds()):
                await session.start_transaction(write_concern=DURABLE)
                outcomes = await attempt.run(group, check_ids=False)
                if any(isinstance(outcome, Written) for outcome in outcomes):
                    await finish(session)
            return outcomes
        finally:
            await abort(session)
