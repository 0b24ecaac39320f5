"""When two values are the same.

https://hl7.org/fhirpath/N1/#equality
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from fhirserver.fhirpath.runtime import Node

FEW = 12
"""Up to here, comparing each with each is faster than making keys."""


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal; numbers by value, and a boolean is not a number."""
    return isinstance(left, bool) is isinstance(right, bool) and bool(left == right)


def equal(left: Sequence[Node], right: Sequence[Node]) -> bool | None:
    """`=`: by order; neither true nor false if a side is empty."""
    if not left or not right:
        return None
    return len(left) == len(right) and all(same(a[1], b[1]) for a, b in zip(left, right, strict=True))


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
