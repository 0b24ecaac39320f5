"""The parameter `context`: an element of a type or profile stands for the value set that it is bound to.

https://hl7.org/fhir/R4/valueset-operation-expand.html
"""

from __future__ import annotations

from typing import Final

from fhirserver.definitions import Definitions
from fhirserver.model.outcome import BadRequest, Unresolved
from fhirserver.terminology import Asked, Catalogue, asked_for
from fhirserver.validation import Validator
from fhirserver.validation.conformance.reading import STRUCTURE

_FORM: Final = "'context' is written [canonical of a StructureDefinition]#[path], such as .../Observation#Observation.interpretation."


def bound_value_set(catalogue: Catalogue, validator: Validator, context: str) -> Asked:
    """The value set that the element is bound to. Raises Unresolved where the element is not known, or not bound."""
    url, _, path = context.partition("#")
    if not path:
        url, path = f"{STRUCTURE}{context.partition('.')[0]}", context
    type = url.partition("|")[0].removeprefix(STRUCTURE)
    definitions = validator.definitions
    if type in definitions.structures:
        found = _of_type(definitions, path if path.startswith(f"{type}.") else f"{type}.{path}")
    else:
        found = _of_profile(catalogue, validator, url, path)
    if found is None:
        raise Unresolved(f"No element '{context[:300]}' that is bound to a value set is known here. {_FORM}")
    return asked_for("ValueSet", found)


def _of_type(definitions: Definitions, path: str) -> str | None:
    """By R4's own definition; an element of a data type by that of the data type."""
    steps = path.removesuffix("[x]").split(".")
    parent, binding = steps[0], None
    for name in steps[1:]:
        child = next((each for each in definitions.children(parent) if name in (each.stem, each.name)), None)
        if child is None:
            return None
        binding = child.binding
        parent = child.path if definitions.children(child.path) or not child.types else child.types[0].code
    return None if binding is None else binding.value_set


def _of_profile(catalogue: Catalogue, validator: Validator, url: str, path: str) -> str | None:
    """By a profile; where that says nothing of it, by the type."""
    resource = catalogue.resource(asked_for("StructureDefinition", url))
    if resource is None:
        raise asked_for("StructureDefinition", url).absent()
    profile = validator.profile(resource, lambda each: catalogue.resource(asked_for("StructureDefinition", each)))
    if profile is None:
        raise BadRequest("The context is no profile of one of R4's types.")
    full = path if path.split(".")[0] == profile.type else f"{profile.type}.{path}"
    plain = ".".join(each.partition(":")[0] for each in full.split("."))
    for each in (full, plain):  # what is said of an element holds in its slices
        element = profile.named(each)
        if element is not None and element.binding is not None:
            return element.binding.value_set
    return _of_type(validator.definitions, plain)
