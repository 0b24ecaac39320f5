"""Criteria: the same lock however they are spelled, and what is the laboratory's key."""

from __future__ import annotations

import pytest

from fhirserver.interactions.bundles.criteria import Criteria, conditional_reference
from fhirserver.model.outcome import BadRequest
from fhirserver.rest.interactions.conditionals import criteria
from fhirserver.search.expression import All, Expression, In, Not, Nothing, Prefixed, Range, Some, all_of, any_of

A, B = In("index.a", frozenset(("1", "2", "3"))), Range("index.b", None, 5)
ONE = [
    (all_of(A, B), all_of(B, A)),
    (any_of(A, B), any_of(B, A)),
    (In("p", frozenset(("x", "y"))), In("p", frozenset(("y", "x")))),
    (Not(A), Not(In("index.a", frozenset(("3", "2", "1"))))),
]
DIFFERENT: list[Expression] = [
    *(A, B, all_of(A, B), any_of(A, B), Not(A), Some("index.a", B), Prefixed("index.a", "1"), All(), Nothing()),
    *(In("index.a", frozenset(("1",))), In("index.a", frozenset((1,))), In("index.a", frozenset((True,)))),
    Range("index.b", 5, None),
]


def of(expression: Expression, resource_type: str = "Patient") -> Criteria:
    """Criteria of this expression."""
    return Criteria(resource_type, expression, ())


@pytest.mark.parametrize(("one", "other"), ONE)
def test_the_order_of_terms_and_values_says_nothing(one: Expression, other: Expression) -> None:
    assert of(one).key == of(other).key


def test_what_asks_for_something_else_has_another_lock() -> None:
    keys = [of(each).key for each in DIFFERENT] + [of(A, "Observation").key]
    assert len(set(keys)) == len(keys)


def test_a_lock_is_the_same_in_every_process() -> None:
    """Two servers that spelled it differently would both create."""
    assert of(all_of(A, B)).key == "edeee"
    assert all(len(of(each).key) == 5 for each in DIFFERENT)


IDENTIFIERS = {
    "a|b": True,
    "urn:a|b c": True,
    "|b": False,
    "a|": False,
    "b": False,
    "a|b,a|c": False,
    "a|b,c": False,
    "a|b|c": False,
    "a|b\\,c": False,
}


@pytest.mark.parametrize(("value", "is_key"), IDENTIFIERS.items())
def test_a_key_is_one_complete_identifier(value: str, is_key: bool) -> None:
    assert Criteria("Patient", A, (("identifier", value),)).is_one_identifier is is_key
    assert not Criteria("Patient", A, (("identifier:not", value),)).is_one_identifier
    assert not Criteria("Patient", A, (("identifier", value), ("name", "a"))).is_one_identifier


REFERENCES = {
    "Patient?identifier=a|b": ("Patient", [("identifier", "a|b")]),
    "Patient?identifier=a%7Cb&name=c+d": ("Patient", [("identifier", "a|b"), ("name", "c d")]),
    "https://fhir.example.org/r4/Patient?a=b": ("Patient", [("a", "b")]),
    "https://elsewhere.example/Patient?a=b": None,
    "Patient/1": None,
    "patient?a=b": None,
    "Patient?": None,
    "urn:x?a=b": None,
}


@pytest.mark.parametrize(("text", "found"), REFERENCES.items())
def test_a_reference_by_criteria(text: str, found: object) -> None:
    assert conditional_reference(text, "https://fhir.example.org/r4") == found


HEADERS = {
    b"identifier=a|b": [("identifier", "a|b")],
    b"?identifier=a|b": [("identifier", "a|b")],
    b"Patient?identifier=a|b": [("identifier", "a|b")],
    b"https://x.example/fhir/Patient?identifier=a|b": [("identifier", "a|b")],
    b"identifier=a?b": [("identifier", "a?b")],
    b"": [],
}


@pytest.mark.parametrize(("text", "pairs"), HEADERS.items())
def test_if_none_exist_in_its_spellings(text: bytes, pairs: object) -> None:
    assert criteria(text, "Patient") == pairs


def test_if_none_exist_is_about_the_type_that_is_created() -> None:
    with pytest.raises(BadRequest):
        criteria(b"Observation?identifier=a", "Patient")
