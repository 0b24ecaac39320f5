"""Criteria that ask about other resources (chains, reverse chains, lists): answered in the transaction, under the caller's permit.

What they ask about is what is stored before the entries are processed. So that this is never less than the whole, entries that
write a type on the way of another one's criteria are refused.

https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Final

from msgspec import structs

from fhirserver.interactions.bundles.criteria import Criteria
from fhirserver.interactions.bundles.entry import at
from fhirserver.interactions.bundles.plan import Mentioned, Plan, Planned
from fhirserver.interactions.context import Context
from fhirserver.interactions.reading.search import permit_of
from fhirserver.model.outcome import BadRequest
from fhirserver.search.pending import steps
from fhirserver.search.request import SearchRequest
from fhirserver.store import Tx

_WRITTEN: Final = (
    "The criteria follow references to or from {}, which another entry of the same transaction writes: they cannot be decided before. "
    "Send that entry first."
)


async def followed(context: Context, tx: Tx, plan: Plan) -> Plan:
    """The plan with criteria that ask about nothing but the resource itself. Raises Failed."""
    writers: defaultdict[str, set[int]] = defaultdict(set)
    for each in plan.writes:
        writers[each.entry.resource_type].add(each.index)
    writes = [await _planned(context, tx, each, writers) for each in plan.writes]
    references = {text: await _mentioned(context, tx, each, writers) for text, each in plan.references.items()}
    return Plan(plan.entries, tuple(writes), references)


async def _planned(context: Context, tx: Tx, planned: Planned, writers: dict[str, set[int]]) -> Planned:
    if planned.criteria is None or not steps(planned.criteria.expression):
        return planned
    with at(planned.index):
        _check(planned.criteria, {type for type, indexes in writers.items() if indexes != {planned.index}})
        return structs.replace(planned, criteria=await _plain(context, tx, planned.criteria))


async def _mentioned(context: Context, tx: Tx, mentioned: Mentioned, writers: dict[str, set[int]]) -> Mentioned:
    if not steps(mentioned.criteria.expression):
        return mentioned
    with at(mentioned.index):
        _check(mentioned.criteria, set(writers))
        return replace(mentioned, criteria=await _plain(context, tx, mentioned.criteria))


def _check(criteria: Criteria, written: set[str]) -> None:
    for step in steps(criteria.expression):
        if step.resource_type in written:
            raise BadRequest(_WRITTEN.format(step.resource_type), code="not-supported")


async def _plain(context: Context, tx: Tx, criteria: Criteria) -> Criteria:
    permit = await permit_of(context, SearchRequest(criteria.resource_type, criteria.expression))
    return replace(criteria, expression=await tx.answered(criteria.resource_type, criteria.expression, permit))
