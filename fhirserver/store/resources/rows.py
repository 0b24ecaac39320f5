"""The rows of one page: those that follow a position, or those that precede it, and the positions of the pages around.

https://hl7.org/fhir/R4/http.html#paging
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fhirserver.store.connection.client import Document, Mongo, Query
from fhirserver.store.history.versions import TEXT_FIELDS
from fhirserver.store.resources import paging
from fhirserver.store.resources.paging import Position
from fhirserver.store.resources.plan import Plan


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows in their order; `next` and `previous` are None where there is no page."""

    rows: list[Document]
    next: Position | None = None
    previous: Position | None = None


async def rows_of(mongo: Mongo, plan: Plan, count: int, references: Sequence[str], position: Position | None) -> Rows:
    """At most `count` rows, with the paths of `references`. Where nothing is left before a position: the first page."""
    page = await (_kept if plan.is_kept else _sorted)(mongo, plan, count, references, position)
    if position is not None and position.before and not page.rows:
        return await rows_of(mongo, plan, count, references, None)
    return page


async def _kept(mongo: Mongo, plan: Plan, count: int, references: Sequence[str], position: Position | None) -> Rows:
    """In an order that an index gives."""
    order = paging.turned(plan.order) if _is_before(position) else plan.order
    projection = {**TEXT_FIELDS, **dict.fromkeys(references, 1), **{path: 1 for path, _ in order}}
    rows: list[Document] = []
    for part in paging.ranges(plan.order, position):
        query = Query(
            {"$and": [plan.filter, part]} if part else plan.filter,
            limit=count + 1 - len(rows),
            projection=projection,
            sort=order,
            hint=plan.hint,
            time_limit=plan.time_limit(mongo.query_ms),
            naive=True,
        )
        rows += await mongo.find(plan.resource_type, query)
        if len(rows) > count:
            break
    page = _page(rows, count, position)
    is_more = len(rows) > count
    if not is_more and position is None:
        return Rows(page)
    ends = [paging.position_of(plan.order, row, before=before) for row, before in _ends(page)]
    return _with_links(page, is_more, position, ends)


async def _sorted(mongo: Mongo, plan: Plan, count: int, references: Sequence[str], position: Position | None) -> Rows:
    """In an order that MongoDB sorts: ids and sort values first, then the rows."""
    pipeline = paging.pipeline(plan.filter, plan.order, position, count + 1)
    keys = await mongo.aggregate(plan.resource_type, pipeline, plan.hint, plan.time_limit(mongo.query_ms))
    page = _page(keys, count, position)
    if not page:
        return Rows([])
    # The whole filter again: between the two queries a row may have changed its owner.
    query = Query(
        {"$and": [{"_id": {"$in": [key["_id"] for key in page]}}, plan.filter]},
        limit=len(page),
        projection={**TEXT_FIELDS, **dict.fromkeys(references, 1)},
        hint="_id_",
        naive=True,
    )
    found = {row["_id"]: row for row in await mongo.find(plan.resource_type, query)}
    ends = [paging.pipeline_position(plan.order, row, before=before) for row, before in _ends(page)]
    rows = [found[key["_id"]] for key in page if key["_id"] in found]
    return _with_links(rows, len(keys) > count, position, ends)


def _is_before(position: Position | None) -> bool:
    return position is not None and position.before


def _page(rows: list[Document], count: int, position: Position | None) -> list[Document]:
    page = rows[:count]
    return page[::-1] if _is_before(position) else page


def _ends(page: Sequence[Document]) -> list[tuple[Document, bool]]:
    """The first row, which the page before precedes, and the last one."""
    return [(page[0], True), (page[-1], False)] if page else []


def _with_links(rows: list[Document], is_more: bool, position: Position | None, ends: Sequence[Position]) -> Rows:
    if not ends:
        return Rows(rows)
    first, last = ends
    if _is_before(position):
        return Rows(rows, last, first if is_more else None)
    return Rows(rows, last if is_more else None, None if position is None else first)
