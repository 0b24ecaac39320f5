"""Long work that lets others have their turn: in slices of the event loop where it is many pieces, beside it where it is one.

https://docs.python.org/3.11/library/asyncio-dev.html#running-blocking-code
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Final, TypeVar

SLICE: Final = 0.025
"""Seconds of the event loop that long work takes, all of it together, before others have their turn."""
BESIDE_BYTES: Final = 64 * 1024
"""Work on texts longer than this is done beside the event loop."""

# A few, because they and the event loop take turns as it is: more of them would only make it wait for each.
_BESIDE: Final = ThreadPoolExecutor(2, "beside")

T = TypeVar("T")


class Pace:
    """The slices of one event loop: whoever has many pieces of work takes a `step` before each of them."""

    def __init__(self, seconds: float = SLICE) -> None:
        self._seconds = seconds
        self._until = 0.0
        self._is_renewing = self._is_fresh = False

    async def step(self) -> None:
        """Go on at once while the slice lasts, and then in one of the next turns of the loop."""
        # The loop's own clock may stand still for a whole turn. One piece goes on in every turn, however long the others take.
        while monotonic() >= self._until and not self._is_fresh:
            if not self._is_renewing:
                self._is_renewing = True
                asyncio.get_running_loop().call_soon(self._renew)
            await asyncio.sleep(0)
        self._is_fresh = False

    def _renew(self) -> None:
        self._is_renewing, self._is_fresh = False, True
        self._until = monotonic() + self._seconds


async def beside(size: int, work: Callable[[], T]) -> T:
    """What the work on a text of this size gives; done on a thread, where it is large."""
    if size <= BESIDE_BYTES:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_BESIDE, work)
