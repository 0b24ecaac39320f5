"""Which of two values is greater.

https://hl7.org/fhirpath/N1/#comparison
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fhirserver.fhirpath.errors import Misuse
from fhirserver.fhirpath.values import dates
from fhirserver.fhirpath.values.nodes import DATES, KINDS, NUMBERS, Kind, Node, Nodes, named, operand, plain, single
from fhirserver.fhirpath.values.quantities import compared as compared_amounts

ORDERS: Mapping[str, Callable[[int], bool]] = {
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}
"""The operators, as questions to -1, 0 or 1."""


def order(left: Nodes, right: Nodes) -> int | None:
    """-1, 0 or 1 of two single items; None if one is missing or nothing decides."""
    one, other = single(left, "A comparison"), single(right, "A comparison")
    return None if one is None or other is None else compared(one, other)


def compared(one: Node, other: Node) -> int | None:
    """-1, 0 or 1; None if nothing decides."""
    (kind, left), (other_kind, right) = operand(one), operand(other)
    if kind is None or other_kind is None:
        for node in (one, other):
            if plain(node[1]) is None or KINDS.get(node[0]) is Kind.QUANTITY:
                return None
        raise _incomparable(one, other)
    if kind is other_kind or (kind in NUMBERS and other_kind in NUMBERS):
        if kind is Kind.STRING or kind in NUMBERS:
            return int(left > right) - int(left < right)
        if kind is Kind.TIME:
            return dates.compared_times(left, right)
        if kind is Kind.QUANTITY:
            return compared_amounts(left, right)
    if kind in DATES and other_kind in DATES:
        return dates.compared(left, right)
    raise _incomparable(one, other)


def _incomparable(one: Node, other: Node) -> Misuse:
    return Misuse(f"{named(one[0])} and {named(other[0])} have no order.")
