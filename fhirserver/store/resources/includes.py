"""Included resources: a second query for each type, with that type's own permit, before any limit.

https://hl7.org/fhir/R4/search.html#revinclude
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from fhirserver.model.resource import Version
from fhirserver.search.compile import compile as compile_filter
from fhirserver.search.expression import Expression, In, Nothing, all_of
from fhirserver.search.permit import Permit
from fhirserver.search.request import Include
from fhirserver.store.client import Document, Mongo, Query
from fhirserver.store.indexes import BY_ID
from fhirserver.store.resources.paging import value_at
from fhirserver.store.versions import TEXT_FIELDS, as_version

INCLUDED: Final = 1_000
IDS: Final = 5_000
"""Ids in one query."""

LIVE: Final = In("deleted", frozenset({False}))


def reference_paths(resource_type: str, includes: Sequence[Include]) -> list[str]:
    """Where a match holds the references that these includes follow."""
    found = {f"index.{each.code}.r" for each in includes if not each.reverse and each.source_type == resource_type}
    return sorted(found)


async def included(
    mongo: Mongo, resource_type: str, includes: Sequence[Include], rows: Sequence[Document], permit: Permit
) -> tuple[list[Version], bool]:
    """What the includes of these matches bring, no match among it, and whether the bound cut it short."""
    seen = {f"{resource_type}/{row['_id']}" for row in rows}
    found: list[Version] = []
    for wanted_type, expression in _queries(resource_type, includes, rows):
        wanted = all_of(expression, LIVE, permit.of(wanted_type))
        if isinstance(wanted, Nothing):
            continue
        hint = "_id_" if isinstance(expression, In) else "references"
        query = Query(
            compile_filter(wanted),
            limit=INCLUDED + len(seen) + 1,
            projection=TEXT_FIELDS,
            sort=BY_ID,
            hint=hint,
            naive=True,
        )
        for row in await mongo.find(wanted_type, query):
            version = as_version(wanted_type, row)
            key = f"{wanted_type}/{version.id}"
            if key in seen:
                continue
            if len(found) == INCLUDED:
                return found, True
            seen.add(key)
            found.append(version)
    return found, False


def _queries(
    resource_type: str, includes: Sequence[Include], rows: Sequence[Document]
) -> Iterator[tuple[str, Expression]]:
    references: dict[str, set[str]] = defaultdict(set)
    for include in includes:
        if not include.reverse and include.source_type == resource_type:
            _follow(include, rows, references)
    for target_type in sorted(references):
        ids = sorted(references[target_type])
        for start in range(0, len(ids), IDS):
            yield target_type, In("_id", frozenset(ids[start : start + IDS]))
    targets = frozenset(f"{resource_type}/{row['_id']}" for row in rows)
    for include in includes:
        if include.reverse and targets and include.target_type in (None, resource_type):
            # `_refs` has the index; the parameter's own path says which reference it must be.
            yield include.source_type, all_of(In("index._refs", targets), In(f"index.{include.code}.r", targets))


def _follow(include: Include, rows: Sequence[Document], references: dict[str, set[str]]) -> None:
    for row in rows:
        for reference in value_at(row, f"index.{include.code}.r") or ():
            target_type, slash, id = reference.partition("/")
            if slash and target_type.isalpha() and "/" not in id and include.target_type in (None, target_type):
                references[target_type].add(id)
