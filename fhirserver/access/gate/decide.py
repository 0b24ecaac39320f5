"""The gate: from a principal and an interaction to the Permit under which the store is asked.

What the token and the request show is decided first and refused with 403. Everything else depends on stored data and becomes a
condition of the query, so that hidden and absent are one answer. Consents are read from the primary in the same request: one
written now counts on the next.

https://hl7.org/fhir/R4/security.html#access-control and https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from fhirserver.access import reasons
from fhirserver.access.gate.actors import ActorsOf, Remembered, actors_of
from fhirserver.access.gate.decision import OF_VERSIONS, Decision
from fhirserver.access.gate.facts import PastFacts
from fhirserver.access.gate.reach import Decided, Reads, Writes
from fhirserver.access.gate.request import Request
from fhirserver.access.gate.together import Party, Sought, Together
from fhirserver.access.principal import Principal, allows, depends_on_consents
from fhirserver.access.security.compartments import UNRESOLVED
from fhirserver.model.outcome import Forbidden
from fhirserver.search.expression import Nothing
from fhirserver.search.permit import Permit

MAX_OWNERS: Final = 5_000
"""Owners that a search without a patient may reach."""
SHARED_OWNERS: Final = 1_000
"""Owners in a permit that the reads of one turn share; past it each id has its own."""
_SHARED: Final = frozenset(("read", *OF_VERSIONS))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Granted(Permit):
    """A permit, with the security labels of the visible version that an update is to replace: `writes.keep_labels`."""

    labels: tuple[str, ...] = ()


class Gate:
    """Decides, with what the store says at this moment."""

    def __init__(
        self,
        facts: PastFacts,
        clock: Callable[[], datetime],
        *,
        max_owners: int = MAX_OWNERS,
        actors: ActorsOf = actors_of,
    ) -> None:
        self._facts = facts
        self._clock = clock
        self._max_owners = max_owners
        self._actors = actors
        self._together = Together(self._of_party)

    def for_one(self) -> Gate:
        """The same gate for one request that asks it many times: who the caller is, is read once."""
        return Gate(self._facts, self._clock, max_owners=self._max_owners, actors=Remembered(self._actors))

    async def decide(self, principal: Principal, request: Request) -> Permit:
        """The permit of one request. Raises Forbidden for what the token rules out, TooCostly for a search too broad."""
        if principal.is_operator:
            return Permit.system(reasons.OPEN_MODE)
        interaction, resource_type = request.interaction, request.resource_type
        if not allows(principal, resource_type, interaction):
            raise Forbidden(scope=True)
        if interaction == "create" and not _may_create(principal, resource_type):
            raise Forbidden(reasons.NOT_THIS_TYPE)
        sought = _sought_alone(request)
        if sought is not None and resource_type != "Binary" and depends_on_consents(principal):
            return await self._together.permit(principal, interaction, resource_type, sought)
        decision = self._decision(principal, request)
        decided = await decision.decided()
        reads = Reads(principal, interaction, resource_type, decided)
        return Granted(
            reasons=tuple(decision.reasons),
            reads=reads,
            writes=Writes(principal, interaction, resource_type, decided),
            labels=decision.labels(reads(resource_type)),
        )

    async def _of_party(self, party: Party) -> Mapping[Sought, Permit] | None:
        """The permits of a party: one reach over the owners of all of them, the reasons each its own."""
        ids = tuple(each for each in party.waiters if isinstance(each, str))
        owners = frozenset[str]().union(*(each for each in party.waiters if not isinstance(each, str)))
        request = Request(party.interaction, party.resource_type, ids, candidate_owners=owners)
        decision = self._decision(party.principal, request)
        decided = await decision.decided()
        if len(party.waiters) > 1 and (decision.is_overfull or len(decision.verdicts) > SHARED_OWNERS):
            return None
        reads = Reads(party.principal, party.interaction, party.resource_type, decided)
        writes = Writes(party.principal, party.interaction, party.resource_type, decided)
        about = decision.reasons_about()
        return {each: Granted(about(each), reads, writes) for each in party.waiters}

    def _decision(self, principal: Principal, request: Request) -> Decision:
        now = _microseconds(self._clock())
        return Decision(self._facts, self._actors, principal, request, now, self._max_owners)


def _sought_alone(request: Request) -> Sought | None:
    """What a request is for that can be decided together with others of its turn; None for all else."""
    if request.interaction == "create" and not request.ids:
        return request.candidate_owners
    return request.ids[0] if request.interaction in _SHARED and len(request.ids) == 1 else None


_ANYTHING: Final = Decided(reads=frozenset((UNRESOLVED,)), creates=frozenset((UNRESOLVED,)))


@lru_cache(maxsize=4096)
def _may_create(principal: Principal, resource_type: str) -> bool:
    """Whether she could create a resource of the type at all, if everybody permitted."""
    return not isinstance(Writes(principal, "create", resource_type, _ANYTHING)(resource_type), Nothing)


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
