"""References of every form. https://hl7.org/fhir/R4/references.html#literal"""

from __future__ import annotations

import pytest

from fhirserver.model.reference import Reference

BASE = "https://fhir.example.org/fhir"

FORMS = [
    ("Patient/p1", Reference("Patient", "p1"), "Patient/p1"),
    ("Patient/p1/_history/3", Reference("Patient", "p1", "3"), "Patient/p1"),
    ("Patient/p1#x", Reference("Patient", "p1", fragment="x"), "Patient/p1"),
    ("https://fhir.example.org/fhir/Patient/p1", Reference("Patient", "p1"), "Patient/p1"),
    ("http://FHIR.example.org/fhir/Patient/p1/_history/2", Reference("Patient", "p1", "2"), "Patient/p1"),
    ("https://fhir.example.org/fhirs/Patient/p1", Reference("Patient", "p1", url="https://fhir.example.org/fhirs/Patient/p1"), None),
    ("https://fhir.example.org/fhir/x/Patient/p1", Reference("Patient", "p1", url="https://fhir.example.org/fhir/x/Patient/p1"), None),
    ("https://other.org/Patient/p1#y", Reference("Patient", "p1", url="https://other.org/Patient/p1", fragment="y"), None),
    ("http://example.org/StructureDefinition/a|1", Reference(url="http://example.org/StructureDefinition/a|1"), None),
    ("urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7", Reference(url="urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7"), None),
    ("#x", Reference(fragment="x"), None),
    ("#", Reference(fragment=""), None),
    ("Patient", Reference(url="Patient"), None),
    ("Patient?identifier=1", Reference(url="Patient?identifier=1"), None),
    ("Patient/..", Reference(url="Patient/.."), None),
    ("patient/p1", Reference(url="patient/p1"), None),
    ("/Patient/p1", Reference(url="/Patient/p1"), None),
    ("Patient/p1/", Reference(url="Patient/p1/"), None),
    ("Patient/p1\n", Reference(url="Patient/p1\n"), None),
    ("Patient/" + "a" * 65, Reference(url="Patient/" + "a" * 65), None),
    ("", Reference(url=""), None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected", "local"), FORMS)
def test_a_reference_is_read_into_its_parts(text: str, expected: Reference, local: str | None) -> None:
    found = Reference.parse(text, BASE)
    assert found == expected
    assert found.local == local
    assert found.is_contained == text.startswith("#")


def test_without_a_base_every_absolute_address_is_foreign() -> None:
    assert Reference.parse(BASE + "/Patient/p1").local is None
    assert Reference.parse(BASE + "/Patient/p1", "fhir/").local is None
    assert Reference.parse(BASE + "/Patient/p1", BASE + "/").local == "Patient/p1"
