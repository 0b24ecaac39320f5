"""What a server does beside requests, for as long as it runs: it keeps the catalog, and takes jobs."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from fhirserver.interactions.parameters.keeper import PERIOD, Keeper
from fhirserver.jobs import Worker

_LOST: Final = 1.0
"""Seconds after which a cancellation that had no effect is taken for lost."""

_log = logging.getLogger("fhirserver.jobs")


class Upkeep:
    """The tasks of a running server."""

    def __init__(self, keeper: Keeper, worker: Worker) -> None:
        self.keeper = keeper
        self.worker = worker
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Take part, and go on with it."""
        await self.keeper.start()
        self._tasks = [asyncio.create_task(self.keeper.run()), asyncio.create_task(self._work())]

    async def pause(self) -> None:
        """Begin nothing any more; a job is left to the others where it is."""
        left = set(self._tasks)
        while left:
            # Again, where it was lost: it can meet the end of a command in the driver, and the task goes on.
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=_LOST)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _work(self) -> None:
        while True:
            try:
                await self.worker.work()
            except Exception as error:
                _log.warning("jobs.work", exc_info=error)
            await asyncio.sleep(PERIOD)
