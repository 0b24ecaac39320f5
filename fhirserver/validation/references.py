"""Reference targets: the type that a Reference points to, as far as its text, its `type` or a contained resource tell.

https://hl7.org/fhir/R4/references.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fhirserver.model.reference import Reference
from fhirserver.validation.datatypes import Fault

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_STRUCTURE_DEFINITION = "http://hl7.org/fhir/StructureDefinition/"


@dataclass(frozen=True, slots=True)
class Container:
    """A resource as `#` references see it: its own type, and the types of what it contains by their ids."""

    type: str
    contained: Mapping[str, str | None]

    @classmethod
    def of(cls, resource: Mapping[str, Any]) -> Container:
        """The container that this resource is."""
        found: dict[str, str | None] = {}
        contained = resource.get("contained")
        for each in contained if isinstance(contained, list) else ():
            if isinstance(each, dict) and isinstance(each.get("id"), str):
                type = each.get("resourceType")
                found.setdefault(each["id"], type if isinstance(type, str) else None)
        return cls(str(resource.get("resourceType")), found)


def reference_fault(
    value: Mapping[str, Any], targets: frozenset[str], container: Container, resource_types: frozenset[str]
) -> Fault | None:
    """What is wrong with a Reference; no `targets` means any."""
    text, stated = value.get("reference"), _stated_type(value.get("type"), resource_types)
    found: str | None = None
    if isinstance(text, str):
        reference = Reference.parse(text)
        if reference.is_contained:
            found = container.contained.get(reference.fragment) if reference.fragment else container.type
            found = found if found in resource_types else None
            if reference.fragment and reference.fragment not in container.contained:
                return "not-found", f'refers to "#{reference.fragment[:64]}", which is not contained in the resource.'
        elif reference.type in resource_types:
            found = reference.type
        elif reference.type is not None and reference.url is None:
            return "value", f'refers to "{reference.type}", which is not a resource type.'
        else:
            found = _conditional_type(text, resource_types)
            # What is relative and of no known shape could be resolved anywhere: dot segments, double slashes.
            if found is None and _SCHEME.match(text) is None:
                return (
                    "value",
                    'must refer to "Type/id", to an absolute URL or URN, or to "#id" of a contained resource.',
                )
    if found is not None and stated is not None and found != stated:
        return "value", f'refers to a resource of type {found}, but its "type" says {stated}.'
    found = found or stated
    if found is None or not targets or found in targets:
        return None
    return "value", f"refers to a resource of type {found}; allowed here: {', '.join(sorted(targets))}."


def _stated_type(type: object, resource_types: frozenset[str]) -> str | None:
    """The resource type that `Reference.type` names; None for logical models and for what cannot be read."""
    if not isinstance(type, str):
        return None
    name = type.removeprefix(_STRUCTURE_DEFINITION)
    return name if name in resource_types else None


def _conditional_type(text: str, resource_types: frozenset[str]) -> str | None:
    """The type in a conditional reference, `Patient?identifier=...`."""
    type, question, _ = text.partition("?")
    return type if question and type in resource_types else None
