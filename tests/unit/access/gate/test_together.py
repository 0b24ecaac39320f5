"""Reads of one turn of the event loop: what one caller is shown is never what another may see, nor what was so a turn ago.

https://hl7.org/fhir/R4/security.html#access-control
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhirserver.access import reasons
from fhirserver.access.bearer import Grant, issue_token, principal_for
from fhirserver.access.gate import decide, weighing
from fhirserver.access.gate.decide import Gate
from fhirserver.access.gate.request import Request
from fhirserver.access.principal import Principal
from fhirserver.model.outcome import Forbidden, Unavailable
from fhirserver.search.match import match
from fhirserver.search.permit import Permit
from tests.fakes.facts import FakeFacts
from tests.fakes.gate import (
    CLINIC,
    DEVICE,
    DOCTOR,
    IN_ROLE,
    LABORATORY,
    NOW,
    A,
    B,
    World,
    denies,
    permits,
    who,
)
from tests.fakes.records import ACCESS, consent, observation, provision
from tests.unit.access.gate.test_oracle import NOW as THEN
from tests.unit.access.gate.test_oracle import Made, build, caller, callers, sees, stored, worlds

STRANGER = who("Practitioner/s")


async def together(world: World, *reads: tuple[Principal, str], kind: str = "Observation") -> list[bool]:
    """Who of these sees what she asks for, all in one turn."""
    asked = [world.gate.decide(each, Request("read", kind, ids=(id,))) for each, id in reads]
    found = await asyncio.gather(*asked)
    return [id in world.facts.seen(permit, kind) for permit, (_, id) in zip(found, reads, strict=True)]


async def test_of_two_callers_for_one_record_only_the_permitted_one_sees_it() -> None:
    world = World(observation("1", "a"), permits("Practitioner/d"))
    assert await together(world, (DOCTOR, "1"), (STRANGER, "1"), (DOCTOR, "1"), (STRANGER, "1")) == [True, False] * 2


async def test_callers_of_every_kind_share_a_turn_and_no_permit() -> None:
    world = World(*CLINIC, observation("1", "a"), observation("2", "b"), permits("Organization/clinic"))
    reads = [(each, id) for each in (A, B, DOCTOR, IN_ROLE, LABORATORY, DEVICE, STRANGER) for id in ("1", "2")]
    seen = {(reads[number]) for number, sees in enumerate(await together(world, *reads)) if sees}
    assert seen == {(A, "1"), (B, "2"), (IN_ROLE, "1")}


async def test_the_same_doctor_in_her_role_and_without_it_is_decided_twice() -> None:
    world = World(*CLINIC, observation("1", "a"), permits("PractitionerRole/r"))
    assert await together(world, (IN_ROLE, "1"), (DOCTOR, "1")) == [True, False]


async def test_what_one_token_of_a_doctor_may_read_another_may_not() -> None:
    """Same user, same turn, same record: a token for Patients alone is refused, and the wider one is not its key."""
    world = World(observation("1", "a"), permits("Practitioner/d"))
    narrow = who("Practitioner/d", "user/Patient.rs")
    in_context = who("Practitioner/d", "patient/*.rs", patient="b")
    refused, wide, elsewhere = await asyncio.gather(
        *(world.gate.decide(each, Request("read", "Observation", ids=("1",))) for each in (narrow, DOCTOR, in_context)),
        return_exceptions=True,
    )
    assert isinstance(refused, Forbidden)
    assert isinstance(wide, Permit)
    assert isinstance(elsewhere, Permit)
    assert world.facts.seen(wide, "Observation") == {"1"}
    assert world.facts.seen(elsewhere, "Observation") == set()


async def test_purposes_have_permits_of_their_own() -> None:
    world = World(observation("1", "a"), permits("Practitioner/d"))
    treating, researching = who("Practitioner/d", purpose="TREAT"), who("Practitioner/d", purpose="HRESCH")
    one, other = await asyncio.gather(
        *(world.gate.decide(each, Request("read", "Observation", ids=("1",))) for each in (treating, researching))
    )
    assert one.reads is not other.reads


async def test_a_consent_that_was_revoked_a_turn_ago_permits_nothing() -> None:
    world = World(observation("1", "a"), permits("Practitioner/d"))
    assert await together(world, (DOCTOR, "1"), (DOCTOR, "1")) == [True, True]
    world.facts.put(permits("Practitioner/d") | {"status": "inactive"})
    assert await together(world, (DOCTOR, "1"), (DOCTOR, "1")) == [False, False]


class Held(FakeFacts):
    """Facts whose first answer about Consents, made from what there is, comes when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.asking, self.go = asyncio.Event(), asyncio.Event()

    async def facts(
        self, resource_type: str, which: Any, permit: Permit, /, *, limit: int = 1_000
    ) -> list[dict[str, Any]]:
        found = await super().facts(resource_type, which, permit, limit=limit)
        if resource_type == "Consent" and not self.asking.is_set():
            self.asking.set()
            await self.go.wait()
        return found


