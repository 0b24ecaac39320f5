"""The actors of a request: under which references the caller may be permitted, denied, and found to take part.

A practitioner is herself, and the one role that she acts in with its organisation and the organisations above it. Without a
role that counts, none of her roles permits her anything, and all of them count for a deny.

https://hl7.org/fhir/R4/practitionerrole.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from fhirserver.access.gate.facts import DECIDING, Facts, Row, is_live, rows_where, security
from fhirserver.access.principal import Kind, Principal
from fhirserver.search.expression import In

ANCESTORS: Final = 8
"""How far up `Organization.partOf` is followed."""
MAX_ROLES: Final = 500
"""Roles of one practitioner."""


@dataclass(frozen=True, slots=True)
class Actors:
    """References to the caller: for permits, for denies, and as who takes part in an Appointment."""

    permits: frozenset[str] = frozenset()
    denies: frozenset[str] = frozenset()
    takes_part: frozenset[str] = frozenset()
    role_counts: bool = True


@dataclass(frozen=True, slots=True)
class Role:
    """A PractitionerRole as it stands now. A doubtful one counts for denies only."""

    reference: str
    organization: str | None
    counts: bool
    is_doubtful: bool


ActorsOf = Callable[[Facts, Principal, int], Awaitable[Actors]]
"""How the actors of a principal are found at a moment."""


class Remembered:
    """Finds the actors of each principal once, for what is decided as one."""

    def __init__(self, actors: ActorsOf) -> None:
        self._actors = actors
        self._found: dict[Principal, asyncio.Future[Actors]] = {}

    async def __call__(self, facts: Facts, principal: Principal, now: int) -> Actors:
        """Those of this principal, as they were when they were asked for first."""
        found = self._found.get(principal)
        if found is None:
            found = self._found[principal] = asyncio.ensure_future(self._actors(facts, principal, now))
        return await asyncio.shield(found)


async def actors_of(facts: Facts, principal: Principal, now: int) -> Actors:
    """Resolve the principal's actors; `now` is in microseconds."""
    if principal.kind is Kind.SYSTEM:
        return await _system(facts, principal.user)
    if principal.kind is Kind.PRACTITIONER:
        return await _practitioner(facts, principal, now)
    return Actors()


async def _system(facts: Facts, user: str) -> Actors:
    if not user.startswith("Organization/"):
        return Actors(denies=frozenset((user,)))
    above = await _above(facts, {user})
    return Actors(permits=above.line(user, live_only=True), denies=above.line(user, live_only=False))


async def _practitioner(facts: Facts, principal: Principal, now: int) -> Actors:
    acting, person = principal.role, principal.user
    if person.startswith("PractitionerRole/"):
        acting = person
        person = await _person(facts, person)
    roles = await _roles(facts, person, now) if person else []
    above = await _above(facts, {role.organization for role in roles if role.organization})
    in_role = next((role for role in roles if role.reference == acting and role.counts), None)
    herself = frozenset((principal.user, person)) - {""}
    if in_role is not None:
        permits = _line(in_role, above, live_only=True) | herself
        denies = _line(in_role, above, live_only=False) | herself
        return Actors(permits, denies, herself | {in_role.reference})
    denies = herself.union(*(_line(role, above, live_only=False) for role in roles if role.counts or role.is_doubtful))
    # A user that is a role which does not count is nobody to be permitted.
    permits = herself if principal.user == person else frozenset()
    return Actors(permits, denies, permits, role_counts=acting is None)


async def _person(facts: Facts, role: str) -> str:
    rows = await facts.facts("PractitionerRole", (role.partition("/")[2],), DECIDING)
    for row in rows:
        practitioner = (security(row).get("role") or {}).get("practitioner")
        if isinstance(practitioner, str) and practitioner.startswith("Practitioner/"):
            return practitioner
    return ""


async def _roles(facts: Facts, person: str, now: int) -> list[Role]:
    hers = In("security.role.practitioner", frozenset((person,)))
    rows = await rows_where(facts, "PractitionerRole", hers, MAX_ROLES)
    return [_role(row, person, now) for row in rows]


def _role(row: Row, person: str, now: int) -> Role:
    role: dict[str, Any] = security(row).get("role") or {}
    low, high = role.get("low"), role.get("high")
    is_hers = is_live(row) and role.get("active") is True and role.get("practitioner") == person
    is_doubtful = is_hers and (low is None or high is None)
    counts = is_hers and low is not None and high is not None and low <= now <= high
    return Role(f"PractitionerRole/{row['_id']}", role.get("organization"), counts, is_doubtful)


def _line(role: Role, above: _Above, *, live_only: bool) -> frozenset[str]:
    found = above.line(role.organization, live_only=live_only) if role.organization else frozenset()
    return found | {role.reference}


@dataclass(frozen=True, slots=True)
class _Above:
    """Organisations with the one each is part of. Through a deleted one only denies come down."""

    parents: dict[str, str]
    deleted: frozenset[str]

    def line(self, organization: str, *, live_only: bool) -> frozenset[str]:
        return frozenset(self._line(organization, live_only))

    def _line(self, organization: str, live_only: bool) -> Iterator[str]:
        yield organization
        # A circle ends here too: eight steps are eight steps.
        for _ in range(ANCESTORS):
            if live_only and organization in self.deleted:
                return
            parent = self.parents.get(organization)
            if parent is None:
                return
            yield parent
            organization = parent


async def _above(facts: Facts, organizations: Iterable[str]) -> _Above:
    parents: dict[str, str] = {}
    deleted: set[str] = set()
    seen: set[str] = set()
    wanted = {each for each in organizations if each.startswith("Organization/")}
    for _ in range(ANCESTORS):
        wanted -= seen
        if not wanted:
            break
        seen |= wanted
        for row in await facts.facts("Organization", sorted(each[13:] for each in wanted), DECIDING):
            reference, parent = f"Organization/{row['_id']}", security(row).get("part_of")
            if isinstance(parent, str) and parent.startswith("Organization/"):
                parents[reference] = parent
            if not is_live(row):
                deleted.add(reference)
        wanted = {parents[each] for each in wanted if each in parents}
    return _Above(parents, frozenset(deleted))
