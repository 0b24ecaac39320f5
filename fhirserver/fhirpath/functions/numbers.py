"""Functions of numbers, the conversions, boundaries, and the caller's clock.

https://hl7.org/fhirpath/N1/#math, https://hl7.org/fhirpath/N1/#conversion and https://hl7.org/fhirpath/N1/#utility-functions
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Any

from fhirserver.fhirpath.environment import Environment
from fhirserver.fhirpath.errors import Misuse
from fhirserver.fhirpath.functions.calls import General, Run
from fhirserver.fhirpath.values import quantities
from fhirserver.fhirpath.values.arithmetic import EXACT, number
from fhirserver.fhirpath.values.boundaries import boundary, precision
from fhirserver.fhirpath.values.conversions import converted
from fhirserver.fhirpath.values.nodes import (
    BOOLEAN,
    DATE,
    DATETIME,
    DECIMAL,
    INTEGER,
    NUMBERS,
    QUANTITY,
    TIME,
    Amount,
    Kind,
    Node,
    Nodes,
    decided,
    integer,
    named,
    operand,
    plain,
    single,
    single_of,
    text,
)
from fhirserver.fhirpath.values.units import CALENDAR

Arguments = Sequence[Nodes]


def _operand(nodes: Nodes, name: str) -> Any:
    """The one number or quantity; None if there is none."""
    node = single(nodes, f"{name}()")
    if node is None:
        return None
    if plain(node[1]) is None:
        return None
    kind, value = operand(node)
    if kind not in NUMBERS and kind is not Kind.QUANTITY:
        raise Misuse(f"{name}() needs a number, not {named(node[0])}.")
    return value


def _of(name: str, function: Callable[..., int | Decimal]) -> Run:
    """A function of numbers: empty if one is missing or the result is not a number."""

    def run(nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
        given = [_operand(part, name) for part in (nodes, *arguments)]
        if None in given:
            return []
        if any(isinstance(each, Amount) for each in given):
            raise Misuse(f"{name}() needs a number, not a Quantity.")
        try:
            return number(function(*given))
        except (ArithmeticError, ValueError):
            return []

    return run


def absolute(nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
    """`abs()`"""
    value = _operand(nodes, "abs")
    if isinstance(value, Amount):
        return [(QUANTITY, Amount(abs(value.value), value.unit, value.calendar))]
    return [] if value is None else number(abs(value))


def _whole(rounding: str) -> Callable[[int | Decimal], int]:
    return lambda value: int(Decimal(value).to_integral_value(rounding=rounding))


def rounded(value: int | Decimal, places: int | Decimal = 0) -> Decimal:
    """`round(places)`: halves away from zero"""
    if not isinstance(places, int) or not 0 <= places <= 28:
        raise Misuse("round() needs a number of decimal places from 0 to 28.")
    return Decimal(value).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP, context=EXACT)


def power(base: int | Decimal, exponent: int | Decimal) -> int | Decimal:
    """`power(exponent)`"""
    if isinstance(base, int) and isinstance(exponent, int) and 0 <= exponent <= 64:
        return int(base**exponent)
    found = EXACT.power(Decimal(base), Decimal(exponent)).normalize(EXACT)
    is_whole = isinstance(base, int) and isinstance(exponent, int) and found == found.to_integral_value()
    if is_whole and abs(found) >= 2**31:
        raise OverflowError
    return int(found) if is_whole else found


def logarithm(value: int | Decimal, base: int | Decimal) -> Decimal:
    """`log(base)`"""
    return EXACT.divide(EXACT.ln(Decimal(value)), EXACT.ln(Decimal(base))).quantize(Decimal("1e-20")).normalize(EXACT)


def _positive(function: Callable[[Decimal], Decimal]) -> Callable[[int | Decimal], Decimal]:
    def run(value: int | Decimal) -> Decimal:
        return function(Decimal(value))

    return run


def _to(name: str, kind: Kind) -> Run:
    """`toX()`: the item as that type, or empty"""

    def run(nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
        node = single(nodes, f"{name}()")
        value = None if node is None else converted(node, kind)
        if value is None:
            return []
        if arguments:
            return _in_unit(value, text(arguments[0], f"{name}()"))
        return [(f"System.{kind.value}", value)]

    return run


def _in_unit(amount: Amount, unit: str | None) -> list[Node]:
    """`toQuantity(unit)`"""
    if unit is None:
        return []
    word = unit.removesuffix("s")
    wanted = Amount(amount.value, word, calendar=True) if word in CALENDAR else Amount(amount.value, unit)
    value = quantities.in_unit_of(amount, wanted)
    return [] if value is None else [(QUANTITY, Amount(value, wanted.unit, wanted.calendar))]


def _converts_to(name: str, kind: Kind) -> Run:
    """`convertsToX()`"""
    convert = _to(name, kind)

    def run(nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
        return decided(bool(convert(nodes, arguments, environment))) if nodes else []

    return run


def _boundary(name: str, *, high: bool) -> Run:
    def run(nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
        node = single(nodes, f"{name}()")
        digits = integer(arguments[0], f"{name}()") if arguments else None
        if node is None or (arguments and digits is None):
            return []
        found = boundary(node, digits, high=high)
        return [] if found is None else [found]

    return run


def comparable(nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
    """`comparable(quantity)`: not of R4 but of its later releases"""
    one, other = (single_of(each, Kind.QUANTITY, "comparable()") for each in (nodes, arguments[0]))
    return [] if one is None or other is None else decided(quantities.comparable(one, other))


def digits(nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
    """`precision()`"""
    node = single(nodes, "precision()")
    found = None if node is None else precision(node)
    return [] if found is None else [(INTEGER, found)]


def _clock(name: str, type: str, form: Callable[[datetime], str]) -> Run:
    def run(nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
        if environment.now is None:
            raise Misuse(f"{name}() needs a clock, which was not given.")
        return [(type, form(environment.now))]

    return run


def _datetime(now: datetime) -> str:
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_CONVERSIONS = {
    f"{prefix}{kind.value}": General(
        range(2 if kind is Kind.QUANTITY else 1),
        (_to if prefix == "to" else _converts_to)(f"{prefix}{kind.value}", kind),
        f"System.{kind.value}" if prefix == "to" else BOOLEAN,
    )
    for kind in Kind
    for prefix in ("to", "convertsTo")
}
TABLE = {
    **_CONVERSIONS,
    "abs": General(range(1), absolute, ""),
    "ceiling": General(range(1), _of("ceiling", _whole(ROUND_CEILING)), INTEGER),
    "floor": General(range(1), _of("floor", _whole(ROUND_FLOOR)), INTEGER),
    "truncate": General(range(1), _of("truncate", _whole(ROUND_DOWN)), INTEGER),
    "round": General(range(2), _of("round", rounded), DECIMAL),
    "exp": General(range(1), _of("exp", _positive(EXACT.exp)), DECIMAL),
    "ln": General(range(1), _of("ln", _positive(EXACT.ln)), DECIMAL),
    "log": General(range(1, 2), _of("log", logarithm), DECIMAL),
    "power": General(range(1, 2), _of("power", power), ""),
    "sqrt": General(range(1), _of("sqrt", _positive(EXACT.sqrt)), DECIMAL),
    "lowBoundary": General(range(2), _boundary("lowBoundary", high=False), ""),
    "highBoundary": General(range(2), _boundary("highBoundary", high=True), ""),
    "comparable": General(range(1, 2), comparable, BOOLEAN),
    "precision": General(range(1), digits, INTEGER),
    "now": General(range(1), _clock("now", DATETIME, _datetime), DATETIME),
    "today": General(range(1), _clock("today", DATE, lambda now: now.date().isoformat()), DATE),
    "timeOfDay": General(range(1), _clock("timeOfDay", TIME, lambda now: _datetime(now)[11:23]), TIME),
}
