"""UCUM units: what a code is worth in base units, exactly.

Codes are read case-sensitively. A unit that this table does not have is still a unit: it converts to itself.

https://ucum.org/ucum
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from fhirserver.fhirpath.values.atoms import ATOMS, METRIC, PREFIXES, SPECIAL

LENGTH = 255
EXPONENT = 30
DEPTH = 16


class Unit(NamedTuple):
    """A factor and the powers of the base units, in alphabetical order; `offset` is added before (degrees)."""

    factor: Fraction
    powers: tuple[tuple[str, int], ...]
    offset: Fraction = Fraction(0)


ONE = Unit(Fraction(1), ())
_LETTER = r"(?:\[[^\[\]]*\]|[^\s.(){}/\[\]+\-0-9])"
_SYMBOL = re.compile(rf"\(|\)|[./]|\{{[^{{}}]*\}}|(?:10[*^]|{_LETTER}+|[0-9]+{_LETTER}*)(?:[+-]?[0-9]+)?")
_EXPONENT = re.compile(r"(10[*^]|[0-9]+|.*?[^0-9+\-])([+-]?[0-9]+)?", re.DOTALL)


def unit(code: str) -> Unit | None:
    """The unit of this code; None if it cannot be read."""
    if not code or len(code) > LENGTH:
        return ONE if code == "" else None
    return _unit(code)


@lru_cache(2048)
def _unit(code: str) -> Unit | None:
    if code in SPECIAL:
        factor, offset = SPECIAL[code]
        return Unit(factor, (("K", 1),), offset)
    try:
        reader = _Reader(code)
        found = reader.term()
        return found if reader.at == len(reader.parts) else None
    except (ValueError, IndexError, ZeroDivisionError):
        return None


class _Reader:
    """Recursive descent over the parts of one code."""

    def __init__(self, code: str) -> None:
        self.parts: list[str] = []
        position = 0
        while position < len(code):
            match = _SYMBOL.match(code, position)
            if match is None:
                raise ValueError(code)
            self.parts.append(match.group())
            position = match.end()
        self.at = 0
        if self.parts.count("(") > DEPTH:
            raise ValueError(code)

    def term(self) -> Unit:
        found = ONE
        sign = 1
        if self.parts[self.at] == "/":
            self.at += 1
            sign = -1
        while True:
            found = times(found, raised(self.component(), sign))
            if self.at == len(self.parts) or self.parts[self.at] == ")":
                return found
            sign = {".": 1, "/": -1}.get(self.parts[self.at], 0)
            if not sign:
                raise ValueError
            self.at += 1

    def component(self) -> Unit:
        part = self.parts[self.at]
        self.at += 1
        if part == "(":
            found = self.term()
            self.at += 1
            return found
        if part.startswith("{"):
            return ONE
        if part in "./)":
            raise ValueError
        if self.at < len(self.parts) and self.parts[self.at].startswith("{"):
            self.at += 1
        return _factor(part)


def _factor(text: str) -> Unit:
    """A symbol with its exponent, or a number."""
    if text.isdigit():
        return Unit(Fraction(int(text)), ())
    match = _EXPONENT.fullmatch(text)
    if match is None:
        raise ValueError
    exponent = int(match[2] or 1)
    if abs(exponent) > EXPONENT:
        raise ValueError
    return raised(_symbol(match[1]), exponent)


@lru_cache(2048)
def _symbol(symbol: str) -> Unit:
    if symbol in ATOMS:
        return _atom(symbol)
    for length in (1, 2):
        prefix, atom = symbol[:length], symbol[length:]
        if prefix in PREFIXES and atom in METRIC:
            found = _atom(atom)
            return found._replace(factor=found.factor * PREFIXES[prefix])
    # Nothing is known of it, so that it is like itself alone.
    return Unit(Fraction(1), ((symbol, 1),))


def _atom(symbol: str) -> Unit:
    factor, of = ATOMS[symbol]
    if of is None:
        return Unit(factor, ((symbol, 1),))
    inner = unit(of)
    if inner is None:
        raise ValueError
    return inner._replace(factor=inner.factor * factor)


def times(one: Unit, other: Unit) -> Unit:
    """The product of two units."""
    powers: dict[str, int] = dict(one.powers)
    for name, power in other.powers:
        powers[name] = powers.get(name, 0) + power
    return Unit(one.factor * other.factor, tuple(sorted((name, power) for name, power in powers.items() if power)))


def raised(one: Unit, exponent: int) -> Unit:
    """The unit to a power."""
    if exponent == 1:
        return one
    return Unit(one.factor**exponent, tuple((name, power * exponent) for name, power in one.powers if exponent))


CALENDAR: Mapping[str, str] = {
    "year": "a", "month": "mo", "week": "wk", "day": "d", "hour": "h", "minute": "min", "second": "s", "millisecond": "ms",
}  # fmt: skip
"""The calendar's words and the units of UCUM that are nearest."""
