"""The statistics of `$stats`, over exact values.

Deviation and variance are those of a sample; the regression is by least squares; percentiles are interpolated between the two values around them; skew and kurtosis
(in excess of a normal distribution's) are by moments.

https://hl7.org/fhir/R4/valueset-observation-statistics.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal
from fractions import Fraction
from typing import Final

Values = Sequence[Fraction]
"""At least one value, in ascending order."""

_DIGITS: Final = Context(prec=15)
_PLENTY: Final = Context(prec=40)


def as_decimal(value: Fraction) -> Decimal:
    """The value to fifteen digits, written without an exponent."""
    rounded = _DIGITS.divide(Decimal(value.numerator), Decimal(value.denominator))
    return Decimal(f"{rounded.normalize():f}")


def _mean(values: Values) -> Fraction:
    return sum(values, Fraction()) / len(values)


def _moment(values: Values, power: int) -> Fraction:
    mean = _mean(values)
    return sum(((each - mean) ** power for each in values), Fraction()) / len(values)


def _variance(values: Values) -> Fraction | None:
    return None if len(values) == 1 else _moment(values, 2) * len(values) / (len(values) - 1)


def _deviation(values: Values) -> Fraction | None:
    variance = _variance(values)
    return None if variance is None else _root(variance)


def _root(value: Fraction) -> Fraction:
    return Fraction(_PLENTY.sqrt(_PLENTY.divide(Decimal(value.numerator), Decimal(value.denominator))))


def _skew(values: Values) -> Fraction | None:
    spread = _moment(values, 2)
    return _moment(values, 3) / (spread * _root(spread)) if spread else None


def _kurtosis(values: Values) -> Fraction | None:
    spread = _moment(values, 2)
    return _moment(values, 4) / spread**2 - 3 if spread else None


def _percentile(part: Fraction) -> Callable[[Values], Fraction]:
    def of(values: Values) -> Fraction:
        place = part * (len(values) - 1)
        below = int(place)
        above = min(below + 1, len(values) - 1)
        return values[below] + (place - below) * (values[above] - values[below])

    return of


_LOWER, _UPPER = _percentile(Fraction(1, 4)), _percentile(Fraction(3, 4))

STATISTICS: Final[Mapping[str, Callable[[Values], Fraction | None]]] = {
    "average": _mean,
    "maximum": lambda values: values[-1],
    "minimum": lambda values: values[0],
    "median": _percentile(Fraction(1, 2)),
    "sum": lambda values: sum(values, Fraction()),
    "std-dev": _deviation,
    "variance": _variance,
    "20-percent": _percentile(Fraction(1, 5)),
    "80-percent": _percentile(Fraction(4, 5)),
    "4-lower": _LOWER,
    "4-upper": _UPPER,
    "4-dev": lambda values: (_UPPER(values) - _LOWER(values)) / 2,
    "5-1": _percentile(Fraction(1, 5)),
    "5-2": _percentile(Fraction(2, 5)),
    "5-3": _percentile(Fraction(3, 5)),
    "5-4": _percentile(Fraction(4, 5)),
    "skew": _skew,
    "kurtosis": _kurtosis,
}
"""Each statistic of the values; None where so few values have none."""
REGRESSION: Final = "regression"


def regression(points: Sequence[tuple[Fraction, Fraction]]) -> tuple[Fraction, Fraction] | None:
    """The gradient of the line through these points, and where it meets 0; None where they do not lie beside each other."""
    mean, height = (_mean([point[axis] for point in points]) for axis in (0, 1)) if points else (Fraction(), Fraction())
    spread = sum(((x - mean) ** 2 for x, _ in points), Fraction())
    if not spread:
        return None
    gradient = sum(((x - mean) * (y - height) for x, y in points), Fraction()) / spread
    return gradient, height - gradient * mean


COUNTS: Final = ("count", "total-count")
"""How many values there were, and how many Observations, those without a usable value among them."""
UNITLESS: Final = frozenset((*COUNTS, "skew", "kurtosis"))
SQUARED: Final = frozenset(("variance",))
