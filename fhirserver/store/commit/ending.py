"""How a transaction of MongoDB ends: committed, aborted, or unknown for a while; and what its errors mean.

https://www.mongodb.com/docs/manual/core/transactions-in-applications/
"""

from __future__ import annotations

import asyncio
from typing import Final

import pymongo
from pymongo.errors import ConfigurationError, ConnectionFailure, PyMongoError

from fhirserver.store.connection.client import Mongo, Session

_PAUSE: Final = 0.005
_ABORT_SECONDS: Final = 1


async def finish(session: Session) -> None:
    """Commit; where the result is unknown ask again, because running the writes again could do them twice."""
    while True:
        try:
            await session.commit_transaction()
            return
        except PyMongoError as error:
            if not is_unknown(error) or error.timeout:
                raise
            await asyncio.sleep(_PAUSE)


async def abort(session: Session) -> None:
    """Take back what was not committed."""
    if session.in_transaction:
        with pymongo.timeout(_ABORT_SECONDS):
            await session.abort_transaction()


async def may_come_back(mongo: Mongo, error: Exception) -> bool:
    """Whether the database was not there, and nothing happened: a later try may succeed, on new connections if need be."""
    if isinstance(error, ConfigurationError):
        await mongo.renew()
        return True
    return isinstance(error, ConnectionFailure)


def is_unknown(error: Exception) -> bool:
    """Whether the commit may have happened, or not."""
    return isinstance(error, PyMongoError) and error.has_error_label("UnknownTransactionCommitResult")


def is_timeout(error: Exception) -> bool:
    """Whether the time that was given is up."""
    return isinstance(error, PyMongoError) and error.timeout


def is_transient(error: Exception) -> bool:
    """Whether nothing happened, and the whole transaction may be run again."""
    return isinstance(error, PyMongoError) and error.has_error_label("TransientTransactionError")
