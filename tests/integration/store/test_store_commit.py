"""The write path: group commit, versions, preconditions, what a failing member does to its neighbours."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from bson.decimal128 import Decimal128
from pymongo import AsyncMongoClient

from fhirserver.model import json
from fhirserver.model.outcome import (
    Conflict,
    Forbidden,
    MethodNotAllowed,
    PreconditionFailed,
    TooLarge,
    Unavailable,
)
from fhirserver.rest.operate.log import describe
from fhirserver.search.expression import All, In
from fhirserver.search.permit import Permit
from fhirserver.store import Member, Store, Write, Written
from fhirserver.store.commit import group
from fhirserver.store.connection.client import Mongo, Query
from tests.integration.store.conftest import SYSTEM


def of_owner(*owners: str, writes: bool = True) -> Permit:
    """What belongs to these patients alone."""
    expression = In("security.owner", frozenset(owners))
    nothing = In("security.owner", frozenset({"nobody"}))
    return Permit(("test",), lambda _: expression, lambda _: expression if writes else nothing)


async def everything(mongo: Mongo, collection: str) -> list[dict[str, Any]]:
    return await mongo.find(collection, Query({}, limit=10_000))


async def test_a_resource_comes_back_as_the_text_that_it_was(store: Store, writing: Any) -> None:
    """Decimals keep their digits, numbers their size, and the server's own meta is set."""
    sent = json.parse(
        b'{"resourceType":"Observation","id":"a","meta":{"versionId":"77","lastUpdated":"1999-01-01T00:00:00Z","tag":[{"code":"t"}]},'
        b'"a":1.50,"b":1e3,"c":1E-22,"d":123456789012345678901234567890,"_e":[null,{"x":-0.0}]}'
    )
    written = await store.commit(Write("PUT", "Observation", "a", sent, writing.write("PUT", "a").derived, **_open()))
    version = await store.read("Observation", "a", SYSTEM)
    assert version == written.version
    text = version.json.decode()
    for digits in ('"a":1.50', '"b":1e3', '"c":1E-22', '"d":123456789012345678901234567890', '"x":-0.0', "null"):
        assert digits in text
    assert msgspec.json.decode(text)["meta"] == {
        "versionId": "1",
        "lastUpdated": version.updated.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "tag": [{"code": "t"}],
    }


async def test_the_native_copy_holds_decimals_as_decimal128_and_what_does_not_fit_as_text(
    store: Store, writing: Any, mongo: Mongo
) -> None:
    fields = {
        "a": json.Number("1.50"),
        "b": json.Number("1" * 30 + ".5" * 1),
        "c": 1 << 70,
        "d": [{"e": json.Number("1e-22")}],
    }
    await writing.put("a", **fields)
    await writing.put("b", a=Decimal("1." + "7" * 40))
    resource = {row["_id"]: row["resource"] for row in await everything(mongo, "Observation")}
    assert resource["a"]["a"] == Decimal128("1.50")
    assert resource["a"]["c"] == str(1 << 70)
    assert resource["a"]["d"] == [{"e": Decimal128("1E-22")}]
    assert resource["a"]["meta"]["versionId"] == "1"
    assert resource["b"]["a"] == "1." + "7" * 40


async def test_without_the_native_copy_only_the_text_is_kept(
    open_store: Callable[..., Any], writing: Any, mongo: Mongo
) -> None:
    plain = await open_store(native_copy=False)
    await plain.commit(writing.write("PUT", "a", x=1))
    await writing.put("b", x=1)
    await plain.commit(writing.write("PUT", "b", x=2))
    assert ["resource" in row for row in await everything(mongo, "Observation")] == [False, False]


async def test_of_fifty_parallel_updates_with_one_if_match_exactly_one_wins(store: Store, writing: Any) -> None:
    await writing.put("a", n=0)
    for current in range(1, 4):
        outcomes = await asyncio.gather(
            *(
                store.commit(writing.write("PUT", "a", options={"if_match": (str(current),)}, n=number))
                for number in range(50)
            ),
            return_exceptions=True,
        )
        assert Counter(type(outcome) for outcome in outcomes) == {Written: 1, PreconditionFailed: 49}
        assert (await store.read("Observation", "a", SYSTEM)).version == current + 1