async def test_a_read_that_begins_while_others_are_decided_is_decided_anew() -> None:
    """The first read's queries are answered when the consent is revoked and the second read begins."""
    facts = Held()
    for each in (observation("1", "a"), permits("Practitioner/d")):
        facts.put(each)
    gate = Gate(facts, lambda: NOW)
    first = asyncio.create_task(gate.decide(DOCTOR, Request("read", "Observation", ids=("1",))))
    await facts.asking.wait()
    facts.put(permits("Practitioner/d") | {"status": "inactive"})
    second = await gate.decide(DOCTOR, Request("read", "Observation", ids=("1",)))
    facts.go.set()
    assert facts.seen(await first, "Observation") == {"1"}
    assert facts.seen(second, "Observation") == set()


async def test_an_owner_who_denies_is_not_permitted_by_the_neighbours_in_the_turn() -> None:
    both = observation("both", "a", "b")
    world = World(observation("1", "a"), observation("2", "b"), both)
    world.facts.put(permits("Practitioner/d", patient="a", id="permit-a"))
    world.facts.put(permits("Practitioner/d", patient="b", id="permit-b"))
    world.facts.put(denies("Practitioner/d", patient="b", id="deny-b"))
    assert await together(world, (DOCTOR, "1"), (DOCTOR, "2"), (DOCTOR, "both")) == [True, False, False]


async def test_each_read_has_the_reasons_of_its_own_owners() -> None:
    world = World(observation("1", "a"), observation("2", "b"), permits("Practitioner/d"))
    world.facts.put(denies("Practitioner/d", patient="b"))
    one, other, absent = await asyncio.gather(
        *(world.gate.decide(DOCTOR, Request("read", "Observation", ids=(id,))) for id in ("1", "2", "none"))
    )
    alone = [await world.gate.decide(DOCTOR, Request("read", "Observation", ids=(id,))) for id in ("1", "2", "none")]
    assert [one.reasons, other.reasons, absent.reasons] == [each.reasons for each in alone]
    assert reasons.CONSENT in one.reasons
    assert reasons.DENIED in other.reasons


async def test_the_reads_of_one_doctor_are_one_set_of_questions_and_one_reach() -> None:
    world = World(*CLINIC, *(observation(str(n), "a") for n in range(20)), permits("Organization/clinic"))
    asked = [world.gate.decide(IN_ROLE, Request("read", "Observation", ids=(str(n),))) for n in range(20)]
    found = await asyncio.gather(*asked)
    assert sorted(set(world.facts.asked)) == ["Consent", "Observation", "Organization", "PractitionerRole"]
    assert [world.facts.asked.count(each) for each in ("Consent", "Observation", "PractitionerRole")] == [1, 1, 1]
    assert len({id(permit.of("Observation")) for permit in found}) == 1


