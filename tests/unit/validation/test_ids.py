"""Ids of elements are unique within their resource.

https://hl7.org/fhir/R4/element.html
"""

from __future__ import annotations

from typing import Any

import pytest

from fhirserver.validation.ids import repeated
from tests.data.examples import example_resources

CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "none": ({"name": [{"family": "a"}]}, []),
    "each its own": ({"name": [{"id": "a"}, {"id": "b"}]}, []),
    "twice": ({"name": [{"id": "a"}, {"id": "a"}]}, ["Patient.name[1].id"]),
    "three times": ({"name": [{"id": "a"}] * 3}, ["Patient.name[1].id", "Patient.name[2].id"]),
    "the id of the resource is no element's": ({"id": "a", "name": [{"id": "a"}]}, []),
    "of primitives": ({"_gender": {"id": "a"}, "_birthDate": {"id": "a"}}, ["Patient.birthDate.id"]),
    "of primitives in arrays": (
        {"name": [{"given": ["x", "y"], "_given": [None, {"id": "a"}], "id": "a"}]},
        ["Patient.name[0].given[1].id"],
    ),
    "deep": ({"contact": [{"id": "a", "name": {"id": "a"}}]}, ["Patient.contact[0].name.id"]),
    "of a contained resource": ({"name": [{"id": "a"}], "contained": [{"id": "a", "name": [{"id": "a"}]}]}, []),
    "twice in a contained resource": (
        {"contained": [{"id": "x", "name": [{"id": "a"}, {"id": "a"}]}]},
        ["Patient.contained[0].name[1].id"],
    ),
    "of the two forms of a definition": (
        {"snapshot": {"element": [{"id": "a"}]}, "differential": {"element": [{"id": "a"}, {"id": "a"}]}},
        ["Patient.differential.element[1].id"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_an_id_that_was_given_before_is_advised_of(case: str) -> None:
    elements, places = CASES[case]
    found = repeated({"resourceType": "Patient", **elements})
    assert [issue.expression for issue in found] == places
    assert {(issue.severity, issue.code) for issue in found} <= {("warning", "duplicate")}


def test_hl7s_own_examples_give_none_twice() -> None:
    found = {name: issues for name, resource in example_resources() if (issues := repeated(resource))}
    assert found == {}
