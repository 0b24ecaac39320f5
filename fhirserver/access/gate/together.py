"""Reads by id, and creates, that one caller begins in one turn of the event loop: decided together, with one set of queries.

What is shared is one caller's: the same principal, interaction and type. Others of the same turn share queries further down and
never a permit. Every waiter began before the first of these queries was sent, so each decision is of its own request's time, and
nothing is kept for the next turn.

https://hl7.org/fhir/R4/security.html#access-control
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from fhirserver.access.principal import Principal
from fhirserver.search.permit import Permit
from fhirserver.store.connection.client import fresh

Sought = str | frozenset[str]
"""What one request is decided for: the id that it reads, or the owners of what it creates."""
Waiters = dict[Sought, list[asyncio.Future[Permit]]]


@dataclass(slots=True)
class Party:
    """What one caller does of one kind in one turn, and who waits for each answer."""

    principal: Principal
    interaction: str
    resource_type: str
    waiters: Waiters = field(default_factory=dict)

    def alone(self, sought: Sought) -> Party:
        """The party of this one alone."""
        return Party(self.principal, self.interaction, self.resource_type, {sought: self.waiters[sought]})


Decide = Callable[[Party], Awaitable[Mapping[Sought, Permit] | None]]
"""The permit for each that is sought; None if each has to be decided alone."""


class Together:
    """Gathers the requests of one turn by who asks."""

    def __init__(self, decide: Decide) -> None:
        self._decide = decide
        self._waiting: dict[tuple[int, str, str], Party] = {}
        self._running: set[asyncio.Task[None]] = set()

    def permit(
        self, principal: Principal, interaction: str, resource_type: str, sought: Sought
    ) -> asyncio.Future[Permit]:
        """The permit to read this id, or to create what has these owners."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Permit] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._send)
        # By identity: a token's row gives one principal as long as it is the same, and the party keeps it from going.
        key = (id(principal), interaction, resource_type)
        party = self._waiting.get(key)
        if party is None:
            party = self._waiting[key] = Party(principal, interaction, resource_type)
        party.waiters.setdefault(sought, []).append(answer)
        return answer

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for party in waiting.values():
            task = asyncio.create_task(self._answer(party))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _answer(self, party: Party) -> None:
        try:
            permits = await self._decide(party)
        except Exception as error:
            if len(party.waiters) == 1:
                _fail(party, error)
                return
            permits = None
        if permits is None:
            # What one makes too costly, or impossible, is no matter of its neighbours.
            await asyncio.gather(*(self._answer(party.alone(sought)) for sought in party.waiters))
            return
        for sought, answers in party.waiters.items():
            for answer in answers:
                if not answer.done():
                    answer.set_result(permits[sought])


def _fail(party: Party, error: Exception) -> None:
    for answers in party.waiters.values():
        for answer in answers:
            if not answer.done():
                answer.set_exception(fresh(error))
