"""A query becomes a request: names, bounds, result parameters, what is ignored, and for which patients.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest

from fhirserver.definitions import load
from fhirserver.model.outcome import BadRequest, TooCostly
from fhirserver.search.compartment import compartment_expression, in_compartment
from fhirserver.search.expression import All, Expression, In, Nothing, all_of, any_of
from fhirserver.search.query.across import parse_across
from fhirserver.search.query.parse import parse_search
from fhirserver.search.request import Bounds, Include, SearchRequest, SortKey

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def parse(search: str, *, lenient: bool = False, bounds: Bounds | None = None) -> SearchRequest:
    resource_type, _, query = search.partition("?")
    return parse_search(
        load(),
        resource_type,
        parse_qsl(query, keep_blank_values=True),
        lenient=lenient,
        base_url="https://fhir.example.org/r4",
        now=NOW,
        bounds=bounds or Bounds(),
    )


def references(path: str, *values: str) -> Expression:
    return In(path, frozenset(values))


RESULTS: list[tuple[str, dict[str, Any]]] = [
    (
        "",
        {
            "count": 20,
            "total": "none",
            "sort": (),
            "includes": (),
            "summary_count": False,
            "expression": All(),
            "used": (),
        },
    ),
    ("_count=5", {"count": 5, "used": (("_count", "5"),)}),
    ("_count=005", {"count": 5, "used": (("_count", "5"),)}),
    ("_count=0", {"count": 0, "summary_count": True, "used": (("_count", "0"),)}),
    ("_count=1000", {"count": 1000, "ignored": ()}),
    ("_count=1001", {"count": 1000, "used": (("_count", "1000"),)}),
    ("_count=" + "9" * 5000, {"count": 1000, "used": (("_count", "1000"),)}),
    ("_summary=count", {"summary_count": True, "count": 20}),
    ("_summary=false", {"summary_count": False, "used": (("_summary", "false"),)}),
    ("_count=0&_summary=false", {"summary_count": True}),
    ("_total=accurate", {"total": "accurate"}),
    ("_total=estimate", {"total": "estimate"}),
    ("_total=none", {"total": "none"}),
    ("_sort=date", {"sort": (SortKey("date", "sort.date.lo", "sort.date.hi", False),)}),
    (
        "_sort=-_lastUpdated,status,_id",
        {
            "sort": (
                SortKey("_lastUpdated", "updated", "updated", True),
                SortKey("status", "sort.status.lo", "sort.status.hi", False),
                SortKey("_id", "_id", "_id", False),
            )
        },
    ),
    ("_sort=date,-date", {"sort": (SortKey("date", "sort.date.lo", "sort.date.hi", False),)}),
    ("_include=Observation:subject", {"includes": (Include("Observation", "subject", None, False),)}),
    (
        "_include=Observation:subject:Patient&_include=Observation:subject:Patient&_revinclude=Provenance:target",
        {
            "includes": (
                Include("Observation", "subject", "Patient", False),
                Include("Provenance", "target", None, True),
            )
        },
    ),
    ("_format=json&_pretty=true", {"expression": All(), "used": (), "ignored": ()}),
    ("status=", {"expression": All(), "used": ()}),
    ("status=,", {"expression": All(), "used": ()}),
    ("nonsense=", {"expression": All(), "used": ()}),
]


@pytest.mark.parametrize(("query", "expected"), RESULTS)
def test_result_parameters_are_read(query: str, expected: dict[str, Any]) -> None:
    """search.html#return"""
    request = parse("Observation?" + query)
    assert {name: getattr(request, name) for name in expected} == expected


def test_a_descending_sort_goes_by_the_high_scalar() -> None:
    keys = parse("Observation?_sort=date,-code").sort
    assert [key.path for key in keys] == ["sort.date.lo", "sort.code.hi"]


IGNORED = [
    ("_count=1001", False, [("warning", "too-costly")]),
    ("status=", False, [("information", "informational")]),
    ("status=,,", False, [("information", "informational")]),
    ("nonsense=1&_score=1", True, [("warning", "not-supported")] * 2),
    ("status=final", True, []),
]


@pytest.mark.parametrize(("query", "lenient", "issues"), IGNORED)
def test_what_does_not_count_as_asked_is_said(query: str, lenient: bool, issues: list[tuple[str, str]]) -> None:
    """search.html#errors"""
    request = parse("Observation?" + query, lenient=lenient)
    assert [(issue.severity, issue.code) for issue in request.ignored] == issues


def test_lenient_handling_keeps_the_rest_and_leaves_the_ignored_out_of_the_self_link() -> None:
    """search.html#errors"""
    request = parse("Observation?status=final&nonsense=1&_sort=nonsense&_count=3", lenient=True)
    assert request.expression == In("index.status", frozenset({"=final", "~final"}))
    assert request.used == (("status", "final"), ("_count", "3"))
    assert "'nonsense'" in request.ignored[0].diagnostics
    assert "sorted by 'nonsense'" in request.ignored[1].diagnostics


