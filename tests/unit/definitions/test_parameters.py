"""Search parameters, compartments and operations.

https://hl7.org/fhir/R4/searchparameter-registry.html
"""

from __future__ import annotations

import re

import pytest

from fhirserver.definitions import Definitions, load
from fhirserver.definitions.compiling.parameters import expression_for, split_union


@pytest.fixture(scope="module")
def r4() -> Definitions:
    return load()


def test_every_definition_with_a_base_is_there(r4: Definitions) -> None:
    by_url = {each.url: each for name in r4.concrete_types for each in r4.search_parameters(name).values()}
    # 1,400 in the package; ten name no base, three are the specification's examples.
    assert len(by_url) == 1387
    without = {each.code for each in by_url.values() if not each.expression}
    assert without == {"_content", "_filter", "_query", "_text", "age", "birthOrderBoolean"}


def test_every_resource_type_has_the_parameters_of_all_resources(r4: Definitions) -> None:
    common = {"_id", "_lastUpdated", "_tag", "_profile", "_security", "_source", "_content", "_query", "_filter"}
    for name in r4.concrete_types:
        assert common <= set(r4.search_parameters(name))
    assert "_text" in r4.search_parameters("Patient")
    assert "_text" not in r4.search_parameters("Bundle")


def test_no_expression_speaks_of_another_type(r4: Definitions) -> None:
    for name in r4.concrete_types:
        for parameter in r4.search_parameters(name).values():
            for part in split_union(parameter.expression):
                leading = re.match(r"\(*([A-Z]\w*)", part)
                if leading:
                    assert leading[1] in (name, "Resource", "DomainResource"), (name, parameter.code)


EXPRESSIONS = [
    ("Observation", "patient", "reference", "Observation.subject.where(resolve() is Patient)"),
    ("Encounter", "date", "date", "Encounter.period"),
    ("RiskAssessment", "date", "date", "(RiskAssessment.occurrence as dateTime)"),
    ("AllergyIntolerance", "code", "token", "AllergyIntolerance.code | AllergyIntolerance.reaction.substance"),
    ("MedicationRequest", "medication", "reference", "(MedicationRequest.medication as Reference)"),
    ("Patient", "email", "token", "Patient.telecom.where(system='email')"),
    ("Patient", "deceased", "token", "Patient.deceased.exists() and Patient.deceased != false"),
    ("InsurancePlan", "name", "string", "name | alias"),
    ("Patient", "_id", "token", "Resource.id"),
    ("Patient", "_text", "string", ""),
    ("Location", "near", "special", "Location.position"),
    ("RiskAssessment", "probability", "number", "RiskAssessment.prediction.probability"),
]


@pytest.mark.parametrize(("resource_type", "code", "type", "expression"), EXPRESSIONS)
def test_an_expression_is_only_what_concerns_the_type(
    r4: Definitions, resource_type: str, code: str, type: str, expression: str
) -> None:
    parameter = r4.search_parameters(resource_type)[code]
    assert (parameter.type, parameter.expression) == (type, expression)


def test_the_real_parameter_stands_and_not_the_specifications_example(r4: Definitions) -> None:
    assert r4.search_parameters("Condition")["subject"].targets == ("Group", "Patient")
    assert "part-agree" not in r4.search_parameters("Patient")


def test_targets_comparators_and_repetition(r4: Definitions) -> None:
    encounter = r4.search_parameters("Observation")["encounter"]
    assert encounter.targets == ("Encounter", "EpisodeOfCare")
    assert len(encounter.base) == 12
    assert r4.search_parameters("Observation")["date"].comparators == (
        "eq", "ne", "gt", "ge", "lt", "le", "sa", "eb", "ap",
    )  # fmt: skip
    composite = r4.search_parameters("Observation")["code-value-quantity"]
    assert (composite.multiple_or, composite.multiple_and) == (False, None)
    assert r4.search_parameters("Patient")["phonetic"].usage == "phonetic"


COMPONENTS = [
    ("Observation", "code-value-quantity", [("code", "token", "code"), ("value-quantity", "quantity", "value.as(Quantity)")]),
    ("Observation", "code-value-date", [("code", "token", "code"), ("value-date", "date", "value.as(dateTime) | value.as(Period)")]),
    ("Group", "characteristic-value", [("characteristic", "token", "code"), ("value", "token", "value")]),
    ("DocumentReference", "relationship", [("relatesto", "reference", "code"), ("relation", "token", "target")]),
]  # fmt: skip


@pytest.mark.parametrize(("resource_type", "code", "components"), COMPONENTS)
def test_the_components_of_a_composite(
    r4: Definitions, resource_type: str, code: str, components: list[tuple[str, str, str]]
) -> None:
    parameter = r4.search_parameters(resource_type)[code]
    assert parameter.type == "composite"
    assert [(each.code, each.type, each.expression) for each in parameter.components] == components


def test_an_unknown_type_has_no_parameters(r4: Definitions) -> None:
    with pytest.raises(KeyError):
        r4.search_parameters("Nothing")


UNIONS = [
    ("a", ["a"]),
    ("a | b", ["a", "b"]),
    ("(a | b).c | d", ["(a | b).c", "d"]),
    ("a.where(x='p|q') | b[0 | 1]", ["a.where(x='p|q')", "b[0 | 1]"]),
]


@pytest.mark.parametrize(("expression", "parts"), UNIONS)
def test_a_union_is_split_only_at_its_outermost_level(expression: str, parts: list[str]) -> None:
    assert split_union(expression) == parts


def test_a_part_belongs_to_the_type_it_starts_at_and_a_part_without_one_to_all() -> None:
    expression = "(A.x as T) | B.y | z | AB.w"
    assert expression_for(expression, "A", ["A", "B", "AB"]) == "(A.x as T) | z"
    assert expression_for(expression, "AB", ["A", "B", "AB"]) == "z | AB.w"


def test_the_five_compartments(r4: Definitions) -> None:
    assert set(r4.compartments) == {"Device", "Encounter", "Patient", "Practitioner", "RelatedPerson"}
    patient = r4.compartments["Patient"].resources
    assert patient["Observation"] == ("subject", "performer")
    assert patient["Patient"] == ("link",)
    assert patient["Appointment"] == ("actor",)
    assert "Organization" not in patient
    assert len(patient) == 66
    assert r4.compartments["Practitioner"].resources["Practitioner"] == ("{def}",)


def test_every_compartment_parameter_is_a_search_parameter_of_its_type(r4: Definitions) -> None:
    for compartment in r4.compartments.values():
        for resource_type, codes in compartment.resources.items():
            assert set(codes) - {"{def}"} <= set(r4.search_parameters(resource_type))


def test_the_operations(r4: Definitions) -> None:
    assert len(r4.operations) == 46
    by_id = {operation.id: operation for operation in r4.operations}
    validate = by_id["Resource-validate"]
    assert (validate.code, validate.system, validate.type, validate.instance) == ("validate", False, True, True)
    assert validate.resources == ("Resource",)
    assert [(each.name, each.use, each.min, each.max, each.type) for each in validate.parameters] == [
        ("resource", "in", 0, 1, "Resource"),
        ("mode", "in", 0, 1, "code"),
        ("profile", "in", 0, 1, "uri"),
        ("return", "out", 1, 1, "OperationOutcome"),
    ]
    translate = {each.name: each for each in by_id["ConceptMap-translate"].parameters if each.use == "out"}
    assert [part.name for part in translate["match"].parts] == ["equivalence", "concept", "product", "source"]
    assert translate["match"].max is None
