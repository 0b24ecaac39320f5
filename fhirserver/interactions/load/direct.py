"""The target that is this process's own store: new resources in bulk, everything else by the normal path, as the operator.

Validation, search values and security facts are those of any write. What is stored already with the same content is left alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Self, TypeVar

from msgspec import structs

from fhirserver.access.gate.request import Request
from fhirserver.access.principal import OPEN
from fhirserver.interactions.bundles import Done, Entry
from fhirserver.interactions.bundles.transaction import transaction
from fhirserver.interactions.context import Context, Services
from fhirserver.interactions.load.judge import PRINCIPAL, Judge, Judged, Part, Portion, request_id
from fhirserver.interactions.load.processes import Processes, Rules
from fhirserver.interactions.load.run import Checkpoint, Job
from fhirserver.interactions.load.sources import Text
from fhirserver.interactions.load.tally import Fate, Outcome
from fhirserver.interactions.load.units import Unit
from fhirserver.interactions.parameters.catalog import Catalog
from fhirserver.interactions.writing.candidate import identified
from fhirserver.interactions.writing.update import update
from fhirserver.model.json import dump, parse
from fhirserver.model.outcome import Conflict, FhirError, Unavailable
from fhirserver.model.resource import Resource
from fhirserver.search.permit import Permit

BATCH: Final = 1_000
BATCH_BYTES: Final = 16 * 1024 * 1024
"""Resources, and their bytes, of one transaction."""
ROWS: Final = "loads"
SIDE_BY_SIDE: Final = 100
"""Resources on the normal path at one time."""
PATIENCE: Final = 120.0
"""Seconds for which a database that cannot be reached, or holds what a killed load began, is asked again: MongoDB ends a transaction of
60 seconds, and looks for them every 30."""

NORMAL_PATH: Final = frozenset(
    ("Consent", "PractitionerRole", "Organization", "CareTeam", "Group", "RelatedPerson", "SearchParameter")
)
"""Types that give rights, or that the server itself goes by."""

T = TypeVar("T")
Ready = tuple[Sequence[Text], Judged]
"""Texts, and their judgement."""


@dataclass(slots=True, eq=False)
class _Flight:
    """A batch that is being written. `keys` are its resources, where the order does not matter to others."""

    keys: set[tuple[str, str]] | None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    has_landed: bool = False

    def may_go_beside(self, other: _Flight) -> bool:
        """Whether both may be written at one time."""
        return self.keys is not None and other.keys is not None and self.keys.isdisjoint(other.keys)

    async def landed(self) -> None:
        """Wait for it. Raises Unavailable where it failed: what comes after it is not to be written then."""
        await self.ended.wait()
        if not self.has_landed:
            raise Unavailable


class Direct:
    """Writes to the store of these services."""

    def __init__(self, services: Services, permit: Permit, processes: Processes | None = None) -> None:
        self._services = services
        self._permit = permit
        self._processes = processes
        self._judge = Judge(
            services.definitions, services.base_url, services.validator, services.derive, services.store.native_copy
        )
        self._rules = Rules(services.base_url, services.store.native_copy, services.guards_references, services.zone)
        self._rows = services.store.documents(ROWS)
        self._flights: list[_Flight] = []

    @classmethod
    async def of(cls, services: Services, processes: Processes | None = None) -> Self:
        """The target, with the operator's permit; `processes` judge for it, if there are any."""
        return cls(services, await services.gate.decide(OPEN, Request("update", "Basic")), processes)

    @property
    def ahead(self) -> int:
        """One batch is judged while another is written; each process has one, and the next at hand."""
        return 1 if self._processes is None else self._processes.count + 1

    @property
    def beside(self) -> int:
        """While MongoDB makes one batch durable another is sent, where the judgement is fast enough for that."""
        return 0 if self._processes is None else 1

    async def recall(self, key: str) -> Checkpoint | None:
        """Where an unfinished load of this content stands."""
        row = await self._rows.get(key)
        return None if row is None else Checkpoint.of(row)

    async def remember(self, key: str, checkpoint: Checkpoint) -> None:
        """Write down where it stands."""
        await self._patiently(lambda: self._rows.put({"_id": key, **checkpoint.as_row()}))

    async def forget(self, key: str) -> None:
        """It is done."""
        await self._patiently(lambda: self._rows.delete(key))

    async def judge(self, texts: Sequence[Text], job: Job) -> Ready:
        """Judge the texts, and make the bytes of what is to be written: in a process of its own, or on a thread of this one."""
        portion = Portion(job.source.digest, job.run, texts)
        if self._processes is None:
            judged = await asyncio.to_thread(self._judge.judge, portion)
        else:
            judged = await self._processes.judge(portion, self._rules, self._catalog())
        return texts, judged

    def _catalog(self) -> Catalog:
        """The search parameters beside R4's that are in force; what is derived by others is derived again when it is written."""
        keeper = self._services.parameters
        return Catalog() if keeper is None else keeper.catalog

    async def write(self, ready: Ready, job: Job) -> list[Outcome]:
        """Write them, and say what came of each."""
        _, judged = ready
        bulk = [part for part in judged.parts if self._is_bulk(part)]
        # What is about other resources has nothing to do with it, where all go in bulk.
        is_free = len(bulk) == len(judged.parts) and not judged.asking
        flight = _Flight({write.key for part in bulk for write in part.writes} if is_free else None)
        others = [each for each in self._flights if not each.may_go_beside(flight)]
        self._flights.append(flight)
        try:
            for each in others:
                await each.landed()
            outcomes = await self._write(ready, bulk, job)
            flight.has_landed = True
        finally:
            self._flights.remove(flight)
            flight.ended.set()
        return outcomes

    async def _write(self, ready: Ready, bulk: Sequence[Part], job: Job) -> list[Outcome]:
        texts, judged = ready
        outcomes = list(judged.outcomes)
        for batch in _batches(bulk):
            units = [part.writes for part in batch]
            done = await self._patiently(partial(self._services.store.insert, units, job.doubt), job)
            left: list[Part] = []
            for part, is_new in zip(batch, done, strict=True):
                if is_new:
                    outcomes += part.said(["created"] * len(part.writes))
                else:
                    left.append(part)
            outcomes += await self._normally(left, job)
        if len(bulk) < len(judged.parts):
            outcomes += await self._normally([part for part in judged.parts if not self._is_bulk(part)], job)
        for place in judged.asking:
            outcomes += await self._entries(job.units.of(texts[place]), job)
        return outcomes

    def _is_bulk(self, part: Part) -> bool:
        """Whether it may go in bulk: it gives no rights, and nothing has to be looked up for it."""
        if self._services.guards_references:
            return False
        return NORMAL_PATH.isdisjoint([each.resource_type for each in part.writes])

    async def _normally(self, parts: Sequence[Part], job: Job) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for first in range(0, len(parts), SIDE_BY_SIDE):
            # Writes of one resource keep their order: only different ones go side by side.
            lanes: dict[Any, list[Part]] = {}
            for part in parts[first : first + SIDE_BY_SIDE]:
                lanes.setdefault(None if part.whole else min(each.key for each in part.writes), []).append(part)
            for found in await asyncio.gather(*(self._lane(lane, job) for lane in lanes.values())):
                outcomes += found
        return outcomes

    async def _lane(self, lane: Sequence[Part], job: Job) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for part in lane:
            try:
                outcomes += part.said(await self._patiently(partial(self._put, part, job), job))
            except FhirError as error:
                outcomes.append(part.refused(error))
        return outcomes

    async def _put(self, part: Part, job: Job) -> list[Fate]:
        """The normal path: what differs is updated, together where the unit is whole."""
        resources = [each.resource for each in part.writes]
        fates = await asyncio.gather(*(self._standing(each, part.number, job) for each in resources))
        changed = [each for each, fate in zip(resources, fates, strict=True) if fate is None]
        context = self._context(part.number, job)
        if part.whole and changed:
            puts = [Entry("PUT", each["resourceType"], each["id"], body=each) for each in changed]
            created = iter([done.created for done in await transaction(context, puts)])
        else:
            created = iter(
                [(await update(context, each["resourceType"], each["id"], each)).created for each in changed]
            )
        return [fate if fate is not None else ("created" if next(created) else "updated") for fate in fates]

    async def _standing(self, resource: Resource, number: int, job: Job) -> Fate | None:
        """What is to be said of a resource that is stored just so; None where it is not."""
        store, resource_type, id = self._services.store, resource["resourceType"], resource["id"]
        version = await store.read(resource_type, id, self._permit)
        if version is None or version.json is None or not is_equal(parse(version.json), resource):
            return None
        return await self._earlier(resource_type, id, number, job)

    async def _earlier(self, resource_type: str, id: str, number: int, job: Job) -> Fate:
        """What is to be said of what is there already: what it was to this load, if it is what this text has written."""
        if job.is_uncertain:
            for row in await self._services.store.facts(resource_type, (id,), self._permit):
                if row["by"]["request"] == request_id(job.run, number):
                    return "deleted" if row["deleted"] else "created" if row["version"] == 1 else "updated"
        return "unchanged"

    async def _entries(self, unit: Unit, job: Job) -> list[Outcome]:
        """Entries with conditions, deletions: as a transaction, or each by itself."""
        if not unit.whole:
            return [
                outcome
                for each in unit.entries
                for outcome in await self._together(structs.replace(unit, entries=(each,)), job)
            ]
        return await self._together(unit, job)

    async def _together(self, unit: Unit, job: Job) -> list[Outcome]:
        entries = [entry for _, entry in unit.entries]
        ids = [job.units.new_id(unit.number, unit.entries[0][0] + place) for place in range(len(entries))]
        posts = iter(ids)  # each takes one, in their order
        own = [next(posts) if entry.method == "POST" else entry.id for entry in entries]
        try:
            done = await self._patiently(lambda: transaction(self._context(unit.number, job, ids), entries), job)
        except Conflict as error:
            if not await self._is_there(entries, own):
                return [self._refused(unit, error)]
            done = [Done()] * len(entries)
        except FhirError as error:
            return [self._refused(unit, error)]
        outcomes = []
        for (index, entry), each, id in zip(unit.entries, done, own, strict=True):
            fate: Fate = "unchanged"
            if each.written:
                fate = "deleted" if entry.method == "DELETE" else "created" if each.created else "updated"
            elif id is not None and (each.version is None or each.version.id == id):
                fate = await self._earlier(entry.resource_type, id, unit.number, job)
            outcomes.append(Outcome(unit.number, index, fate))
        return outcomes

    async def _is_there(self, entries: Sequence[Entry], own: Sequence[str | None]) -> bool:
        """Whether what these entries create without conditions, under ids of our making, is there: then they were done before."""
        ours = [
            (entry.resource_type, id)
            for entry, id in zip(entries, own, strict=True)
            if entry.method == "POST" and entry.criteria is None and id is not None
        ]
        found = [await self._services.store.facts(resource_type, (id,), self._permit) for resource_type, id in ours]
        return bool(ours) and all(found)

    def _refused(self, unit: Unit, error: FhirError) -> Outcome:
        entry = None if unit.whole else unit.entries[0][0]
        return Outcome(unit.number, entry, "refused", error, len(unit.entries))

    def _context(self, number: int, job: Job, ids: Sequence[str] = ()) -> Context:
        made: Iterator[str] = iter(ids)
        services = replace(self._services, new_id=lambda: next(made)) if ids else self._services
        return Context(services, PRINCIPAL, request_id(job.run, number))

    async def _patiently(self, action: Callable[[], Awaitable[T]], job: Job | None = None) -> T:
        """Do it, again while the database cannot be reached: what was written meanwhile is recognised as ours."""
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + PATIENCE, 0.1
        while True:
            try:
                return await action()
            except Unavailable:
                if loop.time() > deadline:
                    raise
                if job is not None:
                    job.doubt()
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)


def is_equal(stored: Resource, resource: Resource) -> bool:
    """Whether what is stored is this resource, but for what the server adds; the order of keys says nothing."""
    return dump(_ordered(identified(stored, resource["id"]))) == dump(_ordered(resource))


def _ordered(value: Any) -> Any:
    if type(value) is dict:
        return {key: _ordered(value[key]) for key in sorted(value)}
    if type(value) is list:
        return [_ordered(item) for item in value]
    return value


def _batches(parts: Iterable[Part]) -> Iterator[list[Part]]:
    """What goes in bulk, in batches in which no resource is twice."""
    batch: list[Part] = []
    keys: set[tuple[str, str]] = set()
    size = 0
    for part in parts:
        new = [write.key for write in part.writes]
        more = sum([write.size for write in part.writes])
        if batch and (len(keys) + len(new) > BATCH or size + more > BATCH_BYTES or not keys.isdisjoint(new)):
            yield batch
            batch, keys, size = [], set(), 0
        batch.append(part)
        keys.update(new)
        size += more
    if batch:
        yield batch
