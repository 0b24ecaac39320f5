"""The reads: what the store and each transaction of it answer alike. Every one takes a Permit, positionally and without a default."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fhirserver.model.resource import Version
from fhirserver.search.expression import Expression
from fhirserver.search.permit import Permit
from fhirserver.search.request import SearchRequest
from fhirserver.store.connection.client import Document, Mongo
from fhirserver.store.connection.coalesce import Coalescer
from fhirserver.store.history.histories import Histories, Mark, Span, Walked
from fhirserver.store.history.versions import Versions
from fhirserver.store.layout.collections import Layout
from fhirserver.store.resources import FACTS_LIMIT, Facts, Page, Position, find
from fhirserver.store.resources.across import Across, Place, find_across
from fhirserver.store.resources.contained import Containers, find_contained


class Reads:
    """Where resources are read: the store, or one transaction of it."""

    def __init__(self, mongo: Mongo, layout: Layout) -> None:
        self._mongo = mongo
        self._layout = layout
        self._coalescer = Coalescer(mongo)
        self._versions = Versions(mongo, self._coalescer)
        self._histories = Histories(mongo)
        self._facts = Facts(mongo, self._coalescer)

    async def read(self, resource_type: str, id: str, permit: Permit) -> Version | None:
        """The current version, a visible tombstone included; None if absent or hidden. Reads of one turn are one query."""
        return await self._versions.read(resource_type, id, permit)

    async def vread(self, resource_type: str, id: str, version: int, permit: Permit) -> Version | None:
        """That version, if it and the current one are visible."""
        return await self._versions.vread(resource_type, id, version, permit)

    async def history(
        self, resource_type: str, id: str, permit: Permit, *, count: int, before: int | None = None
    ) -> tuple[list[Version], int]:
        """At most `count` visible versions below `before`, the newest first, and how many are visible in all."""
        return await self._versions.history(resource_type, id, permit, count=count, before=before)

    async def histories(self, span: Span, permit: Permit, *, after: Mark | None = None) -> Walked:
        """A page of the visible versions of types, by time, behind this mark."""
        return await self._histories.walk(span, permit, after)

    async def find(self, request: SearchRequest, permit: Permit, *, position: Position | None = None) -> Page:
        """The page of the search behind this position."""
        return await find(self._mongo, self._layout, request, permit, position)

    async def find_across(
        self, requests: Sequence[SearchRequest], permits: Sequence[Permit], *, place: Place | None = None
    ) -> Across:
        """The page of a search across types, each under its own permit, at this place."""
        return await find_across(self._mongo, self._layout, requests, permits, place)

    async def find_contained(
        self, request: SearchRequest, types: Sequence[str], permit: Permit, *, place: Place | None = None
    ) -> Across:
        """The page of a search of contained resources, in containers of these types as far as the permit shows them."""
        containers = await self._containers(types)
        return await find_contained(self._mongo, self._layout, request, containers, permit, place)

    async def facts(
        self, resource_type: str, which: Expression | Iterable[str], permit: Permit, *, limit: int = FACTS_LIMIT
    ) -> list[Document]:
        """The facts (`_id by security version deleted updated`) of the visible ones among these ids, tombstones included,
        or of at most `limit` resources of which the expression is true. The rows are shared: they are not to be changed."""
        if isinstance(which, Expression):
            return await self._facts.where(resource_type, which, permit, limit=limit)
        return await self._facts.of_ids(resource_type, which, permit)

    async def owners(self, resource_type: str, expression: Expression, permit: Permit, *, limit: int) -> frozenset[str]:
        """The owners of the visible resources of which the expression is true, at most `limit` of them."""
        return await self._facts.owners(resource_type, expression, permit, limit=limit)

    async def _containers(self, types: Sequence[str]) -> Containers:
        return Containers(types)
