"""The profiles, security labels and tags in use: asked of the native copies, under the permit, within a bound.

https://hl7.org/fhir/R4/resource.html#Meta
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from fhirserver.model.outcome import TooCostly
from fhirserver.search.compile import compile as compile_filter
from fhirserver.search.expression import Nothing, all_of
from fhirserver.search.permit import Permit
from fhirserver.store.connection.client import SLOW, Document, Mongo
from fhirserver.store.resources.includes import LIVE

IN_USE_LIMIT: Final = 1_000
"""Different values that are listed."""
KINDS: Final = ("profile", "security", "tag")

_TOO_MANY: Final = f"More than {IN_USE_LIMIT} different profiles, labels and tags are in use; ask type by type."


async def meta_in_use(mongo: Mongo, resource_types: Iterable[str], permit: Permit) -> dict[str, list[Any]]:
    """What is in use in the visible resources of these types, each value once. Raises TooCostly past the bounds."""
    found: dict[tuple[str, str], Any] = {}
    try:
        async with asyncio.timeout(mongo.query_ms / 1_000):
            for resource_type in resource_types:
                visible = all_of(LIVE, permit.of(resource_type))
                if isinstance(visible, Nothing):
                    continue
                rows = await mongo.aggregate(resource_type, _pipeline(compile_filter(visible)), None)
                for row in rows:
                    kind, value = row["_id"]["kind"], row["_id"]["value"]
                    # Of codings that differ in their display only, one is enough.
                    found.setdefault((kind, _key(value)), value)
                if len(rows) > IN_USE_LIMIT or len(found) > IN_USE_LIMIT:
                    raise TooCostly(_TOO_MANY)
    except TimeoutError:
        raise TooCostly(SLOW) from None
    return {kind: [found[key] for key in sorted(found) if key[0] == kind] for kind in KINDS}


def _pipeline(filter: Document) -> list[Document]:
    each = [
        {
            "$map": {
                "input": {"$ifNull": [f"$resource.meta.{kind}", []]},
                "in": {"kind": kind, "value": "$$this"},
            }
        }
        for kind in KINDS
    ]
    return [
        {"$match": filter},
        {"$project": {"_id": 0, "each": {"$concatArrays": each}}},
        {"$unwind": "$each"},
        {"$group": {"_id": "$each"}},
        {"$sort": {"_id": 1}},
        {"$limit": IN_USE_LIMIT + 1},
    ]


def _key(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "|".join(str(value.get(name, "")) for name in ("system", "code", "version"))
