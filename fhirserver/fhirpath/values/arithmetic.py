"""Arithmetic: numbers exactly, texts, dates with spans of time, and quantities.

What overflows, or divides by zero, is empty.

https://hl7.org/fhirpath/N1/#math
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from typing import Any

from fhirserver.fhirpath.errors import Misuse
from fhirserver.fhirpath.values import dates, quantities
from fhirserver.fhirpath.values.nodes import (
    DATE,
    DATES,
    DATETIME,
    DECIMAL,
    INTEGER,
    NUMBERS,
    QUANTITY,
    STRING,
    TIME,
    Amount,
    Kind,
    Node,
    Nodes,
    named,
    operand,
    plain,
    single,
)

EXACT = Context(prec=28, Emax=6144, Emin=-6143, traps=[InvalidOperation, DivisionByZero, Overflow])
"""Decimals have 28 digits."""
LIMIT = 2**31
"""Integers are those of 32 bits."""
TEXT_LIMIT = 1024 * 1024
"""Characters of a text that an expression makes."""

Operator = Callable[[Nodes, Nodes], list[Node]]


def number(value: int | Decimal) -> list[Node]:
    """An Integer or a Decimal as nodes; empty past their bounds."""
    if isinstance(value, int):
        return [(INTEGER, value)] if -LIMIT <= value < LIMIT else []
    return [(DECIMAL, value)] if value.is_finite() else []


def string(value: str) -> list[Node]:
    """A text as nodes, within its bound."""
    if len(value) > TEXT_LIMIT:
        raise Misuse(f"A text that an expression makes has at most {TEXT_LIMIT} characters.")
    return [(STRING, value)]


def _pair(left: Nodes, right: Nodes, operator: str) -> tuple[Kind, Any, Kind, Any] | None:
    one, other = single(left, f"'{operator}'"), single(right, f"'{operator}'")
    if one is None or other is None:
        return None
    (kind, value), (other_kind, other_value) = operand(one), operand(other)
    if kind is None or other_kind is None:
        for node, found in ((one, kind), (other, other_kind)):
            if found is None and plain(node[1]) is not None and node[0] not in _QUANTITIES:
                raise Misuse(f"'{operator}' does not take {named(node[0])}.")
        return None
    return kind, value, other_kind, other_value


_QUANTITIES = frozenset(
    {"Quantity", "Age", "Count", "Distance", "Duration", "MoneyQuantity", "SimpleQuantity", QUANTITY}
)


def _unfit(operator: str, kind: Kind, other: Kind) -> Misuse:
    return Misuse(f"'{operator}' does not take {kind.value} and {other.value}.")


def plus(left: Nodes, right: Nodes) -> list[Node]:
    """`+`"""
    return _sum(left, right, "+", 1)


def minus(left: Nodes, right: Nodes) -> list[Node]:
    """`-`"""
    return _sum(left, right, "-", -1)


def _sum(left: Nodes, right: Nodes, operator: str, sign: int) -> list[Node]:
    pair = _pair(left, right, operator)
    if pair is None:
        return []
    kind, one, other_kind, other = pair
    if kind in NUMBERS and other_kind in NUMBERS:
        if kind is other_kind is Kind.INTEGER:
            return number(one + other * sign)
        return number(EXACT.add(Decimal(one), Decimal(other) * sign))
    if kind is other_kind is Kind.STRING and sign == 1:
        return string(one + other)
    if other_kind is Kind.QUANTITY and kind in DATES:
        moved = dates.shifted(one, other, sign)
        return [] if moved is None else [(DATE if kind is Kind.DATE else DATETIME, moved)]
    if other_kind is Kind.QUANTITY and kind is Kind.TIME:
        return [(TIME, dates.shifted_time(one, other, sign))]
    if kind is other_kind is Kind.QUANTITY:
        return _amount(quantities.added(one, other, sign))
    if Kind.QUANTITY in (kind, other_kind) and (kind in NUMBERS or other_kind in NUMBERS):
        return _amount(quantities.added(_as_amount(one), _as_amount(other), sign))
    raise _unfit(operator, kind, other_kind)


def _as_amount(value: Any) -> Amount:
    return value if isinstance(value, Amount) else Amount(Decimal(value))


def _amount(amount: Amount | None) -> list[Node]:
    return [] if amount is None else [(QUANTITY, amount)]


def times(left: Nodes, right: Nodes) -> list[Node]:
    """`*`"""
    pair = _pair(left, right, "*")
    if pair is None:
        return []
    kind, one, other_kind, other = pair
    if kind is other_kind is Kind.INTEGER:
        return number(one * other)
    if kind in NUMBERS and other_kind in NUMBERS:
        return number(EXACT.multiply(Decimal(one), Decimal(other)))
    if {kind, other_kind} <= {*NUMBERS, Kind.QUANTITY}:
        return _amount(quantities.multiplied(_as_amount(one), _as_amount(other)))
    raise _unfit("*", kind, other_kind)


def over(left: Nodes, right: Nodes) -> list[Node]:
    """`/`, always of decimals"""
    pair = _pair(left, right, "/")
    if pair is None:
        return []
    kind, one, other_kind, other = pair
    if kind in NUMBERS and other_kind in NUMBERS:
        return number(EXACT.divide(Decimal(one), Decimal(other))) if other else []
    if {kind, other_kind} <= {*NUMBERS, Kind.QUANTITY}:
        return _amount(quantities.divided(_as_amount(one), _as_amount(other)))
    raise _unfit("/", kind, other_kind)


def div(left: Nodes, right: Nodes) -> list[Node]:
    """`div`: the quotient without its fraction"""
    pair = _pair(left, right, "div")
    if pair is None:
        return []
    kind, one, other_kind, other = pair
    if not (kind in NUMBERS and other_kind in NUMBERS):
        raise _unfit("div", kind, other_kind)
    if not other:
        return []
    if kind is other_kind is Kind.INTEGER:
        quotient = abs(one) // abs(other)
        return number(quotient if (one < 0) is (other < 0) else -quotient)
    return number(int(EXACT.divide_int(Decimal(one), Decimal(other))))


def mod(left: Nodes, right: Nodes) -> list[Node]:
    """`mod`: what the division leaves, with the sign of the dividend"""
    pair = _pair(left, right, "mod")
    if pair is None:
        return []
    kind, one, other_kind, other = pair
    if not (kind in NUMBERS and other_kind in NUMBERS):
        raise _unfit("mod", kind, other_kind)
    if not other:
        return []
    if kind is other_kind is Kind.INTEGER:
        rest = abs(one) % abs(other)
        return number(rest if one >= 0 else -rest)
    return number(EXACT.remainder(Decimal(one), Decimal(other)))


def joined(left: Nodes, right: Nodes) -> list[Node]:
    """`&`: texts, and nothing for what is missing"""
    parts = []
    for nodes in (left, right):
        node = single(nodes, "'&'")
        if node is None:
            continue
        kind, value = operand(node)
        if kind is not Kind.STRING:
            if plain(node[1]) is None:
                continue
            raise Misuse(f"'&' does not take {named(node[0])}.")
        parts.append(value)
    return string("".join(parts))


def bounded(operator: Operator) -> Operator:
    """The operator, empty where the bounds of decimals are passed."""

    def apply(left: Nodes, right: Nodes) -> list[Node]:
        try:
            return operator(left, right)
        except ArithmeticError:
            return []

    return apply


ARITHMETIC: Mapping[str, Operator] = {
    "+": bounded(plus),
    "-": bounded(minus),
    "*": bounded(times),
    "/": bounded(over),
    "div": bounded(div),
    "mod": bounded(mod),
    "&": joined,
}
"""The operators between numbers, texts, dates and quantities."""


def negative(nodes: Nodes) -> list[Node]:
    """`-x`"""
    node = single(nodes, "'-'")
    if node is None:
        return []
    kind, value = operand(node)
    if kind is Kind.QUANTITY:
        return [(QUANTITY, Amount(-value.value, value.unit, value.calendar))]
    if kind in NUMBERS:
        return number(-value)
    if plain(node[1]) is None:
        return []
    raise Misuse(f"'-' does not take {named(node[0])}.")


def positive(nodes: Nodes) -> list[Node]:
    """`+x`"""
    node = single(nodes, "'+'")
    if node is None or operand(node)[0] in (*NUMBERS, Kind.QUANTITY):
        return [] if node is None else [node]
    raise Misuse(f"'+' does not take {named(node[0])}.")
