"""Which of the resources that meet a criterion a caller sees: what conditional interactions and references are decided by.

The resources are found first, and the caller is decided upon for their owners only, as for a read by id: a criterion names no
patient, and a caller whom thousands permit could not be decided upon otherwise. Who asks for none takes the same steps.

https://hl7.org/fhir/R4/http.html#cond-update
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from fhirserver.access.compartments import UNRESOLVED
from fhirserver.access.decide import Gate
from fhirserver.access.facts import DECIDING, Facts, Row
from fhirserver.access.principal import Kind, Principal, allows
from fhirserver.model.outcome import Forbidden, TooCostly
from fhirserver.search.expression import Expression, Nothing, all_of
from fhirserver.search.match import match
from fhirserver.search.permit import Permit

CANDIDATES: Final = 200
"""Resources of one criterion that are decided upon one by one; where there are more, it is decided as for a search."""
_ENOUGH: Final = 2
"""As many as show that a criterion has several matches."""


async def seen(
    gate: Gate, facts: Facts, principal: Principal, resource_type: str, criteria: Sequence[Expression]
) -> tuple[list[list[dict[str, Any]]], Permit]:
    """For each criterion the rows that meet it and are visible, some of them where there are several; and the permit."""
    found = await asyncio.gather(
        *(facts.facts(resource_type, each, DECIDING, limit=CANDIDATES + 1) for each in criteria)
    )
    if any(len(rows) > CANDIDATES for rows in found):
        permit = await gate.decide(principal, "search-type", resource_type)
        visible = permit.of(resource_type)
        if isinstance(visible, Nothing):
            return [[] for _ in criteria], permit
        confined = (all_of(each, visible) for each in criteria)
        return [await facts.facts(resource_type, each, DECIDING, limit=_ENOUGH) for each in confined], permit
    ids = tuple({row["_id"]: None for rows in found for row in rows}) or (UNRESOLVED,)
    permit = await gate.decide(principal, "search-type", resource_type, ids=ids)
    visible = permit.of(resource_type)
    return [[row for row in rows if match(visible, row)] for rows in found], permit


class PatientKeys:
    """The laboratory's key: to which patient one complete identifier leads, without reading her.

    A system whose token lets it create resources of a type may resolve references from that type so. It is a known oracle, so it
    is counted, and who asks for too many that lead nowhere has to wait.
    """

    def __init__(self, *, misses: int = 1_000, seconds: float = 3_600) -> None:
        self._bound = misses
        self._seconds = seconds
        self._misses: dict[str, tuple[float, int]] = {}
        self.asked = 0
        """Identifiers that were looked up since the start."""

    @staticmethod
    def fits(principal: Principal, source_type: str) -> bool:
        """Whether this principal may resolve references from this type."""
        return principal.kind is Kind.SYSTEM and allows(principal, source_type, "create")

    async def resolve(
        self, facts: Facts, principal: Principal, identifier: Expression, now: float
    ) -> list[dict[str, Any]]:
        """The patients with this identifier; two of them stand for several."""
        since, misses = self._misses.get(principal.user, (now, 0))
        if now - since > self._seconds:
            since, misses = now, 0
        if misses >= self._bound:
            raise TooCostly("Too many identifiers were sent that lead to no patient. Try again in an hour.")
        self.asked += 1
        rows = await facts.facts("Patient", identifier, DECIDING, limit=_ENOUGH)
        if len(rows) != 1:
            self._misses[principal.user] = since, misses + 1
        return rows


def check_search(principal: Principal, resource_type: str) -> None:
    """Raise Forbidden unless the token allows to search: a criterion tells what a search would."""
    if not allows(principal, resource_type, "search-type"):
        raise Forbidden(scope=True)


def is_visible(permit: Permit, resource_type: str, row: Row) -> bool:
    """Whether a row at hand, as one that is about to be written, would be visible."""
    return match(permit.of(resource_type), row)
