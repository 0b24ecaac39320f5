"""Conformance: what is to be said of a resource beyond what refuses a write.

https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fhirserver.model.outcome import Issue
from fhirserver.validation.conformance.coded import coded_issues
from fhirserver.validation.conformance.elements import resource_item, walked
from fhirserver.validation.conformance.knowledge import Knowledge
from fhirserver.validation.shapes import Shapes
from fhirserver.validation.walk import ISSUE_LIMIT

_STRUCTURE: Final = "http://hl7.org/fhir/StructureDefinition/"
_NOT_CHECKED: Final = "The resource claims this profile; profiles are not checked yet."
_FULL: Final = f"Only the first {ISSUE_LIMIT} issues are reported; there may be more."


class Conformance:
    """Judges resources whose structure can be read; what it needs to know of terminology is lent with each."""

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes

    def issues(self, resource: dict[str, Any], knowledge: Knowledge) -> list[Issue]:
        """All that is to be said, each once."""
        found: list[Issue] = []
        for each in self._all(resource, knowledge):
            if len(found) >= ISSUE_LIMIT:
                return [*found, Issue("information", "too-costly", _FULL)]
            found.append(each)
        return found

    def _all(self, resource: dict[str, Any], knowledge: Knowledge) -> Iterator[Issue]:
        for item in walked(self._shapes, resource_item(resource)):
            yield from coded_issues(item, knowledge)
            if item.path == "Meta.profile" and item.value != f"{_STRUCTURE}{item.around.resource['resourceType']}":
                yield Issue("information", "not-supported", _NOT_CHECKED, item.place)
