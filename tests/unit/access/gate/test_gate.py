"""The gate over a small world: who sees what, who may write what, and the ways round it that were tried.

Each test that names an attack says what the attacker does and what she hopes for; nothing else of the world may change her
answer. https://hl7.org/fhir/R4/security.html and https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fhirserver.access import reasons
from fhirserver.access.gate.request import Request
from fhirserver.access.principal import Principal
from fhirserver.model.outcome import Forbidden, TooCostly
from fhirserver.search.expression import In, Nothing
from fhirserver.search.match import match
from tests.fakes.gate import CLINIC, DEVICE, DOCTOR, IN_ROLE, LABORATORY, A, B, World, denies, permits, who
from tests.fakes.records import (
    appointment,
    observation,
    organization,
    practitioner_role,
    reference,
    resource,
)

# Reading: patients


async def test_a_patient_sees_what_is_hers_alone() -> None:
    world = World(
        observation("hers", "a"), observation("his", "b"), observation("both", "a", "b"), observation("nobodys")
    )
    assert await world.finds(A, "Observation") == {"hers"}
    assert world.facts.asked == []


async def test_a_deny_does_not_shut_a_patient_out_of_her_own_record() -> None:
    world = World(observation("1", "a"), denies())
    assert await world.reads(A, "Observation", "1")


async def test_a_patient_sees_her_consents_whoever_else_they_name() -> None:
    """She could not withdraw what she cannot see."""
    world = World(
        permits(id="1"), permits(id="2") | {"extension": [{"url": "x", "valueReference": reference("Patient/b")}]}
    )
    world.facts.put(permits(id="3", patient="b"))
    assert await world.finds(A, "Consent") == {"1", "2"}
    assert await world.finds(B, "Consent") == {"3"}


async def test_a_link_between_patients_gives_nothing() -> None:
    world = World(resource("Patient", "a", link=[{"other": reference("Patient/b")}]), resource("Patient", "b"))
    assert await world.finds(A, "Patient") == {"a"}
    assert await world.finds(B, "Patient") == {"b"}


async def test_a_patient_scope_keeps_to_the_patient_in_context() -> None:
    world = World(observation("1", "a"), observation("2", "b"), organization("o"), permits("Practitioner/d"))
    world.facts.put(permits("Practitioner/d", patient="b", id="b"))
    world.facts.put(observation("wrote-b", "b"), by="Practitioner/d")
    world.facts.put(resource("List", "ownerless"), by="Practitioner/d")
    launched = who("Practitioner/d", "patient/*.cruds", patient="a")
    assert await world.finds(launched, "Observation") == {"1"}
    assert await world.finds(launched, "Organization") == {"o"}
    assert await world.finds(launched, "List") == {"ownerless"}
    assert await world.finds(who("Patient/b", "patient/*.rs", patient="a"), "Observation") == set()
    assert await world.finds(who("Patient/a", "patient/*.rs", patient="a"), "Observation") == {"1"}


# Reading: practitioners


ROLES: dict[str, tuple[list[dict[str, Any]], Principal, bool]] = {
    "herself": ([permits("Practitioner/d")], DOCTOR, True),
    "herself, in a role": ([permits("Practitioner/d")], IN_ROLE, True),
    "her role, acting in it": ([permits("PractitionerRole/r")], IN_ROLE, True),
    "her role, not acting in it": ([permits("PractitionerRole/r")], DOCTOR, False),
    "her other role": ([permits("PractitionerRole/other")], IN_ROLE, False),
    "the organisation of her role": ([permits("Organization/ward")], IN_ROLE, True),
    "one above it": ([permits("Organization/clinic")], IN_ROLE, True),
    "two above it": ([permits("Organization/trust")], IN_ROLE, True),
    "the organisation, not acting in the role": ([permits("Organization/ward")], DOCTOR, False),
    "the organisation of her other role": ([permits("Organization/elsewhere")], IN_ROLE, False),
    "one below": ([permits("Organization/bed"), organization("bed", "Organization/ward")], IN_ROLE, False),
    "somebody else": ([permits("Practitioner/e")], IN_ROLE, False),
    "a role that is not active": (
        [permits("PractitionerRole/r"), practitioner_role("r", "Practitioner/d", active=False)],
        IN_ROLE,
        False,
    ),
    "a role of somebody else": (
        [permits("PractitionerRole/r"), practitioner_role("r", "Practitioner/e", "Organization/ward")],
        IN_ROLE,
        False,
    ),
    "a role out of its period": (
        [permits("PractitionerRole/r"), practitioner_role("r", "Practitioner/d", period={"end": "2025"})],
        IN_ROLE,
        False,
    ),
    "a role whose period cannot be read": (
        [permits("PractitionerRole/r"), practitioner_role("r", "Practitioner/d", period={"end": "?"})],
        IN_ROLE,
        False,
    ),
    "a user that is a role": ([permits("Organization/ward")], who("PractitionerRole/r"), True),
    "the person of a user that is a role": ([permits("Practitioner/d")], who("PractitionerRole/r"), True),
    "a user that is a role which does not count": (
        [permits("Practitioner/d"), practitioner_role("r", "Practitioner/d", active=False)],
        who("PractitionerRole/r"),
        False,
    ),
    "a user that is a role which nobody knows": ([permits("Practitioner/d")], who("PractitionerRole/none"), False),
    "a deny of herself": ([permits("Organization/ward"), denies("Practitioner/d")], IN_ROLE, False),
    "a deny of her role": ([permits("Practitioner/d"), denies("PractitionerRole/r")], IN_ROLE, False),
    "a deny of her role, not acting in it": ([permits("Practitioner/d"), denies("PractitionerRole/r")], DOCTOR, False),
    "a deny of an organisation above, without a role": (
        [permits("Practitioner/d"), denies("Organization/trust")],
        DOCTOR,
        False,
    ),
    "a deny of another role, without a role": (
        [permits("Practitioner/d"), denies("Organization/elsewhere")],
        DOCTOR,
        False,
    ),
    "a deny of another role, acting in this one": (
        [permits("Practitioner/d"), denies("Organization/elsewhere")],
        IN_ROLE,
        True,
    ),
    "a deny of another role, acting in one that does not count": (
        [permits("Practitioner/d"), denies("Organization/elsewhere")],
        who("Practitioner/d", role="PractitionerRole/none"),
        False,
    ),
    "a deny of an inactive role": (
        [
            permits("Practitioner/d"),
            denies("PractitionerRole/other"),
            practitioner_role("other", "Practitioner/d", active=False),
        ],
        DOCTOR,
        True,
    ),
    "a deny of a role whose period cannot be read": (
        [
            permits("Practitioner/d"),
            denies("PractitionerRole/other"),
            practitioner_role("other", "Practitioner/d", period={"end": "?"}),
        ],
        DOCTOR,
        False,
    ),
    "a deny of everybody": ([permits("Practitioner/d"), denies()], IN_ROLE, False),
    "a deny of a Group": ([permits("Practitioner/d"), denies("Group/g")], IN_ROLE, False),
    "a deny of somebody else": ([permits("Practitioner/d"), denies("Practitioner/e")], IN_ROLE, True),
    "a circle of organisations": (
        [permits("Organization/trust"), organization("trust", "Organization/ward")],
        IN_ROLE,
        True,
    ),
}


@pytest.mark.parametrize("case", ROLES)
@pytest.mark.parametrize("way", ["by id", "by patient", "unscoped"])
async def test_whom_a_consent_reaches(case: str, way: str) -> None:
    more, principal, expected = ROLES[case]
    world = World(*CLINIC, observation("1", "a"), *more)
    if way == "by id":
        seen = await world.reads(principal, "Observation", "1")
    elif way == "by patient":
        seen = await world.finds(principal, "Observation", patients=frozenset(("a",))) == {"1"}
    else:
        seen = await world.finds(principal, "Observation") == {"1"}
    assert seen is expected


@pytest.mark.parametrize(("levels", "expected"), [(8, True), (9, False)])
async def test_ancestors_count_up_to_the_eighth(levels: int, expected: bool) -> None:
    chain = [organization(f"o{n}", f"Organization/o{n + 1}") for n in range(levels)]
    role = practitioner_role("r", "Practitioner/d", "Organization/o0")
    world = World(*chain, role, observation("1", "a"), permits(f"Organization/o{levels}"))
    assert await world.reads(IN_ROLE, "Observation", "1") is expected


async def test_another_role_half_way_up_brings_no_further_ancestor() -> None:
    chain = [organization(f"o{n}", f"Organization/o{n + 1}") for n in range(9)]
    roles = [practitioner_role(id, "Practitioner/d", f"Organization/{at}") for id, at in (("r", "o0"), ("other", "o5"))]
    world = World(*chain, *roles, observation("1", "a"), permits("Organization/o9"))
    assert not await world.reads(IN_ROLE, "Observation", "1")


async def test_all_owners_must_permit() -> None:
    world = World(observation("both", "a", "b"), observation("a", "a"), permits("Practitioner/d"))
    assert await world.finds(DOCTOR, "Observation") == {"a"}
    assert await world.finds(DOCTOR, "Observation", patients=frozenset(("a",))) == {"a"}
    assert not await world.reads(DOCTOR, "Observation", "both")
    world.facts.put(permits("Practitioner/d", patient="b", id="b"))
    assert await world.finds(DOCTOR, "Observation", patients=frozenset(("a",))) == {"a", "both"}
    assert await world.reads(DOCTOR, "Observation", "both")
    world.facts.put(denies(patient="b", id="b-denies"))
    assert await world.finds(DOCTOR, "Observation") == {"a"}


async def test_a_consent_counts_for_its_patient_and_for_nobody_it_mentions() -> None:
    """The attack: b's name in an extension of a's Consent, hoping that the permit is taken for b's."""
    stranger = permits("Practitioner/d") | {"extension": [{"url": "x", "valueReference": reference("Patient/b")}]}
    world = World(observation("a", "a"), observation("b", "b"), stranger)
    assert await world.finds(DOCTOR, "Observation") == {"a"}
    assert not await world.reads(DOCTOR, "Observation", "b")


