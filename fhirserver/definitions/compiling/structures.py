"""StructureDefinitions to element tables.

https://hl7.org/fhir/R4/elementdefinition.html
"""

from __future__ import annotations

from typing import Any

import msgspec

from fhirserver.definitions.codes.values import unversioned
from fhirserver.definitions.compiling.package import Definition
from fhirserver.definitions.compiling.tables import Tables
from fhirserver.definitions.wire import WireElement, WireStructure, raw

PREFIX = "http://hl7.org/fhir/StructureDefinition/"
SYSTEM = "http://hl7.org/fhirpath/System."
FHIR_TYPE = PREFIX + "structuredefinition-fhir-type"
MAX_VALUE_SET = PREFIX + "elementdefinition-maxValueSet"

# The only profiles that R4's own types demand of their elements.
PROFILES = ("SimpleQuantity", "MoneyQuantity")


def compile_structures(definitions: list[Definition], tables: Tables) -> dict[str, msgspec.Raw]:
    """The structure of every resource type, data type and primitive type."""
    chosen = {definition["name"]: definition for definition in definitions if _is_type(definition)}
    return {name: raw(_structure(name, chosen[name], tables)) for name in sorted(chosen)}


def concrete_types(definitions: list[Definition]) -> list[str]:
    """The types that a resource may have."""
    return sorted(
        definition["name"]
        for definition in definitions
        if _is_type(definition) and definition["kind"] == "resource" and not definition["abstract"]
    )


def _is_type(definition: Definition) -> bool:
    if definition["kind"] == "logical":
        return False
    return definition.get("derivation") != "constraint" or definition["id"] in PROFILES


def _structure(name: str, definition: Definition, tables: Tables) -> WireStructure:
    root = definition["type"]
    base = definition.get("baseDefinition", "").removeprefix(PREFIX) or None
    elements = [_element(element, root, name, tables) for element in definition["snapshot"]["element"]]
    return WireStructure(definition["kind"], base, definition["abstract"], elements)


def _element(element: Definition, root: str, name: str, tables: Tables) -> WireElement:
    reference = element.get("contentReference")
    binding = element.get("binding")
    return WireElement(
        path=element["path"].removeprefix(root),
        min=element["min"],
        max=-1 if element["max"] == "*" else int(element["max"]),
        types=[tables.type(*_type(type, element)) for type in element.get("type", [])],
        flags=element.get("isModifier", False) + 2 * element.get("isSummary", False),
        constraints=tables.constraint_list(
            [(each["key"], each["severity"], each["expression"]) for each in element.get("constraint", [])]
        ),
        binding=None if binding is None else tables.binding(*_binding(binding)),
        content_reference=None if reference is None else name + reference.removeprefix("#" + root),
        max_length=element.get("maxLength"),
    )


def _type(type: Definition, element: Definition) -> tuple[str, list[str], list[str]]:
    code: str = type["code"]
    if code.startswith(SYSTEM):
        code = _primitive(type, element)
    targets = [target.removeprefix(PREFIX) for target in type.get("targetProfile", [])]
    # Any resource: said by silence, as for the types that name no target at all.
    return code, [] if "Resource" in targets else targets, type.get("profile", [])


def _primitive(type: Definition, element: Definition) -> str:
    # The package says `string` here; the type of a logical id is `id`.
    if element["base"]["path"] == "Resource.id":
        return "id"
    said: Any = _extension(type, FHIR_TYPE)
    return str(said) if said else type["code"].removeprefix(SYSTEM).lower()


def _binding(binding: Definition) -> tuple[str, str | None, str | None]:
    maximum = _extension(binding, MAX_VALUE_SET)
    bound = binding.get("valueSet")
    return binding["strength"], bound and unversioned(bound), maximum and unversioned(maximum)


def _extension(holder: Definition, url: str) -> str | None:
    for extension in holder.get("extension", []):
        if extension["url"] == url:
            return str(next(value for key, value in extension.items() if key.startswith("value")))
    return None
