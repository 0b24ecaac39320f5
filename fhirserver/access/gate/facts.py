"""What the gate reads to decide: security facts of stored resources, with the system's permit, from the primary.

Nothing here is kept from one request to the next.

https://hl7.org/fhir/R4/security.html#access-denied
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Protocol

from fhirserver.access.reasons import FACTS, TOO_MANY_FACTS
from fhirserver.model.outcome import TooCostly
from fhirserver.search.expression import Expression
from fhirserver.search.permit import Permit

Row = Mapping[str, Any]
"""`_id`, `by`, `security`, `deleted` of a current version, tombstones included."""

DECIDING: Final = Permit.system(FACTS)


class Facts(Protocol):
    """Where the facts come from: the store. Reads of one turn of the event loop are one query each kind."""

    async def facts(
        self, resource_type: str, which: Expression | Iterable[str], permit: Permit, /, *, limit: int = 1_000
    ) -> list[dict[str, Any]]:
        """The rows with these ids, tombstones included; or at most `limit` live ones of which the expression is true."""


class OwnedFacts(Facts, Protocol):
    """The same, with whose many resources are."""

    async def owners(self, resource_type: str, which: Expression, permit: Permit, /, *, limit: int) -> frozenset[str]:
        """The owners of the live resources of which the expression is true, at most `limit` of them."""


class PastFacts(OwnedFacts, Protocol):
    """The same, with what superseded versions say."""

    async def past_owners(
        self, resource_type: str, id: str, known: frozenset[str], permit: Permit, /
    ) -> frozenset[str]:
        """The owners of superseded versions of the resource that belong to others than the known ones too."""


async def rows_where(facts: Facts, resource_type: str, expression: Expression, bound: int) -> list[dict[str, Any]]:
    """All live rows of which the expression is true. Raises TooCostly past the bound: half of the facts would be a leak."""
    rows = await facts.facts(resource_type, expression, DECIDING, limit=bound + 1)
    if len(rows) > bound:
        raise TooCostly(TOO_MANY_FACTS)
    return rows


def is_live(row: Row) -> bool:
    """Whether the row is surely not a tombstone; what is not said counts as deleted."""
    return row.get("deleted") is False


def security(row: Row) -> Mapping[str, Any]:
    """The row's security facts."""
    found = row.get("security")
    return found if isinstance(found, Mapping) else {}


def owners_of(rows: Iterable[Row]) -> frozenset[str]:
    """The owners of all these rows."""
    return frozenset(_owners(rows))


def _owners(rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        yield from security(row).get("owners") or ()
