"""The server's own rows, which are not FHIR resources: tokens, keys, locks, jobs, the layout.

A room gets a collection of its own by name and keeps in it what it likes, under a string `_id`. Rows are not confined by a
Permit because they are not anybody's record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo.errors import DuplicateKeyError

from fhirserver.model.outcome import Conflict
from fhirserver.search.compile import compile as compile_filter
from fhirserver.search.expression import All, Expression, Nothing
from fhirserver.store.connection.client import Document, Mongo, Query, translated
from fhirserver.store.connection.coalesce import Coalescer, Kind

FIND_LIMIT = 1_000

_ROW = Kind("row", None, lambda _, row: row, naive=False)


class Documents:
    """One collection of own rows."""

    def __init__(self, mongo: Mongo, coalescer: Coalescer, name: str) -> None:
        if not name.islower() or "." in name or "$" in name:
            raise ValueError("Collections of own rows have lower-case names; capitals are resource types.")
        self._mongo = mongo
        self._coalescer = coalescer
        self._name = name
        self._collection = mongo.database[name]

    async def get(self, key: str) -> Document | None:
        """The row with this key; gets of one turn of the loop are one query. The row is shared: it is not to be changed."""
        row: Document | None = await self._coalescer.read(self._name, key, All(), _ROW)
        return row

    async def insert(self, document: Mapping[str, Any]) -> None:
        """A new row under its `_id`. Raises Conflict if there is one."""
        with translated():
            try:
                await self._collection.insert_one(dict(document))
            except DuplicateKeyError:
                raise Conflict from None

    async def put(self, document: Mapping[str, Any]) -> None:
        """The row under its `_id`, new or in the place of the old one."""
        with translated():
            await self._collection.replace_one({"_id": document["_id"]}, document, upsert=True)

    async def replace(self, document: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
        """Put the row in the place of the one that still holds the `expected` values; whether there was such a one."""
        with translated():
            filter = {"_id": document["_id"]} | {key: {"$eq": value} for key, value in expected.items()}
            return (await self._collection.replace_one(filter, document)).matched_count == 1

    async def delete(self, key: str, expected: Mapping[str, Any] | None = None) -> bool:
        """Remove the row, if it still holds the `expected` values; whether there was such a one."""
        with translated():
            filter = {"_id": key} | {name: {"$eq": value} for name, value in (expected or {}).items()}
            return (await self._collection.delete_one(filter)).deleted_count == 1

    async def keeps(self, document: Mapping[str, Any]) -> bool:
        """Whether a row can be put here and got again; it is gone afterwards."""
        key = document["_id"]
        await self.put(document)
        found = await self.get(key)
        await self.delete(key)
        return found is not None

    async def find(self, expression: Expression, *, limit: int = FIND_LIMIT) -> list[Document]:
        """At most `limit` rows of which the expression is true, by key."""
        if isinstance(expression, Nothing):
            return []
        query = Query(compile_filter(expression), limit=limit, sort=[("_id", 1)])
        return await self._mongo.find(self._name, query)
