"""Chains and reverse chains, answered before the search that they are part of.

Each step is one query under the permit of the type that it goes to, from the inside outwards, and its answer takes the step's place:
the references that a match must have, or the ids that it must be among. What is hidden from the caller, or deleted, is not there
to be followed. All steps of one search together follow a bounded number of resources.

Where another condition of the search finds few resources (a patient, an identifier), those are found first and the steps are asked
about them alone. What is found then is only of these: their ids are part of the answer.

https://hl7.org/fhir/R4/search.html#chaining and https://hl7.org/fhir/R4/search.html#has
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from fhirserver.model.outcome import TooCostly
from fhirserver.search.compile import compile as compile_filter
from fhirserver.search.expression import (
    All,
    And,
    Chain,
    Expression,
    Has,
    In,
    Not,
    Nothing,
    Or,
    Parts,
    all_of,
    any_of,
    negate,
    one_of,
)
from fhirserver.search.index import contained
from fhirserver.search.pending import pending, steps
from fhirserver.search.permit import Permit
from fhirserver.store.connection.client import SLOW, Document, Mongo, Query
from fhirserver.store.layout.collections import Layout
from fhirserver.store.resources.includes import LIVE
from fhirserver.store.resources.paging import value_at
from fhirserver.store.resources.plan import led

FOLLOWED: Final = 10_000
"""Resources that the steps of one search find, all together."""
LEVELS: Final = 20
"""How many resources stand within each other, one in the next."""
FEW: Final = 1_000
"""Resources that are looked at one by one, instead of all that meet the steps."""


Into = Callable[[str, Chain, Sequence[Document] | None], Awaitable[Expression]]
"""What a chain means where it leads into contained resources: of the type that contains, and of few of that if they are known."""


async def answered(
    mongo: Mongo,
    layout: Layout,
    resource_type: str,
    expression: Expression,
    permit: Permit,
    *,
    of_any: bool = False,
) -> Expression:
    """The expression without chains: true of the same stored resources of this type, as far as the permit shows; with `of_any`
    also of what is not stored yet. Raises TooCostly."""
    if not steps(expression):
        return expression
    answering = _Answering(mongo, layout, permit, FOLLOWED)
    return await (answering.anywhere(resource_type, expression) if of_any else answering.of(resource_type, expression))


async def answered_inside(
    mongo: Mongo, layout: Layout, resource_type: str, expression: Expression, permit: Permit
) -> Expression:
    """The same of contained resources of this type."""
    if not steps(expression):
        return expression
    return await _Answering(mongo, layout, permit, FOLLOWED).anywhere(resource_type, expression)


@dataclass(slots=True)
class _Answering:
    """The steps of one search under way."""

    mongo: Mongo
    layout: Layout
    permit: Permit
    left: int
    _until: float = field(init=False)
    _known: dict[tuple[str, Expression, str], Sequence[Document]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._until = asyncio.get_running_loop().time() + self.mongo.query_ms / 1_000

    async def of(self, resource_type: str, expression: Expression) -> Expression:
        """The expression about this type, its steps replaced."""
        if not pending(expression):
            return expression
        few = await self._few(resource_type, expression)
        if few is None:
            return await self._replaced(resource_type, expression, None, self._containers)
        if not few:
            return Nothing()
        found = await self._replaced(resource_type, expression, few, self._containers)
        return all_of(In("_id", frozenset(row["_id"] for row in few)), found)

    async def _few(self, resource_type: str, expression: Expression) -> Sequence[Document] | None:
        """What meets the conditions beside the steps, with the references that the steps start from; None if that may be much."""
        terms = expression.terms if isinstance(expression, And) else (expression,)
        plain = all_of(*(term for term in terms if not pending(term)))
        wanted = all_of(plain, LIVE, self.permit.of(resource_type))
        if isinstance(wanted, Nothing):
            return ()
        way = led(resource_type, plain, wanted)
        if not way.is_narrow:
            return None
        starts = {f"{node.path}.r": 1 for term in terms for node in _starting(term) if isinstance(node, Chain)}
        if starts:
            starts[contained.INSIDE] = 1
        rows = await self._rows(resource_type, plain, starts, FEW + 1)
        return None if len(rows) > FEW else rows

    async def anywhere(self, resource_type: str, expression: Expression) -> Expression:
        """The same for what is not stored under an id: conditions take the place of ids."""
        return await self._replaced(resource_type, expression, None, self._containing)

    async def _replaced(
        self, resource_type: str, expression: Expression, few: Sequence[Document] | None, into: Into
    ) -> Expression:
        match expression:
            case And(terms):
                found: list[Expression] = []
                for term in terms:
                    found.append(await self._replaced(resource_type, term, few, into))
                    if isinstance(found[-1], Nothing):
                        return found[-1]
                return all_of(*found)
            case Or(terms):
                return _united([await self._replaced(resource_type, term, few, into) for term in terms])
            case Not(term):
                return negate(await self._replaced(resource_type, term, few, into))
            case Chain():
                return any_of(await self._chain(expression, few), await into(resource_type, expression, few))
            case Has():
                return await self._has(resource_type, expression, few)
            case Parts():
                return await self._parts(expression, is_stored=into == self._containers)
            case _:
                return expression

    async def _chain(self, step: Chain, few: Sequence[Document] | None) -> Expression:
        path, term = f"{step.path}.r", step.term
        if few is not None:
            term = all_of(term, one_of("_id", *_ids(few, path, step.resource_type)))
        rows = await self._followed(step.resource_type, term, "_id")
        return one_of(path, *(f"{step.resource_type}/{row['_id']}" for row in rows))

    async def _containing(self, _: str, step: Chain, __: Sequence[Document] | None) -> Expression:
        """True of what contains the resource that the step leads to."""
        term = await self.anywhere(step.resource_type, step.term)
        return term if isinstance(term, Nothing) else contained.within(step.resource_type, term, _code(step))

    async def _containers(self, resource_type: str, step: Chain, few: Sequence[Document] | None) -> Expression:
        """The same by the ids of what is stored. Most resources contain nothing: then nothing is asked."""
        code = _code(step)
        if few is None:
            among: Expression = All() if await self._any(resource_type, contained.linked(code)) else Nothing()
        else:
            link = contained.link(step.resource_type, code)
            among = one_of("_id", *(row["_id"] for row in few if link in (value_at(row, contained.INSIDE) or ())))
        if isinstance(among, Nothing):
            return among
        term = await self.anywhere(step.resource_type, step.term)
        wanted = contained.led if few is None else contained.within
        rows = await self._found(resource_type, all_of(among, wanted(step.resource_type, term, code)), "_id")
        return one_of("_id", *(row["_id"] for row in rows))

    async def _any(self, resource_type: str, expression: Expression) -> bool:
        """Whether there is such a resource; of a reference that may point to several types it is asked once."""
        key = (resource_type, expression, "")
        if key not in self._known:
            self._known[key] = await self._rows(resource_type, expression, {}, 1)
        return bool(self._known[key])

    async def _has(self, resource_type: str, step: Has, few: Sequence[Document] | None) -> Expression:
        path, term = f"{step.path}.r", step.term
        if few is not None:
            term = all_of(term, one_of(path, *(f"{resource_type}/{row['_id']}" for row in few)))
        rows = await self._followed(step.resource_type, term, path)
        return one_of("_id", *_ids(rows, path, resource_type))

    async def _parts(self, step: Parts, *, is_stored: bool) -> Expression:
        """What is part of these, or what they are part of, level by level. What is not stored has no parts."""
        if step.upwards and not is_stored:
            return Nothing()
        level, found = step.ids, frozenset[str]()
        for _ in range(LEVELS):
            if step.upwards:
                rows = await self._found(step.resource_type, one_of("_id", *level), step.parent)
                level = frozenset(_ids(rows, step.parent, step.resource_type)) - found
            else:
                wholes = one_of(step.parent, *_references(step, level))
                rows = await self._found(step.resource_type, wholes, "_id")
                level = frozenset(row["_id"] for row in rows) - found
            if not level:
                break
            found |= level
        else:
            raise TooCostly(
                f"What is asked for has more than {LEVELS} levels of {step.resource_type} within each other. "
                "Start from one that is nearer."
            )
        return one_of("_id", *found) if is_stored else one_of(step.parent, *_references(step, found | step.ids))

    async def _followed(self, resource_type: str, term: Expression, path: str) -> Sequence[Document]:
        """What meets a step's term, which may have steps itself; the same step may come more than once."""
        key = (resource_type, term, path)
        if key not in self._known:
            self._known[key] = await self._found(resource_type, await self.of(resource_type, term), path)
        return self._known[key]

    async def _found(self, resource_type: str, term: Expression, path: str) -> Sequence[Document]:
        rows = await self._rows(resource_type, term, {path: 1}, self.left + 1)
        self.left -= len(rows)
        if self.left < 0:
            raise TooCostly(
                f"More than {FOLLOWED} resources would have to be followed, at last of the type {resource_type}. "
                "Ask for fewer of them, or add a parameter that few matches meet, such as a patient or an identifier."
            )
        return rows

    async def _rows(self, resource_type: str, term: Expression, projection: Document, limit: int) -> Sequence[Document]:
        wanted = all_of(term, LIVE, self.permit.of(resource_type))
        if isinstance(wanted, Nothing):
            return ()
        way = led(resource_type, term, wanted)
        if way.index is not None:
            self.layout.demand(resource_type, way.index)
        left = int((self._until - asyncio.get_running_loop().time()) * 1_000)
        if left < 1:
            raise TooCostly(SLOW)
        query = Query(
            compile_filter(way.wanted),
            limit=limit,
            projection={"_id": 1, **projection},
            hint=way.hint,
            time_limit=min(left, way.time_limit(self.mongo.query_ms)),
            naive=True,
        )
        return await self.mongo.find(resource_type, query)


