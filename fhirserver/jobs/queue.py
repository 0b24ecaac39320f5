"""The queue: one row a job, held by a server under a lease that it renews with every step.

Every change of a row names the turn that it was read at, so of two that change it at once one loses, and notices. The time is the
database's own: a lease does not depend on what the servers' clocks say.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
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


class State(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


_OPEN: Final = frozenset((State.QUEUED.value, State.RUNNING.value))


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

    async def add(self, id: str, kind: str, task: Mapping[str, Any], *, by: str = "", most: int = MOST) -> Job:
        """A new job, or the one that has this id. Raises TooManyRequests where too many wait, of all kinds or of this one."""
        waiting = await self.open()
        if len(waiting) >= MOST:
            raise TooManyRequests(f"There are {MOST} jobs that have not ended: cancel one, or wait.")
        if sum(job.kind == kind for job in waiting) >= most:
            raise TooManyRequests(f"There are {most} jobs of this kind that have not ended: cancel one, or wait.")
        job = Job(id, kind, dict(task), await self._now(), by)
        try:
            await self._rows.insert(job.as_row())
        except Conflict:
            return await self.get(id) or job
        return job

    async def get(self, id: str) -> Job | None:
        """The job of this id."""
        row = await self._rows.get(id)
        return None if row is None else Job.of(row)

    async def open(self) -> list[Job]:
        """Those that are not at their end, the oldest first."""
        found = [Job.of(row) for row in await self._rows.find(In("state", _OPEN))]
        return sorted(found, key=lambda job: (job.created, job.id))

    async def waiting(self, kind: str, task: Mapping[str, Any]) -> Job | None:
        """A job that is to do just this, and has not begun."""
        for job in await self.open():
            if (job.kind, job.task, job.state, job.position) == (kind, task, State.QUEUED, None):
                return job
        return None

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
