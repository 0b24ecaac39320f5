"""A transaction of its own: a body that reads under permits, takes turns on a lock and writes, all or nothing.

The body may run several times, so nothing outside MongoDB happens in it. Who shares a lock waits here for the others of this
process, and by a write conflict on the lock's row for those of other processes; its own time does not pass meanwhile.

https://www.mongodb.com/docs/manual/core/transactions/ and https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import pymongo
from pymongo.errors import OperationFailure, PyMongoError

from fhirserver.model.outcome import Conflict, FhirError, TooLarge, Unavailable
from fhirserver.search.expression import Expression
from fhirserver.search.permit import Permit
from fhirserver.store.commit.attempt import Aborted, Attempt, Overfull, Taken
from fhirserver.store.commit.ending import abort, finish, is_timeout, is_transient, is_unknown, may_come_back
from fhirserver.store.commit.means import Means
from fhirserver.store.commit.meta import Behind
from fhirserver.store.commit.prepare import Prepared, prepare_beside
from fhirserver.store.commit.write import Write, Written
from fhirserver.store.connection.bound import LATE, Bound
from fhirserver.store.connection.client import DURABLE, Document, Mongo, Session, translated
from fhirserver.store.history.feed import COMMIT_BOUND
from fhirserver.store.layout.collections import Layout
from fhirserver.store.pace import Pace
from fhirserver.store.reads import Reads
from fhirserver.store.resources.chains import answered

LOCKS: Final = "locks"
SIDE_BY_SIDE: Final = 8
"""Transactions in flight; more only get in each other's way, and all of them have only the time of one."""
WAITING: Final = 1_000
"""Transactions that may wait; the next one is told to come again."""
LARGE: Final = 1_000
"""From so many writes on a transaction shares its turn with no other of that size: what is not committed yet fills the database's cache."""
PATIENCE: Final = 20.0
"""Seconds for which one waits for its turn in this process, and then for that among others. Its own time begins with its turn: what
waits holds nothing that somebody of its process needs who does not share its locks."""
SECONDS_OF_A_WRITE: Final = 0.005
"""What each write adds to the time from a transaction's turn to where its versions get theirs: several times of what it takes."""
LONGEST: Final = 45.0
"""That time at most, in seconds: MongoDB ends a transaction of 60."""

_TOO_MUCH: Final = "The database cannot hold so much in one transaction; send fewer entries at a time."
_UNKNOWN: Final = "The database did not say in time whether this was committed: all of it is stored, or nothing. Look before you send it again."
_WRITING: Final = 0.8
"""The share of a commit's bound that is for sending the writes; the rest is for the commit."""
_LARGE_ONES: Final = ""
"""The turn of the large ones. It is taken before all locks, which have names."""
_ABORTS: Final = 2
_PAUSE: Final = 0.005
_LONGEST_PAUSE: Final = 0.25

T = TypeVar("T")


class Refused(Exception):
    """A write was refused, and with it the whole transaction: which one, and why."""

    def __init__(self, index: int, error: FhirError) -> None:
        super().__init__(index)
        self.index = index
        self.error = error


class Outdated(Exception):
    """Nothing was written, for what these writes carry forward of the versions they replace is not all: their meta, by number."""

    def __init__(self, metas: Mapping[int, Document]) -> None:
        super().__init__()
        self.metas = metas


class _Locked(Exception):
    """Somebody else holds a lock, in another process."""


class Tx(Reads):
    """What the body of a transaction works with. It sees its own writes; nobody else does before the commit."""

    def __init__(
        self, mongo: Bound, layout: Layout, attempt: Attempt, means: Means, pace: Pace, *, check_ids: bool
    ) -> None:
        super().__init__(mongo, layout)
        self._attempt = attempt
        self._means = means
        self._pace = pace
        self._check_ids = check_ids
        self._held: set[str] = set()
        self.has_written = False

    async def answered(self, resource_type: str, expression: Expression, permit: Permit) -> Expression:
        """The expression without chains: true of the same resources of this type, also of those not written yet."""
        return await answered(self._mongo, self._layout, resource_type, expression, permit, of_any=True)

    async def lock(self, keys: Iterable[str]) -> None:
        """Hold these locks until the transaction ends."""
        wanted = set(keys) - self._held
        updates = [{"q": {"_id": key}, "u": {"$inc": {"n": 1}}, "upsert": True} for key in sorted(wanted)]
        if updates:
            try:
                reply = await self._mongo.command({"update": LOCKS, "updates": updates})
            except OperationFailure as error:
                if is_transient(error):
                    raise _Locked from error
                raise
            if reply.get("writeErrors"):  # its row was made just now
                raise _Locked
            self._held |= wanted

    async def write(self, writes: Sequence[Write]) -> list[Written | None]:
        """All of these writes, none of them twice the same resource. Raises Refused for the first that may not be, or Outdated."""
        means, prepared = self._means, list[Prepared]()
        for write in writes:
            await self._pace.step()
            prepared.append(await prepare_beside(means.fence.fresh(write), native_copy=means.native_copy))
        outcomes = await self._attempt.run(prepared, check_ids=self._check_ids, whole=True)
        done: list[Written | None] = []
        metas: dict[int, Document] = {}
        for index, outcome in enumerate(outcomes):
            if isinstance(outcome, Behind):
                metas[index] = outcome.meta
            elif isinstance(outcome, FhirError):
                raise Refused(index, outcome)
            else:
                done.append(outcome)
        if metas:
            raise Outdated(metas)
        self.has_written = self.has_written or any(outcome is not None for outcome in done)
        return done


