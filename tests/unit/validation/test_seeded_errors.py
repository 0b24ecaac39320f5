"""Each seeded error is found, at its place, with its code, and nothing else is. https://hl7.org/fhir/R4/validation.html"""

from __future__ import annotations

from typing import Any

import pytest

from fhirserver.definitions import load
from fhirserver.model.json import parse
from fhirserver.validation import Validator, error_for
from tests.unit.validation.samples import Absent, Path, changed, names, read, sample

VALIDATOR = Validator(load())
LONG = "a" * (1024 * 1024 + 1)
ACTIVE = {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}

# sample, path, new value, place, code
ERRORS: list[tuple[str, Path, Any, str, str]] = [
    # Unknown elements and wrong JSON types: what a 400 answers
    ("observation", ("statuss",), "final", "Observation.statuss", "structure"),
    ("observation", ("code", "resourceType"), "CodeableConcept", "Observation.code.resourceType", "structure"),
    ("observation", ("component", 1, "foo"), 1, "Observation.component[1].foo", "structure"),
    ("observation", ("valueFoo",), 1, "Observation.valueFoo", "structure"),
    ("observation", ("valueMoney",), {"value": 1}, "Observation.valueMoney", "structure"),
    ("observation", ("value",), 1, "Observation.value", "structure"),
    ("observation", ("we ird",), 1, "Observation", "structure"),
    ("observation", ("text", "_div"), {"id": "a"}, "Observation.text._div", "structure"),
    ("observation", ("_id",), {"id": "a"}, "Observation._id", "structure"),
    ("observation", ("_subject",), {"id": "a"}, "Observation._subject", "structure"),
    ("observation", ("status",), ["final"], "Observation.status", "structure"),
    ("observation", ("status",), None, "Observation.status", "structure"),
    ("observation", ("status",), {"value": "final"}, "Observation.status", "structure"),
    ("observation", ("code",), "718-7", "Observation.code", "structure"),
    ("observation", ("code",), None, "Observation.code", "structure"),
    ("observation", ("code",), [{"text": "a"}], "Observation.code", "structure"),
    ("observation", ("component",), {"code": {"text": "a"}}, "Observation.component", "structure"),
    ("observation", ("component",), "a", "Observation.component", "structure"),
    ("observation", ("component", 0), None, "Observation.component[0]", "structure"),
    ("observation", ("component", 0), "a", "Observation.component[0]", "structure"),
    ("observation", ("component", 0, "valueInteger"), "3", "Observation.component[0].valueInteger", "structure"),
    ("observation", ("component", 0, "valueInteger"), True, "Observation.component[0].valueInteger", "structure"),
    ("observation", ("valueQuantity", "value"), "134.5", "Observation.valueQuantity.value", "structure"),
    ("observation", ("valueQuantity", "value"), True, "Observation.valueQuantity.value", "structure"),
    ("observation", ("valueQuantity", "value"), 10**30, "Observation.valueQuantity.value", "structure"),
    ("observation", ("valueQuantity", "unit"), 5, "Observation.valueQuantity.unit", "structure"),
    ("observation", ("resourceType",), "Observationn", "resourceType", "structure"),
    ("observation", ("resourceType",), "DomainResource", "resourceType", "structure"),
    ("observation", ("resourceType",), Absent, "resourceType", "structure"),
    ("observation", ("resourceType",), 1, "resourceType", "structure"),
    ("patient", ("active",), "true", "Patient.active", "structure"),
    ("patient", ("active",), 1, "Patient.active", "structure"),
    ("patient", ("name", 0, "given"), "Anna", "Patient.name[0].given", "structure"),
    ("patient", ("name", 0, "given", 0), 1, "Patient.name[0].given[0]", "structure"),
    ("patient", ("name", 0, "_given", 1), "x", "Patient.name[0].given[1]", "structure"),
    ("patient", ("name", 0, "_given"), {"id": "a"}, "Patient.name[0].given", "structure"),
    ("patient", ("_birthDate",), None, "Patient.birthDate", "structure"),
    ("patient", ("_birthDate", "value"), "1980", "Patient.birthDate.value", "structure"),
    ("patient", ("_birthDate", "extension", 0, "valueFoo"), 1, "Patient.birthDate.extension[0].valueFoo", "structure"),
    ("patient", ("extension", 0, "_url"), {"id": "a"}, "Patient.extension[0]._url", "structure"),
    ("patient", ("extension", 0, "modifierExtension"), [{"url": "a", "valueCode": "b"}],
     "Patient.extension[0].modifierExtension", "structure"),
    ("bundle", ("entry", 0, "resource"), "a", "Bundle.entry[0].resource", "structure"),
    ("bundle", ("entry", 0, "resource", "resourceType"), Absent, "Bundle.entry[0].resource.resourceType", "structure"),
    ("bundle", ("entry", 1, "resource", "valuee"), "a", "Bundle.entry[1].resource.valuee", "structure"),
    ("bundle", ("contained",), [{"resourceType": "Patient", "id": "a"}], "Bundle.contained", "structure"),
    ("prescription", ("contained", 0, "resourceType"), "Drug", "MedicationRequest.contained[0].resourceType", "structure"),
    # Cardinality
    ("observation", ("status",), Absent, "Observation.status", "required"),
    ("observation", ("code",), Absent, "Observation.code", "required"),
    ("observation", ("component", 1, "code"), Absent, "Observation.component[1].code", "required"),
    ("observation", ("note", 0, "text"), Absent, "Observation.note[0].text", "required"),
    ("observation", ("text", "div"), Absent, "Observation.text.div", "required"),
    ("prescription", ("medicationReference",), Absent, "MedicationRequest.medication", "required"),
    ("questionnaire", ("item", 0, "item", 0, "linkId"), Absent, "Questionnaire.item[0].item[0].linkId", "required"),
    ("parameters", ("parameter", 2, "part", 0, "name"), Absent, "Parameters.parameter[2].part[0].name", "required"),
    ("patient", ("extension", 0, "extension", 0, "url"), Absent, "Patient.extension[0].extension[0].url", "required"),
    ("prescription", ("contained", 2), {"resourceType": "Patient"}, "MedicationRequest.contained[2].id", "required"),
    ("observation", ("valueString",), "a", "Observation.value", "value"),
    ("observation", ("effectivePeriod",), {"start": "2026"}, "Observation.effective", "value"),
    ("observation", ("component", 0, "valueString"), "a", "Observation.component[0].value", "value"),
    ("patient", ("multipleBirthBoolean",), True, "Patient.multipleBirth", "value"),
    ("patient", ("_multipleBirthBoolean",), {"id": "a"}, "Patient.multipleBirth", "value"),
    ("prescription", ("dispenseRequest", "quantity", "comparator"), "<",
     "MedicationRequest.dispenseRequest.quantity.comparator", "value"),
    # Empty objects, arrays and strings
    ("observation", ("component",), [], "Observation.component", "value"),
    ("observation", ("component", 0), {}, "Observation.component[0]", "value"),
    ("observation", ("subject",), {}, "Observation.subject", "value"),
    ("observation", ("subject", "display"), "", "Observation.subject.display", "value"),
    ("patient", ("name", 0, "suffix"), [], "Patient.name[0].suffix", "value"),
    ("patient", ("name", 0, "_suffix"), [], "Patient.name[0].suffix", "value"),
    ("patient", ("name", 0, "given"), Absent, "Patient.name[0].given[0]", "value"),
    ("patient", ("name", 0, "given", 0), None, "Patient.name[0].given[0]", "value"),
    ("patient", ("name", 0, "_given", 1), None, "", ""),
    ("patient", ("name", 0, "_given", 2), None, "Patient.name[0].given[2]", "value"),
    ("patient", ("_birthDate",), {}, "Patient.birthDate", "value"),
    # Formats
    ("observation", ("effectiveDateTime",), "2026-02-30", "Observation.effectiveDateTime", "value"),
    ("observation", ("effectiveDateTime",), "2026-02-03T10:00:00", "Observation.effectiveDateTime", "value"),
    ("observation", ("issued",), "2026-01-02", "Observation.issued", "value"),
    ("observation", ("note", 0, "time"), "2026-1", "Observation.note[0].time", "value"),
    ("observation", ("component", 1, "valueTime"), "10:20", "Observation.component[1].valueTime", "value"),
    ("observation", ("component", 0, "valueInteger"), 2**31, "Observation.component[0].valueInteger", "value"),
    ("observation", ("component", 0, "valueInteger"), parse(b"3.0"), "Observation.component[0].valueInteger", "value"),
    ("observation", ("id",), "a_b", "Observation.id", "value"),
    ("observation", ("code", "id"), "a b", "Observation.code.id", "value"),
    ("observation", ("code", "text"), "a\u0000b", "Observation.code.text", "value"),
    ("observation", ("code", "text"), " \n", "Observation.code.text", "value"),
    ("observation", ("code", "text"), LONG, "Observation.code.text", "too-long"),
    ("observation", ("code", "coding", 0, "system"), "http://a b", "Observation.code.coding[0].system", "value"),
    ("observation", ("code", "coding", 0, "code"), " a", "Observation.code.coding[0].code", "value"),
    ("observation", ("text", "div"), "<div>a</div>", "Observation.text.div", "value"),
    ("observation", ("text", "div"), '<div xmlns="http://www.w3.org/1999/xhtml"><p></div>', "Observation.text.div", "value"),
    ("patient", ("birthDate",), "1900-02-29", "Patient.birthDate", "value"),
    ("patient", ("photo", 0, "data"), "iVBORw0KGgo", "Patient.photo[0].data", "value"),
    ("patient", ("photo", 0, "size"), -1, "Patient.photo[0].size", "value"),
    ("prescription", ("dosageInstruction", 0, "timing", "repeat", "frequency"), 0,
     "MedicationRequest.dosageInstruction[0].timing.repeat.frequency", "value"),
    ("parameters", ("parameter", 0, "valueUuid"), "urn:uuid:C757873D-EC9A-4326-A141-556F43239520",
     "Parameters.parameter[0].valueUuid", "value"),
    ("parameters", ("parameter", 2, "part", 0, "valueOid"), "1.2.3", "Parameters.parameter[2].part[0].valueOid", "value"),
    ("parameters", ("parameter", 1, "resource", "data"), "a", "Parameters.parameter[1].resource.data", "value"),
    # Bindings
    ("observation", ("status",), "finished", "Observation.status", "code-invalid"),
    ("observation", ("text", "status"), "none", "Observation.text.status", "code-invalid"),
    ("patient", ("gender",), "Female", "Patient.gender", "code-invalid"),
    ("patient", ("photo", 0, "contentType"), "png", "Patient.photo[0].contentType", "code-invalid"),
    ("patient", ("communication", 0, "language", "coding", 0, "code"), "r", "Patient.communication[0].language", "code-invalid"),
    ("questionnaire", ("subjectType", 0), "Patients", "Questionnaire.subjectType[0]", "code-invalid"),
    ("condition", ("clinicalStatus", "coding", 0, "code"), "ill", "Condition.clinicalStatus", "code-invalid"),
    ("condition", ("clinicalStatus", "coding", 0, "system"), Absent, "Condition.clinicalStatus", "code-invalid"),
    ("condition", ("clinicalStatus", "coding", 0), "active", "Condition.clinicalStatus.coding[0]", "structure"),
    ("condition", ("clinicalStatus",), {"text": "active"}, "Condition.clinicalStatus", "code-invalid"),
    ("condition", ("clinicalStatus", "coding", 1), {"system": "http://example.org", "code": "a"}, "", ""),
    ("bundle", ("entry", 0, "resource", "gender"), "m", "Bundle.entry[0].resource.gender", "code-invalid"),
    # References
    ("observation", ("subject", "reference"), "Organization/a", "Observation.subject", "value"),
    ("observation", ("subject", "reference"), "http://other.org/fhir/Organization/a", "Observation.subject", "value"),
    ("observation", ("subject", "reference"), "Patients/a", "Observation.subject", "value"),
    ("observation", ("subject", "reference"), "Organization?name=a", "Observation.subject", "value"),
    ("observation", ("subject", "reference"), "Patient/..", "Observation.subject", "value"),
    ("observation", ("subject", "reference"), "/Patient/p1", "Observation.subject", "value"),
    ("observation", ("subject", "reference"), "Patient", "Observation.subject", "value"),
    ("observation", ("subject", "type"), "Organization", "Observation.subject", "value"),
    ("observation", ("subject", "reference"), "#a", "Observation.subject", "not-found"),
    ("prescription", ("subject",), {"reference": "#o"}, "MedicationRequest.subject", "value"),
    ("prescription", ("requester", "type"), "Medication", "MedicationRequest.requester", "value"),
    ("prescription", ("contained", 0, "manufacturer", "reference"), "#m",
     "MedicationRequest.contained[0].manufacturer", "value"),
    ("prescription", ("contained", 0, "manufacturer", "reference"), "#",
     "MedicationRequest.contained[0].manufacturer", "value"),
    ("prescription", ("contained", 0, "manufacturer", "reference"), "#x",
     "MedicationRequest.contained[0].manufacturer", "not-found"),
    ("patient", ("link", 0, "other"), {"type": "Device", "identifier": {"value": "a"}}, "Patient.link[0].other", "value"),
    # Contained resources and extensions
    ("prescription", ("contained", 1, "contained"), [{"resourceType": "Patient", "id": "a"}],
     "MedicationRequest.contained[1].contained", "value"),
    ("prescription", ("contained", 2), {"resourceType": "Patient", "id": "m"}, "MedicationRequest.contained[2].id", "duplicate"),
    ("patient", ("extension", 0, "valueCode"), "a", "Patient.extension[0]", "extension"),
    ("patient", ("extension", 0, "extension", 0, "valueCode"), Absent, "Patient.extension[0].extension[0]", "extension"),
    ("patient", ("extension", 0, "extension", 0, "valueString"), "a", "Patient.extension[0].extension[0].value", "value"),
]  # fmt: skip

