"""Which matches of a criterion a caller sees: the same whatever lies hidden behind them, however much it is."""

from __future__ import annotations

import pytest

from fhirserver.access import matching
from fhirserver.access.gate import weighing
from fhirserver.access.matching import Rows, met, seen
from fhirserver.model.outcome import TooCostly
from fhirserver.search.expression import Expression, In
from fhirserver.search.permit import Permit
from tests.fakes.gate import DOCTOR, World, permits
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
