"""Jobs: taken by one, renewed with every step, given up when nobody renews them; of two changes at once one loses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from fhirserver.jobs import Job, Lost, Postponed, Queue, Run, State, Worker
from fhirserver.jobs.queue import LEASE, MOST
from fhirserver.jobs.worker import TRIES
from fhirserver.model.outcome import TooManyRequests
from fhirserver.store.connection.client import Mongo
from fhirserver.store.connection.coalesce import Coalescer
from fhirserver.store.documents import Documents


class Clock:
    """The database's time, as the test says it."""

    now = datetime(2026, 1, 1, tzinfo=UTC)

    async def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def queue(mongo_url: str, database_name: str, clock: Clock) -> AsyncIterator[Queue]:
    mongo = Mongo(mongo_url, database_name)
    yield Queue(Documents(mongo, Coalescer(mongo), "jobs"), clock)
    await mongo.close()


async def test_a_job_is_held_by_one_until_its_lease_ends(queue: Queue, clock: Clock) -> None:
    await queue.add("a", "kind", {"x": 1})
    taken = [job for job in await asyncio.gather(*(queue.take(f"h{n}") for n in range(5))) if job is not None]
    assert len(taken) == 1
    held = await queue.advance(taken[0], position={"after": "p"}, done=3, total=4)
    assert (held.percent, held.until) == (75, clock.now + LEASE)
    assert await queue.take("other") is None
    clock.now += LEASE
    over = await queue.take("other")
    assert over is not None
    assert (over.holder, over.position, over.done, over.tries) == ("other", {"after": "p"}, 3, 2)
    with pytest.raises(Lost):
        await queue.advance(held, done=4)
    with pytest.raises(Lost):
        await queue.end(held, State.COMPLETED)
    assert (await queue.end(over, State.COMPLETED)).percent == 100
    assert await queue.open() == []


async def test_the_same_job_is_added_once_and_there_are_only_so_many(queue: Queue) -> None:
    await asyncio.gather(*(queue.add("a", "kind", {}) for _ in range(3)))
    assert [job.id for job in await queue.open()] == ["a"]
    with pytest.raises(TooManyRequests):
        await queue.add("b", "kind", {}, most=1)
    await queue.add("other", "other", {}, most=1)
    for number in range(MOST - 2):
        await queue.add(f"j{number:03}", "kind", {})
    with pytest.raises(TooManyRequests):
        await queue.add("more", "kind", {})


async def test_a_job_that_waits_is_known_by_what_it_is_to_do(queue: Queue) -> None:
    await queue.add("a", "kind", {"types": ["x"]})

    async def added(id: str, kind: str, *types: str) -> str:
        return (await queue.add(id, kind, {"types": list(types)}, once=True)).id

    assert await added("b", "kind") == "b"
    assert await added("c", "other", "x") == "c"
    assert await added("d", "kind", "x") == "a"
    taken = await queue.take("holder")
    assert taken is not None
    assert taken.id == "a"
    assert await added("e", "kind", "x") == "e"  # what has begun may have passed what was written meanwhile


async def test_those_who_ask_at_the_same_moment_get_no_more_than_the_bound(queue: Queue) -> None:
    """The attack: sixty walks through everything, ordered at once."""
    asked = (queue.add(f"j{number}", "kind", {"types": [str(number)]}, most=4, once=True) for number in range(30))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert len(await queue.open()) == 4
    assert sum(isinstance(each, TooManyRequests) for each in answers) == 26
    same = await asyncio.gather(*(queue.add(f"k{n}", "other", {}, most=4, once=True) for n in range(9)))
    assert len({job.id for job in same}) == 1


async def test_those_that_have_ended_are_forgotten_the_oldest_first(
    queue: Queue, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attack: jobs that are ordered and cancelled, without end."""
    monkeypatch.setattr("fhirserver.jobs.queue.KEPT", 3)
    for number in range(9):
        await queue.add(f"j{9 - number}", "kind", {})
        clock.now += timedelta(seconds=1)
        await queue.cancel(f"j{9 - number}")
    await queue.add("last", "kind", {})
    kept = [number for number in range(1, 10) if await queue.get(f"j{number}") is not None]
    assert kept == [1, 2, 3]
    assert [job.id for job in await queue.open()] == ["last"]


async def test_who_holds_a_cancelled_job_notices_at_the_next_step(queue: Queue) -> None:
    await queue.add("a", "kind", {})
    steps: list[int] = []

    async def work(run: Run) -> None:
        await run.advance(done=1)
        await queue.cancel("a")
        steps.append(1)
        await run.advance(done=2)
        steps.append(2)

    assert await Worker(queue, "h", {"kind": work}).work() == 0
    job = await queue.get("a")
    assert job is not None
    assert (job.state, steps, job.done) == (State.CANCELLED, [1], 1)
    assert (await queue.cancel("a")) == job
    assert await queue.cancel("none") is None


async def test_what_cannot_begin_yet_does_not_hold_up_what_can(queue: Queue, clock: Clock) -> None:
    for id, kind in (("a", "later"), ("b", "now")):
        await queue.add(id, kind, {})
        clock.now += timedelta(seconds=1)
    done: list[str] = []

    async def later(run: Run) -> None:
        raise Postponed

    async def now(run: Run) -> None:
        done.append(run.job.id)

    worker = Worker(queue, "h", {"later": later, "now": now})
    assert await worker.work() == 1
    for _ in range(2 * TRIES):
        assert await worker.work() == 0
    job = await queue.get("a")
    assert job is not None
    assert (done, job.state, job.tries) == (["b"], State.QUEUED, 0)


async def test_one_that_is_stopped_in_order_leaves_its_job_at_once(queue: Queue) -> None:
    await queue.add("a", "kind", {})
    begun = asyncio.Event()

    async def work(run: Run) -> None:
        await run.advance(position="p")
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(Worker(queue, "h", {"kind": work}).work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    job = await queue.take("other")
    assert job is not None
    assert job.position == "p"


async def test_a_long_piece_of_work_keeps_the_job(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fhirserver.jobs.worker.LEASE", timedelta(milliseconds=3))
    await queue.add("a", "kind", {})

    async def long() -> int:
        while (await _of(queue)).turn < 4:
            pass
        return 7

    async def lost() -> None:
        await queue.cancel("a")
        await asyncio.Event().wait()

    job = await queue.take("h")
    assert job is not None
    run = Run(queue, job)
    assert await run.during(long()) == 7
    with pytest.raises(Lost):
        await run.during(lost())


async def _of(queue: Queue) -> Job:
    job = await queue.get("a")
    assert job is not None
    return job
