"""Boundaries and precision: the least and the greatest value that a written one can stand for.

Not of FHIRPath N1 but of its later releases.

https://hl7.org/fhirpath/#lowboundaryprecision-integer-decimal--date--datetime--time
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from fhirserver.fhirpath.values import dates
from fhirserver.fhirpath.values.nodes import DATE, DATETIME, DECIMAL, QUANTITY, TIME, Amount, Kind, Node, operand
from fhirserver.model.dates import days_in_month

_WIDE = Context(prec=80)
_DECIMAL_PLACES = 28
_DATE_DIGITS = {4: 1, 6: 2, 8: 3}
_DATETIME_DIGITS = {4: 1, 6: 2, 8: 3, 10: 4, 12: 5, 14: 6, 17: 7}
_TIME_DIGITS = {2: 1, 4: 2, 6: 3, 9: 4}
_EARLIEST, _LATEST = "+14:00", "-12:00"


def boundary(node: Node, digits: int | None, *, high: bool) -> Node | None:
    """`lowBoundary(digits)` or `highBoundary(digits)` of one item; None if it has none of that precision."""
    kind, value = operand(node)
    if kind in (Kind.INTEGER, Kind.DECIMAL):
        number = _number(Decimal(value), digits, high)
        return None if number is None else (DECIMAL, number)
    if kind is Kind.QUANTITY:
        number = _number(value.value, digits, high)
        return None if number is None else (QUANTITY, Amount(number, value.unit, value.calendar))
    if kind is Kind.DATE:
        parts = _DATE_DIGITS.get(8 if digits is None else digits)
        return None if parts is None else _date(value, parts, high, DATE)
    if kind is Kind.DATETIME:
        parts = _DATETIME_DIGITS.get(17 if digits is None else digits)
        return None if parts is None else _date(value, parts, high, DATETIME)
    if kind is Kind.TIME:
        parts = _TIME_DIGITS.get(9 if digits is None else digits)
        match = dates.TIME.fullmatch(value)
        if parts is None or match is None:
            return None
        return TIME, _clock([part for part in match.groups()], parts, high)  # noqa: C416 - a list to fill
    return None


def _number(value: Decimal, digits: int | None, high: bool) -> Decimal | None:
    places = 8 if digits is None else digits
    if not 0 <= places <= _DECIMAL_PLACES or not value.is_finite():
        return None
    exponent = min(int(value.as_tuple().exponent), 0)
    half = Decimal(5).scaleb(exponent - 1, context=_WIDE)
    edge = _WIDE.add(value, half if high else -half)
    try:
        return edge.quantize(Decimal(1).scaleb(-places), rounding=ROUND_CEILING if high else ROUND_FLOOR, context=_WIDE)
    except ArithmeticError:
        return None


def _date(value: str, parts: int, high: bool, type: str) -> Node | None:
    match = dates.DATETIME.fullmatch(value)
    if match is None or dates.span(value) is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    month = month or ("12" if high else "01")
    day = day or (f"{days_in_month(int(year), int(month)):02}" if high else "01")
    text = "-".join((year, month, day)[: min(parts, 3)])
    if parts <= 3:
        return type, text
    return (
        type,
        f"{text}T{_clock([hour, minute, second, fraction], parts - 3, high)}{zone or (_LATEST if high else _EARLIEST)}",
    )


def _clock(written: list[str | None], parts: int, high: bool) -> str:
    hour, minute, second, fraction = written
    hour = hour or ("23" if high else "00")
    minute = minute or ("59" if high else "00")
    second = second or ("59" if high else "00")
    text = ":".join((hour, minute, second)[:parts])
    return text if parts < 4 else f"{text}.{(fraction or '').ljust(3, '9' if high else '0')[:3]}"


def precision(node: Node) -> int | None:
    """`precision()`: the digits that are written; of a number, those after the point."""
    kind, value = operand(node)
    if kind is Kind.INTEGER:
        return 0
    if kind is Kind.DECIMAL:
        return max(-int(value.as_tuple().exponent), 0)
    if kind in (Kind.DATE, Kind.DATETIME):
        match = dates.DATETIME.fullmatch(value)
        return None if match is None else sum(len(part) for part in match.groups()[:7] if part)
    if kind is Kind.TIME:
        match = dates.TIME.fullmatch(value)
        return None if match is None else sum(len(part) for part in match.groups() if part)
    return None
