"""The Permit: what a caller may read and write, as Expressions, with the reasons for the audit.

Every read of the store takes one, positionally and with no default. `access.gate.decide` makes them; `Permit.system` is for the
server's own work, is loud on purpose, and its callers are counted by a test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fhirserver.search.expression import All, Expression, Nothing


@dataclass(frozen=True, slots=True)
class Permit:
    """What one request may touch.

    `reads` and `writes` give, for a resource type, the condition that a stored document must meet: to be visible at all, and to be
    replaced, deleted or (as a candidate, in memory) created. `Nothing` means that no query is sent.
    """

    reasons: tuple[str, ...]
    reads: Callable[[str], Expression]
    writes: Callable[[str], Expression]
    is_system: bool = False

    @classmethod
    def system(cls, reason: str) -> Permit:
        """Everything, for the server's own work or the operator's; the reason is recorded."""
        return cls((reason,), _everything, _everything, is_system=True)

    @classmethod
    def nothing(cls, *reasons: str) -> Permit:
        """Nothing at all."""
        return cls(reasons, _nothing, _nothing)

    def of(self, resource_type: str) -> Expression:
        """What of this type may be read."""
        return self.reads(resource_type)


def _everything(_: str) -> Expression:
    return All()


def _nothing(_: str) -> Expression:
    return Nothing()