async def test_the_order_of_the_names_does_not_matter_to_that() -> None:
    stranger = permits("Practitioner/d", patient="b") | {
        "extension": [{"url": "x", "valueReference": reference("Patient/a")}]
    }
    world = World(observation("a", "a"), observation("b", "b"), stranger)
    assert await world.finds(DOCTOR, "Observation") == {"b"}
    assert not await world.reads(DOCTOR, "Observation", "a")


async def test_who_wrote_it_is_what_the_server_knows() -> None:
    """The attack: to be named as performer, author or in an extension of the resource."""
    world = World(observation("named", "a", performer=[reference("Practitioner/d")]))
    world.facts.put(observation("wrote", "a"), by="Practitioner/d")
    world.facts.put(observation("by-role", "a"), by="PractitionerRole/r")
    world.facts.put(denies())
    assert await world.finds(DOCTOR, "Observation") == {"wrote"}
    assert await world.reads(DOCTOR, "Observation", "wrote")


async def test_only_the_current_version_makes_a_writer() -> None:
    world = World()
    world.facts.put(observation("1", "a"), by="Practitioner/d")
    assert await world.reads(DOCTOR, "Observation", "1")
    world.facts.put(observation("1", "a"), by="Organization/lab")
    assert not await world.reads(DOCTOR, "Observation", "1")


