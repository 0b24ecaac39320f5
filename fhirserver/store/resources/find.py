"""Search: one find that carries the request and the permit together, the total by the same filter, and the includes.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from fhirserver.model.resource import Version
from fhirserver.search.expression import All, Nothing, all_of
from fhirserver.search.index.contained import CONTAINED
from fhirserver.search.permit import Permit
from fhirserver.search.request import SearchRequest
from fhirserver.store.connection.client import Document, Mongo
from fhirserver.store.history.versions import as_version
from fhirserver.store.layout.collections import Layout
from fhirserver.store.resources import paging
from fhirserver.store.resources.chains import answered
from fhirserver.store.resources.includes import LIVE, included, reference_paths
from fhirserver.store.resources.paging import Position
from fhirserver.store.resources.plan import Plan, is_of_values
from fhirserver.store.resources.plan import plan as planned
from fhirserver.store.resources.rows import rows_of
from fhirserver.store.resources.taking import Taking, number_of

ESTIMATE: Final = 10_000
"""An estimated total counts no further than this."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search. `total` is None unless asked for; `next` is None on the last page, `previous` on the first.

    `behind` are the positions behind each of the matches, where these are not what was found but contained in it.
    """

    matches: list[Version]
    included: list[Version]
    total: int | None
    next: Position | None
    truncated_includes: bool = False
    previous: Position | None = None
    behind: Sequence[Position] = ()


async def find(mongo: Mongo, layout: Layout, request: SearchRequest, permit: Permit, position: Position | None) -> Page:
    """The page of the search that follows the position."""
    wants_total = request.summary_count or request.total != "none"
    expression = await answered(mongo, layout, request.resource_type, request.expression, permit)
    if expression is not request.expression:
        request = replace(request, expression=expression)
    wanted = all_of(request.expression, permit.of(request.resource_type))
    if isinstance(wanted, Nothing):
        return Page([], [], 0 if wants_total else None, None)
    # An index that need not be asked for deletions too can count by itself.
    live = All() if is_of_values(request.expression) else LIVE
    plan = planned(request, all_of(wanted, live), layout.leads.get(request.resource_type, frozenset()))
    if plan.index is not None:
        layout.demand(request.resource_type, plan.index)
    total = await _total(mongo, plan, request) if wants_total else None
    if request.summary_count or request.count < 1:
        return Page([], [], total, None)
    position = paging.checked(position, plan.order)
    if request.taken is not None:
        start = paging.with_its_row(position, plan.order)
        found = await rows_of(mongo, plan, request.count, [CONTAINED], start)
        matches, behind, following = _taking(plan, request).of(found, request.count, position)
        return Page(matches, [], total, following, behind=behind)
    references = reference_paths(request.resource_type, request.includes)
    found = await rows_of(mongo, plan, request.count, references, position)
    others: list[Version] = []
    truncated = False
    if request.includes:
        others, truncated = await included(mongo, request.resource_type, request.includes, found.rows, permit)
    matches = [as_version(request.resource_type, row) for row in found.rows]
    return Page(matches, others, total, found.next, truncated, found.previous)


async def _total(mongo: Mongo, plan: Plan, request: SearchRequest) -> int:
    most = ESTIMATE if request.total == "estimate" and not request.summary_count else None
    limit = plan.time_limit(mongo.query_ms)
    if request.taken is not None:
        pipeline = _taking(plan, request).counting(plan.filter, most)
        return number_of(await mongo.aggregate(plan.resource_type, pipeline, plan.hint, limit))
    options: Document = {} if most is None else {"limit": most}
    if plan.hint is not None:
        options["hint"] = plan.hint
    return await mongo.count(plan.resource_type, plan.filter, limit, **options)


def _taking(plan: Plan, request: SearchRequest) -> Taking:
    resource_type, term = request.taken or ("", All())
    return Taking(plan.resource_type, resource_type, term, plan.order)