async def test_two_servers_give_every_version_number_once_and_leave_none_out(
    open_store: Callable[..., Any], writing: Any, store: Store
) -> None:
    """Guard reads conflict across processes; the loser is tried again."""
    other = await open_store()
    written = await asyncio.gather(
        *((store, other)[n % 2].commit(writing.write("PUT", f"id{n % 3}", n=n)) for n in range(60))
    )
    for id in ("id0", "id1", "id2"):
        numbers = sorted(each.version.version for each in written if each.version.id == id)
        assert numbers == list(range(1, 21))
        versions, total = await store.history("Observation", id, SYSTEM, count=100)
        assert [version.version for version in versions] == list(range(20, 0, -1))
        assert total == 20
        moments = [version.updated for version in versions]
        assert moments == sorted(moments, reverse=True)


async def test_a_member_that_fails_does_not_fail_its_neighbours(store: Store, writing: Any) -> None:
    await asyncio.gather(*(writing.put(f"old{n}", subject=[{"reference": "Patient/p"}]) for n in range(10)))
    other = of_owner("q")
    no_writes = of_owner("p", writes=False)
    bad = [
        ({"if_match": ("7",)}, PreconditionFailed),
        ({"if_none_match_any": True}, PreconditionFailed),
        ({"permit": other, "may_create": False}, MethodNotAllowed),
        ({"permit": other, "may_create": True}, Conflict),
        ({"permit": other, "may_create": True, "if_match": ("1",)}, PreconditionFailed),
        ({"permit": no_writes}, Forbidden),
    ]
    writes = [writing.write("PUT", f"old{n}", options=options) for n, (options, _) in enumerate(bad)]
    writes += [writing.write("PUT", f"old{n}", x=n) for n in range(len(bad), 10)]
    writes += [writing.write("POST", f"new{n}") for n in range(10)]
    outcomes = await asyncio.gather(*(store.commit(write) for write in writes), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes[: len(bad)]] == [expected for _, expected in bad]
    assert all(isinstance(outcome, Written) for outcome in outcomes[len(bad) :])
    for n in range(len(bad)):
        assert (await store.read("Observation", f"old{n}", SYSTEM)).version == 1


async def test_a_member_that_mongodb_refuses_leaves_its_neighbours_written(
    store: Store, writing: Any, mongo: Mongo
) -> None:
    """The group is tried once more, then its members go alone. Here a companion's key is taken."""
    await store.documents("claims").insert({"_id": "taken"})
    writes = [writing.write("POST", f"n{n}") for n in range(8)]
    writes[3] = writing.write("POST", "n3", options={"companions": (("claims", {"_id": "taken"}),)})
    outcomes = await asyncio.gather(*(store.commit(write) for write in writes), return_exceptions=True)
    assert [isinstance(outcome, Written) for outcome in outcomes] == [n != 3 for n in range(8)]
    assert isinstance(outcomes[3], Conflict)
    assert {row["_id"] for row in await everything(mongo, "Observation")} == {f"n{n}" for n in range(8) if n != 3}
    assert len(await everything(mongo, "feed")) == 7


async def test_a_record_that_somebody_else_holds_makes_no_neighbour_wait(
    store: Store, writing: Any, mongo: Mongo, mongo_url: str, database_name: str
) -> None:
    """A dead server's transaction can hold a record for a minute: only who writes that record is told to come again."""
    await writing.put("held")
    async with AsyncMongoClient[dict[str, Any]](mongo_url) as client, client.start_session() as session:
        await session.start_transaction()
        held = client[database_name]["Observation"]
        await held.update_one({"_id": "held"}, {"$set": {"touched": True}}, session=session)
        waits = asyncio.ensure_future(store.commit(writing.write("PUT", "held")))
        writes = [writing.write("POST", f"free{n}") for n in range(20)]
        written = await asyncio.gather(*(store.commit(write) for write in writes))
        again = await asyncio.gather(*(store.commit(writing.write("PUT", f"free{n}")) for n in range(20)))
        assert [each.version.version for each in (*written, *again)] == [1] * 20 + [2] * 20
        assert not waits.done()
        await session.abort_transaction()
        assert (await waits).version.version == 2