@pytest.mark.parametrize(
    "query",
    [
        "date=2026-13",
        "_count=-1",
        "status=|",
        "subject=#x",
        "_count=1&_count=1",
        "_include=x",
        "code:exact=x",
        "_query=x",
    ],
)
def test_lenient_handling_does_not_excuse_what_cannot_be_read(query: str) -> None:
    """search.html#errors"""
    with pytest.raises(BadRequest):
        parse("Observation?" + query, lenient=True)


REASONS = [
    ("Observation?nonsense=1", "Observation has no search parameter 'nonsense'."),
    ("Patient?age=1", "The parameter 'age' of the type number is not supported yet."),
    ("Observation?subject.nonsense=x", "Nothing that 'subject' of Observation points to can be searched so."),
    ("Observation?patient.nonsense=x", "Patient has no search parameter 'nonsense'."),
    ("Observation?_has:A:b:c=x", "'_has' names a resource type that does not exist."),
    ("Observation?_include:iterate=A:b", "'_include:iterate' names a resource type that does not exist."),
    (
        "Observation?_include:recurse=Observation:subject",
        "R4 writes ':iterate' where earlier versions wrote ':recurse'.",
    ),
    ("Observation?code:exact=x", "The parameter 'code' has no modifier ':exact' on this server."),
    ("Observation?_sort=nonsense", "Observation cannot be sorted by 'nonsense'."),
    ("Observation?" + "x" * 500 + "=1", f"Observation has no search parameter '{'x' * 100}'."),
]


