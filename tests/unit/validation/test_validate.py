"""The one door of the room: all issues at once, with sentences, and the refusal that they make."""

from __future__ import annotations

from typing import Any

import pytest

from fhirserver.definitions import load
from fhirserver.model.outcome import BadRequest, Issue, Unprocessable
from fhirserver.validation import Validator, error_for
from fhirserver.validation.walk import ISSUE_LIMIT
from tests.unit.validation.samples import Absent, changed, read, sample

VALIDATOR = Validator(load())


def test_all_issues_are_reported_at_once_in_the_order_of_the_text() -> None:
    resource = sample("observation")
    resource["status"] = "finished"
    resource["issued"] = "yesterday"
    resource["component"][0] = {}
    del resource["code"]
    resource["foo"] = 1
    assert [(issue.code, issue.expression) for issue in read(VALIDATOR.validate(resource))] == [
        ("code-invalid", "Observation.status"),
        ("value", "Observation.issued"),
        ("value", "Observation.component[0]"),
        ("structure", "Observation.foo"),
        ("required", "Observation.code"),
    ]


SENTENCES = [
    (("statuss",), "final", '"statuss" is not an element of Observation. Did you mean "status"?'),
    (("component", 0, "valueMoney"), {"value": 1}, '"valueMoney" is not a form that "value" has in Observation.component.'
     " Its type must be one of: CodeableConcept, Period, Quantity, Range, Ratio, SampledData, boolean, dateTime, integer,"
     " string, time."),
    (("code",), Absent, '"code" is missing; an Observation must have it.'),
    (("issued",), 1, '"issued" must be a JSON string, not a number.'),
    (("component",), {}, '"component" repeats; it must be an array, not an object.'),
    (("status",), ["final"], '"status" does not repeat; it must not be an array.'),
    (("component", 0), "a", '"component[0]" must be an object, not a string.'),
    (("text", "status"), "none", '"status" has the code "none", which is not in the value set'
     " http://hl7.org/fhir/ValueSet/narrative-status: additional, empty, extensions, generated."),
    (("subject", "reference"), "Organization/a", '"subject" refers to a resource of type Organization; allowed here:'
     " Device, Group, Location, Patient."),
    (("x" * 500,), 1, f'"{"x" * 64}..." is not an element of Observation.'),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "sentence"), SENTENCES)
def test_the_sentence_says_what_to_do(path: Any, value: Any, sentence: str) -> None:
    (issue,) = read(VALIDATOR.validate(changed(sample("observation"), path, value)))
    assert issue.diagnostics == sentence


@pytest.mark.parametrize("resource", [None, [], "Patient", 1, True, [{"resourceType": "Patient"}]])
def test_a_resource_is_an_object(resource: Any) -> None:
    (issue,) = VALIDATOR.validate(resource)
    assert (issue.code, issue.expression) == ("structure", "$this")


def test_the_type_can_be_demanded() -> None:
    assert read(VALIDATOR.validate(sample("patient"), resource_type="Patient")) == []
    (issue,) = VALIDATOR.validate(sample("patient"), resource_type="Observation")
    assert (issue.code, issue.expression) == ("structure", "resourceType")
    assert "Observation" in issue.diagnostics
    valid = {"resourceType": "Patient", "active": True}
    VALIDATOR.check(valid, "Patient")
    with pytest.raises(BadRequest):
        VALIDATOR.check(valid, "Observation")
    with pytest.raises(BadRequest):
        VALIDATOR.check([], "Patient")


def test_issues_are_bounded_and_the_bound_is_said() -> None:
    resource = {"resourceType": "Patient", **{f"x{index}": 1 for index in range(2 * ISSUE_LIMIT)}}
    issues = read(VALIDATOR.validate(resource))
    assert len(issues) == ISSUE_LIMIT + 1
    assert (issues[-1].severity, issues[-1].code) == ("information", "too-costly")
    exactly = {"resourceType": "Patient", **{f"x{index}": 1 for index in range(ISSUE_LIMIT)}}
    assert len(VALIDATOR.validate(exactly)) == ISSUE_LIMIT


def test_broken_structure_is_400_all_else_422() -> None:
    structure, value = Issue("error", "structure", "a", "A"), Issue("error", "value", "b", "B")
    assert error_for([]) is None
    assert error_for([Issue("warning", "structure", "a"), Issue("information", "value", "a")]) is None
    broken, wrong = error_for([value, structure]), error_for([value, Issue("warning", "structure", "a")])
    assert isinstance(broken, BadRequest)
    assert broken.issues == (value, structure)
    assert isinstance(wrong, Unprocessable)
    assert len(wrong.issues) == 2
