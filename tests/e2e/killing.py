"""Server and mongod killed again and again under a writing load, and what was acknowledged looked for at the end."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.server import Server, end

SUBJECTS = ("server", "mongod", "both")

Writer = Callable[[httpx.AsyncClient, str, asyncio.Event], Coroutine[Any, Any, None]]
"""Writes under a name of its own until it is told to stop."""


async def kill(server: Server, subject: str) -> None:
    """Kill at once; a dead server is started again, a dead mongod is the server's to start."""
    if subject in ("mongod", "both"):
        pid = server.mongod()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    if subject in ("server", "both"):
        server.kill()
        await asyncio.to_thread(server.start)


async def more(acknowledged: Callable[[], int], wanted: int) -> None:
    """Wait until that many writes were acknowledged from now on."""
    wanted += acknowledged()
    async with asyncio.timeout(90):
        while acknowledged() < wanted:  # noqa: ASYNC110 - a plain count, that every client adds to
            await asyncio.sleep(0.01)


async def survive(
    folder: Path,
    kills: int,
    writers: list[Writer],
    acknowledged: Callable[[], int],
    check: Callable[[httpx.AsyncClient], Coroutine[Any, Any, None]],
    *,
    between: int,
) -> None:
    """Kill while they write, each time after `between` writes more were acknowledged; then check, and end in order."""
    chance = random.Random(kills)
    server = Server(folder, "--auth", "none")
    stop = asyncio.Event()
    await asyncio.to_thread(server.start)
    try:
        limits = httpx.Limits(max_connections=len(writers))
        async with httpx.AsyncClient(base_url=server.base, timeout=30, limits=limits) as client:
            async with asyncio.TaskGroup() as group:
                for number, write in enumerate(writers):
                    group.create_task(write(client, f"c{number}", stop))
                for number in range(kills):
                    await more(acknowledged, between)
                    await asyncio.sleep(chance.uniform(0, 0.4))
                    await kill(server, SUBJECTS[number % len(SUBJECTS)])
                await more(acknowledged, between)
                stop.set()
            await check(client)
        assert acknowledged() >= between * kills
        assert await asyncio.to_thread(server.stop) == 0
    except BaseException as error:
        error.add_note("\n".join(server.faults()))
        raise
    finally:
        end(server)
