"""What is stored of whole resources, and which parameters are promised.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

from typing import Any

import pytest

from fhirserver.definitions import load
from fhirserver.search.expression import In
from fhirserver.search.index.extract import Extractor
from fhirserver.search.match import match
from fhirserver.search.parameters import TYPES
from fhirserver.search.registry import registry

BASE = "https://fhir.example.org/r4"
EXTRACTOR = Extractor(load(), BASE)


def extract(resource: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    return EXTRACTOR.extract(resource["resourceType"], resource)


def test_an_observation_is_stored_by_each_of_its_parameters() -> None:
    index, sort = extract(
        {
            "resourceType": "Observation",
            "id": "o",
            "meta": {"versionId": "1", "lastUpdated": "2026-01-01T00:00:00Z", "tag": [{"system": "t", "code": "x"}]},
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
            "subject": {"reference": f"{BASE}/Patient/p1"},
            "effectiveDateTime": "1970-01-01T00:00:00Z",
        }
    )
    assert index == {
        "_tag": ["t|x", "~x"],
        "status": ["http://hl7.org/fhir/observation-status|final", "=final"],
        "code": ["http://loinc.org|718-7", "~718-7"],
        "subject": {"r": ["Patient/p1"]},
        "patient": {"r": ["Patient/p1"]},
        "date": [{"lo": 0, "hi": 999_999}],
        "_pair": ["Patient/p1|http://loinc.org|718-7", "Patient/p1|~718-7"],
    }
    assert sort == {
        "_tag": {"lo": "x", "hi": "x"},
        "status": {"lo": "final", "hi": "final"},
        "code": {"lo": "718-7", "hi": "718-7"},
        "combo-code": {"lo": "718-7", "hi": "718-7"},
        "subject": {"lo": "Patient/p1", "hi": "Patient/p1"},
        "patient": {"lo": "Patient/p1", "hi": "Patient/p1"},
        "date": {"lo": 0, "hi": 999_999},
    }


def test_nothing_is_stored_of_nothing() -> None:
    assert extract({"resourceType": "Patient", "id": "p"}) == (
        {"deceased": ["=false"]},
        {"deceased": {"lo": "false", "hi": "false"}},
    )


def test_pairs_are_of_patients_only() -> None:
    index, _ = extract(
        {
            "resourceType": "Observation",
            "code": {"coding": [{"system": "s", "code": "a"}, {"code": "b"}]},
            "subject": {"reference": "Group/g"},
            "performer": [{"reference": "Patient/p1"}],
        }
    )
    assert "_pair" not in index
    condition = {
        "resourceType": "Condition",
        "code": {"coding": [{"system": "s", "code": "a"}]},
        "subject": {"reference": "Patient/p"},
    }
    assert extract(condition)[0]["_pair"] == ["Patient/p|s|a", "Patient/p|~a"]


def test_a_type_with_a_code_but_no_patient_has_no_pairs() -> None:
    index, _ = extract({"resourceType": "Medication", "code": {"coding": [{"system": "s", "code": "a"}]}})
    assert index["code"] == ["s|a", "~a"]
    assert "_pair" not in index


CODES = [
    (
        {"resourceType": "Patient", "gender": "male"},
        "gender",
        ["http://hl7.org/fhir/administrative-gender|male", "=male"],
    ),
    (
        {"resourceType": "Patient", "address": [{"use": "home"}, {"use": "work"}]},
        "address-use",
        ["http://hl7.org/fhir/address-use|home", "=home", "http://hl7.org/fhir/address-use|work", "=work"],
    ),
    (
        {"resourceType": "DocumentReference", "content": [{"attachment": {"contentType": "text/plain"}}]},
        "contenttype",
        ["urn:ietf:bcp:13|text/plain", "=text/plain"],
    ),
    ({"resourceType": "Patient", "gender": "nonsense"}, "gender", ["|nonsense", "~nonsense"]),
]


@pytest.mark.parametrize(("resource", "code", "expected"), CODES)
def test_a_code_element_has_the_system_of_its_binding(resource: dict[str, Any], code: str, expected: list[str]) -> None:
    """search.html#token"""
    assert extract(resource)[0][code][-1].lstrip("=~") == expected[-1].lstrip("=~")
    assert extract(resource)[0][code][0] == expected[0]


