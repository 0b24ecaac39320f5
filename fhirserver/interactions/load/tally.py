"""What came of what was read, and how many of each there are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from msgspec import Struct

from fhirserver.model.outcome import FhirError

Fate = Literal["created", "updated", "unchanged", "deleted", "refused"]


class Outcome(Struct, frozen=True):
    """What came of a resource: by the number of its text and, in a Bundle, of its entry.

    `count` is more than one where a transaction was refused: it counts with all of its entries.
    """

    number: int
    entry: int | None
    fate: Fate
    error: FhirError | None = None
    count: int = 1


@dataclass(slots=True)
class Counts:
    """How many were created, updated, and so on."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    refused: int = 0

    def add(self, outcome: Outcome) -> None:
        """Count one more."""
        setattr(self, outcome.fate, getattr(self, outcome.fate) + outcome.count)

    def join(self, other: Counts) -> None:
        """Add the counts of another file."""
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)

    @property
    def total(self) -> int:
        """All of them."""
        return self.created + self.updated + self.unchanged + self.deleted + self.refused
