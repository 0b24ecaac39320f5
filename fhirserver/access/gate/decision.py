"""One decision: what is read to make it, and what comes of that.

https://hl7.org/fhir/R4/security.html#access-control and https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from fhirserver.access import reasons
from fhirserver.access.gate.actors import Actors, ActorsOf
from fhirserver.access.gate.effect import effective, permit_only
from fhirserver.access.gate.facts import DECIDING, PastFacts, Row, is_live, security
from fhirserver.access.gate.reach import Decided, visible
from fhirserver.access.gate.request import Request
from fhirserver.access.gate.together import Sought
from fhirserver.access.gate.weighing import Rules, owners_where, rules_of, weighable
from fhirserver.access.principal import Kind, Principal, allows, depends_on_consents
from fhirserver.access.scopes import SYSTEM_LEVEL
from fhirserver.access.security.classes import ACCESS_CLASS
from fhirserver.access.security.compartments import UNRESOLVED
from fhirserver.access.security.consent import Verdict, verdict
from fhirserver.model.outcome import TooCostly
from fhirserver.search.expression import Exists, Expression, In, Range, all_of, negate
from fhirserver.search.match import match

ROWS_PER_OWNER: Final = 2
"""Consents that are looked through for each owner that may be reached; of more only the owners are asked for."""
OF_VERSIONS: Final = frozenset(("vread", "history-instance"))


class Decision:
    """One decision under way: what has been read so far."""

    def __init__(
        self, facts: PastFacts, actors: ActorsOf, principal: Principal, request: Request, now: int, max_owners: int
    ) -> None:
        self._facts = facts
        self._actors_of = actors
        self._principal = principal
        self._request = request
        self._now = now
        self._max_owners = max_owners
        self._rows: Sequence[Row] = ()
        self.reasons: list[str] = [reasons.DIRECTORY]
        self._before: tuple[str, ...] = ()
        self.verdicts: dict[str, Verdict] = {}
        self.is_overfull = False
        """Whether the owners, or their rules, were too many to be weighed."""

    async def decided(self) -> Decided:
        """Everything that the permit's expressions need."""
        by_id = bool(self._request.ids) or self._request.interaction == "create"
        if self._principal.kind is Kind.PATIENT:
            self.reasons.append(reasons.OWN_RECORD)
            return await self._without_consents()
        self.reasons.append(reasons.WROTE)
        if not depends_on_consents(self._principal):
            return await self._without_consents()
        return await (self._for_ids() if by_id else self._for_search())

    def labels(self, visible_now: Expression) -> tuple[str, ...]:
        """The labels of the version that an update is to replace, if it is visible."""
        seen = [row for row in self._rows if match(visible_now, row)] if self._updates() else []
        return tuple(label for row in seen for label in security(row).get("labels") or ())

    def reasons_about(self) -> Callable[[Sought], tuple[str, ...]]:
        """The reasons as they are for each one that was asked for."""
        of_id = {row["_id"]: security(row).get("owners") or () for row in self._rows}

        def about(sought: Sought) -> tuple[str, ...]:
            owners = of_id.get(sought, ()) if isinstance(sought, str) else sought
            return (*self._before, *reasons.of([self.verdicts[each] for each in owners if each in self.verdicts]))

        return about

    async def _without_consents(self) -> Decided:
        """For whom no Consent speaks: what is asked matters only where it has a context, or labels to keep."""
        if self._is_binary_by_id() or self._updates():
            await self._read_rows()
        return self._seeing(Decided(), await self._context_rows())

    async def _for_ids(self) -> Decided:
        """By id: the owners of what is asked, then their rules. An absent id takes as many steps as a hidden one."""
        actors, (rules, contexts) = await asyncio.gather(self._actors(), self._rules_of_ids())
        return self._seeing(self._decided(actors, rules), contexts)

    async def _rules_of_ids(self) -> tuple[Rules, list[_Context]]:
        await self._read_rows()
        contexts = await self._context_rows()
        resources = [security(row).get("owners") or () for row in (*self._rows, *contexts)]
        owners, is_whole = weighable([*resources, self._request.candidate_owners], self._max_owners)
        self.is_overfull = not is_whole
        owners = owners or frozenset((UNRESOLVED,))
        return await rules_of(self._facts, owners | await self._past_owners(owners)), contexts

    async def _past_owners(self, owners: frozenset[str]) -> frozenset[str]:
        """Who else owned what is asked for: an old version is shown where they permit it, too."""
        request = self._request
        if request.interaction not in OF_VERSIONS:
            return frozenset()
        asked = (self._facts.past_owners(request.resource_type, id, owners, DECIDING) for id in request.ids)
        return frozenset().union(*await asyncio.gather(*asked))

    async def _for_search(self) -> Decided:
        request = self._request
        if not self._asks_consents():
            return Decided()
        if request.patients is None:
            actors = await self._actors()
            return self._decided(actors, await rules_of(self._facts, await self._named_owners(actors)))
        actors, rules = await asyncio.gather(self._actors(), self._rules_of_patients(request.patients))
        if request.includes:
            rules |= await rules_of(self._facts, (await self._named_owners(actors)).difference(rules))
        return self._decided(actors, rules)

    async def _rules_of_patients(self, patients: frozenset[str]) -> Rules:
        shared, mentioning = await asyncio.gather(self._sharing(patients), self._mentioning())
        return await rules_of(self._facts, patients | shared | mentioning)

    def _asks_consents(self) -> bool:
        """Whether a Consent can open anything here: not to types that are only their creator's or their patient's."""
        access_class = ACCESS_CLASS.get(self._request.resource_type)
        return self._request.includes or access_class in ("patient", "directory", "public") or self._is_binary()

    def _must_be_bounded(self) -> bool:
        """Whether too many owners are an error. Not where patients are named, nor for directory types: these are still worth
        searching without anybody's own rows."""
        of_patients = ACCESS_CLASS.get(self._request.resource_type) == "patient"
        return self._request.patients is None and (of_patients or self._request.resource_type == SYSTEM_LEVEL)

    async def _actors(self) -> Actors:
        actors = await self._actors_of(self._facts, self._principal, self._now)
        if not actors.role_counts:
            self.reasons.append(reasons.ROLE_DOES_NOT_COUNT)
        return actors

    async def _read_rows(self) -> None:
        """Read what is asked for by id, unless it is at hand."""
        if self._request.rows is not None:
            self._rows = self._request.rows
        elif self._request.ids:
            self._rows = await self._facts.facts(self._request.resource_type, self._request.ids, DECIDING)

    async def _sharing(self, patients: frozenset[str]) -> frozenset[str]:
        """Who else owns what is these patients': they have to permit as well."""
        if not patients:
            return frozenset()
        several = all_of(In("security.owners", patients), negate(Exists("security.owner")))
        return await owners_where(self._facts, self._request.resource_type, several)

    async def _mentioning(self) -> frozenset[str]:
        """Who owns what mentions the patients whose compartment is searched."""
        if not self._request.mentions:
            return frozenset()
        mentioning = In("security.mentions", self._request.mentions)
        return await owners_where(self._facts, self._request.resource_type, mentioning)

    async def _named_owners(self, actors: Actors) -> frozenset[str]:
        """The patients with a Consent that permits one of the actors, and those of Appointments in which she takes part."""
        try:
            named, appointments = await asyncio.gather(self._naming(actors), self._appointments(actors))
            owners = named | appointments
            if len(owners) > self._max_owners:
                raise TooCostly(reasons.TOO_MANY_OWNERS)
        except TooCostly:
            if self._must_be_bounded():
                raise TooCostly(reasons.TOO_MANY_OWNERS) from None
            self.reasons.append(reasons.NARROWED)
            return frozenset()
        return owners

    async def _naming(self, actors: Actors) -> frozenset[str]:
        if not actors.permits:
            return frozenset()
        naming = all_of(
            In("security.rule.actors", actors.permits),
            Range("security.rule.permit.low", None, self._now),
            Range("security.rule.permit.high", self._now, None),
        )
        most = ROWS_PER_OWNER * self._max_owners
        rows = await self._facts.facts("Consent", naming, DECIDING, limit=most + 1)
        if len(rows) > most:
            # One patient may name her as often as she likes; how many patients there are is what counts.
            return await self._facts.owners("Consent", naming, DECIDING, limit=self._max_owners + 1)
        rules = map(effective, rows)
        permits = actors.permits
        reading = (each for each in rules if verdict((permit_only(each),), permits, frozenset(), self._now).reads)
        return frozenset(each["patient"] for each in reading)

    async def _appointments(self, actors: Actors) -> frozenset[str]:
        request = self._request
        if not actors.takes_part or (request.resource_type != "Appointment" and not request.includes):
            return frozenset()
        taking_part: Expression = In("security.actors", actors.takes_part)
        if request.criteria is not None and not request.includes:
            taking_part = all_of(taking_part, request.criteria)  # a day of hers instead of all her years
        return await owners_where(self._facts, "Appointment", taking_part)

    def _decided(self, actors: Actors, rules: Rules) -> Decided:
        verdicts = {owner: verdict(each, actors.permits, actors.denies, self._now) for owner, each in rules.items()}
        self.verdicts = verdicts
        reads = _among(verdicts, lambda each: each.reads and not each.denied)
        self._before = tuple(self.reasons)
        self.reasons += reasons.of(verdicts.values())
        return Decided(
            reads=reads,
            creates=_among(verdicts, lambda each: each.creates and not each.denied),
            undenied=_among(verdicts, lambda each: not each.denied),
            takes_part=actors.takes_part,
        )

    def _updates(self) -> bool:
        return self._request.interaction in ("update", "patch")

    def _is_binary(self) -> bool:
        return self._request.resource_type == "Binary"

    def _is_binary_by_id(self) -> bool:
        return self._is_binary() and bool(self._request.ids)

    async def _context_rows(self) -> list[_Context]:
        """The facts of the securityContexts that the Binaries asked for name; a Binary is no context."""
        if not self._is_binary_by_id():
            return []
        wanted = {context for row in self._rows if isinstance(context := security(row).get("context"), str)}
        found: list[_Context] = []
        for context in sorted(wanted):
            resource_type, _, id = context.partition("/")
            if resource_type in ACCESS_CLASS and resource_type != "Binary":
                rows = await self._facts.facts(resource_type, (id,), DECIDING)
                found.extend(_Context(row, context) for row in rows)
        return found

    def _seeing(self, decided: Decided, contexts: Iterable[_Context]) -> Decided:
        """With the contexts that the principal sees, by the same rules as if she read them."""
        seen = frozenset(each.reference for each in contexts if self._sees(decided, each))
        if not seen:
            return decided
        self.reasons.append(reasons.SECURITY_CONTEXT)
        return Decided(decided.reads, decided.creates, decided.undenied, decided.takes_part, seen)

    def _sees(self, decided: Decided, context: _Context) -> bool:
        resource_type = context.reference.partition("/")[0]
        if not is_live(context) or not allows(self._principal, resource_type, "read"):
            return False
        return match(visible(self._principal, decided, resource_type), context)


class _Context(dict[str, Any]):
    """The row of a securityContext, with its reference."""

    def __init__(self, row: Row, reference: str) -> None:
        super().__init__(row)
        self.reference = reference


def _among(verdicts: Mapping[str, Verdict], holds: Callable[[Verdict], bool]) -> frozenset[str]:
    return frozenset(owner for owner, each in verdicts.items() if holds(each))
