"""What an interaction works with: the rooms below it, and who asks.

https://hl7.org/fhir/R4/http.html#3.1.0
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from fhirserver.access.decide import Gate
from fhirserver.access.principal import Principal
from fhirserver.definitions import Definitions
from fhirserver.model.json import dump
from fhirserver.search.request import Bounds
from fhirserver.store import By, Derive, Store
from fhirserver.validation import Validator


@dataclass(frozen=True, slots=True)
class Services:
    """The rooms below, the clock and the ids: made once by the application, the same for every request."""

    definitions: Definitions
    store: Store
    gate: Gate
    validator: Validator
    derive: Derive
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    base_url: str
    bounds: Bounds


@dataclass(slots=True)
class Context:
    """One request: the services, the principal, and the request's id."""

    services: Services
    principal: Principal
    request_id: str

    def by(self) -> By:
        """Who writes, as the server knows it."""
        return self.principal.by(self.request_id)

    def audience(self, query: str) -> str:
        """What a cursor is bound to: this caller, in this role, for this purpose, with this query."""
        caller = self.principal
        return dump([caller.user, caller.client, caller.role, caller.purpose, query]).decode()
