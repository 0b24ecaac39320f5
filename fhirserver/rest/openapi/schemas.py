"""OpenAPI's schemas of resource types and of the data types that they are made of, from the definitions.

They say which elements there are, of which type, and which are needed. What more is asked of a resource (formats, value sets,
invariants) the server says itself when it refuses one.

https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from fhirserver.definitions import Definitions
from fhirserver.definitions.structures import Element

Schema = dict[str, Any]

ENUMERATED: Final = 40
"""A value set with more codes than this is named, not written out."""

_PRIMITIVE: Final[Mapping[str, Schema]] = {
    "boolean": {"type": "boolean"},
    "decimal": {"type": "number"},
    "integer": {"type": "integer"},
    "positiveInt": {"type": "integer", "minimum": 1},
    "unsignedInt": {"type": "integer", "minimum": 0},
    "date": {"type": "string", "description": "YYYY, YYYY-MM or YYYY-MM-DD"},
    "dateTime": {"type": "string", "description": "YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss+zz:zz"},
    "instant": {"type": "string", "format": "date-time"},
    "base64Binary": {"type": "string", "format": "byte"},
    "uri": {"type": "string", "format": "uri-reference"},
}
_ANY_RESOURCE: Final = "Resource"


def reference_to(name: str) -> Schema:
    """A `$ref` to one of the schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def schemas(definitions: Definitions, resource_types: Iterable[str]) -> dict[str, Schema]:
    """The schemas of these resource types and of everything that they lead to, by name."""
    made: dict[str, Schema] = {
        _ANY_RESOURCE: {
            "type": "object",
            "properties": {"resourceType": {"type": "string"}, "id": {"type": "string"}},
            "required": ["resourceType"],
            "description": "A resource of any type.",
        }
    }
    waiting = list(resource_types)
    while waiting:
        path = waiting.pop()
        if path not in made:
            made[path] = _object(definitions, path)
            waiting.extend(_reached(made[path]))
    return dict(sorted(made.items()))


def _object(definitions: Definitions, path: str) -> Schema:
    properties: dict[str, Schema] = {}
    required = []
    structure = definitions.structures.get(path)
    if structure is not None and structure.kind == "resource":
        properties["resourceType"] = {"type": "string", "enum": [path]}
        required.append("resourceType")
    for element in definitions.children(path):
        if element.max == 0:
            continue
        if element.min and not element.is_choice:
            required.append(element.name)
        for name, type in element.json_names():
            one = _value(definitions, element, None if type is None else type.code)
            properties[name] = {"type": "array", "items": one} if element.is_list else one
    schema: Schema = {"type": "object", "properties": properties}
    return schema | ({"required": required} if required else {})


def _value(definitions: Definitions, element: Element, type: str | None) -> Schema:
    if type is None:
        return reference_to(element.content_reference or element.path)
    if definitions.children(element.path):
        return reference_to(element.path)
    structure = definitions.structures.get(type)
    if structure is None or structure.kind == "primitive-type":
        return _PRIMITIVE.get(type, {"type": "string"}) | _codes(definitions, element)
    if structure.kind == "resource":
        return reference_to(_ANY_RESOURCE)
    return reference_to(type)


def _codes(definitions: Definitions, element: Element) -> Schema:
    """The codes that an element may hold, where there are few."""
    binding = element.binding
    if binding is None or binding.strength != "required" or binding.value_set is None:
        return {}
    found = definitions.value_set(binding.value_set)
    if found is None or found.grammars or not 0 < len(found.codes) <= ENUMERATED:
        return {"description": f"A code of {binding.value_set}."}
    return {"enum": sorted(found.codes)}


def _reached(schema: Schema) -> Iterator[str]:
    for each in schema["properties"].values():
        target = each.get("items", each).get("$ref")
        if target is not None:
            yield target.rpartition("/")[2]