async def test_appointments_show_to_who_takes_part_and_the_patient_behind_them_does_not() -> None:
    world = World(
        *CLINIC,
        resource("Patient", "a"),
        appointment("hers", "Patient/a", "Practitioner/d"),
        appointment("her-role", "Patient/a", "PractitionerRole/r"),
        appointment("not", "Patient/a", "Practitioner/e"),
        appointment("two", "Patient/a", "Patient/b", "Practitioner/d"),
        appointment("without", "Practitioner/d"),
        appointment("and-elsewhere", "Patient/a", "https://other.example.org/fhir/Patient/x", "Practitioner/d"),
    )
    shown = {"hers", "two", "without", "and-elsewhere"}
    assert await world.finds(DOCTOR, "Appointment") == shown
    assert await world.finds(IN_ROLE, "Appointment") == shown | {"her-role"}
    assert await world.finds(DOCTOR, "Appointment", patients=frozenset(("a",))) >= {"hers", "two"}
    assert await world.reads(DOCTOR, "Appointment", "hers")
    assert not await world.reads(DOCTOR, "Appointment", "not")
    assert await world.finds(DOCTOR, "Patient") == set()
    permit = await world.gate.decide(DOCTOR, Request("search-type", "Appointment", includes=True))
    assert world.facts.seen(permit, "Patient") == set()


