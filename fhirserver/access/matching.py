"""Which of the resources that meet a criterion a caller sees: what conditional interactions and references are decided by.

The resources are found first, and the caller is decided upon for their owners only, as for a read by id: a criterion names no
patient, and a caller whom thousands permit could not be decided upon otherwise. Who asks for none takes the same steps.

https://hl7.org/fhir/R4/http.html#cond-update
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from fhirserver.access.gate.decide import Gate
from fhirserver.access.gate.facts import DECIDING, Facts, OwnedFacts, Row, owners_of
from fhirserver.access.gate.request import Request
from fhirserver.access.gate.steps import check_whole
from fhirserver.access.gate.weighing import owners_where
from fhirserver.access.principal import Kind, Principal, allows
from fhirserver.access.security.compartments import UNRESOLVED
from fhirserver.model.outcome import Conflict, Forbidden, TooCostly
from fhirserver.search.expression import Expression, Nothing, all_of, named_ids
from fhirserver.search.match import match
from fhirserver.search.permit import Permit
from fhirserver.store.documents import Documents

CANDIDATES: Final = 200
"""Resources of one criterion that are decided upon one by one; where there are more, it is decided as for a search, or for
their owners where she is permitted by too many for that."""
_TOGETHER: Final = 1_000
"""Resources that are decided upon at once: their owners are asked for together, and a decision has its bounds."""
_ASKED: Final = 1_000
"""Criteria that are asked for at once: one query has its bounds."""
_ENOUGH: Final = 2
"""As many as show that a criterion has several matches."""

Rows = list[dict[str, Any]]


async def met(facts: Facts, resource_type: str, criteria: Sequence[Expression]) -> list[Rows]:
    """For each criterion the rows that meet it, whoever may see them: for `seen` alone."""
    found: list[Rows] = []
    for start in range(0, len(criteria), _ASKED):
        together = criteria[start : start + _ASKED]
        found += await asyncio.gather(
            *(facts.facts(resource_type, each, DECIDING, limit=CANDIDATES + 1) for each in together)
        )
    return found


async def seen(
    gate: Gate,
    facts: OwnedFacts,
    principal: Principal,
    resource_type: str,
    criteria: Sequence[Expression],
    found: list[Rows],
) -> tuple[list[Rows], Permit]:
    """Of the rows that meet each criterion the visible ones, some of them where there are several; and the permit."""
    if resource_type == "Binary":
        return await _binaries(gate, facts, principal, criteria, found)
    wide = [each for each, rows in zip(criteria, found, strict=True) if len(rows) > CANDIDATES]
    if not wide:
        return await _one_by_one(gate, principal, resource_type, found)
    try:
        permit = await gate.decide(principal, Request("search-type", resource_type))
        check_whole(permit)
    except TooCostly:
        # That so many permit her is hers to know. That there are many matches, most of them hidden perhaps, is not: it must not
        # be what she is told, so it is decided for the owners of all of them.
        owners = await asyncio.gather(*(owners_where(facts, resource_type, each) for each in wide))
        patients = owners_of(row for rows in found for row in rows).union(*owners)
        permit = await gate.decide(principal, Request("search-type", resource_type, patients=patients))
    return await _confined(facts, permit, resource_type, criteria), permit


async def _binaries(
    gate: Gate, facts: OwnedFacts, principal: Principal, criteria: Sequence[Expression], found: Sequence[Rows]
) -> tuple[list[Rows], Permit]:
    """As a search finds them: the context of a Binary is looked at where its id is named, however many others meet a criterion."""
    named = (rows for each, rows in zip(criteria, found, strict=True) if named_ids(each))
    by_id = {row["_id"]: row for rows in named for row in rows}
    ids = tuple(by_id) or (UNRESOLVED,)
    permit = await gate.decide(principal, Request("search-type", "Binary", ids=ids, rows=tuple(by_id.values())))
    return await _confined(facts, permit, "Binary", criteria), permit


async def _confined(facts: Facts, permit: Permit, resource_type: str, criteria: Sequence[Expression]) -> list[Rows]:
    """The rows as a search finds them."""
    visible = permit.of(resource_type)
    if isinstance(visible, Nothing):
        return [[] for _ in criteria]
    confined = (all_of(each, visible) for each in criteria)
    return [await facts.facts(resource_type, each, DECIDING, limit=_ENOUGH) for each in confined]


async def _one_by_one(
    gate: Gate, principal: Principal, resource_type: str, found: Sequence[Rows]
) -> tuple[list[Rows], Permit]:
    """Those of the rows that are visible, by a decision on their own owners."""
    ids = tuple({row["_id"]: None for rows in found for row in rows})
    if len(ids) > _TOGETHER:
        shown: set[str] = set()
        for start in range(0, len(ids), _TOGETHER):
            part = frozenset(ids[start : start + _TOGETHER])
            those = [[row for row in rows if row["_id"] in part] for rows in found]
            seen_of_part, _ = await _decided(gate, principal, resource_type, those)
            shown |= {row["_id"] for rows in seen_of_part for row in rows}
        found = [[row for row in rows if row["_id"] in shown][:_ENOUGH] for rows in found]
    return await _decided(gate, principal, resource_type, found)


async def _decided(
    gate: Gate, principal: Principal, resource_type: str, found: Sequence[Rows]
) -> tuple[list[Rows], Permit]:
    by_id = {row["_id"]: row for rows in found for row in rows}
    # The rows are those of the transaction: what is decided is what it saw. Nothing found is decided upon as well.
    permit = await gate.decide(
        principal, Request("search-type", resource_type, ids=tuple(by_id) or (UNRESOLVED,), rows=tuple(by_id.values()))
    )
    visible = permit.of(resource_type)
    return [[row for row in rows if match(visible, row)] for rows in found], permit


class PatientKeys:
    """The laboratory's key: to which patient one complete identifier leads, without reading her.

    A system whose token lets it create resources of a type may resolve references from that type so. It is a known oracle, so it
    is counted, and who asks for too many that lead nowhere has to wait. The count is one row of all processes: each reads it when
    an hour begins and when it adds to it, so together they let no more through than the bound and one each.
    """

    def __init__(
        self,
        rows: Documents,
        *,
        misses: int = 1_000,
        seconds: int = 3_600,
        observe: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._rows = rows
        self._bound = misses
        self._seconds = seconds
        self._observe = observe
        self._misses: dict[str, tuple[str, int]] = {}

    @staticmethod
    def fits(principal: Principal, source_type: str) -> bool:
        """Whether this principal may resolve references from this type."""
        return principal.kind is Kind.SYSTEM and allows(principal, source_type, "create")

    async def resolve(self, facts: Facts, principal: Principal, identifier: Expression, now: float) -> Rows:
        """The patients with this identifier; two of them stand for several."""
        user, hour = principal.user, str(int(now // self._seconds))
        known, misses = self._misses.get(user, ("", 0))
        if known != hour:
            row = await self._rows.get(user)
            misses = row["misses"] if row is not None and row["hour"] == hour else 0
            self._misses[user] = hour, misses
        if misses >= self._bound:
            raise TooCostly("Too many identifiers were sent that lead to no patient. Try again in an hour.")
        rows = await facts.facts("Patient", identifier, DECIDING, limit=_ENOUGH)
        self._observe(len(rows) == 1)
        if len(rows) != 1:
            self._misses[user] = hour, await self._missed(user, hour)
        return rows

    async def _missed(self, user: str, hour: str) -> int:
        """Add one to the count of all processes; what it is then."""
        while True:
            row = await self._rows.get(user)
            misses = 1 + (row["misses"] if row is not None and row["hour"] == hour else 0)
            new = {"_id": user, "hour": hour, "misses": misses}
            try:
                if row is None:
                    await self._rows.insert(new)
                elif not await self._rows.replace(new, {"hour": row["hour"], "misses": row["misses"]}):
                    continue
            except Conflict:
                continue
            return misses


def check_search(principal: Principal, resource_type: str) -> None:
    """Raise Forbidden unless the token allows to search: a criterion tells what a search would."""
    if not allows(principal, resource_type, "search-type"):
        raise Forbidden(scope=True)


def is_visible(permit: Permit, resource_type: str, row: Row) -> bool:
    """Whether a row at hand, as one that is about to be written, would be visible."""
    return match(permit.of(resource_type), row)
