"""Prefixes: how the interval that a query's value stands for is compared with one that is stored.

With q the interval of the query and t that of the resource:
`eq` q contains t; `ne` it does not; `gt` some of t lies above q; `lt` below; `ge` as gt, or q contains t; `le` as lt, or q contains t;
`sa` all of t lies above q; `eb` below; `ap` q overlaps t (q was widened when it was read).

https://hl7.org/fhir/R4/search.html#prefix
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from fhirserver.search.expression import Expression, Range, Scalar, all_of, any_of


class Prefix(StrEnum):
    """How the query's interval is compared."""

    EQ, NE, GT, LT, GE, LE, SA, EB, AP = "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"


_PREFIXES = frozenset(Prefix)


def split(text: str) -> tuple[Prefix, str]:
    """The prefix of a value, `eq` where it has none, and the rest of it."""
    return (Prefix(text[:2]), text[2:]) if text[:2] in _PREFIXES else (Prefix.EQ, text)


@dataclass(frozen=True, slots=True)
class Asked:
    """A value of a query: both ends are of its interval; `below` is the next scalar under it, `above` the next over it."""

    prefix: Prefix
    low: Scalar
    high: Scalar
    below: Scalar
    above: Scalar


def compared(asked: Asked, low: str, high: str) -> Expression:
    """What is asked of an interval whose ends stand at these paths."""
    return _COMPARISONS[asked.prefix](asked, low, high)


# Bounds that follow from others are written out where they give an index a place to start and to stop.
_COMPARISONS: dict[Prefix, Callable[[Asked, str, str], Expression]] = {
    Prefix.EQ: lambda q, lo, hi: all_of(
        Range(lo, q.low, None), Range(lo, None, q.high), Range(hi, q.low, None), Range(hi, None, q.high)
    ),
    Prefix.NE: lambda q, lo, hi: any_of(Range(lo, None, q.below), Range(hi, q.above, None)),
    Prefix.GT: lambda q, lo, hi: Range(hi, q.above, None),
    Prefix.LT: lambda q, lo, hi: Range(lo, None, q.below),
    Prefix.GE: lambda q, lo, hi: all_of(
        Range(hi, q.low, None), any_of(Range(lo, q.low, None), Range(hi, q.above, None))
    ),
    Prefix.LE: lambda q, lo, hi: all_of(
        Range(lo, None, q.high), any_of(Range(hi, None, q.high), Range(lo, None, q.below))
    ),
    Prefix.SA: lambda q, lo, hi: Range(lo, q.above, None),
    Prefix.EB: lambda q, lo, hi: Range(hi, None, q.below),
    Prefix.AP: lambda q, lo, hi: all_of(Range(lo, None, q.high), Range(hi, q.low, None)),
}
