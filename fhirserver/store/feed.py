"""The feed: one small row a version, written in the version's own transaction.

Histories of a type or of everything, change delivery after a lost resume token, and exports since an instant read it. Commits of
several writers are not ordered by `updated`: whoever reads on from an instant goes back by `COMMIT_BOUND` and may see a few rows twice.

https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from fhirserver.model.resource import Version
from fhirserver.search.permit import Permit
from fhirserver.store.client import Document, Mongo, Query
from fhirserver.store.layout import FEED

COMMIT_BOUND: Final = timedelta(seconds=5)
"""How long a write may take from its `updated` to its commit."""
BATCH: Final = 1_000

INTERACTIONS: Final = {"POST": "create", "PUT": "update", "DELETE": "delete"}


def row(version: Version, created: bool, security: Any) -> Document:
    """The feed row of a version."""
    return {
        "type": version.resource_type,
        "id": version.id,
        "version": version.version,
        "updated": version.updated,
        "interaction": "create" if created and version.method == "PUT" else INTERACTIONS[version.method],
        "owners": security.get("owners", []),
        "class": security.get("class"),
    }


async def rows_since(mongo: Mongo, permit: Permit, since: datetime, after: Any = None) -> list[Document]:
    """The next rows from this instant on, by time; `after` is the `_id` of the last one of that instant already seen."""
    if not permit.is_system:
        raise PermissionError("The feed as such is the server's own; histories confine it row by row.")
    later: Document = {"updated": {"$gte": since}}
    if after is not None:
        later = {"$or": [{"updated": {"$gt": since}}, {"updated": since, "_id": {"$gt": after}}]}
    return await mongo.find(FEED, Query(later, limit=BATCH, sort=[("updated", 1), ("_id", 1)], hint="time"))
