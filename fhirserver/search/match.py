"""The Expression answered in memory, over one stored document: the interpreter for candidates, and for reads that share a query.

It says of a document what `search.compile`'s filter would say of it in MongoDB; a property test holds the two equal, and the
shapes relied on are those named there. Values compare only within their own kind, as BSON's do: `1` is not `true`, and a
datetime has milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import asin, cos, radians, sin, sqrt
from typing import Any

from fhirserver.search.expression import (
    EARTH,
    All,
    And,
    Containing,
    Exists,
    Expression,
    In,
    Near,
    Not,
    Nothing,
    Or,
    Prefixed,
    Range,
    Scalar,
    Some,
    Suffixed,
    Within,
)

Document = Mapping[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def match(expression: Expression, document: Document) -> bool:
    """Whether the expression is true of the document."""
    return _MATCHERS[type(expression)](expression, document)


def _all(_: All, __: Document) -> bool:
    return True


def _nothing(_: Nothing, __: Document) -> bool:
    return False


def _and(node: And, document: Document) -> bool:
    for term in node.terms:  # noqa: SIM110  # a generator costs more than the tests
        if not _MATCHERS[type(term)](term, document):
            return False
    return True


def _or(node: Or, document: Document) -> bool:
    for term in node.terms:  # noqa: SIM110
        if _MATCHERS[type(term)](term, document):
            return True
    return False


def _not(node: Not, document: Document) -> bool:
    return not match(node.term, document)


def _in(node: In, document: Document) -> bool:
    wanted = node.values
    leaf = _leaf(document, node.path)
    kind = type(leaf)
    if kind is str:
        return leaf in wanted
    if kind is list and set(map(type, leaf)) <= _STRINGS:
        return not wanted.isdisjoint(leaf)
    if kind is bool:
        return any(leaf is other for other in wanted)
    return any(_is_among(value, wanted) for value in _values(document, node.path))


def _within(node: Within, document: Document) -> bool:
    leaf = _leaf(document, node.path)
    if type(leaf) is list and set(map(type, leaf)) <= _STRINGS:
        return bool(leaf) and node.values.issuperset(leaf)
    at_least_one = False
    for value in _elements(document, node.path):
        if not _is_among(value, node.values):
            return False
        at_least_one = True
    return at_least_one


def _exists(node: Exists, document: Document) -> bool:
    return any(True for _ in _values(document, node.path))


def _range(node: Range, document: Document) -> bool:
    low, high = node.low, node.high
    if low is None and high is None:
        return any(True for _ in _values(document, node.path))
    return any(
        (low is None or _is_ordered(low, value)) and (high is None or _is_ordered(value, high, upper=True))
        for value in _values(document, node.path)
    )


def _prefixed(node: Prefixed, document: Document) -> bool:
    text = node.text
    return any(isinstance(value, str) and value.startswith(text) for value in _values(document, node.path))


def _suffixed(node: Suffixed, document: Document) -> bool:
    text = node.text
    return any(isinstance(value, str) and value.endswith(text) for value in _values(document, node.path))


def _containing(node: Containing, document: Document) -> bool:
    text = node.text
    return any(isinstance(value, str) and text in value for value in _values(document, node.path))


def _near(node: Near, document: Document) -> bool:
    point = _leaf(document, node.path)
    if not isinstance(point, Mapping):
        return False
    longitude, latitude = point["coordinates"]
    return distance(node.latitude, node.longitude, latitude, longitude) <= node.metres


def distance(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """Metres between two points along the surface of the earth (haversine)."""
    north, other_north = radians(latitude), radians(other_latitude)
    half = sin((other_north - north) / 2) ** 2
    half += cos(north) * cos(other_north) * sin(radians(other_longitude - longitude) / 2) ** 2
    return 2 * EARTH * asin(min(1.0, sqrt(half)))


def _some(node: Some, document: Document) -> bool:
    term = node.term
    matcher = _MATCHERS[type(term)]
    return any(
        matcher(term, element)
        for leaf in _leaves(document, _split(node.path))
        if isinstance(leaf, list | tuple)
        for element in leaf
        if isinstance(element, Mapping)
    )


_MATCHERS: dict[type, Callable[[Any, Document], bool]] = {
    All: _all,
    Nothing: _nothing,
    And: _and,
    Or: _or,
    Not: _not,
    In: _in,
    Within: _within,
    Exists: _exists,
    Range: _range,
    Prefixed: _prefixed,
    Suffixed: _suffixed,
    Containing: _containing,
    Near: _near,
    Some: _some,
}


@lru_cache(maxsize=4096)
def _split(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))


_STRINGS = {str}


def _leaf(document: Any, path: str) -> Any:
    """What a path through plain dicts leads to: the way of nearly every path. None for any other."""
    for step in _split(path):
        if type(document) is not dict:
            return None
        document = document.get(step)
    return document


def _leaves(container: Any, steps: tuple[str, ...]) -> Iterator[Any]:
    """What the path leads to, arrays not yet opened; an array on the way is gone through element by element."""
    for position, step in enumerate(steps):
        if isinstance(container, list | tuple):
            for element in container:
                if isinstance(element, Mapping):
                    yield from _leaves(element, steps[position:])
            return
        if not isinstance(container, Mapping) or step not in container:
            return
        container = container[step]
    yield container


def _elements(document: Document, path: str) -> Iterator[Any]:
    """Every element at the path, nulls in an array included: `Within` must see what it does not know."""
    for leaf in _leaves(document, _split(path)):
        if isinstance(leaf, list | tuple):
            yield from leaf
        elif leaf is not None:
            yield leaf


def _values(document: Document, path: str) -> Iterator[Any]:
    """Every value at the path: not null, and not an array inside an array."""
    for value in _elements(document, path):
        if value is not None and not isinstance(value, list | tuple):
            yield value


def _is_among(value: Any, wanted: frozenset[Scalar]) -> bool:
    if type(value) is str:
        return value in wanted
    return any(_is_equal(value, other) for other in wanted)


def _is_equal(value: Any, other: Scalar) -> bool:
    kind = _kind(value)
    return kind is not None and kind == _kind(other) and bool(_comparable(value) == _comparable(other))


def _is_ordered(lower: Any, upper_value: Any, upper: bool = False) -> bool:
    """Whether the first is not above the second; `upper` says that the second is the bound, for its rounding."""
    kind = _kind(lower)
    if kind is None or kind != _kind(upper_value):
        return False
    # A lower bound inside a millisecond is met first by the next one, so it is rounded up; everything else down.
    return bool(_comparable(lower, ceiling=not upper) <= _comparable(upper_value))


def _kind(value: Any) -> str | None:
    """The class of BSON types within which the value compares; None for what is not a scalar."""
    if isinstance(value, str):
        return "string"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, datetime):
        return "date"
    return None


def _comparable(value: Any, ceiling: bool = False) -> Any:
    if not isinstance(value, datetime):
        return value
    since = (value if value.tzinfo is not None else value.replace(tzinfo=UTC)) - _EPOCH
    return -(-since // _MILLISECOND) if ceiling else since // _MILLISECOND
