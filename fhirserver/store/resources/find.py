"""Search: one find that carries the request and the permit together, the total by the same filter, and the includes.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fhirserver.model.resource import Version
from fhirserver.search.expression import Nothing, all_of
from fhirserver.search.permit import Permit
from fhirserver.search.request import SearchRequest
from fhirserver.store.client import Document, Mongo, Query
from fhirserver.store.layout import Layout
from fhirserver.store.resources import paging
from fhirserver.store.resources.includes import LIVE, included, reference_paths
from fhirserver.store.resources.paging import Position
from fhirserver.store.resources.plan import Plan
from fhirserver.store.resources.plan import plan as planned
from fhirserver.store.versions import TEXT_FIELDS, as_version

ESTIMATE: Final = 10_000
"""An estimated total counts no further than this."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search. `total` is None unless asked for; `next` is None on the last page."""

    matches: list[Version]
    included: list[Version]
    total: int | None
    next: Position | None
    truncated_includes: bool = False


async def find(mongo: Mongo, layout: Layout, request: SearchRequest, permit: Permit, position: Position | None) -> Page:
    """The page of the search that follows the position."""
    wants_total = request.summary_count or request.total != "none"
    wanted = all_of(request.expression, permit.of(request.resource_type))
    if isinstance(wanted, Nothing):
        return Page([], [], 0 if wants_total else None, None)
    plan = planned(request, all_of(wanted, LIVE))
    if plan.index is not None:
        layout.demand(request.resource_type, plan.index)
    total = await _total(mongo, plan, request) if wants_total else None
    if request.summary_count or request.count < 1:
        return Page([], [], total, None)
    rows, next = await _rows(mongo, plan, request, paging.checked(position, plan.order))
    others: list[Version] = []
    truncated = False
    if request.includes:
        others, truncated = await included(mongo, request.resource_type, request.includes, rows, permit)
    return Page([as_version(request.resource_type, row) for row in rows], others, total, next, truncated)


async def _total(mongo: Mongo, plan: Plan, request: SearchRequest) -> int:
    options: Document = {"limit": ESTIMATE} if request.total == "estimate" and not request.summary_count else {}
    if plan.hint is not None:
        options["hint"] = plan.hint
    return await mongo.count(plan.resource_type, plan.filter, plan.time_limit(mongo.query_ms), **options)


async def _rows(
    mongo: Mongo, plan: Plan, request: SearchRequest, position: Position | None
) -> tuple[list[Document], Position | None]:
    limit = request.count + 1
    references = reference_paths(request.resource_type, request.includes)
    if not plan.is_kept:
        return await _rows_sorted(mongo, plan, references, position, limit)
    projection = {**TEXT_FIELDS, **dict.fromkeys(references, 1), **{path: 1 for path, _ in plan.order}}
    rows: list[Document] = []
    for part in paging.ranges(plan.order, position):
        query = Query(
            {"$and": [plan.filter, part]} if part else plan.filter,
            limit=limit - len(rows),
            projection=projection,
            sort=plan.order,
            hint=plan.hint,
            time_limit=plan.time_limit(mongo.query_ms),
            naive=True,
        )
        rows += await mongo.find(plan.resource_type, query)
        if len(rows) == limit:
            break
    if len(rows) < limit:
        return rows, None
    return rows[:-1], paging.position_of(plan.order, rows[-2])


async def _rows_sorted(
    mongo: Mongo, plan: Plan, references: Sequence[str], position: Position | None, limit: int
) -> tuple[list[Document], Position | None]:
    pipeline = paging.pipeline(plan.filter, plan.order, position, limit)
    keys = await mongo.aggregate(plan.resource_type, pipeline, plan.hint, plan.time_limit(mongo.query_ms))
    next = paging.pipeline_position(plan.order, keys[-2]) if len(keys) == limit else None
    ids = [key["_id"] for key in keys[: limit - 1]]
    if not ids:
        return [], None
    # The whole filter again: between the two queries a row may have changed its owner.
    query = Query(
        {"$and": [{"_id": {"$in": ids}}, plan.filter]},
        limit=len(ids),
        projection={**TEXT_FIELDS, **dict.fromkeys(references, 1)},
        hint="_id_",
        naive=True,
    )
    found = {row["_id"]: row for row in await mongo.find(plan.resource_type, query)}
    return [found[id] for id in ids if id in found], next
