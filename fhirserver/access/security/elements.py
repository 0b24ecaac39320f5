"""Reading single elements of a parsed resource, whatever shape they turn out to have.

The facts of access are also computed for what a validator has not seen (a load, a reindex), so nothing here raises: what
cannot be read is None or empty, and the caller decides which way that fails.

https://hl7.org/fhir/R4/datatypes.html
"""

from __future__ import annotations

from datetime import UTC, tzinfo
from functools import lru_cache
from typing import Any, Final

from fhirserver.model.dates import BEGINNING, END, interval_in
from fhirserver.model.reference import Reference
from fhirserver.model.resource import Resource


def objects(value: Any) -> list[Resource]:
    """The objects in an array."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def text(value: Any) -> str | None:
    """A string, and nothing else."""
    return value if isinstance(value, str) else None


def codings(concept: Any) -> list[tuple[str | None, str | None]]:
    """(system, code) of each Coding of a CodeableConcept."""
    coding = concept.get("coding") if isinstance(concept, dict) else None
    return [(text(each.get("system")), text(each.get("code"))) for each in objects(coding)]


def local(reference: Any, base_url: str) -> str | None:
    """`Type/id` of a Reference to a resource of this server, its version left out."""
    return local_text(reference.get("reference"), base_url) if isinstance(reference, dict) else None


def local_text(value: Any, base_url: str) -> str | None:
    """`Type/id` of the literal reference."""
    return _local_text(value, base_url) if isinstance(value, str) and len(value) <= _REFERENCE else None


_REFERENCE: Final = 2_048
"""Characters of a literal reference; a longer one leads nowhere."""


# The same patient and the same laboratory come again and again.
@lru_cache(maxsize=8_192)
def _local_text(value: str, base_url: str) -> str | None:
    return Reference.parse(value, base_url).local


def period_bounds(period: Any, zone: tzinfo = UTC) -> tuple[int | None, int | None]:
    """The first and the last microsecond of a Period, its days those of the zone; an absent end is open, one that cannot be read is None."""
    if not isinstance(period, dict):
        return None, None
    return _bound(period, "start", zone, BEGINNING), _bound(period, "end", zone, END)


def _bound(period: Resource, name: str, zone: tzinfo, absent: int) -> int | None:
    if name not in period:
        # `_end` alone says that there is an end, and not which.
        return None if f"_{name}" in period else absent
    try:
        low, high = interval_in(zone, period[name])
    except (ValueError, TypeError):
        return None
    return low if name == "start" else high
