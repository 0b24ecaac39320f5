"""The fast reader never accepts what the exact one refuses, and the exact one refuses what PyPI's fhir.resources refuses."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fhirserver.definitions import load
from fhirserver.validation.accept import Acceptor
from fhirserver.validation.invariants import Invariants
from fhirserver.validation.rules import Rules
from fhirserver.validation.shapes import Shapes
from fhirserver.validation.walk import walk
from tests.data.examples import example_resources
from tests.unit.validation.samples import Absent, changed, names, paths, sample

SHAPES = Shapes(load())
RULES = Rules(load())
ACCEPTOR = Acceptor(SHAPES, RULES)

SAMPLES = [sample(name) for name in names()]
WRONG: list[Any] = [
    None, True, False, 0, -1, 3, 2**31, 10**30, 1.5, "", " ", "x", "a b", "a\u0000", "2020-02-30", "2020-02-29", "#m", "#", "Patient/1",
    "Patient/..", "http://example.org/Patient/1", "en", [], {}, ["x"], [None], [[]], [{}], {"x": 1}, {"id": "a"}, {"id": ""},
    {"url": "a", "valueCode": "b"}, {"reference": "Patient/1"}, {"resourceType": "Patient"}, {"resourceType": "X"}, {"text": "a"},
    {"coding": [{"code": "active"}]},
]  # fmt: skip
KEYS = [
    "id",
    "_id",
    "extension",
    "modifierExtension",
    "resourceType",
    "contained",
    "_status",
    "valueString",
    "_valueString",
    "text",
    "x",
]


@st.composite
def broken(draw: st.DrawFn) -> dict[str, Any]:
    """A valid resource with up to three changes."""
    resource: dict[str, Any] = draw(st.sampled_from(SAMPLES))
    for _ in range(draw(st.integers(1, 3))):
        found = [path for path in paths(resource) if path != ("resourceType",)]
        if not found:
            break
        path = draw(st.sampled_from(found))
        value: Any = resource
        for step in path:
            value = value[step]
        match draw(st.sampled_from(["remove", "replace", "rename", "repeat", "move", "add"])):
            case "remove":
                resource = changed(resource, path, Absent)
            case "rename" if isinstance(path[-1], str):
                name = draw(st.sampled_from([path[-1] + "x", "_" + path[-1], path[-1].lstrip("_")]))
                resource = changed(changed(resource, path, Absent), (*path[:-1], name), value)
            case "repeat":
                resource = changed(resource, path, [value] * draw(st.integers(1, 3)))
            case "move":
                resource = changed(resource, draw(st.sampled_from(found)), value)
            case "add" if isinstance(value, dict):
                resource = changed(resource, (*path, draw(st.sampled_from(KEYS))), draw(st.sampled_from(WRONG)))
            case _:
                resource = changed(resource, path, draw(st.sampled_from(WRONG)))
    return resource


@given(broken())
@settings(deadline=None)
def test_the_fast_reader_accepts_only_what_the_exact_one_does(resource: dict[str, Any]) -> None:
    advice = ACCEPTOR.advice(resource)
    if advice is not None:
        assert walk(SHAPES, resource) == []
        assert Invariants(SHAPES, RULES).issues(resource) == list(advice)


@given(broken())
@settings(deadline=None)
def test_what_fhir_resources_refuses_is_refused(resource: dict[str, Any]) -> None:
    try:
        get_fhir_model_class(resource["resourceType"]).model_validate(copy.deepcopy(resource))
    except (ValidationError, TypeError, AttributeError, LookupError, ValueError):
        assert walk(SHAPES, resource) != []


@given(broken() | st.recursive(st.sampled_from(WRONG), lambda inner: st.dictionaries(st.sampled_from(KEYS), inner)))
@settings(deadline=None)
def test_nothing_makes_a_reader_stumble(resource: Any) -> None:
    accepted, issues = ACCEPTOR.accepts(resource), walk(SHAPES, resource)
    assert not (accepted and issues)
    for issue in issues:
        assert issue.expression
        assert issue.diagnostics[-1] in ".?"


@pytest.mark.parametrize("name", ["observation", "condition", "bundle", "questionnaire", "parameters", "prescription"])
def test_common_resources_take_the_fast_way(name: str) -> None:
    assert ACCEPTOR.accepts(sample(name))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("contained",), []),
        (("contained", 0, "id"), "o"),
        (("contained", 0, "id"), Absent),
        (("contained", 0, "contained"), [{"resourceType": "Organization", "id": "o", "name": "x"}]),
        (("contained", 0, "text"), {"status": "generated", "div": "<div xmlns='http://www.w3.org/1999/xhtml'/>"}),
        (("contained", 0, "meta"), {"versionId": "1"}),
        (("contained", 0, "manufacturer", "reference"), "#n"),
        (("contained", 0, "manufacturer", "reference"), "#m"),
        (("contained", 1, "name"), Absent),
        (("medicationReference", "reference"), "#o"),
        (("medicationReference", "reference"), "Medication/m"),
        (("subject", "type"), "Group"),
        (("subject", "reference"), "http://example.org/fhir/Observation/1"),
        (("requester", "type"), "Medication"),
        (("_status",), {}),
        (("_status",), {"extension": [{"url": "a"}]}),
    ],
)
def test_the_fast_reader_sees_what_is_wrong_with_contained_resources_and_siblings(path: Any, value: Any) -> None:
    """Each is an error, which only the exact readers tell."""
    resource = changed(sample("prescription"), path, value)
    assert not ACCEPTOR.accepts(resource)
    assert walk(SHAPES, resource) + Invariants(SHAPES, RULES).issues(resource) != []


def test_siblings_and_absolute_references_take_the_fast_way() -> None:
    extension = {"extension": [{"url": "http://example.org/a", "valueCode": "b"}]}
    resource = sample("prescription") | {"_status": extension, "subject": {"reference": "http://example.org/Patient/1"}}
    assert ACCEPTOR.advice(resource) is not None
    assert not ACCEPTOR.accepts(resource | {"_status": {"id": "a", "extension": [{}]}})


PROVENANCE = {
    "resourceType": "Provenance",
    "target": [{"reference": "Observation/o.1"}],
    "recorded": "2026-01-02T10:00:00Z",
    "agent": [{"who": {"reference": "Practitioner/p1"}}],
}
STATEMENT = {
    "resourceType": "MedicationStatement",
    "status": "active",
    "medicationCodeableConcept": {"text": "a"},
    "subject": {"reference": "Patient/p1"},
}


@pytest.mark.parametrize(
    ("resource", "path", "value"),
    [
        (PROVENANCE, ("target", 0, "reference"), "Observations/o1"),
        (PROVENANCE, ("target", 0, "reference"), "Observation/.."),
        (PROVENANCE, ("target",), Absent),
        (STATEMENT, ("medicationCodeableConcept",), Absent),
        (STATEMENT, ("medicationReference",), {"reference": "Medication/m"}),
        (STATEMENT, ("extension",), [{"url": "a", "valueCode": "b", "extension": [{"url": "a", "valueCode": "b"}]}]),
        (STATEMENT, ("extension",), [{"url": "a", "valueCode": "b c d "}]),
        (STATEMENT, ("extension",), [{"url": "a"}]),
        (STATEMENT, ("extension",), [{"valueCode": "a"}]),
        (STATEMENT, ("extension",), []),
        (STATEMENT, ("note",), [{}]),
    ],
)
def test_the_fast_reader_sees_what_is_missing_and_what_is_too_much(resource: Any, path: Any, value: Any) -> None:
    assert ACCEPTOR.accepts(resource)
    assert not ACCEPTOR.accepts(changed(resource, path, value))
    assert walk(SHAPES, changed(resource, path, value)) != []


HL7_ERRORS = {
    "DeviceMetric-example.json": {"DeviceMetric.parent"},
    "DeviceUseStatement-example.json": {"DeviceUseStatement.reasonReference[0]"},
    "ImplementationGuide-fhir.json": {"ImplementationGuide.name", "ImplementationGuide.status"},
    "MedicationRequest-medrx0301.json": {"MedicationRequest.dispenseRequest.performer"},
    "Observation-clinical-gender.json": {"Observation.performer[0]"},
    "Questionnaire-qs1.json": {"Questionnaire.item[0].item[0].linkId"},
    "ig-r4.json": {"ImplementationGuide.name", "ImplementationGuide.status"},
}
"""Examples that break R4's own definitions, with some of the places; docs/examples-refused.md says why."""


def test_the_official_examples_are_valid_save_those_that_break_the_definitions() -> None:
    refused = {}
    for name, resource in example_resources():
        issues = walk(SHAPES, resource)
        assert not (ACCEPTOR.accepts(resource) and issues), name
        if issues:
            refused[name] = {str(issue.expression) for issue in issues} & HL7_ERRORS.get(name, set())
    assert refused == HL7_ERRORS
