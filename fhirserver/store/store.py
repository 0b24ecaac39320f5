"""The Store: the one face of MongoDB. Every read takes a Permit, positionally and without a default."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Self, TypeVar

from fhirserver.model.outcome import Conflict, FhirError, NotSupported
from fhirserver.model.resource import Version
from fhirserver.search.expression import Expression
from fhirserver.search.permit import Permit
from fhirserver.search.registry import Searchable
from fhirserver.search.request import SearchRequest
from fhirserver.store.bulk import Bulk
from fhirserver.store.commit import Committer, Derive, Prepared, Seal, Write, Written, request_rows
from fhirserver.store.commit.fence import Fence
from fhirserver.store.connection.client import QUERY_MS, Document, Mongo, translated
from fhirserver.store.connection.coalesce import Coalescer
from fhirserver.store.cursor import Seal as CursorSeal
from fhirserver.store.cursor import new_key
from fhirserver.store.documents import Documents
from fhirserver.store.history import changes as change_stream
from fhirserver.store.history.histories import Histories, Mark, Span, Walked
from fhirserver.store.history.versions import Versions
from fhirserver.store.layout import further
from fhirserver.store.layout.collections import LAYOUT_ROWS, Layout
from fhirserver.store.layout.indexes import DIRECTORY, THE_EIGHT
from fhirserver.store.layout.reindex import Reindexer, Stride
from fhirserver.store.pace import Pace
from fhirserver.store.resources import FACTS_LIMIT, Facts, Page, Position, find
from fhirserver.store.resources.across import Across, Place, find_across
from fhirserver.store.resources.contained import Containers, find_contained
from fhirserver.store.resources.meta import meta_in_use
from fhirserver.store.transaction import LOCKS, Body, Transactor

KEYS = "keys"
FIRST_TYPES = (*THE_EIGHT, *DIRECTORY)
"""What a clinic surely needs."""
T = TypeVar("T")


def _now() -> datetime:
    return datetime.now(UTC)


class Store:
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
        self._mongo = mongo
        self._clock = clock
        self._coalescer = Coalescer(mongo)
        self._versions = Versions(mongo, self._coalescer)
        self._histories = Histories(mongo)
        self._facts = Facts(mongo, self._coalescer)
        self._layout = Layout(mongo)
        self.fence = Fence(derive)
        self._committer = Committer(mongo, self.fence, clock=clock, seal=seal, native_copy=native_copy)
        self._bulk = Bulk(mongo, self.fence, clock=clock, seal=seal, native_copy=native_copy)
        self.pace = Pace()
        self._transactor = Transactor(
            mongo, self._layout, self.fence, self.pace, clock=clock, seal=seal, native_copy=native_copy
        )
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
        any_layout: bool = False,
        types: Iterable[str] = FIRST_TYPES,
    ) -> Self:
        """The started store of this database, with collections for these types; others are made before their first write.

        Raises LayoutError, save where `any_layout` (to reindex), or Unavailable."""
        mongo = Mongo(url, database, query_ms=query_ms)
        store = cls(mongo, derive, clock=clock, seal=seal, native_copy=native_copy)
        try:
            await store.start(any_layout=any_layout, types=types)
        except BaseException:
            await mongo.close()
            raise
        return store

    async def start(self, *, any_layout: bool = False, types: Iterable[str] = FIRST_TYPES) -> None:
        """Check the layout, make the first collections, and share the key of the cursors."""
        if not any_layout:
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

    async def read(self, resource_type: str, id: str, permit: Permit) -> Version | None:
        """The current version, a visible tombstone included; None if absent or hidden. Reads of one turn are one query."""
        return await self._versions.read(resource_type, id, permit)

    async def vread(self, resource_type: str, id: str, version: int, permit: Permit) -> Version | None:
        """That version, if it and the current one are visible."""
        return await self._versions.vread(resource_type, id, version, permit)

    async def history(
        self, resource_type: str, id: str, permit: Permit, *, count: int, before: int | None = None
    ) -> tuple[list[Version], int]:
        """At most `count` visible versions below `before`, the newest first, and how many are visible in all."""
        return await self._versions.history(resource_type, id, permit, count=count, before=before)

    async def histories(self, span: Span, permit: Permit, *, after: Mark | None = None) -> Walked:
        """A page of the visible versions of types, by time, behind this mark."""
        return await self._histories.walk(span, permit, after)

    async def find(self, request: SearchRequest, permit: Permit, *, position: Position | None = None) -> Page:
        """The page of the search behind this position."""
        return await find(self._mongo, self._layout, request, permit, position)

    async def find_across(
        self, requests: Sequence[SearchRequest], permits: Sequence[Permit], *, place: Place | None = None
    ) -> Across:
        """The page of a search across types, each under its own permit, at this place."""
        return await find_across(self._mongo, self._layout, requests, permits, place)

    async def find_contained(
        self, request: SearchRequest, types: Sequence[str], permit: Permit, *, place: Place | None = None
    ) -> Across:
        """The page of a search of contained resources, in containers of these types as far as the permit shows them."""
        containers = Containers(types, frozenset(await self._layout.types()))
        return await find_contained(self._mongo, self._layout, request, containers, permit, place)

    async def facts(
        self, resource_type: str, which: Expression | Iterable[str], permit: Permit, *, limit: int = FACTS_LIMIT
    ) -> list[Document]:
        """The facts (`_id by security version deleted updated`) of the visible ones among these ids, tombstones included,
        or of at most `limit` resources of which the expression is true. The rows are shared: they are not to be changed."""
        if isinstance(which, Expression):
            return await self._facts.where(resource_type, which, permit, limit=limit)
        return await self._facts.of_ids(resource_type, which, permit)

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

    def prepare(self, write: Write) -> Prepared:
        """A write that is to create, made ready for `insert`; on any thread. Raises TooLarge."""
        return self._bulk.prepare(write)

    async def insert(
        self, units: Sequence[Sequence[Prepared]], in_doubt: Callable[[], None] = lambda: None
    ) -> list[bool]:
        """Create in bulk, each unit all or not at all; False for each of which something is there already: once `in_doubt` was
        called, perhaps by this very call."""
        for resource_type in {prepared.write.resource_type for unit in units for prepared in unit}:
            await self._layout.ensure(resource_type)
        return await self._bulk.insert(units, in_doubt)

    async def transact(self, body: Body[T], *, types: Iterable[str], keys: Collection[str] = ()) -> T:
        """Run the body in a transaction of its own, again after a transient error, and commit what it wrote.

        `types` are those that it may write. `keys` are locks that it holds: who shares one takes turns.
        """
        for resource_type in types:
            await self._layout.ensure(resource_type)
        await self._layout.ensure_rows(LOCKS)  # the body may take more of them
        return await self._transactor.run(body, keys)

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
