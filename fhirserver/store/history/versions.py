"""Reading versions: one of them, or the history of an instance.

The current version must be visible, and so must each version that is returned, by its own security facts: a record that went from
one owner to another shows its old versions only to who may see both.

https://hl7.org/fhir/R4/http.html#vread and https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

import asyncio
from datetime import UTC
from typing import Final

from fhirserver.model.resource import Version
from fhirserver.search.compile import compile as compile_filter
from fhirserver.search.expression import Expression, In, Nothing, Range, Within, all_of, negate
from fhirserver.search.permit import Permit
from fhirserver.store.connection.client import Document, Mongo, Query
from fhirserver.store.connection.coalesce import Coalescer, Kind
from fhirserver.store.history.owners import OWNERS, owners_in

PAST: Final = 100_000
"""Owners of the superseded versions of one resource."""
TEXT_FIELDS: Final = {"json": 1, "version": 1, "updated": 1, "method": 1, "created": 1}


def as_version(resource_type: str, row: Document) -> Version:
    """The version that a stored row holds; its datetime has no zone."""
    id = row["_id"]
    return Version(
        resource_type,
        id if type(id) is str else id["id"],
        row["version"],
        row["updated"].replace(tzinfo=UTC),
        row.get("json"),
        row["method"],
        row.get("created", row["version"] == 1),  # of the first version, and of older rows, it is not stored
    )


TEXT: Final = Kind("text", TEXT_FIELDS, as_version)


class Versions:
    """Reads of single versions."""

    def __init__(self, mongo: Mongo, coalescer: Coalescer) -> None:
        self._mongo = mongo
        self._coalescer = coalescer

    def read(self, resource_type: str, id: str, permit: Permit) -> asyncio.Future[Version | None]:
        """The current version, a visible tombstone included; None if it is absent or hidden."""
        return self._coalescer.read(resource_type, id, permit.of(resource_type), TEXT)

    async def vread(self, resource_type: str, id: str, version: int, permit: Permit) -> Version | None:
        """That version, if it and the current one are visible."""
        current = await self.read(resource_type, id, permit)
        if current is None or version > current.version:
            return None
        if version == current.version:
            return current
        rows = await self._superseded(resource_type, id, permit, In("_id.version", frozenset({version})), 1)
        return as_version(resource_type, rows[0]) if rows else None

    async def history(
        self, resource_type: str, id: str, permit: Permit, *, count: int, before: int | None = None
    ) -> tuple[list[Version], int]:
        """Visible versions, the newest first, below the version `before`, at most `count`; and how many are visible in all.

        None, and zero, if the current version is absent or hidden.
        """
        current = await self.read(resource_type, id, permit)
        if current is None:
            return [], 0
        found = [current] if count > 0 and (before is None or before > current.version) else []
        highest = current.version - 1 if before is None else min(before, current.version) - 1
        if highest > 0 and len(found) < count:
            rows = await self._superseded(
                resource_type, id, permit, Range("_id.version", None, highest), count - len(found)
            )
            found += [as_version(resource_type, row) for row in rows]
        return found, 1 + await self._count(resource_type, id, permit, current.version)

    async def past_owners(self, resource_type: str, id: str, known: frozenset[str], permit: Permit) -> frozenset[str]:
        """The owners of the visible superseded versions that are not the known ones' alone."""
        wanted = all_of(permit.of(resource_type), negate(Within(OWNERS, known)))
        of_it = all_of(In("_id.id", frozenset({id})), wanted)
        return await owners_in(self._mongo, f"{resource_type}.history", of_it, limit=PAST, hint="instance")

    async def _superseded(
        self, resource_type: str, id: str, permit: Permit, numbers: Expression, limit: int
    ) -> list[Document]:
        visible = permit.of(resource_type)
        if isinstance(visible, Nothing):
            return []
        filter = compile_filter(all_of(In("_id.id", frozenset({id})), numbers, visible))
        query = Query(
            filter, limit=limit, projection=TEXT_FIELDS, sort=[("_id.version", -1)], hint="instance", naive=True
        )
        return await self._mongo.find(f"{resource_type}.history", query)

    async def _count(self, resource_type: str, id: str, permit: Permit, below: int) -> int:
        visible = permit.of(resource_type)
        if below == 1 or isinstance(visible, Nothing):
            return 0
        older = Range("_id.version", None, below - 1)
        filter = compile_filter(all_of(In("_id.id", frozenset({id})), older, visible))
        return await self._mongo.count(f"{resource_type}.history", filter, hint="instance")
