"""Value sets: the algebra of sets, and two questions that agree."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.model.outcome import BadRequest, FhirError, TooCostly, Unprocessable, Unresolved
from fhirserver.terminology import Catalogue, CodeSystem, ValueSet, asked_for, catalogue
from fhirserver.terminology.coded import Coded, Rules, in_value_set
from fhirserver.terminology.filters import cost_of
from fhirserver.terminology.filters import test_of as made_test
from tests.unit.terminology.shelf import Json, code_system, value_set, worked
from tests.unit.terminology.shelf import filter as filtered

SYSTEM = "urn:s"
CONCEPTS: list[Json] = [
    {"code": "a", "concept": [{"code": "ab", "concept": [{"code": "abc"}]}, {"code": "ad"}]},
    {"code": "b", "property": [{"code": "size", "valueInteger": 3}], "concept": [{"code": "ba"}]},
    {"code": "c", "property": [{"code": "size", "valueInteger": 4}, {"code": "inactive", "valueBoolean": True}]},
    {"code": "dd", "property": [{"code": "parent", "valueCode": "ab"}, {"code": "size", "valueInteger": 3}]},
]
STORED = code_system(SYSTEM, CONCEPTS, property=[{"code": "size", "type": "integer"}])
CODES = ["a", "ab", "abc", "ad", "b", "ba", "c", "dd"]

filters = st.one_of(
    st.builds(
        filtered,
        st.just("concept"),
        st.sampled_from(["is-a", "descendent-of", "is-not-a", "generalizes"]),
        st.sampled_from(CODES),
    ),
    st.builds(
        filtered, st.just("size"), st.sampled_from(["=", "in", "not-in"]), st.sampled_from(["3", "4", "3,4", "9"])
    ),
    st.builds(filtered, st.just("size"), st.just("exists"), st.sampled_from(["true", "false"])),
    st.builds(filtered, st.just("code"), st.just("regex"), st.sampled_from(["a.*", "..", "[bc]", ".*d"])),
)
parts = st.one_of(
    st.builds(
        lambda codes: {"system": SYSTEM, "concept": [{"code": each} for each in codes]},
        st.lists(st.sampled_from(CODES), unique=True),
    ),
    st.builds(lambda each: {"system": SYSTEM, "filter": each}, st.lists(filters, max_size=2)),
)


def codes_of(include: list[Json], exclude: list[Json] | None = None, **more: Any) -> set[str]:
    resource = value_set("urn:v", include, exclude, **more)
    return worked([STORED], lambda catalogue: {each.code for each in ValueSet(catalogue, resource).members()})


@given(st.lists(parts, min_size=1, max_size=3), st.lists(parts, max_size=2))
def test_includes_are_a_union_and_excludes_are_taken_away(include: list[Json], exclude: list[Json]) -> None:
    wanted = set[str]().union(*(codes_of([each]) for each in include))
    unwanted = set[str]().union(*(codes_of([each]) for each in exclude))
    assert codes_of(include, exclude) == wanted - unwanted


@given(parts, parts)
def test_value_sets_in_one_include_are_an_intersection(one: Json, other: Json) -> None:
    imported = [value_set("urn:one", [one]), value_set("urn:other", [other])]
    both = value_set("urn:v", [{"valueSet": ["urn:one", "urn:other"]}])
    system_too = value_set("urn:w", [{**one, "valueSet": ["urn:other"]}])
    for resource in (both, system_too):
        expanded, asked_one_by_one = worked(
            [STORED, *imported], lambda catalogue, of=resource: both_ways(catalogue, of)
        )
        assert expanded == codes_of([one]) & codes_of([other]) == asked_one_by_one


def both_ways(catalogue: Catalogue, resource: Json) -> tuple[set[str], set[str]]:
    """The codes as they are expanded, and those that are in it when each is asked for."""
    expanded = {each.code for each in ValueSet(catalogue, resource).members()}
    asked = ValueSet(catalogue, resource)
    return expanded, {code for code in CODES if asked.member(SYSTEM, code) is not None}


@given(st.lists(filters, min_size=1, max_size=3))
def test_filters_of_one_include_all_hold(stated: list[Json]) -> None:
    each_alone = [codes_of([{"system": SYSTEM, "filter": [each]}]) for each in stated]
    assert codes_of([{"system": SYSTEM, "filter": stated}]) == set.intersection(*each_alone)


@given(st.lists(parts, min_size=1, max_size=3), st.lists(parts, max_size=2), st.booleans())
def test_a_code_is_in_it_exactly_if_it_is_expanded(include: list[Json], exclude: list[Json], inactive: bool) -> None:
    """https://hl7.org/fhir/R4/valueset-operation-validate-code.html"""
    resource = value_set("urn:v", include, exclude, inactive=inactive)

    def work(catalogue: Catalogue) -> None:
        asked = ValueSet(catalogue, resource)
        expanded = {each.code for each in ValueSet(catalogue, resource).members()}
        ask = in_value_set(asked, Rules())
        assert {code for code in [*CODES, "absent"] if ask(Coded(SYSTEM, code)).result} == expanded
        assert not ask(Coded("urn:other", "a")).result

    worked([STORED], work)


@given(filters)
def test_is_not_a_is_the_rest(stated: Json) -> None:
    """https://hl7.org/fhir/R4/valueset-filter-operator.html"""
    if stated["op"] == "is-a":
        rest = {**stated, "op": "is-not-a"}
        assert codes_of([{"system": SYSTEM, "filter": [rest]}]) == set(CODES) - codes_of(
            [{"system": SYSTEM, "filter": [stated]}]
        )
        strict = codes_of([{"system": SYSTEM, "filter": [{**stated, "op": "descendent-of"}]}])
        assert strict == codes_of([{"system": SYSTEM, "filter": [stated]}]) - {stated["value"]}


