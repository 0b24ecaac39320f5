"""Layouts: which elements and attributes an XML element may have, in which order, and where JSON puts them.

https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from fhirserver.definitions import Definitions, Element, ElementType

FHIR: Final = "http://hl7.org/fhir"
XHTML: Final = "http://www.w3.org/1999/xhtml"

Kind = Literal["primitive", "complex", "resource", "xhtml"]


@dataclass(frozen=True, slots=True)
class Field:
    """One element by its JSON name, with the one type that stands behind it.

    `content` names the layout of what is inside; a primitive has inside what every element has.
    """

    name: str
    position: int
    kind: Kind
    type: str
    content: str
    is_list: bool

    @property
    def sibling(self) -> str:
        """The JSON name of what stands beside a primitive's value: its id and its extensions."""
        return "_" + self.name


@dataclass(frozen=True, slots=True)
class Layout:
    """What may stand in an XML element: `attributes` and `fields` by JSON name, `elements` by name with namespace."""

    name: str
    attributes: frozenset[str]
    fields: Mapping[str, Field]
    elements: Mapping[str, Field]


class Layouts:
    """All layouts, made when first asked for."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._made: dict[str, Layout] = {}
        self.resources = {f"{FHIR} {name}": name for name in definitions.concrete_types}
        """The types that a resource's element may name, by name with namespace."""

    def __getitem__(self, name: str) -> Layout:
        """The layout of a type or of a backbone element, by its path."""
        found = self._made.get(name)
        if found is None:
            found = self._made[name] = self._layout(name)
        return found

    def _layout(self, name: str) -> Layout:
        attributes: set[str] = set()
        fields: dict[str, Field] = {}
        for position, element in enumerate(self._definitions.children(name)):
            if _is_attribute(element):
                attributes.add(element.name)
            else:
                for json_name, type in element.json_names():
                    fields[json_name] = self._field(element, position, json_name, type)
        elements = {
            f"{XHTML if field.kind == 'xhtml' else FHIR} {json_name}": field for json_name, field in fields.items()
        }
        return Layout(name, frozenset(attributes), fields, elements)

    def _field(self, element: Element, position: int, name: str, type: ElementType | None) -> Field:
        if type is None or self._definitions.children(element.path):
            return Field(name, position, "complex", "", element.path, element.is_list)
        kind: Kind = "complex"
        content = type.code
        if type.code == "Resource":
            kind = "resource"
        elif type.code == "xhtml":
            kind = "xhtml"
        elif self._definitions.structures[type.code].kind == "primitive-type":
            kind, content = "primitive", "Element"
        return Field(name, position, kind, type.code, content, element.is_list)


def layouts_of(definitions: Definitions) -> Layouts:
    """The layouts of these definitions, made once."""
    return _layouts(definitions.core)


@cache
def _layouts(definitions: Definitions) -> Layouts:
    return Layouts(definitions)


def _is_attribute(element: Element) -> bool:
    """Whether XML writes it as an attribute: the ids of elements, which unlike those of resources are strings; and the
    URL of an extension. The `value` of a primitive is the third, and has no element of its own here."""
    return element.path == "Extension.url" or (element.name == "id" and element.types[0].code == "string")
