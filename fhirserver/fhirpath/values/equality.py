"""When two values are the same, and when they are alike.

https://hl7.org/fhirpath/N1/#equality and https://hl7.org/fhirpath/N1/#equivalence
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from decimal import Decimal
from typing import Any

from fhirserver.fhirpath.values import dates, quantities
from fhirserver.fhirpath.values.nodes import DATES, NUMBERS, Kind, Node, Primitive, operand, plain

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
        found = equal_nodes(one, other)
        if found is False:
            return False
        result = result and found
    return result


def equal_nodes(one: Node, other: Node) -> bool | None:
    """`=` of two items."""
    (kind, left), (other_kind, right) = operand(one), operand(other)
    if kind is None or other_kind is None:
        return _equal_elements(one, other)
    if kind is not other_kind:
        if kind in NUMBERS and other_kind in NUMBERS:
            return bool(left == right)
        if not (kind in DATES and other_kind in DATES):
            return _equals_written(one, other, left, right)
    if kind in DATES:
        order = dates.compared(left, right)
        return None if order is None else order == 0
    if kind is Kind.TIME:
        order = dates.compared_times(left, right)
        return None if order is None else order == 0
    if kind is Kind.QUANTITY:
        order = quantities.compared(left, right)
        return None if order is None else order == 0
    return bool(left == right)


def _equals_written(one: Node, other: Node, left: Any, right: Any) -> bool:
    """Of values of two kinds: FHIR's dates and times may be compared with a text, as they are written."""
    types = {one[0], other[0]}
    return bool(types & _WRITTEN) and bool(types & _TEXTS) and bool(left == right)


_WRITTEN = frozenset({"date", "dateTime", "instant", "time"})
_TEXTS = frozenset({"System.String", "string", "code"})


def _equal_elements(one: Node, other: Node) -> bool | None:
    """Of elements, by all they hold. A primitive without a value has nothing to compare."""
    left, right = one[1], other[1]
    if isinstance(left, Primitive) or isinstance(right, Primitive):
        return None if plain(left) is None or plain(right) is None else False
    return same(left, right)


def distinct(nodes: Sequence[Node]) -> list[Node]:
    """The nodes without those that equal an earlier one."""
    found: list[Node] = []
    if len(nodes) <= FEW:
        for node in nodes:
            if not contains(found, node):
                found.append(node)
        return found
    seen = set()
    for node in nodes:
        key = key_of(node)
        if key not in seen:
            seen.add(key)
            found.append(node)
    return found


def contains(nodes: Sequence[Node], node: Node) -> bool:
    """Whether one of the nodes equals this one."""
    type, value = node
    for other in nodes:
        if type == other[0] and value is other[1]:
            return True
        if equal_nodes(node, other):
            return True
    return False


def key_of(node: Node) -> Hashable:
    """The same for nodes that are equal, and for no others."""
    kind, value = operand(node)
    if kind is None:
        return (id(value.element),) if isinstance(value, Primitive) else _key(value)
    if kind in NUMBERS:
        return "number", value
    if kind in DATES:
        found = dates.span(value)
        # Up to the second all that is written counts; below it only the moment.
        return ("date", value) if found is None else ("date", found[0], found[2])
    if kind is Kind.TIME:
        return "time", dates.clock(value) or value
    if kind is Kind.QUANTITY:
        return "quantity", quantities.canonical(value) or value
    return kind, value


def _key(value: Any) -> Hashable:
    """Equal for the same JSON values only."""
    if isinstance(value, dict):
        return frozenset((name, _key(item)) for name, item in value.items())
    if isinstance(value, list):
        return tuple(_key(item) for item in value)
    key: Hashable = (bool, value) if isinstance(value, bool) else value
    return key


def distinct_values(nodes: list[Node]) -> list[Node]:
    """As `distinct`, by what JSON says alone: quantities of two units stay two, as what is indexed must."""
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


def equivalent(left: Sequence[Node], right: Sequence[Node]) -> bool:
    """`~`: in any order, case and white space aside; two empty collections are alike."""
    if len(left) != len(right):
        return False
    if len(left) == 1:
        return equivalent_nodes(left[0], right[0])
    rest = list(right)
    for one in left:
        for place, other in enumerate(rest):
            if equivalent_nodes(one, other):
                del rest[place]
                break
        else:
            return False
    return True


def equivalent_nodes(one: Node, other: Node) -> bool:
    """`~` of two items."""
    (kind, left), (other_kind, right) = operand(one), operand(other)
    if kind is None or other_kind is None:
        return _alike(plain(one[1]), plain(other[1]))
    if kind in NUMBERS and other_kind in NUMBERS:
        return quantities.equivalent_numbers(Decimal(left), Decimal(right))
    if kind in DATES and other_kind in DATES:
        return dates.compared(left, right) == 0
    if kind is not other_kind:
        return False
    if kind is Kind.STRING:
        return _loose(left) == _loose(right)
    if kind is Kind.TIME:
        return dates.compared_times(left, right) == 0
    if kind is Kind.QUANTITY:
        return quantities.equivalent(left, right)
    return bool(left == right)


def _loose(text: str) -> str:
    return " ".join(text.casefold().split())


def _alike(left: Any, right: Any) -> bool:
    """Equivalence of JSON values; the ids of elements do not count."""
    if isinstance(left, dict) and isinstance(right, dict):
        keys = left.keys() - {"id"}
        return keys == right.keys() - {"id"} and all(_alike(left[key], right[key]) for key in keys)
    if isinstance(left, list) and isinstance(right, list):
        rest = list(right)
        for one in left:
            place = next((place for place, other in enumerate(rest) if _alike(one, other)), None)
            if place is None:
                return False
            del rest[place]
        return not rest
    if isinstance(left, str) and isinstance(right, str):
        return _loose(left) == _loose(right)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | Decimal) and isinstance(right, int | Decimal):
        return quantities.equivalent_numbers(Decimal(left), Decimal(right))
    return bool(left == right)
