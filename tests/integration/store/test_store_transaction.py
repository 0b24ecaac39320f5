"""A transaction of its own: all or nothing, whatever fails in between, and in turns where a lock is shared.

https://www.mongodb.com/docs/manual/core/transactions/
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from pymongo.errors import AutoReconnect, OperationFailure

from fhirserver.model.outcome import BadRequest, Conflict, PreconditionFailed, TooLarge, Unavailable
from fhirserver.search.expression import In
from fhirserver.search.permit import Permit
from fhirserver.store import Packed, Refused, Store, Tx, packed, prepare
from fhirserver.store.connection.client import Mongo, Query
from fhirserver.store.transaction import LARGE
from tests.fakes.failures import Failures, inject
from tests.integration.store.conftest import SYSTEM, Writing

TYPES = ("Observation", "Patient")


def three(writing: Writing, mark: str) -> list[Any]:
    """Two creates and an update of a resource that is there."""
    return [
        writing.write("POST", f"{mark}-a", subject=[]),
        writing.write("POST", f"{mark}-b", "Patient"),
        writing.write("PUT", "there", rank=1),
    ]


def ready(writing: Writing, id: str) -> Packed:
    """A write that goes in bulk."""
    return packed(prepare(writing.write("PUT", id), native_copy=True))


async def state(store: Store, mark: str) -> tuple[bool, bool, int]:
    """Whether each of the three is there."""
    first = await store.read("Observation", f"{mark}-a", SYSTEM)
    second = await store.read("Patient", f"{mark}-b", SYSTEM)
    third = await store.read("Observation", "there", SYSTEM)
    assert third is not None
    return first is not None, second is not None, third.version


async def test_all_writes_are_there_with_a_feed_row_each_and_one_row_of_their_request(
    store: Store, writing: Writing, mongo: Mongo
) -> None:
    await writing.put("there")
    done = await store.transact(lambda tx: tx.write(three(writing, "x")), types=TYPES)
    assert [each.version.version for each in done if each] == [1, 1, 2]
    assert await state(store, "x") == (True, True, 2)
    assert await mongo.count("feed", {}) == 4
    rows = await mongo.find("requests", Query({}, limit=9, sort=[("_id", 1)]))
    assert [[each["version"] for each in row["writes"]] for row in rows] == [[1], [1, 1, 2]]


async def test_one_refused_write_refuses_them_all_and_says_which(store: Store, writing: Writing) -> None:
    await writing.put("there")
    writes = three(writing, "x")
    writes[2] = writing.write("PUT", "there", options={"if_match": ("7",)})
    with pytest.raises(Refused) as refused:
        await store.transact(lambda tx: tx.write(writes), types=TYPES)
    assert refused.value.index == 2
    assert isinstance(refused.value.error, PreconditionFailed)
    assert await state(store, "x") == (False, False, 1)


async def test_what_the_body_raises_takes_everything_back(store: Store, writing: Writing) -> None:
    await writing.put("there")

    async def body(tx: Tx) -> None:
        await tx.write(three(writing, "x"))
        raise BadRequest

    with pytest.raises(BadRequest):
        await store.transact(body, types=TYPES)
    assert await state(store, "x") == (False, False, 1)


async def test_the_body_sees_its_own_writes_and_nobody_else_does_before_the_commit(
    store: Store, writing: Writing
) -> None:
    await writing.put("there")

    async def body(tx: Tx) -> tuple[bool, bool, int, int, int]:
        await tx.write(three(writing, "x"))
        inside = await tx.read("Observation", "x-a", SYSTEM)
        outside = await store.read("Observation", "x-a", SYSTEM)
        versions, total = await tx.history("Observation", "there", SYSTEM, count=5)
        first = await tx.vread("Observation", "there", 1, SYSTEM)
        rows = await tx.facts("Observation", ["x-a", "there"], SYSTEM)
        assert first is not None
        return inside is not None, outside is not None, len(versions), total, len(rows)

    assert await store.transact(body, types=TYPES) == (True, False, 2, 2, 2)


async def test_reads_in_a_transaction_are_under_the_permit(store: Store, writing: Writing) -> None:
    await writing.put("there", subject=[{"reference": "Patient/p"}])
    hers = Permit(("hers",), lambda _: In("security.owners", frozenset(("p",))), lambda _: In("_id", frozenset()))
    others = Permit(("others",), lambda _: In("security.owners", frozenset(("q",))), lambda _: In("_id", frozenset()))

    async def body(tx: Tx) -> list[bool]:
        return [
            await tx.read("Observation", "there", permit) is not None for permit in (hers, others, Permit.nothing())
        ]

    assert await store.transact(body, types=TYPES) == [True, False, False]


async def test_a_server_made_id_that_is_taken_is_a_conflict(store: Store, writing: Writing) -> None:
    await writing.put("there")
    with pytest.raises(Refused) as refused:
        await store.transact(lambda tx: tx.write([writing.write("POST", "there")]), types=TYPES)
    assert isinstance(refused.value.error, Conflict)


async def test_who_shares_a_lock_takes_turns(open_store: Callable[..., Any], mongo: Mongo) -> None:
    """The lock makes parallel writers of one criterion take turns, from several servers too."""
    stores = [await open_store(), await open_store()]
    writings = [Writing(store) for store in stores]

    async def once(number: int) -> None:
        store, writing = stores[number % 2], writings[number % 2]

        async def body(tx: Tx) -> None:
            found = await tx.facts("Observation", In("index.code", frozenset(("=c",))), SYSTEM)
            if not found:
                await tx.write([writing.write("POST", f"made-{number}", codes=["=c"])])

        await store.transact(body, types=("Observation",), keys=("lock",))

    await asyncio.gather(*(once(number) for number in range(40)))
    found = await stores[0].facts("Observation", In("index.code", frozenset(("=c",))), SYSTEM)
    assert len(found) == 1
    # Servers meet on its row: whoever wrote has written there too.
    assert await mongo.find("locks", Query({}, limit=9)) == [{"_id": "lock", "n": 1}]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_failure_between_any_two_commands_is_all_once(
    store: Store, writing: Writing, mongo: Mongo, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """Whichever command's answer is lost, the transaction is run again, or asked for again, and happens once."""
    await writing.put("there")
    at, version = 1, 1
    while True:
        failures = Failures(at, after)
        with monkeypatch.context() as patch:
            inject(patch, failures)
            writes = three(writing, f"x{at}")
            done = await store.transact(lambda tx, writes=writes: tx.write(writes), types=TYPES, keys=("lock",))
        version += 1
        assert len(done) == 3
        assert await state(store, f"x{at}") == (True, True, version)
        if not failures.failed:
            break
        at += 1
    assert at > 8, "the lock, the guard, the writes of each collection, and the commit"
    assert await mongo.count("feed", {}) == 1 + 3 * at
    assert await mongo.count("requests", {}) == 1 + at


