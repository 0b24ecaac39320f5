"""The target that is this process's own store: new resources in bulk, everything else by the normal path, as the operator.

Validation, search values and security facts are those of any write. What is stored already with the same content is left alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Self, TypeVar

from fhirserver.access.principal import OPEN
from fhirserver.interactions.bundles import Entry
from fhirserver.interactions.candidate import check_references, identified
from fhirserver.interactions.context import Context, Services
from fhirserver.interactions.load.run import Checkpoint, Job
from fhirserver.interactions.load.tally import Fate, Outcome
from fhirserver.interactions.load.units import Candidate, Unit
from fhirserver.interactions.transaction import placed, transaction
from fhirserver.interactions.update import update
from fhirserver.model.json import dump, parse
from fhirserver.model.outcome import Conflict, FhirError, Unavailable
from fhirserver.model.resource import Resource
from fhirserver.search.permit import Permit
from fhirserver.store import Prepared, Write
from fhirserver.validation import error_for

CLIENT: Final = "load"
BATCH: Final = 1_000
BATCH_BYTES: Final = 16 * 1024 * 1024
"""Resources, and their bytes, of one transaction."""
ROWS: Final = "loads"
SIDE_BY_SIDE: Final = 100
"""Resources on the normal path at one time."""
PATIENCE: Final = 60.0
"""Seconds for which a database that cannot be reached is asked again."""

NORMAL_PATH: Final = frozenset(
    ("Consent", "PractitionerRole", "Organization", "CareTeam", "Group", "RelatedPerson", "SearchParameter")
)
"""Types that give rights, or that the server itself goes by."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part:
    """What is written together: one resource, or a unit that is whole."""

    unit: Unit
    candidates: tuple[Candidate, ...]
    writes: tuple[Prepared, ...]

    @property
    def keys(self) -> set[tuple[str, str]]:
        """The resources that it is about."""
        return {(each.write.resource_type, each.write.id) for each in self.writes}

    def said(self, fates: Sequence[Fate]) -> list[Outcome]:
        """What came of each resource."""
        together = zip(self.candidates, fates, strict=True)
        return [Outcome(self.unit.number, candidate.entry, fate) for candidate, fate in together]

    def refused(self, error: FhirError) -> Outcome:
        """It was refused, with all that belongs to it."""
        entry = None if self.unit.whole else self.candidates[0].entry
        return Outcome(self.unit.number, entry, "refused", error, len(self.candidates))


@dataclass(frozen=True, slots=True)
class Ready:
    """A unit, judged: what is to be written, and what came of it already."""

    unit: Unit
    parts: tuple[Part, ...]
    outcomes: tuple[Outcome, ...]