async def test_only_appointments_that_the_search_asks_about_are_weighed() -> None:
    """A doctor of many years asks for a day: its patients are within the bound, those of all her years are not."""
    made = (appointment(f"{n}", f"Patient/p{n}", "Practitioner/d") for n in range(60))
    world = World(*CLINIC, *made)
    with pytest.raises(TooCostly):
        await world.finds(DOCTOR, "Appointment")
    day = In("_id", frozenset(("1", "2")))
    assert await world.finds(DOCTOR, "Appointment", criteria=day) == {"1", "2"}
    with pytest.raises(TooCostly):  # what is included need not meet it
        await world.finds(DOCTOR, "Appointment", criteria=day, includes=True)


async def test_a_deny_hides_an_appointment_from_who_takes_part() -> None:
    world = World(
        appointment("1", "Patient/a", "Practitioner/d"), appointment("2", "Patient/b", "Practitioner/d"), denies()
    )
    assert await world.finds(DOCTOR, "Appointment") == {"2"}
    assert not await world.reads(DOCTOR, "Appointment", "1")


RESTRICTED = (
    ("Consent", permits("Practitioner/d", "Organization/lab", id="1")),
    ("Provenance", resource("Provenance", "1", target=[reference("Patient/a")])),
    ("AuditEvent", resource("AuditEvent", "1", entity=[{"what": reference("Patient/a")}])),
)


@pytest.mark.parametrize(("resource_type", "record"), RESTRICTED)
async def test_consent_provenance_and_audit_are_the_patients_and_the_writing_systems(
    resource_type: str, record: dict[str, Any]
) -> None:
    for writer in ("operator", "Practitioner/d", "Organization/lab"):
        world = World(permits("Practitioner/d", "Organization/lab", id="all"))
        world.facts.put(record, by=writer)
        assert await world.reads(A, resource_type, "1")
        assert not await world.reads(DOCTOR, resource_type, "1")
        assert not await world.reads(B, resource_type, "1")
        assert await world.reads(LABORATORY, resource_type, "1") is (writer == "Organization/lab")


@pytest.mark.parametrize(
    "resource_type", ["List", "Bundle", "Basic", "Task", "QuestionnaireResponse", "Binary", "Group"]
)
async def test_adjacent_types_are_their_creators_only(resource_type: str) -> None:
    world = World(permits("Practitioner/d"))
    subject = {} if resource_type == "Binary" else {"subject": reference("Patient/a")}
    world.facts.put(resource(resource_type, "1", **subject), by="Practitioner/e")
    assert await world.finds(who("Practitioner/e"), resource_type) == {"1"}
    for other in (A, DOCTOR, LABORATORY, DEVICE):
        assert await world.finds(other, resource_type) == set()
    world.facts.put(resource(resource_type, "2", **subject), by="Patient/a")
    assert await world.finds(A, resource_type) == {"2"}


async def test_what_has_no_owner_is_its_creators_only() -> None:
    world = World(permits("Practitioner/d"))
    world.facts.put(observation("1", subject={"display": "somebody"}), by="Practitioner/e")
    assert await world.finds(who("Practitioner/e"), "Observation") == {"1"}
    assert await world.finds(DOCTOR, "Observation") == set()
    assert await world.finds(A, "Observation") == set()


async def test_unclassified_is_visible_to_nobody() -> None:
    world = World(permits("Practitioner/d"))
    for number, facts in enumerate(({}, None, {"class": None, "owners": ["a"]}, {"class": "secret", "owners": ["a"]})):
        world.facts.rows["Observation", str(number)] = {
            "_id": str(number),
            "by": {"principal": "Practitioner/d"},
            "security": facts,
            "deleted": False,
        }
    for principal in (A, DOCTOR, LABORATORY, who("Patient/b")):
        assert await world.finds(principal, "Observation") == set()
        permit = await world.gate.decide(principal, Request("search-type", "Observation"))
        assert isinstance(permit.of("Wardrobe"), Nothing)
        assert isinstance(permit.of("Parameters"), Nothing)


