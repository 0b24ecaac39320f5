"""Whose a resource is, and of what class: a table of shapes.

https://hl7.org/fhir/R4/compartmentdefinition-patient.html
"""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhirserver.access.security import compartments
from fhirserver.access.security.classes import ACCESS_CLASS
from fhirserver.access.security.compartments import UNRESOLVED, security_facts
from fhirserver.model.dates import BEGINNING, END, interval
from tests.fakes.facts import BASE, derive
from tests.fakes.records import appointment, observation, practitioner_role, reference, resource

A, B = reference("Patient/a"), reference("Patient/b")
CONTAINED = {"resourceType": "Patient", "id": "p"}

OWNERS: dict[str, tuple[dict[str, Any], str | None, list[str]]] = {
    "the subject": (observation("1", "a"), "patient", ["a"]),
    "a versioned reference": (
        observation("1", subject=reference("Patient/a/_history/7")),
        "patient",
        ["a"],
    ),
    "an absolute reference on our base": (observation("1", subject=reference(f"{BASE}/Patient/a")), "patient", ["a"]),
    "the same, versioned and with http for https": (
        observation("1", subject=reference("http://fhir.example.org/fhir/Patient/a/_history/1")),
        "patient",
        ["a"],
    ),
    "a reference to another server": (
        observation("1", subject=reference("https://elsewhere.example/fhir/Patient/a")),
        "adjacent",
        [],
    ),
    "our base as a prefix of another": (observation("1", subject=reference(f"{BASE}x/Patient/a")), "adjacent", []),
    "a urn": (observation("1", subject=reference("urn:uuid:0b8e2b50-4e1c-4a0e-9d2c-0a4f0f4d1a11")), "adjacent", []),
    "only an identifier": (observation("1", subject={"identifier": {"value": "1"}}), "adjacent", []),
    "no subject": (observation("1"), "adjacent", []),
    "a Group as the subject": (observation("1", subject=reference("Group/g")), "adjacent", []),
    "a patient in focus": (observation("1", "a", "b"), "patient", ["a", "b"]),
    "a performer who is a patient is mentioned": (observation("1", "a", performer=[B]), "patient", ["a"]),
    "only a performer": (observation("1", performer=[B]), "adjacent", []),
    "the author of a note is mentioned": (
        observation("1", "a", note=[{"authorReference": B, "text": "x"}]),
        "patient",
        ["a"],
    ),
    "an extension": (observation("1", "a", extension=[{"url": "x", "valueReference": B}]), "patient", ["a", "b"]),
    "an extension alone": (observation("1", extension=[{"url": "x", "valueReference": B}]), "patient", ["b"]),
    "an extension deep inside, under a mention": (
        observation("1", "a", performer=[{"display": "x", "extension": [{"url": "x", "valueReference": B}]}]),
        "patient",
        ["a", "b"],
    ),
    "an extension of a primitive": (
        observation("1", "a", _issued={"extension": [{"url": "x", "valueReference": B}]}),
        "patient",
        ["a", "b"],
    ),
    "a modifier extension": (
        observation("1", "a", modifierExtension=[{"url": "x", "valueReference": B}]),
        "patient",
        ["a", "b"],
    ),
    "an extension in an extension": (
        observation("1", "a", extension=[{"url": "x", "extension": [{"url": "y", "valueReference": B}]}]),
        "patient",
        ["a", "b"],
    ),
    "a note inside an extension": (
        observation("1", "a", extension=[{"url": "x", "valueAnnotation": {"authorReference": B}}]),
        "patient",
        ["a", "b"],
    ),
    "a contained resource": (
        observation("1", "a", contained=[observation("c", "b")]),
        "patient",
        ["a", "b"],
    ),
    "a mention in a contained resource": (
        observation("1", "a", contained=[observation("c", performer=[B])]),
        "patient",
        ["a"],
    ),
    "an extension in a contained resource": (
        observation("1", "a", contained=[resource("Device", "d", extension=[{"url": "x", "valueReference": B}])]),
        "patient",
        ["a", "b"],
    ),
    "a contained Patient beside a subject": (
        observation("1", "a", contained=[CONTAINED]),
        "patient",
        ["a", UNRESOLVED],
    ),
    "a contained Patient as the subject": (
        observation("1", contained=[CONTAINED], subject=reference("#p")),
        "adjacent",
        [],
    ),
    "another server's Patient beside ours": (
        observation("1", "a", focus=[reference("https://elsewhere.example/Patient/z")]),
        "patient",
        ["a", UNRESOLVED],
    ),
    "a conditional reference": (
        observation("1", "a", focus=[reference("Patient?identifier=x|1")]),
        "patient",
        ["a", UNRESOLVED],
    ),
    "a subject that does not resolve, and an extension that does": (
        observation("1", subject={"display": "somebody"}, extension=[{"url": "x", "valueReference": B}]),
        "patient",
        ["b", UNRESOLVED],
    ),
    "a Group as the subject, and a focus": (
        observation("1", subject=reference("Group/g"), focus=[B]),
        "patient",
        ["b", UNRESOLVED],
    ),
    "a patient where the table says nothing": (
        resource("ServiceRequest", "1", subject=A, supportingInfo=[B]),
        "patient",
        ["a", "b"],
    ),
    "a Group where the table says nothing": (
        resource("ServiceRequest", "1", subject=A, supportingInfo=[reference("Group/g")]),
        "patient",
        ["a"],
    ),
    "a urn that is said to be a Patient": (
        resource(
            "ServiceRequest", "1", subject=A, supportingInfo=[reference("urn:uuid:0b8e2b50") | {"type": "Patient"}]
        ),
        "patient",
        ["a", UNRESOLVED],
    ),
    "a urn that is not": (
        resource("ServiceRequest", "1", subject=A, supportingInfo=[reference("urn:uuid:0b8e2b50")]),
        "patient",
        ["a"],
    ),
    "a Patient": (resource("Patient", "a", link=[{"other": B}], generalPractitioner=[B]), "patient", ["a"]),
    "a Patient with an extension": (
        resource("Patient", "a", extension=[{"url": "x", "valueReference": B}]),
        "patient",
        ["a"],
    ),
    "participants": (appointment("1", "Patient/a", "Practitioner/p", "Patient/b"), "patient", ["a", "b"]),
    "an Appointment without a patient": (appointment("1", "Practitioner/p"), "adjacent", []),
    "a card and who pays": (
        resource("Coverage", "1", beneficiary=A, subscriber=B, payor=[B]),
        "patient",
        ["a", "b"],
    ),
    "a directory type": (resource("Schedule", "1", actor=[reference("Practitioner/p")]), "directory", []),
    "a directory type that refers to a patient": (resource("Schedule", "1", actor=[A]), "patient", ["a"]),
    "the same in an extension": (
        resource("Organization", "1", extension=[{"url": "x", "valueReference": A}]),
        "patient",
        ["a"],
    ),
    "a directory type with a contained Patient": (resource("Location", "1", contained=[CONTAINED]), "adjacent", []),
    "a directory type with another server's Patient": (
        resource("Schedule", "1", actor=[{"type": "Patient", "identifier": {"value": "1"}}]),
        "adjacent",
        [],
    ),
    "a public type": (resource("ValueSet", "1"), "public", []),
    "a public type that mentions a patient in a note": (
        resource("Library", "1", extension=[{"url": "x", "valueAnnotation": {"authorReference": A}}]),
        "patient",
        ["a"],
    ),
    "a public type in whose contained resource she performs": (
        resource("PlanDefinition", "1", contained=[observation("c", performer=[A])]),
        "patient",
        ["a"],
    ),
    "an adjacent type": (resource("List", "1", subject=A), "adjacent", ["a"]),
    "a Binary": (resource("Binary", "1"), "adjacent", []),
    "a Binary of a Patient": (resource("Binary", "1", securityContext=A), "patient", ["a"]),
    "a Binary of a document": (
        resource("Binary", "1", securityContext=reference("DocumentReference/d")),
        "adjacent",
        [],
    ),
    "a Consent": (
        resource("Consent", "1", patient=A, performer=[B], provision={"actor": [{"reference": B}]}),
        "system",
        ["a"],
    ),
    "a Consent with a nested actor": (
        resource("Consent", "1", patient=A, provision={"provision": [{"provision": [{"actor": [{"reference": B}]}]}]}),
        "system",
        ["a"],
    ),
    "a Consent of nobody": (resource("Consent", "1"), "adjacent", []),
    "a Provenance": (resource("Provenance", "1", target=[A], agent=[{"who": B}]), "system", ["a"]),
    "an AuditEvent": (resource("AuditEvent", "1", agent=[{"who": A}], entity=[{"what": B}]), "system", ["a", "b"]),
    "no type of R4": (resource("Wardrobe", "1", subject=A), None, ["a"]),
}


