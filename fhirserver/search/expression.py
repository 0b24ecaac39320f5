"""The search Expression: a small tree of typed conditions over a stored document.

It is written once and read twice: `search.compile` turns it into a MongoDB filter, `search.match` answers it in memory, and a
property test holds the two equal. Searches, criteria and permits are all made of these nodes.

A `path` is a dotted place in the stored document (`index.code`, `security.owners`, `by.principal`); it comes from the
definitions or from this code, never from a client. A path may lead to one value or to an array of them: "some value at the path"
covers both. Values are str, int, bool or datetime.

Nodes are frozen and hashable: equal permits are recognised as equal. Build them with `all_of`, `any_of` and `negate`, which fold
constants, so that `All()` and `Nothing()` stand only at the top.

Four nodes ask about other documents than the one at hand: `Chain`, `Has` and `Parts` about resources that refer to each other,
`Member` about code systems and value sets. Before an Expression is compiled or matched they are answered, each with the permit of the type
that it asks about, and replaced by `In`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

Scalar = str | int | bool | datetime

EARTH = 6_378_100.0
"""The radius of the earth in metres, as MongoDB has it."""


@dataclass(frozen=True, slots=True)
class All:
    """True of every document."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """True of no document. No query is ever sent for it."""


@dataclass(frozen=True, slots=True)
class And:
    """Every term holds."""

    terms: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one term holds."""

    terms: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The term does not hold; also true where the path is absent."""

    term: Expression


@dataclass(frozen=True, slots=True)
class In:
    """Some value at the path equals one of `values`."""

    path: str
    values: frozenset[Scalar]


@dataclass(frozen=True, slots=True)
class Within:
    """There is at least one value at the path, and every one of them is among `values`."""

    path: str
    values: frozenset[Scalar]


@dataclass(frozen=True, slots=True)
class Exists:
    """There is a value at the path: not absent, not null, not an empty array."""

    path: str


@dataclass(frozen=True, slots=True)
class Range:
    """Some one value at the path lies between the bounds, both inclusive; None leaves that side open."""

    path: str
    low: Scalar | None
    high: Scalar | None


@dataclass(frozen=True, slots=True)
class Prefixed:
    """Some string at the path starts with `text`, byte for byte."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Suffixed:
    """Some string at the path ends with `text`, byte for byte."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Containing:
    """Some string at the path contains `text`, byte for byte."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Near:
    """The GeoJSON point at the path lies within `metres` of this one, along the surface of the earth."""

    path: str
    latitude: float
    longitude: float
    metres: float


@dataclass(frozen=True, slots=True)
class Some:
    """Some one subdocument at the path satisfies `term`, whose own paths are relative to it."""

    path: str
    term: Expression


@dataclass(frozen=True, slots=True)
class Chain:
    """Some reference at the path points to a resource of this type, not deleted and visible to the caller, of which `term` is true."""

    path: str
    resource_type: str
    term: Expression


@dataclass(frozen=True, slots=True)
class Has:
    """Some resource of this type, not deleted and visible to the caller, points to this one at `path`, and `term` is true of it."""

    resource_type: str
    path: str
    term: Expression


@dataclass(frozen=True, slots=True)
class Parts:
    """A resource of this type that is part of one of `ids` or of a part of them, in however many steps along the reference `parent`;
    or `upwards`, one that they are part of. What is hidden from the caller or deleted is no part of anything."""

    resource_type: str
    parent: str
    ids: frozenset[str]
    upwards: bool


class Relation(StrEnum):
    """How a token stands to a value set (`in`), or to a code of a hierarchy (`below`: the code or one under it; `above`)."""

    IN, BELOW, ABOVE = "in", "below", "above"


@dataclass(frozen=True, slots=True)
class Member:
    """Some token at the path stands in the relation to `of`: the canonical URL of a value set, or a token `system|code`."""

    path: str
    relation: Relation
    of: str


Pending = Chain | Has | Parts | Member
"""The nodes that are answered before the Expression is compiled or matched."""

Expression = (
    All
    | Nothing
    | And
    | Or
    | Not
    | In
    | Within
    | Exists
    | Range
    | Prefixed
    | Suffixed
    | Containing
    | Near
    | Some
    | Pending
)


def all_of(*terms: Expression) -> Expression:
    """The conjunction, flat and with constants folded; of no terms: `All`."""
    flat: dict[Expression, None] = {}
    for term in terms:
        if isinstance(term, Nothing):
            return Nothing()
        for part in term.terms if isinstance(term, And) else (term,):
            if not isinstance(part, All):
                flat[part] = None
    if not flat:
        return All()
    return next(iter(flat)) if len(flat) == 1 else And(tuple(flat))


def any_of(*terms: Expression) -> Expression:
    """The disjunction, flat and with constants folded; of no terms: `Nothing`."""
    flat: dict[Expression, None] = {}
    for term in terms:
        if isinstance(term, All):
            return All()
        for part in term.terms if isinstance(term, Or) else (term,):
            if not isinstance(part, Nothing):
                flat[part] = None
    if not flat:
        return Nothing()
    return next(iter(flat)) if len(flat) == 1 else Or(tuple(flat))


def implied(expression: Expression, by_term: Callable[[Expression], Expression | None]) -> Expression | None:
    """What is true of everything of which the expression is true, as far as it follows from its terms; None if nothing does."""
    match expression:
        case And(terms):
            return next((found for term in terms if (found := implied(term, by_term)) is not None), None)
        case Or(terms):
            each = [implied(term, by_term) for term in terms]
            known = [found for found in each if found is not None]
            return any_of(*known) if known and len(known) == len(each) else None
        case _:
            return by_term(expression)


def negate(term: Expression) -> Expression:
    """The negation, with constants and double negation folded."""
    match term:
        case All():
            return Nothing()
        case Nothing():
            return All()
        case Not(inner):
            return inner
        case _:
            return Not(term)


def one_of(path: str, *values: Scalar) -> Expression:
    """`In`, or `Nothing` when there are no values."""
    return In(path, frozenset(values)) if values else Nothing()


def named_ids(expression: Expression) -> tuple[str, ...]:
    """The ids of which every match has one, where the expression names them."""
    for term in expression.terms if isinstance(expression, And) else (expression,):
        if isinstance(term, In) and term.path == "_id":
            return tuple(sorted(str(each) for each in term.values))
    return ()


def within(path: str, values: frozenset[Scalar]) -> Expression:
    """`Within`, or `Nothing` when there are no values."""
    return Within(path, values) if values else Nothing()