Body = Callable[[Tx], Awaitable[T]]


class _Turns:
    """Locks of this process by key, as long as somebody holds them or waits for them."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._takers: Counter[str] = Counter()

    async def take(self, keys: Collection[str], taken: list[str]) -> None:
        """Wait for these, in one order for everybody; `taken` grows by each that is to be given back."""
        for key in sorted(keys):
            lock = self._locks.setdefault(key, asyncio.Lock())
            self._takers[key] += 1
            try:
                await lock.acquire()
            except BaseException:
                self._leave(key)
                raise
            taken.append(key)

    def give_back(self, taken: Iterable[str]) -> None:
        """Let the next ones have them."""
        for key in taken:
            self._locks[key].release()
            self._leave(key)

    def _leave(self, key: str) -> None:
        self._takers[key] -= 1
        if not self._takers[key]:
            del self._takers[key], self._locks[key]


class Transactor:
    """Runs transactions, each in a session of its own."""

    def __init__(self, mongo: Mongo, layout: Layout, means: Means, pace: Pace) -> None:
        self._mongo = mongo
        self._means = means
        self._fence = means.fence
        self._pace = pace
        self._layout = layout
        self._room = asyncio.Semaphore(SIDE_BY_SIDE)
        self._turns = _Turns()
        self._waiting = 0

    async def run(self, body: Body[T], keys: Collection[str], size: int) -> T:
        """What the body gives, once its writes are on disk. `keys` are the locks that it holds from its beginning, `size` is how
        many writes it will have."""
        if self._waiting >= WAITING:
            raise Unavailable("Too many writes are waiting. Try again later.")
        self._waiting += 1
        try:
            patience = asyncio.get_running_loop().time() + PATIENCE
            async with self._turn({*keys, *([_LARGE_ONES] if size >= LARGE else ())}, patience):
                return await self._among_others(body, keys, size, patience)
        finally:
            self._waiting -= 1

    @asynccontextmanager
    async def _turn(self, keys: Collection[str], patience: float) -> AsyncIterator[None]:
        """The turn of a transaction among those of this process. Raises Unavailable where it is long in coming."""
        taken: list[str] = []
        try:
            await _until(patience, self._turns.take(keys, taken))
            yield
        finally:
            self._turns.give_back(taken)

    async def _among_others(self, body: Body[T], keys: Collection[str], size: int, patience: float) -> T:
        """Carry it out as soon as there is room, and no other process holds its locks: what waits for these leaves the room to others."""
        seconds = min(COMMIT_BOUND.total_seconds() + size * SECONDS_OF_A_WRITE, LONGEST)
        loop, pause, begun = asyncio.get_running_loop(), _PAUSE, False
        while True:
            await _until(patience, self._room.acquire())
            if not begun:
                patience, begun = loop.time() + PATIENCE, True
            try:
                async with self._mongo.client.start_session(causal_consistency=False) as session:
                    return await self._tried(session, body, keys, loop.time() + seconds)
            except _Locked as error:
                if loop.time() >= patience:
                    raise Unavailable from error
            finally:
                self._room.release()
            pause = await _paused(pause)

    async def _tried(self, session: Session, body: Body[T], keys: Collection[str], deadline: float) -> T:
        """Try until it is done, or is known to be impossible, or the time is up. Raises _Locked where it is not its turn."""
        aborted, pause = 0, _PAUSE
        while True:
            try:
                await self._fence.opened()
                with self._fence.flight():
                    return await self._attempt(session, body, keys, deadline, check_ids=aborted > 0)
            except Overfull as error:
                raise TooLarge(_TOO_MUCH) from error
            except Aborted as error:
                aborted += 1
                if aborted > _ABORTS:
                    if isinstance(error, Taken):
                        raise Conflict from error
                    raise
            except PyMongoError as error:
                if is_unknown(error):
                    raise Unavailable(_UNKNOWN) from error
                if is_timeout(error):
                    raise Unavailable(LATE) from error
                if not is_transient(error) and not await may_come_back(self._mongo, error):
                    with translated():
                        raise
            pause = await _paused(pause)

    async def _attempt(
        self, session: Session, body: Body[T], keys: Collection[str], deadline: float, *, check_ids: bool
    ) -> T:
        loop = asyncio.get_running_loop()
        mongo = Bound(self._mongo, session, deadline)
        end = deadline

        def stamped() -> None:
            """From the time of the versions on, the bound of a commit counts."""
            nonlocal end
            if not tx.has_written:
                bound = COMMIT_BOUND.total_seconds()
                mongo.deadline, end = loop.time() + bound * _WRITING, loop.time() + bound

        attempt = Attempt(mongo, session, self._means.clock, self._means.seal, self._pace, stamped)
        tx = Tx(mongo, self._layout, attempt, self._means, self._pace, check_ids=check_ids)
        try:
            await session.start_transaction(write_concern=DURABLE)
            if keys:
                await tx.lock(keys)
            given = await body(tx)
            if tx.has_written:
                mongo.left()
                self._fence.check()
                with pymongo.timeout(end - loop.time()):
                    await finish(session)
            return given
        finally:
            await mongo.end()
            await abort(session)


async def _until(time: float, waiting: Awaitable[object]) -> None:
    """Wait for this. Raises Unavailable at that time of the event loop's clock."""
    try:
        async with asyncio.timeout_at(time):
            await waiting
    except TimeoutError:
        raise Unavailable from None


async def _paused(pause: float) -> float:
    """Pause about so long; how long the next time."""
    await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311  # jitter is no secret
    return min(pause * 2, _LONGEST_PAUSE)
