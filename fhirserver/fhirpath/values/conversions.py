"""Conversions between FHIRPath's own types. What cannot be converted gives None.

https://hl7.org/fhirpath/N1/#conversion
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from fhirserver.fhirpath.values import dates
from fhirserver.fhirpath.values.arithmetic import LIMIT
from fhirserver.fhirpath.values.nodes import Amount, Kind, Node, operand
from fhirserver.fhirpath.values.units import CALENDAR, unit

_INTEGER = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?[0-9]{1,400}(?:\.[0-9]{1,400})?", re.ASCII)
_QUANTITY = re.compile(
    r"(?P<value>[+-]?[0-9]{1,400}(?:\.[0-9]{1,400})?)\s*(?:'(?P<unit>[^']+)'|(?P<word>[a-z]+))?", re.ASCII
)
_TRUE = frozenset({"true", "t", "yes", "y", "1", "1.0"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "0.0"})


def to_boolean(kind: Kind, value: Any) -> bool | None:
    """`toBoolean()`"""
    if kind is Kind.BOOLEAN:
        return bool(value)
    if kind is Kind.STRING:
        folded = value.lower()
        return True if folded in _TRUE else (False if folded in _FALSE else None)
    if kind in (Kind.INTEGER, Kind.DECIMAL):
        return True if value == 1 else (False if value == 0 else None)
    return None


def to_integer(kind: Kind, value: Any) -> int | None:
    """`toInteger()`"""
    found: int | None = None
    if kind is Kind.INTEGER or kind is Kind.BOOLEAN or (kind is Kind.STRING and _INTEGER.fullmatch(value)):
        found = int(value)
    return found if found is not None and -LIMIT <= found < LIMIT else None


def to_decimal(kind: Kind, value: Any) -> Decimal | None:
    """`toDecimal()`"""
    if kind is Kind.DECIMAL:
        return value  # type: ignore[no-any-return]
    if kind is Kind.INTEGER or kind is Kind.BOOLEAN:
        return Decimal(int(value))
    if kind is Kind.STRING and _DECIMAL.fullmatch(value):
        return Decimal(value)
    return None


def to_string(kind: Kind, value: Any) -> str | None:
    """`toString()`"""
    if kind is Kind.BOOLEAN:
        return "true" if value else "false"
    if kind is Kind.DECIMAL:
        return f"{value:f}"
    return None if kind is Kind.QUANTITY and value.is_foreign else str(value)


def to_date(kind: Kind, value: Any) -> str | None:
    """`toDate()`"""
    if kind is Kind.DATE:
        return str(value)
    if kind is Kind.DATETIME or kind is Kind.STRING:
        match = (dates.DATETIME if kind is Kind.DATETIME else dates.DATE).fullmatch(value)
        return None if match is None or dates.span(value) is None else value[:10].removesuffix("T")
    return None


def to_datetime(kind: Kind, value: Any) -> str | None:
    """`toDateTime()`"""
    if kind in (Kind.DATE, Kind.DATETIME):
        return str(value)
    return value.removesuffix("T") if kind is Kind.STRING and dates.span(value) is not None else None


def to_time(kind: Kind, value: Any) -> str | None:
    """`toTime()`"""
    if kind is Kind.TIME:
        return str(value)
    return value.removeprefix("T") if kind is Kind.STRING and dates.clock(value) is not None else None


def to_quantity(kind: Kind, value: Any) -> Amount | None:
    """`toQuantity()`"""
    if kind is Kind.QUANTITY:
        return None if value.is_foreign else value
    if kind in (Kind.INTEGER, Kind.DECIMAL, Kind.BOOLEAN):
        return Amount(Decimal(int(value)) if kind is Kind.BOOLEAN else Decimal(value))
    match = _QUANTITY.fullmatch(value) if kind is Kind.STRING else None
    if match is None:
        return None
    amount, code, word = Decimal(match["value"]), match["unit"], match["word"]
    if code is not None:
        return Amount(amount, code) if unit(code) is not None else None
    if word is None:
        return Amount(amount)
    word = word.removesuffix("s")
    return Amount(amount, word, calendar=True) if word in CALENDAR else None


CONVERSIONS: Mapping[Kind, Callable[[Kind, Any], Any]] = {
    Kind.BOOLEAN: to_boolean,
    Kind.INTEGER: to_integer,
    Kind.DECIMAL: to_decimal,
    Kind.STRING: to_string,
    Kind.DATE: to_date,
    Kind.DATETIME: to_datetime,
    Kind.TIME: to_time,
    Kind.QUANTITY: to_quantity,
}


def converted(node: Node, wanted: Kind) -> Any:
    """The value of a node as that kind; None if it has none."""
    kind, value = operand(node)
    return None if kind is None else CONVERSIONS[wanted](kind, value)
