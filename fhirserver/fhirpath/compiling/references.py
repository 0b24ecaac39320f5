"""What `resolve() is T` asks: the type of a reference's target, told from the reference alone.

https://hl7.org/fhir/R4/fhirpath.html#functions and https://hl7.org/fhir/R4/references.html#literal
"""

from __future__ import annotations

from typing import Any

from fhirserver.fhirpath.environment import Environment
from fhirserver.fhirpath.runtime import Truth
from fhirserver.fhirpath.values.nodes import plain
from fhirserver.model.reference import Reference


def target_type(value: Any, environment: Environment) -> str | None:
    """The type of resource that a Reference, or a canonical or uri, points to; None if it does not tell.

    The literal reference says it, if it has a type in it; else what the Reference states as its `type`.
    """
    text = plain(value.get("reference") if isinstance(value, dict) else value)
    if isinstance(text, str):
        found = _contained(text[1:], environment.container) if text.startswith("#") else Reference.parse(text).type
        if found is not None:
            return found
    stated = value.get("type") if isinstance(value, dict) else None
    return stated.removeprefix("http://hl7.org/fhir/StructureDefinition/") if isinstance(stated, str) else None


def refers_to(types: frozenset[str]) -> Truth:
    """Whether the target is of one of these types; neither true nor false where nothing tells."""
    prefixes = tuple(type + "/" for type in types)

    def truth(value: Any, environment: Environment) -> bool | None:
        if isinstance(value, dict):
            text = value.get("reference")
            if text is not None and text.startswith(prefixes):
                return True
        found = target_type(value, environment)
        return None if found is None else found in types

    return truth


def _contained(id: str, resource: Any) -> str | None:
    """The type of the contained resource with this id, or of the resource itself."""
    if not id:
        return resource.get("resourceType")  # type: ignore[no-any-return]
    for contained in resource.get("contained", ()):
        if contained.get("id") == id:
            return contained.get("resourceType")  # type: ignore[no-any-return]
    return None