async def test_directory_and_public_types_are_everybodys_unless_they_refer_to_a_patient() -> None:
    world = World(
        organization("o"),
        resource("ValueSet", "v"),
        resource("Schedule", "free", actor=[reference("Practitioner/d")]),
        resource("Schedule", "patients", actor=[reference("Patient/a")]),
    )
    for principal in (A, B, DOCTOR, LABORATORY, DEVICE):
        assert await world.finds(principal, "Organization") == {"o"}
        assert await world.finds(principal, "ValueSet") == {"v"}
        assert await world.finds(principal, "Schedule") == ({"free", "patients"} if principal is A else {"free"})
    world.facts.put(permits("Practitioner/d"))
    assert await world.finds(DOCTOR, "Schedule") == {"free", "patients"}


async def test_a_binary_is_visible_as_its_security_context() -> None:
    document = resource("DocumentReference", "d", subject=reference("Patient/a"))
    world = World(
        document,
        resource("Binary", "of-document", securityContext=reference("DocumentReference/d")),
        resource("Binary", "of-patient", securityContext=reference("Patient/a")),
        resource("Binary", "of-nothing", securityContext=reference("DocumentReference/none")),
        resource("Binary", "of-binary", securityContext=reference("Binary/of-patient")),
        resource("Binary", "none"),
    )
    everything = ("of-document", "of-patient", "of-nothing", "of-binary", "none")

    async def seen(principal: Principal) -> set[str]:
        return {id for id in everything if await world.reads(principal, "Binary", id)}

    assert await seen(A) == {"of-document", "of-patient"}
    assert await seen(B) == set()
    assert await seen(DOCTOR) == set()
    world.facts.put(permits("Practitioner/d"))
    assert await seen(DOCTOR) == {"of-document", "of-patient"}
    permit = await world.gate.decide(DOCTOR, Request("read", "Binary", ids=("of-document",)))
    assert reasons.SECURITY_CONTEXT in permit.reasons
    assert await seen(who("Practitioner/d", "user/Binary.r")) == {"of-patient"}
    world.facts.delete("DocumentReference", "d")
    assert await seen(DOCTOR) == {"of-patient"}


# Reading: systems


async def test_a_system_sees_what_it_wrote_and_what_a_consent_naming_its_organization_permits() -> None:
    world = World(organization("lab", "Organization/group"), observation("1", "a"), observation("2", "b"))
    world.facts.put(observation("wrote", "b"), by="Organization/lab")
    assert await world.finds(LABORATORY, "Observation") == {"wrote"}
    world.facts.put(permits("Organization/group"))
    assert await world.finds(LABORATORY, "Observation") == {"1", "wrote"}
    assert await world.reads(LABORATORY, "Observation", "1")
    world.facts.put(denies("Organization/lab"))
    assert await world.finds(LABORATORY, "Observation") == {"wrote"}


async def test_a_device_sees_what_it_wrote_whatever_a_consent_says_of_it() -> None:
    world = World(observation("1", "a"), permits("Device/x"))
    world.facts.put(observation("wrote", "a"), by="Device/x")
    assert await world.finds(DEVICE, "Observation") == {"wrote"}
    assert not await world.reads(DEVICE, "Observation", "1")


# What takes effect, and when


async def test_a_change_is_in_force_on_the_next_decision() -> None:
    world = World(observation("1", "a"), permits("Practitioner/d"))
    assert await world.reads(DOCTOR, "Observation", "1")
    world.facts.put(permits("Practitioner/d") | {"status": "inactive"})
    assert not await world.reads(DOCTOR, "Observation", "1")
    world.facts.put(permits("Practitioner/d"))
    world.facts.delete("Consent", "permit")
    assert not await world.reads(DOCTOR, "Observation", "1")
    assert await world.finds(DOCTOR, "Observation") == set()


async def test_a_deleted_deny_does_not_deny_and_a_deleted_role_does_not_count() -> None:
    world = World(*CLINIC, observation("1", "a"), permits("PractitionerRole/r"), denies())
    world.facts.delete("Consent", "deny")
    assert await world.reads(IN_ROLE, "Observation", "1")
    world.facts.delete("PractitionerRole", "r")
    assert not await world.reads(IN_ROLE, "Observation", "1")
    assert not await world.reads(who("PractitionerRole/r"), "Observation", "1")


