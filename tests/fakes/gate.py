"""The small world of the gate's tests: facts, a clock that a test may move, and who asks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fhirserver.access.gate.decide import Gate
from fhirserver.access.gate.request import Request
from fhirserver.access.principal import Principal
from fhirserver.access.scopes import parse_scopes
from tests.fakes.facts import FakeFacts
from tests.fakes.records import consent, organization, practitioner_role, provision

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


class World:
    """Facts, a clock that a test may move, and the gate."""

    def __init__(self, *resources: dict[str, Any], max_owners: int = 50) -> None:
        self.facts = FakeFacts()
        self.now = NOW
        self.gate = Gate(self.facts, lambda: self.now, max_owners=max_owners)
        for each in resources:
            self.facts.put(each)

    async def reads(self, who: Principal, resource_type: str, id: str) -> bool:
        """Whether a read by id shows it."""
        permit = await self.gate.decide(who, Request("read", resource_type, ids=(id,)))
        return id in self.facts.seen(permit, resource_type)

    async def finds(self, who: Principal, resource_type: str, **narrowed: Any) -> set[str]:
        """What a search shows."""
        permit = await self.gate.decide(who, Request("search-type", resource_type, **narrowed))
        return self.facts.seen(permit, resource_type)


def who(user: str, scope: str | None = None, **more: Any) -> Principal:
    level = "system" if user.startswith(("Organization/", "Device/")) else "user"
    return Principal(user, "client", parse_scopes(scope or f"{level}/*.cruds"), **more)


A, B = who("Patient/a"), who("Patient/b")
DOCTOR = who("Practitioner/d")
IN_ROLE = who("Practitioner/d", role="PractitionerRole/r")
LABORATORY = who("Organization/lab")
DEVICE = who("Device/x")
NAMED = parse_scopes("system/Consent.cruds system/Organization.cruds system/CareTeam.cruds system/Group.cruds")

CLINIC = (
    organization("ward", "Organization/clinic"),
    organization("clinic", "Organization/trust"),
    organization("trust"),
    practitioner_role("r", "Practitioner/d", "Organization/ward"),
    practitioner_role("other", "Practitioner/d", "Organization/elsewhere"),
)


def permits(*actors: str, patient: str = "a", id: str = "permit", **more: Any) -> dict[str, Any]:
    return consent(id, patient, provision("permit", *actors, **more))


def denies(*actors: str, patient: str = "a", id: str = "deny", **more: Any) -> dict[str, Any]:
    return consent(id, patient, provision("deny", *actors, **more))