@pytest.mark.parametrize("case", OWNERS)
def test_owners_and_class_come_from_the_whole_resource(case: str) -> None:
    given_resource, access_class, owners = OWNERS[case]
    facts = derive(given_resource["resourceType"], given_resource)
    assert (facts["class"], facts["owners"]) == (access_class, owners)
    assert facts["owner"] == (owners[0] if len(owners) == 1 else None)


def test_the_sole_owner_is_a_scalar_and_two_owners_are_none() -> None:
    assert derive("Observation", observation("1", "a"))["owner"] == "a"
    assert derive("Observation", observation("1", "a", "b"))["owner"] is None


def test_labels_and_confidentiality() -> None:
    system = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
    labelled = observation(
        "1", "a", meta={"security": [{"system": system, "code": "R"}, {"code": "X"}, {"display": "y"}]}
    )
    facts = derive("Observation", labelled)
    assert facts["labels"] == [f"{system}|R", "|X"]
    assert facts["confidentiality"] == 4
    assert derive("Observation", observation("1", "a"))["confidentiality"] == 3


def test_who_is_only_mentioned_is_known_and_owns_nothing() -> None:
    """The gate finds by it whose permits a search of her compartment needs."""
    facts = derive("Observation", observation("1", "a", performer=[reference("Patient/b"), reference("Patient/a")]))
    assert (facts["owners"], facts["mentions"]) == (["a"], ["b"])
    foreign = reference("https://other.example/fhir/Patient/b")
    for performers in (
        [],
        [reference("Patient/a")],
        [reference("Practitioner/p")],
        [foreign],
        [{"display": "Patient/"}],
    ):
        assert "mentions" not in derive("Observation", observation("1", "a", performer=performers))


