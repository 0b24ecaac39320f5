"""The queue: one row a job, held by a server under a lease that it renews with every step.

Every change of a row names the turn that it was read at, so of two that change it at once one loses, and notices. The time is the
database's own: a lease does not depend on what the servers' clocks say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Self

from fhirserver.model.outcome import Conflict, TooManyRequests
from fhirserver.search.expression import In
from fhirserver.store.documents import Documents

ROWS: Final = "jobs"
LEASE: Final = timedelta(seconds=30)
"""How long a holder that says nothing keeps a job."""
MOST: Final = 100
"""Jobs that are not at their end; the next one is refused."""
KEPT: Final = 500
"""Jobs at their end that can still be asked about."""


class State(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


_OPEN: Final = frozenset((State.QUEUED.value, State.RUNNING.value))
_ENDED: Final = frozenset(State) - _OPEN


class Lost(Exception):
    """Somebody else has the job now, or it was cancelled."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job. `until` is the end of the lease, or while it waits, when it may be taken; `turn` grows with every change."""

    id: str
    kind: str
    task: Mapping[str, Any]
    created: datetime
    by: str = ""
    state: State = State.QUEUED
    position: Any = None
    done: int = 0
    total: int = 0
    holder: str = ""
    until: datetime | None = None
    ended: datetime | None = None
    reason: str = ""
    tries: int = 0
    turn: int = 0

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """The job of a row."""
        fields = {name: value for name, value in row.items() if name != "_id"}
        return cls(id=row["_id"], **(fields | {"state": State(row["state"])}))

    def as_row(self) -> dict[str, Any]:
        """Its row."""
        fields = asdict(self)
        return {"_id": fields.pop("id"), **fields, "state": self.state.value}

    @property
    def is_open(self) -> bool:
        """Whether it is not at its end."""
        return self.state.value in _OPEN

    @property
    def percent(self) -> int:
        """How far it is: the whole only at its end."""
        if self.state is State.COMPLETED:
            return 100
        return min(99, self.done * 100 // self.total) if self.total else 0


class Queue:
    """The jobs of the servers that share a database."""

    def __init__(self, rows: Documents, now: Callable[[], Awaitable[datetime]]) -> None:
        self._rows = rows
        self._now = now
        self._adding = asyncio.Lock()

    async def add(
        self, id: str, kind: str, task: Mapping[str, Any], *, by: str = "", most: int = MOST, once: bool = False
    ) -> Job:
        """A new job, or the one that has this id; or, `once`, one that is to do just this and has not begun.

        Raises TooManyRequests where too many wait, of all kinds or of this one. Who adds at the same moment takes turns, so
        the bounds hold, but for one more from each other process.
        """
        async with self._adding:
            waiting = await self.open()
            if once and (same := _same(waiting, kind, task)) is not None:
                return same
            job = await self._add(waiting, Job(id, kind, dict(task), await self._now(), by), most)
            await self._forget()
            return job

    async def _add(self, waiting: Sequence[Job], job: Job, most: int) -> Job:
        if len(waiting) >= MOST:
            raise TooManyRequests(f"There are {MOST} jobs that have not ended: cancel one, or wait.")
        if sum(each.kind == job.kind for each in waiting) >= most:
            raise TooManyRequests(f"There are {most} jobs of this kind that have not ended: cancel one, or wait.")
        try:
            await self._rows.insert(job.as_row())
        except Conflict:
            return await self.get(job.id) or job
        return job

    async def _forget(self) -> None:
        """Remove the oldest of those that have ended, where they are too many."""
        ended = [Job.of(row) for row in await self._rows.find(In("state", _ENDED))]
        ended.sort(key=lambda job: (job.ended or job.created, job.id), reverse=True)
        for job in ended[KEPT:]:
            await self._rows.delete(job.id, {"turn": job.turn})

    async def get(self, id: str) -> Job | None:
        """The job of this id."""
        row = await self._rows.get(id)
        return None if row is None else Job.of(row)

    async def open(self) -> list[Job]:
        """Those that are not at their end, the oldest first."""
        found = [Job.of(row) for row in await self._rows.find(In("state", _OPEN))]
        return sorted(found, key=lambda job: (job.created, job.id))

    async def cancel(self, id: str) -> Job | None:
        """End the job, if it is not at its end; whoever holds it notices at its next step."""
        while (job := await self.get(id)) is not None and job.is_open:
            try:
                return await self._change(job, state=State.CANCELLED, ended=await self._now(), holder="", until=None)
            except Lost:
                continue
        return job

    async def take(self, holder: str, passed: Iterable[str] = ()) -> Job | None:
        """The oldest job that nobody holds and that is not one of these, now held; None if there is none."""
        now, passed = await self._now(), set(passed)
        for job in await self.open():
            if job.id in passed or (job.until is not None and now < job.until):
                continue
            try:
                return await self._change(
                    job, state=State.RUNNING, holder=holder, until=now + LEASE, tries=job.tries + 1
                )
            except Lost:
                continue
        return None

    async def advance(self, job: Job, **changes: Any) -> Job:
        """Write down how far the job is, and hold it on. Raises Lost."""
        return await self._change(job, until=await self._now() + LEASE, **changes)

    async def put_back(self, job: Job, *, after: timedelta = timedelta(), tries: int | None = None) -> Job:
        """Let go of the job, for somebody to take it later. Raises Lost."""
        until = await self._now() + after
        tries = job.tries if tries is None else tries
        return await self._change(job, state=State.QUEUED, holder="", until=until, tries=tries)

    async def end(self, job: Job, state: State, reason: str = "") -> Job:
        """The job is at its end. Raises Lost."""
        return await self._change(job, state=state, reason=reason, ended=await self._now(), holder="", until=None)

    async def _change(self, job: Job, **changes: Any) -> Job:
        changed = replace(job, turn=job.turn + 1, **changes)
        if not await self._rows.replace(changed.as_row(), {"turn": job.turn}):
            raise Lost
        return changed


def _same(waiting: Iterable[Job], kind: str, task: Mapping[str, Any]) -> Job | None:
    """One of these that is to do just this, and has not begun."""
    for job in waiting:
        if (job.kind, job.task, job.state, job.position) == (kind, task, State.QUEUED, None):
            return job
    return None
