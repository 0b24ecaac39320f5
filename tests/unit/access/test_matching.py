"""Which matches of a criterion a caller sees: the same whatever lies hidden behind them, however much it is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from fhirserver.access import matching
from fhirserver.access.gate import weighing
from fhirserver.access.matching import PatientKeys, Rows, met, seen
from fhirserver.access.principal import Principal
from fhirserver.model.outcome import Conflict, TooCostly
from fhirserver.search.expression import Expression, In
from fhirserver.search.permit import Permit
from tests.fakes.gate import DOCTOR, LABORATORY, World, permits, who
from tests.fakes.records import observation

EVERY = In("deleted", frozenset({False}))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "CANDIDATES", 3)
    monkeypatch.setattr(matching, "_TOGETHER", 2)
    monkeypatch.setattr(weighing, "MOST", 30)
    monkeypatch.setattr(weighing, "_ROWS", 2)


def world(hidden: int, *shown: str, patients: int = 3) -> World:
    """Some patients permit the doctor, more than a search of hers may reach; results of theirs, and of others."""
    found = World(
        *(permits("Practitioner/d", patient=f"p{each}", id=f"c{each}") for each in range(patients)), max_owners=2
    )
    for number in range(hidden):
        found.facts.put(observation(f"h{number:03d}", f"stranger{number}"))
    for number, id in enumerate(shown):
        found.facts.put(observation(id, f"p{number}"))
    return found


async def decided(of: World, criteria: list[Expression]) -> tuple[list[Rows], Permit]:
    found = await met(of.facts, "Observation", criteria)
    return await seen(of.gate, of.facts, DOCTOR, "Observation", criteria, found)


async def ids(of: World) -> list[str]:
    [rows], permit = await decided(of, [EVERY])
    assert {row["_id"] for row in rows} <= of.facts.seen(permit, "Observation")
    return [row["_id"] for row in rows]


@pytest.mark.parametrize("hidden", [0, 1, 3, 4, 20])
async def test_hidden_matches_are_not_there_for_a_caller_whom_too_many_permit(hidden: int) -> None:
    """SC-17 and SC-18."""
    assert await ids(world(hidden)) == []
    assert await ids(world(hidden, "mine")) == ["mine"]
    assert len(await ids(world(hidden, "mine", "mine-too"))) == 2


async def test_the_matches_of_one_who_does_not_permit_are_never_too_many() -> None:
    """The attack: a criterion that names her, and a caller whom thousands permit; the answer would tell that she has a record."""
    made = world(0, "mine")
    for number in range(40):
        made.facts.put(observation(f"h{number:03d}", "stranger"))
    assert await ids(made) == ["mine"]


async def test_past_the_bound_on_owners_the_search_says_what_it_is() -> None:
    with pytest.raises(TooCostly):
        await ids(world(31))
    # Whom a search can be decided for has no such bound.
    assert await ids(world(31, patients=1)) == []


async def test_several_criteria_are_each_answered() -> None:
    made = world(8, "mine", "mine-too")
    criteria: list[Expression] = [
        EVERY,
        In("_id", frozenset({"mine"})),
        In("_id", frozenset({"h001"})),
        In("_id", frozenset({"none"})),
    ]
    found, _ = await decided(made, criteria)
    assert [len(rows) for rows in found] == [2, 1, 0, 0]


async def test_the_owner_of_one_match_counts_beside_a_criterion_of_many() -> None:
    made = world(8, "mine")
    many = In("_id", frozenset(f"h{number:03d}" for number in range(8)))
    found, _ = await decided(made, [many, In("_id", frozenset({"mine"}))])
    assert [len(rows) for rows in found] == [0, 1]


class FakeRows:
    """The rows of several processes: between any two questions others have their turn."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}

    async def get(self, key: str) -> dict[str, Any] | None:
        found = self.rows.get(key)
        await asyncio.sleep(0)
        return found

    async def insert(self, document: dict[str, Any]) -> None:
        if document["_id"] in self.rows:
            raise Conflict
        self.rows[document["_id"]] = document

    async def replace(self, document: dict[str, Any], expected: Mapping[str, Any]) -> bool:
        stored = self.rows[document["_id"]]
        if any(stored[name] != value for name, value in expected.items()):
            return False
        self.rows[document["_id"]] = document
        return True


async def missed(keys: PatientKeys, now: float = 0) -> bool:
    """Whether the key asked for an identifier that leads to no patient."""
    nobody = In("_id", frozenset({"nobody"}))
    try:
        assert await keys.resolve(World().facts, LABORATORY, nobody, now) == []
    except TooCostly:
        return False
    return True


async def test_misses_are_counted_to_the_bound_by_the_hour() -> None:
    keys = PatientKeys(FakeRows(), misses=3, seconds=10)  # type: ignore[arg-type]  # as much of them as is needed
    assert [await missed(keys) for _ in range(5)] == [True, True, True, False, False]
    assert await missed(keys, now=10)


async def test_no_miss_of_another_process_is_lost() -> None:
    rows = FakeRows()
    processes = [PatientKeys(rows, misses=100) for _ in range(4)]  # type: ignore[arg-type]
    await asyncio.gather(*(missed(each) for each in processes for _ in range(5)))
    assert rows.rows["Organization/lab"]["misses"] == 20
    assert not await missed(PatientKeys(rows, misses=20))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("principal", "expected"),
    [
        (LABORATORY, True),
        (who("Organization/lab", "system/Observation.c"), True),
        (who("Organization/lab", "system/Observation.ruds system/Patient.c"), False),
        (DOCTOR, False),
    ],
)
def test_the_key_is_for_systems_that_may_create(principal: Principal, expected: bool) -> None:
    assert PatientKeys.fits(principal, "Observation") is expected
