"""The gate's facts from a dictionary: the same derivation and the same matcher as the store's, without a database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fhirserver.access.security.compartments import security_facts
from fhirserver.search.expression import Expression
from fhirserver.search.match import match
from fhirserver.search.permit import Permit

BASE = "https://fhir.example.org/fhir"
derive = security_facts(BASE)


class FakeFacts:
    """Stored documents, as far as a permit can look; what was asked is kept in `asked`."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], dict[str, Any]] = {}
        self.past: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.asked: list[str] = []

    def put(self, resource: dict[str, Any], by: str = "operator", *, deleted: bool = False) -> dict[str, Any]:
        """Store the resource as this principal's; the row."""
        resource_type = resource["resourceType"]
        row = {
            "_id": resource["id"],
            "by": {"request": "r", "principal": by, "client": "c"},
            "security": derive(resource_type, resource),
            "deleted": deleted,
        }
        key = resource_type, resource["id"]
        if key in self.rows:
            self.past.setdefault(key, []).append(self.rows[key])
        self.rows[key] = row
        return row

    def delete(self, resource_type: str, id: str, by: str = "operator") -> None:
        """Leave a tombstone, which keeps the last version's facts."""
        self.rows[resource_type, id] = self.rows[resource_type, id] | {"deleted": True, "by": {"principal": by}}

    async def facts(
        self, resource_type: str, which: Expression | Iterable[str], permit: Permit, /, *, limit: int = 1_000
    ) -> list[dict[str, Any]]:
        """As the store does it: by ids with tombstones, by condition without, at most `limit`."""
        self.asked.append(resource_type)
        visible = permit.of(resource_type)
        if isinstance(which, Expression):
            found = [row for row in self._of(resource_type) if not row["deleted"] and match(which, row)]
        else:
            ids = set(which)
            found = [row for row in self._of(resource_type) if row["_id"] in ids]
        return [row for row in found if match(visible, row)][:limit]

    async def owners(self, resource_type: str, which: Expression, permit: Permit, /, *, limit: int) -> frozenset[str]:
        """Of what `facts` finds by condition."""
        rows = await self.facts(resource_type, which, permit, limit=len(self.rows))
        return frozenset(sorted({owner for row in rows for owner in row["security"]["owners"]})[:limit])

    async def past_owners(
        self, resource_type: str, id: str, known: frozenset[str], permit: Permit, /
    ) -> frozenset[str]:
        """Those of the versions that were put here before."""
        self.asked.append(f"{resource_type}.history")
        versions = (row["security"]["owners"] for row in self.past.get((resource_type, id), ()))
        return frozenset(owner for owners in versions if not known.issuperset(owners) for owner in owners)

    def seen(self, permit: Permit, resource_type: str) -> set[str]:
        """The ids of a type that the permit shows."""
        return {row["_id"] for row in self._of(resource_type) if match(permit.of(resource_type), row)}

    def everything_seen(self, permit: Permit) -> set[str]:
        """`Type/id` of all that the permit shows."""
        return {f"{kind}/{id}" for (kind, id), row in self.rows.items() if match(permit.of(kind), row)}

    def _of(self, resource_type: str) -> list[dict[str, Any]]:
        return [row for (kind, _), row in self.rows.items() if kind == resource_type]
