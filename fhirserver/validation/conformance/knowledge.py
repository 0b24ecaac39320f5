"""What conformance asks of terminology and of stored profiles: lent by the caller, since this room may read neither.

Each answer may be that it is not known here. Who lends it may find out afterwards what was missing, and have the work done again.

https://hl7.org/fhir/R4/terminology-service.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

Json = Mapping[str, Any]


class Code(NamedTuple):
    """A code as it stands in a resource. A bare `code` has no system: that of the value set it is bound to is meant."""

    system: str | None
    code: str
    display: str | None = None
    version: str | None = None
    is_unit: bool = False
    """Whether it is the unit of a Quantity."""


class Knowledge(Protocol):
    """What is known of value sets, code systems and profiles."""

    def contains(self, value_set: str, codes: Sequence[Code]) -> bool | None:
        """Whether one of the codes is in the value set; None where that is not known here."""

    def faults(self, code: Code) -> Iterable[tuple[bool, str]]:
        """What is wrong with a code of a code system, each with whether it is an error, and a sentence."""

    def profile(self, canonical: str) -> Json | None:
        """The StructureDefinition of a canonical; None where it is not known here."""

    def target(self, reference: str) -> Json | None:
        """The stored resource that a reference leads to; None where it is not here, or not for who asks."""


class Nothing:
    """No knowledge: everything is left undecided."""

    def contains(self, value_set: str, codes: Sequence[Code]) -> bool | None:
        """Not known."""
        return None

    def faults(self, code: Code) -> Iterable[tuple[bool, str]]:
        """None that are known."""
        return ()

    def profile(self, canonical: str) -> Json | None:
        """Not known."""
        return None

    def target(self, reference: str) -> Json | None:
        """Not known."""
        return None