async def test_a_transaction_that_never_gets_through_is_unavailable_and_leaves_nothing(
    store: Store, writing: Writing, monkeypatch: pytest.MonkeyPatch
) -> None:
    await writing.put("there")
    monkeypatch.setattr("fhirserver.store.transaction.COMMIT_BOUND", timedelta(seconds=0.3))

    async def failing(self: Mongo, each: Any, session: Any = None) -> Any:
        raise AutoReconnect("injected")

    with monkeypatch.context() as patch:
        patch.setattr(Mongo, "command", failing)
        with pytest.raises(Unavailable):
            await store.transact(lambda tx: tx.write(three(writing, "x")), types=TYPES)
    assert await state(store, "x") == (False, False, 1)


@pytest.mark.parametrize("way", ["commit", "transact", "insert"])
async def test_connections_to_a_mongod_that_had_just_begun_are_renewed(
    store: Store, writing: Writing, way: str
) -> None:
    """Such a connection has not heard that there are sessions, and would not hear it as long as it is used."""
    await writing.put("there")
    connections = [each for server in store._mongo.client._topology._servers.values() for each in server.pool.conns]
    for each in connections:
        each.supports_sessions = False
    if way == "insert":
        units = [[ready(writing, f"x-{each}")] for each in "ab"]
        assert await store.insert(units) == [True, True]
        return
    writes = three(writing, "x")
    if way == "commit":
        await asyncio.gather(*map(store.commit, writes))
    else:
        await store.transact(lambda tx: tx.write(writes), types=TYPES)
    assert connections
    assert await state(store, "x") == (True, True, 2)


