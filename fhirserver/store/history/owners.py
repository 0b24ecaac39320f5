"""Whose the rows of a collection are: their distinct owners, gathered by MongoDB.

What a gate weighs is owners, and a patient may share thousands of resources with a few of them.

https://hl7.org/fhir/R4/security.html#access-denied
"""

from __future__ import annotations

from typing import Final

from fhirserver.search.compile import compile as compile_filter
from fhirserver.search.expression import Exists, Expression, Nothing, all_of
from fhirserver.store.connection.client import Document, Mongo

OWNERS: Final = "security.owners"


async def owners_in(
    mongo: Mongo, collection: str, wanted: Expression, *, limit: int, hint: str | None
) -> frozenset[str]:
    """The owners of the rows of which this is true, at most `limit` of them; what the permit shows is a part of it."""
    if isinstance(wanted, Nothing):
        return frozenset()
    pipeline: list[Document] = [
        {"$match": compile_filter(all_of(wanted, Exists(OWNERS)))},
        {"$project": {"_id": 0, OWNERS: 1}},
        {"$unwind": f"${OWNERS}"},
        {"$group": {"_id": f"${OWNERS}"}},
        {"$limit": limit},
    ]
    return frozenset([row["_id"] for row in await mongo.aggregate(collection, pipeline, hint)])
