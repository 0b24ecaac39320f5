"""The Expression as a MongoDB filter: the interpreter that `store` runs.

Keys come from the nodes' paths, which are this server's own; values stand only where MongoDB takes a value. Client text reaches
a pattern only through `_literal`, which leaves nothing of it active.

What the stored shapes are relied on for: a path crosses an array of subdocuments only through `Some`, and the path of a `Some`
leads to an array. Terms of a conjunction are merged into one flat filter where their keys allow it, because that is the form
that MongoDB's planner and its plan cache know best.

https://www.mongodb.com/docs/manual/reference/operator/query/
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
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

Filter = dict[str, Any]

_VALUE_TYPES = ["string", "object", "double", "int", "long", "decimal", "bool", "date", "binData", "objectId"]
_GATHERED = "index._"
"""What begins so gathers values of many elements: always an array."""
_NEVER: Filter = {"$nor": [{}]}


def compile(expression: Expression) -> Filter:
    """The filter that finds the documents of which the expression is true; `All` is `{}`.

    `Nothing` raises ValueError: there is no query to send, and `{}` sent in its place would mean everything.
    """
    if isinstance(expression, Nothing):
        raise ValueError("Nothing has no filter: send no query.")
    return _compile(expression)


def _compile(expression: Expression) -> Filter:
    return _COMPILERS[type(expression)](expression)


def _all(_: All) -> Filter:
    return {}


def _nothing(_: Nothing) -> Filter:
    return dict(_NEVER)


def _and(node: And) -> Filter:
    merged: Filter = {}
    apart: list[Filter] = []
    for term in node.terms:
        compiled = _compile(term)
        if not _merge(merged, compiled):
            apart.append(compiled)
    if apart:
        if "$and" in merged:
            return {"$and": [merged, *apart]}
        merged["$and"] = apart
    return merged


def _merge(merged: Filter, compiled: Filter) -> bool:
    """Add the second filter to the first, if no key or operator of it is taken there already."""
    for key, condition in compiled.items():
        if key in merged:
            present = merged[key]
            if not (_is_operators(present) and _is_operators(condition)) or present.keys() & condition.keys():
                return False
    for key, condition in compiled.items():
        merged[key] = {**merged[key], **condition} if key in merged else condition
    return True


def _is_operators(condition: Any) -> bool:
    return isinstance(condition, dict) and all(operator in _MERGEABLE for operator in condition)


# `$regex` takes `$options` from beside it, so it is not merged; nor are the logical operators.
_MERGEABLE = frozenset({"$in", "$nin", "$gte", "$lte", "$eq", "$ne", "$type", "$elemMatch"})


def _or(node: Or) -> Filter:
    if not node.terms:
        return dict(_NEVER)
    return {"$or": [_compile(term) for term in node.terms]}


def _not(node: Not) -> Filter:
    term = node.term
    if isinstance(term, In):
        return {term.path: {"$nin": _ordered(term.values)}}
    if isinstance(term, Or) and term.terms:
        return {"$nor": [_compile(part) for part in term.terms]}
    if isinstance(term, Exists):
        # `$in` is what an index can use, without a look at the documents; the other half turns away [null, "a value"].
        return {term.path: {"$in": [None, []], "$not": {"$type": _VALUE_TYPES}}}
    return {"$nor": [_compile(term)]}


def _in(node: In) -> Filter:
    if len(node.values) == 1:
        return {node.path: {"$eq": _value(next(iter(node.values)))}}
    return {node.path: {"$in": _ordered(node.values)}}


def _within(node: Within) -> Filter:
    values = _ordered(node.values)
    # `$in` is what an index can use; the other half turns away a document with a value outside.
    return {node.path: {"$in": values}, "$nor": [{node.path: {"$elemMatch": {"$nin": values}}}]}


def _exists(node: Exists) -> Filter:
    # Not `$exists`, which is true of null and of an empty array.
    return {node.path: {"$type": _VALUE_TYPES}}


def _range(node: Range) -> Filter:
    low, high = node.low, node.high
    if low is None and high is None:
        return _exists(Exists(node.path))
    if low is None:
        return {node.path: {"$lte": _value(high, floor=True)}}
    if high is None:
        return {node.path: {"$gte": _value(low, floor=False)}}
    both = {"$gte": _value(low, floor=False), "$lte": _value(high, floor=True)}
    # On an array MongoDB lets one element meet one bound and another the other; `$elemMatch` wants one for both.
    if node.path.startswith(_GATHERED):
        return {node.path: {"$elemMatch": both}}
    single = {node.path: {**both, "$not": {"$type": "array"}}}
    return {"$or": [single, {node.path: {"$elemMatch": both}}]}


def _prefixed(node: Prefixed) -> Filter:
    return {node.path: {"$regex": "^" + _literal(node.text)}}


def _suffixed(node: Suffixed) -> Filter:
    # Not `$`, which also stands before a line break at the end.
    return {node.path: {"$regex": _literal(node.text) + "\\z"}}


def _containing(node: Containing) -> Filter:
    return {node.path: {"$regex": _literal(node.text)}}


def _near(node: Near) -> Filter:
    circle = [[node.longitude, node.latitude], node.metres / EARTH]
    return {node.path: {"$geoWithin": {"$centerSphere": circle}}}


def _some(node: Some) -> Filter:
    return {node.path: {"$elemMatch": _compile(node.term)}}


_COMPILERS: dict[type, Callable[[Any], Filter]] = {
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


_STRINGS = {str}


def _ordered(values: Collection[Scalar]) -> list[Scalar]:
    """The values in a stable order, so that equal expressions send equal bytes."""
    if set(map(type, values)) == _STRINGS:
        return sorted(values)
    return sorted((_value(value) for value in values), key=lambda value: (type(value).__name__, value))


def _value(value: Scalar | None, floor: bool = True) -> Any:
    """The value as MongoDB keeps it: datetimes in whole milliseconds, rounded so that a bound stays true."""
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    rest = value.microsecond % 1000
    if rest and not floor:
        return value + timedelta(microseconds=1000 - rest)
    return value - timedelta(microseconds=rest)


def _literal(text: str) -> str:
    """A pattern that matches just this text. MongoDB takes an escaped mark as part of an index prefix."""
    return "".join(
        character
        if character.isalnum() or character == "_" or character >= "\x80"
        else ("\\x00" if character == "\0" else "\\" + character)
        for character in text
    )
