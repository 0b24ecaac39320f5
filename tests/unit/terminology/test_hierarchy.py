"""The closure table says what a naive search of the graph says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.terminology import CodeSystem, hierarchy
from fhirserver.terminology.coded import relation
from fhirserver.terminology.hierarchy import Hierarchy
from tests.unit.terminology.shelf import Json, code_system

CODES = "abcdefgh"
graphs = st.dictionaries(st.sampled_from(CODES), st.sets(st.sampled_from(CODES), max_size=3), max_size=8)


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    """What can be reached, by walking every path that does not come back to where it was."""

    def walk(code: str, path: tuple[str, ...]) -> set[str]:
        found = {code}
        for each in graph.get(code, ()):
            if each not in path:
                found |= walk(each, (*path, each))
        return found

    return walk(start, (start,))


@given(graphs, st.sampled_from(CODES), st.sampled_from(CODES))
def test_the_closure_is_what_can_be_reached(graph: dict[str, set[str]], one: str, other: str) -> None:
    hierarchy = Hierarchy(graph)
    assert hierarchy.ancestors(one) == reachable(graph, one)
    assert hierarchy.descendants(one) == {code for code in CODES if one in reachable(graph, code)}
    assert hierarchy.is_a(one, other) == (other in reachable(graph, one))


@given(graphs)
def test_rows_that_are_not_kept_are_the_same(graph: dict[str, set[str]]) -> None:
    kept, most = Hierarchy(graph), hierarchy.MAX_KEPT
    hierarchy.MAX_KEPT = 0
    try:
        fleeting = Hierarchy(graph)
        assert [fleeting.descendants(code) for code in CODES * 2] == [kept.descendants(code) for code in CODES * 2]
    finally:
        hierarchy.MAX_KEPT = most


@given(graphs)
def test_nesting_and_properties_say_the_same(graph: dict[str, set[str]]) -> None:
    """https://hl7.org/fhir/R4/codesystem.html#hierachy: a second parent is stated as a property, of the one or of the other."""
    by_parent = [
        {"code": code, "property": [{"code": "parent", "valueCode": each} for each in sorted(graph.get(code, ()))]}
        for code in CODES
    ]
    by_child = [
        {
            "code": code,
            "property": [{"code": "child", "valueCode": each} for each in CODES if code in graph.get(each, ())],
        }
        for code in CODES
    ]
    for concepts in (by_parent, by_child):
        system = CodeSystem(code_system("urn:s", concepts))
        assert all(system.hierarchy.ancestors(code) == reachable(graph, code) for code in CODES)


@given(graphs, st.sampled_from(CODES), st.sampled_from(CODES))
def test_subsumption_turns_round(graph: dict[str, set[str]], one: str, other: str) -> None:
    concepts: list[Json] = [
        {"code": code, "property": [{"code": "subsumedBy", "valueCode": each} for each in sorted(graph.get(code, ()))]}
        for code in CODES
    ]
    system = CodeSystem(code_system("urn:s", concepts))
    turned = {"subsumes": "subsumed-by", "subsumed-by": "subsumes"}
    found = relation(system, one, other)
    assert found is not None
    assert relation(system, other, one) == turned.get(found, found)


@pytest.mark.parametrize(
    ("meaning", "outcome"),
    [(None, "subsumes"), ("is-a", "subsumes"), ("grouped-by", "not-subsumed"), ("part-of", "not-subsumed")],
)
def test_only_nesting_that_means_is_a_subsumes(meaning: str | None, outcome: str) -> None:
    """https://hl7.org/fhir/R4/valueset-codesystem-hierarchy-meaning.html"""
    concepts = [{"code": "a", "concept": [{"code": "b"}]}]
    system = CodeSystem(code_system("urn:s", concepts, **({} if meaning is None else {"hierarchyMeaning": meaning})))
    assert relation(system, "a", "b") == outcome
    assert relation(system, "a", "absent") is None