def _references(step: Parts, ids: frozenset[str]) -> Iterable[str]:
    return (f"{step.resource_type}/{id}" for id in ids)


def _starting(expression: Expression) -> Iterable[Chain | Has]:
    """The steps that start from the resource itself, not those inside of others."""
    match expression:
        case And(terms) | Or(terms):
            for term in terms:
                yield from _starting(term)
        case Not(term):
            yield from _starting(term)
        case Chain() | Has():
            yield expression


def _code(step: Chain) -> str:
    return step.path.removeprefix("index.")


def _ids(rows: Sequence[Document], path: str, resource_type: str) -> set[str]:
    """The ids of this type that these rows refer to."""
    start = f"{resource_type}/"
    return {
        reference.removeprefix(start)
        for row in rows
        for reference in value_at(row, path) or ()
        if reference.startswith(start)
    }


def _united(terms: Sequence[Expression]) -> Expression:
    """The disjunction, with what is asked of one path asked at once: that is a query which an index can lead."""
    values: dict[str, frozenset[object]] = {}
    rest: list[Expression] = []
    for term in terms:
        if isinstance(term, In):
            values[term.path] = values.get(term.path, frozenset()) | term.values
        else:
            rest.append(term)
    return any_of(*(In(path, each) for path, each in values.items()), *rest)  # type: ignore[arg-type]
