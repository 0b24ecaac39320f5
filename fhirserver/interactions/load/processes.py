"""Judgement in processes of their own: a core each, while the process of the load reads and writes.

A portion of texts goes to a process, what was made of it comes back as bytes. A process that ends before its time loses nothing:
nothing is written there, and its portion is judged again. None outlives the process of the load, however that ends.

https://docs.python.org/3/library/concurrent.futures.html#processpoolexecutor
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import lru_cache
from multiprocessing import connection
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from fhirserver.definitions import load as load_definitions
from fhirserver.interactions.load.judge import Judge, Judged, Portion
from fhirserver.interactions.load.rooms import Room
from fhirserver.interactions.parameters import Derivation
from fhirserver.interactions.parameters.catalog import Catalog, derived_by
from fhirserver.model.outcome import FhirError
from fhirserver.validation import Validator

RINGS: Final = 200_000
"""Objects between two looks for rings: resources are trees that are dropped as a whole."""
SPARE: Final = 2
"""Rooms beside one for each process: for the batch at hand, and for the one that is read."""
DEATHS: Final = 3
"""Ends before time, without a portion judged in between, after which it is given up."""

ENDED: Final = "A process that judged resources has ended before its time. What it had is judged again."
GIVEN_UP: Final = (
    "The processes that judge resources end again and again. Look for what ends them, as for a lack of memory, and load again: "
    "it goes on where it was. With --processes 1 there are none."
)
_UNABLE: Final = "The judgement of resources failed: {} in {}, line {}."


class Rules(NamedTuple):
    """What a process has to know to judge as this server does."""

    base_url: str
    native_copy: bool
    guards_references: bool
    zone: tzinfo = UTC


class Processes:
    """So many processes that judge. They begin at once: where there are threads already, or a loop, that takes longer."""

    def __init__(self, count: int, say: Callable[[str], None]) -> None:
        self.count = count
        self._say = say
        self._deaths = 0
        # To fork is quick, and safe only while there is no other thread.
        can_fork = sys.platform == "linux" and threading.active_count() == 1
        self._pool = _Pool.begun(count, "fork" if can_fork else "spawn")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._pool.executor.shutdown(cancel_futures=True)

    async def judge(self, portion: Portion, rules: Rules, catalog: Catalog) -> Judged:
        """What becomes of each of these texts by these rules and search parameters."""
        while True:
            pool = self._pool
            try:
                found = await pool.judge(portion, rules, catalog)
            except BrokenProcessPool:
                self._replace(pool)
            else:
                self._deaths = 0
                return found

    def _replace(self, broken: _Pool) -> None:
        """New processes, once for all portions that were lost together."""
        if broken is not self._pool:
            return
        self._deaths += 1
        broken.executor.shutdown(cancel_futures=True)
        if self._deaths == DEATHS:
            raise FhirError(GIVEN_UP)
        self._say(ENDED)
        self._pool = _Pool.begun(self.count, "spawn")


@dataclass(frozen=True, slots=True)
class _Pool:
    """Processes, and the memory that they share with this one; `free` are the numbers of the rooms that nobody uses."""

    executor: ProcessPoolExecutor
    rooms: Sequence[Room]
    free: list[int]

    @classmethod
    def begun(cls, count: int, way: str) -> Self:
        """So many processes, that have begun this way."""
        # Only who is forked has the same memory; the others get all through the pipe.
        rooms = [Room() for _ in range(count + SPARE)] if way == "fork" else []
        executor = ProcessPoolExecutor(count, multiprocessing.get_context(way), _begin, (rooms,))
        # Ctrl-C is the business of the process of the load: the others do not hear it, from their first moment on.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
        try:
            for _ in range(count):  # one begins with each, unless one has nothing to do
                executor.submit(_nothing)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return cls(executor, rooms, list(range(len(rooms))))

    async def judge(self, portion: Portion, rules: Rules, catalog: Catalog) -> Judged:
        """The judgement of one of the processes."""
        number = self.free.pop() if self.free else None
        room = None if number is None else self.rooms[number]
        size = None if room is None else room.put(portion)
        sent = portion if size is None else size
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self.executor, _judged, sent, rules, catalog.as_row(), number)
        judged: Judged = room.take(found) if room is not None and isinstance(found, int) else found
        if number is not None:
            # Not if it was cancelled: then the process may still write there.
            self.free.append(number)
        return judged


# In the process


def _nothing() -> None:
    pass


class _Own:
    """What a process judges with."""

    def __init__(self, rules: Rules) -> None:
        self._core = load_definitions()
        self._derivation = Derivation(
            self._core, rules.base_url, guards_references=rules.guards_references, zone=rules.zone
        )
        self._generation = 0
        self._judge = Judge(
            self._core,
            rules.base_url,
            Validator(self._core),
            self._derivation,
            rules.native_copy,
        )

    def judge(self, portion: Portion, catalog: Catalog) -> Judged:
        """The judgement of a portion."""
        if catalog.generation != self._generation:
            extractor = self._derivation.prepared(derived_by(self._core, catalog), ())
            self._derivation.adopt(extractor, catalog.generation)
            self._generation = catalog.generation
        return self._judge.judge(portion)


_own = lru_cache(maxsize=1)(_Own)


_rooms: list[Room] = []


def _begin(rooms: Sequence[Room]) -> None:
    """Make ready to judge. The end of the process of the load is the end of this one."""
    # Not the handler of the process of the load: what that raises is taken for an answer, and this one would go on.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_follow, daemon=True).start()
    gc.freeze()
    gc.set_threshold(RINGS)
    _rooms[:] = rooms


def _follow() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _judged(sent: Any, rules: Rules, catalog: Mapping[str, Any], number: int | None) -> Any:
    """The judgement of what was sent, or lies in the room of this number; so many bytes of it are there then."""
    try:
        room = None if number is None else _rooms[number]
        portion: Portion = room.take(sent) if room is not None and isinstance(sent, int) else sent
        found = _own(rules).judge(portion, Catalog.of(catalog))
        size = None if room is None else room.put(found)
        return found if size is None else size
    except Exception as error:
        # What it says may be a patient's: only the kind and the place go where they may be logged.
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        file, line = (place.tb_frame.f_code.co_filename, place.tb_lineno) if place else ("", 0)
        raise RuntimeError(_UNABLE.format(type(error).__name__, file, line)) from None
