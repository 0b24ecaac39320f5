"""A worker: takes jobs one after the other, and runs each to its end, or as far as it gets.

A server that dies leaves its job to the others: its lease ends, and who takes it goes on from the position that was written down.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final, TypeVar

from fhirserver.jobs.queue import LEASE, Job, Lost, Queue, State
from fhirserver.model.outcome import FhirError

TRIES: Final = 5
"""How often a job that fails is begun."""
PAUSE: Final = timedelta(seconds=10)
"""After a failure; longer after each."""
_FAILED: Final = "The server could not do it; its log says why."

T = TypeVar("T")

_log = logging.getLogger("fhirserver.jobs")


class Postponed(Exception):
    """The work cannot begin, or go on, yet."""


class Run:
    """A job in the hands of its holder."""

    def __init__(self, queue: Queue, job: Job) -> None:
        self._queue = queue
        self.job = job

    async def advance(self, **changes: Any) -> None:
        """Write down `position`, `done`, `total`. Raises Lost where somebody else holds the job, or nobody may any more."""
        self.job = await self._queue.advance(self.job, **changes)

    async def during(self, work: Awaitable[T]) -> T:
        """What one long piece of work gives; the job is held meanwhile. Raises Lost, and then the work is left."""
        task = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait((task,), timeout=LEASE.total_seconds() / 3))[0]:
                await self.advance()
        except BaseException:
            task.cancel()
            raise
        return task.result()


Handler = Callable[[Run], Awaitable[None]]
"""Does the work of a kind of jobs; what it did before `Run.advance` may be done again."""


class Worker:
    """One server's hands."""

    def __init__(self, queue: Queue, holder: str, handlers: Mapping[str, Handler]) -> None:
        self._queue = queue
        self._holder = holder
        self._handlers = handlers

    async def work(self) -> int:
        """Take what there is to do; how many jobs came to their end here."""
        passed: set[str] = set()
        ended = 0
        while (job := await self._queue.take(self._holder, passed)) is not None:
            passed.add(job.id)
            ended += await self._run(job)
        return ended

    async def _run(self, job: Job) -> bool:
        run = Run(self._queue, job)
        try:
            if job.kind not in self._handlers:
                raise Postponed  # a newer program than this one knows what it is
            await self._handlers[job.kind](run)
            await self._queue.end(run.job, State.COMPLETED)
        except Lost:
            return False
        except Postponed:
            await self._let_go(run.job, tries=job.tries - 1)
            return False
        except asyncio.CancelledError:
            await self._let_go(run.job, tries=job.tries - 1)
            raise
        except Exception as error:
            return await self._failed(run.job, error)
        return True

    async def _failed(self, job: Job, error: Exception) -> bool:
        _log.warning("job.failed", extra={"kind": job.kind, "job": job.id, "try": job.tries}, exc_info=error)
        with suppress(Lost):
            if job.tries < TRIES:
                await self._queue.put_back(job, after=PAUSE * job.tries)
                return False
            await self._queue.end(job, State.FAILED, _reason(error))
        return True

    async def _let_go(self, job: Job, *, tries: int) -> None:
        with suppress(Lost):
            await self._queue.put_back(job, tries=tries)


def _reason(error: Exception) -> str:
    """What a client is told: nothing of what went wrong inside."""
    return str(error) if isinstance(error, FhirError) and error.status < 500 else _FAILED