@pytest.mark.parametrize("way", ["read", "commit", "transact", "insert"])
@pytest.mark.parametrize(
    ("code", "raised"), [(94, Unavailable), (134, Unavailable), (211, Unavailable), (2, OperationFailure)]
)
async def test_a_mongod_that_has_just_begun_is_unavailable_and_no_fault(
    store: Store, writing: Writing, monkeypatch: pytest.MonkeyPatch, way: str, code: int, raised: type[Exception]
) -> None:
    await writing.put("there")
    ways: dict[str, Callable[[], Awaitable[Any]]] = {
        "read": lambda: store.read("Observation", "there", SYSTEM),
        "commit": lambda: writing.put("new"),
        "transact": lambda: store.transact(lambda tx: tx.write(three(writing, "x")), types=TYPES),
        "insert": lambda: store.insert([[ready(writing, "new")]]),
    }

    async def beginning(*_: Any, **__: Any) -> Any:
        raise OperationFailure("injected", code)

    with monkeypatch.context() as patch:
        for name in ("command", "find_plainly"):
            patch.setattr(Mongo, name, beginning)
        with pytest.raises(raised):
            await ways[way]()
    assert await store.read("Observation", "new", SYSTEM) is None


@pytest.mark.parametrize("is_other", [False, True], ids=["this server", "another"])
async def test_the_time_of_a_transaction_begins_with_its_turn(
    open_store: Callable[..., Any], store: Store, writing: Writing, monkeypatch: pytest.MonkeyPatch, is_other: bool
) -> None:
    """Who waits for a lock longer than a commit may take is not told to come again; and others have room meanwhile."""
    monkeypatch.setattr("fhirserver.store.transaction.COMMIT_BOUND", timedelta(seconds=0.5))
    released: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    held = asyncio.Event()

    async def holding(_: Tx) -> None:
        held.set()
        await released

    monkeypatch.setattr(store._transactor, "_room", asyncio.Semaphore(1))
    holder = await open_store() if is_other else store
    first = asyncio.create_task(holder.transact(holding, types=TYPES, keys=("lock",)))
    await held.wait()
    writes = [[writing.write("POST", id)] for id in ("x-a", "beside")]
    second = asyncio.create_task(store.transact(lambda tx: tx.write(writes[0]), types=TYPES, keys=("lock",)))
    if is_other:
        await store.transact(lambda tx: tx.write(writes[1]), types=TYPES)
    asyncio.get_running_loop().call_later(0.6, released.set_result, None)
    await first
    assert len(await second) == 1


@pytest.mark.parametrize("is_stamped", [False, True])
async def test_the_bound_of_a_commit_begins_with_the_time_of_the_versions(
    store: Store, writing: Writing, monkeypatch: pytest.MonkeyPatch, is_stamped: bool
) -> None:
    """Work before it may take longer, the more there is of it; once the versions have their time nothing may."""
    await writing.put("there")
    monkeypatch.setattr("fhirserver.store.transaction.COMMIT_BOUND", timedelta(seconds=1))
    later: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def body(tx: Tx) -> None:
        if is_stamped:
            await tx.write(three(writing, "x"))
        asyncio.get_running_loop().call_later(1.1, later.set_result, None)
        await later
        if not is_stamped:
            await tx.write(three(writing, "x"))

    doing = store.transact(body, types=TYPES, size=2_000)
    if is_stamped:
        with pytest.raises(Unavailable, match="nothing of it is stored"):
            await doing
    else:
        await doing
    assert await state(store, "x") == ((False, False, 1) if is_stamped else (True, True, 2))


