"""The connection to MongoDB: how it is opened, how a query is sent, and what its failures are called here.

Everything is read from the primary; what is acknowledged is on a majority and in the journal. Every query has a limit and a
time limit.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import util
from typing import Any, Final

from bson.codec_options import CodecOptions
from pymongo import AsyncMongoClient, ReadPreference, WriteConcern
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import AutoReconnect, ConnectionFailure, ExecutionTimeout, OperationFailure, PyMongoError

from fhirserver.model.outcome import FhirError, TooCostly, Unavailable

Document = dict[str, Any]
Session = AsyncClientSession

DURABLE: Final = WriteConcern(w="majority", j=True)
QUERY_MS: Final = 5_000
"""The time limit of a query."""

_AWARE: Final = CodecOptions[Document](tz_aware=True)
_NAIVE: Final = CodecOptions[Document]()
_MEMORY_EXCEEDED: Final = 292
_BAD_VALUE: Final = 2
_NOT_YET: Final = (94, 134, 211)
"""NotYetInitialized, ReadConcernMajorityNotAvailableYet, KeyNotFound: a mongod that has just begun."""
_PLAN_KILLED: Final = 175

_REFUSED: Final = (13, 18)
"""Unauthorized, AuthenticationFailed."""

SLOW = "The query takes too long. Add search parameters that narrow it, such as a patient, a code or a date."


class DatabaseRefusal(Exception):
    """The database cannot be used as its address has it; the text says why, and holds nothing of the address."""


@dataclass(frozen=True, slots=True)
class Query:
    """One find. `naive` leaves datetimes without a zone (they are UTC), which decodes faster."""

    filter: Mapping[str, Any]
    limit: int
    projection: Mapping[str, Any] | None = None
    sort: Sequence[tuple[str, int]] = ()
    hint: str | None = None
    time_limit: int | None = None
    naive: bool = False


class Mongo:
    """A database, as the rooms of the store use it."""

    def __init__(self, url: str, database: str, *, query_ms: int = QUERY_MS) -> None:
        options: Document = {"compressors": "zstd"} if _reaches_far(url) and util.find_spec("zstandard") else {}
        try:
            self.client: AsyncMongoClient[Document] = AsyncMongoClient(
                url,
                w="majority",
                journal=True,
                tz_aware=True,
                appname="fhirserver",
                serverSelectionTimeoutMS=5_000,
                connectTimeoutMS=5_000,
                **options,
            )
        except (PyMongoError, ValueError):  # which may hold parts of the address
            raise DatabaseRefusal(
                "The address of MongoDB cannot be read. Its form is mongodb://USER:PASSWORD@HOST:PORT/?replicaSet=NAME; "
                "in user and password, signs such as @ and : are percent-encoded."
            ) from None
        self.database: AsyncDatabase[Document] = self.client.get_database(
            database, codec_options=_AWARE, read_preference=ReadPreference.PRIMARY, write_concern=DURABLE
        )
        self.query_ms = query_ms

    async def renew(self) -> None:
        """Let no command take a connection that was opened before now."""
        # The driver has no public way to it. It renews them itself where one breaks, but not where one was opened to a mongod
        # that had just begun: such a connection never learns that there are sessions.
        for server in list(self.client._topology._servers.values()):
            await server.reset()

    async def close(self) -> None:
        """Close every connection."""
        await self.client.close()

    async def find(self, collection: str, query: Query) -> list[Document]:
        """The documents that a query gives, at most its limit."""
        with translated():
            try:
                return await self.find_plainly(collection, query)
            except AutoReconnect:
                return await self.find_plainly(collection, query)  # a read may be sent again to the new primary

    async def find_plainly(self, collection: str, query: Query, session: Session | None = None) -> list[Document]:
        """The same with MongoDB's own errors, and inside a session's transaction if there is one."""
        # The plain command costs a fifth less than a cursor; what does not fit one answer is read with a cursor.
        command: Document = {
            "find": collection,
            "filter": query.filter,
            "limit": query.limit,
            "batchSize": query.limit + 1,  # one more, or a sorted answer may leave its cursor open
            "maxTimeMS": query.time_limit or self.query_ms,
        }
        if query.projection is not None:
            command["projection"] = query.projection
        if query.sort:
            command["sort"] = dict(query.sort)
        if query.hint is not None:
            command["hint"] = query.hint
        options = _NAIVE if query.naive else _AWARE
        reply = await self.database.command(command, codec_options=options, session=session)
        cursor = reply["cursor"]
        if cursor["id"]:
            await self.database.command({"killCursors": collection, "cursors": [cursor["id"]]}, session=session)
            return await self._find_long(collection, query, session)
        found: list[Document] = cursor["firstBatch"]
        return found

    async def _find_long(self, collection: str, query: Query, session: Session | None) -> list[Document]:
        cursor = self.database.get_collection(collection, codec_options=_NAIVE if query.naive else _AWARE).find(
            query.filter,
            query.projection,
            limit=query.limit,
            sort=list(query.sort) or None,
            hint=query.hint,
            max_time_ms=query.time_limit or self.query_ms,
            session=session,
        )
        return await cursor.to_list(None)

    async def aggregate(
        self, collection: str, pipeline: Sequence[Mapping[str, Any]], hint: str | None, time_limit: int | None = None
    ) -> list[Document]:
        """What a pipeline gives; it carries its own `$limit`."""
        with translated():
            return await self._aggregate(collection, pipeline, hint, time_limit)

    async def _aggregate(
        self,
        collection: str,
        pipeline: Sequence[Mapping[str, Any]],
        hint: str | None,
        time_limit: int | None,
        session: Session | None = None,
    ) -> list[Document]:
        options: Document = {} if hint is None else {"hint": hint}
        cursor = await self.database[collection].aggregate(
            list(pipeline), session=session, maxTimeMS=time_limit or self.query_ms, allowDiskUse=False, **options
        )
        return await cursor.to_list(None)

    async def count(
        self, collection: str, filter: Mapping[str, Any], time_limit: int | None = None, **options: Any
    ) -> int:
        """How many documents there are."""
        with translated():
            return await self._count(collection, filter, time_limit, options)

    async def _count(
        self,
        collection: str,
        filter: Mapping[str, Any],
        time_limit: int | None,
        options: Document,
        session: Session | None = None,
    ) -> int:
        return await self.database[collection].count_documents(
            filter, session=session, maxTimeMS=time_limit or self.query_ms, **options
        )

    async def command(self, command: Mapping[str, Any], session: Session | None = None) -> Document:
        """Send a command to the database; errors of MongoDB come out as they are."""
        reply: Document = await self.database.command(dict(command), session=session)
        return reply


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's failures into ours: too long is TooCostly, not reachable is Unavailable."""
    try:
        yield
    except ExecutionTimeout:
        raise TooCostly(SLOW) from None
    except ConnectionFailure:
        raise Unavailable from None
    except OperationFailure as error:
        if error.code == _MEMORY_EXCEEDED:
            raise TooCostly(SLOW) from None
        if error.code in _NOT_YET or _lacks_index(error):
            raise Unavailable from None
        if error.code in _REFUSED:
            raise DatabaseRefusal(
                "MongoDB does not accept the user and password of its address, or gives that user too few rights: "
                "it reads and writes the database, and makes collections and indexes."
            ) from None
        if error.has_error_label("RetryableWriteError") or error.has_error_label("TransientTransactionError"):
            raise Unavailable from None
        raise
    except PyMongoError as error:
        if error.timeout:
            raise Unavailable from None
        raise


def _lacks_index(error: OperationFailure) -> bool:
    # A search by the index of a search parameter that another server takes out of force just now meets it so.
    return error.code == _PLAN_KILLED or (error.code == _BAD_VALUE and "hint provided" in str(error))


def fresh(error: BaseException) -> BaseException:
    """The same refusal as an object of its own: one exception raised in several tasks would collect their tracebacks."""
    if not isinstance(error, FhirError):
        return error
    own = copy.copy(error).with_traceback(None)
    own.__cause__ = error.__cause__ or error.__context__
    return own


def _reaches_far(url: str) -> bool:
    return not any(near in url for near in ("127.0.0.1", "localhost", "[::1]"))
