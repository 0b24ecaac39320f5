"""Closure tables: of the codes that a client works with, which is a kind of which.

https://hl7.org/fhir/R4/terminology-service.html#closure
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from fhirserver.model.outcome import Unresolved
from fhirserver.terminology.catalogue import Catalogue, whole

Codes = Mapping[str, Mapping[str, int]]
"""Codes by their system, each with the version of the table that it came with."""


class Entry(NamedTuple):
    """Two codes of a system: the source is a kind of the target."""

    system: str
    source: str
    target: str


def entries(catalogue: Catalogue, codes: Codes, since: int) -> list[Entry]:
    """The pairs of which one came after a version. Raises Unresolved for what is not here."""
    found: list[Entry] = []
    for url, versions in codes.items():
        if max(versions.values()) <= since:
            continue
        system = whole(catalogue, url)
        for code, added in versions.items():
            above = system.hierarchy.ancestors(code)
            catalogue.spend(1 + len(above))
            found += [
                Entry(url, code, other)
                for other in sorted(above)
                if other != code and other in versions and max(added, versions[other]) > since
            ]
    return found


def spelt(catalogue: Catalogue, coded: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The codes as their systems spell them. Raises Unresolved where a system has no such code."""
    found = []
    for url, code in coded:
        concept = whole(catalogue, url).find(code)
        if concept is None:
            raise Unresolved(f"The code system '{url[:300]}' has no code '{code[:100]}'.")
        found.append((url, concept.code))
    return found
