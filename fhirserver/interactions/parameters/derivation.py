"""What is derived from a resource when it is stored, by the search parameters that are in force at that moment.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, tzinfo
from typing import Any, Final

from msgspec import Struct

from fhirserver.access.security.compartments import security_facts
from fhirserver.definitions import Definitions
from fhirserver.model.json import texts as texts_of
from fhirserver.model.reference import local_references
from fhirserver.model.resource import Resource
from fhirserver.search.index.extract import Extractor
from fhirserver.store import Derived


class Values(Struct, frozen=True):
    """The search values and sort scalars of a resource, by the search parameters of this generation."""

    index: dict[str, Any]
    sort: dict[str, Any]
    generation: int

    def derived(self, security: dict[str, Any]) -> Derived:
        """The same with the security facts."""
        return Derived(self.index, self.sort, security, self.generation)


class Derivation:
    """Derives; `adopt` puts other search parameters in force, which is one assignment: what is under way is of one generation."""

    def __init__(
        self, definitions: Definitions, base_url: str, *, guards_references: bool = False, zone: tzinfo = UTC
    ) -> None:
        self._extractor = Extractor(definitions, base_url=base_url)
        self.facts: Final = security_facts(base_url, zone)
        """From a resource to its security facts."""
        self._base_url = base_url
        self._guards_references = guards_references
        self._now = (self._extractor, 0)

    def __call__(
        self, resource_type: str, resource: Resource, texts: Mapping[str, str | bytes] | None = None
    ) -> Derived:
        """What is stored beside a resource of this type."""
        if texts is None:
            texts = texts_of(resource)
        values = self.values(resource_type, resource, texts)
        return values.derived(self.facts(resource_type, resource, texts))

    def values(self, resource_type: str, resource: Resource, texts: Mapping[str, str | bytes] | None) -> Values:
        """What is searched for."""
        extractor, generation = self._now
        index, sort = extractor.extract(resource_type, resource, texts)
        if self._guards_references:
            # Those that no search parameter looks at hold a deletion up as well.
            index["_literal"] = {"r": sorted(local_references(resource, self._base_url)), "i": []}
        return Values(index, sort, generation)

    def prepared(self, definitions: Definitions, resource_types: Iterable[str]) -> Extractor:
        """What reads resources by other parameters, with these types made ready; on any thread."""
        extractor = self._now[0].extended(definitions)
        for resource_type in resource_types:
            extractor.prepare(resource_type)
        return extractor

    def adopt(self, extractor: Extractor, generation: int) -> None:
        """From here on this one."""
        self._now = (extractor, generation)