# sample, path, new value: unusual, and right
RIGHT: list[tuple[str, Path, Any]] = [
    ("observation", ("subject", "reference"), "https://other.org/fhir/Patient/1/_history/2"),
    ("observation", ("subject", "reference"), "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"),
    ("observation", ("subject", "reference"), "https://other.org/records/1"),
    ("observation", ("subject", "reference"), "Patient?identifier=1"),
    ("observation", ("subject", "reference"), "Patient/1.2.3"),
    ("observation", ("subject", "type"), "http://hl7.org/fhir/StructureDefinition/Patient"),
    ("observation", ("subject",), {"identifier": {"value": "1"}}),
    ("observation", ("subject",), {"extension": [{"url": "http://example.org/a", "valueBoolean": True}]}),
    ("observation", ("effectiveDateTime",), "2026"),
    ("observation", ("effectiveDateTime",), "2016-12-31T23:59:60-14:00"),
    ("observation", ("valueQuantity", "value"), 10**30 - 1),
    ("observation", ("valueQuantity", "value"), parse(b"1E-22")),
    ("observation", ("valueQuantity", "comparator"), "<"),
    ("observation", ("component", 0, "valueInteger"), parse(b"-0")),
    ("observation", ("code", "text"), "\u00a0 line\r\n\ttab \U0001f600 \u007f"),
    ("observation", ("code", "text"), "a" * 1024 * 1024),
    ("observation", ("code", "coding", 0, "code"), "a b c"),
    ("patient", ("photo", 0, "data"), "iVBO\r\n Rw0KGgo=\t"),
    ("patient", ("photo", 0, "data"), "YWJj" * 1024 * 400),
    ("patient", ("_active",), {"extension": [{"url": "http://example.org/a", "valueBoolean": True}]}),
    ("patient", ("active",), Absent),
    ("patient", ("birthDate",), Absent),
    ("patient", ("name", 0, "given"), ["Anna", None]),
    ("patient", ("name", 0, "given"), ["Anna", "Maria", "Eva"]),
    ("patient", ("communication", 0, "language"), {"text": "Udmurt"}),
    ("patient", ("extension", 0, "id"), "e1"),
    ("condition", ("clinicalStatus",), {"extension": [{"url": "http://example.org/absent", "valueCode": "unknown"}]}),
    ("condition", ("clinicalStatus", "coding"), [{"display": "ill"}, ACTIVE]),
    ("prescription", ("contained", 0, "manufacturer"), {"reference": "#o", "type": "Organization"}),
    ("bundle", ("entry", 0, "link"), [{"relation": "self", "url": "http://example.org"}]),
    ("bundle", ("entry", 0, "resource"), {"resourceType": "Bundle", "type": "searchset"}),
]  # fmt: skip


@pytest.mark.parametrize("name", names())
def test_the_samples_are_valid(name: str) -> None:
    assert error_for(VALIDATOR.validate(sample(name))) is None


@pytest.mark.parametrize(
    ("name", "path", "value", "place", "code"), ERRORS, ids=[f"{row[3]}-{i}" for i, row in enumerate(ERRORS)]
)
def test_a_seeded_error_is_found_at_its_place(name: str, path: Path, value: Any, place: str, code: str) -> None:
    issues = read(VALIDATOR.validate(changed(sample(name), path, value)))
    expected = [("error", code, place)] if code else []
    assert [(issue.severity, issue.code, issue.expression) for issue in issues] == expected
    assert all(issue.diagnostics[-1] in ".?" and len(issue.diagnostics) < 400 for issue in issues)


@pytest.mark.parametrize(("name", "path", "value"), RIGHT)
def test_what_is_unusual_and_right_is_accepted(name: str, path: Path, value: Any) -> None:
    assert read(VALIDATOR.validate(changed(sample(name), path, value))) == []