def test_a_diamond_of_imports_costs_no_more_than_its_parts() -> None:
    """Each level imports the next one twice: without a memory of what was made it would be two to the fifteenth."""
    chain = [value_set(f"urn:{level}", [{"valueSet": [f"urn:{level + 1}"]}] * 2) for level in range(14)]
    chain.append(value_set("urn:14", [{"system": SYSTEM}]))

    def work(catalogue: Catalogue) -> tuple[int, bool]:
        asked = ValueSet(catalogue, chain[0])
        return len(asked.members()), asked.member(SYSTEM, "absent") is None

    assert worked([STORED, *chain], work) == (len(CODES), True)


def test_too_deep_an_import_is_refused() -> None:
    chain = [value_set(f"urn:{level}", [{"valueSet": [f"urn:{level + 1}"]}]) for level in range(40)]
    with pytest.raises(TooCostly, match="16 deep"):
        worked(chain, lambda catalogue: ValueSet(catalogue, chain[0]))


def test_too_many_resources_are_refused() -> None:
    wide = value_set("urn:v", [{"system": f"urn:{number}", "concept": [{"code": "a"}]} for number in range(101)])
    with pytest.raises(TooCostly, match="100 terminology resources"):
        worked([], lambda catalogue: ValueSet(catalogue, wide))


def test_too_many_codes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "MAX_STEPS", 20)
    with pytest.raises(TooCostly, match="20 codes"):
        codes_of([{"system": SYSTEM}] * 3)


@pytest.mark.parametrize(
    ("resource", "error"),
    [
        (value_set("urn:v", [{"valueSet": ["urn:v"]}]), Unprocessable),
        (value_set("urn:v", [{"system": "urn:absent"}]), Unresolved),
        (value_set("urn:v", [{"valueSet": ["urn:absent"]}]), Unresolved),
        (value_set("urn:v", [{"valueSet": ["#"]}]), BadRequest),
        (value_set("urn:v", [{}]), Unprocessable),
        ({"resourceType": "ValueSet", "url": "urn:v"}, Unprocessable),
        (value_set("urn:v", [{"system": SYSTEM, "filter": [filtered("concept", "=", "a"), filtered("concept", "?", "a")]}]), Unprocessable),
        (value_set("urn:v", [{"system": SYSTEM, "filter": [filtered("code", "regex", "a" * 1001)]}]), BadRequest),
        (value_set("urn:v", [{"system": "http://unitsofmeasure.org", "filter": [filtered("code", "=", "g")]}]), Unprocessable),
        (value_set("urn:v", [{"system": "urn:ietf:bcp:13"}]), TooCostly),
    ],
)  # fmt: skip
def test_what_cannot_be_expanded_says_why(resource: Json, error: type[FhirError]) -> None:
    with pytest.raises(error):
        worked([STORED, resource], lambda catalogue: ValueSet(catalogue, resource).members())


def test_a_regular_expression_takes_linear_time() -> None:
    """An expression that makes backtracking engines wait for ages; matched as a whole, by an engine that does not go back."""
    system = CodeSystem(code_system("urn:long", [{"code": "a" * 900 + "!"}]))
    test = made_test(system, filtered("code", "regex", "(a+)+"))
    assert not any(test(each) for each in system.concepts.values())


def test_a_regular_expression_is_counted_by_its_size_and_not_held_against_long_texts() -> None:
    small, large = (cost_of(filtered("code", "regex", each)) for each in ("[0-9]{1,5}-[0-9]", "(a?){1000}"))
    assert small < 10
    assert large > 10_000
    system = CodeSystem(code_system("urn:long", [{"code": "a" * 5_000}]))
    test = made_test(system, filtered("code", "regex", "a+"))
    with pytest.raises(TooCostly, match="characters of a concept"):
        test(system.concepts["a" * 5_000])


def test_what_is_known_by_a_grammar_is_a_question_of_form() -> None:
    units = value_set(
        "urn:v", [{"system": "http://unitsofmeasure.org"}, {"system": SYSTEM, "concept": [{"code": "a"}]}]
    )

    def work(catalogue: Catalogue) -> None:
        asked = ValueSet(catalogue, units)
        assert asked.member("http://unitsofmeasure.org", "mg/dL") is not None
        assert asked.member("http://unitsofmeasure.org", "mg//dL") is None
        grammars, listed = asked.listed()
        assert grammars == {"http://unitsofmeasure.org"}
        assert [each.code for each in listed] == ["a"]

    worked([STORED], work)


@pytest.mark.parametrize(
    ("canonical", "version", "asked"),
    [
        ("urn:v", None, ("ValueSet", "urn:v", None)),
        ("urn:v|1", None, ("ValueSet", "urn:v", "1")),
        ("urn:v", "1", ("ValueSet", "urn:v", "1")),
        ("urn:v|1", "1", ("ValueSet", "urn:v", "1")),
        ("urn:v|1#part", None, ("ValueSet", "urn:v", "1")),
        ("urn:v|", None, ("ValueSet", "urn:v", None)),
    ],
)
def test_canonicals(canonical: str, version: str | None, asked: tuple[str, str, str | None]) -> None:
    """https://hl7.org/fhir/R4/references.html#canonical"""
    assert tuple(asked_for("ValueSet", canonical, version)) == asked


def test_two_versions_of_one_canonical_are_refused() -> None:
    with pytest.raises(BadRequest):
        asked_for("ValueSet", "urn:v|1", "2")