def test_an_expression_that_ends_at_an_extension_means_its_value() -> None:
    url = "http://hl7.org/fhir/StructureDefinition/observation-geneticsGene"
    coded = {"url": url, "valueCodeableConcept": {"coding": [{"system": "s", "code": "BRCA1"}]}}
    assert extract({"resourceType": "Observation", "extension": [coded]})[0]["gene-identifier"] == ["s|brca1", "~brca1"]
    url = "http://hl7.org/fhir/StructureDefinition/observation-geneticsDnaVariant"
    text = {"url": url, "valueString": "C.1"}
    assert extract({"resourceType": "Observation", "extension": [text]})[0]["dna-variant"] == {
        "f": ["c 1"],
        "s": ["C.1"],
    }


@pytest.mark.parametrize("resource_type", load().resource_types)
def test_every_promised_parameter_of_every_type_can_be_read(resource_type: str) -> None:
    index, sort = EXTRACTOR.extract(resource_type, {"resourceType": resource_type})
    # What an expression computes of nothing is a truth value: `exists()` is false.
    assert all(values == ["=false"] for values in index.values())
    assert index.keys() == sort.keys()


def test_what_is_promised_is_of_the_types_built_and_has_an_expression() -> None:
    promised = registry(load(), "Observation").searchable
    assert {
        "_id",
        "_lastUpdated",
        "_tag",
        "_profile",
        "_security",
        "_source",
        "code",
        "patient",
        "date",
        "value-quantity",
        "code-value-quantity",
        "combo-code",
        "_text",
        "_content",
    } <= promised.keys()
    assert not {"_filter", "_query"} & promised.keys()
    assert {parameter.definition.type for parameter in promised.values()} <= set(TYPES)
    assert "phonetic" in registry(load(), "Patient").searchable


def test_the_patient_parameter_points_to_patients_whatever_its_definition_lists() -> None:
    assert registry(load(), "Observation").searchable["patient"].targets == ("Patient",)
    assert set(registry(load(), "Observation").searchable["subject"].targets) == {
        "Group",
        "Device",
        "Patient",
        "Location",
    }


def test_the_modifiers_that_work_are_listed() -> None:
    assert {name: sorted(type.modifiers) for name, type in TYPES.items()} == {
        "number": ["missing"],
        "token": ["above", "below", "in", "missing", "not", "not-in", "of-type", "text"],
        "string": ["contains", "exact", "missing", "text"],
        "reference": ["[type]", "above", "below", "identifier", "missing"],
        "date": ["missing"],
        "uri": ["above", "below", "missing"],
        "quantity": ["missing"],
        "composite": ["missing"],
        "special": ["missing"],
    }


def test_keys_of_the_index_are_fit_for_paths() -> None:
    """A dot or a dollar sign in a code would make another path of it."""
    for resource_type in load().resource_types:
        for code in registry(load(), resource_type).searchable:
            assert not set(code) & set(".$\0"), (resource_type, code)


def test_the_pair_answers_what_its_two_parameters_answer() -> None:
    index, _ = extract(
        {"resourceType": "Observation", "code": {"coding": [{"code": "a"}]}, "subject": {"reference": "Patient/p"}}
    )
    assert match(In("index._pair", frozenset({"Patient/p|~a"})), {"index": index})


MANY = [
    {"resourceType": "Observation", "text": {"status": "generated", "div": "<" * 200_000}},
    {"resourceType": "Observation", "note": [{"text": " ".join(f"w{number}x" for number in range(50_000))}]},
    {"resourceType": "Patient", "name": [{"family": f"Name{number}"} for number in range(2_000)]},
]


@pytest.mark.parametrize("resource", MANY, ids=["tags", "words", "names"])
def test_words_and_sounds_have_a_bound(resource: dict[str, Any]) -> None:
    index, _ = extract(resource)
    words = [index[code]["w"] for code in ("_text", "_content") if code in index]
    assert all(len(each) <= 300 for each in words)
    assert all(len(index[code]["t"]) <= 2_000 for code in ("_text", "_content") if code in index)
    assert len(index.get("phonetic", ())) <= 100


def test_what_unites_others_is_not_stored_again() -> None:
    index, sort = extract(
        {
            "resourceType": "Observation",
            "code": {"coding": [{"code": "a"}]},
            "component": [{"code": {"coding": [{"code": "b"}]}, "valueQuantity": {"value": 1}}],
        }
    )
    assert not [code for code in index if code.startswith("combo")]
    assert sort["combo-code"] == {"lo": "a", "hi": "b"}


def test_a_code_of_one_letter_is_read_as_what_it_is_each_time() -> None:
    """Python keeps one object for a text of one letter, and what was encoded is remembered by the object."""
    index, _ = extract({"resourceType": "Patient", "id": "a", "gender": "a", "address": [{"use": "a", "city": "a"}]})
    assert index["gender"] == index["address-use"] == ["|a", "~a"]
    assert index["address-city"] == {"f": ["a"], "s": ["a"]}
