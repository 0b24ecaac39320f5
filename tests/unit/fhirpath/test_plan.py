"""Many expressions over one resource.

https://hl7.org/fhir/R4/searchparameter-definitions.html#SearchParameter.expression
"""

from __future__ import annotations

from typing import Any

import pytest

from fhirserver.definitions import load
from fhirserver.fhirpath import FhirPathError, Plan, path

EXPRESSIONS = {
    "status": "Observation.status",
    "value": "Observation.value",
    "quantity": "(Observation.value as Quantity)",
    "based": "Observation.basedOn",
    "codes": "Observation.code | Observation.component.code",
    "whole": "Observation",
    "valued": "Observation.value.exists()",
    "patient": "Patient.name",
    "contained": "Observation.contained",
}
CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"valued": [("boolean", False)]}),
    ({"status": "final"}, {"valued": [("boolean", False)], "status": [("code", "final")]}),
    (
        {"valueQuantity": {"value": 1}},
        {"valued": [("boolean", True)], "value": [("Quantity", {"value": 1})], "quantity": [("Quantity", {"value": 1})]},
    ),
    ({"valueString": "a"}, {"valued": [("boolean", True)], "value": [("string", "a")]}),
    ({"basedOn": [{"display": "b"}]}, {"valued": [("boolean", False)], "based": [("Reference", {"display": "b"})]}),
    ({"component": [{"code": {"text": "c"}}]}, {"valued": [("boolean", False)], "codes": [("CodeableConcept", {"text": "c"})]}),
    (
        {"contained": [{"resourceType": "Patient", "id": "p"}]},
        {"valued": [("boolean", False)], "contained": [("Patient", {"resourceType": "Patient", "id": "p"})]},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("elements", "expected"), CASES, ids=[",".join(elements) for elements, _ in CASES])
def test_only_expressions_with_a_result_are_in_the_answer(elements: dict[str, Any], expected: dict[str, Any]) -> None:
    resource = {"resourceType": "Observation", **elements}
    plan = Plan(load(), "Observation", EXPRESSIONS)
    assert plan(resource) == expected | {"whole": [("Observation", resource)]}


def test_an_array_of_nothing_but_extensions_has_no_result() -> None:
    plan = Plan(load(), "PlanDefinition", {"library": "PlanDefinition.library"})
    resource = {"resourceType": "PlanDefinition", "library": [None], "_library": [{"id": "a"}]}
    assert plan(resource) == {}
    assert plan({**resource, "library": [None, "http://example.org/l"]}) == {
        "library": [("canonical", "http://example.org/l")]
    }


def test_two_values_of_one_choice_are_both_selected() -> None:
    """No valid resource has them; nothing is lost if it has."""
    plan = Plan(load(), "Observation", EXPRESSIONS)
    found = plan({"resourceType": "Observation", "valueString": "a", "valueBoolean": True})
    assert sorted(found["value"]) == [("boolean", True), ("string", "a")]


SOURCES = [
    ("Observation.status", {"status"}, "status"),
    ("Observation.subject.where(resolve() is Patient)", {"subject", "contained"}, "subject"),
    ("(Observation.value as Quantity) | (Observation.value as SampledData)", {"valueQuantity", "status"}, "valueQuantity"),
    ("Observation.code | Observation.component.code", {"code"}, "code"),
    ("Observation.code | Observation.component.code", {"code", "component"}, ""),
    ("Observation.where(status = 'final').code", {"status", "code"}, ""),
    ("Observation.select(code)", {"status", "code"}, ""),
    ("Observation.code.where(%resource.status = 'final')", {"status", "code"}, ""),
    ("Observation.value.exists()", {"valueQuantity"}, ""),
    ("Observation", {"code"}, ""),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "elements", "element"), SOURCES)
def test_the_one_element_that_decides_a_result_is_known(expression: str, elements: set[str], element: str) -> None:
    shape = Plan(load(), "Observation", {"a": expression}).shape(tuple(elements))
    source = shape.sources["a"]
    assert (source.element, source.resolves) == (element, "resolve" in expression)
    assert shape.names == ("a",) == shape.only({"a"}).names
    assert shape.only(()).names == ()


def test_what_is_selected_of_the_focus_itself_is_found() -> None:
    plan = Plan(load(), "Patient", {"a": "Patient.select(name.family)", "b": "Patient.where(active).name.family"})
    assert plan({"resourceType": "Patient", "active": True, "name": [{"family": "A"}]}) == {
        "a": [("string", "A")],
        "b": [("string", "A")],
    }


def test_what_is_remembered_of_shapes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path, "SHAPES", 3)
    plan = Plan(load(), "Observation", EXPRESSIONS)
    for number in range(10):
        assert plan({"status": "final", f"x{number}": 1})["status"] == [("code", "final")]
    assert len(plan._shapes) <= 3


def test_a_shape_is_known_when_it_is_whole_and_no_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large resources are read on threads: what another one found half made, it would go on to read by."""
    plan = Plan(load(), "Observation", EXPRESSIONS)
    elements = ("resourceType", "status", "valueQuantity")
    found: list[tuple[str, ...]] = []
    add = path.Shape.add

    def interrupted(shape: path.Shape, name: str, program: Any, there: frozenset[str]) -> None:
        add(shape, name, program, there)
        if not found:
            found.append(())
            found.append(plan.shape(elements).names)

    monkeypatch.setattr(path.Shape, "add", interrupted)
    whole = plan.shape(elements).names
    assert found[1:] == [whole]


def test_an_expression_that_cannot_be_compiled_stops_the_plan() -> None:
    with pytest.raises(FhirPathError, match="'x' is not an element"):
        Plan(load(), "Observation", {"good": "status", "bad": "x"})


@pytest.mark.parametrize("depth", [4, 25])
def test_choices_after_choices_are_bounded_before_they_are_compiled(depth: int) -> None:
    """What comes after a choice is compiled for each of its types, and an extension's value has fifty."""
    expression = "Patient.extension.value" + ".extension.value" * depth + ".ofType(string)"
    with pytest.raises(FhirPathError, match="too many forms"):
        path.compile_path(load(), expression, "Patient")
