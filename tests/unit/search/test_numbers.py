"""Numbers and quantities are compared exactly: by their strings as by themselves, and across units.

https://hl7.org/fhir/R4/search.html#number and https://hl7.org/fhir/R4/search.html#quantity
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhirserver.search.match import match
from fhirserver.search.parameters import number, quantity
from fhirserver.search.parameters.comparison import Prefix
from fhirserver.search.parameters.number import HIGHEST, LOWEST, after, before, encode
from fhirserver.search.parameters.term import Circumstances, Term

CIRCUMSTANCES = Circumstances("https://fhir.example.org/r4", frozenset(), frozenset())
UCUM = "http://unitsofmeasure.org"

decimals = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent), st.integers(-(10**20), 10**20), st.integers(-60, 60)
)
small = st.builds(lambda digits, exponent: Decimal(digits).scaleb(exponent), st.integers(-200, 200), st.integers(-3, 2))


def term(text: str) -> Term:
    return Term("p", "index.p", (), "", (text,), CIRCUMSTANCES, datetime(2026, 1, 1, tzinfo=UTC))


@given(decimals, decimals)
def test_strings_sort_as_their_numbers_do(one: Decimal, other: Decimal) -> None:
    assert (encode(one) < encode(other), encode(one) == encode(other)) == (one < other, one == other)


@given(decimals, decimals)
def test_between_a_number_and_its_neighbours_there_is_no_other(one: Decimal, other: Decimal) -> None:
    text, neighbour = encode(one), encode(other)
    assert LOWEST < before(text) < text < after(text) < HIGHEST
    assert (neighbour < before(text)) == (other < one)
    assert (neighbour > after(text)) == (other > one)


def _expected(prefix: Prefix, asked: Decimal, half: Fraction, low: Fraction, high: Fraction) -> bool:
    """The clause, word by word, for a stored interval with both ends inclusive."""
    exact = Fraction(asked)
    contained = exact - half <= low and high < exact + half
    equal = low == high == exact
    reach = max(abs(exact) / 10, half)
    return {
        Prefix.EQ: contained,
        Prefix.NE: not contained,
        Prefix.GT: high > exact,
        Prefix.LT: low < exact,
        Prefix.GE: high > exact or equal,
        Prefix.LE: low < exact or equal,
        Prefix.SA: low > exact,
        Prefix.EB: high < exact,
        Prefix.AP: low <= exact + reach and high >= exact - reach,
    }[prefix]


@given(small, small, small, st.sampled_from(list(Prefix)))
@settings(max_examples=400)
def test_numbers_and_ranges_relate_as_the_clause_says(q: Decimal, one: Decimal, other: Decimal, prefix: Prefix) -> None:
    low, high = sorted((one, other))
    text = f"{q:f}"
    half = Fraction(5) * Fraction(10) ** (-len(text.partition(".")[2]) - 1)
    stored = number.indexed([("Range", {"low": {"value": low}, "high": {"value": high}})], CIRCUMSTANCES)
    assert stored is not None
    found = match(number.condition(term(prefix + text)), {"index": {"p": stored[0]}})
    assert found == _expected(prefix, Decimal(text), half, Fraction(low), Fraction(high))


UNITS = [
    ("g", "mg", 1000),
    ("mg", "ug", 1000),
    ("h", "min", 60),
    ("[in_i]", "cm", Fraction("2.54")),
    ("L", "dm3", 1),
    ("mol", "mmol", 1000),
]


@given(small, small, st.sampled_from(list(Prefix)), st.sampled_from(UNITS))
def test_a_quantity_is_the_same_in_every_unit_of_its_kind(
    q: Decimal, t: Decimal, prefix: Prefix, units: tuple[str, str, Fraction]
) -> None:
    """What is asked in the greater unit is answered alike for the value in it, and for the same value in the lesser."""
    greater, lesser, factor = units
    exact = Fraction(t) * factor
    same = Decimal(exact.numerator) / Decimal(exact.denominator)
    asked = quantity.condition(term(f"{prefix}{q:f}|{UCUM}|{greater}"))
    answers = []
    for value, code in ((t, greater), (same, lesser)):
        stored = quantity.indexed([("Quantity", {"value": value, "system": UCUM, "code": code})], CIRCUMSTANCES)
        assert stored is not None
        answers.append(match(asked, {"index": {"p": stored[0]}}))
    assert answers[0] == answers[1]


OPENED = [
    ("<", "lt5", True), ("<", "eb5", True), ("<", "5", False), ("<", "gt5", False), ("<", "gt4.9", True), ("<", "ge5", False),
    ("<=", "eb5", False), ("<=", "le5", True), ("<=", "gt5", False), (">=", "sa5", False), (">=", "sa4.999", True),
    (">=", "ge5", True), (">", "sa5", True), (">", "lt5", False), (">", "le5", False), (">", "lt5.001", True),
]  # fmt: skip


@pytest.mark.parametrize(("comparator", "asked", "expected"), OPENED)
def test_a_comparator_opens_the_interval(comparator: str, asked: str, expected: bool) -> None:
    stored = quantity.indexed([("Quantity", {"value": Decimal(5), "comparator": comparator})], CIRCUMSTANCES)
    assert stored is not None
    assert match(quantity.condition(term(asked)), {"index": {"p": stored[0]}}) is expected


@pytest.mark.parametrize("value", [Decimal("1e999"), Decimal("-1e-999"), Decimal(10) ** 40 + 1, 2**70, 0.1, -0.0])
def test_a_number_beyond_all_measure_is_stored(value: Decimal | float) -> None:
    stored = number.indexed([("decimal", value)], CIRCUMSTANCES)
    assert stored is not None
    assert match(number.condition(term(f"ap{value}")), {"index": {"p": stored[0]}})


@pytest.mark.parametrize("value", [None, True, "5", {}, [], "NaN"])
def test_what_is_no_number_is_not_stored(value: object) -> None:
    assert number.indexed([("decimal", value)], CIRCUMSTANCES) is None
    assert quantity.indexed([("Quantity", {"value": value})], CIRCUMSTANCES) is None


@pytest.mark.parametrize("value", [Decimal("1e6000"), Decimal("-1e-6000")])
def test_a_quantity_beyond_all_measure_is_not_converted(value: Decimal) -> None:
    """Exact arithmetic with such numbers would take long; as it is written it is still compared."""
    stored = quantity.indexed([("Quantity", {"value": value, "system": UCUM, "code": "mg"})], CIRCUMSTANCES)
    assert stored is not None
    assert "c" not in stored[0]
    sign = "gt1" if value > 1 else "lt0"
    assert match(quantity.condition(term(f"{sign}||mg")), {"index": {"p": stored[0]}})
