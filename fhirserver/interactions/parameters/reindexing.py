"""The work of the jobs: what is stored is walked through, type by type, and derived again.

For new parameters only the current versions are, and the parameters are used when the walk is over. A plain reindex goes through the
older versions as well, as far as anything is derived from them. Both go on from where another server stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from fhirserver.interactions.parameters.catalog import Entry, State
from fhirserver.interactions.parameters.keeper import BUILD, Keeper
from fhirserver.jobs import Handler, Postponed, Run
from fhirserver.store import Store

REINDEX: Final = "reindex"
"""The kind of the jobs that derive again what types are named, or everything."""

Collection = tuple[str, bool]
"""A type, and whether it is about its older versions."""


class Reindexing:
    """Does both kinds of jobs."""

    def __init__(self, keeper: Keeper, store: Store) -> None:
        self._keeper = keeper
        self._store = store

    @property
    def handlers(self) -> dict[str, Handler]:
        """The work by the kind of job."""
        return {BUILD: self.build, REINDEX: self.reindex}

    async def build(self, run: Run) -> None:
        """Index what is stored for new parameters. Raises Postponed until every server writes their values."""
        keeper = self._keeper
        await keeper.refresh()
        wanted = {(each["id"], each["since"]) for each in run.job.task["entries"]}
        entries = [
            each for each in keeper.catalog.entries if (each.id, each.since) in wanted and each.state is State.WAITING
        ]
        if not entries:
            return
        generation = max(each.since for each in entries)
        # Once they all did, they always will: who comes later begins by the catalog as it is then.
        if run.job.position is None and not await keeper.everyone_knows(generation):
            raise Postponed
        types = _types(entries)
        for each in types:
            await run.during(self._store.adapt_indexes(each, keeper.searchables(each)))
        await self._walk(run, [(each, False) for each in types], generation)
        await keeper.ready((each.id, each.since) for each in entries)

    async def reindex(self, run: Run) -> None:
        """Derive again what is stored of these types, or of all."""
        types = run.job.task["types"] or await self._store.types()
        generation = self._store.fence.generation
        await self._walk(run, [(each, history) for each in sorted(types) for history in (False, True)], generation)

    async def _walk(self, run: Run, collections: Sequence[Collection], generation: int) -> None:
        store, position, done = self._store, run.job.position, run.job.done
        if position is None and collections:
            position = {"type": collections[0][0], "history": collections[0][1], "after": None}
        total = 0
        for resource_type, history in collections:
            total += await store.rows(f"{resource_type}.history" if history else resource_type)
        await run.advance(position=position, total=total)
        for place in collections[_place(position, collections) :]:
            after: Any = position["after"] if position is not None and _at(position) == place else None
            while (stride := await self._step(place, after, generation)) is not None:
                after, done = stride.after, done + stride.rows
                await run.advance(position={"type": place[0], "history": place[1], "after": after}, done=done)

    async def _step(self, place: Collection, after: Any, generation: int) -> Any:
        if self._store.fence.generation < generation or not self._store.fence.is_open:
            raise Postponed
        return await self._store.rederive(place[0], after, history=place[1])


def _types(entries: Sequence[Entry]) -> list[str]:
    return sorted({base for each in entries for base in each.bases})


def _at(position: Any) -> Collection:
    return position["type"], position["history"]


def _place(position: Any, collections: Sequence[Collection]) -> int:
    """Where in the row of collections a job goes on."""
    return collections.index(_at(position)) if position is not None and _at(position) in collections else 0
