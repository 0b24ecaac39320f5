"""The fence: nothing is committed with values that were derived by what is not in force any more.

What is derived has a generation, which grows when search parameters come, change or go. Once `rise` has returned, no write of this
process with an older one is on its way to the database or will be. `allow` says until when this process may count on what it knows
of the generation: past it nothing is committed. That is asked after the transaction has begun and before its commit is sent, so a
process that is held up in between finds its transaction ended by MongoDB `TRANSACTION_SECONDS` later, and nothing written.

https://www.mongodb.com/docs/manual/reference/parameters/#mongodb-parameter-param.transactionLifetimeLimitSeconds
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from msgspec.structs import replace

from fhirserver.model.outcome import Unavailable
from fhirserver.store.commit.ending import is_timeout, is_unknown
from fhirserver.store.commit.prepare import Prepared, prepare
from fhirserver.store.commit.write import Derive, Write

TRANSACTION_SECONDS: Final = 60
"""How long MongoDB lets a transaction be open."""

RENEWAL_SECONDS: Final = 3
"""How long a write waits for a fence to open."""


def seconds() -> float:
    """Seconds that go on while the machine sleeps, where it can tell."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Fence:
    """The generation of this process, what is on its way, and until when anything may be."""

    def __init__(
        self,
        derive: Derive,
        clock: Callable[[], float] = seconds,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._derive = derive
        self._clock = clock
        self._sleep = sleep
        self._aloft: Counter[int] = Counter()
        self._landed = asyncio.Event()
        self._doubt = 0.0
        self._until: float | None = None
        self._renewing = asyncio.Lock()
        self.generation = 0
        self.renew: Callable[[], Awaitable[None]] | None = None
        """How to learn, if it can be learnt, that anything may be committed again."""

    def allow(self, until: float | None) -> None:
        """What is derived may be committed until this moment of `seconds`; without end, if it is None."""
        self._until = until

    @property
    def is_open(self) -> bool:
        """Whether anything may be committed."""
        return self.left() > 0

    def left(self) -> float:
        """Seconds for which anything may be committed."""
        return math.inf if self._until is None else self._until - self._clock()

    def check(self) -> None:
        """Raise Unavailable where nothing may be committed; asked when the transaction has begun."""
        if not self.is_open:
            raise Unavailable("This server has lost touch with the others for a while. Try again.")

    async def opened(self) -> None:
        """Give a fence that is closed the time to open: who slept has first to hear of what happened. Not to be called in a flight."""
        if self.is_open:
            return
        async with self._renewing:
            if self.left() <= 0 and self.renew is not None:
                with suppress(Exception):  # whatever it is, the check will say that nothing may be committed
                    await asyncio.wait_for(self.renew(), RENEWAL_SECONDS)

    @contextmanager
    def flight(self) -> Iterator[None]:
        """The time from where writes are made `fresh` to where their transaction has ended."""
        generation = self.generation
        self._aloft[generation] += 1
        try:
            yield
        except BaseException as error:
            if _is_doubtful(error) or _is_doubtful(error.__cause__):
                self._doubt = self._clock() + TRANSACTION_SECONDS
            raise
        finally:
            self._aloft[generation] -= 1
            if not self._aloft[generation]:
                del self._aloft[generation]
                self._landed.set()

    def fresh(self, write: Write) -> Write:
        """The write, derived again if what it holds is of an older generation."""
        if write.resource is None or write.derived is None or write.derived.generation >= self.generation:
            return write
        return replace(write, derived=self._derive(write.resource_type, write.resource))

    def freshly(self, prepared: Prepared, *, native_copy: bool) -> Prepared:
        """The same of a write that was made ready."""
        write = self.fresh(prepared.write)
        return prepared if write is prepared.write else prepare(write, native_copy=native_copy)

    async def rise(self, generation: int) -> None:
        """From here on this generation; returns when nothing of an older one is on its way any more."""
        self.generation = max(generation, self.generation)
        while any(each < generation for each in self._aloft):
            self._landed.clear()
            await self._landed.wait()
        await self._sleep(max(0.0, self._doubt - self._clock()))


def _is_doubtful(error: BaseException | None) -> bool:
    """Whether the commit may happen yet."""
    if isinstance(error, asyncio.CancelledError):
        return True
    return isinstance(error, Exception) and (is_unknown(error) or is_timeout(error))
