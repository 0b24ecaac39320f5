"""Group commit: writes that wait while a commit is in flight go to MongoDB together in the next single transaction.

There is no timer and one group in flight: a lone client pays nothing, many share the cost of the round trips and of the journal.

https://www.mongodb.com/docs/manual/core/transactions/
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import pymongo

from fhirserver.model.outcome import Conflict, FhirError, Unavailable
from fhirserver.store.commit.attempt import Attempt, Outcome, Taken
from fhirserver.store.commit.ending import abort, finish, is_timeout, is_transient, is_unknown, may_come_back
from fhirserver.store.commit.means import Means
from fhirserver.store.commit.prepare import Prepared, prepare_beside
from fhirserver.store.commit.write import Write, Written
from fhirserver.store.connection.client import DURABLE, Mongo, Session, fresh, translated
from fhirserver.store.history.feed import COMMIT_BOUND

MEMBERS: Final = 200
BYTES: Final = 4 * 1024 * 1024
QUEUE: Final = 5_000
"""Writes that may wait; the next one is told to come again."""

ABORTS: Final = 2
"""After so many aborts the members of a group go alone."""

_PAUSE: Final = 0.005
_LONGEST_PAUSE: Final = 0.25


class HeldUp(Exception):
    """Somebody else's transaction is in the way, or the connection broke: a later try may succeed."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    prepared: Prepared
    answer: asyncio.Future[Written | None]
    deadline: float


class Committer:
    """The queue of writes, and the one task that commits them."""

    def __init__(self, mongo: Mongo, means: Means) -> None:
        self._mongo = mongo
        self._means = means
        self._fence = means.fence
        self._queue: deque[_Waiting] = deque()
        self._runner: asyncio.Task[None] | None = None
        self._alone: set[asyncio.Task[None]] = set()

    async def commit(self, write: Write) -> Written | None:
        """The write, once it is on disk; None if there was nothing to delete."""
        if len(self._queue) + len(self._alone) >= QUEUE:
            raise Unavailable("Too many writes are waiting. Try again later.")
        prepared = await prepare_beside(write, native_copy=self._means.native_copy)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(prepared, loop.create_future(), loop.time() + COMMIT_BOUND.total_seconds())
        self._queue.append(waiting)
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())
        return await waiting.answer

    async def close(self) -> None:
        """Finish what was taken on."""
        while self._runner is not None or self._alone:
            await asyncio.gather(*self._alone, *([self._runner] if self._runner is not None else ()))

    async def _run(self) -> None:
        try:
            async with self._mongo.client.start_session(causal_consistency=False) as session:
                while group := self._take():
                    try:
                        await self._fly(session, group)
                    except Exception as error:
                        _refuse(group, error)
        except Exception as error:
            _refuse(list(self._queue), error)
            self._queue.clear()
        finally:
            self._runner = None
            if self._queue:
                self._runner = asyncio.create_task(self._run())

    def _take(self) -> list[_Waiting]:
        """The next group, in order of arrival; a second write of one resource waits for the group after."""
        group: list[_Waiting] = []
        left: list[_Waiting] = []
        keys: set[tuple[str, str]] = set()
        size = 0
        while self._queue and len(group) < MEMBERS:
            waiting = self._queue.popleft()
            if waiting.answer.done():
                continue  # its caller has gone
            write = waiting.prepared.write
            key = (write.resource_type, write.id)
            if key in keys:
                left.append(waiting)
            elif group and size + waiting.prepared.size > BYTES:
                left.append(waiting)
                break
            else:
                group.append(waiting)
                size += waiting.prepared.size
            keys.add(key)
        self._queue.extendleft(reversed(left))
        return group

    async def _fly(self, session: Session, group: Sequence[_Waiting]) -> None:
        await self._fence.opened()
        with self._fence.flight():
            fresh = partial(self._fence.freshly, native_copy=self._means.native_copy)
            await self._commit(session, [replace(each, prepared=fresh(each.prepared)) for each in group])

    async def _commit(self, session: Session, group: Sequence[_Waiting], *, once: bool = False) -> None:
        """Try until it is done, or is known to be impossible, or the time is up; raises HeldUp after one try if it is `once`."""
        aborted, pause = 0, _PAUSE
        before: Exception | None = None
        while True:
            try:
                outcomes = await self._attempt(session, group, check_ids=aborted > 0)
            except Exception as error:
                if isinstance(error, Unavailable):
                    raise error from before  # the time is up: what took it is the cause
                if is_unknown(error) or is_timeout(error):
                    raise Unavailable from error
                before = error
                if not await may_come_back(self._mongo, error):
                    aborted += 1
                    if len(group) == 1 and not is_transient(error):
                        if isinstance(error, Taken):
                            raise Conflict from error
                        with translated():
                            raise
                    if len(group) > 1 and aborted == ABORTS:
                        break
            else:
                _hand_out(group, outcomes)
                return
            if once:
                raise HeldUp
            await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311  # jitter is no secret
            pause = min(pause * 2, _LONGEST_PAUSE)
        await self._one_by_one(session, group)

    async def _one_by_one(self, session: Session, group: Sequence[_Waiting]) -> None:
        """Each in a transaction of its own, and one that is held up by somebody else's lock beside the queue: it must not make
        its neighbours, or the groups behind it, wait for their deadlines."""
        for waiting in group:
            try:
                await self._commit(session, [waiting], once=True)
            except HeldUp:
                task = asyncio.create_task(self._go_alone(waiting))
                self._alone.add(task)
                task.add_done_callback(self._alone.discard)
            except Exception as error:
                _refuse([waiting], error)

    async def _go_alone(self, waiting: _Waiting) -> None:
        try:
            async with self._mongo.client.start_session(causal_consistency=False) as session:
                await self._fly(session, [waiting])
        except Exception as error:
            _refuse([waiting], error)

    async def _attempt(self, session: Session, group: Sequence[_Waiting], *, check_ids: bool) -> list[Outcome]:
        left = max(waiting.deadline for waiting in group) - asyncio.get_running_loop().time()
        if left <= 0:
            raise Unavailable
        attempt = Attempt(self._mongo, session, self._means.clock, self._means.seal)
        try:
            with pymongo.timeout(left):
                await session.start_transaction(write_concern=DURABLE)
                outcomes = await attempt.run([waiting.prepared for waiting in group], check_ids=check_ids)
                if any(isinstance(outcome, Written) for outcome in outcomes):
                    self._fence.check()
                    await finish(session)
            return outcomes
        finally:
            await abort(session)


def _hand_out(group: Sequence[_Waiting], outcomes: Sequence[Outcome]) -> None:
    for waiting, outcome in zip(group, outcomes, strict=True):
        if waiting.answer.done():
            continue
        if isinstance(outcome, FhirError):
            waiting.answer.set_exception(outcome)
        else:
            waiting.answer.set_result(outcome)


def _refuse(group: Sequence[_Waiting], error: Exception) -> None:
    for waiting in group:
        if not waiting.answer.done():
            waiting.answer.set_exception(fresh(error))
