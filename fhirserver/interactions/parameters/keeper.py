"""The keeper: one server's part in keeping the catalog.

Every server has a row that says since when it lives and which generation of the catalog it works by; it says so only when nothing
derived by an older one is on its way to the database any more. Stored resources are indexed for a parameter once every server that
may be alive works by its generation, so what was written before is found by the walk, and what is written after has the values.

A server that has not signed for `DEAD` counts for nothing. It cannot do harm: for `TRUST` after it signed it may begin to commit,
and what it began MongoDB ends after `TRANSACTION_SECONDS`. It signs before it reads the catalog, so a generation that it does not
know of came after its row, and whoever waits for that generation waits for this server.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from fhirserver.definitions import Definitions
from fhirserver.interactions.parameters.catalog import KEY, ROWS, Catalog, Entry, State, derived_by, searched_by
from fhirserver.interactions.parameters.derivation import Derivation
from fhirserver.jobs import Job, Queue
from fhirserver.model.json import parse
from fhirserver.model.outcome import Conflict, Unavailable, Unprocessable
from fhirserver.search.custom import Custom, custom
from fhirserver.search.expression import All
from fhirserver.search.permit import Permit
from fhirserver.search.registry import Searchable, registry
from fhirserver.store import Store
from fhirserver.store.commit.fence import TRANSACTION_SECONDS, seconds
from fhirserver.store.layout.further import lead

PERIOD: Final = 2.0
"""Seconds between two looks at the catalog."""
BEAT: Final = 10.0
"""Seconds between two signatures."""
TRUST: Final = 30.0
"""Seconds for which a server may rely on what it knew when it signed."""
COMMITTED: Final = 0.2
"""Seconds after which what is being written can mostly be read."""
DEAD: Final = timedelta(seconds=TRUST + TRANSACTION_SECONDS + 10)
"""After so long without a signature nothing comes from a server any more."""

CHANGES: Final = "catalogchanges"
"""A row for each write of a SearchParameter that the catalog has still to take in; written with it."""
SERVERS: Final = "servers"
BUILD: Final = "parameters"
"""The kind of the jobs that index what is stored for new parameters."""
SEARCH_PARAMETER: Final = "SearchParameter"

_PATIENCE: Final = 5.0
_CHANGES_LIMIT: Final = 200
_TRIES: Final = 20

_log = logging.getLogger("fhirserver.parameters")


@dataclass(frozen=True, slots=True)
class Means:
    """What a keeper works with; `name` is the server's own."""

    core: Definitions
    store: Store
    derivation: Derivation
    name: str
    clock: Callable[[], float] = seconds