async def test_a_write_whose_time_is_up_says_what_took_it(
    store: Store, writing: Any, mongo_url: str, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator reads in the log why: here another transaction had the record."""
    monkeypatch.setattr("fhirserver.store.commit.group.COMMIT_BOUND", timedelta(seconds=1))
    await writing.put("held")
    async with AsyncMongoClient[dict[str, Any]](mongo_url) as client, client.start_session() as session:
        await session.start_transaction()
        held = client[database_name]["Observation"]
        await held.update_one({"_id": "held"}, {"$set": {"touched": True}}, session=session)
        with pytest.raises(Unavailable) as refused:
            await store.commit(writing.write("PUT", "held"))
        await session.abort_transaction()
    assert describe(refused.value)["cause"] != "Unavailable"  # MongoDB's refusal, or the driver's word that time is up


async def test_a_member_whose_permit_raises_leaves_its_neighbours_written(store: Store, writing: Any) -> None:
    def broken(_: str) -> Any:
        raise RuntimeError("no")

    writes = [writing.write("PUT", f"n{n}") for n in range(4)]
    writes[1] = writing.write("PUT", "n1", options={"permit": Permit((), broken, broken)})
    outcomes = await asyncio.gather(*(store.commit(write) for write in writes), return_exceptions=True)
    assert [isinstance(outcome, Written) for outcome in outcomes] == [True, False, True, True]
    assert isinstance(outcomes[1], RuntimeError)


async def test_a_taken_server_made_id_fails_alone(store: Store, writing: Any) -> None:
    await writing.put("twice")
    outcomes = await asyncio.gather(
        *(store.commit(writing.write("POST", id)) for id in ("x", "twice", "y")), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [Written, Conflict, Written]


async def test_companions_are_sealed_once_an_attempt_in_group_order(
    open_store: Callable[..., Any], writing: Any, mongo: Mongo
) -> None:
    attempts: list[list[str]] = []

    def seal(members: Sequence[Member]) -> Iterable[tuple[str, dict[str, Any]]]:
        attempts.append([member.version.id for member in members])
        return [("chain", {"_id": len(attempts), "ids": [member.version.id for member in members]})]

    sealed = await open_store(seal=seal)
    ids = [f"n{n}" for n in range(20)]
    await asyncio.gather(*(sealed.commit(writing.write("POST", id)) for id in ids))
    assert [id for attempt in attempts for id in attempt] == ids
    assert [row["ids"] for row in await everything(mongo, "chain")] == attempts
    # An attempt that is aborted is sealed again, and what it sealed first is not there.
    attempts.clear()
    await writing.put("m1")
    outcomes = await asyncio.gather(
        *(sealed.commit(writing.write("POST", id)) for id in ("m0", "m1", "m2")), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [Written, Conflict, Written]
    assert attempts == [["m0", "m1", "m2"], ["m0", "m2"]]
    assert [row["ids"] for row in await everything(mongo, "chain")][-1] == ["m0", "m2"]


async def test_every_write_leaves_a_request_row_and_a_feed_row(store: Store, writing: Any, mongo: Mongo) -> None:
    await writing.put("a", subject=[{"reference": "Patient/p"}])
    await writing.put("a")
    await writing.delete("a")
    assert await writing.delete("a") is None
    assert await writing.delete("never") is None
    rows = [(row["principal"], row["writes"]) for row in await everything(mongo, "requests")]
    assert [(each["method"], each["id"], each["version"], who) for who, writes in rows for each in writes] == [
        ("PUT", "a", 1, "Practitioner/writer"),
        ("PUT", "a", 2, "Practitioner/writer"),
        ("DELETE", "a", 3, "Practitioner/writer"),
    ]
    feed = await everything(mongo, "feed")
    assert [(row["interaction"], row["version"], row["owners"], row["class"]) for row in feed] == [
        ("create", 1, ["p"], "patient"),
        ("update", 2, [], "patient"),
        ("delete", 3, [], "patient"),
    ]


async def test_a_put_after_a_deletion_is_the_version_after_it(store: Store, writing: Any) -> None:
    """http.html#delete: a deleted resource can be brought back; its history goes on."""
    await writing.put("a")
    deleted = await writing.delete("a")
    assert (deleted.version.version, deleted.version.deleted) == (2, True)
    again = await writing.put("a", options={"if_none_match_any": True})
    assert (again.version.version, again.created) == (3, True)
    versions, total = await store.history("Observation", "a", SYSTEM, count=10)
    assert [(each.version, each.deleted, each.method) for each in versions] == [
        (3, False, "PUT"),
        (2, True, "DELETE"),
        (1, False, "PUT"),
    ]
    assert total == 3
    # That it was created stays with that version.
    await writing.put("a")
    versions, _ = await store.history("Observation", "a", SYSTEM, count=10)
    assert [each.created for each in versions] == [False, True, False, True]


async def test_an_older_row_that_does_not_say_whether_it_was_created_is_read_by_its_number(
    store: Store, writing: Any, mongo: Mongo
) -> None:
    await writing.put("a")
    await writing.put("a")
    await mongo.database["Observation"].update_one({"_id": "a"}, {"$unset": {"created": ""}})
    versions, _ = await store.history("Observation", "a", SYSTEM, count=10)
    assert [each.created for each in versions] == [False, True]


@pytest.mark.parametrize(
    ("if_match", "wins"),
    [(("1",), True), (("9", "1"), True), (("*",), True), (("2",), False), ((), False)],
)
async def test_if_match_names_the_current_version(
    store: Store, writing: Any, if_match: tuple[str, ...], wins: bool
) -> None:
    await writing.put("a")
    try:
        await writing.put("a", options={"if_match": if_match})
    except PreconditionFailed:
        assert not wins
    else:
        assert wins


@pytest.mark.parametrize(("if_match", "wins"), [(("*",), False), (("1",), False), (("2",), True)])
async def test_what_is_deleted_is_matched_by_the_deletion_alone(
    store: Store, writing: Any, if_match: tuple[str, ...], wins: bool
) -> None:
    """RFC 9110, 13.1.1: `*` is true where there is a current representation."""
    await writing.put("a")
    await writing.delete("a")
    outcome = await asyncio.gather(writing.put("a", options={"if_match": if_match}), return_exceptions=True)
    assert isinstance(outcome[0], Written if wins else PreconditionFailed)


async def test_updated_never_goes_back(open_store: Callable[..., Any], writing: Any, clock: Any) -> None:
    slow = await open_store(clock=clock)
    first = await slow.commit(writing.write("PUT", "a"))
    assert first.version.updated == datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
    clock.now -= timedelta(hours=1)
    second = await slow.commit(writing.write("PUT", "a"))
    assert second.version.updated == first.version.updated
    assert b'"lastUpdated":"2026-01-02T03:04:05.678Z"' in second.version.json


async def test_a_text_past_the_bound_is_refused_with_the_bound(store: Store, writing: Any) -> None:
    with pytest.raises(TooLarge, match="5000000"):
        await writing.put("a", x="y" * 5_000_000)
    assert await store.read("Observation", "a", SYSTEM) is None


async def test_a_large_member_goes_alone_and_is_written(store: Store, writing: Any) -> None:
    written = await asyncio.gather(*(writing.put(f"big{n}", x="y" * 4_900_000) for n in range(3)), writing.put("small"))
    assert [each.version.version for each in written] == [1, 1, 1, 1]
    again = await asyncio.gather(*(writing.put(f"big{n}") for n in range(3)))
    assert [each.version.version for each in again] == [2, 2, 2]
    assert len((await store.vread("Observation", "big0", 1, SYSTEM)).json) > 4_900_000


async def test_a_full_group_takes_no_more_members_than_its_bound(open_store: Callable[..., Any], writing: Any) -> None:
    sizes: list[int] = []

    def seal(members: Sequence[Member]) -> list[Any]:
        sizes.append(len(members))
        return []

    sealed = await open_store(seal=seal)
    await asyncio.gather(*(sealed.commit(writing.write("POST", f"n{n}")) for n in range(450)))
    assert sum(sizes) == 450
    assert max(sizes) == group.MEMBERS


async def test_writes_of_one_resource_go_one_group_after_the_other_in_their_order(
    open_store: Callable[..., Any], writing: Any
) -> None:
    attempts: list[list[str]] = []

    def seal(members: Sequence[Member]) -> list[Any]:
        attempts.append([f"{member.version.id}{member.version.version}" for member in members])
        return []

    sealed = await open_store(seal=seal)
    written = await asyncio.gather(*(sealed.commit(writing.write("PUT", id)) for id in "abaaba"))
    assert [each.version.version for each in written] == [1, 1, 2, 3, 2, 4]
    assert attempts == [["a1", "b1"], ["a2", "b2"], ["a3"], ["a4"]]


async def test_past_the_bound_on_those_that_wait_the_next_is_told_to_come_again(
    store: Store, writing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "QUEUE", 3)
    outcomes = await asyncio.gather(*(writing.put(f"n{n}") for n in range(5)), return_exceptions=True)
    assert [type(each) for each in outcomes] == [Written] * 3 + [Unavailable] * 2
    assert await store.read("Observation", "n3", SYSTEM) is None


async def test_a_document_with_every_indexed_parameter_repeated_is_accepted(
    store: Store, writing: Any, mongo: Mongo
) -> None:
    """MongoDB refuses two arrays in one compound index, and only at the insert (error 171)."""
    from fhirserver.store import Derived
    from fhirserver.store.layout import indexes

    for resource_type in (*indexes.OF_TYPE, "Basic"):
        index: dict[str, Any] = {}
        sort: dict[str, Any] = {}
        for each in indexes.of(resource_type):
            for path, _ in each.keys:
                root, *steps = path.split(".")
                if root == "index":
                    values: Any = ["Patient/a", "Patient/b"]
                    index[steps[0]] = values if len(steps) == 1 else {steps[1]: values}
                elif root == "sort":
                    sort[steps[0]] = {"lo": 1, "hi": 2}
        security = {"owners": ["a", "b"], "owner": None, "labels": ["x", "y"]}
        write = writing.write("PUT", "a", resource_type)
        derived = Derived(index, sort, security)
        written = await store.commit(Write("PUT", resource_type, "a", write.resource, derived, **_open()))
        assert written is not None


async def test_a_caller_that_has_gone_before_its_group_is_not_written(store: Store, writing: Any) -> None:
    tasks = [asyncio.create_task(writing.put(f"n{n}")) for n in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    there = [await store.read("Observation", f"n{n}", SYSTEM) is not None for n in range(3)]
    assert there == [True, False, True]


async def test_close_finishes_what_was_taken_on(open_store: Callable[..., Any], writing: Any, store: Store) -> None:
    leaving = await open_store()
    tasks = [asyncio.create_task(leaving.commit(writing.write("POST", f"n{n}"))) for n in range(30)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await leaving.close()
    written = await asyncio.gather(*tasks)
    assert len(written) == 30


@pytest.mark.slow
async def test_a_change_of_the_primary_loses_no_acknowledged_write(store: Store, writing: Any, mongo: Mongo) -> None:
    """Transient errors are retried inside five seconds; past it the answer is 503."""
    acknowledged: list[str] = []
    refused: list[BaseException] = []
    stepped_down = asyncio.Event()

    async def write(worker: int) -> None:
        number = after = 0
        while after < 20:
            number += 1
            after += stepped_down.is_set()
            try:
                await writing.put(f"w{worker}-{number}")
                acknowledged.append(f"w{worker}-{number}")
            except Unavailable as error:
                refused.append(error)

    async def step_down() -> None:
        while len(acknowledged) < 100:  # noqa: ASYNC110  # the writers have begun
            await asyncio.sleep(0)
        await mongo.client.admin.command({"replSetStepDown": 2, "secondaryCatchUpPeriodSecs": 0, "force": True})
        stepped_down.set()

    await asyncio.gather(step_down(), *(write(worker) for worker in range(16)))
    found = await asyncio.gather(*(store.read("Observation", id, SYSTEM) for id in acknowledged))
    assert [version.version for version in found if version is not None] == [1] * len(acknowledged)


def _open() -> dict[str, Any]:
    from fhirserver.store import By

    permit = Permit(("test",), lambda _: All(), lambda _: All())
    return {"by": By("r", "p", "c"), "permit": permit, "may_create": True}
