"""The gate over a small world: who may write what, and the ways round it that were tried.

Each test that names an attack says what the attacker does and what she hopes for; nothing else of the world may change her
answer. https://hl7.org/fhir/R4/security.html and https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

from typing import Any

import pytest

from fhirserver.access import reasons
from fhirserver.access.gate.decide import Granted
from fhirserver.access.gate.request import Request
from fhirserver.access.principal import OPEN, Principal
from fhirserver.access.writes import check_candidate
from fhirserver.model.outcome import Forbidden
from fhirserver.search.expression import Nothing
from fhirserver.search.match import match
from tests.fakes.facts import FakeFacts
from tests.fakes.gate import DEVICE, DOCTOR, LABORATORY, NAMED, A, B, World, denies, permits, who
from tests.fakes.records import (
    ACCESS,
    actor,
    appointment,
    consent,
    observation,
    organization,
    practitioner_role,
    provision,
    reference,
    resource,
)

WRITES: dict[str, tuple[Principal, dict[str, Any], bool]] = {
    # a candidate that a principal creates
    "patient: an Observation of herself": (A, observation("1", "a"), True),
    "patient: of somebody else": (A, observation("1", "b"), False),
    "patient: of herself and somebody else": (A, observation("1", "a", "b"), False),
    "patient: of herself, with another in an extension": (
        A,
        observation("1", "a", extension=[{"url": "x", "valueReference": reference("Patient/b")}]),
        False,
    ),
    "patient: of herself, with another in a contained resource": (
        A,
        observation("1", "a", contained=[observation("c", "b")]),
        False,
    ),
    "patient: of another by our own base": (
        A,
        observation("1", subject=reference("https://fhir.example.org/fhir/Patient/b")),
        False,
    ),
    "patient: of herself and a contained Patient": (
        A,
        observation("1", "a", contained=[resource("Patient", "p")]),
        False,
    ),
    "patient: a QuestionnaireResponse": (
        A,
        resource("QuestionnaireResponse", "1", subject=reference("Patient/a")),
        True,
    ),
    "patient: a QuestionnaireResponse of another": (
        A,
        resource("QuestionnaireResponse", "1", subject=reference("Patient/b")),
        False,
    ),
    "patient: a DocumentReference": (A, resource("DocumentReference", "1", subject=reference("Patient/a")), True),
    "patient: a Binary": (A, resource("Binary", "1"), True),
    "patient: a Binary of another": (A, resource("Binary", "1", securityContext=reference("Patient/b")), False),
    "patient: asks for an Appointment": (
        A,
        appointment("1", "Patient/a", "Practitioner/d") | {"status": "proposed"},
        True,
    ),
    "patient: books an Appointment": (A, appointment("1", "Patient/a", "Practitioner/d"), False),
    "patient: an Appointment without a status": (
        A,
        appointment("1", "Patient/a") | {"status": None},
        False,
    ),
    "patient: a Condition": (A, resource("Condition", "1", subject=reference("Patient/a")), False),
    "patient: her Patient": (A, resource("Patient", "a"), False),
    "patient: another Patient": (A, resource("Patient", "z"), False),
    "patient: a RelatedPerson": (A, resource("RelatedPerson", "1", patient=reference("Patient/a")), False),
    "patient: a CareTeam": (A, resource("CareTeam", "1", subject=reference("Patient/a")), False),
    "patient: a Group": (A, resource("Group", "1"), False),
    "patient: an Organization": (A, organization("1"), False),
    "patient: a PractitionerRole": (A, practitioner_role("1", "Practitioner/d"), False),
    "patient: a ValueSet": (A, resource("ValueSet", "1"), False),
    "patient: a List": (A, resource("List", "1"), True),
    "patient: a Provenance of herself": (A, resource("Provenance", "1", target=[reference("Patient/a")]), False),
    "patient: what has no owner": (A, resource("Condition", "1", subject={"display": "x"}), True),
    "patient: her Consent": (A, permits("Practitioner/d"), True),
    "patient: her draft": (A, permits("Practitioner/d") | {"status": "draft"}, True),
    "patient: another's Consent": (A, permits("Practitioner/d", patient="b"), False),
    "patient: another's draft": (A, permits("Practitioner/d", patient="b") | {"status": "draft"}, False),
    "patient: her Consent that names another": (
        A,
        permits("Practitioner/d") | {"extension": [{"url": "x", "valueReference": reference("Patient/b")}]},
        False,
    ),
    "patient: an active Consent of nobody": (A, permits() | {"patient": {"display": "x"}}, False),
    "practitioner: for a patient who permits": (DOCTOR, observation("1", "p"), True),
    "practitioner: for one who permits access only": (DOCTOR, observation("1", "reads"), False),
    "practitioner: for one who does not": (DOCTOR, observation("1", "a"), False),
    "practitioner: for two, one permitting": (DOCTOR, observation("1", "p", "a"), False),
    "practitioner: for one who permits and an unknown one": (
        DOCTOR,
        observation("1", "p", focus=[reference("https://x.example/Patient/z")]),
        False,
    ),
    "practitioner: for one who denies": (DOCTOR, observation("1", "denies"), False),
    "practitioner: the Patient who permits": (DOCTOR, resource("Patient", "p"), True),
    "practitioner: a new Patient": (DOCTOR, resource("Patient", "new"), False),
    "practitioner: a Task": (DOCTOR, resource("Task", "1", **{"for": reference("Patient/a")}), True),
    "practitioner: what has no owner": (DOCTOR, observation("1"), True),
    "practitioner: an Organization": (DOCTOR, organization("1"), False),
    "practitioner: a PractitionerRole of her own": (DOCTOR, practitioner_role("1", "Practitioner/d"), False),
    "practitioner: a CareTeam": (DOCTOR, resource("CareTeam", "1", subject=reference("Patient/p")), False),
    "practitioner: a Group": (DOCTOR, resource("Group", "1"), False),
    "practitioner: a RelatedPerson": (DOCTOR, resource("RelatedPerson", "1", patient=reference("Patient/p")), False),
    "practitioner: a Schedule": (DOCTOR, resource("Schedule", "1", actor=[reference("Practitioner/d")]), False),
    "practitioner: a ValueSet": (DOCTOR, resource("ValueSet", "1"), False),
    "practitioner: an active Consent": (DOCTOR, permits("Practitioner/d", patient="p"), False),
    "practitioner: a deny": (DOCTOR, denies("Practitioner/e", patient="p"), False),
    "practitioner: an inactive Consent": (DOCTOR, permits(patient="p") | {"status": "inactive"}, False),
    "practitioner: a Consent without a status": (DOCTOR, permits(patient="p") | {"status": None}, False),
    "practitioner: a draft for who permits": (DOCTOR, permits(patient="p") | {"status": "draft"}, True),
    "practitioner: a proposal for who does not": (DOCTOR, permits() | {"status": "proposed"}, False),
    "practitioner: an active Consent of nobody": (DOCTOR, permits() | {"patient": {"display": "x"}}, False),
    "system: any patient": (LABORATORY, observation("1", "a"), True),
    "system: any Patient": (LABORATORY, resource("Patient", "new"), True),
    "system: a ValueSet": (LABORATORY, resource("ValueSet", "1"), True),
    "system with a star: an Organization": (LABORATORY, organization("1"), False),
    "system with a star: a CareTeam": (LABORATORY, resource("CareTeam", "1", subject=reference("Patient/a")), False),
    "system with a star: a Group": (LABORATORY, resource("Group", "1"), False),
    "system with a star: an active Consent": (LABORATORY, permits("Organization/lab"), False),
    "system with a star: a draft": (LABORATORY, permits("Organization/lab") | {"status": "draft"}, True),
    "system by name: an Organization": (who("Organization/lab"), organization("1"), True),
    "system by name: a CareTeam": (
        who("Organization/lab"),
        resource("CareTeam", "1", subject=reference("Patient/a")),
        True,
    ),
    "system by name: a Group": (who("Organization/lab"), resource("Group", "1"), True),
    "system by name: an active Consent": (who("Organization/lab"), permits("Organization/lab"), True),
    "device: an Observation": (DEVICE, observation("1", "a"), True),
    "operator: anything": (OPEN, permits("Practitioner/d"), True),
}


async def writes(world: World, principal: Principal, interaction: str, candidate: dict[str, Any]) -> bool:
    """Whether the candidate is let through, as the interactions ask it."""
    facts = FakeFacts()
    row = facts.put(candidate, by=principal.user)
    try:
        permit = await world.gate.decide(
            principal,
            Request(
                interaction,
                candidate["resourceType"],
                ids=() if interaction == "create" else (candidate["id"],),
                candidate_owners=frozenset(row["security"]["owners"]),
            ),
        )
        check_candidate(principal, interaction, candidate["resourceType"], row, permit)
    except Forbidden:
        return False
    return True


@pytest.mark.parametrize("case", WRITES)
async def test_who_may_create_what(case: str) -> None:
    principal, candidate, expected = WRITES[case]
    if "by name" in case:
        principal = Principal(principal.user, "client", NAMED)
    world = World(
        permits("Practitioner/d", patient="p", id="p"),
        permits("Practitioner/d", patient="denies", id="d1"),
        denies("Practitioner/d", patient="denies", id="d2"),
        consent("reads", "reads", provision("permit", "Practitioner/d", action=[ACCESS])),
    )
    assert await writes(world, principal, "create", candidate) is expected


async def replaces(world: World, principal: Principal, resource_type: str, id: str, interaction: str = "update") -> str:
    """What the store would make of the old version: replaced, refused or not there."""
    permit = await world.gate.decide(principal, Request(interaction, resource_type, ids=(id,)))
    row = world.facts.rows[resource_type, id]
    if not match(permit.of(resource_type), row):
        return "hidden"
    return "replaced" if match(permit.writes(resource_type), row) else "refused"


@pytest.mark.parametrize("interaction", ["update", "delete"])
async def test_who_may_replace_what(interaction: str) -> None:
    world = World(permits("Practitioner/d", patient="p", id="p"))
    put = world.facts.put
    put(observation("wrote", "p"), by="Practitioner/d")
    put(observation("wrote-over", "a"), by="Practitioner/d")
    put(observation("permitted", "p"), by="Organization/lab")
    put(observation("hidden", "a"), by="Organization/lab")
    put(observation("hers", "a"), by="Patient/a")
    put(organization("o"), by="operator")
    put(resource("CareTeam", "c", subject=reference("Patient/a")), by="Organization/other")
    put(appointment("asked", "Patient/a", "Practitioner/d", status="proposed"), by="Patient/a")
    put(appointment("booked", "Patient/a", "Practitioner/d"), by="Patient/a")
    put(permits("Practitioner/d", id="nobodys") | {"patient": {"display": "x"}}, by="Practitioner/d")
    put(permits("Practitioner/d", id="draft") | {"patient": {"display": "x"}, "status": "draft"}, by="Practitioner/d")
    cases = {
        (DOCTOR, "Observation", "wrote"): "replaced",
        (DOCTOR, "Observation", "wrote-over"): "refused",
        (DOCTOR, "Observation", "permitted"): "refused",
        (DOCTOR, "Observation", "hidden"): "hidden",
        (A, "Observation", "hers"): "replaced",
        (A, "Observation", "hidden"): "refused",
        (A, "Observation", "permitted"): "hidden",
        (A, "Appointment", "asked"): "replaced",
        (A, "Appointment", "booked"): "refused",
        (DOCTOR, "Consent", "nobodys"): "refused",
        (DOCTOR, "Consent", "draft"): "replaced",
        (LABORATORY, "Observation", "hidden"): "replaced",
        (LABORATORY, "Observation", "hers"): "hidden",
        (LABORATORY, "Organization", "o"): "refused",
        (DOCTOR, "Organization", "o"): "refused",
        (Principal("Organization/lab", "c", NAMED), "Organization", "o"): "replaced",
        (Principal("Organization/lab", "c", NAMED), "CareTeam", "c"): "hidden",
    }
    for (principal, resource_type, id), expected in cases.items():
        assert await replaces(world, principal, resource_type, id, interaction) == expected, (principal.user, id)


@pytest.mark.parametrize("interaction", ["update", "delete"])
async def test_a_consent_is_in_the_hands_of_its_patient_and_of_the_system_that_wrote_it(interaction: str) -> None:
    """The attack: to widen a Consent, or to delete a deny, that somebody else wrote."""
    named, star = Principal("Organization/lab", "c", NAMED), LABORATORY
    other = Principal("Organization/other", "c", NAMED)
    for writer in ("operator", "Patient/a", "Organization/lab", "Practitioner/d"):
        world = World(permits("Practitioner/d", "Organization/lab", id="p"))
        world.facts.put(denies("Practitioner/d", id="1"), by=writer)
        assert await replaces(world, A, "Consent", "1", interaction) == "replaced"
        assert await replaces(world, B, "Consent", "1", interaction) == "hidden"
        assert await replaces(world, DOCTOR, "Consent", "1", interaction) == "hidden"
        assert await replaces(world, other, "Consent", "1", interaction) == "hidden"
        wrote = writer == "Organization/lab"
        assert await replaces(world, named, "Consent", "1", interaction) == ("replaced" if wrote else "hidden")
        assert await replaces(world, star, "Consent", "1", interaction) == ("refused" if wrote else "hidden")


async def test_a_system_loses_a_consent_that_the_patient_has_changed() -> None:
    named = Principal("Organization/lab", "c", NAMED)
    world = World()
    world.facts.put(permits("Organization/lab"), by="Organization/lab")
    assert await replaces(world, named, "Consent", "permit") == "replaced"
    world.facts.put(permits("Organization/lab") | {"status": "inactive"}, by="Patient/a")
    assert await replaces(world, named, "Consent", "permit") == "hidden"


async def test_a_record_can_neither_be_taken_nor_given_away() -> None:
    """The attack: a PUT that changes whose it is, from a patient who permits to one who does not, and back."""
    world = World(permits("Practitioner/d", patient="p", id="p"))
    world.facts.put(observation("1", "p"), by="Practitioner/d")
    assert await writes(world, DOCTOR, "update", observation("1", "p"))
    assert not await writes(world, DOCTOR, "update", observation("1", "a"))
    assert not await writes(world, DOCTOR, "update", observation("1", "p", "a"))
    # Without an owner it is hers alone: what was the patient's is taken from the patient, which is for who wrote it to do.
    assert await writes(world, DOCTOR, "update", observation("1"))


@pytest.mark.parametrize(
    ("status", "expected"), [("proposed", True), ("pending", True), ("cancelled", True), ("booked", False)]
)
async def test_a_patient_asks_for_an_appointment_and_takes_that_back_and_does_not_book_it(
    status: str, expected: bool
) -> None:
    """The attack: to ask for one, and to book it by an update."""
    candidate = appointment("1", "Patient/a", "Practitioner/d", status=status)
    assert await writes(World(), A, "update", candidate) is expected


async def test_a_patient_scope_keeps_writes_to_its_patient() -> None:
    launched = who("Practitioner/d", "patient/*.cruds", patient="a")
    world = World(permits("Practitioner/d"), permits("Practitioner/d", patient="p", id="p"))
    assert await writes(world, launched, "create", observation("1", "a"))
    assert not await writes(world, launched, "create", observation("1", "p"))


async def test_creating_a_type_that_is_never_hers_is_refused_before_any_data() -> None:
    world = World()
    for principal, resource_type in ((A, "Slot"), (DOCTOR, "Organization"), (LABORATORY, "PractitionerRole")):
        with pytest.raises(Forbidden) as refused:
            await world.gate.decide(principal, Request("create", resource_type, candidate_owners=frozenset(("a",))))
        assert not refused.value.insufficient_scope
    assert world.facts.asked == []


async def test_a_permit_for_reading_writes_nothing() -> None:
    world = World(permits("Practitioner/d"), observation("1", "a"))
    for interaction in ("read", "search-type", "vread", "history-instance"):
        permit = await world.gate.decide(DOCTOR, Request(interaction, "Observation", ids=("1",)))
        assert isinstance(permit.writes("Observation"), Nothing)
    permit = await world.gate.decide(DOCTOR, Request("update", "Observation", ids=("1",)))
    assert isinstance(permit.writes("Patient"), Nothing)


async def test_the_operator_sees_and_writes_everything_and_says_why() -> None:
    permit = await World().gate.decide(OPEN, Request("delete", "Consent", ids=("1",)))
    assert permit.is_system
    assert permit.reasons == (reasons.OPEN_MODE,)


async def test_an_update_knows_the_labels_of_what_it_sees_and_of_nothing_else() -> None:
    world = World()
    labelled = observation("1", "a", meta={"security": [{"system": "s", "code": "R"}]})
    world.facts.put(labelled, by="Organization/lab")
    for principal, expected in ((LABORATORY, ("s|R",)), (A, ("s|R",)), (B, ()), (DOCTOR, ()), (DEVICE, ())):
        permit = await world.gate.decide(principal, Request("update", "Observation", ids=("1",)))
        assert isinstance(permit, Granted)
        assert permit.labels == expected
    permit = await world.gate.decide(A, Request("read", "Observation", ids=("1",)))
    assert isinstance(permit, Granted)
    assert permit.labels == ()


async def test_actors_are_of_the_resource_types_and_not_of_look_alikes() -> None:
    """The attack: a Patient whose id reads like a reference, an actor that is a Patient with the doctor's id."""
    world = World(observation("1", "a"), consent("c", "a", provision("permit", actor=[actor("Patient/d")])))
    assert not await world.reads(DOCTOR, "Observation", "1")
    assert not await world.reads(who("Patient/d"), "Observation", "1")
