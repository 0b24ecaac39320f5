"""The fence before commits: nothing of an older generation passes, and nothing at all past the time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pymongo.errors import NetworkTimeout

from fhirserver.model.outcome import Unavailable
from fhirserver.search.permit import Permit
from fhirserver.store import By, Derived, Write
from fhirserver.store.commit.fence import TRANSACTION_SECONDS, Fence


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def derive(resource_type: str, resource: dict[str, Any]) -> Derived:
    return Derived({"new": [resource_type]}, {}, {}, 3)


def write(generation: int) -> Write:
    derived = Derived({"old": []}, {}, {}, generation)
    return Write("PUT", "Basic", "a", {"id": "a"}, derived, By("", "", ""), Permit.system("test"))


async def test_what_an_older_generation_derived_is_derived_again() -> None:
    fence = Fence(derive)
    assert fence.fresh(write(0)).derived == Derived({"old": []}, {}, {}, 0)
    await fence.rise(3)
    assert fence.fresh(write(2)).derived == Derived({"new": ["Basic"]}, {}, {}, 3)
    assert fence.fresh(write(3)).derived == Derived({"old": []}, {}, {}, 3)
    deletion = Write("DELETE", "Basic", "a", None, None, By("", "", ""), Permit.system("test"))
    assert fence.fresh(deletion) is deletion


async def test_a_rise_waits_for_what_is_on_its_way_and_not_for_what_comes_after() -> None:
    fence = Fence(derive)
    with fence.flight():
        with fence.flight():
            rising = asyncio.create_task(fence.rise(3))
            await asyncio.sleep(0)
        later = fence.flight()
        later.__enter__()
        await asyncio.sleep(0)
        assert not rising.done()
    await rising
    assert fence.generation == 3
    later.__exit__(None, None, None)


def told(cause: Exception) -> Unavailable:
    """What the caller is told of it."""
    error = Unavailable()
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("error", [NetworkTimeout("commit"), asyncio.CancelledError(), told(NetworkTimeout("commit"))])
async def test_a_commit_that_may_happen_yet_is_waited_for(error: BaseException) -> None:
    waited: list[float] = []

    async def sleep(length: float) -> None:
        waited.append(length)

    clock = Clock()
    fence = Fence(derive, clock, sleep)
    with pytest.raises(type(error)), fence.flight():
        raise error
    clock.now += 10
    await fence.rise(1)
    assert waited == [TRANSACTION_SECONDS - 10]


async def test_past_its_time_nothing_is_committed_unless_it_can_be_renewed() -> None:
    clock = Clock()
    fence = Fence(derive, clock)
    fence.check()
    fence.allow(110)
    fence.check()
    clock.now = 110
    with pytest.raises(Unavailable):
        fence.check()
    await fence.opened()
    assert not fence.is_open

    async def in_vain() -> None:
        raise Unavailable

    async def renew() -> None:
        fence.allow(120)

    fence.renew = in_vain
    await fence.opened()
    assert not fence.is_open
    fence.renew = renew
    await fence.opened()
    fence.check()
