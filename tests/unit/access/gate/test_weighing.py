"""What is too much to be weighed is hidden by its own measure: what else is there, and hidden, changes nothing."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.access.gate import weighing
from fhirserver.access.gate.request import Request
from fhirserver.access.gate.weighing import weighable
from fhirserver.search.match import match
from tests.fakes.gate import DOCTOR, A, World, denies, permits
from tests.fakes.records import observation, resource


@given(st.lists(st.frozensets(st.sampled_from("abcdefghij"), max_size=8), max_size=6), st.integers(1, 8))
def test_one_with_many_owners_never_displaces_one_with_fewer(resources: list[frozenset[str]], most_of_one: int) -> None:
    found, is_whole = weighable(resources, most_of_one)
    assert is_whole == all(len(each) <= most_of_one for each in resources)
    for each in resources:
        assert len(each) > most_of_one or each <= found


def test_past_the_bound_on_all_those_with_fewer_owners_are_weighed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighing, "MOST", 4)
    many, few = frozenset("abc"), frozenset("de")
    assert weighable([many, few], 5) == (few, False)
    assert weighable([few, many], 5) == (few, False)


async def test_one_of_very_many_owners_hides_no_other_of_the_same_search() -> None:
    """The attack: an id that might be there, beside one that is visible; and criteria that both meet."""
    crowd = observation("crowd", *(f"p{n}" for n in range(6)))
    for rest in ((), (crowd,)):
        world = World(observation("1", "a"), *rest, permits("Practitioner/d"), max_owners=5)
        assert await world.finds(DOCTOR, "Observation", ids=("1", "crowd")) == {"1"}


@pytest.mark.parametrize(
    "narrowed", [{"patients": frozenset("a")}, {"patients": frozenset(), "mentions": frozenset("a")}]
)
@pytest.mark.parametrize("limit", [1, 3, 1_000])
async def test_however_many_hidden_ones_are_shared_or_mention_her_the_same_is_found(
    monkeypatch: pytest.MonkeyPatch, narrowed: dict[str, frozenset[str]], limit: int
) -> None:
    monkeypatch.setattr(weighing, "_ROWS", limit)
    hidden = [
        observation(f"{kind}{n}", *owners, performer=[{"reference": "Patient/a"}])
        for n in range(8)
        for kind, owners in (("shared", ("a", f"h{n}")), ("other", (f"h{n}",)))
    ]
    shown = [
        observation("mine", "a"),
        observation("ours", "a", "b"),
        observation("hers", "b", performer=[{"reference": "Patient/a"}]),
    ]
    consents = [permits("Practitioner/d"), permits("Practitioner/d", patient="b", id="b")]
    found = []
    for rest in ((), hidden):
        world = World(*rest, *shown, *consents)
        found.append(await world.finds(DOCTOR, "Observation", **narrowed))
    assert found[0] == found[1] >= {"hers"} | ({"mine", "ours"} if "mentions" not in narrowed else set())


async def test_a_flood_of_consents_hides_the_one_whose_it_is_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighing, "MAX_RULES", 4)
    monkeypatch.setattr(weighing, "RULES_OF_ONE", 3)
    flood = [permits("Practitioner/d", patient="b", id=f"b{n}") for n in range(9)]
    records = [observation(id, id) for id in "abcde"]
    consents = [permits("Practitioner/d", patient=id, id=id) for id in "acd"] + [denies("Practitioner/d", patient="e")]
    world = World(*records, *flood, *consents)
    everybody = frozenset("abcde")
    assert await world.finds(DOCTOR, "Observation", patients=everybody) == set("acd")
    assert await world.finds(DOCTOR, "Observation", ids=tuple("abcde")) == set("acd")
    assert await asyncio.gather(*(world.reads(DOCTOR, "Observation", id) for id in "abcde")) == [
        *(True, False, True, True, False)
    ]
    assert await world.finds(A, "Observation") == {"a"}


async def test_consents_of_many_are_read_in_parts_and_all_of_them_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighing, "MAX_RULES", 4)
    everybody = frozenset("abcdefg")
    world = World(*(observation(id, id) for id in everybody))
    for id in everybody:
        world.facts.put(permits("Practitioner/d", patient=id, id=id))
    assert await world.finds(DOCTOR, "Observation", patients=everybody) == everybody


@pytest.mark.parametrize(("number", "shown"), [(3, {"1"}), (4, set())])
async def test_whose_consents_are_too_many_is_hidden_whatever_else_is_asked(
    monkeypatch: pytest.MonkeyPatch, number: int, shown: set[str]
) -> None:
    monkeypatch.setattr(weighing, "RULES_OF_ONE", 3)
    world = World(observation("1", "a"), *(permits("Practitioner/d", id=f"c{n}") for n in range(number)))
    assert await world.finds(DOCTOR, "Observation") == shown
    assert await world.finds(DOCTOR, "Observation", patients=frozenset("ab")) == shown


async def test_old_versions_of_more_owners_than_a_search_reaches_are_shown_as_each_permits() -> None:
    world = World(permits("Practitioner/d"), max_owners=2)
    for owner in ("a", *(f"h{n}" for n in range(5)), "a"):
        world.facts.put(observation("1", owner))
    permit = await world.gate.decide(DOCTOR, Request("history-instance", "Observation", ids=("1",)))
    past = world.facts.past["Observation", "1"]
    assert world.facts.seen(permit, "Observation") == {"1"}
    assert [match(permit.of("Observation"), row) for row in past] == [True, *[False] * 5]


async def test_a_patient_who_names_a_clinic_ten_thousand_times_is_one_patient() -> None:
    """The attack: so many Consents to one organisation that none of its doctors can search without a patient any more."""
    flood = [permits("Practitioner/d", patient="b", id=f"b{n}") for n in range(30)]
    world = World(observation("1", "a"), observation("2", "b"), *flood, permits("Practitioner/d"), max_owners=5)
    assert await world.finds(DOCTOR, "Observation") == {"1", "2"}


async def test_appointments_with_the_same_patients_are_no_more_patients() -> None:
    def appointment(number: int) -> dict[str, object]:
        people = [{"actor": {"reference": each}, "status": "accepted"} for each in ("Patient/a", "Practitioner/d")]
        return resource("Appointment", f"x{number}", status="booked", participant=people)

    world = World(*map(appointment, range(30)), max_owners=5)
    assert len(await world.finds(DOCTOR, "Appointment")) == 30
