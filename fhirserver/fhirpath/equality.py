"""When two values are the same.

https://hl7.org/fhirpath/N1/#equality
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from decimal import Decimal
from typing import Any

from fhirserver.fhirpath.runtime import Node
from fhirserver.model.dates import interval

DATES = frozenset({"date", "dateTime", "instant"})
FEW = 12
"""Up to here, comparing each with each is faster than making keys."""


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal; numbers by value, and a boolean is not a number."""
    return isinstance(left, bool) is isinstance(right, bool) and bool(left == right)


def equal(left: Sequence[Node], right: Sequence[Node]) -> bool | None:
    """`=`: by order; neither true nor false if a side is empty, or if dates or times agree as far as both say."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    result: bool | None = True
    for one, other in zip(left, right, strict=True):
        found = _equal(one, other)
        if found is False:
            return False
        result = result and found
    return result


def _equal(left: Node, right: Node) -> bool | None:
    (left_type, one), (right_type, other) = left, right
    if left_type in DATES and right_type in DATES:
        return _same_dates(one.removesuffix("T"), other.removesuffix("T"))
    if left_type == right_type == "time":
        return _same_times(one.removeprefix("T"), other.removeprefix("T"))
    return same(one, other)


def _same_dates(one: str, other: str) -> bool | None:
    try:
        (low, high), (other_low, other_high) = interval(one), interval(other)
    except ValueError:
        return None
    if low > other_high or other_low > high:
        return False
    # Seconds and their fractions are one precision.
    exact = one.count(":", 0, 19) == other.count(":", 0, 19) == 2
    return low == other_low if exact else (True if (low, high) == (other_low, other_high) else None)


def _same_times(one: str, other: str) -> bool | None:
    parts, other_parts = one.split(":"), other.split(":")
    shared = min(len(parts), len(other_parts))
    if [Decimal(part) for part in parts[:shared]] != [Decimal(part) for part in other_parts[:shared]]:
        return False
    return True if len(parts) == len(other_parts) else None


def distinct(nodes: list[Node]) -> list[Node]:
    """The nodes without those that equal an earlier one."""
    found: list[Node] = []
    if len(nodes) <= FEW:
        for node in nodes:
            if not any(same(node[1], other[1]) for other in found):
                found.append(node)
        return found
    seen = set()
    for node in nodes:
        key = _key(node[1])
        if key not in seen:
            seen.add(key)
            found.append(node)
    return found


def _key(value: Any) -> Hashable:
    """Equal for the same values only."""
    if isinstance(value, dict):
        return frozenset((name, _key(item)) for name, item in value.items())
    if isinstance(value, list):
        return tuple(_key(item) for item in value)
    key: Hashable = (bool, value) if isinstance(value, bool) else value
    return key