async def test_what_the_cache_of_the_database_cannot_hold_is_too_large(
    store: Store, writing: Writing, monkeypatch: pytest.MonkeyPatch
) -> None:
    await writing.put("there")
    whole, asked = Mongo.command, list[Any]()

    async def full(self: Mongo, each: Any, session: Any = None) -> Any:
        if session is None or "insert" not in each:
            return await whole(self, each, session)
        asked.append(each)
        return {"ok": 1, "n": 0, "writeErrors": [{"index": 0, "code": 388}]}

    with monkeypatch.context() as patch:
        patch.setattr(Mongo, "command", full)
        with pytest.raises(TooLarge):
            await store.transact(lambda tx: tx.write(three(writing, "x")), types=TYPES)
        assert len(asked) == 1, "it is not tried again"
        units = [[ready(writing, id)] for id in ("a", "b")]
        assert await store.insert(units) == [False, False]
    assert await state(store, "x") == (False, False, 1)


async def test_of_large_transactions_one_goes_at_a_time_and_small_ones_beside_it(
    store: Store, writing: Writing
) -> None:
    released, held = asyncio.Event(), asyncio.Event()
    begun: list[str] = []

    async def large(_: Tx) -> None:
        begun.append("large")
        held.set()
        await released.wait()

    async def small(tx: Tx) -> None:
        await tx.write([writing.write("POST", "x-a")])
        begun.append("small")

    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(store.transact(large, types=TYPES, size=LARGE))
        await held.wait()
        await store.transact(small, types=TYPES, size=LARGE - 1)
        assert begun == ["large", "small"]
        released.set()
    assert begun == ["large", "small", "large"]


@pytest.mark.parametrize("is_other", [False, True], ids=["this server", "another"])
async def test_who_waits_too_long_for_a_turn_is_told_to_come_again_and_holds_nothing(
    open_store: Callable[..., Any], store: Store, writing: Writing, monkeypatch: pytest.MonkeyPatch, is_other: bool
) -> None:
    monkeypatch.setattr("fhirserver.store.transaction.PATIENCE", 0.05)
    released, held = asyncio.Event(), asyncio.Event()

    async def holding(_: Tx) -> None:
        held.set()
        await released.wait()

    async def write(tx: Tx) -> Any:
        return await tx.write([writing.write("POST", "x-a")])

    holder = await open_store() if is_other else store
    first = asyncio.create_task(holder.transact(holding, types=TYPES, keys=("lock",)))
    await held.wait()
    with pytest.raises(Unavailable):
        await store.transact(write, types=TYPES, keys=("lock",))
    released.set()
    await first
    assert len(await store.transact(write, types=TYPES, keys=("lock",))) == 1


async def test_nothing_that_was_started_in_a_failed_attempt_runs_later(store: Store, writing: Writing) -> None:
    """A read that the body forgot about must not fall into the next transaction of the session."""
    await writing.put("there")
    left: list[asyncio.Task[Any]] = []

    async def body(tx: Tx) -> None:
        left.append(asyncio.create_task(tx.read("Observation", "there", SYSTEM)))
        left.append(asyncio.create_task(tx.lock(["later"])))
        raise BadRequest

    with pytest.raises(BadRequest):
        await store.transact(body, types=TYPES)
    results = await asyncio.gather(*left, return_exceptions=True)
    assert any(isinstance(each, Unavailable) for each in results)
