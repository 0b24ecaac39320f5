"""https://hl7.org/fhir/R4/searchparameter.html: parameters that R4 does not have."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from fhirserver.definitions import load
from fhirserver.model.outcome import Unprocessable
from fhirserver.search.custom import BASES, EXPRESSION_LENGTH, custom
from fhirserver.search.index.extract import Extractor
from fhirserver.search.parameters import TYPES, token
from fhirserver.search.parameters.term import Circumstances
from fhirserver.search.registry import registry, resource_types

CORE = load()
HAIR: dict[str, Any] = {
    "resourceType": "SearchParameter",
    "id": "hair",
    "url": "http://example.org/SearchParameter/hair",
    "name": "Hair",
    "status": "active",
    "code": "hair",
    "base": ["Patient"],
    "type": "token",
    "expression": "Patient.extension('http://example.org/hair').value",
}
_CODE_VALUE = [
    {"definition": "http://hl7.org/fhir/SearchParameter/clinical-code", "expression": "code"},
    {"definition": "http://hl7.org/fhir/SearchParameter/Observation-value-string", "expression": "value.as(string)"},
]
_PAIRS = {"base": ["Observation"], "type": "composite", "expression": "Observation", "component": _CODE_VALUE}

REFUSED = [
    ("a code of R4's", {"code": "birthdate"}, "code", "duplicate"),
    ("a code of R4's in one of its bases", {"base": ["Patient", "Basic"], "code": "author"}, "code", "duplicate"),
    ("a code that begins like a result parameter", {"code": "_hair"}, "code", "invalid"),
    ("a code with capitals", {"code": "Hair"}, "code", "invalid"),
    ("a code that is a path", {"code": "hair.colour"}, "code", "invalid"),
    ("a code with an operator", {"code": "$where"}, "code", "invalid"),
    ("a code with a modifier", {"code": "hair:exact"}, "code", "invalid"),
    ("a code that is too long", {"code": "h" * 65}, "code", "invalid"),
    ("a code that says who owns", {"base": ["Slot"], "code": "patient"}, "code", "business-rule"),
    ("the other code that says who owns", {"base": ["Slot"], "code": "subject"}, "code", "business-rule"),
    ("a code that is stored in pairs", {"base": ["Slot"], "code": "code"}, "code", "business-rule"),
    ("a code that makes hierarchies", {"code": "partof"}, "code", "business-rule"),
    ("a type that is of one place", {"type": "special"}, "type", "not-supported"),
    ("an abstract base", {"base": ["Resource"]}, "base", "invalid"),
    ("another abstract base", {"base": ["DomainResource"]}, "base", "invalid"),
    ("a base without an end point", {"base": ["Parameters"]}, "base", "invalid"),
    ("a base that is a data type", {"base": ["HumanName"]}, "base", "invalid"),
    ("a base twice", {"base": ["Patient", "Patient"]}, "base", "too-costly"),
    ("too many bases", {"base": list(CORE.resource_types[: BASES + 1])}, "base", "too-costly"),
    ("no expression", {"expression": None}, "expression", "required"),
    ("no syntax", {"expression": "Patient.name.where("}, "expression", "not-supported"),
    ("no such element", {"expression": "Patient.hair"}, "expression", "invalid"),
    ("no such type of a choice", {"expression": "Patient.extension.valueHair"}, "expression", "invalid"),
    ("nothing of a base", {"base": ["Patient", "Basic"], "expression": "Patient.name"}, "expression", "invalid"),
    ("too long", {"expression": "Patient" + ".name" * EXPRESSION_LENGTH}, "expression", "not-supported"),
    ("the clock", {"expression": "Patient.birthDate < today()"}, "expression", "not-supported"),
    ("the clock again", {"expression": "now()"}, "expression", "not-supported"),
    ("another resource", {"expression": "Patient.generalPractitioner.resolve().name"}, "expression", "invalid"),
    ("terminology", {"expression": "Patient.maritalStatus.memberOf('urn:x')"}, "expression", "not-supported"),
    ("other rooms", {"expression": "Patient.conformsTo('urn:x')"}, "expression", "not-supported"),
    ("what multiplies", {"expression": "Patient.descendants().descendants()"}, "expression", "not-supported"),
    ("what repeats", {"expression": "Patient.repeat(name)"}, "expression", "not-supported"),
    ("what doubles", {"expression": "Patient.name.combine(name)"}, "expression", "not-supported"),
    ("the whole again", {"expression": "Patient.name.where(%resource.active)"}, "expression", "not-supported"),
    ("a variable", {"expression": "Patient.name.where(use = %use)"}, "expression", "not-supported"),
    ("a trace", {"expression": "Patient.name.trace('x')"}, "expression", "not-supported"),
    ("a composite of one", _PAIRS | {"component": _CODE_VALUE[:1]}, "component", "invalid"),
    (
        "a component that nobody has",
        _PAIRS | {"component": [_CODE_VALUE[0], {"definition": "urn:x", "expression": "value"}]},
        "component[1].definition",
        "not-supported",
    ),
    (
        "a component that cannot be read",
        _PAIRS | {"component": [_CODE_VALUE[0], _CODE_VALUE[1] | {"expression": "colour"}]},
        "component[1].expression",
        "invalid",
    ),
    (
        "a component that asks too much",
        _PAIRS | {"component": [_CODE_VALUE[0], _CODE_VALUE[1] | {"expression": "descendants()"}]},
        "component[1].expression",
        "not-supported",
    ),
    (
        "a composite of anything",
        _PAIRS | {"expression": "Observation.component.where(code.exists())"},
        "expression",
        None,
    ),
]


def resource(changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (HAIR | changes).items() if value is not None}


@pytest.mark.parametrize(("changes", "place", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_cannot_be_searched_by_is_refused_with_its_place(
    changes: dict[str, Any], place: str, code: str | None
) -> None:
    with pytest.raises(Unprocessable) as refused:
        custom(CORE, resource(changes))
    assert f"SearchParameter.{place}" in {issue.expression for issue in refused.value.issues}
    assert code is None or code in {issue.code for issue in refused.value.issues}
    assert all(issue.diagnostics.endswith(".") or ")" in issue.diagnostics for issue in refused.value.issues)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "draft"},
        {"status": "retired", "expression": "nonsense("},
        {"url": "http://hl7.org/fhir/SearchParameter/individual-given"},
        {"code": "given", "derivedFrom": "http://hl7.org/fhir/SearchParameter/individual-given"},
    ],
)
def test_what_is_not_in_force_or_says_what_r4_does_adds_nothing(changes: dict[str, Any]) -> None:
    assert custom(CORE, resource(changes)) is None


def extracted(resource_type: str, changes: dict[str, Any], content: dict[str, Any]) -> tuple[Any, Any]:
    found = custom(CORE, resource({"base": [resource_type], **changes}))
    assert found is not None
    extended = CORE.extended({base: {found.code: each} for base, each in found.parameters.items()})
    plain = Extractor(CORE, "http://here/fhir")
    before, _ = plain.extract(resource_type, {"resourceType": resource_type, "id": "a", **content})
    index, sort = plain.extended(extended).extract(resource_type, {"resourceType": resource_type, "id": "a", **content})
    assert {name: value for name, value in index.items() if not name.startswith("hair")} == before
    return index.get("hair"), sort.get("hair")


_EYES = {"extension": [{"url": "http://example.org/hair", "valueCoding": {"system": "urn:c", "code": "red"}}]}


@pytest.mark.parametrize(
    ("resource_type", "changes", "content", "expected"),
    [
        ("Patient", {}, _EYES, ["urn:c|red", "~red"]),
        ("Patient", {"expression": "Patient.extension('http://example.org/hair')"}, _EYES, ["urn:c|red", "~red"]),
        ("Patient", {"expression": "Patient.extension.where(url = 'http://example.org/hair').valueCoding"}, _EYES, ["urn:c|red", "~red"]),
        ("Patient", {"expression": "Patient.extension.where(url = 'urn:x.valueCoding').valueCoding"}, _EYES, None),
        ("Patient", {"expression": "Patient.extension('http://example.org/hair').valueString"}, _EYES, None),
        ("Patient", {}, {}, None),
        ("Patient", {"expression": "Patient.name.single().family"}, {"name": [{"family": "a"}, {"family": "b"}]}, None),
        ("Patient", {"type": "quantity", "expression": "Patient.name.family"}, {"name": [{"family": "a"}]}, None),
        ("Basic", {"type": "reference", "expression": "Basic.author.where(resolve() is Patient)"}, {"author": {"reference": "Patient/p"}}, {"r": ["Patient/p"]}),
    ],
)  # fmt: skip
def test_its_values_are_those_that_the_expression_selects(
    resource_type: str, changes: dict[str, Any], content: dict[str, Any], expected: Any
) -> None:
    found, _ = extracted(resource_type, changes, content)
    if isinstance(expected, dict):
        assert {key: found[key] for key in expected} == expected
    else:
        assert found == expected


def test_a_composite_keeps_its_pairs_together() -> None:
    components = [
        {"definition": "http://hl7.org/fhir/SearchParameter/Observation-component-code", "expression": "code"},
        {"definition": "http://hl7.org/fhir/SearchParameter/clinical-code", "expression": "code.where(text = 'x')"},
    ]
    changes = {"type": "composite", "expression": "Observation.component", "component": components}
    two = {"component": [{"code": {"text": "x", "coding": [{"code": "1"}]}}, {"code": {"coding": [{"code": "2"}]}}]}
    found, _ = extracted("Observation", changes, two)
    assert len(found) == 1


def test_what_an_expression_may_do_is_bounded_and_past_it_there_are_no_values() -> None:
    many = {"name": [{"family": f"f{n}"} for n in range(30_000)]}
    found, _ = extracted("Patient", {"type": "string", "expression": "Patient.name.family.lower()"}, many)
    assert found is None
    found, _ = extracted(
        "Patient", {"type": "string", "expression": "Patient.name.family.lower()"}, {"name": [{"family": "Б"}]}
    )
    assert found is not None


def test_r4s_parameters_are_what_they_were() -> None:
    found = custom(CORE, HAIR)
    assert found is not None
    extended = CORE.extended({"Patient": dict(found.parameters) and {"hair": found.parameters["Patient"]}})
    assert registry(extended, "Observation") is registry(CORE, "Observation")
    assert set(registry(extended, "Patient").searchable) == {*registry(CORE, "Patient").searchable, "hair"}
    assert registry(extended, "Patient").owners == registry(CORE, "Patient").owners
    assert "hair" not in registry(extended.core, "Patient").searchable


_VALUES: tuple[Any, ...] = ("x", "2020", True, 1, Decimal("1.5"))
_OBJECTS: tuple[Any, ...] = ({}, {"value": "x"}, {"reference": "Patient/1"}, {"coding": [{"code": "x"}]}, {"low": {}})


def test_values_of_any_type_can_be_read_as_any_parameter_type() -> None:
    """The type of a parameter is its author's to say, and what its expression ends at is another matter."""
    circumstances = Circumstances("http://here/fhir", CORE.case_sensitive_systems, resource_types(CORE))
    json = {"boolean": bool, "decimal": Decimal, "integer": int, "positiveInt": int, "unsignedInt": int}
    for name, structure in CORE.structures.items():
        is_primitive = structure.kind == "primitive-type"
        kind = json.get(name, str)
        for value in (each for each in _VALUES if type(each) is kind) if is_primitive else _OBJECTS:
            for type_name, each in TYPES.items():
                if type_name not in ("special", "composite"):
                    each.indexed([(name, value)], circumstances)
            token.beside([(name, value)], circumstances)
