"""What an interaction works with: the rooms below it, and who asks.

https://hl7.org/fhir/R4/http.html#3.1.0
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo

from fhirserver.access.gate.decide import Gate
from fhirserver.access.gate.request import Request
from fhirserver.access.matching import PatientKeys
from fhirserver.access.principal import Principal
from fhirserver.definitions import Definitions
from fhirserver.interactions.parameters.derivation import Derivation
from fhirserver.interactions.parameters.keeper import Keeper
from fhirserver.model.json import dump
from fhirserver.search.index.identifiers import Identifiers
from fhirserver.search.permit import Permit
from fhirserver.search.query.parse import parse_search
from fhirserver.search.request import Bounds, SearchRequest
from fhirserver.store import By, Reads, Store
from fhirserver.store.pace import Pace
from fhirserver.terminology import Parsed
from fhirserver.validation import Allowance, Validator


@dataclass(frozen=True, slots=True)
class Services:
    """The rooms below, the clock and the ids: made once by the application, the same for every request."""

    definitions: Definitions
    store: Store
    gate: Gate
    validator: Validator
    derive: Derivation
    identifiers: Identifiers
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    base_url: str
    bounds: Bounds
    patient_keys: PatientKeys
    zone: tzinfo = UTC
    """The time zone of the place: whose days are meant where a Consent says when it ends."""
    consents_per_patient: int = 200
    """Consents of one patient that may be in force at once, as far as who writes one sees them."""
    code_systems: Parsed = field(default_factory=Parsed)
    """Code systems that were read before, each under the very version that it was read from."""
    judging: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    """Who holds a resource against profiles takes a processor for a while: so many at once."""
    parameters: Keeper | None = None
    """Knows the search parameters beside R4's, where the server has any to do with them."""
    guards_references: bool = False
    """Whether the targets of references have to exist, and what is referred to cannot be deleted."""

    def parse_search(
        self,
        resource_type: str,
        pairs: Sequence[tuple[str, str]],
        *,
        lenient: bool = False,
        bounds: Bounds | None = None,
    ) -> SearchRequest:
        """Read a search of one type, within these bounds or the server's own. Raises BadRequest, and TooCostly."""
        return parse_search(
            self.definitions,
            resource_type,
            pairs,
            lenient=lenient,
            base_url=self.base_url,
            now=self.clock(),
            bounds=bounds or self.bounds,
        )


@dataclass(slots=True)
class Context:
    """One request: the services, the principal, and the request's id; and the transaction that it is part of, if any."""

    services: Services
    principal: Principal
    request_id: str
    within: Reads | None = None
    allowance: Allowance = field(default_factory=Allowance)
    """What the validations of the request may do together: those of all entries, where it is a batch."""

    @property
    def reads(self) -> Reads:
        """Where this request reads."""
        return self.services.store if self.within is None else self.within

    @property
    def pace(self) -> Pace:
        """Where long work takes its steps."""
        return self.services.store.pace

    def decide(self, request: Request) -> Awaitable[Permit]:
        """What the gate says of this principal's request. Raises Forbidden or TooCostly."""
        return self.services.gate.decide(self.principal, request)

    def inside(self, transaction: Reads) -> Context:
        """The same request, reading inside a transaction."""
        return replace(self, within=transaction)

    def deciding_once(self, transaction: Reads) -> Context:
        """The same inside a transaction whose entries are decided upon together: who asks is read once for all of them."""
        services = replace(self.services, gate=self.services.gate.for_one())
        return replace(self, services=services, within=transaction)

    def now(self) -> datetime:
        """The moment, in whole milliseconds, as pages and their cursors say it."""
        now = self.services.clock()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def by(self) -> By:
        """Who writes, as the server knows it."""
        return self.principal.by(self.request_id)

    def audience(self, query: str) -> str:
        """What a cursor is bound to: this caller, in this role, for this purpose, with this query."""
        caller = self.principal
        return dump([caller.user, caller.client, caller.role, caller.purpose, query]).decode()
