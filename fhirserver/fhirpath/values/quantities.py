"""Quantities: equality, order and arithmetic across units.

https://hl7.org/fhirpath/N1/#quantity-equality and https://hl7.org/fhirpath/N1/#time-valued-quantities
"""

from __future__ import annotations

from decimal import Context, Decimal
from fractions import Fraction

from fhirserver.fhirpath.errors import Misuse
from fhirserver.fhirpath.values.nodes import Amount
from fhirserver.fhirpath.values.units import CALENDAR, Unit, unit

_VAGUE = frozenset({"year", "month"})
_EXACT = Context(prec=28)


def canonical(amount: Amount) -> tuple[Fraction, tuple[tuple[str, int], ...]] | None:
    """The amount in base units; None if its unit cannot be read. The calendar's years and months are of their own."""
    found = _unit(amount)
    if found is None or not amount.value.is_finite():
        return None
    return (Fraction(amount.value) + found.offset) * found.factor, found.powers


def _unit(amount: Amount) -> Unit | None:
    if not amount.calendar:
        return unit(amount.unit)
    if amount.unit in _VAGUE:
        return Unit(Fraction(12 if amount.unit == "year" else 1), (("calendar month", 1),))
    return unit(CALENDAR[amount.unit])


def _same_unit(one: Amount, other: Amount) -> bool:
    return one.unit == other.unit and one.calendar == other.calendar


def compared(one: Amount, other: Amount) -> int | None:
    """-1, 0 or 1; None if the units measure different things."""
    if _same_unit(one, other):
        return (one.value > other.value) - (one.value < other.value)
    left, right = canonical(one), canonical(other)
    if left is None or right is None or left[1] != right[1]:
        return None
    return (left[0] > right[0]) - (left[0] < right[0])


def comparable(one: Amount, other: Amount) -> bool:
    """Whether the units measure the same thing."""
    return compared(one, other) is not None


def equivalent(one: Amount, other: Amount) -> bool:
    """`~`: a calendar's year is like `1 'a'`; values are the same to the digits of the one that has fewer."""
    left = Amount(one.value, CALENDAR[one.unit]) if one.calendar else one
    right = Amount(other.value, CALENDAR[other.unit]) if other.calendar else other
    if left.unit == right.unit:
        return equivalent_numbers(left.value, right.value)
    first, second = canonical(left), canonical(right)
    if first is None or second is None or first[1] != second[1]:
        return False
    if first[0] == second[0]:
        return True
    converted = in_unit_of(right, left)
    return converted is not None and equivalent_numbers(left.value, converted)


def equivalent_numbers(one: Decimal, other: Decimal) -> bool:
    """Whether the numbers are the same when rounded to the fewer decimal places of the two."""
    places = min(max(-int(number.normalize(_EXACT).as_tuple().exponent), 0) for number in (one, other))
    quantum = Decimal(1).scaleb(-places)
    try:
        return one.quantize(quantum, context=_WIDE) == other.quantize(quantum, context=_WIDE)
    except ArithmeticError:
        return one == other


_WIDE = Context(prec=400)


def in_unit_of(amount: Amount, wanted: Amount) -> Decimal | None:
    """The value that the amount has in the other's unit; None if it has none."""
    if _same_unit(amount, wanted):
        return amount.value
    found, to = canonical(amount), _unit(wanted)
    if found is None or to is None or found[1] != to.powers:
        return None
    return decimal(found[0] / to.factor - to.offset)


def decimal(value: Fraction) -> Decimal:
    """The nearest decimal of 28 digits."""
    return _EXACT.divide(Decimal(value.numerator), Decimal(value.denominator))


def added(one: Amount, other: Amount, sign: int) -> Amount | None:
    """The sum or difference; of two units, in the one that is smaller. None if they measure different things."""
    if _same_unit(one, other):
        return Amount(_EXACT.add(one.value, other.value * sign), one.unit, one.calendar)
    left, right = _unit(one), _unit(other)
    if left is None or right is None or left.powers != right.powers or left.offset or right.offset:
        return None
    finer = one if left.factor <= right.factor else other
    first, second = in_unit_of(one, finer), in_unit_of(other, finer)
    if first is None or second is None:
        return None
    return Amount(_EXACT.add(first, second * sign), finer.unit, finer.calendar)


def multiplied(one: Amount, other: Amount) -> Amount:
    """The product, in the product of the units."""
    value = _EXACT.multiply(one.value, other.value)
    if other.unit == "1" or one.unit == "1":
        kept = one if other.unit == "1" else other
        return Amount(value, kept.unit, kept.calendar)
    left, right = _code(one), _code(other)
    if left == right and left.isalpha():
        return Amount(value, f"{left}2")
    return _checked(value, f"{_bracketed(left)}.{_bracketed(right)}")


def divided(one: Amount, other: Amount) -> Amount | None:
    """The quotient; None if the divisor is zero. Of units of one measure, a number."""
    if not other.value:
        return None
    if other.unit == "1":
        return Amount(_EXACT.divide(one.value, other.value), one.unit, one.calendar)
    left, right = canonical(one), canonical(other)
    if left is not None and right is not None and left[1] == right[1] and right[0]:
        return Amount(_EXACT.divide(one.value, other.value) if _same_unit(one, other) else decimal(left[0] / right[0]))
    value = _EXACT.divide(one.value, other.value)
    return _checked(value, f"{'' if one.unit == '1' else _bracketed(_code(one))}/{_bracketed(_code(other))}")


def _checked(value: Decimal, code: str) -> Amount:
    if unit(code) is None:
        raise Misuse("The units of these quantities cannot be combined.")
    return Amount(value, code)


def _code(amount: Amount) -> str:
    return CALENDAR[amount.unit] if amount.calendar else amount.unit


def _bracketed(code: str) -> str:
    return f"({code})" if "/" in code or "." in code else code
