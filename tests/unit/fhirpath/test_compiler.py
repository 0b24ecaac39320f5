"""What compiled expressions select.

https://hl7.org/fhirpath/N1/ and https://hl7.org/fhir/R4/fhirpath.html
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from fhirserver.definitions import load
from fhirserver.fhirpath import FhirPathError, Node, compile_path
from fhirserver.model.json import Number

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "meta": {"tag": [{"code": "a"}], "profile": ["http://example.org/p"]},
    "contained": [{"resourceType": "Practitioner", "id": "doc", "name": [{"family": "Контейнеров"}]}],
    "extension": [
        {"url": "http://example.org/one", "valueString": "1"},
        {"url": "http://example.org/two", "valueCoding": {"code": "2"}},
        {"url": "http://example.org/one", "valueInteger": 1},
    ],
    "active": True,
    "name": [
        {"family": "Иванова", "given": ["Анна", None, "Мария"], "_given": [None, {"extension": [{"url": "u"}]}, None]},
        {"use": "maiden", "family": "Петрова", "given": ["Анна"]},
    ],
    "telecom": [
        {"system": "phone", "value": "1", "use": "home"},
        {"system": "email", "value": "2"},
        {"value": "3"},
        {"system": "phone", "value": "4"},
    ],
    "birthDate": "1980-05",
    "_birthDate": {
        "id": "b",
        "extension": [{"url": "http://example.org/time", "valueDateTime": "1980-05-01T08:00:00Z"}],
    },
    "deceasedDateTime": "2020",
    "managingOrganization": {"reference": "#gone"},
    "generalPractitioner": [
        {"reference": "#doc"},
        {"reference": "Organization/1"},
        {"reference": "https://example.org/fhir/Practitioner/2/_history/3"},
        {"type": "PractitionerRole", "identifier": {"value": "9"}},
        {"display": "someone"},
        {"reference": "urn:uuid:0b5a8a2c-6a5c-4b0e-9c0c-1f0f5a0f0a0a", "type": "Practitioner"},
    ],
    "link": [{"other": {"reference": "Patient/2"}, "type": "seealso"}],
}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"code": "bp"}]},
    "subject": {"reference": "#"},
    "valueQuantity": {"value": Number("1.0"), "unit": "g"},
    "referenceRange": [{"text": "outer"}],
    "component": [
        {"code": {"coding": [{"code": "sys"}]}, "valueQuantity": {"value": Number("1.00"), "unit": "g"}},
        {"code": {"coding": [{"code": "bp"}]}, "valueString": "high", "referenceRange": [{"text": "inner"}]},
    ],
}
BUNDLE: dict[str, Any] = {
    "resourceType": "Bundle",
    "type": "document",
    "entry": [
        {"resource": {"resourceType": "Composition", "id": "c", "status": "final"}},
        {"fullUrl": "urn:x"},
        {"resource": PATIENT},
        {"resource": {"resourceType": "Unknown", "id": "u"}},
    ],
}
CONCEPT_MAP = {
    "resourceType": "ConceptMap",
    "sourceCanonical": "http://example.org/vs",
    "targetUri": "http://example.org/uri",
}
CONDITION = {"resourceType": "Condition", "onsetAge": {"value": 52}, "abatementString": "later"}
GIVEN = [("string", "Анна"), ("string", "Мария"), ("string", "Анна")]


def practitioners(*places: int) -> list[Node]:
    return [("Reference", PATIENT["generalPractitioner"][place]) for place in places]


def telecoms(*places: int) -> list[Node]:
    return [("ContactPoint", PATIENT["telecom"][place]) for place in places]


SELECTIONS: dict[str, tuple[dict[str, Any], list[tuple[str, list[Node]]]]] = {
    "paths": (
        PATIENT,
        [
            ("Patient.id", [("id", "p")]),
            ("Resource.id", [("id", "p")]),
            ("DomainResource.meta.tag", [("Coding", {"code": "a"})]),
            ("meta.profile", [("canonical", "http://example.org/p")]),
            ("Patient", [("Patient", PATIENT)]),
            ("Observation.status", []),
            ("Patient.gender", []),
            ("Patient.active", [("boolean", True)]),
            ("Patient.name.family", [("string", "Иванова"), ("string", "Петрова")]),
            ("Patient.name.given", GIVEN),
            ("Patient.link", [("BackboneElement:Patient.link", PATIENT["link"][0])]),
            ("Patient.link.other", [("Reference", {"reference": "Patient/2"})]),
            ("Patient.contact.name.given", []),
            ("$this.birthDate", [("date", "1980-05")]),
            ("name.$this.given", None),
            ("%resource.active", [("boolean", True)]),
            ("name.where(%resource.active).use", [("code", "maiden")]),
            ("contained.id", [("id", "doc")]),
            ("contained.name.family", [("string", "Контейнеров")]),
            ("contained", [("Practitioner", PATIENT["contained"][0])]),
        ],
    ),
    "choices and types": (
        PATIENT,
        [
            ("Patient.deceased", [("dateTime", "2020")]),
            ("(Patient.deceased as dateTime)", [("dateTime", "2020")]),
            ("Patient.deceased as boolean", []),
            ("Patient.deceased.as(DateTime)", [("dateTime", "2020")]),
            ("Patient.deceased.ofType(FHIR.dateTime)", [("dateTime", "2020")]),
            ("Patient.deceased.ofType(System.Boolean)", []),
            ("Patient.deceased is dateTime", [("boolean", True)]),
            ("Patient.deceased.is(boolean)", [("boolean", False)]),
            ("Patient.multipleBirth is integer", []),
            ("Patient is DomainResource", [("boolean", True)]),
            ("Patient.id is string", [("boolean", True)]),
            ("Patient.id as Quantity", []),
            ("Patient.deceased.exists() and Patient.deceased != false", [("boolean", True)]),
            ("contained.ofType(Practitioner).id", [("id", "doc")]),
            ("contained.ofType(Patient).id", []),
            ("contained as DomainResource", [("Practitioner", PATIENT["contained"][0])]),
        ],
    ),
    "extensions": (
        PATIENT,
        [
            ("Patient.extension('http://example.org/one').value", [("string", "1"), ("integer", 1)]),
            ("extension('http://example.org/one').value as integer", [("integer", 1)]),
            ("extension('http://example.org/two').value.code", [("code", "2")]),
            ("extension('http://example.org/three')", []),
            ("extension.where(url = 'http://example.org/two')", [("Extension", PATIENT["extension"][1])]),
            ("hasExtension('http://example.org/one')", [("boolean", True)]),
            ("hasExtension('http://example.org/three')", [("boolean", False)]),
            ("Patient.birthDate.extension('http://example.org/time').value", [("dateTime", "1980-05-01T08:00:00Z")]),
            ("birthDate.id", [("string", "b")]),
            ("name.given.extension.url", [("uri", "u")]),
            ("birthDate.hasExtension('http://example.org/time')", [("boolean", True)]),
            ("gender.hasExtension('http://example.org/time')", [("boolean", False)]),
        ],
    ),
    "criteria": (
        PATIENT,
        [
            ("Patient.telecom.where(system='phone')", telecoms(0, 3)),
            ("telecom.where(system = 'phone' and use = 'home')", telecoms(0)),
            ("telecom.where(system = 'phone' or value = '3')", telecoms(0, 2, 3)),
            ("telecom.where(system != 'phone')", telecoms(1)),
            ("telecom.where((system = 'phone').not())", telecoms(1)),
            ("telecom.where(system = 'phone' xor use = 'home')", []),
            ("telecom.where(system.exists() implies use.exists())", telecoms(0, 2)),
            ("telecom.where(system.empty())", telecoms(2)),
            ("telecom.where(system)", telecoms(0, 1, 3)),
            ("telecom.where($this.system = 'email').value", [("string", "2")]),
            ("telecom.where(true)[0]", telecoms(0)),
            ("telecom.where({})", []),
            ("telecom.exists(system = 'fax')", [("boolean", False)]),
            ("telecom.exists(system = 'email')", [("boolean", True)]),
            ("telecom.empty()", [("boolean", False)]),
            ("photo.exists().not()", [("boolean", True)]),
            ("name.given.where($this = 'Мария')", [("string", "Мария")]),
        ],
    ),
    "references": (
        PATIENT,
        [
            ("Patient.generalPractitioner.where(resolve() is Practitioner)", practitioners(0, 2, 5)),
            ("generalPractitioner.where(resolve() is Organization)", practitioners(1)),
            ("generalPractitioner.where(resolve().is(PractitionerRole))", practitioners(3)),
            ("generalPractitioner.where(resolve() is Organization or resolve() is PractitionerRole)", practitioners(1, 3)),
            ("generalPractitioner.where(resolve() is Resource)", practitioners(0, 1, 2, 3, 5)),
            ("generalPractitioner.where($this.resolve() is Practitioner)", practitioners(0, 2, 5)),
            ("link.where(other.resolve() is Patient).type", [("code", "seealso")]),
            ("link.where(other.resolve() is RelatedPerson).type", []),
            ("%resource.where(contact.resolve() is Patient)", None),
            ("telecom.where(%resource.link.other.resolve() is Patient)[0]", telecoms(0)),
            ("managingOrganization.where(resolve() is Organization)", []),
            ("name.where(resolve() is Patient)", None),
            ("generalPractitioner.resolve()", None),
        ],
    ),
    "collections": (
        PATIENT,
        [
            ("name.given[0]", GIVEN[:1]),
            ("name.given[2]", GIVEN[2:]),
            ("name.given[3]", []),
            ("name[1].given", GIVEN[2:]),
            ("name.first().family", [("string", "Иванова")]),
            ("name.last().family", [("string", "Петрова")]),
            ("name.given | name.given", GIVEN[:2]),
            ("name.family | name.text | Observation.code | deceased", [("string", "Иванова"), ("string", "Петрова"), ("dateTime", "2020")]),
            ("(name | telecom).use", [("code", "maiden"), ("code", "home")]),
            ("(birthDate | active).first()", [("date", "1980-05")]),
            ("name.given = name.given", [("boolean", True)]),
            ("name.given = name.family", [("boolean", False)]),
            ("name.family = name.use", [("boolean", False)]),
            ("name[0].family | name[0].use = name.family", [("boolean", False)]),
            ("name.given != name.text", []),
            ("active = 1", [("boolean", False)]),
            ("birthDate = deceased", [("boolean", False)]),
            ("birthDate = @1980-05", [("boolean", True)]),
            ("birthDate = @1980-05T", [("boolean", True)]),
            ("birthDate = @1980", []),
            ("birthDate = '1980-05'", [("boolean", True)]),
            ("@2020-01-01T10:00:00Z = @2020-01-01T13:00:00.0+03:00", [("boolean", True)]),
            ("@2020-01-01T10:00:00Z = @2020-01-01T10:00:00.5Z", [("boolean", False)]),
            ("@2020-01-01T10:00Z = @2020-01-01T10:00:00Z", []),
            ("@2020-01-01T10 = @2020-01-01T10:00:00Z", []),
            ("@T10:00:00 = @T10:00:00.0", [("boolean", True)]),
            ("@T10:00 = @T10:00:00", []),
            ("@T10:00 != @T10:01", [("boolean", True)]),
            ("name.given = birthDate", [("boolean", False)]),
        ],
    ),
    "the same in several types": (
        OBSERVATION,
        [
            ("Observation.code | Observation.component.code", [("CodeableConcept", {"coding": [{"code": code}]}) for code in ("bp", "sys")]),
            # Decimals that differ in trailing zeros are equal.
            ("(Observation.value as Quantity) | (Observation.component.value as Quantity)", [("Quantity", {"value": Decimal(1), "unit": "g"})]),
            ("Observation.component.value", [("Quantity", {"value": Decimal(1), "unit": "g"}), ("string", "high")]),
            ("Observation.component.value.unit", [("string", "g")]),
            ("Observation.value.value = 1", [("boolean", True)]),
            ("Observation.component.referenceRange", [("BackboneElement:Observation.referenceRange", {"text": "inner"})]),
            ("Observation.subject.where(resolve() is Observation)", [("Reference", {"reference": "#"})]),
            ("Observation.component[1].value as string", [("string", "high")]),
        ],
    ),
    "resources inside": (
        BUNDLE,
        [
            ("Bundle.entry[0].resource", [("Composition", BUNDLE["entry"][0]["resource"])]),
            ("Bundle.entry.resource.id", [("id", "c"), ("id", "p")]),
            ("Bundle.entry.resource.ofType(Patient).name.given[0]", GIVEN[:1]),
            ("entry.resource[1].name.family | type", [("string", "Иванова"), ("string", "Петрова"), ("code", "document")]),
            ("entry.resource.where(id = 'p').active", [("boolean", True)]),
            ("entry.resource.exists()", [("boolean", True)]),
            ("entry.resource.where(birthDate = @1980-05).id", [("id", "p")]),
            ("entry.resource.where(birthDate = deathDate).id", []),
            ("entry.resource.where(resolve() is Patient).id", []),
        ],
    ),
    "subtypes": (
        CONCEPT_MAP,
        [
            ("(ConceptMap.source as canonical)", [("canonical", "http://example.org/vs")]),
            # A canonical is a uri.
            ("(ConceptMap.source as uri)", [("canonical", "http://example.org/vs")]),
            ("(ConceptMap.target as canonical)", []),
            ("(ConceptMap.target as uri)", [("uri", "http://example.org/uri")]),
        ],
    ),
    "ages": (
        CONDITION,
        [
            ("Condition.onset.as(Age)", [("Age", {"value": 52})]),
            ("Condition.onset.as(Quantity)", [("Age", {"value": 52})]),
            ("Condition.abatement.as(string)", [("string", "later")]),
        ],
    ),
}  # fmt: skip
CASES = [
    pytest.param(resource, expression, expected, id=f"{group}: {expression}")
    for group, (resource, cases) in SELECTIONS.items()
    for expression, expected in cases
    if expected is not None
]
REFUSED = [
    pytest.param(resource, expression, id=f"{group}: {expression}")
    for group, (resource, cases) in SELECTIONS.items()
    for expression, expected in cases
    if expected is None
]


@pytest.mark.parametrize(("resource", "expression", "expected"), CASES)
def test_an_expression_selects_typed_nodes(resource: dict[str, Any], expression: str, expected: list[Node]) -> None:
    path = compile_path(load(), expression, resource["resourceType"])
    assert path(resource) == expected


@pytest.mark.parametrize(("resource", "expression"), REFUSED)
def test_what_cannot_be_is_refused_when_compiled(resource: dict[str, Any], expression: str) -> None:
    with pytest.raises(FhirPathError):
        compile_path(load(), expression, resource["resourceType"])


@pytest.mark.parametrize(
    ("expression", "position", "message"),
    [
        ("Patient.names", 8, "'names' is not an element"),
        ("names", 0, "'names' is not an element of Patient"),
        ("Patient.name.given.family", 19, "'family' is not an element"),
        ("Patent.name", 0, "'Patent' is not a type"),
        ("Patient.deceased as datetime", 20, "'datetime' is not a type"),
        ("Patient.deceased as SDC.date", 20, "'date' is not a type"),
        ("Patient.deceased.ofType('date')", 24, "A type is expected"),
        ("Patient.name.where()", 13, "does not take 0 arguments"),
        ("Patient.name.first(1)", 13, "does not take 1 arguments"),
        ("Patient.name.frist()", 13, "There is no function frist()"),
        ("Patient.name.where(x() = 1)", 19, "There is no function x()"),
    ],
)
def test_a_refusal_says_what_and_where(expression: str, position: int, message: str) -> None:
    with pytest.raises(FhirPathError) as caught:
        compile_path(load(), expression, "Patient")
    assert message in caught.value.message
    assert caught.value.position == position
    assert f"at character {position + 1}" in str(caught.value)


def test_an_unknown_context_is_refused() -> None:
    with pytest.raises(FhirPathError, match=r"'Person\.kin' is not a type"):
        compile_path(load(), "id", "Person.kin")


@pytest.mark.parametrize(
    ("context", "value", "expression", "expected"),
    [
        ("Observation.component", OBSERVATION["component"][1], "value.as(string)", [("string", "high")]),
        ("BackboneElement:Observation.component", OBSERVATION["component"][1], "code.coding.code", [("code", "bp")]),
        ("Observation.component.referenceRange", {"text": "x"}, "text", [("string", "x")]),
        ("Observation.component", OBSERVATION["component"][1], "%resource.status", [("code", "final")]),
        ("UsageContext", {"valueRange": {"low": {"value": 1}}}, "value.as(Quantity) | value.as(Range)", [("Range", {"low": {"value": 1}})]),
        ("HumanName", {"family": "A"}, "HumanName.family", [("string", "A")]),
        ("Quantity", {"unit": "g"}, "%resource.status", [("code", "final")]),
        ("string", "A", "$this", [("string", "A")]),
    ],
)  # fmt: skip
def test_an_expression_may_start_from_an_element(
    context: str, value: Any, expression: str, expected: list[Node]
) -> None:
    """The expressions of a composite parameter's components do."""
    assert compile_path(load(), expression, context)(value, OBSERVATION) == expected


def test_a_long_collection_is_told_apart_like_a_short_one() -> None:
    values: list[Any] = [{"value": Number(text), "unit": "g"} for text in ("1", "1.0", "2")]
    resource = {"resourceType": "Observation", "component": [{"valueQuantity": value} for value in values * 20]}
    path = compile_path(load(), "component.value | value", "Observation")
    assert path(resource) == [("Quantity", values[0]), ("Quantity", values[2])]
    mixed = {
        "resourceType": "Observation",
        "component": [{"valueBoolean": True}, {"valueInteger": 1}, {"valueBoolean": True}] * 20,
    }
    assert path(mixed) == [("boolean", True), ("integer", 1)]


def test_every_search_expression_of_r4_compiles_for_each_of_its_types() -> None:
    """The package has 1,384; three of them are examples of how to write one, and not shipped."""
    definitions, compiled = load(), set()
    for resource_type in definitions.concrete_types:
        for parameter in definitions.search_parameters(resource_type).values():
            if parameter.expression:
                assert compile_path(definitions, parameter.expression, resource_type) is not None
                compiled.add(parameter.url)
    assert len(compiled) == 1381
