"""How a search is run: which index leads it, in which order, and how long it may take.

Where one value of an index's lead is few documents, that index is named. Where it may be many (a code, a day, the beginning of a
name) and more than one index could serve, MongoDB tries them and keeps what did best. What no index serves at all is looked
for document by document, in a fifth of the time: common things are found at once, and for rare ones the answer says what to add.

https://www.mongodb.com/docs/manual/core/query-plans/
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fhirserver.search.compile import compile as compile_filter
from fhirserver.search.expression import All, And, Expression, In, Or, Prefixed, Range, Some, all_of
from fhirserver.search.request import SearchRequest
from fhirserver.store.connection.client import Document
from fhirserver.store.layout import indexes, labels, quantities
from fhirserver.store.layout.indexes import Index, Order
from fhirserver.store.resources import paging

UNSERVED: Final = 5
"""The part of a query's time that a search gets which no index serves."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How one search is run: its filter, its order, and the index that is named, if one is."""

    resource_type: str
    filter: Document
    order: Order
    index: Index | None
    is_served: bool

    @property
    def hint(self) -> str | None:
        """The name of the index, for MongoDB."""
        return self.index.name if self.index is not None else None

    @property
    def is_kept(self) -> bool:
        """Whether some index gives the order, so that MongoDB need not sort what it has not been told to."""
        if len(self.order) > 2:
            return False
        if self.index is not None:
            return indexes.keeps(self.index.order, self.order)
        return self.order[0][0] == "_id" or indexes.orders(self.resource_type, self.order)

    def time_limit(self, query_ms: int) -> int:
        """Milliseconds that a query of this search may take."""
        return _time_limit(query_ms, is_served=self.is_served)


def plan(request: SearchRequest, wanted: Expression, leads: frozenset[str] = frozenset()) -> Plan:
    """The plan of a search; `wanted` is its expression with the permit, `leads` are those of indexes beside the table."""
    asked = paging.order_of(request.sort) if request.sort else None
    resource_type, expression = request.resource_type, request.expression
    wanted, expression, index = _led(resource_type, wanted, expression, asked)
    # Without `_sort` any order will do: the one that the index has costs nothing.
    order = asked or (index.order if index is not None else indexes.BY_ID)
    is_served = index is not None or isinstance(expression, All) or indexes.serves(resource_type, expression, leads)
    return Plan(resource_type, compile_filter(wanted), order, index, is_served)


@dataclass(frozen=True, slots=True)
class Way:
    """How resources are found whose order does not matter: the condition with what leads to an index, and that index.

    `is_narrow` says that they are few, as far as the index tells.
    """

    wanted: Expression
    index: Index | None
    hint: str | None
    is_served: bool
    is_narrow: bool

    def time_limit(self, query_ms: int) -> int:
        """Milliseconds that the query may take."""
        return _time_limit(query_ms, is_served=self.is_served)


def led(resource_type: str, expression: Expression, wanted: Expression) -> Way:
    """The way to what meets the expression; `wanted` is the same with the permit."""
    terms = expression.terms if isinstance(expression, And) else (expression,)
    if any(isinstance(term, In) and term.path == "_id" for term in terms):
        return Way(wanted, None, "_id_", is_served=True, is_narrow=True)
    wanted, expression, index = _led(resource_type, wanted, expression, None)
    if index is not None:
        return Way(wanted, index, index.name, is_served=True, is_narrow=index.narrows)
    is_served = isinstance(expression, All) or indexes.serves(resource_type, expression)
    return Way(wanted, None, None, is_served, is_narrow=False)


def is_of_values(expression: Expression) -> bool:
    """Whether the expression is true only of what has search values: no deletion, for of a tombstone there are none."""
    match expression:
        case And(terms):
            return any(map(is_of_values, terms))
        case Or(terms):
            return bool(terms) and all(map(is_of_values, terms))
        case In(path) | Range(path) | Prefixed(path) | Some(path):
            return path.startswith(("index.", "sort."))
        case _:
            return False


def _time_limit(query_ms: int, *, is_served: bool) -> int:
    return query_ms if is_served else max(query_ms // UNSERVED, 1)


def _led(
    resource_type: str, wanted: Expression, expression: Expression, order: Order | None
) -> tuple[Expression, Expression, Index | None]:
    """The condition with the permit and the one asked for, with what leads to an index that serves them; and that index."""
    index = indexes.choose(resource_type, expression, order)
    if index is not None and index.narrows:
        return wanted, expression, index
    return _aided(resource_type, wanted, expression, index)


def _aided(
    resource_type: str, wanted: Expression, expression: Expression, index: Index | None
) -> tuple[Expression, Expression, Index | None]:
    """The same with what leads to an index that gathers the values of many parameters, if there is such: references, quantities or
    labels."""
    if references := _references(expression):
        return all_of(wanted, In("index._refs", references)), expression, indexes.REFERENCES
    if indexes.QUANTITIES in indexes.of(resource_type) and (among := quantities.among(expression)) is not None:
        return all_of(wanted, among), all_of(expression, among), None
    if (among := labels.among(expression)) is not None:
        return all_of(wanted, among), all_of(expression, among), index
    return wanted, expression, index


def _references(expression: Expression) -> frozenset[str]:
    """The references of which every match must have one, if the request says so in one plain term."""
    for term in expression.terms if isinstance(expression, And) else (expression,):
        if isinstance(term, In) and term.path.startswith("index.") and term.path.endswith(".r"):
            return frozenset(value for value in term.values if isinstance(value, str))
    return frozenset()
