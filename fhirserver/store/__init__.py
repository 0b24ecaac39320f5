"""The store: the only room that speaks to MongoDB.

Public: `Reads` (each with a Permit), `Store` (the same; commit; own rows), `Tx` (the same inside one transaction), what a write is made of (`Write`,
`Derived`, `By`) and what comes back (`Written`, `Page`, `Position`). It must not know HTTP, FHIR's rules, or why a permit says what it says.
"""

from fhirserver.store.bulk import Packed, packed
from fhirserver.store.commit import By, Derive, Derived, Member, Seal, Write, Written
from fhirserver.store.commit.meta import Behind
from fhirserver.store.commit.prepare import Prepared, prepare
from fhirserver.store.history.changes import Change
from fhirserver.store.history.histories import Mark, Named, Span, Walked
from fhirserver.store.layout.collections import LayoutError
from fhirserver.store.reads import Reads
from fhirserver.store.resources import Page, Position
from fhirserver.store.resources.across import Across, Place
from fhirserver.store.store import FIRST_TYPES, Store
from fhirserver.store.transaction import Outdated, Refused, Tx

__all__ = [
    "FIRST_TYPES",
    "Across",
    "Behind",
    "By",
    "Change",
    "Derive",
    "Derived",
    "LayoutError",
    "Mark",
    "Member",
    "Named",
    "Outdated",
    "Packed",
    "Page",
    "Place",
    "Position",
    "Prepared",
    "Reads",
    "Refused",
    "Seal",
    "Span",
    "Store",
    "Tx",
    "Walked",
    "Write",
    "Written",
    "packed",
    "prepare",
]