async def test_what_else_one_caller_asks_of_a_record_in_the_turn_is_decided_by_itself() -> None:
    """A history is of those who owned it before, too; a read, which comes first, does not ask who they were."""
    world = World(*(permits("Practitioner/d", patient=each, id=each) for each in "ab"))
    for owner in "ba":
        world.facts.put(observation("1", owner))
    asked = [
        world.gate.decide(DOCTOR, Request(each, "Observation", ids=("1",)))
        for each in ("read", "vread", "history-instance")
    ]
    [past] = world.facts.past["Observation", "1"]
    found = [match(permit.of("Observation"), past) for permit in await asyncio.gather(*asked)]
    assert found == [False, True, True]


@pytest.mark.parametrize("max_owners", [3, 50])
async def test_a_record_of_too_many_owners_does_not_hide_its_neighbours(max_owners: int) -> None:
    """Attack: read something of a great many patients beside a colleague of the same practice, who shares the token."""
    crowd = observation("crowd", *(f"p{n}" for n in range(max_owners + 1)))
    world = World(observation("1", "a"), crowd, permits("Practitioner/d"), max_owners=max_owners)
    assert await together(world, (DOCTOR, "1"), (DOCTOR, "crowd"), (DOCTOR, "1")) == [True, False, True]


async def test_rules_too_many_to_weigh_hide_only_whose_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighing, "MAX_RULES", 3)
    world = World(observation("1", "a"), observation("2", "b"), permits("Practitioner/d"))
    for number in range(5):
        world.facts.put(consent(f"b{number}", "b", provision("permit", "Practitioner/d")))
    assert await together(world, (DOCTOR, "1"), (DOCTOR, "2")) == [True, False]


async def test_a_turn_with_many_owners_is_decided_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decide, "SHARED_OWNERS", 1)
    world = World(observation("1", "a"), observation("2", "b"), permits("Practitioner/d"))
    asked = [world.gate.decide(DOCTOR, Request("read", "Observation", ids=(id,))) for id in ("1", "2")]
    one, other = await asyncio.gather(*asked)
    assert world.facts.seen(one, "Observation") == {"1"}
    assert world.facts.seen(other, "Observation") == set()
    assert one.reads is not other.reads


class Failing(FakeFacts):
    """Facts that cannot be had wherever one id is asked for."""

    async def facts(
        self, resource_type: str, which: Any, permit: Permit, /, *, limit: int = 1_000
    ) -> list[dict[str, Any]]:
        if resource_type == "Observation" and "broken" in which:
            raise Unavailable
        return await super().facts(resource_type, which, permit, limit=limit)


async def test_a_failure_is_that_of_its_own_id() -> None:
    facts = Failing()
    for each in (observation("1", "a"), permits("Practitioner/d")):
        facts.put(each)
    gate = Gate(facts, lambda: NOW)
    good, *bad = await asyncio.gather(
        *(gate.decide(DOCTOR, Request("read", "Observation", ids=(id,))) for id in ("1", "broken", "broken")),
        return_exceptions=True,
    )
    assert isinstance(good, Permit)
    assert facts.seen(good, "Observation") == {"1"}
    assert [type(each) for each in bad] == [Unavailable, Unavailable]
    assert bad[0] is not bad[1]


async def test_a_client_that_goes_away_takes_nobody_with_it() -> None:
    world = World(observation("1", "a"), permits("Practitioner/d"))
    gone, stays = (
        asyncio.create_task(world.gate.decide(DOCTOR, Request("read", "Observation", ids=("1",)))) for _ in range(2)
    )
    await asyncio.sleep(0)
    gone.cancel()
    assert world.facts.seen(await stays, "Observation") == {"1"}


# Creating


