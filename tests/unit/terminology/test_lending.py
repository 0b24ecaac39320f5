"""`memberOf`, `subsumes` and `subsumedBy` by R4's own terminology."""

from __future__ import annotations

from typing import Any

import pytest

from fhirserver.definitions import load
from fhirserver.fhirpath import Engine
from fhirserver.terminology.lending import host

GENDERS = "http://hl7.org/fhir/ValueSet/administrative-gender"
GENDER = "http://hl7.org/fhir/administrative-gender"
PURPOSES = "http://terminology.hl7.org/ValueSet/v3-PurposeOfUse"
REASONS = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": REASONS, "code": "ETREAT"}, {"system": "urn:x", "code": "1"}]},
    "category": [
        {"coding": [{"system": REASONS, "code": "TREAT"}]},
        {"coding": [{"system": "urn:x", "code": "1"}]},
        {"coding": [{"code": "TREAT"}]},
        {"coding": [{"system": "http://snomed.info/sct", "code": "404684003"}]},
    ],
    "valueQuantity": {"value": 1, "system": "http://unitsofmeasure.org", "code": "mg"},
}
CASES = [
    (f"code.memberOf('{PURPOSES}')", [True]),
    (f"code.coding[0].memberOf('{PURPOSES}')", [True]),
    (f"code.coding[1].memberOf('{PURPOSES}')", [False]),
    (f"category[2].memberOf('{PURPOSES}')", [False]),
    (f"code.memberOf('{GENDERS}')", [False]),
    ("status.memberOf('http://hl7.org/fhir/ValueSet/observation-status')", [True]),
    (f"status.memberOf('{GENDERS}')", [False]),
    ("'mg/dL'.memberOf('http://hl7.org/fhir/ValueSet/ucum-units')", [True]),
    ("code.memberOf('urn:absent')", []),
    ("category[3].memberOf('http://hl7.org/fhir/ValueSet/condition-code')", []),
    ("code.memberOf('http://hl7.org/fhir/ValueSet/condition-code')", [False]),
    ("category[0].subsumes(%resource.code)", [True]),
    ("code.subsumedBy(%resource.category[0])", [True]),
    ("code.subsumes(%resource.category[0])", [False]),
    ("category[1].subsumes(%resource.code)", []),
    ("category[2].subsumes(%resource.code)", []),
]


@pytest.mark.parametrize(("expression", "expected"), CASES)
def test_expressions_ask_r4s_own_terminology(expression: str, expected: list[bool]) -> None:
    """https://hl7.org/fhir/R4/fhirpath.html#functions"""
    found = Engine(load(), host()).evaluate(expression, OBSERVATION)
    assert [value for _, value in found] == expected
