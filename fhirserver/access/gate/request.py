"""A request as the gate sees it.

https://hl7.org/fhir/R4/security.html#access-control
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fhirserver.search.expression import Expression


class Request(NamedTuple):
    """What is to be decided, besides who asks: the parts that narrow the owners.

    `ids`: those of a read or write by id; only their owners matter. `patients`: every match belongs to one of them.
    `mentions`: except for matches that belong to others and mention one of these.
    `criteria`: what every match meets besides, if anything.
    `rows`: the facts of what is asked for by id, where they are at hand.
    `candidate_owners`: of the version to be written. `includes`: other types come along.
    A tuple, because every read makes one.
    """

    interaction: str
    resource_type: str
    ids: tuple[str, ...] = ()
    patients: frozenset[str] | None = None
    candidate_owners: frozenset[str] = frozenset()
    includes: bool = False
    mentions: frozenset[str] = frozenset()
    criteria: Expression | None = None
    rows: Sequence[Mapping[str, Any]] | None = None
