"""Derived facts of resources, without their text: what access decides from.

By ids they are point reads. By condition, the questions of one turn of the event loop become one query: those that differ only
in the values of one path (the rules of this owner, of that owner) share a branch. Every row is matched again against each
question with its own permit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from fhirserver.model.outcome import Unavailable
from fhirserver.search.compile import compile as compile_filter
from fhirserver.search.expression import All, And, Expression, In, Nothing, all_of
from fhirserver.search.match import match
from fhirserver.search.permit import Permit
from fhirserver.store.connection.client import Document, Mongo, Query, fresh
from fhirserver.store.connection.coalesce import FILTER_LIMIT, Coalescer, Kind, paths, weight, wider
from fhirserver.store.history.owners import owners_in
from fhirserver.store.layout import indexes
from fhirserver.store.resources.includes import LIVE
from fhirserver.store.resources.paging import value_at

FACTS_LIMIT: Final = 1_000
BATCH_LIMIT: Final = 10_000
"""Rows that one shared query may give; past it each question is asked alone."""

_NO_LEADS: Final = frozenset({"deleted", "updated"})
"""They tell few questions apart, and datetimes are not looked up as they are."""
_FIELDS: Final = {"by": 1, "security": 1, "version": 1, "deleted": 1, "updated": 1}
FACTS: Final = Kind("facts", _FIELDS, lambda _, row: row)


@dataclass(slots=True)
class _Question:
    """A condition, as a whole and as the one term that tells questions apart (`lead`) beside the rest."""

    expression: Expression
    lead: In | None
    rest: Expression
    limit: int
    answer: asyncio.Future[list[Document]]


class Facts:
    """Gathers the questions of one turn and hands out their rows."""

    def __init__(self, mongo: Mongo, coalescer: Coalescer) -> None:
        self._mongo = mongo
        self._coalescer = coalescer
        self._waiting: dict[str, list[_Question]] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def of_ids(self, resource_type: str, ids: Iterable[str], permit: Permit) -> list[Document]:
        """The facts of those of the ids that are visible, tombstones included."""
        visible = permit.of(resource_type)
        answers = [self._coalescer.read(resource_type, id, visible, FACTS) for id in dict.fromkeys(ids)]
        return [row for answer in answers if (row := await answer) is not None]

    async def where(self, resource_type: str, expression: Expression, permit: Permit, *, limit: int) -> list[Document]:
        """The facts of at most `limit` resources, not deleted and visible, of which the expression is true."""
        wanted = all_of(expression, LIVE, permit.of(resource_type))
        if isinstance(wanted, Nothing):
            return []
        loop = asyncio.get_running_loop()
        question = _Question(wanted, *_split(resource_type, wanted), limit, loop.create_future())
        if not self._waiting:
            loop.call_soon(self._send)
        self._waiting.setdefault(resource_type, []).append(question)
        return await question.answer

    async def owners(self, resource_type: str, expression: Expression, permit: Permit, *, limit: int) -> frozenset[str]:
        """The owners of those resources, at most `limit` of them, however many resources there are."""
        wanted = all_of(expression, LIVE, permit.of(resource_type))
        index = indexes.choose(resource_type, wanted, None)
        hint = index.name if index is not None else None
        return await owners_in(self._mongo, resource_type, wanted, limit=limit, hint=hint)

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for resource_type, questions in waiting.items():
            task = asyncio.create_task(self._answer(resource_type, questions))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _answer(self, resource_type: str, questions: Sequence[_Question]) -> None:
        wanted = min(sum(question.limit for question in questions), BATCH_LIMIT)
        is_alone = len(questions) == 1
        try:
            if is_alone:
                rows = await self._alone(resource_type, questions[0])
            elif sum(weight(question.expression) for question in questions) > FILTER_LIMIT:
                rows = None
            else:
                rows = await self._mongo.find(resource_type, _shared(resource_type, questions, wanted + 1, self._mongo))
        except Exception as error:
            if is_alone or isinstance(error, Unavailable):
                _fail(questions, error)
                return
            rows = None
        if rows is None or (not is_alone and len(rows) > wanted):
            await asyncio.gather(*(self._answer(resource_type, [question]) for question in questions))
            return
        _hand_out(questions, rows)

    async def _alone(self, resource_type: str, question: _Question) -> list[Document]:
        index = indexes.choose(resource_type, question.expression, None)
        query = Query(
            compile_filter(question.expression),
            limit=question.limit,
            projection=wider(_FIELDS, paths(question.expression)),
            hint=index.name if index is not None else None,
            naive=True,
        )
        return await self._mongo.find(resource_type, query)


def _shared(resource_type: str, questions: Sequence[_Question], limit: int, mongo: Mongo) -> Query:
    values: dict[tuple[str | None, Expression], set[Any]] = {}
    for question in questions:
        lead = question.lead
        each = values.setdefault((lead.path if lead is not None else None, question.rest), set())
        if lead is not None:
            each |= lead.values
    branches = [
        all_of(In(path, frozenset(each)), rest) if path is not None else rest for (path, rest), each in values.items()
    ]
    filters = [compile_filter(branch) for branch in branches]
    index = indexes.choose(resource_type, branches[0], None) if len(branches) == 1 else None
    return Query(
        filters[0] if len(filters) == 1 else {"$or": filters},
        limit=limit,
        projection=wider(_FIELDS, set().union(*(paths(branch) for branch in branches))),
        hint=index.name if index is not None else None,
        time_limit=max(mongo.query_ms // 5, 1),
        naive=True,
    )


@cache
def _leads(resource_type: str) -> frozenset[str | None]:
    return frozenset(index.lead for index in indexes.of(resource_type))


def _split(resource_type: str, expression: Expression) -> tuple[In | None, Expression]:
    """The term whose values tell the questions apart, best one that an index leads with, and the rest."""
    terms = expression.terms if type(expression) is And else (expression,)
    leads = _leads(resource_type)
    lead = None
    for term in terms:
        if type(term) is In and term.path not in _NO_LEADS and (lead is None or term.path in leads):
            lead = term
            if term.path in leads:
                break
    if lead is None:
        return None, expression
    rest = tuple([term for term in terms if term is not lead])
    return lead, And(rest) if len(rest) > 1 else rest[0] if rest else All()


def _hand_out(questions: Sequence[_Question], rows: Sequence[Document]) -> None:
    if len(questions) == 1:
        _answer(questions[0], list(rows))
        return
    same: dict[Expression, list[_Question]] = {}
    for question in questions:
        same.setdefault(question.expression, []).append(question)
    found = _distributed([(each[0], max(question.limit for question in each)) for each in same.values()], rows)
    for each, its_rows in zip(same.values(), found, strict=True):
        for question in each:
            _answer(question, its_rows[: question.limit])


def _distributed(questions: Sequence[tuple[_Question, int]], rows: Sequence[Document]) -> list[list[Document]]:
    """For each question, with how many rows it wants, the rows of which it is true."""
    by_path: dict[str, dict[Any, list[int]]] = {}
    always: list[int] = []
    for number, (question, _) in enumerate(questions):
        if question.lead is None:
            always.append(number)
            continue
        numbers = by_path.setdefault(question.lead.path, {})
        for value in question.lead.values:
            numbers.setdefault(value, []).append(number)
    found: list[list[Document]] = [[] for _ in questions]
    for row in rows:
        candidates = dict.fromkeys(always)
        for path, numbers in by_path.items():
            for value in _values(row, path):
                for number in numbers.get(value, ()):
                    candidates[number] = None
        for number in candidates:
            question, limit = questions[number]
            if len(found[number]) < limit and match(question.expression, row):
                found[number].append(row)
    return found


def _values(row: Mapping[str, Any], path: str) -> Sequence[Any]:
    value = value_at(row, path)
    return value if isinstance(value, list) else (value,)


def _answer(question: _Question, rows: list[Document]) -> None:
    if not question.answer.done():
        question.answer.set_result(rows)


def _fail(questions: Sequence[_Question], error: Exception) -> None:
    for question in questions:
        if not question.answer.done():
            question.answer.set_exception(fresh(error))
