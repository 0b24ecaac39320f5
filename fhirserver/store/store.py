"""The Store: the one face of MongoDB. Its reads are those of `reads`; here is what only the whole store can do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Self, TypeVar

from fhirserver.model.outcome import Conflict, FhirError, NotSupported
from fhirserver.search.permit import Permit
from fhirserver.search.registry import Searchable
from fhirserver.store.bulk import Bulk, Packed
from fhirserver.store.commit import Committer, Derive, Seal, Write, Written, request_rows
from fhirserver.store.commit.fence import Fence
from fhirserver.store.commit.means import Means
from fhirserver.store.connection.client import QUERY_MS, Mongo, translated
from fhirserver.store.cursor import Seal as CursorSeal
from fhirserver.store.cursor import new_key
from fhirserver.store.documents import Documents
from fhirserver.store.history import changes as change_stream
from fhirserver.store.layout import further
from fhirserver.store.layout.collections import LAYOUT_ROWS, Layout
from fhirserver.store.layout.indexes import DIRECTORY, THE_EIGHT
from fhirserver.store.layout.reindex import Reindexer, Stride
from fhirserver.store.pace import Pace
from fhirserver.store.reads import Reads
from fhirserver.store.resources.contained import Containers
from fhirserver.store.resources.meta import meta_in_use
from fhirserver.store.transaction import LOCKS, Body, Transactor

KEYS = "keys"
FIRST_TYPES: Final = (*THE_EIGHT, *DIRECTORY)
"""What a clinic surely needs."""
T = TypeVar("T")


def _now() -> datetime:
    return datetime.now(UTC)


class Store(Reads):
    """Resources, their versions and the server's own rows in one database."""

    cursor: CursorSeal
    """Seals and opens page cursors; there once the store has started."""
    fence: Fence
    """Keeps back what was derived by search parameters that are not in force any more."""
    pace: Pace
    """Long work takes its steps here, so that others have their turn."""

    def __init__(
        self,
        mongo: Mongo,
        derive: Derive,
        *,
        clock: Callable[[], datetime] = _now,
        seal: Seal = request_rows,
        native_copy: bool = True,
    ) -> None:
        super().__init__(mongo, Layout(mongo))
        self._clock = clock
        self.fence = Fence(derive)
        self.pace = Pace()
        means = Means(self.fence, clock, seal, native_copy)
        self._committer = Committer(mongo, means)
        self._bulk = Bulk(mongo, means)
        self._transactor = Transactor(mongo, self._layout, means, self.pace)
        self._reindexer = Reindexer(mongo, self.documents(LAYOUT_ROWS), derive, native_copy)
        self.native_copy = native_copy
        self._is_started = False

    @classmethod
    async def open(
        cls,
        url: str,
        database: str,
        derive: Derive,
        *,
        clock: Callable[[], datetime] = _now,
        seal: Seal = request_rows,
        native_copy: bool = True,
        query_ms: int = QUERY_MS,
        types: Iterable[str] = FIRST_TYPES,
    ) -> Self:
        """The started store of this database, with collections for these types; others are made before their first write.

        Raises LayoutError, or Unavailable."""
        mongo = Mongo(url, database, query_ms=query_ms)
        store = cls(mongo, derive, clock=clock, seal=seal, native_copy=native_copy)
        try:
            await store.start(types)
        except BaseException:
            await mongo.close()
            raise
        return store

    async def start(self, types: Iterable[str]) -> None:
        """Check the layout, make the first collections, and share the key of the cursors."""
        await self._layout.check()
        await self._layout.start(types)
        keys = self.documents(KEYS)
        if (row := await keys.get("cursor")) is None:
            await self._layout.ensure_rows(KEYS)
            row = {"_id": "cursor", "key": new_key()}
            try:
                await keys.insert(row)
            except Conflict:  # another server was first
                row = await keys.get("cursor") or row
        self.cursor = CursorSeal(row["key"])
        self._is_started = True

    async def settle(self) -> None:
        """Finish the writes that were taken on."""
        await self._committer.close()

    async def close(self) -> None:
        """Finish the writes that were taken on, and close the connections."""
        await self.settle()
        await self._layout.close()
        await self._mongo.close()

    async def ready(self) -> bool:
        """Whether requests can be served in full: the primary answers, and no index is still being built."""
        if not self._is_started or self._layout.building:
            return False
        try:
            with translated():
                await self._mongo.command({"ping": 1, "maxTimeMS": 1_000})
        except FhirError:
            return False
        return True

    async def ensure(self, resource_type: str) -> None:
        """The type's collections and indexes are there."""
        await self._layout.ensure(resource_type)

    # Reading

    async def _containers(self, types: Sequence[str]) -> Containers:
        return Containers(types, frozenset(await self._layout.types()))

    async def past_owners(self, resource_type: str, id: str, known: frozenset[str], permit: Permit) -> frozenset[str]:
        """The owners of superseded versions that belong to others than the known ones too."""
        return await self._versions.past_owners(resource_type, id, known, permit)

    async def meta_in_use(self, resource_types: Iterable[str], permit: Permit) -> dict[str, list[Any]]:
        """The profiles, security labels and tags of the visible resources of these types. It needs the native copies."""
        if not self.native_copy:
            raise NotSupported("This server keeps no native copies, so it does not know what is in use.")
        return await meta_in_use(self._mongo, resource_types, permit)

    def changes(self, name: str, permit: Permit) -> AsyncIterator[change_stream.Change]:
        """Every committed version from where the reader of this name stopped, at least once, without end."""
        return change_stream.changes(self._mongo, self.documents(change_stream.STREAMS), name, permit, self._clock)

    # Writing

    async def commit(self, write: Write) -> Written | None:
        """The write, once a majority has it in the journal; None if there was nothing to delete."""
        await self._layout.ensure(write.resource_type)
        for collection, _ in write.companions:
            await self._layout.ensure_rows(collection)
        return await self._committer.commit(write)

    async def insert(
        self, units: Sequence[Sequence[Packed]], in_doubt: Callable[[], None] = lambda: None
    ) -> list[bool]:
        """Create in bulk, each unit all or not at all; False for each of which something is there already: once `in_doubt` was
        called, perhaps by this very call."""
        for resource_type in {packed.resource_type for unit in units for packed in unit}:
            await self._layout.ensure(resource_type)
        return await self._bulk.insert(units, in_doubt)

    async def transact(self, body: Body[T], *, types: Iterable[str], keys: Collection[str] = (), size: int = 1) -> T:
        """Run the body in a transaction of its own, again after a transient error, and commit what it wrote.

        `types` are those that it may write. `keys` are locks that it holds: who shares one takes turns. `size` is how many writes
        it will have: the time that it has grows with them. Raises Unavailable where that is not enough, and TooLarge where the
        database cannot hold it.
        """
        for resource_type in types:
            await self._layout.ensure(resource_type)
        await self._layout.ensure_rows(LOCKS)  # the body may take more of them
        return await self._transactor.run(body, keys, size)

    def documents(self, name: str) -> Documents:
        """The server's own rows of this name, which are not resources."""
        return Documents(self._mongo, self._coalescer, name)

    async def reindex(
        self, resource_type: str | None = None, *, report: Callable[[str, int], None] = lambda _, __: None
    ) -> int:
        """Make the derived fields of this type, or of all, again from the text, and say how many versions; after all, the
        layout is ours."""
        permit = Permit.system("reindex")
        types = await self._layout.types() if resource_type is None else [resource_type]
        rows = 0
        for each in types:
            await self._layout.ensure(each)
            rows += await self._reindexer.run(each, permit, report=report)
        if resource_type is None:
            await self._layout.record()
        return rows

    async def rederive(self, resource_type: str, after: Any = None, *, history: bool = False) -> Stride | None:
        """Make the derived fields of the next rows behind a key again, of the current versions or of the older; None at the end."""
        await self._layout.ensure(resource_type)
        permit = Permit.system("reindex")
        collection = f"{resource_type}.history" if history else resource_type
        return await self._reindexer.step(resource_type, collection, after, permit)

    async def types(self) -> list[str]:
        """The resource types of which something was ever stored, or that a clinic surely needs."""
        return await self._layout.types()

    async def rows(self, collection: str) -> int:
        """About how many rows a collection has, whoever may see them."""
        with translated():
            count: int = (await self._mongo.command({"count": collection, "maxTimeMS": QUERY_MS}))["n"]
        return count

    async def adapt_indexes(self, resource_type: str, parameters: Iterable[Searchable]) -> None:
        """The type's collection has the indexes of these parameters, which are not R4's, and none of others."""
        await self._layout.ensure(resource_type)
        await further.adapt(self._mongo, resource_type, parameters)

    def lead_by(self, leads: Mapping[str, frozenset[str]]) -> None:
        """From now on the paths with which further indexes lead, by type, are these."""
        self._layout.leads = leads

    async def database_time(self) -> datetime:
        """The clock of the database, which all servers share."""
        with translated():
            now: datetime = (await self._mongo.command({"hello": 1}))["localTime"]
        return now.replace(tzinfo=UTC)

    async def ensure_rows(self, name: str) -> None:
        """The collection of own rows of this name is there, so that a transaction can write in it."""
        await self._layout.ensure_rows(name)
