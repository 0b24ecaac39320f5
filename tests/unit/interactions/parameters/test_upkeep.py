"""A server that is told to stop begins nothing any more, even where a task does not hear it the first time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fhirserver.interactions.parameters import Upkeep, upkeep


async def test_a_cancellation_that_was_lost_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_LOST", 0.01)
    nothing: Any = None
    tasks = Upkeep(nothing, nothing)
    lost: list[asyncio.CancelledError] = []

    async def deaf() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError as error:
                if lost:
                    raise
                lost.append(error)

    tasks._tasks = [asyncio.create_task(deaf())]
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await tasks.pause()
    assert len(lost) == 1
