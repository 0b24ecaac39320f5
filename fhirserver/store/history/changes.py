"""The change stream: every committed version, in commit order, from where the reader of that name stopped.

The resume token is kept in the database each time the reader comes for the next change, so a change is delivered at least once.
If MongoDB does not know the token any more, the reader goes on from the feed, a commit's bound before the last change it saw.

https://www.mongodb.com/docs/manual/changeStreams/
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pymongo.asynchronous.change_stream import AsyncCollectionChangeStream
from pymongo.errors import OperationFailure

from fhirserver.search.permit import Permit
from fhirserver.store.connection.client import Document, Mongo
from fhirserver.store.documents import Documents
from fhirserver.store.history import feed
from fhirserver.store.layout.collections import FEED

STREAMS: Final = "streams"

_TOKEN_LOST: Final = frozenset({136, 260, 280, 286})  # capped position lost, bad token, stream fatal, history lost
_INSERTS: Final = [{"$match": {"operationType": "insert"}}]


@dataclass(frozen=True, slots=True)
class Change:
    """One version that was committed."""

    resource_type: str
    id: str
    version: int
    updated: datetime
    interaction: str


async def changes(
    mongo: Mongo, documents: Documents, name: str, permit: Permit, clock: Callable[[], datetime]
) -> AsyncIterator[Change]:
    """The changes since the reader of this name last asked for one; the first time, those from now on. Never ends."""
    if not permit.is_system:
        raise PermissionError(
            "The change stream is the server's own: who reads on behalf of another matches each change anew."
        )
    known = await documents.get(name)
    stream = await _resumed(mongo, known["token"]) if known is not None else None
    is_resumed = stream is not None
    if stream is None:
        # Opened before the feed is read, so that nothing falls between the two.
        stream = await mongo.database[FEED].watch(_INSERTS)
    async with stream:
        if known is None:
            await documents.put({"_id": name, "token": stream.resume_token, "at": clock()})
        elif not is_resumed:
            async for change in _replayed(mongo, permit, known["at"]):
                yield change
                await documents.put({"_id": name, "token": known["token"], "at": change.updated})
        async for event in stream:
            change = _change(event["fullDocument"])
            yield change
            await documents.put({"_id": name, "token": stream.resume_token, "at": change.updated})


async def _resumed(mongo: Mongo, token: Any) -> AsyncCollectionChangeStream[Document] | None:
    try:
        return await mongo.database[FEED].watch(_INSERTS, resume_after=token)
    except OperationFailure as error:
        if error.code not in _TOKEN_LOST:
            raise
        return None


async def _replayed(mongo: Mongo, permit: Permit, at: datetime) -> AsyncIterator[Change]:
    since, after = at - feed.COMMIT_BOUND, None
    while rows := await feed.rows_since(mongo, permit, since, after):
        for row in rows:
            yield _change(row)
        since, after = rows[-1]["updated"], rows[-1]["_id"]


def _change(row: Document) -> Change:
    return Change(row["type"], row["id"], row["version"], row["updated"], row["interaction"])
