"""Which resources the entries are about: criteria and conditional references against what is stored, and against each other.

Matches are those that the caller sees, in the transaction that writes. Deletions come first: what is deleted here is found no more.
What is created here is found by what comes later.

https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fhirserver.access.matching import is_visible, met, seen
from fhirserver.access.principal import allows
from fhirserver.interactions.bundles.criteria import MANY, Criteria
from fhirserver.interactions.bundles.entry import Failed, at
from fhirserver.interactions.bundles.follow import followed
from fhirserver.interactions.bundles.plan import OVERLAP, Mentioned, Plan, Planned, check_overlap, may_use_key
from fhirserver.interactions.context import Context
from fhirserver.interactions.writing.candidate import as_stored, identified
from fhirserver.model.outcome import BadRequest, FhirError, NotFound, PreconditionFailed
from fhirserver.model.resource import Version
from fhirserver.search.expression import And, Expression, In
from fhirserver.search.index.identifiers import IDENTIFIER_PATH
from fhirserver.search.match import match
from fhirserver.search.permit import Permit
from fhirserver.store import Tx
from fhirserver.store.pace import Pace, beside

_NO_TARGET: Final = "The conditional reference finds no resource; it must find one."
_TARGETS: Final = "The conditional reference finds several resources; it must find one."
_OTHER_ID: Final = "The id in the body is not that of the resource that the criteria find."

Key = tuple[str, str]


@dataclass(slots=True)
class Resolution:
    """Where each entry goes, by its number.

    `ids`: of those that write something; `replaced`: whose criteria found what they write. `found`: conditional creates with the
    version that was there, `same`: with the other entry that creates it. `references`: targets of conditional references.
    """

    ids: dict[int, str] = field(default_factory=dict)
    replaced: set[int] = field(default_factory=set)
    found: dict[int, Version] = field(default_factory=dict)
    same: dict[int, int] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)


def settled(plan: Plan) -> Resolution:
    """The resolution of a plan that asks nothing."""
    return Resolution(ids={each.index: each.id for each in plan.writes if each.id is not None})


async def resolve(context: Context, tx: Tx, plan: Plan) -> Resolution:
    """Find what the entries are about. Raises Failed."""
    plan = await followed(context, tx, plan)
    rows, permits = await _rows(context, tx, plan)
    resolving = _Resolving(context, plan, rows, permits)
    found = await resolving.writes()
    check_overlap((each.index, each.entry.resource_type, resolving.ids.get(each.index)) for each in plan.writes)
    # Side by side: reads of one turn are one query.
    versions = await asyncio.gather(*(tx.read(*each, permits[each[0]]) for each in found.values()))
    for index, version in zip(found, versions, strict=True):
        assert version is not None, "It was found in this transaction, under this permit."  # noqa: S101
        resolving.found[index] = version
    for text, mentioned in plan.references.items():
        resolving.references[text] = await resolving.target(tx, text, mentioned)
    return Resolution(resolving.ids, resolving.replaced, resolving.found, resolving.same, resolving.references)


async def _rows(
    context: Context, tx: Tx, plan: Plan
) -> tuple[Mapping[Criteria, Sequence[dict[str, Any]]], Mapping[str, Permit]]:
    """The visible matches of all criteria, one question a type."""
    services, principal = context.services, context.principal
    wanted: defaultdict[str, dict[Criteria, None]] = defaultdict(dict)
    for each in plan.writes:
        if each.criteria is not None:
            wanted[each.criteria.resource_type][each.criteria] = None
    for mentioned in plan.references.values():
        criteria = mentioned.criteria
        if allows(principal, criteria.resource_type, "search-type"):
            wanted[criteria.resource_type][criteria] = None
    asked = {type: [each.expression for each in criteria_of_type] for type, criteria_of_type in wanted.items()}
    # Side by side, and all found before any is decided upon: what the gate reads for several types in one turn is one query.
    found = await asyncio.gather(*(met(tx, *each) for each in asked.items()))
    answers = await asyncio.gather(
        *(
            seen(services.gate, tx, principal, resource_type, expressions, rows)
            for (resource_type, expressions), rows in zip(asked.items(), found, strict=True)
        )
    )
    rows: dict[Criteria, Sequence[dict[str, Any]]] = {}
    for criteria_of_type, (visible, _) in zip(wanted.values(), answers, strict=True):
        rows.update(zip(criteria_of_type, visible, strict=True))
    return rows, {resource_type: permit for resource_type, (_, permit) in zip(wanted, answers, strict=True)}


class _Resolving:
    """A resolution under way."""

    def __init__(
        self,
        context: Context,
        plan: Plan,
        rows: Mapping[Criteria, Sequence[dict[str, Any]]],
        permits: Mapping[str, Permit],
    ) -> None:
        self._context = context
        self._plan = plan
        self._rows = rows
        self._permits = permits
        self._gone: set[Key] = set()
        self._planned = {each.index: each for each in plan.writes}
        self._documents: dict[int, dict[str, Any]] = {}
        self._created = _Created(context.pace, self._document, self._identifiers)
        self.ids: dict[int, str] = {}
        self.replaced: set[int] = set()
        self.found: dict[int, Version] = {}
        self.same: dict[int, int] = {}
        self.references: dict[str, str] = {}
        self._new: dict[str, tuple[frozenset[str], tuple[int, ...]]] = {}

    async def writes(self) -> dict[int, Key]:
        """Settle every entry, in the order of processing; the answer is what conditional creates found stored."""
        found: dict[int, Key] = {}
        for planned in self._plan.writes:
            with at(planned.index):
                await self._settle(planned, found)
        return found

    async def _settle(self, planned: Planned, found: dict[int, Key]) -> None:
        index, entry, criteria = planned.index, planned.entry, planned.criteria
        if criteria is None:
            assert planned.id is not None, "Without criteria there is an id, given or new."  # noqa: S101
            self._go(planned, planned.id)
            return
        await self._context.pace.step()
        stored, created = await self._matches(criteria)
        if len(stored) + len(created) > 1:
            raise PreconditionFailed(MANY)
        if created:
            if entry.method != "POST":
                raise BadRequest(OVERLAP, code="duplicate")
            self.same[index] = created[0]
        elif stored and entry.method == "POST":
            found[index] = (entry.resource_type, stored[0])
        elif stored:
            if planned.resource is not None and planned.resource.get("id", stored[0]) != stored[0]:
                raise BadRequest(_OTHER_ID, expression=f"{entry.resource_type}.id")
            self.replaced.add(index)
            self._go(planned, stored[0])
        elif entry.method == "PATCH":
            raise NotFound
        elif planned.id is not None:
            self._go(planned, planned.id)

    def _go(self, planned: Planned, id: str) -> None:
        self.ids[planned.index] = id
        if planned.entry.method == "DELETE":
            self._gone.add((planned.entry.resource_type, id))
        elif planned.entry.method == "POST":
            self._created.add(planned.entry.resource_type, planned.index)

    async def _matches(self, criteria: Criteria) -> tuple[list[str], list[int]]:
        """The ids of what is stored and stays, and the numbers of the creates among these entries, that meet the criteria."""
        resource_type = criteria.resource_type
        stored = [row["_id"] for row in self._rows.get(criteria, ()) if (resource_type, row["_id"]) not in self._gone]
        return stored, await self._meeting(await self._created.like(criteria), criteria)

    async def _meeting(self, indexes: Iterable[int], criteria: Criteria) -> list[int]:
        """Which of these entries are about to write what meets the criteria, and would be visible to who writes it."""
        found: list[int] = []
        for index in indexes:
            await self._context.pace.step()
            if await self._meets(index, criteria):
                found.append(index)
        return found

    async def _meets(self, index: int, criteria: Criteria) -> bool:
        document = await self._document(index)
        permit = self._permits.get(criteria.resource_type)
        is_seen = permit is None or is_visible(permit, criteria.resource_type, document)
        return is_seen and match(criteria.expression, document)

    def _identifiers(self, index: int) -> Sequence[str] | None:
        """What a create will be found by, without the rest of what is derived; None where that alone is not known."""
        planned = self._planned[index]
        try:
            return self._context.services.identifiers(planned.entry.resource_type, planned.resource or {})
        except Exception:  # it is not validated yet
            return None

    async def _document(self, index: int) -> dict[str, Any]:
        """What an entry is about to write, as it would be stored."""
        if (found := self._documents.get(index)) is None:
            text = self._planned[index].text
            found = self._documents[index] = await beside(len(text), lambda: self._candidate(index))
        return found

    def _candidate(self, index: int) -> dict[str, Any]:
        services, planned = self._context.services, self._planned[index]
        resource_type = planned.entry.resource_type
        resource = identified(planned.resource or {}, self.ids[index])
        try:
            services.validator.check(resource, resource_type)
        except FhirError as error:
            raise Failed([(index, error)]) from error
        return as_stored(self._context, resource["id"], services.derive(resource_type, resource))

    async def target(self, tx: Tx, text: str, mentioned: Mentioned) -> str:
        """The one resource that a conditional reference leads to, after everything here is written."""
        criteria = mentioned.criteria
        await self._context.pace.step()
        with at(mentioned.index):
            found = await self._targets(criteria, self._rows.get(criteria, ()))
            has_key = all(may_use_key(self._context, criteria, source) for source in mentioned.sources)
            if not found and has_key:
                services = self._context.services
                now = services.clock().timestamp()
                rows = await services.patient_keys.resolve(tx, self._context.principal, criteria.expression, now)
                found = await self._targets(criteria, rows)
            if len(found) != 1:
                # The key leads to one patient or to nothing: that there are two of them it does not say.
                raise PreconditionFailed(_TARGETS if found and not has_key else _NO_TARGET)
        return f"{criteria.resource_type}/{found.pop()}"

    async def _targets(self, criteria: Criteria, rows: Sequence[dict[str, Any]]) -> set[str]:
        """The ids of what meets the criteria once the entries are written."""
        resource_type = criteria.resource_type
        stored = {row["_id"] for row in rows if (resource_type, row["_id"]) not in self._gone}
        changed, puts = self._new_states(resource_type)
        written = await self._meeting(await self._created.like(criteria), criteria)
        return (stored - changed) | {self.ids[index] for index in (*written, *await self._meeting(puts, criteria))}

    def _new_states(self, resource_type: str) -> tuple[frozenset[str], tuple[int, ...]]:
        """The ids of this type that get a new state, and the entries that put one; known once all writes are settled."""
        if (found := self._new.get(resource_type)) is None:
            planned = (self._planned[index] for index in self.ids)
            new = [each for each in planned if each.resource is not None and each.entry.resource_type == resource_type]
            puts = tuple(each.index for each in new if each.entry.method == "PUT")
            found = self._new[resource_type] = frozenset(self.ids[each.index] for each in new), puts
        return found


class _Created:
    """What these entries create, to be found by the values that a criterion names first."""

    def __init__(
        self,
        pace: Pace,
        document: Callable[[int], Awaitable[dict[str, Any]]],
        identifiers: Callable[[int], Sequence[str] | None],
    ) -> None:
        self._pace = pace
        self._document = document
        self._identifiers = identifiers
        self._indexes: defaultdict[str, list[int]] = defaultdict(list)
        self._values: dict[tuple[str, str], tuple[int, defaultdict[Any, list[int]]]] = {}

    def add(self, resource_type: str, index: int) -> None:
        """One more create."""
        self._indexes[resource_type].append(index)

    async def like(self, criteria: Criteria) -> list[int]:
        """The creates that may meet the criteria; no other one does."""
        indexes = self._indexes.get(criteria.resource_type, [])
        lead = next((term for term in _terms(criteria.expression) if isinstance(term, In)), None)
        if lead is None or not indexes:
            return indexes
        known, values = self._values.get((criteria.resource_type, lead.path), (0, defaultdict(list)))
        for index in indexes[known:]:
            await self._pace.step()
            for value in await self._looked_up(index, lead.path):
                values[value].append(index)
        self._values[criteria.resource_type, lead.path] = len(indexes), values
        return sorted({index for value in lead.values for index in values.get(value, ())})

    async def _looked_up(self, index: int, path: str) -> Sequence[Any]:
        # Nearly every criterion is an identifier, and nearly none is that of another entry: all that is derived is not needed.
        found = self._identifiers(index) if path == IDENTIFIER_PATH else None
        return _values(await self._document(index), path) if found is None else found


def _terms(expression: Expression) -> Iterable[Expression]:
    return expression.terms if isinstance(expression, And) else (expression,)


def _values(document: Any, path: str) -> Sequence[Any]:
    """The values at a dotted path that can be looked up."""
    for step in path.split("."):
        document = document.get(step) if isinstance(document, dict) else None
    return document if isinstance(document, list) else (document,)
