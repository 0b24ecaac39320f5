"""The read path: coalesced reads, versions and facts, each under its own permit."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from fhirserver.model.outcome import FhirError
from fhirserver.search.expression import All, And, Expression, In, Nothing, Range, Within, any_of
from fhirserver.search.permit import Permit
from fhirserver.store import Store
from fhirserver.store.connection.client import Mongo
from tests.integration.store.conftest import SYSTEM, owner, patient, permit


@pytest.mark.parametrize("rounds", [500, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_an_allowed_and_a_refused_reader_in_one_turn_each_get_their_own_answer(
    store: Store, writing: Any, rounds: int
) -> None:
    """Reads of one id under different permits never share a row unchecked."""
    await writing.put("a", subject=patient("p"), n=1)
    await writing.put("gone", subject=patient("p"))
    await writing.delete("gone")
    await writing.put("both", subject=patient("p", "q"))
    allowed = [
        owner("p"),
        owner("p", "x"),
        permit(any_of(In("by.principal", frozenset({"nobody"})), In("security.owner", frozenset({"p"})))),
    ]
    refused = [owner("q"), owner("x"), permit(Nothing()), permit(In("by.principal", frozenset({"Patient/p"})))]
    both = [permit(Within("security.owners", frozenset({"p", "q"}))), SYSTEM]
    not_both = [permit(Within("security.owners", frozenset({"p"}))), owner("p"), owner("q")]
    cases = [(id, each, True) for each in allowed for id in ("a", "gone")]
    cases += [(id, each, False) for each in refused for id in ("a", "gone")]
    cases += [("both", each, True) for each in both] + [("both", each, False) for each in not_both]
    cases += [("absent", each, False) for each in (*allowed, SYSTEM)]
    chance = random.Random(7)
    for _ in range(rounds):
        chosen = chance.choices(cases, k=4)
        found = await asyncio.gather(*(store.read("Observation", id, each) for id, each, _ in chosen))
        assert [version is not None for version in found] == [expected for _, _, expected in chosen]
        for (id, _, _), version in zip(chosen, found, strict=True):
            assert version is None or version.id == id


async def test_reads_of_one_turn_are_one_query(store: Store, writing: Any, mongo: Mongo) -> None:
    await asyncio.gather(*(writing.put(f"n{n}", subject=patient(f"p{n % 3}")) for n in range(30)))
    before = await _queries(mongo)
    found = await asyncio.gather(
        *(store.read("Observation", f"n{n}", owner(f"p{n % 3}")) for n in range(30)),
        *(store.read("Observation", f"n{n}", SYSTEM) for n in range(30)),
    )
    assert all(found)
    assert await _queries(mongo) - before == 1


async def test_a_broken_permit_fails_only_its_own_waiter(store: Store, writing: Any) -> None:
    """An error fails only its own waiter. MongoDB refuses a filter nested past its depth."""
    await writing.put("a", subject=patient("p"))
    deep: Expression = In("security.owner", frozenset({"p"}))
    for n in range(120):
        deep = And((any_of(deep, Range("security.n", n, n)), Range("security.m", n, None)))
    found = await asyncio.gather(
        store.read("Observation", "a", owner("p")),
        store.read("Observation", "a", permit(deep)),
        store.read("Observation", "a", owner("q")),
        return_exceptions=True,
    )
    assert found[0] is not None
    assert not isinstance(found[0], BaseException)
    assert isinstance(found[1], Exception)
    assert found[2] is None


async def test_permits_too_large_for_one_query_are_asked_apart(store: Store, writing: Any) -> None:
    await writing.put("a", subject=patient("p0"))
    wide = [owner("p0", *(f"w{k}-{n:040}" for n in range(5_000))) for k in range(8)]
    found = await asyncio.gather(*(store.read("Observation", "a", each) for each in wide))
    assert all(found)


async def test_many_large_rows_come_back_whole(store: Store, writing: Any) -> None:
    """More than one answer of MongoDB holds: the rest is fetched with a cursor."""
    for n in range(5):
        await writing.put(f"big{n}", x="y" * 4_500_000)
    found = await asyncio.gather(*(store.read("Observation", f"big{n}", SYSTEM) for n in range(5)))
    assert [len(version.json) > 4_500_000 for version in found if version is not None] == [True] * 5


async def test_a_reader_that_has_gone_does_not_trouble_the_others(store: Store, writing: Any) -> None:
    await writing.put("a")
    gone = asyncio.create_task(store.read("Observation", "a", SYSTEM))
    await asyncio.sleep(0)
    gone.cancel()
    assert await store.read("Observation", "a", SYSTEM) is not None


async def test_vread_needs_the_current_and_the_asked_version_visible(store: Store, writing: Any) -> None:
    """An old version of a record that changed its owner needs both."""
    await writing.put("a", subject=patient("p"))
    await writing.put("a", subject=patient("q"))
    cases = [
        (owner("p", "q"), 1, True),
        (owner("p", "q"), 2, True),
        (owner("p"), 1, False),
        (owner("p"), 2, False),
        (owner("q"), 1, False),
        (owner("q"), 2, True),
        (SYSTEM, 1, True),
        (SYSTEM, 3, False),
        (SYSTEM, 0, False),
        (SYSTEM, 10**30, False),
        (permit(Nothing()), 1, False),
    ]
    for each, number, expected in cases:
        version = await store.vread("Observation", "a", number, each)
        assert (version is not None) == expected
        assert version is None or version.version == number


async def test_history_shows_only_visible_versions_and_counts_only_them(store: Store, writing: Any) -> None:
    for owners in ("p", "q", "p", "q", "q"):
        await writing.put("a", subject=patient(owners))

    async def numbers(each: Permit, **options: Any) -> tuple[list[int], int]:
        versions, total = await store.history("Observation", "a", each, **{"count": 100, **options})
        return [version.version for version in versions], total

    assert await numbers(SYSTEM) == ([5, 4, 3, 2, 1], 5)
    assert await numbers(owner("q")) == ([5, 4, 2], 3)
    assert await numbers(owner("p")) == ([], 0)
    assert await numbers(owner("q"), before=5) == ([4, 2], 3)
    assert await numbers(owner("q"), before=5, count=1) == ([4], 3)
    assert await numbers(owner("q"), count=0) == ([], 3)
    assert await numbers(SYSTEM, before=1) == ([], 5)
    await writing.delete("a")
    assert await numbers(owner("q")) == ([6, 5, 4, 2], 4)
    assert await numbers(owner("p")) == ([], 0)


async def test_a_tombstone_keeps_the_facts_of_the_version_before_it(store: Store, writing: Any) -> None:
    await writing.put("a", subject=patient("p"))
    await writing.delete("a")
    seen = await store.read("Observation", "a", owner("p"))
    assert seen is not None
    assert seen.deleted
    assert await store.read("Observation", "a", owner("q")) is None
    (facts,) = await store.facts("Observation", ["a"], owner("p"))
    assert facts["security"]["owners"] == ["p"]


async def test_facts_by_id_and_by_condition_are_confined_by_the_permit(store: Store, writing: Any) -> None:
    for n in range(6):
        await writing.put(f"n{n}", "Consent", subject=patient(f"p{n % 2}"), codes=["active" if n < 4 else "draft"])
    await writing.delete("n1", "Consent")
    ids = [f"n{n}" for n in range(7)]

    async def found(which: Any, each: Permit, **options: Any) -> list[str]:
        return sorted(row["_id"] for row in await store.facts("Consent", which, each, **options))

    assert await found(ids, SYSTEM) == ["n0", "n1", "n2", "n3", "n4", "n5"]
    assert await found(ids, owner("p0")) == ["n0", "n2", "n4"]
    of_p0 = In("index.patient.r", frozenset({"Patient/p0"}))
    assert await found(of_p0, SYSTEM) == ["n0", "n2", "n4"]
    assert await found(of_p0, owner("p1")) == []
    assert await found(of_p0, permit(Nothing())) == []
    assert len(await found(of_p0, SYSTEM, limit=2)) == 2
    assert await found(In("index.code", frozenset({"active"})), SYSTEM) == ["n0", "n2", "n3"]
    by_index = permit(any_of(of_p0, In("index.code", frozenset({"draft"}))))
    assert await found(ids, by_index) == ["n0", "n2", "n4", "n5"]
    assert (await store.read("Consent", "n5", by_index)) is not None


async def test_conditions_of_one_turn_are_one_query_and_each_gets_its_own_rows(
    store: Store, writing: Any, mongo: Mongo
) -> None:
    """The rules of this owner and of that one are asked for together, and not handed over together."""
    await asyncio.gather(
        *(
            writing.put(f"n{n}", "Consent", subject=patient(f"p{n % 10}"), codes=["active" if n % 3 else "draft"])
            for n in range(60)
        )
    )
    questions: list[tuple[Expression, Permit, int]] = []
    for n in range(10):
        who = In("index.patient.r", frozenset({f"Patient/p{n}", f"Patient/p{(n + 1) % 10}"}))
        questions += [
            (who, SYSTEM, 100),
            (who, owner(f"p{n}"), 100),
            (And((who, In("index.code", frozenset({"active"})))), SYSTEM, 100),
            (who, SYSTEM, 3),
        ]
    questions += [(All(), owner("p3"), 100), (In("_id", frozenset({"n1", "n2"})), SYSTEM, 5)]
    alone = [await store.facts("Consent", which, each, limit=limit) for which, each, limit in questions]
    before = await _queries(mongo)
    together = await asyncio.gather(
        *(store.facts("Consent", which, each, limit=limit) for which, each, limit in questions)
    )
    assert await _queries(mongo) - before == 1
    for one, other, (_, _, limit) in zip(alone, together, questions, strict=True):
        if limit == 3:
            assert len(one) == len(other) == 3
        else:
            assert sorted(row["_id"] for row in one) == sorted(row["_id"] for row in other)


async def test_a_condition_that_many_rows_meet_takes_none_of_its_neighbours(store: Store, writing: Any) -> None:
    """A Consent that denies is found beside a question that wants one of thousands."""
    await asyncio.gather(
        *(writing.put(f"n{n:02d}", "Consent", subject=patient("many" if n < 30 else "one")) for n in range(31))
    )
    many, one = (In("security.owners", frozenset({who})) for who in ("many", "one"))
    found = await asyncio.gather(*(store.facts("Consent", which, SYSTEM, limit=1) for which in (many, one)))
    assert [[row["security"]["owners"] for row in rows] for rows in found] == [[["many"]], [["one"]]]


async def test_a_failing_condition_fails_only_its_own_question(store: Store, writing: Any) -> None:
    await writing.put("a", "Consent", subject=patient("p"))
    deep: Expression = In("security.owner", frozenset({"p"}))
    for n in range(120):
        deep = And((any_of(deep, Range("security.n", n, n)), Range("security.m", n, None)))
    good, bad = await asyncio.gather(
        store.facts("Consent", In("index.patient.r", frozenset({"Patient/p"})), SYSTEM),
        store.facts("Consent", deep, SYSTEM),
        return_exceptions=True,
    )
    assert [row["_id"] for row in good] == ["a"]  # type: ignore[union-attr, index]
    assert isinstance(bad, Exception)


async def test_own_rows_are_put_got_found_and_deleted(store: Store) -> None:
    rows = store.documents("things")
    assert await rows.get("a") is None
    await rows.put({"_id": "a", "n": 1})
    with pytest.raises(FhirError):
        await rows.insert({"_id": "a"})
    await rows.insert({"_id": "b", "n": 2})
    got = await asyncio.gather(*(rows.get(key) for key in ("a", "b", "c", "a")))
    assert got == [{"_id": "a", "n": 1}, {"_id": "b", "n": 2}, None, {"_id": "a", "n": 1}]
    assert await rows.find(Range("n", 2, None)) == [{"_id": "b", "n": 2}]
    assert await rows.find(Nothing()) == []
    assert not await rows.replace({"_id": "a", "n": 5}, {"n": 4})
    assert await rows.replace({"_id": "a", "n": 5}, {"n": 1})
    assert await rows.delete("a")
    assert not await rows.delete("a")
    for name in ("Patient", "a.b", "$x"):
        with pytest.raises(ValueError, match="lower-case"):
            store.documents(name)


async def _queries(mongo: Mongo) -> int:
    """How many finds MongoDB has answered in this database since it was first asked: elsewhere others are at work."""
    await mongo.database.command({"profile": 2})
    return await mongo.database["system.profile"].count_documents({"op": "query"})
