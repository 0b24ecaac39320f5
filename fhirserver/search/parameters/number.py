"""Number parameters: decimals compared exactly, as strings that sort as the numbers do.

Stored of a number is a point, of a Range an interval. A query's value is compared by its significant digits with `eq` and `ne`
(`100` is all of [99.5, 100.5)) and as the exact number with every other prefix, but `ap`, which is a tenth of it to either side.

The string of a number is a sign (`2`, or `1` for zero, or `0`), five digits of exponent and its significant digits; of a negative
one every digit is its complement, and a `~` ends it. Beyond 34 digits a number is rounded.

https://hl7.org/fhir/R4/search.html#number and https://hl7.org/fhir/R4/search.html#prefix
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import Any

from fhirserver.search.expression import Expression, Some, any_of
from fhirserver.search.parameters.comparison import Asked, Prefix, compared, split
from fhirserver.search.parameters.term import Circumstances, Indexed, Node, Term

MODIFIERS = frozenset({"missing"})

LOWEST, HIGHEST = "0", "3"
"""Below and above the string of every number."""

_DIGITS = 34
_MIDDLE = 50_000
_ROUNDED = Context(prec=_DIGITS, Emax=MAX_EMAX, Emin=MIN_EMIN)
_EXACT = Context(prec=200, Emax=MAX_EMAX, Emin=MIN_EMIN)
_COMPLEMENT = str.maketrans("0123456789", "9876543210")
_WRITTEN = re.compile(r"[+-]?([0-9]{1,50})(?:\.([0-9]{1,50}))?(?:[eE]([+-]?[0-9]{1,3}))?")


def encode(value: Decimal) -> str:
    """The string of a number."""
    value = _ROUNDED.plus(value)
    if not value:
        return "1"
    mantissa, _, exponent = f"{value:e}".partition("e")
    place = min(max(int(exponent) + _MIDDLE, 0), 2 * _MIDDLE - 1)
    negative = mantissa[0] == "-"
    text = f"{place:05d}{mantissa.lstrip('-').replace('.', '').rstrip('0')}"
    return f"0{text.translate(_COMPLEMENT)}~" if negative else "2" + text


def before(text: str) -> str:
    """A string above those of all smaller numbers, and below this number's own."""
    return text[:-1] + chr(ord(text[-1]) - 1) + "~"


def after(text: str) -> str:
    """A string below those of all greater numbers, and above this number's own."""
    return text + " "


@dataclass(frozen=True, slots=True)
class Written:
    """A value of a query as it was written: the number, and half of what its last digit stands for."""

    prefix: Prefix
    value: Decimal
    half: Decimal

    @classmethod
    def parse(cls, text: str) -> Written:
        """Read a value. Raises ValueError."""
        prefix, number = split(text)
        match = _WRITTEN.fullmatch(number)
        if match is None:
            raise ValueError("not a number: write 100, 5.40 or 5.4e-3, with at most 50 digits and 3 in the exponent.")
        whole, fraction, exponent = match.groups(default="")
        last = int(exponent or 0) - len(fraction)
        if exponent and len(whole) == 1 and not fraction:
            # The page itself reads 1e2 as [95, 105): a lone digit with an exponent counts as two.
            last -= 1
        return cls(prefix, Decimal(number), Decimal(5).scaleb(last - 1, _EXACT))

    def asked(self, converted: Callable[[Decimal], Decimal] = Decimal) -> Asked:
        """What is compared, each number first converted to the unit in which it is stored."""
        match self.prefix:
            case Prefix.EQ | Prefix.NE:
                low = encode(converted(_EXACT.subtract(self.value, self.half)))
                end = encode(converted(_EXACT.add(self.value, self.half)))
                return Asked(self.prefix, low, before(end), before(low), end)
            case Prefix.AP:
                # Never less than `eq` finds.
                reach = max(_EXACT.multiply(abs(self.value), Decimal("0.1")), self.half)
                low = encode(converted(_EXACT.subtract(self.value, reach)))
                high = encode(converted(_EXACT.add(self.value, reach)))
                return Asked(self.prefix, low, high, before(low), after(high))
            case _:
                exact = encode(converted(self.value))
                return Asked(self.prefix, exact, exact, before(exact), after(exact))


def condition(term: Term) -> Expression:
    """What the query asks."""
    alternatives = []
    for text in term.texts():
        try:
            asked = Written.parse(text).asked()
        except ValueError as error:
            raise term.refuse(str(error)) from None
        alternatives.append(Some(term.path, compared(asked, "lo", "hi")))
    return any_of(*alternatives)


def indexed(nodes: list[Node], _: Circumstances) -> Indexed | None:
    """What is stored for these values."""
    found = dict.fromkeys(
        ends for kind, value in nodes if (ends := _range(value) if kind == "Range" else _point(value)) is not None
    )
    if not found:
        return None
    return (
        [{"lo": low, "hi": high} for low, high in found],
        min(low for low, _ in found),
        max(high for _, high in found),
    )


def decimal(value: Any) -> Decimal | None:
    """The JSON number as a decimal; None for anything else."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return Decimal(str(value))


def _point(value: Any) -> tuple[str, str] | None:
    number = decimal(value)
    if number is None:
        return None
    text = encode(number)
    return text, text


def _range(value: Any) -> tuple[str, str] | None:
    low, high = (decimal(value.get(end, {}).get("value")) for end in ("low", "high"))
    if low is None and high is None:
        return None
    return (LOWEST if low is None else encode(low)), (HIGHEST if high is None else encode(high))
