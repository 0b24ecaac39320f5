"""The statistics of `$stats` against those of Python's own library, and against their definitions."""

from __future__ import annotations

import statistics
from fractions import Fraction
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.interactions.operations.statistics import STATISTICS, as_decimal, regression

numbers = st.lists(st.fractions(-1000, 1000, max_denominator=100), min_size=2, max_size=20).map(sorted)


@given(numbers)
def test_they_are_those_of_the_library(values: list[Fraction]) -> None:
    quarters = statistics.quantiles(values, n=4, method="inclusive")
    fifths = statistics.quantiles(values, n=5, method="inclusive")
    expected = {
        "average": statistics.mean(values),
        "median": statistics.median(values),
        "variance": statistics.variance(values),
        "maximum": max(values),
        "minimum": min(values),
        "sum": sum(values),
        "4-lower": quarters[0],
        "4-upper": quarters[2],
        "4-dev": (quarters[2] - quarters[0]) / 2,
        **{f"5-{number + 1}": value for number, value in enumerate(fifths)},
        "20-percent": fifths[0],
        "80-percent": fifths[3],
    }
    assert {name: STATISTICS[name](values) for name in expected} == expected
    deviation = STATISTICS["std-dev"](values)
    assert deviation is not None
    assert isclose(float(deviation), statistics.stdev([float(each) for each in values]), rel_tol=1e-9, abs_tol=1e-9)


@given(st.lists(st.tuples(*[st.fractions(-1000, 1000, max_denominator=100)] * 2), max_size=20))
def test_the_regression_is_that_of_the_library(points: list[tuple[Fraction, Fraction]]) -> None:
    found = regression(points)
    if len({x for x, _ in points}) < 2:
        assert found is None
        return
    expected = statistics.linear_regression([x for x, _ in points], [y for _, y in points])
    assert found is not None
    assert isclose(float(found[0]), float(expected.slope), rel_tol=1e-9, abs_tol=1e-9)
    assert isclose(float(found[1]), float(expected.intercept), rel_tol=1e-9, abs_tol=1e-6)


@given(numbers)
def test_the_form_of_a_distribution_is_the_same_in_every_unit(values: list[Fraction]) -> None:
    for name in ("skew", "kurtosis"):
        one, other = STATISTICS[name](values), STATISTICS[name]([each * 7 + 3 for each in values])
        assert (one is None) == (other is None) == (len(set(values)) == 1)
        assert one is None or (other is not None and isclose(float(one), float(other), rel_tol=1e-9, abs_tol=1e-9))


def test_one_value_has_no_spread() -> None:
    one = [Fraction(5)]
    nothing = {name for name, each in STATISTICS.items() if each(one) is None}
    assert nothing == {"std-dev", "variance", "skew", "kurtosis"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(1, 3), "0.333333333333333"),
        (Fraction(100), "100"),
        (Fraction(5, 2), "2.5"),
        (Fraction(0), "0"),
        (Fraction(-1, 8), "-0.125"),
        (Fraction(10**20), "100000000000000000000"),
    ],
)
def test_fifteen_digits_are_given_and_no_exponent(value: Fraction, text: str) -> None:
    assert str(as_decimal(value)) == text
