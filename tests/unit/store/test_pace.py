"""Long work lets others have their turn."""

from __future__ import annotations

import asyncio
import threading
from itertools import groupby

import pytest

from fhirserver.store.pace import BESIDE_BYTES, Pace, beside


async def turns(pace: Pace, workers: int = 2, pieces: int = 3) -> list[str]:
    """What happened, in order: pieces of work, and the turns of somebody else."""
    done: list[str] = []

    async def work() -> None:
        for _ in range(pieces):
            await pace.step()
            done.append("piece")

    async def other() -> None:
        while done.count("piece") < workers * pieces:
            await asyncio.sleep(0)
            done.append("other")

    await asyncio.gather(*(work() for _ in range(workers)), other())
    return done


async def test_after_a_slice_others_have_their_turn_whoever_works() -> None:
    runs = [(kind, len(list(each))) for kind, each in groupby(await turns(Pace(0)))]
    assert [count for kind, count in runs if kind == "piece"] == [1] * 6


async def test_while_a_slice_lasts_work_goes_on() -> None:
    runs = [(kind, len(list(each))) for kind, each in groupby(await turns(Pace(3_600)))]
    assert [count for kind, count in runs if kind == "piece"] == [6]


async def test_large_work_is_done_beside_the_loop_and_small_work_at_once() -> None:
    own = threading.get_ident()
    assert await beside(BESIDE_BYTES, threading.get_ident) == own
    assert await beside(BESIDE_BYTES + 1, threading.get_ident) != own


async def test_what_fails_beside_the_loop_fails_where_it_was_asked_for() -> None:
    def work() -> None:
        raise ValueError("of the work")

    with pytest.raises(ValueError, match="of the work"):
        await beside(BESIDE_BYTES + 1, work)