def test_clinical_dates_authors_and_custodians() -> None:
    facts = derive(
        "Observation",
        observation("1", "a", effectivePeriod={"start": "2024"}, performer=[reference("Practitioner/p")]),
    )
    assert (facts["low"], facts["high"]) == (interval("2024")[0], END)
    assert facts["authors"] == ["Practitioner/p"]
    encounter = derive("Encounter", resource("Encounter", "1", serviceProvider=reference("Organization/o")))
    assert encounter["custodians"] == ["Organization/o"]
    assert (encounter["low"], encounter["high"]) == (None, None)


ROLES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {"active": True, "low": BEGINNING, "high": END}),
    "active is not said": ({"active": None}, {"active": False}),
    "inactive": ({"active": False}, {"active": False}),
    "active is no boolean": ({"active": "true"}, {"active": False}),
    "a period": (
        {"period": {"start": "2024", "end": "2024"}},
        {"low": interval("2024")[0], "high": interval("2024")[1]},
    ),
    "a period that cannot be read": ({"period": {"end": "soon"}}, {"low": BEGINNING, "high": None}),
    "an end that is not said": ({"period": {"_end": {"extension": []}}}, {"high": None}),
    "no period at all in it": ({"period": "always"}, {"low": None, "high": None}),
}


@pytest.mark.parametrize("case", ROLES)
def test_the_facts_of_a_role(case: str) -> None:
    changes, wanted = ROLES[case]
    role = derive("PractitionerRole", practitioner_role("r", "Practitioner/p", "Organization/o", **changes))["role"]
    assert role == role | wanted
    assert (role["practitioner"], role["organization"]) == ("Practitioner/p", "Organization/o")


