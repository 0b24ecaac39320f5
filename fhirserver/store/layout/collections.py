"""Collections and indexes: made before a type's first write, once, under a lock; and the layout document.

MongoDB cannot add an index to an existing collection inside a transaction, but it can make a new one there with all of them: a
search beside it, on this server or another, meets no collection or all that it needs. At the start only the types that a clinic
surely needs are made, because 292 collections with all their indexes are 2,500 files.

https://www.mongodb.com/docs/manual/core/transactions-operations/#create-collections-and-indexes-in-a-transaction
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import pymongo
from pymongo.errors import ConfigurationError, OperationFailure

from fhirserver.model.outcome import Unavailable
from fhirserver.store.connection.client import DURABLE, Document, Mongo, Query, Session, translated
from fhirserver.store.layout import indexes

LAYOUT: Final = 4
"""The shape of the stored documents and what is derived in them. It grows when a `reindex` is needed."""

FEED: Final = "feed"
LAYOUT_ROWS: Final = "layout"

_MAKING: Final = 30
"""Seconds in which the collections of a type are made, beside those of others."""
_EXISTS: Final = 48
_NO_COLLECTION: Final = 26
_BLOCKS: Final = {"wiredTiger": {"configString": "block_compressor=zstd"}}

_HISTORY_INDEXES: Final = [{"name": "instance", "key": {"_id.id": 1, "_id.version": -1}}]
_FEED_INDEXES: Final = [
    {"name": "time", "key": {"updated": 1, "_id": 1}},
    {"name": "type", "key": {"type": 1, "updated": 1, "_id": 1}},
]


class LayoutError(Exception):
    """The database is of another layout; the text says what to do."""


class Layout:
    """Which collections are ready to be written, and which indexes are still being built."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._made: set[str] = set()
        self._making: dict[str, asyncio.Lock] = {}
        self._background: set[asyncio.Task[None]] = set()
        self.building: set[tuple[str, str]] = set()
        self.leads: Mapping[str, frozenset[str]] = {}
        """The paths with which indexes lead that are not in the table, by type."""

    async def start(self, types: Iterable[str]) -> None:
        """Make the collections of these types, and see to those that are there."""
        with translated():
            present = set(await self._mongo.database.list_collection_names())
            await self._create(FEED, _FEED_INDEXES)
            await self._create(LAYOUT_ROWS, [])
        # Side by side: most of the time of each is the journal's.
        await asyncio.gather(*(self.ensure(each) for each in types if each not in present))
        for resource_type in _types(present):
            missing = await self._missing(resource_type)
            if not missing:
                self._made.add(resource_type)
            elif not await self._mongo.find(resource_type, Query({}, limit=1, projection={"_id": 1})):
                await self.ensure(resource_type)
            else:
                # It takes a while where data is there: the server serves meanwhile, and says that it is not ready.
                self.building |= {(resource_type, index["name"]) for index in missing}
                task = asyncio.create_task(self.ensure(resource_type))
                self._background.add(task)
                task.add_done_callback(self._background.discard)

    async def check(self) -> None:
        """Raise LayoutError unless the database has our layout; a new one gets it."""
        rows = await self._mongo.find(LAYOUT_ROWS, Query({"_id": "layout"}, limit=1))
        if not rows:
            await self.record()
            return
        found = rows[0]["version"]
        if found > LAYOUT:
            raise LayoutError(
                f"The database has layout {found}, this program knows layout {LAYOUT}: use a newer program."
            )
        if found < LAYOUT:
            raise LayoutError(
                f"The database has layout {found}, this program needs layout {LAYOUT}: run `fhirserver reindex` first."
            )

    async def record(self) -> None:
        """Write down that the database has our layout."""
        with translated():
            await self._mongo.database[LAYOUT_ROWS].replace_one(
                {"_id": "layout"}, {"_id": "layout", "version": LAYOUT}, upsert=True
            )

    async def types(self) -> list[str]:
        """The resource types that have a collection."""
        with translated():
            return _types(await self._mongo.database.list_collection_names())

    async def ensure(self, resource_type: str) -> None:
        """The type's two collections with their indexes are there."""
        if resource_type in self._made:
            return
        wanted = {resource_type: _definitions(resource_type), f"{resource_type}.history": _HISTORY_INDEXES}
        # The commands do nothing the second time, so servers that meet here do not hurt each other: the lock saves the round trips.
        async with self._making.setdefault(resource_type, asyncio.Lock()):
            if resource_type in self._made:
                return
            with translated():
                if not await self._create_at_once(wanted):
                    await self._drop_changed(resource_type)
                    for collection, definitions in wanted.items():
                        await self._create(collection, definitions)
            self._made.add(resource_type)
            self.building = {each for each in self.building if each[0] != resource_type}

    async def ensure_rows(self, collection: str) -> None:
        """A collection of own rows, made before the transaction that writes in it."""
        if collection not in self._made:
            with translated():
                await self._create(collection, [])
            self._made.add(collection)

    def demand(self, resource_type: str, index: indexes.Index) -> None:
        """Raise Unavailable while this index is being built: a search that needs it does not quietly run without."""
        if (resource_type, index.name) in self.building:
            raise Unavailable("An index that this search needs is still being built. Try again later.", retry_after=60)

    async def close(self) -> None:
        """Wait no longer for indexes; MongoDB goes on building them."""
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    async def _create_at_once(self, wanted: Mapping[str, Sequence[Document]]) -> bool:
        """Make these collections with their indexes in one transaction; False if one of them was there."""

        async def make(session: Session) -> None:
            for collection, definitions in wanted.items():
                await self._mongo.command({"create": collection, "storageEngine": _BLOCKS}, session)
                await self._mongo.command({"createIndexes": collection, "indexes": list(definitions)}, session)

        async def transact() -> None:
            async with self._mongo.client.start_session(causal_consistency=False) as session:
                await session.with_transaction(make, write_concern=DURABLE)

        with pymongo.timeout(_MAKING):
            try:
                try:
                    await transact()
                except ConfigurationError:  # a connection to a mongod that had just begun has not heard of sessions
                    await self._mongo.renew()
                    await transact()
            except OperationFailure as error:
                if error.code != _EXISTS:
                    raise
                return False
        return True

    async def _create(self, collection: str, definitions: Sequence[Document]) -> None:
        try:
            await self._mongo.command({"create": collection, "storageEngine": _BLOCKS})
        except OperationFailure as error:
            if error.code != _EXISTS:
                raise
        if definitions:
            await self._mongo.command({"createIndexes": collection, "indexes": list(definitions)})

    async def _present(self, resource_type: str) -> dict[str, Any]:
        try:
            reply = await self._mongo.command({"listIndexes": resource_type, "cursor": {"batchSize": 100}})
        except OperationFailure as error:
            if error.code == _NO_COLLECTION:
                return {}
            raise
        return {index["name"]: list(index["key"].items()) for index in reply["cursor"]["firstBatch"]}

    async def _missing(self, resource_type: str) -> list[Document]:
        with translated():
            present = await self._present(resource_type)
        return [
            index for index in _definitions(resource_type) if present.get(index["name"]) != list(index["key"].items())
        ]

    async def _drop_changed(self, resource_type: str) -> None:
        present = await self._present(resource_type)
        for index in _definitions(resource_type):
            keys = present.get(index["name"])
            if keys is not None and keys != list(index["key"].items()):
                await self._mongo.command({"dropIndexes": resource_type, "index": index["name"]})


def _types(collections: Iterable[str]) -> list[str]:
    return sorted(name for name in collections if name[0].isupper() and "." not in name)


def _definitions(resource_type: str) -> list[Document]:
    return [_definition(index) for index in indexes.of(resource_type)]


def _definition(index: indexes.Index) -> Document:
    definition: Document = {"name": index.name, "key": dict(index.keys)}
    if index.is_partial:
        definition["partialFilterExpression"] = {index.lead: {"$exists": True}}
    return definition