async def test_a_deleted_organization_lets_no_permit_through_and_every_deny() -> None:
    world = World(*CLINIC, observation("1", "a"), permits("Organization/trust"))
    assert await world.reads(IN_ROLE, "Observation", "1")
    world.facts.delete("Organization", "clinic")
    assert not await world.reads(IN_ROLE, "Observation", "1")
    world.facts.put(permits("Practitioner/d"))
    world.facts.put(denies("Organization/trust"))
    assert not await world.reads(IN_ROLE, "Observation", "1")


async def test_a_period_ends_by_the_clock_alone() -> None:
    world = World(observation("1", "a"), permits("Practitioner/d", period={"end": "2026-06-01"}))
    world.now = datetime(2026, 6, 1, 23, 59, 59, 999_999, tzinfo=UTC)
    assert await world.reads(DOCTOR, "Observation", "1")
    assert await world.finds(DOCTOR, "Observation") == {"1"}
    world.now += timedelta(microseconds=1)
    assert not await world.reads(DOCTOR, "Observation", "1")
    assert await world.finds(DOCTOR, "Observation") == set()


@pytest.mark.parametrize("writer", ["Practitioner/d", "PractitionerRole/r", "Patient/b"])
async def test_a_consent_in_the_wrong_hands_permits_nobody_and_still_denies(writer: str) -> None:
    """The second lock: were such a version ever stored, it would widen nothing."""
    world = World(observation("1", "a"))
    world.facts.put(permits("Practitioner/d"), by=writer)
    assert not await world.reads(DOCTOR, "Observation", "1")
    assert await world.finds(DOCTOR, "Observation") == set()
    world.facts.put(permits("Practitioner/d", id="good"), by="Patient/a")
    assert await world.reads(DOCTOR, "Observation", "1")
    world.facts.put(denies(), by=writer)
    assert not await world.reads(DOCTOR, "Observation", "1")


async def test_a_deleted_organization_of_a_system_lets_no_permit_through_either() -> None:
    world = World(organization("lab", "Organization/group"), observation("1", "a"), permits("Organization/group"))
    assert await world.reads(LABORATORY, "Observation", "1")
    world.facts.delete("Organization", "lab")
    assert not await world.reads(LABORATORY, "Observation", "1")
    world.facts.put(permits("Organization/lab"))
    assert await world.reads(LABORATORY, "Observation", "1")
    world.facts.put(denies("Organization/group"))
    assert not await world.reads(LABORATORY, "Observation", "1")


async def test_a_patient_writes_no_consent_of_another_whatever_she_sees() -> None:
    world = World()
    row = world.facts.put(permits(patient="b"), by="Patient/a")
    permit = await world.gate.decide(A, Request("update", "Consent", ids=("permit",)))
    assert not match(permit.writes("Consent"), row)


# Scopes


@pytest.mark.parametrize(
    ("scope", "interaction"),
    [
        ("user/Patient.cruds", "read"),
        ("user/Observation.cuds", "read"),
        ("user/Observation.crud", "search-type"),
        ("user/Observation.rs", "create"),
        ("user/Observation.crds", "update"),
        ("user/Observation.crus", "delete"),
        ("user/*.cruds", "expunge"),
    ],
)
async def test_scopes_are_decided_before_any_data(scope: str, interaction: str) -> None:
    world = World()
    with pytest.raises(Forbidden) as refused:
        await world.gate.decide(who("Practitioner/d", scope), Request(interaction, "Observation", ids=("1",)))
    assert refused.value.insufficient_scope
    assert world.facts.asked == []


async def test_what_comes_along_has_to_be_readable_by_the_scopes() -> None:
    """The attack: an _include of a type that the token does not name."""
    world = World(observation("1", "a"), resource("Patient", "a"), organization("o"), permits("Practitioner/d"))
    narrow = who("Practitioner/d", "user/Observation.rs user/Organization.s")
    permit = await world.gate.decide(narrow, Request("search-type", "Observation", includes=True))
    assert world.facts.everything_seen(permit) == {"Observation/1"}
    wide = who("Practitioner/d", "user/Observation.s user/Patient.r user/Organization.r")
    permit = await world.gate.decide(wide, Request("search-type", "Observation", includes=True))
    assert world.facts.everything_seen(permit) == {"Observation/1", "Patient/a", "Organization/o"}