def test_the_days_of_a_role_are_those_of_the_place() -> None:
    role = practitioner_role("r", "Practitioner/p", period={"start": "2026-01-01", "end": "2026-01-01"})
    found = security_facts(BASE, timezone(timedelta(hours=3)))("PractitionerRole", role)["role"]
    assert found["low"] == interval("2025-12-31T21:00:00Z")[0]
    assert found["high"] == interval("2026-01-01T20:59:59Z")[1]


def test_a_role_without_active_is_active() -> None:
    """practitionerrole: generally assumed to be active if no value is provided."""
    role = practitioner_role("r", "Practitioner/p")
    del role["active"]
    assert derive("PractitionerRole", role)["role"]["active"] is True


def test_who_declined_does_not_take_part() -> None:
    declined = {"actor": reference("Practitioner/q"), "status": "declined"}
    facts = derive("Appointment", appointment("1", "Practitioner/p") | {"participant": [declined]})
    assert facts["actors"] == []
    assert derive("Appointment", appointment("1", "Practitioner/p", "Patient/a"))["actors"] == [
        "Patient/a",
        "Practitioner/p",
    ]


NAMES = (
    "id reference type identifier subject patient meta security system code coding participant actor status period start "
    "_end active practitioner partOf securityContext extension contained resourceType provision scope action role target "
    "effectivePeriod issued performer"
)
KEYS = st.sampled_from(NAMES.split())
LEAVES = st.sampled_from(
    (None, True, 0, "", "Patient/a", "Patient", "Group/g", "active", "deny", "permit", "2024", "#", "Practitioner/p")
)


@st.composite
def values(draw: st.DrawFn, depth: int) -> Any:
    """JSON of any shape, with the names that the facts look for."""
    shape = draw(st.sampled_from(("leaf", "list", "object", "object"))) if depth else "leaf"
    if shape == "leaf":
        return draw(LEAVES)
    inner = [draw(values(depth - 1)) for _ in range(draw(st.integers(0, 3)))]
    return inner if shape == "list" else {draw(KEYS): each for each in inner}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(ACCESS_CLASS)), st.dictionaries(KEYS, values(4), max_size=5))
def test_facts_are_made_of_whatever_comes(resource_type: str, content: dict[str, Any]) -> None:
    """A load or a reindex may meet what no validator saw: that is somebody's or nobody's, never an error."""
    facts = derive(resource_type, content | {"resourceType": resource_type})
    assert facts["class"] in ("patient", "directory", "public", "adjacent", "system")


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(("Observation", "Appointment", "Group", "Person")), st.dictionaries(KEYS, values(3), max_size=5))
def test_what_is_known_of_elements_changes_nothing(resource_type: str, content: dict[str, Any]) -> None:
    """`derive` remembers the elements of all resources before; the scan of the whole resource remembers none."""
    given_resource = content | {"resourceType": resource_type}
    is_open = ACCESS_CLASS[resource_type] in compartments.OPEN_CLASSES
    whole = compartments._Owned(is_open, BASE)
    whole.scan(resource_type, given_resource)
    facts = derive(resource_type, given_resource)
    owners = sorted(whole.owners) + [UNRESOLVED] * (bool(whole.owners) and whole.is_unresolved)
    assert facts["owners"] == owners
    assert facts.get("mentions", []) == sorted(whole.mentioned - whole.owners)
    assert facts == security_facts(BASE)(resource_type, given_resource)


def test_the_same_element_of_another_type_is_weighed_anew() -> None:
    """Who asks for a service is mentioned; of a DeviceRequest the table does not say so."""
    facts = security_facts(BASE)
    assert facts("ServiceRequest", resource("ServiceRequest", "1", subject=A, requester=B))["owners"] == ["a"]
    assert facts("DeviceRequest", resource("DeviceRequest", "1", subject=A, requester=B))["owners"] == ["a", "b"]


def test_what_is_known_of_elements_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compartments, "_KNOWN", 5)
    known: compartments.Known = {}
    for number in range(20):
        owned = compartments._Owned(False, BASE)
        given_resource = observation("1", f"p{number}", performer=[B])
        owned.scan_elements("Observation", given_resource, compartments.texts_of(given_resource), known)
        assert (owned.owners, owned.mentioned) == ({f"p{number}"}, {"b"})
        assert len(known) <= 5