async def creates(world: World, *writes: tuple[Principal, tuple[str, ...]]) -> list[bool]:
    """Who of these may create an Observation of these owners, all in one turn."""
    asked = [
        world.gate.decide(each, Request("create", "Observation", candidate_owners=frozenset(owners)))
        for each, owners in writes
    ]
    found = await asyncio.gather(*asked)
    candidates = [FakeFacts().put(observation("new", *owners), each.user) for each, owners in writes]
    return [match(permit.writes("Observation"), row) for permit, row in zip(found, candidates, strict=True)]


async def test_of_creates_in_one_turn_each_needs_the_consent_of_its_own_owners() -> None:
    world = World(permits("Practitioner/d"), permits("Practitioner/s", patient="b", id="b"))
    stranger = who("Practitioner/s")
    writes = [(each, owners) for each in (DOCTOR, stranger) for owners in (("a",), ("b",), ("a", "b"))]
    assert await creates(world, *writes) == [True, False, False, False, True, False]


async def test_a_consent_to_read_does_not_let_a_neighbour_of_the_turn_write() -> None:
    world = World(permits("Practitioner/d"), permits("Practitioner/d", patient="b", id="b", action=[ACCESS]))
    assert await creates(world, (DOCTOR, ("a",)), (DOCTOR, ("b",)), (DOCTOR, ("a", "b"))) == [True, False, False]


async def test_a_create_with_too_many_owners_does_not_stop_its_neighbours() -> None:
    world = World(permits("Practitioner/d"), max_owners=3)
    crowd = tuple(f"p{n}" for n in range(5))
    assert await creates(world, (DOCTOR, ("a",)), (DOCTOR, crowd), (DOCTOR, ("b",))) == [True, False, False]


async def test_a_permit_that_ended_a_turn_ago_lets_nobody_create() -> None:
    world = World(permits("Practitioner/d"))
    assert await creates(world, (DOCTOR, ("a",))) == [True]
    world.facts.put(permits("Practitioner/d") | {"status": "inactive"})
    assert await creates(world, (DOCTOR, ("a",))) == [False]


class Rows:
    """Token rows in a dictionary."""

    def __init__(self) -> None:
        self.rows: dict[str, Any] = {}

    async def get(self, key: str) -> Any:
        return self.rows.get(key)

    async def put(self, document: Any) -> None:
        self.rows[document["_id"]] = dict(document)

    async def delete(self, key: str) -> bool:
        return self.rows.pop(key, None) is not None


async def test_a_tokens_row_that_changes_gives_another_principal_at_once() -> None:
    rows = Rows()
    token = await issue_token(rows, Grant("Practitioner/d", "user/*.rs"), minutes=5, now=NOW)
    before = await principal_for(rows, token, NOW)
    assert await principal_for(rows, token, NOW) is before
    (row,) = rows.rows.values()
    row["scope"] = "user/Patient.rs"
    after = await principal_for(rows, token, NOW)
    assert [scope.resource_type for scope in after.scopes] == ["Patient"]


@settings(max_examples=150, deadline=None)
@given(worlds, st.lists(callers, min_size=2, max_size=4))
async def test_everybody_reading_everything_in_one_turn_sees_what_the_oracle_sees(
    made: Made, everybody: list[tuple[str, str | None]]
) -> None:
    facts = build(made)
    gate = Gate(facts, lambda: THEN)
    reads = [(each, address) for each in everybody for address in stored(made)]
    principals = {each: caller(*each) for each in everybody}
    permits = await asyncio.gather(
        *(gate.decide(principals[each], Request("read", kind, ids=(id,))) for each, (kind, id) in reads)
    )
    for permit, (each, (kind, id)) in zip(permits, reads, strict=True):
        assert (id in facts.seen(permit, kind)) is sees(made, *each, stored(made)[kind, id]), (each, kind, id)
        shown = {other for other in facts.seen(permit, kind) if (kind, other) in stored(made)}
        assert shown <= {
            other for (k, other), record in stored(made).items() if k == kind and sees(made, *each, record)
        }