@pytest.mark.parametrize(("search", "reason"), REASONS)
def test_a_refusal_names_the_parameter_and_the_reason(search: str, reason: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse(search)
    assert refusal.value.issues[0].diagnostics == reason
    assert refusal.value.issues[0].code == "not-supported"


BOUNDS = [
    "&".join(f"status=a{number}" for number in range(51)),
    "status=" + ",".join(f"a{number}" for number in range(101)),
    "status=" + "a" * 8001,
    "_sort=date,code,status,category,subject",
]


@pytest.mark.parametrize("query", BOUNDS)
def test_a_bound_is_a_refusal(query: str) -> None:
    with pytest.raises(TooCostly):
        parse("Observation?" + query, lenient=True)


def test_what_lies_within_the_bounds_passes() -> None:
    assert parse("Observation?" + "&".join(f"status=a{number}" for number in range(50))).used
    assert parse("Observation?status=" + ",".join(f"a{number}" for number in range(100))).used
    assert parse("Observation?_sort=date,code,status,category").sort


PATIENTS = [
    ("Observation?patient=p1", {"p1"}),
    ("Observation?patient=Patient/p1,p2", {"p1", "p2"}),
    ("Observation?subject=Patient/p1", {"p1"}),
    ("Observation?subject:Patient=p1", {"p1"}),
    ("Observation?performer=Patient/p1", None),
    ("Observation?performer=Patient/p1&patient=p2", {"p2"}),
    ("Condition?asserter=Patient/p1", None),
    ("Coverage?beneficiary=Patient/p1", {"p1"}),
    ("Observation?subject=p1", None),
    ("Observation?subject=Patient/p1,Group/g", None),
    ("Observation?subject:missing=true", None),
    ("Observation?subject:identifier=x", None),
    ("Observation?patient=p1,p2&patient=p1", {"p1"}),
    ("Observation?patient=https://fhir.example.org/r4/Patient/p1", {"p1"}),
    ("Observation?patient=https://other.example.org/Patient/p1", None),
    ("Observation?focus=Patient/p1", None),
    ("Observation?status=final", None),
    ("Patient?_id=p1,p2", {"p1", "p2"}),
    ("Patient?_id:not=p1", None),
    ("Patient?link=Patient/p1", None),
    ("Observation?_id=p1", None),
    ("Appointment?patient=p1", {"p1"}),
    ("Consent?patient=p1", {"p1"}),
]


@pytest.mark.parametrize(("search", "ids"), PATIENTS)
def test_the_patients_that_every_match_must_belong_to(search: str, ids: set[str] | None) -> None:
    assert parse(search).patients == (None if ids is None else frozenset(ids))


def pairs(expression: Expression) -> frozenset[Any] | None:
    terms = getattr(expression, "terms", (expression,))
    return next((term.values for term in terms if isinstance(term, In) and term.path == "index._pair"), None)


PAIRS = [
    ("Observation?patient=p1&code=http://loinc.org|718-7", {"Patient/p1|http://loinc.org|718-7"}),
    ("Observation?code=x&subject=Patient/p1", {"Patient/p1|=x", "Patient/p1|~x"}),
    ("Observation?patient=p1,p2&code=s|x", {"Patient/p1|s|x", "Patient/p2|s|x"}),
    ("Condition?patient=p1&code=s|x", {"Patient/p1|s|x"}),
    ("Observation?subject=p1&code=s|x", None),
    ("Observation?patient=p1&code=s|", None),
    ("Observation?patient=p1&code:not=s|x", None),
    ("Observation?patient=p1", None),
    ("Observation?patient:missing=false&code=s|x", None),
    (
        "Observation?patient=p1&code=" + ",".join(f"s|{number}" for number in range(100)),
        {f"Patient/p1|s|{number}" for number in range(100)},
    ),
    ("Observation?patient=p1,p2&code=" + ",".join(f"s|{number}" for number in range(100)), None),
    ("Encounter?patient=p1&status=finished", None),
]


@pytest.mark.parametrize(("search", "expected"), PAIRS)
def test_a_patient_and_a_code_are_asked_as_a_pair(search: str, expected: set[str] | None) -> None:
    assert pairs(parse(search).expression) == expected


COMPARTMENTS: list[tuple[str, str, Expression]] = [
    (
        "Patient",
        "Observation",
        any_of(references("index.subject.r", "Patient/p1"), references("index.performer.r", "Patient/p1")),
    ),
    ("Patient", "Patient", any_of(references("index.link.r", "Patient/p1"), In("_id", frozenset({"p1"})))),
    ("Patient", "Consent", references("index.patient.r", "Patient/p1")),
    ("Patient", "Organization", Nothing()),
    ("Encounter", "Observation", references("index.encounter.r", "Encounter/p1")),
    ("Encounter", "Encounter", In("_id", frozenset({"p1"}))),
    ("Practitioner", "Observation", references("index.performer.r", "Practitioner/p1")),
]


@pytest.mark.parametrize(("compartment", "resource_type", "expected"), COMPARTMENTS)
def test_a_compartment_is_what_its_definition_names(compartment: str, resource_type: str, expected: Expression) -> None:
    """compartmentdefinition.html"""
    assert compartment_expression(load(), compartment, "p1", resource_type) == expected


def test_every_parameter_that_a_compartment_names_can_be_searched_by() -> None:
    """Were one left out, its resources would be missing from the compartment in silence."""
    definitions = load()
    for compartment in definitions.compartments.values():
        for resource_type, codes in compartment.resources.items():
            known = definitions.search_parameters(resource_type)
            for code in codes:
                if code != "{def}":
                    assert known[code].type == "reference", (compartment.code, resource_type, code)
                    assert known[code].expression


def test_a_search_within_a_compartment_is_of_its_patient() -> None:
    definitions = load()
    inside = in_compartment(definitions, parse("Observation?status=final"), "Patient", "p1")
    assert inside.patients == {"p1"}
    assert inside.expression == all_of(
        compartment_expression(definitions, "Patient", "p1", "Observation"),
        parse("Observation?status=final").expression,
    )
    assert in_compartment(definitions, parse("Observation?patient=p2,p3"), "Patient", "p1").patients == {"p1"}
    assert in_compartment(definitions, parse("Observation?patient=p2"), "Patient", "p1").patients == {"p2"}
    assert in_compartment(definitions, parse("Patient?gender=male"), "Patient", "p1").patients is None
    assert in_compartment(definitions, parse("Observation?status=final"), "Encounter", "p1").patients is None
    assert in_compartment(definitions, parse("Organization?name=x"), "Patient", "p1").expression == Nothing()


def test_the_values_of_a_search_are_counted_together() -> None:
    hundred = ",".join(f"word{number}" for number in range(100))
    few = Bounds(values=250)
    assert parse(f"Patient?_id={hundred}&_tag={hundred}", bounds=few)
    costly = [
        "&".join(f"_content={hundred}" for _ in range(3)),
        f"_id={hundred}&_has:Observation:patient:code={hundred}&link:Patient.name={hundred}",
        "&".join("_filter=" + " or ".join("_id eq a" for _ in range(50)) for _ in range(6)),
        "_content=" + ",".join("a" * 150 for _ in range(50)) + f"&_id={hundred}",
    ]
    for query in costly:
        with pytest.raises(TooCostly, match="250 values"):
            parse(f"Patient?{query}", bounds=few)


def test_each_value_counts_for_each_type_of_a_search_across_types() -> None:
    pairs = [("_type", "Patient,Observation,Encounter"), ("_id", ",".join(map(str, range(90))))]
    given: dict[str, Any] = {"lenient": False, "base_url": "https://fhir.example.org/r4", "now": NOW, "within": None}
    assert parse_across(load(), pairs, bounds=Bounds(values=300), **given)
    with pytest.raises(TooCostly, match="89 values"):
        parse_across(load(), pairs, bounds=Bounds(values=269), **given)


@pytest.mark.parametrize("value", ["2026-01-01T00:00:00 03:00", "ge2026-01-01T00:00:00.5 03:00"])
def test_a_plus_sign_may_have_come_as_a_space(value: str) -> None:
    asked = parse(f"Observation?date={value}").expression
    assert asked == parse("Observation?date=" + value.replace(" ", "%2B")).expression