class Direct:
    """Writes to the store of these services."""

    def __init__(self, services: Services, permit: Permit) -> None:
        self._services = services
        self._permit = permit
        self._rows = services.store.documents(ROWS)
        self._principal = replace(OPEN, client=CLIENT)

    @classmethod
    async def of(cls, services: Services) -> Self:
        """The target, with the operator's permit."""
        return cls(services, await services.gate.decide(OPEN, "update", "Basic", ids=()))

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

    # On a thread: nothing here touches the loop or the database

    def prepare(self, units: Sequence[Unit], job: Job) -> list[Ready]:
        """Judge the units, and make the bytes of what is to be written."""
        return [self._prepare(unit, job) for unit in units]

    def _prepare(self, unit: Unit, job: Job) -> Ready:
        failures = list(unit.refusals)
        writes: list[Prepared] = []
        candidates: list[Candidate] = []
        for each in unit.candidates:
            try:
                writes.append(self._write(each.resource, job.request(unit)))
                candidates.append(each)
            except FhirError as error:
                failures.append((each.entry, error))
        if failures and unit.whole:
            failures.sort(key=lambda each: each[0] or 0)
            refusal = placed([(entry or 0, error) for entry, error in failures])
            return Ready(unit, (), (Outcome(unit.number, None, "refused", refusal, unit.count),))
        refused = tuple(Outcome(unit.number, entry, "refused", why) for entry, why in failures)
        if unit.whole:
            return Ready(unit, (Part(unit, tuple(candidates), tuple(writes)),) if writes else (), refused)
        together = zip(candidates, writes, strict=True)
        return Ready(unit, tuple(Part(unit, (candidate,), (write,)) for candidate, write in together), refused)

    def _write(self, resource: Resource, request: str) -> Prepared:
        services, resource_type = self._services, resource["resourceType"]
        error = error_for(services.validator.validate(resource, resource_type=resource_type))
        if error is not None:
            raise error
        check_references(resource, services.base_url)
        return services.store.prepare(
            Write(
                method="PUT",
                resource_type=resource_type,
                id=resource["id"],
                resource=resource,
                derived=services.derive(resource_type, resource),
                by=self._principal.by(request),
                permit=self._permit,
                may_create=True,
            )
        )

    # In the loop

    async def write(self, ready: Sequence[Ready], job: Job) -> list[Outcome]:
        """Write them, and say what came of each."""
        outcomes = [outcome for each in ready for outcome in each.outcomes]
        parts = [part for each in ready for part in each.parts]
        for batch in _batches(part for part in parts if self._is_bulk(part)):
            done = await self._patiently(partial(self._services.store.insert, [part.writes for part in batch]), job)
            left: list[Part] = []
            for part, is_new in zip(batch, done, strict=True):
                if is_new:
                    outcomes += part.said(["created"] * len(part.candidates))
                else:
                    left.append(part)
            outcomes += await self._normally(left, job)
        outcomes += await self._normally([part for part in parts if not self._is_bulk(part)], job)
        for each in ready:
            if each.unit.entries and not (each.unit.whole and each.outcomes):
                outcomes += await self._entries(each.unit, job)
        return outcomes

    def _is_bulk(self, part: Part) -> bool:
        """Whether it may go in bulk: it gives no rights, and nothing has to be looked up for it."""
        if self._services.guards_references:
            return False
        return all(each.write.resource_type not in NORMAL_PATH for each in part.writes)

    async def _normally(self, parts: Sequence[Part], job: Job) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for first in range(0, len(parts), SIDE_BY_SIDE):
            # Writes of one resource keep their order: only different ones go side by side.
            lanes: dict[Any, list[Part]] = {}
            for part in parts[first : first + SIDE_BY_SIDE]:
                lanes.setdefault(None if part.unit.whole else min(part.keys), []).append(part)
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
        unit = part.unit
        fates = await asyncio.gather(*(self._standing(each.resource, unit, job) for each in part.candidates))
        changed = [each.resource for each, fate in zip(part.candidates, fates, strict=True) if fate is None]
        context = self._context(unit, job)
        if unit.whole and changed:
            puts = [Entry("PUT", each["resourceType"], each["id"], body=each) for each in changed]
            created = iter([done.created for done in await transaction(context, puts)])
        else:
            created = iter(
                [(await update(context, each["resourceType"], each["id"], each)).created for each in changed]
            )
        return [fate if fate is not None else ("created" if next(created) else "updated") for fate in fates]

    async def _standing(self, resource: Resource, unit: Unit, job: Job) -> Fate | None:
        """What is to be said of a resource that is stored just so; None where it is not."""
        store, resource_type, id = self._services.store, resource["resourceType"], resource["id"]
        version = await store.read(resource_type, id, self._permit)
        if version is None or version.json is None or not is_equal(parse(version.json), resource):
            return None
        if job.is_uncertain:
            [row] = await store.facts(resource_type, (id,), self._permit)
            if row["by"]["request"] == job.request(unit):
                return "created" if version.version == 1 else "updated"
        return "unchanged"

    async def _entries(self, unit: Unit, job: Job) -> list[Outcome]:
        """Entries with conditions, deletions: as a transaction, or each by itself."""
        if not unit.whole:
            return [
                outcome
                for each in unit.entries
                for outcome in await self._together(replace(unit, entries=(each,)), job)
            ]
        return await self._together(unit, job)

    async def _together(self, unit: Unit, job: Job) -> list[Outcome]:
        entries = [entry for _, entry in unit.entries]
        ids = [job.units.new_id(unit.number, unit.entries[0][0] + place) for place in range(len(entries))]
        try:
            done = await self._patiently(lambda: transaction(self._context(unit, job, ids), entries), job)
        except Conflict as error:
            if await self._is_there(entries, ids):
                return [Outcome(unit.number, index, "unchanged") for index, _ in unit.entries]
            return [self._refused(unit, error)]
        except FhirError as error:
            return [self._refused(unit, error)]
        outcomes = []
        for (index, entry), each in zip(unit.entries, done, strict=True):
            fate: Fate = "unchanged"
            if each.written:
                fate = "deleted" if entry.method == "DELETE" else "created" if each.created else "updated"
            outcomes.append(Outcome(unit.number, index, fate))
        return outcomes

    async def _is_there(self, entries: Sequence[Entry], ids: Sequence[str]) -> bool:
        """Whether what these entries create without conditions, under ids of our making, is there: then they were done before."""
        posts = [entry for entry in entries if entry.method == "POST"]
        ours = [(entry, id) for entry, id in zip(posts, ids, strict=False) if entry.criteria is None]
        store = self._services.store
        found = [await store.facts(entry.resource_type, (id,), self._permit) for entry, id in ours]
        return bool(ours) and all(found)

    def _refused(self, unit: Unit, error: FhirError) -> Outcome:
        entry = None if unit.whole else unit.entries[0][0]
        return Outcome(unit.number, entry, "refused", error, len(unit.entries))

    def _context(self, unit: Unit, job: Job, ids: Sequence[str] = ()) -> Context:
        made: Iterator[str] = iter(ids)
        services = replace(self._services, new_id=lambda: next(made)) if ids else self._services
        return Context(services, self._principal, job.request(unit))

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
                    job.is_uncertain = True
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
        new = part.keys
        more = sum(write.size for write in part.writes)
        if batch and (len(keys) + len(new) > BATCH or size + more > BATCH_BYTES or not keys.isdisjoint(new)):
            yield batch
            batch, keys, size = [], set(), 0
        batch.append(part)
        keys |= new
        size += more
    if batch:
        yield batch