class Keeper:
    """Knows the catalog, and what of it is in force on this server."""

    def __init__(self, means: Means) -> None:
        self._means = means
        store = means.store
        self.queue = Queue(store.documents("jobs"), store.database_time)
        self._rows = store.documents(ROWS)
        self._changes = store.documents(CHANGES)
        self._servers = store.documents(SERVERS)
        self.catalog = Catalog()
        self._searched = self._unsure = means.core
        self._known = -1
        self._signed: float | None = None
        self._rising: asyncio.Task[None] | None = None
        self._queued: set[int] = set()
        self._turn = asyncio.Lock()
        self._stirred = asyncio.Event()

    @property
    def definitions(self) -> Definitions:
        """Those by which searches are read at this moment."""
        if not self.catalog.entries or self._means.store.fence.is_open:
            return self._searched
        return self._unsure

    async def start(self) -> None:
        """Take part: nothing is committed before the catalog was read."""
        store = self._means.store
        store.fence.allow(self._means.clock())
        store.fence.renew = self.refresh
        self._signed = None
        for name in (ROWS, CHANGES, SERVERS, "jobs"):
            await store.ensure_rows(name)
        await self.refresh()

    async def stop(self) -> None:
        """Take part no longer; called when the last write has ended."""
        if self._rising is not None:
            self._rising.cancel()
        self._means.store.fence.allow(self._means.clock())
        try:
            await self._servers.delete(self._means.name)
        except Exception as error:  # the others wait for it a little longer
            _log.warning("parameters.stop", exc_info=error)

    @property
    def name(self) -> str:
        """This server's."""
        return self._means.name

    @property
    def core(self) -> Definitions:
        """R4's own."""
        return self._means.core

    @property
    def derivation(self) -> Derivation:
        """What reads resources when they are stored."""
        return self._means.derivation

    def stir(self) -> None:
        """Something is being written that the catalog has to take in."""
        asyncio.get_running_loop().call_later(COMMITTED, self._stirred.set)

    async def run(self) -> None:
        """Keep on, until cancelled. What fails is tried again; if it fails for long nothing is committed here."""
        while True:
            try:
                async with asyncio.timeout(PERIOD):
                    await self._stirred.wait()
            except TimeoutError:
                pass
            self._stirred.clear()
            try:
                await self.refresh()
            except Exception as error:
                _log.warning("parameters.refresh", exc_info=error)

    async def refresh(self) -> None:
        """Sign if it is time, take in what was written, and work by the catalog as it is now."""
        async with self._turn:
            now = self._means.clock()
            signs = self._signed is None or now - self._signed >= BEAT
            if signs:
                await self._sign()
            catalog = await self._looked()
            if catalog.generation != self.catalog.generation or self._known < 0:
                await self._adopt(catalog)
            await self._acknowledge()
            if signs:
                self._signed = now
                self._means.store.fence.allow(now + TRUST)
            await self._order()

    async def take_in(self, id: str) -> Entry | None:
        """Look at a SearchParameter anew; what it is in the catalog."""
        await self._changes.put({"_id": id, "id": id})
        await self.refresh()
        return self.catalog.entry(id)

    async def build(self, entry: Entry, id: str, *, by: str) -> Job:
        """The job that indexes what is stored for a parameter: the one that is there, or a new one under this id."""
        task = build_task([(entry.id, entry.since)])
        for job in await self.queue.open():
            if job.kind == BUILD and {"id": entry.id, "since": entry.since} in job.task["entries"]:
                return job
        return await self.queue.add(id, BUILD, task, by=by)

    async def everyone_knows(self, generation: int) -> bool:
        """Whether every server that may be alive works by this generation, or a later one."""
        now = await self._means.store.database_time()
        rows = await self._servers.find(All())
        for row in rows:
            if now - row["at"] > 10 * DEAD:
                await self._servers.delete(row["_id"], {"at": row["at"]})
        return all(row["generation"] >= generation or now - row["at"] > DEAD for row in rows)

    async def ready(self, done: Iterable[tuple[str, int]]) -> None:
        """These parameters, of these generations, are indexed."""
        done = list(done)
        while True:
            catalog = Catalog.of(await self._rows.get(KEY))
            changed = catalog.readied(done)
            if changed is catalog or await self._replace(catalog, changed):
                break
        await self.refresh()

    def searchables(self, resource_type: str) -> list[Searchable]:
        """The parameters of a type that the catalog adds, in use or not yet."""
        definitions = derived_by(self._means.core, self.catalog)
        known = registry(definitions, resource_type).searchable
        return [known[code] for code in definitions.further_parameters(resource_type)]

    # The catalog

    async def _looked(self) -> Catalog:
        for _ in range(_TRIES):
            with suppress(Conflict):  # another server was first: what it made of it counts
                return await self._revised(Catalog.of(await self._rows.get(KEY)))
        raise Unavailable

    async def _revised(self, catalog: Catalog) -> Catalog:
        """The catalog with what was written since."""
        rows = await self._changes.find(All(), limit=_CHANGES_LIMIT)
        if rows:
            found = {id: await self._custom(id) for id in sorted({row["id"] for row in rows})}
            catalog = await self._changed(catalog, catalog.revised(found))
            leaving = {each.id for each in catalog.entries if each.state is State.LEAVING}
            for row in rows:
                if row["id"] not in leaving:  # else it is to come again, or not, when it has left
                    await self._changes.delete(row["_id"])
        leaving_since = [each.since for each in catalog.entries if each.state is State.LEAVING]
        if leaving_since and await self.everyone_knows(max(leaving_since)):
            types = {base for each in catalog.entries if each.state is State.LEAVING for base in each.bases}
            catalog = await self._changed(catalog, catalog.left())
            await self._drop_indexes(catalog, types)
            self.stir()
        return catalog

    async def _custom(self, id: str) -> Custom | None:
        """The parameter that the stored resource adds now."""
        permit = Permit.system("catalog")
        store = self._means.store
        version = await store.read(SEARCH_PARAMETER, id, permit)
        if version is None or version.json is None:
            return None
        [facts] = await store.facts(SEARCH_PARAMETER, (id,), permit)
        if facts["security"].get("owners"):
            return None  # it is part of somebody's record, and nobody else's business
        try:
            return custom(self._means.core, parse(version.json))
        except Unprocessable:
            return None  # stored by a program that judged it otherwise

    async def _changed(self, catalog: Catalog, changed: Catalog) -> Catalog:
        if changed is catalog:
            return catalog
        if not await self._replace(catalog, changed):
            raise Conflict
        return changed

    async def _replace(self, catalog: Catalog, changed: Catalog) -> bool:
        if catalog.generation:
            return await self._rows.replace(changed.as_row(), {"generation": catalog.generation})
        try:
            await self._rows.insert(changed.as_row())
        except Conflict:
            return False
        return True

    async def _drop_indexes(self, catalog: Catalog, types: Iterable[str]) -> None:
        definitions = derived_by(self._means.core, catalog)
        for each in sorted(types):
            known = registry(definitions, each).searchable
            await self._means.store.adapt_indexes(each, [known[code] for code in definitions.further_parameters(each)])

    # This server

    async def _sign(self) -> None:
        at = await self._means.store.database_time()
        await self._servers.put({"_id": self._means.name, "at": at, "generation": self._known})

    async def _adopt(self, catalog: Catalog) -> None:
        """Work by this catalog: first what is written, then what is searched by."""
        means = self._means
        types = {base for each in (*catalog.entries, *self.catalog.entries) for base in each.bases}
        definitions = derived_by(means.core, catalog)
        searched, unsure = searched_by(means.core, catalog), searched_by(means.core, catalog, sure=False)
        extractor = await asyncio.to_thread(means.derivation.prepared, definitions, types)
        for each in types:
            await asyncio.to_thread(registry, searched, each)
        means.derivation.adopt(extractor, catalog.generation)
        if self._rising is not None:
            self._rising.cancel()
        self._rising = asyncio.create_task(means.store.fence.rise(catalog.generation))
        self.catalog, self._searched, self._unsure = catalog, searched, unsure
        means.store.lead_by({each: _leads(definitions, each) for each in types})

    async def _acknowledge(self) -> None:
        """Sign for the generation once nothing older is on its way; that is given some time, and looked for again later."""
        if self._rising is None:
            return
        done, _ = await asyncio.wait((self._rising,), timeout=_PATIENCE)
        if done:
            self._rising.result()
            self._rising = None
            self._known = self.catalog.generation
            await self._sign()

    async def _order(self) -> None:
        """A job for each generation of parameters that wait; the same whoever orders it."""
        for since in {each.since for each in self.catalog.entries if each.state is State.WAITING} - self._queued:
            entries = [each for each in self.catalog.entries if each.state is State.WAITING and each.since == since]
            await self.queue.add(f"parameters-{since}", BUILD, build_task((each.id, each.since) for each in entries))
            self._queued.add(since)


async def inform(means: Means) -> None:
    """Derive by the catalog as it is now, without a part in keeping it: enough for who writes no versions."""
    catalog = Catalog.of(await means.store.documents(ROWS).get(KEY))
    extractor = means.derivation.prepared(derived_by(means.core, catalog), ())
    means.derivation.adopt(extractor, catalog.generation)
    means.store.fence.generation = catalog.generation


def build_task(entries: Iterable[tuple[str, int]]) -> dict[str, object]:
    """What a job that indexes for these parameters is to do."""
    return {"entries": [{"id": id, "since": since} for id, since in entries]}


def _leads(definitions: Definitions, resource_type: str) -> frozenset[str]:
    known = registry(definitions, resource_type).searchable
    paths = (lead(known[code]) for code in definitions.further_parameters(resource_type))
    return frozenset(path for path in paths if path is not None)
