"""Coalesced reads: the point reads of one turn of the event loop become one query for each collection and kind.

The permit stands in the query, one branch of a top-level `$or` for each distinct permit, so hidden and absent are the same query
with the same answer. Rows are shared between waiters of one turn, so each row is matched again against each waiter's own
permit before it is handed over: the query is for speed, the match is the law.

https://www.mongodb.com/docs/manual/reference/operator/query/or/
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from fhirserver.model.outcome import Unavailable
from fhirserver.search.compile import compile as compile_filter
from fhirserver.search.expression import All, And, Expression, In, Not, Nothing, Or, Parts, Some, Within, all_of
from fhirserver.search.match import match
from fhirserver.store.connection.client import Document, Mongo, Query, fresh

IDS_LIMIT: Final = 1_000
"""Ids that one query asks for."""
FILTER_LIMIT: Final = 1_000_000
"""Bytes, about, of the permits in one query; a larger permit goes alone."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a point read fetches. With `naive`, datetimes come without a zone."""

    name: str
    projection: Mapping[str, Any] | None
    make: Callable[[str, Document], Any]
    naive: bool = True


class _Waiter(NamedTuple):
    id: str
    expression: Expression
    answer: asyncio.Future[Any]


class Coalescer:
    """Gathers the point reads of one turn and hands out their rows."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._waiting: dict[tuple[str, str], tuple[Kind, list[_Waiter]]] = {}
        self._running: set[asyncio.Task[None]] = set()

    def read(self, collection: str, id: str, expression: Expression, kind: Kind) -> asyncio.Future[Any]:
        """What `kind.make` gives of the row with this id, or None if there is none or the expression is not true of it."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        if type(expression) is Nothing:
            answer.set_result(None)
            return answer
        if not self._waiting:
            loop.call_soon(self._send)
        key = (collection, kind.name)
        if (entry := self._waiting.get(key)) is None:
            entry = self._waiting[key] = (kind, [])
        entry[1].append(_Waiter(id, expression, answer))
        return answer

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for (collection, _), (kind, waiters) in waiting.items():
            for portion in _portions(waiters):
                task = asyncio.create_task(self._answer(collection, kind, portion))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def _answer(self, collection: str, kind: Kind, branches: _Branches) -> None:
        # Several permits share a shorter time: a slow one must not hold up its neighbours, who are then asked for apart.
        time_limit = None if len(branches) == 1 else max(self._mongo.query_ms // 5, 1)
        try:
            rows = await self._mongo.find(collection, _query(branches, kind, time_limit))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if len(branches) == 1 or isinstance(error, Unavailable):
                _fail(branches, error)
            else:
                await asyncio.gather(*(self._answer(collection, kind, {key: branches[key]}) for key in branches))
            return
        _hand_out(collection, kind, branches, rows)


_VALUE: Final = 120
_Branches = dict[Expression, list[_Waiter]]


def _portions(waiters: Sequence[_Waiter]) -> Iterator[_Branches]:
    """The waiters by permit, cut where a query would grow past its bounds."""
    branches: _Branches = {}
    ids = size = 0
    last: Expression | None = None
    branch: list[_Waiter] | None = None
    for waiter in waiters:
        if waiter.expression is not last:  # to ask whether it is equal to another costs more than the rest of this
            branch = branches.get(waiter.expression)
        cost = 0 if branch is not None else weight(waiter.expression)
        if branches and (ids >= IDS_LIMIT or size + cost > FILTER_LIMIT):
            yield branches
            branches, ids, size, branch, cost = {}, 0, 0, None, weight(waiter.expression)
        if branch is None:
            branch = branches[waiter.expression] = []
        branch.append(waiter)
        last = waiter.expression
        ids += 1
        size += cost
    if branches:
        yield branches


def _query(branches: _Branches, kind: Kind, time_limit: int | None) -> Query:
    filters: list[Document] = []
    roots: set[str] = set()
    count = 0
    for expression, waiters in branches.items():
        ids = {waiter.id for waiter in waiters}
        count += len(ids)
        if type(expression) is All:
            filters.append({"_id": {"$in": list(ids)}})
        else:
            filters.append(compile_filter(all_of(In("_id", frozenset(ids)), expression)))
            roots |= paths(expression)
    projection = None if kind.projection is None else wider(kind.projection, roots)
    # The hint keeps every branch on `_id`, and such queries out of the plan cache.
    return Query(
        filters[0] if len(filters) == 1 else {"$or": filters},
        limit=count,
        projection=projection,
        hint="_id_",
        time_limit=time_limit,
        naive=kind.naive,
    )


def wider(projection: Mapping[str, Any], roots: set[str]) -> Document:
    """The projection with these roots; MongoDB refuses a path beside the whole that it is part of."""
    return {**projection, **{root: 1 for root in roots if root != "_id" and root.partition(".")[0] not in projection}}


def _hand_out(collection: str, kind: Kind, branches: _Branches, rows: Sequence[Document]) -> None:
    found = {row["_id"]: row for row in rows}
    made: dict[str, Any] = {}
    for expression, waiters in branches.items():
        for waiter in waiters:
            if waiter.answer.done():
                continue
            id = waiter.id
            row = found.get(id)
            if row is None:
                waiter.answer.set_result(None)
                continue
            try:
                if type(expression) is not All and not match(expression, row):
                    waiter.answer.set_result(None)
                    continue
                if id not in made:
                    made[id] = kind.make(collection, row)
                waiter.answer.set_result(made[id])
            except Exception as error:
                waiter.answer.set_exception(error)


def _fail(branches: _Branches, error: BaseException) -> None:
    for waiters in branches.values():
        for waiter in waiters:
            if not waiter.answer.done():
                waiter.answer.set_exception(fresh(error))


def paths(expression: Expression) -> set[str]:
    """The roots of the stored document that an expression looks at, none inside another, fit for a projection."""
    found: set[str] = set()
    _collect(expression, found)
    return found


def _collect(expression: Expression, found: set[str]) -> None:
    if isinstance(expression, And | Or):
        for term in expression.terms:
            _collect(term, found)
    elif isinstance(expression, Not):
        _collect(expression.term, found)
    elif not isinstance(expression, All | Nothing | Parts):
        root, _, rest = expression.path.partition(".")
        found.add(f"index.{rest.partition('.')[0]}" if root == "index" and rest else root)


def weight(expression: Expression) -> int:
    """About how many bytes the expression takes in a query, and not fewer: references and tokens are shorter than a value here."""
    kind = type(expression)
    if kind is In or kind is Within:
        return _VALUE * len(expression.values) * (2 if kind is Within else 1)  # type: ignore[union-attr]
    if kind is And or kind is Or:
        total = _VALUE
        for term in expression.terms:  # type: ignore[union-attr]
            total += weight(term)
        return total
    return _VALUE + weight(expression.term) if isinstance(expression, Not | Some) else 2 * _VALUE
