"""The database inside one transaction: the same ways to ask, one command at a time, within the time that is left.

MongoDB's own errors come out as they are, so that who runs the transaction sees whether it may be run again. Only a query that
takes too long is called so here.

https://www.mongodb.com/docs/manual/core/transactions-operations/
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import pymongo
from pymongo.errors import ExecutionTimeout

from fhirserver.model.outcome import TooCostly, Unavailable
from fhirserver.store.connection.client import SLOW, Document, Mongo, Query, Session

LATE: Final = "This could not be done in time, and nothing of it is stored. Try again later; of a large Bundle, send fewer entries at a time."


class Bound(Mongo):
    """A database, bound to the transaction of a session until a deadline of the event loop's clock."""

    def __init__(self, mongo: Mongo, session: Session, deadline: float) -> None:
        self.client = mongo.client
        self.database = mongo.database
        self.query_ms = mongo.query_ms
        self.session = session
        self.deadline = deadline
        self._turn = asyncio.Lock()

    async def find(self, collection: str, query: Query) -> list[Document]:
        """The documents that a query gives, at most its limit."""
        return await self.find_plainly(collection, query)

    async def find_plainly(self, collection: str, query: Query, session: Session | None = None) -> list[Document]:
        """The same: there is one session here."""
        async with self._command():
            return await super().find_plainly(collection, query, self.session)

    async def aggregate(
        self, collection: str, pipeline: Sequence[Mapping[str, Any]], hint: str | None, time_limit: int | None = None
    ) -> list[Document]:
        """What a pipeline gives; it carries its own `$limit`."""
        async with self._command():
            return await self._aggregate(collection, pipeline, hint, time_limit, self.session)

    async def count(
        self, collection: str, filter: Mapping[str, Any], time_limit: int | None = None, **options: Any
    ) -> int:
        """How many documents there are."""
        async with self._command():
            return await self._count(collection, filter, time_limit, options, self.session)

    async def command(self, command: Mapping[str, Any], session: Session | None = None) -> Document:
        """Send a command to the database."""
        async with self._command():
            return await super().command(command, self.session)

    def left(self) -> float:
        """The seconds that are left. Raises Unavailable where there are none."""
        left = self.deadline - asyncio.get_running_loop().time()
        if left <= 0:
            raise Unavailable(LATE)
        return left

    async def end(self) -> None:
        """Let the command under way end, and no other begin: what was forgotten must not run in the next transaction."""
        self.deadline = 0
        async with self._turn:
            pass

    @asynccontextmanager
    async def _command(self) -> AsyncIterator[None]:
        """A session takes one command at a time."""
        async with self._turn:
            left = self.left()
            try:
                with pymongo.timeout(left):
                    yield
            except ExecutionTimeout:
                # The driver asks for no more time than is left: then it was the transaction's that was up, not the query's.
                if left * 1_000 <= self.query_ms:
                    raise Unavailable(LATE) from None
                raise TooCostly(SLOW) from None
