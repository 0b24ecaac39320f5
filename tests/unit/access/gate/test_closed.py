"""What nobody asks of the room as it stands, and what it would answer: nothing.

https://hl7.org/fhir/R4/security.html
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from fhirserver.access.gate.actors import Actors, actors_of
from fhirserver.access.gate.decide import Gate
from fhirserver.access.gate.reach import Decided, Writes, visible, writable
from fhirserver.access.gate.request import Request
from fhirserver.access.principal import OPEN, InvalidPrincipal, Principal
from fhirserver.access.scopes import Scope, parse_scopes
from fhirserver.access.security.compartments import UNRESOLVED
from fhirserver.search.expression import Expression, Nothing
from fhirserver.search.match import match
from fhirserver.search.permit import Permit
from tests.fakes.facts import FakeFacts, derive
from tests.fakes.records import appointment, observation, practitioner_role, provision, resource
from tests.fakes.records import consent as consent_of

NOW = datetime(2026, 6, 1, tzinfo=UTC)
EVERYBODY = Decided(*(frozenset(("a", UNRESOLVED)),) * 5)
DOCTOR = Principal("Practitioner/d", "client", parse_scopes("user/*.cruds"))


def test_the_operator_has_no_expression_of_her_own() -> None:
    """Her permit is the system's; were she taken for a principal, she would see what everybody sees and write nothing."""
    assert isinstance(visible(OPEN, EVERYBODY, "Observation"), Nothing)
    assert isinstance(writable(OPEN, EVERYBODY, "Observation", "c"), Nothing)


def test_a_type_without_a_class_is_nobodys() -> None:
    assert isinstance(visible(DOCTOR, EVERYBODY, "Wardrobe"), Nothing)
    assert isinstance(writable(DOCTOR, EVERYBODY, "Wardrobe", "c"), Nothing)


def test_writes_need_the_letter_of_their_own_interaction() -> None:
    reader = Principal("Practitioner/d", "client", parse_scopes("user/Observation.rs"))
    assert isinstance(Writes(reader, "update", "Observation", EVERYBODY)("Observation"), Nothing)
    assert isinstance(Writes(DOCTOR, "expunge", "Observation", EVERYBODY)("Observation"), Nothing)


async def test_a_patient_and_a_device_have_no_actors_that_permit() -> None:
    patient = Principal("Patient/a", "client", parse_scopes("user/*.rs"))
    device = Principal("Device/x", "client", parse_scopes("system/*.rs"))
    assert await actors_of(FakeFacts(), patient, 0) == Actors()
    assert (await actors_of(FakeFacts(), device, 0)).permits == frozenset()


async def test_a_role_of_a_practitioner_that_is_not_of_this_server_is_nobodys() -> None:
    facts = FakeFacts()
    facts.put(practitioner_role("r", "https://elsewhere.example/Practitioner/d"))
    found = await actors_of(facts, Principal("PractitionerRole/r", "c", parse_scopes("user/*.rs")), 0)
    assert found.permits == frozenset()
    assert found.takes_part == frozenset()


async def test_a_search_for_no_patient_finds_what_is_everybodys_and_what_she_wrote() -> None:
    facts = FakeFacts()
    facts.put(observation("1", "a"))
    facts.put(consent_of("c", "a", provision("permit", "Practitioner/d")))
    facts.put(observation("2", "b"), by="Practitioner/d")
    permit = await Gate(facts, lambda: NOW).decide(DOCTOR, Request("search-type", "Observation", patients=frozenset()))
    assert facts.seen(permit, "Observation") == {"2"}


class Careless(FakeFacts):
    """A source that also gives tombstones where it should not."""

    async def facts(
        self, resource_type: str, which: Expression | Iterable[str], permit: Permit, /, *, limit: int = 1_000
    ) -> list[dict[str, Any]]:
        """By condition too, tombstones included."""
        if not isinstance(which, Expression):
            return await super().facts(resource_type, which, permit, limit=limit)
        return [row for (kind, _), row in self.rows.items() if kind == resource_type and match(which, row)]


async def test_a_tombstone_of_a_consent_says_nothing_wherever_it_comes_from() -> None:
    facts = Careless()
    facts.put(observation("1", "a"))
    facts.put(consent_of("c", "a", provision("permit", "Practitioner/d")))
    gate = Gate(facts, lambda: NOW)
    for narrowed in ({"patients": frozenset(("a",))}, {"ids": ("1",)}, {}):
        assert facts.seen(
            await gate.decide(DOCTOR, Request("search-type", "Observation", **narrowed)), "Observation"
        ) == {"1"}
    facts.delete("Consent", "c")
    for narrowed in ({"patients": frozenset(("a",))}, {"ids": ("1",)}, {}):
        assert (
            facts.seen(await gate.decide(DOCTOR, Request("search-type", "Observation", **narrowed)), "Observation")
            == set()
        )


async def test_a_consent_whose_facts_are_missing_is_no_consent() -> None:
    facts = FakeFacts()
    facts.put(observation("1", "a"))
    row = facts.put(consent_of("c", "a", provision("permit", "Practitioner/d")))
    row["security"] = {"owners": ["a"], "rule": "permit", "class": "system"}
    permit = await Gate(facts, lambda: NOW).decide(DOCTOR, Request("read", "Observation", ids=("1",)))
    assert facts.seen(permit, "Observation") == set()


def test_a_patient_without_an_id_is_nobodys() -> None:
    facts = derive("Patient", {"resourceType": "Patient"})
    assert (facts["class"], facts["owners"]) == ("adjacent", [])


def test_what_is_no_object_is_passed_over() -> None:
    facts = derive("Observation", observation("1", "a", contained=["x", None], note=["x", 1]))
    assert facts["owners"] == ["a"]
    assert derive("Appointment", appointment("1") | {"participant": [1, {"actor": "x"}]})["actors"] == []
    assert derive("Binary", resource("Binary", "1", securityContext="Patient/a"))["class"] == "adjacent"


def test_scopes_made_by_hand_are_checked_like_those_that_are_read() -> None:
    mixed = (Scope("user", "*", "r"), Scope("patient", "*", "r"))
    try:
        Principal("Practitioner/d", "client", mixed, patient="a")
    except InvalidPrincipal:
        return
    raise AssertionError("Mixed levels were taken.")