async def test_a_search_that_includes_reaches_other_permitted_patients_and_no_more() -> None:
    world = World(*(resource("Patient", id) for id in "abc"), permits("Practitioner/d"))
    world.facts.put(permits("Practitioner/d", patient="b", id="b"))
    permit = await world.gate.decide(
        DOCTOR, Request("search-type", "Observation", patients=frozenset(("a",)), includes=True)
    )
    assert world.facts.seen(permit, "Patient") == {"a", "b"}


# Bounds


async def test_too_many_owners_are_too_costly_unless_a_patient_narrows() -> None:
    many = [permits("Practitioner/d", patient=f"p{n}", id=f"c{n}") for n in range(6)]
    assert await World(*many, observation("1", "p1"), max_owners=6).finds(DOCTOR, "Observation") == {"1"}
    world = World(*many, observation("1", "p1"), organization("o"), max_owners=5)
    with pytest.raises(TooCostly):
        await world.finds(DOCTOR, "Observation")
    assert await world.finds(DOCTOR, "Observation", patients=frozenset(("p1",))) == {"1"}
    assert await world.reads(DOCTOR, "Observation", "1")
    assert await world.finds(DOCTOR, "Organization") == {"o"}
    permit = await world.gate.decide(
        DOCTOR, Request("search-type", "Observation", patients=frozenset(("p1",)), includes=True)
    )
    assert reasons.NARROWED in permit.reasons
    assert world.facts.seen(permit, "Observation") == {"1"}


async def test_consents_that_are_over_do_not_count_towards_the_bound() -> None:
    over = [permits("Practitioner/d", patient=f"p{n}", id=f"c{n}", period={"end": "2020"}) for n in range(30)]
    world = World(*over, permits("Practitioner/d"), observation("1", "a"), max_owners=2)
    assert await world.finds(DOCTOR, "Observation") == {"1"}


async def test_a_flood_of_consents_hides_and_never_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The attack: so many Consents of the owner that the one which denies is cut off."""
    monkeypatch.setattr("fhirserver.access.gate.weighing.MAX_RULES", 10)
    world = World(observation("1", "a"), *(permits("Practitioner/d", id=f"c{n}") for n in range(11)), denies())
    assert not await world.reads(DOCTOR, "Observation", "1")
    assert await world.finds(DOCTOR, "Observation", patients=frozenset(("a",))) == set()
    assert await world.finds(DOCTOR, "Observation") == set()


async def test_a_record_of_a_great_many_owners_is_hidden() -> None:
    crowd = [f"p{n}" for n in range(6)]
    world = World(observation("1", *crowd), *(permits("Practitioner/d", patient=p, id=p) for p in crowd), max_owners=5)
    assert not await world.reads(DOCTOR, "Observation", "1")


# Hidden and absent


@pytest.mark.parametrize("resource_type", ["Observation", "Appointment", "Patient", "Consent", "List"])
async def test_hidden_and_absent_ids_ask_the_same_questions(resource_type: str) -> None:
    world = World(*CLINIC)
    world.facts.put(observation("x", "a") | {"resourceType": resource_type, "id": "hidden"}, by="Organization/lab")
    permits_made, questions = [], []
    for id in ("hidden", "absent"):
        world.facts.asked.clear()
        permits_made.append(await world.gate.decide(IN_ROLE, Request("read", resource_type, ids=(id,))))
        questions.append(list(world.facts.asked))
    assert questions[0] == questions[1]
    assert world.facts.seen(permits_made[0], resource_type) == world.facts.seen(permits_made[1], resource_type) == set()


async def test_equal_decisions_give_equal_expressions() -> None:
    """Reads of one turn that share a permit share a branch of the query."""
    world = World(*CLINIC, observation("1", "a"), observation("2", "a"), permits("Practitioner/d"))
    first = await world.gate.decide(DOCTOR, Request("read", "Observation", ids=("1",)))
    second = await world.gate.decide(DOCTOR, Request("read", "Observation", ids=("2",)))
    assert first.of("Observation") == second.of("Observation")
    assert hash(first.of("Observation")) == hash(second.of("Observation"))
    other = await world.gate.decide(who("Practitioner/e"), Request("read", "Observation", ids=("2",)))
    assert first.of("Observation") != other.of("Observation")
