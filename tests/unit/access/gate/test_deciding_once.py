"""What is decided as one: who asks is read once, and rows that are at hand are decided upon as those that are read."""

from __future__ import annotations

import asyncio

import pytest

from fhirserver.access.gate.facts import DECIDING
from fhirserver.access.gate.request import Request
from fhirserver.access.principal import Principal
from tests.fakes.gate import CLINIC, DEVICE, DOCTOR, IN_ROLE, LABORATORY, A, B, World, denies, permits
from tests.fakes.records import observation

EVERYBODY = (A, B, DOCTOR, IN_ROLE, LABORATORY, DEVICE)


def world() -> World:
    return World(
        *CLINIC,
        observation("1", "a"),
        observation("2", "b"),
        observation("both", "a", "b"),
        permits("Organization/clinic"),
        permits("Practitioner/d", patient="b", id="permit-b"),
        denies("Organization/trust", patient="b", id="deny-b"),
    )


async def test_of_one_request_the_caller_is_read_once_however_often_the_gate_is_asked() -> None:
    made = world()
    gate = made.gate.for_one()
    first, second = await asyncio.gather(
        *(gate.decide(IN_ROLE, Request("search-type", "Observation", ids=(id,))) for id in ("1", "2"))
    )
    both = await gate.decide(IN_ROLE, Request("search-type", "Observation", ids=("both",)))
    assert made.facts.asked.count("PractitionerRole") == 1
    assert made.facts.seen(first, "Observation") == {"1"}
    assert made.facts.seen(second, "Observation") == set()
    assert "both" not in made.facts.seen(both, "Observation")


async def test_callers_of_one_gate_stay_apart() -> None:
    made = world()
    gate = made.gate.for_one()
    decided = [await gate.decide(who, Request("search-type", "Observation", ids=("1", "2"))) for who in EVERYBODY]
    apart = [await made.gate.decide(who, Request("search-type", "Observation", ids=("1", "2"))) for who in EVERYBODY]
    assert [made.facts.seen(each, "Observation") for each in decided] == [
        made.facts.seen(each, "Observation") for each in apart
    ]


async def test_the_next_request_reads_the_caller_anew() -> None:
    made = world()
    before = await made.gate.for_one().decide(IN_ROLE, Request("search-type", "Observation", ids=("1",)))
    made.facts.delete("PractitionerRole", "r")
    after = await made.gate.for_one().decide(IN_ROLE, Request("search-type", "Observation", ids=("1",)))
    assert made.facts.seen(before, "Observation") == {"1"}
    assert made.facts.seen(after, "Observation") == set()


@pytest.mark.parametrize("who", EVERYBODY, ids=lambda who: who.user)
@pytest.mark.parametrize("ids", [("1",), ("2",), ("1", "2"), ("both",), ("none",)], ids=str)
async def test_rows_at_hand_are_decided_upon_as_those_that_are_read(who: Principal, ids: tuple[str, ...]) -> None:
    made = world()
    rows = await made.facts.facts("Observation", ids, DECIDING)
    read = await made.gate.decide(who, Request("search-type", "Observation", ids=ids))
    made.facts.asked.clear()
    at_hand = await made.gate.decide(who, Request("search-type", "Observation", ids=ids, rows=rows))
    assert "Observation" not in made.facts.asked
    assert made.facts.seen(at_hand, "Observation") == made.facts.seen(read, "Observation")
    assert at_hand.reasons == read.reasons
