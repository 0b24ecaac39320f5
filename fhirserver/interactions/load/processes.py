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
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, tzinfo
from functools import lru_cache
from multiprocessing import connection
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from fhirserver.definitions import load as load_definitions
from fhirserver.interactions.load.judge import Judge, Judged, Portion
from fhirserver.interactions.parameters import Derivation
from fhirserver.interactions.parameters.catalog import Catalog, derived_by
from fhirserver.model.outcome import FhirError
from fhirserver.validation import Validator

RINGS: Final = 200_000
"""Objects between two looks for rings: resources are trees that are dropped as a whole."""
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
        self._pool = self._begun("fork" if can_fork else "spawn")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)

    async def judge(self, portion: Portion, rules: Rules, catalog: Catalog) -> list[Judged]:
        """What becomes of each of these texts by these rules and search parameters."""
        loop = asyncio.get_running_loop()
        while True:
            pool = self._pool
            try:
                found = await loop.run_in_executor(pool, _judged, portion, rules, catalog.as_row())
            except BrokenProcessPool:
                self._replace(pool)
            else:
                self._deaths = 0
                return found

    def _begun(self, way: str) -> ProcessPoolExecutor:
        pool = ProcessPoolExecutor(self.count, multiprocessing.get_context(way), _begin)
        pool.submit(_nothing)
        return pool

    def _replace(self, broken: ProcessPoolExecutor) -> None:
        """New processes, once for all portions that were lost together."""
        if broken is not self._pool:
            return
        self._deaths += 1
        broken.shutdown(cancel_futures=True)
        if self._deaths == DEATHS:
            raise FhirError(GIVEN_UP)
        self._say(ENDED)
        self._pool = self._begun("spawn")


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

    def judge(self, portion: Portion, catalog: Catalog) -> list[Judged]:
        """The judgement of a portion."""
        if catalog.generation != self._generation:
            extractor = self._derivation.prepared(derived_by(self._core, catalog), ())
            self._derivation.adopt(extractor, catalog.generation)
            self._generation = catalog.generation
        return self._judge.judge(portion)


_own = lru_cache(maxsize=1)(_Own)


def _begin() -> None:
    """Make ready to judge. Ctrl-C is the business of the process of the load, and its end is the end of this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, daemon=True).start()
    gc.freeze()
    gc.set_threshold(RINGS)


def _follow() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _judged(portion: Portion, rules: Rules, catalog: Mapping[str, Any]) -> list[Judged]:
    try:
        return _own(rules).judge(portion, Catalog.of(catalog))
    except Exception as error:
        # What it says may be a patient's: only the kind and the place go where they may be logged.
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        file, line = (place.tb_frame.f_code.co_filename, place.tb_lineno) if place else ("", 0)
        raise RuntimeError(_UNABLE.format(type(error).__name__, file, line)) from None
