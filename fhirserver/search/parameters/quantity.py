"""Quantity parameters: numbers with their units, compared as written and, in UCUM, in the unit's base units.

Stored are `w`, the intervals as written with the names of their unit in `u` (`system|code`, `|code`, `|unit`), and `c`, the same in
base units, where the unit is one of UCUM: so 5 g are found as 5000 mg, and nothing else is converted. A comparator opens its
interval (`<5` is all below 5), a Range is from its low to its high, SampledData from its lowest value to its highest. The sort scalars
have the unit before the number: only numbers of one kind have an order.

https://hl7.org/fhir/R4/search.html#quantity and https://ucum.org/ucum
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from fhirserver.fhirpath.values.units import LENGTH
from fhirserver.fhirpath.values.units import unit as unit_of
from fhirserver.search.expression import Expression, In, Some, all_of, any_of
from fhirserver.search.parameters.comparison import compared
from fhirserver.search.parameters.number import HIGHEST, LOWEST, Written, after, before, decimal, encode
from fhirserver.search.parameters.term import Circumstances, Indexed, Node, Term
from fhirserver.search.parameters.token import escape
from fhirserver.search.query.escaping import divide, unescape

MODIFIERS = frozenset({"missing"})

UCUM = "http://unitsofmeasure.org"
CURRENCIES = "urn:iso:std:iso:4217"

_FAR = 1_000
"""The powers of ten that are converted: exact arithmetic with greater ones takes long, and measures nothing."""
_SHORT = 400
"""Characters of units and systems that are remembered."""
_NUMBER = re.compile(r"[+-]?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,9})?", re.ASCII)
"""A number of SampledData."""
_CONTEXT = Context(prec=34, Emax=MAX_EMAX, Emin=MIN_EMIN)
_EXACT = Context(prec=2_000, Emax=MAX_EMAX, Emin=MIN_EMIN)


class Canonical(NamedTuple):
    """The base units of a UCUM unit, as one name, and how its numbers are converted to them."""

    name: str
    convert: Callable[[Decimal], Decimal]


@lru_cache(2_048)
def canonical(code: str) -> Canonical | None:
    """How the unit of this code is converted; None if the code cannot be read."""
    unit = unit_of(code)
    if unit is None or not code:
        return None
    numerator, denominator = Decimal(unit.factor.numerator), Decimal(unit.factor.denominator)
    offset = _EXACT.divide(Decimal(unit.offset.numerator), Decimal(unit.offset.denominator))
    name = ".".join(f"{symbol}{power}" for symbol, power in unit.powers) or "1"

    def convert(value: Decimal) -> Decimal:
        # One rounding of the exact product, so that equal amounts are equal strings, and greater ones never smaller.
        exact = _EXACT.multiply(_EXACT.add(value, offset) if offset else value, numerator)
        return _CONTEXT.divide(exact, denominator)

    return Canonical(name, convert)


def condition(term: Term) -> Expression:
    """What the query asks."""
    return any_of(*(_asked(term, text) for text in term.alternatives))


def _asked(term: Term, text: str) -> Expression:
    number, *unit = (unescape(part) for part in divide(text, "|"))
    if len(unit) not in (0, 2) or (unit and unit[0] and not unit[1]):
        raise term.refuse("a quantity is written number, number|system|code or number||unit.")
    try:
        written = Written.parse(number)
    except ValueError as error:
        raise term.refuse(str(error)) from None
    system, code = unit or ("", "")
    base = canonical(code) if system == UCUM and len(code) <= LENGTH else None
    if base is not None:
        return Some(
            term.path + ".c", all_of(In("u", frozenset({base.name})), compared(written.asked(base.convert), "lo", "hi"))
        )
    among = compared(written.asked(), "lo", "hi")
    if not code:
        return Some(term.path + ".w", among)
    return Some(term.path + ".w", all_of(In("u", frozenset({_name(system, code)})), among))


def _sorted(name: str | None, number: str, names: tuple[str, ...] = ()) -> str:
    """What a quantity is sorted by: its unit, base units first, then its number."""
    return f"={name} {number}" if name is not None else f"~{names[0] if names else ''} {number}"


def _name(system: str | None, code: str) -> str:
    return f"{escape(system) if system else ''}|{escape(code)}"


Interval = tuple[str, str, tuple[str, ...], str, str, str | None]
"""The ends as written, the names of the unit; the ends in base units, and their name, if there are."""


def indexed(nodes: list[Node], _: Circumstances) -> Indexed | None:
    """What is stored for these values."""
    found = [interval for kind, value in nodes for interval in _intervals(kind, value)]
    if len(found) > 1:
        return _stored(tuple(dict.fromkeys(found)))
    if not found:
        return None
    return _stored_alone(found[0]) if _is_short(found[0][2]) else _stored_alone.__wrapped__(found[0])


def _is_short(texts: Iterable[str | None]) -> bool:
    """Whether what units and systems are written with is short enough to be remembered."""
    return sum([len(each) for each in texts if each]) <= _SHORT


def _stored(found: tuple[Interval, ...]) -> Indexed:
    written, base = [], []
    for low, high, names, base_low, base_high, name in found:
        written.append({"lo": low, "hi": high, "u": list(names)} if names else {"lo": low, "hi": high})
        if name is not None:
            base.append({"u": name, "lo": base_low, "hi": base_high})
    stored = {"w": written, "c": base} if base else {"w": written}
    lows = [_sorted(each[5], each[3], each[2]) for each in found]
    highs = [_sorted(each[5], each[4], each[2]) for each in found]
    return stored, min(lows), max(highs)


@lru_cache(4_096)
def _stored_alone(found: Interval) -> Indexed:
    return _stored((found,))


def _intervals(kind: str, value: Any) -> Iterator[Interval]:
    match kind:
        case "Range":
            yield from _range(value)
        case "SampledData":
            yield from _sampled(value)
        case "Money":
            yield from _quantity(value.get("value"), None, None, CURRENCIES, value.get("currency"))
        case _ if isinstance(value, Mapping):  # an expression that is not R4's may end at anything
            yield from _quantity(*map(value.get, ("value", "comparator", "unit", "system", "code")))


def _quantity(
    value: Any, comparator: str | None, unit: str | None, system: str | None, code: str | None
) -> Iterable[Interval]:
    number = decimal(value)
    return () if number is None else (_compared(number, comparator, unit, system, code),)


def _compared(
    number: Decimal, comparator: str | None, unit: str | None, system: str | None, code: str | None
) -> Interval:
    """The interval of a quantity. Laboratories measure in few units, and the same values come again."""
    interval = _interval if _is_short((unit, system, code)) else _interval.__wrapped__
    return interval(number, comparator, unit, system, code)


@lru_cache(4_096)
def _interval(
    number: Decimal, comparator: str | None, unit: str | None, system: str | None, code: str | None
) -> Interval:
    low, high = _opened(encode(number), comparator)
    names = _names(unit, system, code)
    base = (
        canonical(code) if system == UCUM and code and len(code) <= LENGTH and abs(number.adjusted()) < _FAR else None
    )
    if base is None:
        return low, high, names, low, high, None
    return low, high, names, *_opened(encode(base.convert(number)), comparator), base.name


def _names(unit: str | None, system: str | None, code: str | None) -> tuple[str, ...]:
    names = {_name(system, code): None, _name(None, code): None} if code else {}
    if unit:
        names[_name(None, unit)] = None
    return tuple(names)


def _opened(exact: str, comparator: str | None) -> tuple[str, str]:
    match comparator:
        case "<":
            return LOWEST, before(exact)
        case "<=":
            return LOWEST, exact
        case ">=":
            return exact, HIGHEST
        case ">":
            return after(exact), HIGHEST
        case _:
            return exact, exact


def _range(value: Any) -> Iterator[Interval]:
    """From the low of the one end to the high of the other; ends of different units are an interval in base units only."""
    ends = [next(_intervals("Quantity", value.get(end) or {}), None) for end in ("low", "high")]
    low, high = ends
    if low is None or high is None:
        one = low or high
        if one is not None:
            yield (
                one[0] if low else LOWEST, one[1] if high else HIGHEST, one[2],
                one[3] if low else LOWEST, one[4] if high else HIGHEST, one[5],
            )  # fmt: skip
    elif low[2] == high[2] or (low[5] is not None and low[5] == high[5]):
        names = tuple(name for name in low[2] if name in high[2])
        yield low[0], high[1], names, low[3], high[4], low[5] if low[5] == high[5] else None


def _sampled(value: Any) -> Iterator[Interval]:
    """From the lowest value to the highest, in the unit of the origin; what is beyond the device's limits opens that end."""
    origin = value.get("origin") or {}
    start, factor = decimal(origin.get("value")), decimal(value.get("factor", 1))
    texts = str(value.get("data", "")).split()
    if start is None or factor is None or not texts:
        return
    numbers = [Decimal(text) for text in texts if _NUMBER.fullmatch(text)]
    unit = tuple(map(origin.get, ("unit", "system", "code")))
    ends = (
        [_CONTEXT.add(start, _CONTEXT.multiply(number, factor)) for number in (min(numbers), max(numbers))]
        if numbers
        else []
    )
    ends.sort()
    for mark, limit, beyond in (("L", "lowerLimit", 0), ("U", "upperLimit", 1)):
        if mark in texts and (bound := decimal(value.get(limit))) is not None:
            ends.insert(beyond * len(ends), _CONTEXT.add(start, _CONTEXT.multiply(bound, factor)))
    if not ends:
        return
    low = _compared(ends[0], "<=" if "L" in texts else None, *unit)
    high = _compared(ends[-1], ">=" if "U" in texts else None, *unit)
    yield low[0], high[1], low[2], low[3], high[4], low[5]
