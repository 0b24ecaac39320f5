"""https://hl7.org/fhir/R4/search.html#summary and https://hl7.org/fhir/R4/search.html#elements"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from fhirserver.definitions import load
from fhirserver.model.outcome import BadRequest
from fhirserver.rest.representation.subsets import asked, cut
from fhirserver.search.request import Subset
from fhirserver.validation import Validator
from tests.data.examples import example_resources

TAG = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
META = {"versionId": "1", "tag": [TAG]}
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "a",
    "meta": {"versionId": "1"},
    "language": "ru",
    "text": {"status": "generated", "div": "<div xmlns='http://www.w3.org/1999/xhtml'>a</div>"},
    "active": True,
    "name": [{"family": "X", "_family": {"id": "f"}, "extension": [{"url": "urn:e", "valueCode": "e"}]}],
    "birthDate": "2000",
    "_birthDate": {"extension": [{"url": "urn:e", "valueCode": "e"}]},
    "deceasedBoolean": False,
    "contact": [{"name": {"text": "C"}}],
    "photo": [{"contentType": "image/png", "data": "AAAA"}],
    "communication": [{"language": {"text": "ru"}}],
    "link": [{"other": {"reference": "Patient/b"}, "type": "seealso"}],
    "modifierExtension": [{"url": "urn:m", "valueCode": "m"}],
}
ALWAYS = {"resourceType", "id", "meta", "active", "deceasedBoolean", "link", "modifierExtension"}


@pytest.mark.parametrize(
    ("summary", "left"),
    [
        ("true", ALWAYS | {"name", "birthDate", "_birthDate"}),
        ("text", ALWAYS | {"text"}),
        ("data", set(PATIENT) - {"text"}),
    ],
)
def test_a_summary_is_what_the_definitions_count_to_it(summary: Any, left: set[str]) -> None:
    found = cut(load(), PATIENT, summary, frozenset())
    assert set(found) == left
    assert found["meta"] == META


def test_inside_an_element_the_summary_goes_on() -> None:
    found = cut(load(), PATIENT, "true", frozenset())
    assert found["name"] == [{"family": "X", "_family": {"id": "f"}}]
    report = {"resourceType": "DocumentReference", "id": "d", "content": [{"attachment": {"data": "AAAA", "url": "a"}}]}
    assert cut(load(), report, "true", frozenset())["content"] == [{"attachment": {"url": "a"}}]


def test_an_element_never_comes_out_empty() -> None:
    only = {"resourceType": "Patient", "id": "a", "name": [{"extension": [{"url": "urn:e"}]}]}
    assert cut(load(), only, "true", frozenset())["name"] == only["name"]


@pytest.mark.parametrize(
    ("elements", "more"),
    [
        ({"name"}, {"name"}),
        ({"birthDate", "contact"}, {"birthDate", "_birthDate", "contact"}),
        ({"id"}, set()),
        ({"text"}, {"text"}),
    ],
)
def test_elements_come_with_what_must_be_there_and_what_modifies(elements: set[str], more: set[str]) -> None:
    assert set(cut(load(), PATIENT, None, frozenset(elements))) == ALWAYS | more


@pytest.mark.parametrize("name", ["value", "value[x]", "valueQuantity"])
def test_an_element_of_several_types_has_several_names(name: str) -> None:
    observation = {
        "resourceType": "Observation",
        "id": "o",
        "status": "final",
        "code": {"text": "a"},
        "subject": {"reference": "Patient/a"},
        "valueQuantity": {"value": 1},
    }
    assert set(cut(load(), observation, None, frozenset((name,)))) == set(observation) - {"subject"} | {"meta"}


def test_the_tag_is_there_once_and_the_resource_is_not_changed() -> None:
    before = copy.deepcopy(PATIENT)
    once = cut(load(), PATIENT, "data", frozenset())
    assert cut(load(), once, "data", frozenset())["meta"] == META
    assert before == PATIENT


@pytest.mark.parametrize("summary", ["true", "text", "data"])
def test_the_summary_of_an_example_keeps_to_the_rules_of_its_type(summary: Any) -> None:
    """Nothing that must be there is missing, at any depth: no summary breaks what the whole did not."""
    validator = Validator(load())
    broken = {}
    for name, resource in list(example_resources())[::23]:
        type = resource["resourceType"]
        found = {
            issue.code for issue in validator.validate(cut(load(), resource, summary, frozenset()), resource_type=type)
        }
        known = {issue.code for issue in validator.validate(resource, resource_type=type)}
        if "required" in found - known or "structure" in found - known:
            broken[name] = found
    assert broken == {}


@pytest.mark.parametrize(
    ("query", "subset"),
    [
        ([], Subset()),
        ([("_format", "json"), ("_pretty", "true")], Subset()),
        ([("_summary", "true")], Subset("true")),
        ([("_summary", "false")], Subset()),
        ([("_summary", "")], Subset()),
        ([("_elements", "name,Patient.photo")], Subset(None, frozenset({"name"}), frozenset({("Patient", "photo")}))),
    ],
)
def test_a_read_may_ask_for_a_part(query: list[tuple[str, str]], subset: Subset) -> None:
    assert asked(load(), "Patient", query, lenient=False) == subset


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ([("_summary", "count")], "invalid"),
        ([("_summary", "all")], "invalid"),
        ([("_summary", "true"), ("_summary", "text")], "invalid"),
        ([("_summary", "true"), ("_elements", "name")], "invalid"),
        ([("_elements", "nonsense")], "not-supported"),
        ([("_elements", "name.family")], "not-supported"),
        ([("_count", "1")], "not-supported"),
        ([("name", "x")], "not-supported"),
    ],
)
def test_what_a_read_cannot_do_is_refused(query: list[tuple[str, str]], code: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        asked(load(), "Patient", query, lenient=False)
    assert refusal.value.issues[0].code == code
    if code == "not-supported":
        assert asked(load(), "Patient", query, lenient=True) == Subset()
