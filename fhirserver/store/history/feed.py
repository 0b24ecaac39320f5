"""The feed: one small row a version, written in the version's own transaction.

Histories of a type or of everything, change delivery after a lost resume token, and exports since an instant read it. Commits of
several writers are not ordered by `updated`: whoever reads on from an instant goes back by `COMMIT_BOUND` and may see a few rows twice.

https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import bson

from fhirserver.model.resource import Version
from fhirserver.search.expression import (
    All,
    And,
    Containing,
    Exists,
    Expression,
    In,
    Not,
    Nothing,
    Or,
    Prefixed,
    Range,
    Within,
    all_of,
    any_of,
    negate,
)
from fhirserver.search.permit import Permit
from fhirserver.store.connection.client import Document, Mongo, Query
from fhirserver.store.layout.collections import FEED

COMMIT_BOUND: Final = timedelta(seconds=5)
"""How long a write may take from its `updated` to its commit."""
BATCH: Final = 1_000

_KEPT: Final = {"security.owners": "owners", "security.class": "class", "by.principal": "principal"}
"""The facts of a version that its row repeats."""
_UPDATED: Final = b"\x09updated\0"
INTERACTIONS: Final = {"POST": "create", "PUT": "update", "DELETE": "delete"}


def row(version: Version, created: bool, security: Any, principal: str) -> Document:
    """The feed row of a version that this principal wrote."""
    return {
        "type": version.resource_type,
        "id": version.id,
        "version": version.version,
        "updated": version.updated,
        "interaction": "create" if created and version.method == "PUT" else INTERACTIONS[version.method],
        "owners": security.get("owners", []),
        "class": security.get("class"),
        "principal": principal,
    }


def pieces(version: Version, created: bool, security: Any, principal: str) -> tuple[bytes, bytes]:
    """The same as bytes, before and behind its time."""
    whole = bson.encode(row(version, created, security, principal))
    place = whole.index(_UPDATED) + len(_UPDATED)
    return whole[:place], whole[place + 8 :]


def loosened(expression: Expression) -> Expression:
    """The expression as far as a row of the feed can answer it: true of the row wherever it is true of the row's version."""
    return _loosened(expression, above=True)


def _loosened(expression: Expression, *, above: bool) -> Expression:
    """What is not known counts as true, and inside of a negation (`above` is false) as false."""
    match expression:
        case And(terms):
            return all_of(*(_loosened(term, above=above) for term in terms))
        case Or(terms):
            return any_of(*(_loosened(term, above=above) for term in terms))
        case Not(term):
            return negate(_loosened(term, above=not above))
        case In(path) | Within(path) | Exists(path) | Range(path) | Prefixed(path) | Containing(path) if path in _KEPT:
            return replace(expression, path=_KEPT[path])
        case All() | Nothing():
            return expression
    return All() if above else Nothing()


async def rows_since(mongo: Mongo, permit: Permit, since: datetime, after: Any) -> list[Document]:
    """The next rows from this instant on, by time; `after` is the `_id` of the last one of that instant already seen."""
    if not permit.is_system:
        raise PermissionError("The feed as such is the server's own; histories confine it row by row.")
    later: Document = {"updated": {"$gte": since}}
    if after is not None:
        later = {"$or": [{"updated": {"$gt": since}}, {"updated": since, "_id": {"$gt": after}}]}
    return await mongo.find(FEED, Query(later, limit=BATCH, sort=[("updated", 1), ("_id", 1)], hint="time"))
